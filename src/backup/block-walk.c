/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/block-walk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/content.h"
#include "storage/direct.h"

/* What is read at once. */
#define CHUNK_BLOCKS 32

/* Less than this is read before another reader has started. */
#define WORTH_A_READER (16 * 1024 * 1024 / VMP_BLOCK_SIZE)

#define MAX_READERS 4

#define REPORT_INTERVAL (G_USEC_PER_SEC / 5)

typedef struct {
    const char *path, *format;
    VmpDirect *direct;
    GArray *blocks;
    const VmpBlockTarget
        *target; /* they go there, and are read there; NULL: they are read alone */
    VmpBlockFunc func;
    gpointer user_data;

    GMutex lock; /* of what follows */
    GCond changed;
    guint next;      /* block that nobody reads yet */
    guint64 done;    /* bytes */
    guint running;   /* readers */
    GError *failure; /* the first */
} Walk;

/* The next blocks that follow one another; 0 when there are none left or something failed. */
static guint
take_chunk(Walk *walk, guint *start)
{
    const VmpBlock *blocks = (const VmpBlock *)(gpointer)walk->blocks->data;
    guint at = walk->next, count = 0;

    while (at < walk->blocks->len && vmp_block_is_zero(&blocks[at]))
        at++;
    *start = at;
    while (at < walk->blocks->len && count < CHUNK_BLOCKS && blocks[at].count == 1 &&
           blocks[at].first == blocks[*start].first + count &&
           !vmp_block_is_zero(&blocks[at])) {
        at++;
        count++;
    }
    walk->next = at;
    return walk->failure ? 0 : count;
}

/* From the file itself, or through a server that is started when it is first needed. */
static gboolean
read_bytes(const Walk *walk, VmpContent **content, guint8 *buffer, guint64 offset,
           gsize length, GError **error)
{
    if (vmp_direct_holds(walk->direct, offset, length))
        return vmp_direct_read(walk->direct, buffer, offset, length, error);
    if (!*content)
        *content = vmp_content_open(walk->path, walk->format, VMP_CONTENT_READ, error);
    return *content && vmp_content_read(*content, buffer, offset, length, error);
}

guint64
vmp_block_target_place(const VmpBlockTarget *target, const GArray *blocks, guint index)
{
    return target->packed ? target->start + (guint64)index * VMP_BLOCK_SIZE
                          : g_array_index(blocks, VmpBlock, index).first * VMP_BLOCK_SIZE;
}

static gboolean
read_again(int fd, guint8 *buffer, guint64 at, gsize length, GError **error)
{
    while (length > 0) {
        gssize got = TEMP_FAILURE_RETRY(pread(fd, buffer, length, (off_t)at));
        if (got <= 0)
            return vmp_fail_errno(error, got < 0 ? errno : EIO,
                                  "cannot read what was written, at byte %" G_GUINT64_FORMAT,
                                  at);
        buffer += got;
        at += (guint64)got;
        length -= (gsize)got;
    }
    return TRUE;
}

/* To the target and from there. */
static gboolean
pass_on(const Walk *walk, VmpContent **content, guint8 *buffer, guint64 offset, gsize length,
        guint64 place, GError **error)
{
    int fd = walk->target->fd;
    gboolean written = vmp_direct_holds(walk->direct, offset, length)
                           ? vmp_direct_copy(walk->direct, offset, length, fd, place, error)
                           : read_bytes(walk, content, buffer, offset, length, error) &&
                                 vmp_file_write_at(fd, buffer, length, place, error);

    return written && read_again(fd, buffer, place, length, error);
}

static gboolean
fetch(const Walk *walk, VmpContent **content, guint start, guint8 *buffer, guint64 offset,
      gsize length, GError **error)
{
    if (!walk->target)
        return read_bytes(walk, content, buffer, offset, length, error);
    guint64 place = vmp_block_target_place(walk->target, walk->blocks, start);
    return pass_on(walk, content, buffer, offset, length, place, error);
}

static gboolean
read_chunk(const Walk *walk, VmpContent **content, guint start, guint count, guint8 *buffer,
           gsize *length, GError **error)
{
    VmpBlock *blocks = &g_array_index(walk->blocks, VmpBlock, start);
    guint64 offset = blocks[0].first * VMP_BLOCK_SIZE;

    *length = MIN((gsize)count * VMP_BLOCK_SIZE, vmp_direct_get_size(walk->direct) - offset);
    if (!fetch(walk, content, start, buffer, offset, *length, error)) {
        g_prefix_error(error, "bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT ": ", offset,
                       offset + *length);
        return FALSE;
    }
    return walk->func(blocks, count, buffer, *length, walk->user_data, error);
}

static gboolean
read_chunks(Walk *walk, GError **error)
{
    g_autoptr(VmpContent) content = NULL;
    g_autofree guint8 *buffer = g_malloc(CHUNK_BLOCKS * VMP_BLOCK_SIZE);

    for (;;) {
        guint start = 0;
        gsize length = 0;
        g_mutex_lock(&walk->lock);
        guint count = take_chunk(walk, &start);
        g_mutex_unlock(&walk->lock);
        if (count == 0)
            return TRUE;
        if (!read_chunk(walk, &content, start, count, buffer, &length, error))
            return FALSE;

        g_mutex_lock(&walk->lock);
        walk->done += length;
        g_mutex_unlock(&walk->lock);
    }
}

static gpointer
reader(gpointer data)
{
    Walk *walk = data;
    GError *failure = NULL;
    gboolean done = read_chunks(walk, &failure);

    g_mutex_lock(&walk->lock);
    if (!done && !walk->failure)
        walk->failure = g_steal_pointer(&failure);
    walk->running--;
    g_cond_signal(&walk->changed);
    g_mutex_unlock(&walk->lock);
    g_clear_error(&failure);
    return NULL;
}

static guint64
count_data(const GArray *blocks)
{
    guint64 count = 0;

    for (guint i = 0; i < blocks->len; i++)
        count += !vmp_block_is_zero(&g_array_index(blocks, VmpBlock, i));
    return count;
}

/* Until all readers have ended: only this thread may report, and notice that it was cancelled.
 */
static void
watch(Walk *walk, const char *what, guint64 total, VmpOperation *operation)
{
    GCancellable *cancellable = vmp_operation_get_cancellable(operation);

    g_mutex_lock(&walk->lock);
    while (walk->running > 0) {
        g_cond_wait_until(&walk->changed, &walk->lock,
                          g_get_monotonic_time() + REPORT_INTERVAL);
        if (!walk->failure && g_cancellable_is_cancelled(cancellable))
            vmp_fail(&walk->failure, VMP_ERROR_INTERRUPTED, "interrupted");
        guint64 done = walk->done;
        g_mutex_unlock(&walk->lock);
        vmp_operation_report_progress(operation, what, MIN(done, total), total);
        g_mutex_lock(&walk->lock);
    }
    g_mutex_unlock(&walk->lock);
}

static gboolean
walk_all(Walk *walk, const char *what, VmpOperation *operation, GError **error)
{
    guint64 count = count_data(walk->blocks);
    guint readers =
        (guint)CLAMP(count / WORTH_A_READER, 1, MIN(MAX_READERS, g_get_num_processors()));
    GThread *threads[MAX_READERS];

    if (count == 0)
        return TRUE;
    g_mutex_init(&walk->lock);
    g_cond_init(&walk->changed);
    walk->running = readers;
    for (guint i = 0; i < readers; i++)
        threads[i] = g_thread_new("vmpoint-reader", reader, walk);
    watch(walk, what, count * VMP_BLOCK_SIZE, operation);
    for (guint i = 0; i < readers; i++)
        g_thread_join(threads[i]);
    g_mutex_clear(&walk->lock);
    g_cond_clear(&walk->changed);

    if (!walk->failure)
        return TRUE;
    g_propagate_error(error, walk->failure);
    return FALSE;
}

static gboolean
walk_image(const char *path, guint64 size, GArray *blocks, const VmpBlockTarget *target,
           VmpBlockFunc func, gpointer user_data, const char *what, VmpOperation *operation,
           GError **error)
{
    g_autoptr(VmpDirect) direct =
        vmp_direct_open(path, "qcow2", vmp_operation_get_cancellable(operation), error);
    Walk walk = {
        .path = path,
        .format = "qcow2",
        .direct = direct,
        .blocks = blocks,
        .target = target,
        .func = func,
        .user_data = user_data,
    };

    if (!direct)
        return FALSE;
    if (vmp_direct_get_size(direct) != size)
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "'%s' has %" G_GUINT64_FORMAT " bytes, not %" G_GUINT64_FORMAT, path,
                        vmp_direct_get_size(direct), size);
    return walk_all(&walk, what, operation, error);
}

gboolean
vmp_block_walk(const char *path, guint64 size, GArray *blocks, VmpBlockFunc func,
               gpointer user_data, const char *what, VmpOperation *operation, GError **error)
{
    return walk_image(path, size, blocks, NULL, func, user_data, what, operation, error);
}

/* ---- making a list ---- */

gboolean
vmp_block_data_is_zero(const guint8 *data, gsize length)
{
    /* All bytes are equal to their neighbours, and the first is zero. */
    return length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
}

static void
digest_block(VmpBlock *block, const guint8 *data, gsize length)
{
    if (vmp_block_data_is_zero(data, length))
        memset(&block->digest, 0, sizeof block->digest);
    else
        vmp_digest_compute(data, length, &block->digest);
}

static gboolean
digest_blocks(VmpBlock *blocks, guint count, const guint8 *data, gsize length,
              gpointer user_data, GError **error)
{
    for (guint i = 0; i < count; i++) {
        gsize offset = (gsize)i * VMP_BLOCK_SIZE;
        digest_block(&blocks[i], data + offset, MIN(VMP_BLOCK_SIZE, length - offset));
    }
    return TRUE;
}

/* Blocks without digests yet: they are told from zeroes by something that is no digest.  One
 * that is in the list already has an extent before this one in it. */
static void
add_data(GArray *blocks, guint64 offset, guint64 end)
{
    const VmpBlock *last =
        blocks->len > 0 ? &g_array_index(blocks, VmpBlock, blocks->len - 1) : NULL;
    guint64 first = offset / VMP_BLOCK_SIZE;
    guint64 next = last ? MAX(first, last->first + last->count) : first;

    for (guint64 at = next; at * VMP_BLOCK_SIZE < end; at++) {
        VmpBlock block = { at, 1, { { 1 } } };
        g_array_append_val(blocks, block);
    }
}

/* QEMU tells zeroes also by the holes of the file, which are as small as the file system's
 * blocks: what is not a whole block of zeroes is one of data. */
static void
add_zeroes(GArray *blocks, guint64 offset, guint64 end, guint64 size)
{
    guint64 first = (offset + VMP_BLOCK_SIZE - 1) / VMP_BLOCK_SIZE;
    guint64 last =
        end == size ? (end + VMP_BLOCK_SIZE - 1) / VMP_BLOCK_SIZE : end / VMP_BLOCK_SIZE;

    add_data(blocks, offset, MIN(first * VMP_BLOCK_SIZE, end));
    if (last > first)
        vmp_blocks_add_zeroes(blocks, first, last - first);
    add_data(blocks, MAX(last * VMP_BLOCK_SIZE, offset), end);
}

static GArray *
list_own(const VmpDirect *direct)
{
    g_autoptr(GArray) extents = vmp_direct_list_own(direct);
    GArray *blocks = vmp_blocks_new();

    for (guint i = 0; i < extents->len; i++) {
        const VmpExtent *extent = &g_array_index(extents, VmpExtent, i);
        guint64 end = extent->offset + extent->length;
        if (extent->zero)
            add_zeroes(blocks, extent->offset, end, vmp_direct_get_size(direct));
        else
            add_data(blocks, extent->offset, end);
    }
    return blocks;
}

/* What turned out to be zeroes joins its neighbours. */
static GArray *
join_zeroes(const GArray *blocks)
{
    GArray *joined = vmp_blocks_new();

    for (guint i = 0; i < blocks->len; i++) {
        const VmpBlock *block = &g_array_index(blocks, VmpBlock, i);
        if (vmp_block_is_zero(block))
            vmp_blocks_add_zeroes(joined, block->first, block->count);
        else
            g_array_append_val(joined, *block);
    }
    return joined;
}

GArray *
vmp_block_scan(const char *path, const char *what, VmpOperation *operation, guint64 *size,
               GError **error)
{
    g_autoptr(VmpDirect) direct =
        vmp_direct_open_alone(path, vmp_operation_get_cancellable(operation), error);
    if (!direct)
        return NULL;

    /* A block of which only a part is the image's own is read through a server. */
    g_autoptr(GArray) blocks = list_own(direct);
    Walk walk = {
        .path = path,
        .format = "qcow2",
        .direct = direct,
        .blocks = blocks,
        .func = digest_blocks,
    };
    *size = vmp_direct_get_size(direct);
    if (!walk_all(&walk, what, operation, error))
        return NULL;
    return join_zeroes(blocks);
}

/* ---- checking against a list ---- */

gboolean
vmp_block_check(const VmpBlock *blocks, guint count, const guint8 *data, gsize length,
                guint64 *wrong)
{
    for (guint i = 0; i < count; i++) {
        gsize offset = (gsize)i * VMP_BLOCK_SIZE;
        VmpBlock seen = { 0 };
        digest_block(&seen, data + offset, MIN(VMP_BLOCK_SIZE, length - offset));
        if (vmp_digest_equal(&seen.digest, &blocks[i].digest))
            continue;
        *wrong = blocks[i].first * VMP_BLOCK_SIZE;
        return FALSE;
    }
    return TRUE;
}

/* ---- laying them elsewhere ---- */

static gboolean
check_written(VmpBlock *blocks, guint count, const guint8 *data, gsize length,
              gpointer user_data, GError **error)
{
    guint64 wrong = 0;

    return vmp_block_check(blocks, count, data, length, &wrong) ||
           vmp_fail(error, VMP_ERROR_DAMAGED,
                    "what is read is not what the guest saw, at byte %" G_GUINT64_FORMAT,
                    wrong);
}

gboolean
vmp_block_lay(const char *path, guint64 size, GArray *blocks, const VmpBlockTarget *target,
              const char *what, VmpOperation *operation, GError **error)
{
    return walk_image(path, size, blocks, target, check_written, NULL, what, operation, error);
}

static gboolean
fail_at(guint64 offset, GError **error)
{
    return vmp_fail(error, VMP_ERROR_DAMAGED,
                    "what was written is not what the guest saw, at byte %" G_GUINT64_FORMAT,
                    offset);
}

/* Has each block its place? */
static gboolean
check_places(const VmpDirect *direct, const GArray *blocks, const VmpBlockTarget *target,
             GError **error)
{
    for (guint i = 0; i < blocks->len; i++) {
        guint64 offset = g_array_index(blocks, VmpBlock, i).first * VMP_BLOCK_SIZE;
        gsize length = MIN(VMP_BLOCK_SIZE, vmp_direct_get_size(direct) - offset);
        if (!vmp_direct_is_at(direct, offset, length,
                              vmp_block_target_place(target, blocks, i)))
            return fail_at(offset, error);
    }
    return TRUE;
}

/* Is all that may be data one of the blocks? */
static gboolean
check_gaps(const VmpDirect *direct, const GArray *blocks, GError **error)
{
    g_autoptr(GArray) extents = vmp_direct_list_data(direct);
    guint at = 0;

    for (guint i = 0; i < extents->len; i++) {
        const VmpExtent *extent = &g_array_index(extents, VmpExtent, i);
        guint64 end = extent->offset + extent->length;
        for (guint64 block = extent->offset / VMP_BLOCK_SIZE; block * VMP_BLOCK_SIZE < end;
             block++) {
            while (at < blocks->len && g_array_index(blocks, VmpBlock, at).first < block)
                at++;
            if (at == blocks->len || g_array_index(blocks, VmpBlock, at).first != block)
                return fail_at(block * VMP_BLOCK_SIZE, error);
        }
    }
    return TRUE;
}

gboolean
vmp_block_check_laid(const char *path, const char *format, guint64 size, const GArray *blocks,
                     const VmpBlockTarget *target, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpDirect) direct = vmp_direct_open(path, format, cancellable, error);

    if (!direct)
        return FALSE;
    if (vmp_direct_get_size(direct) != size)
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "what was written has %" G_GUINT64_FORMAT
                        " bytes, not %" G_GUINT64_FORMAT,
                        vmp_direct_get_size(direct), size);
    return check_places(direct, blocks, target, error) && check_gaps(direct, blocks, error);
}
