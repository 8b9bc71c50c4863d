/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/qcow2.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "storage/qcow2-bytes.h"

#define HEADER_LENGTH VMP_QCOW2_HEADER_LENGTH
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_MARK 0x764d504du /* "vMPM"; QEMU keeps what it does not know */
#define INCOMPATIBLE_EXTENDED_L2 (1u << 4)

/* In an entry of an L1 or L2 table: nobody else has what it points to. */
#define COPIED (G_GUINT64_CONSTANT(1) << 63)

/* QEMU's own limits. */
#define MIN_CLUSTER_SIZE 512
#define MAX_CLUSTER_SIZE (2u << 20)
#define MIN_EXTENDED_CLUSTER_SIZE (16u << 10)
#define MAX_L1_BYTES (32u << 20)
#define MAX_BACKING_LENGTH 1023

/* Where things are, in clusters. */
typedef struct {
    guint64 cluster_size;
    guint64 table_clusters; /* of the refcount table, which begins at cluster 1 */
    guint64 blocks;         /* refcount blocks; they follow */
    guint64 l1_entries;
    guint64 l1_clusters; /* they follow */
    guint64 l2_tables;   /* of a cluster each; they follow, and then the data */
    guint64 tables;      /* all of these */
    guint64 total;
} Layout;

static guint64
divide_up(guint64 a, guint64 b)
{
    return a / b + (a % b != 0);
}

/* Refcount blocks count themselves and their table too: grow until all have a place. */
static void
place_refcounts(Layout *layout, guint64 data)
{
    const guint64 counts_per_block = layout->cluster_size / sizeof(guint16);
    guint64 blocks = 0;

    do {
        layout->blocks = ++blocks;
        layout->table_clusters =
            divide_up(layout->blocks * sizeof(guint64), layout->cluster_size);
        layout->tables = 1 + layout->table_clusters + layout->blocks + layout->l1_clusters +
                         layout->l2_tables;
        layout->total = layout->tables + data;
        blocks = MAX(blocks, divide_up(layout->total, counts_per_block) - 1);
    } while (layout->total > layout->blocks * counts_per_block);
}

static guint64
count_l2_tables(const VmpQcow2 *image, guint64 entries)
{
    guint64 count = 0;

    for (guint64 i = 0; i < image->n_clusters; i++)
        count += i == 0 || image->clusters[i] / entries != image->clusters[i - 1] / entries;
    return count;
}

static gboolean
lay_out(const VmpQcow2 *image, Layout *layout, GError **error)
{
    const guint64 cluster_size = image->cluster_size ? image->cluster_size : 65536;
    const guint64 least = image->extended_l2 ? MIN_EXTENDED_CLUSTER_SIZE : MIN_CLUSTER_SIZE;

    g_assert(image->n_clusters == 0 || !image->extended_l2);
    if (image->size == 0 || image->size % 512 != 0)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "a qcow2 image cannot have a size of %" G_GUINT64_FORMAT " bytes",
                        image->size);
    if (cluster_size < least || cluster_size > MAX_CLUSTER_SIZE ||
        (cluster_size & (cluster_size - 1)) != 0)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "qcow2 clusters cannot be of %" G_GUINT64_FORMAT
                        " bytes: it takes a power of two between %" G_GUINT64_FORMAT " and %u",
                        cluster_size, least, MAX_CLUSTER_SIZE);

    const guint64 entry_size = image->extended_l2 ? 16 : 8;
    const guint64 covered = cluster_size / entry_size * cluster_size; /* by one L1 entry */
    *layout = (Layout){ .cluster_size = cluster_size,
                        .l1_entries = divide_up(image->size, covered) };
    if (layout->l1_entries > MAX_L1_BYTES / sizeof(guint64))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "%" G_GUINT64_FORMAT " bytes are too much for a qcow2 image with "
                        "clusters of %" G_GUINT64_FORMAT " bytes",
                        image->size, cluster_size);
    layout->l1_clusters = divide_up(layout->l1_entries * sizeof(guint64), cluster_size);
    layout->l2_tables = count_l2_tables(image, cluster_size / entry_size);
    place_refcounts(layout, image->n_clusters);
    return TRUE;
}

/* ---- writing ---- */

static guint64
l1_offset(const Layout *layout)
{
    return (1 + layout->table_clusters + layout->blocks) * layout->cluster_size;
}

static void
put_extension(GByteArray *bytes, guint32 type, const void *data, guint32 length)
{
    static const guint8 padding[8];

    vmp_qcow2_put32(bytes, type);
    vmp_qcow2_put32(bytes, length);
    g_byte_array_append(bytes, data, length);
    g_byte_array_append(bytes, padding, -length % 8);
}

static void
put_extensions(GByteArray *bytes, const VmpQcow2 *image)
{
    const guint64 mark = GUINT64_TO_BE(image->mark);

    if (image->backing_format)
        put_extension(bytes, EXTENSION_BACKING_FORMAT, image->backing_format,
                      (guint32)strlen(image->backing_format));
    if (image->mark)
        put_extension(bytes, EXTENSION_MARK, &mark, sizeof mark);
    put_extension(bytes, 0, "", 0);
}

static GByteArray *
make_header(const VmpQcow2 *image, const Layout *layout)
{
    GByteArray *bytes = g_byte_array_new();
    g_autoptr(GByteArray) extensions = g_byte_array_new();
    const guint64 backing_length = image->backing ? strlen(image->backing) : 0;

    put_extensions(extensions, image);
    const VmpQcow2Header header = {
        .backing_offset = backing_length ? HEADER_LENGTH + extensions->len : 0,
        .backing_length = (guint32)backing_length,
        .cluster_bits = (guint32)__builtin_ctzll(layout->cluster_size),
        .size = image->size,
        .l1_entries = (guint32)layout->l1_entries,
        .l1_offset = l1_offset(layout),
        .refcounts_offset = layout->cluster_size,
        .refcounts_clusters = (guint32)layout->table_clusters,
        .incompatible = image->extended_l2 ? INCOMPATIBLE_EXTENDED_L2 : 0,
    };

    vmp_qcow2_put_header(bytes, &header);
    g_byte_array_append(bytes, extensions->data, extensions->len);
    if (backing_length)
        g_byte_array_append(bytes, (const guint8 *)image->backing, (guint)backing_length);
    return bytes;
}

static gboolean
write_refcounts(int fd, const Layout *layout, GError **error)
{
    g_autoptr(GByteArray) table = g_byte_array_new();
    g_autofree guint16 *counts = g_new(guint16, layout->total);
    const guint64 first_block = (1 + layout->table_clusters) * layout->cluster_size;

    for (guint64 i = 0; i < layout->blocks; i++)
        vmp_qcow2_put64(table, first_block + i * layout->cluster_size);
    /* The blocks stand one after the other, so their counts are one array. */
    for (guint64 i = 0; i < layout->total; i++)
        counts[i] = GUINT16_TO_BE(1);
    return vmp_qcow2_write_at(fd, table->data, table->len, layout->cluster_size, error) &&
           vmp_qcow2_write_at(fd, counts, layout->total * sizeof *counts, first_block, error);
}

/* From cluster @first of the list on: those that one L2 table has.  Returns the first of the
 * next table. */
static guint64
put_l2_table(const VmpQcow2 *image, const Layout *layout, guint64 first, guint64 *table)
{
    const guint64 entries = layout->cluster_size / sizeof *table;
    guint64 at = first;

    memset(table, 0, layout->cluster_size);
    for (; at < image->n_clusters &&
           image->clusters[at] / entries == image->clusters[first] / entries;
         at++) {
        guint64 place = (layout->tables + at) * layout->cluster_size;
        table[image->clusters[at] % entries] = GUINT64_TO_BE(place | COPIED);
    }
    return at;
}

static gboolean
write_mapping(int fd, const VmpQcow2 *image, const Layout *layout, GError **error)
{
    const guint64 entries = layout->cluster_size / sizeof(guint64);
    guint64 place = l1_offset(layout) + layout->l1_clusters * layout->cluster_size;
    g_autofree guint64 *l1 = g_new0(guint64, layout->l1_entries);
    g_autofree guint64 *l2 = g_malloc(layout->cluster_size);

    for (guint64 at = 0; at < image->n_clusters; place += layout->cluster_size) {
        l1[image->clusters[at] / entries] = GUINT64_TO_BE(place | COPIED);
        at = put_l2_table(image, layout, at, l2);
        if (!vmp_qcow2_write_at(fd, l2, layout->cluster_size, place, error))
            return FALSE;
    }
    return vmp_qcow2_write_at(fd, l1, layout->l1_entries * sizeof *l1, l1_offset(layout),
                              error);
}

/* A block device has old content where a file has holes. */
static gboolean
write_zeroes(int fd, const Layout *layout, GError **error)
{
    g_autofree char *zeroes = g_malloc0(layout->cluster_size);

    for (guint64 i = 0; i < layout->tables; i++)
        if (!vmp_qcow2_write_at(fd, zeroes, layout->cluster_size, i * layout->cluster_size,
                                error))
            return FALSE;
    return TRUE;
}

static gboolean
make_room(int fd, const Layout *layout, GError **error)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return vmp_fail_errno(error, errno, "cannot look at the file");
    if (S_ISBLK(info.st_mode))
        return write_zeroes(fd, layout, error);
    return TRUE;
}

/* Only now: a file that has a length has a header. */
static gboolean
set_length(int fd, const Layout *layout, GError **error)
{
    struct stat info;

    if (fstat(fd, &info) < 0 ||
        (S_ISREG(info.st_mode) &&
         ftruncate(fd, (off_t)(layout->total * layout->cluster_size)) < 0))
        return vmp_fail_errno(error, errno, "cannot extend the file");
    return TRUE;
}

gboolean
vmp_qcow2_write(int fd, const VmpQcow2 *image, GError **error)
{
    Layout layout = { 0 };

    if (!lay_out(image, &layout, error))
        return FALSE;

    g_autoptr(GByteArray) header = make_header(image, &layout);
    if (header->len > layout.cluster_size ||
        (image->backing && strlen(image->backing) > MAX_BACKING_LENGTH))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "the backing image's name is too long for a qcow2 header: '%s'",
                        image->backing);
    return make_room(fd, &layout, error) &&
           vmp_qcow2_write_at(fd, header->data, header->len, 0, error) &&
           write_refcounts(fd, &layout, error) &&
           (image->n_clusters == 0 || write_mapping(fd, image, &layout, error)) &&
           set_length(fd, &layout, error);
}

gboolean
vmp_qcow2_get_data_offset(const VmpQcow2 *image, guint64 *offset, GError **error)
{
    Layout layout = { 0 };

    if (!lay_out(image, &layout, error))
        return FALSE;
    *offset = layout.tables * layout.cluster_size;
    return TRUE;
}

/* A table and the bits for each, and one directory. */
static guint64
count_bitmap_clusters(guint64 size, guint64 cluster_size, guint bitmaps, guint64 granularity)
{
    if (bitmaps == 0)
        return 0;
    const guint64 bits = divide_up(divide_up(divide_up(size, granularity), 8), cluster_size);
    const guint64 table = divide_up(bits * sizeof(guint64), cluster_size);

    return 1 + bitmaps * (table + bits);
}

gboolean
vmp_qcow2_measure(const VmpQcow2 *image, guint bitmaps, guint64 granularity, guint64 *bytes,
                  GError **error)
{
    Layout layout = { 0 };

    if (!lay_out(image, &layout, error))
        return FALSE;
    layout.l2_tables = layout.l1_entries;
    place_refcounts(&layout, divide_up(image->size, layout.cluster_size) +
                                 count_bitmap_clusters(image->size, layout.cluster_size,
                                                       bitmaps, granularity));
    *bytes = layout.total * layout.cluster_size;
    return TRUE;
}

/* ---- reading a header ---- */

/* The beginning of a file, of version 3; 0 if it is none. */
static gsize
read_beginning(int fd, guint8 *header, gsize size)
{
    gssize got = TEMP_FAILURE_RETRY(pread(fd, header, size, 0));

    return got < HEADER_LENGTH || vmp_qcow2_get32(header) != VMP_QCOW2_MAGIC ||
                   vmp_qcow2_get32(header + 4) < 3
               ? 0
               : (gsize)got;
}

/* NULL if there is none of that type. */
static const guint8 *
find_extension(const guint8 *header, gsize end, guint32 wanted, guint32 *length)
{
    guint64 at = vmp_qcow2_get32(header + 100);

    while (at + 8 <= end) {
        const guint32 type = vmp_qcow2_get32(header + at);
        *length = vmp_qcow2_get32(header + at + 4);

        if (type == 0)
            return NULL;
        if (type == wanted)
            return at + 8 + *length <= end ? header + at + 8 : NULL;
        at += 8 + ((guint64)*length + 7) / 8 * 8;
    }
    return NULL;
}

guint64
vmp_qcow2_read_mark(int fd)
{
    guint8 header[4096];
    gsize got = read_beginning(fd, header, sizeof header);
    guint32 length = 0;
    const guint8 *mark = got ? find_extension(header, got, EXTENSION_MARK, &length) : NULL;

    return mark && length == sizeof(guint64) ? vmp_qcow2_get64(mark) : 0;
}

char *
vmp_qcow2_read_backing_format(int fd)
{
    guint8 header[4096];
    gsize got = read_beginning(fd, header, sizeof header);
    guint32 length = 0;
    const guint8 *format =
        got ? find_extension(header, got, EXTENSION_BACKING_FORMAT, &length) : NULL;

    return format ? g_strndup((const char *)format, length) : NULL;
}

char *
vmp_qcow2_read_backing(int fd)
{
    guint8 header[HEADER_LENGTH];
    char name[MAX_BACKING_LENGTH + 1] = { 0 };

    if (TEMP_FAILURE_RETRY(pread(fd, header, sizeof header, 0)) != sizeof header ||
        vmp_qcow2_get32(header) != VMP_QCOW2_MAGIC)
        return NULL;
    const guint32 length = vmp_qcow2_get32(header + 16);
    if (length == 0 || length > MAX_BACKING_LENGTH ||
        TEMP_FAILURE_RETRY(pread(fd, name, length, (off_t)vmp_qcow2_get64(header + 8))) !=
            (gssize)length)
        return NULL;
    return g_strdup(name);
}

void
vmp_qcow2_head_clear(VmpQcow2Head *head)
{
    g_clear_pointer(&head->backing, g_free);
    g_clear_pointer(&head->backing_format, g_free);
}

gboolean
vmp_qcow2_read_head(int fd, VmpQcow2Head *head)
{
    guint8 header[4096];
    gsize got = read_beginning(fd, header, sizeof header);
    guint32 length = 0;

    if (!got || vmp_qcow2_get64(header + 72) != 0)
        return FALSE;
    const guint8 *format = find_extension(header, got, EXTENSION_BACKING_FORMAT, &length);
    head->size = vmp_qcow2_get64(header + 24);
    head->backing_format = format ? g_strndup((const char *)format, length) : NULL;
    head->backing = vmp_qcow2_read_backing(fd);
    return TRUE;
}

gboolean
vmp_qcow2_read_extension(int fd, guint32 type, guint8 *data, gsize length, guint64 *autoclear)
{
    guint8 header[4096];
    gsize got = read_beginning(fd, header, sizeof header);
    guint32 found_length = 0;
    const guint8 *found = got ? find_extension(header, got, type, &found_length) : NULL;

    if (!found || found_length != length)
        return FALSE;
    memcpy(data, found, length);
    *autoclear = vmp_qcow2_get64(header + 88);
    return TRUE;
}
