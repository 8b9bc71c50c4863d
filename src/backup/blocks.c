/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file, all numbers big-endian:
 *
 *   "VMPBLOCK", u32 version 1, u32 block size, u64 size of the disk,
 *   u64 blocks, u32 piece, u32 0, u64 sums
 *   blocks times:  u64 first, u64 count, 32 bytes SHA-256 (zeroes: they read as zeroes)
 *   sums times:    u64 XXH3 of a piece of the image file
 *
 * It is written once, before the folder that it lies in has its name.
 */

#include "backup/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define MAGIC "VMPBLOCK"
#define VERSION 1

typedef struct {
    char magic[8];
    guint32 version, block_size;
    guint64 size, n_blocks;
    guint32 piece, reserved;
    guint64 n_sums;
} Header;

typedef struct {
    guint64 first, count;
    VmpDigest digest;
} Entry;

G_STATIC_ASSERT(sizeof(Header) == 48);
G_STATIC_ASSERT(sizeof(Entry) == 48);

static guint64
blocks_of(guint64 size)
{
    return size / VMP_BLOCK_SIZE + (size % VMP_BLOCK_SIZE != 0);
}

gboolean
vmp_block_is_zero(const VmpBlock *block)
{
    static const VmpDigest empty = { { 0 } };

    return vmp_digest_equal(&block->digest, &empty);
}

GArray *
vmp_blocks_new(void)
{
    return g_array_new(FALSE, TRUE, sizeof(VmpBlock));
}

void
vmp_blocks_add_zeroes(GArray *blocks, guint64 first, guint64 count)
{
    VmpBlock *last =
        blocks->len > 0 ? &g_array_index(blocks, VmpBlock, blocks->len - 1) : NULL;

    if (last && vmp_block_is_zero(last) && last->first + last->count == first) {
        last->count += count;
        return;
    }
    VmpBlock block = { .first = first, .count = count };
    g_array_append_val(blocks, block);
}

/* ---- the file ---- */

static gboolean
write_entries(FILE *file, const GArray *blocks, const GArray *sums)
{
    for (guint i = 0; i < blocks->len; i++) {
        const VmpBlock *block = &g_array_index(blocks, VmpBlock, i);
        Entry entry = { GUINT64_TO_BE(block->first), GUINT64_TO_BE(block->count),
                        block->digest };
        if (fwrite(&entry, sizeof entry, 1, file) != 1)
            return FALSE;
    }
    for (guint i = 0; i < sums->len; i++) {
        guint64 sum = GUINT64_TO_BE(g_array_index(sums, guint64, i));
        if (fwrite(&sum, sizeof sum, 1, file) != 1)
            return FALSE;
    }
    return TRUE;
}

gboolean
vmp_blocks_write(const char *path, guint64 size, const GArray *blocks, guint32 piece,
                 const GArray *sums, GError **error)
{
    Header header = { .magic = MAGIC,
                      .version = GUINT32_TO_BE(VERSION),
                      .block_size = GUINT32_TO_BE(VMP_BLOCK_SIZE),
                      .size = GUINT64_TO_BE(size),
                      .n_blocks = GUINT64_TO_BE((guint64)blocks->len),
                      .piece = GUINT32_TO_BE(piece),
                      .n_sums = GUINT64_TO_BE((guint64)sums->len) };
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file)
        return vmp_fail_errno(error, errno, "cannot make '%s'", path);

    gboolean written =
        fwrite(&header, sizeof header, 1, file) == 1 && write_entries(file, blocks, sums);
    int errnum = errno;
    if (fclose(file) == 0 && written)
        return TRUE;
    return vmp_fail_errno(error, errnum, "cannot write '%s'", path);
}

static gboolean
fail_damaged(const char *path, const char *what, GError **error)
{
    return vmp_fail(error, VMP_ERROR_DAMAGED, "'%s' is no list of blocks: %s", path, what);
}

static gboolean
check_header(const char *path, const Header *header, gsize length, GError **error)
{
    if (length < sizeof *header || memcmp(header->magic, MAGIC, sizeof header->magic) != 0)
        return fail_damaged(path, "it does not begin like one", error);
    if (GUINT32_FROM_BE(header->version) != VERSION ||
        GUINT32_FROM_BE(header->block_size) != VMP_BLOCK_SIZE)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "'%s' was written by a newer vmpoint (version %u)", path,
                        GUINT32_FROM_BE(header->version));

    guint64 n_blocks = GUINT64_FROM_BE(header->n_blocks);
    guint64 n_sums = GUINT64_FROM_BE(header->n_sums);
    if (n_blocks > length / sizeof(Entry) || n_sums > length / sizeof(guint64) ||
        sizeof *header + n_blocks * sizeof(Entry) + n_sums * sizeof(guint64) != length)
        return fail_damaged(path, "its length is not the one it tells", error);
    return TRUE;
}

static gboolean
take_entries(VmpBlockFile *file, const char *path, const guint8 *data, guint64 count,
             GError **error)
{
    guint64 next = 0, end = blocks_of(file->size);

    for (guint64 i = 0; i < count; i++, data += sizeof(Entry)) {
        Entry entry;
        memcpy(&entry, data, sizeof entry);
        VmpBlock block = { GUINT64_FROM_BE(entry.first), GUINT64_FROM_BE(entry.count),
                           entry.digest };
        if (block.first < next || block.first >= end || block.count == 0 ||
            block.count > end - block.first || (block.count > 1 && !vmp_block_is_zero(&block)))
            return fail_damaged(path, "an entry of it cannot be", error);
        next = block.first + block.count;
        g_array_append_val(file->blocks, block);
    }
    return TRUE;
}

VmpBlockFile *
vmp_blocks_read(const char *path, GError **error)
{
    g_autoptr(VmpBlockFile) file = g_new0(VmpBlockFile, 1);
    gsize length = 0;
    g_autofree char *data = vmp_file_read(path, G_MAXSSIZE, &length, error);
    Header header = { 0 };

    if (!data)
        return NULL;
    memcpy(&header, data, MIN(length, sizeof header));
    if (!check_header(path, &header, length, error))
        return NULL;

    guint64 n_blocks = GUINT64_FROM_BE(header.n_blocks);
    const guint8 *entries = (const guint8 *)data + sizeof header;
    const guint8 *sums = entries + n_blocks * sizeof(Entry);
    file->size = GUINT64_FROM_BE(header.size);
    file->piece = GUINT32_FROM_BE(header.piece);
    file->blocks = vmp_blocks_new();
    file->sums = g_array_new(FALSE, FALSE, sizeof(guint64));
    if (!take_entries(file, path, entries, n_blocks, error))
        return NULL;
    for (guint64 i = 0; i < GUINT64_FROM_BE(header.n_sums); i++) {
        guint64 sum;
        memcpy(&sum, sums + i * sizeof sum, sizeof sum);
        sum = GUINT64_FROM_BE(sum);
        g_array_append_val(file->sums, sum);
    }
    return g_steal_pointer(&file);
}

void
vmp_block_file_free(VmpBlockFile *file)
{
    if (!file)
        return;
    g_clear_pointer(&file->blocks, g_array_unref);
    g_clear_pointer(&file->sums, g_array_unref);
    g_free(file);
}

/* ---- several lists as one ---- */

/* The element of @layer at or behind @at; NULL behind the last. */
static const VmpBlock *
advance(const GArray *layer, guint *cursor, guint64 at)
{
    while (*cursor < layer->len) {
        const VmpBlock *block = &g_array_index(layer, VmpBlock, *cursor);
        if (block->first + block->count > at)
            return block;
        (*cursor)++;
    }
    return NULL;
}

/* Who tells of the block @at: the newest that holds it, or nobody.  @end is where that changes
 * at the earliest. */
static const VmpBlock *
find_holder(GArray *const *layers, guint count, guint *cursors, guint64 at, guint64 *end)
{
    *end = G_MAXUINT64;
    for (guint i = 0; i < count; i++) {
        const VmpBlock *block = advance(layers[i], &cursors[i], at);
        if (!block)
            continue;
        if (block->first <= at) {
            *end = MIN(*end, block->first + block->count);
            return block;
        }
        *end = MIN(*end, block->first);
    }
    return NULL;
}

GArray *
vmp_blocks_compose(GArray *const *layers, guint count, gboolean keep_zeroes)
{
    GArray *composed = vmp_blocks_new();
    g_autofree guint *cursors = g_new0(guint, count);
    guint64 end = 0;

    for (guint64 at = 0; at != G_MAXUINT64; at = end) {
        const VmpBlock *holder = find_holder(layers, count, cursors, at, &end);
        if (!holder)
            continue;
        if (!vmp_block_is_zero(holder))
            g_array_append_val(composed, *holder);
        else if (keep_zeroes)
            vmp_blocks_add_zeroes(composed, at, end - at);
    }
    return composed;
}

void
vmp_blocks_view(const GArray *blocks, guint64 size, VmpDigest *digest)
{
    g_autoptr(VmpDigester) digester = vmp_digester_new();
    guint64 number = GUINT64_TO_BE(size);

    vmp_digester_add(digester, &number, sizeof number);
    for (guint i = 0; i < blocks->len; i++) {
        const VmpBlock *block = &g_array_index(blocks, VmpBlock, i);
        if (vmp_block_is_zero(block))
            continue;
        number = GUINT64_TO_BE(block->first);
        vmp_digester_add(digester, &number, sizeof number);
        vmp_digester_add(digester, &block->digest, sizeof block->digest);
    }
    vmp_digester_end(digester, digest);
}
