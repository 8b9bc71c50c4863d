/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/vmstate.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/qcow2-bytes.h"

#define CLUSTER_BITS 16
#define CLUSTER ((guint64)1 << CLUSTER_BITS)
#define ENTRIES (CLUSTER / sizeof(guint64))   /* of a table */
#define REFCOUNTS (CLUSTER / sizeof(guint16)) /* of a refcount block */
/* QEMU makes new tables when it takes the snapshot, behind the ones that are there. */
#define ROOM 1024

static guint64
divide_up(guint64 a, guint64 b)
{
    return a / b + (a % b != 0);
}

static void
pad(GByteArray *bytes)
{
    guint from = bytes->len;

    g_byte_array_set_size(bytes, (guint)(divide_up(from, CLUSTER) * CLUSTER));
    memset(bytes->data + from, 0, bytes->len - from);
}

/* @clusters of refcounts, all 1, in whole blocks. */
static void
put_refcounts(GByteArray *bytes, guint64 clusters)
{
    const guint16 one = GUINT16_TO_BE(1);

    for (guint64 i = 0; i < clusters; i++)
        g_byte_array_append(bytes, (const guint8 *)&one, sizeof one);
    pad(bytes);
}

/* Offsets of @count clusters from @first on. */
static void
put_offsets(GByteArray *bytes, guint64 first, guint64 count)
{
    for (guint64 i = 0; i < count; i++)
        vmp_qcow2_put64(bytes, (first + i) * CLUSTER);
}

/* Refcount blocks count themselves. */
static guint64
blocks_for(guint64 clusters)
{
    guint64 blocks = 1;

    while (clusters + blocks > blocks * REFCOUNTS)
        blocks++;
    return blocks;
}

/* ---- the inner image ---- */

/* Where things are, in clusters; each follows the one before. */
typedef struct {
    guint64 stream; /* clusters */
    guint64 first;  /* the copy of the stream's first cluster */
    guint64 l2, l2_count;
    guint64 l1;
    guint64 snapshot_l1, snapshot_l1_entries;
    guint64 snapshots;
    guint64 table;
    guint64 blocks, block_count;
    guint64 total;
} Inner;

static Inner
lay_out_inner(guint64 length)
{
    Inner inner = { .stream = divide_up(length, CLUSTER) };

    inner.first = inner.stream;
    inner.l2 = inner.first + 1;
    inner.l2_count = divide_up(inner.stream, ENTRIES);
    inner.l1 = inner.l2 + inner.l2_count;
    inner.snapshot_l1 = inner.l1 + 1;
    /* The RAM begins with the first entry behind those of the disk, which is of one cluster.
     */
    inner.snapshot_l1_entries = 1 + inner.l2_count;
    inner.snapshots = inner.snapshot_l1 + divide_up(inner.snapshot_l1_entries, ENTRIES);
    inner.table = inner.snapshots + 1;
    inner.blocks = inner.table + 1;
    inner.block_count = blocks_for(inner.blocks);
    inner.total = inner.blocks + inner.block_count;
    return inner;
}

static void
put_inner_header(GByteArray *bytes, const Inner *inner)
{
    const VmpQcow2Header header = {
        .cluster_bits = CLUSTER_BITS,
        .size = CLUSTER,
        .l1_entries = 1,
        .l1_offset = inner->l1 * CLUSTER,
        .refcounts_offset = inner->table * CLUSTER,
        .refcounts_clusters = 1,
        .snapshots = 1,
        .snapshots_offset = inner->snapshots * CLUSTER,
    };

    vmp_qcow2_put_header(bytes, &header);
    vmp_qcow2_put64(bytes, 0); /* end of extensions */
    pad(bytes);
}

static void
put16(GByteArray *bytes, guint16 value)
{
    guint16 big = GUINT16_TO_BE(value);
    g_byte_array_append(bytes, (const guint8 *)&big, sizeof big);
}

static void
put_snapshot(GByteArray *bytes, const Inner *inner, guint64 length)
{
    static const char id[] = "1";

    vmp_qcow2_put64(bytes, inner->snapshot_l1 * CLUSTER);
    vmp_qcow2_put32(bytes, (guint32)inner->snapshot_l1_entries);
    put16(bytes, (guint16)strlen(id));
    put16(bytes, (guint16)strlen(VMP_VMSTATE_TAG));
    vmp_qcow2_put64(bytes, 0); /* seconds and nanoseconds of its date */
    vmp_qcow2_put64(bytes, 0); /* the guest's clock, which is in the stream */
    vmp_qcow2_put32(bytes, length > G_MAXUINT32 ? 0 : (guint32)length);
    vmp_qcow2_put32(bytes, 2 * sizeof(guint64)); /* more data: */
    vmp_qcow2_put64(bytes, length);
    vmp_qcow2_put64(bytes, CLUSTER); /* size of the disk */
    g_byte_array_append(bytes, (const guint8 *)id, (guint)strlen(id));
    g_byte_array_append(bytes, (const guint8 *)VMP_VMSTATE_TAG,
                        (guint)strlen(VMP_VMSTATE_TAG));
    pad(bytes);
}

static void
put_l2(GByteArray *bytes, const Inner *inner)
{
    vmp_qcow2_put64(bytes, inner->first * CLUSTER);
    put_offsets(bytes, 1, inner->stream - 1);
    pad(bytes);
}

/* Clusters 0 and inner->first to the end, without the copy of the stream's. */
static GByteArray *
make_inner(const Inner *inner, const GByteArray *first, guint64 length)
{
    GByteArray *bytes = g_byte_array_new();

    put_inner_header(bytes, inner);
    g_byte_array_append(bytes, first->data, first->len);
    put_l2(bytes, inner);
    vmp_qcow2_put64(bytes, 0); /* L1: the disk is empty */
    pad(bytes);
    vmp_qcow2_put64(bytes, 0);
    put_offsets(bytes, inner->l2, inner->l2_count);
    pad(bytes);
    put_snapshot(bytes, inner, length);
    put_offsets(bytes, inner->blocks, inner->block_count);
    pad(bytes);
    put_refcounts(bytes, inner->total);
    g_assert(bytes->len == (1 + inner->total - inner->first) * CLUSTER);
    return bytes;
}

/* ---- the outer image ---- */

/* Each L2 table covers ENTRIES clusters.  There is one for the header's cluster, and those for
 * the clusters behind the stream, of which the first may be the same. */
typedef struct {
    guint64 l1_entries, l1_clusters;
    guint64 first_table;           /* L1 index of the first table for the end */
    guint64 tables;                /* L2 tables in all */
    guint64 l1, l2, table, blocks; /* clusters */
    guint64 block_count, data, total;
    guint64 size; /* clusters that it shows */
} Outer;

static Outer
lay_out_outer(const Inner *inner)
{
    Outer outer = { .size = inner->total + ROOM, .first_table = inner->first / ENTRIES };
    const guint64 last_table = (inner->total - 1) / ENTRIES;

    outer.l1_entries = divide_up(outer.size, ENTRIES);
    outer.l1_clusters = divide_up(outer.l1_entries, ENTRIES);
    outer.tables = last_table - outer.first_table + 1 + (outer.first_table > 0);
    outer.l1 = 1;
    outer.l2 = outer.l1 + outer.l1_clusters;
    outer.data = outer.l2 + outer.tables;
    outer.table = outer.data + 1 + inner->total - inner->first;
    outer.blocks = outer.table + 1;
    outer.block_count = blocks_for(outer.blocks);
    outer.total = outer.blocks + outer.block_count;
    return outer;
}

static void
put_outer_header(GByteArray *bytes, const Outer *outer)
{
    const VmpQcow2Header header = {
        .cluster_bits = CLUSTER_BITS,
        .size = outer->size * CLUSTER,
        .l1_entries = (guint32)outer->l1_entries,
        .l1_offset = outer->l1 * CLUSTER,
        .refcounts_offset = outer->table * CLUSTER,
        .refcounts_clusters = 1,
    };

    vmp_qcow2_put_header(bytes, &header);
    vmp_qcow2_put64(bytes,
                    0); /* end of extensions; the backing file is said when it is opened */
    pad(bytes);
}

/* Of a cluster, or a table, that nothing else refers to. */
static void
set_entry(guint64 *table, guint64 index, guint64 cluster)
{
    const guint64 copied = (guint64)1 << 63;

    table[index] = GUINT64_TO_BE(copied | (cluster * CLUSTER));
}

static void
put_outer_tables(GByteArray *bytes, const Inner *inner, const Outer *outer)
{
    const guint64 l1_entries = outer->l1_clusters * ENTRIES;
    const guint64 skipped = outer->first_table > 0 ? outer->first_table - 1 : 0;
    g_autofree guint64 *l1 = g_new0(guint64, l1_entries);
    g_autofree guint64 *l2 = g_new0(guint64, outer->tables * ENTRIES);

    set_entry(l1, 0, outer->l2);
    for (guint64 i = 1; i < outer->tables; i++)
        set_entry(l1, skipped + i, outer->l2 + i);
    set_entry(l2, 0, outer->data);
    for (guint64 i = inner->first; i < inner->total; i++)
        set_entry(l2, i - skipped * ENTRIES, outer->data + 1 + i - inner->first);
    g_byte_array_append(bytes, (const guint8 *)l1, (guint)(l1_entries * sizeof *l1));
    g_byte_array_append(bytes, (const guint8 *)l2,
                        (guint)(outer->tables * ENTRIES * sizeof *l2));
}

static gboolean
write_outer(int fd, const Inner *inner, const GByteArray *content, GError **error)
{
    const Outer outer = lay_out_outer(inner);
    g_autoptr(GByteArray) head = g_byte_array_new();
    g_autoptr(GByteArray) tail = g_byte_array_new();

    put_outer_header(head, &outer);
    put_outer_tables(head, inner, &outer);
    g_assert(head->len == outer.data * CLUSTER);
    put_offsets(tail, outer.blocks, outer.block_count);
    pad(tail);
    put_refcounts(tail, outer.total);
    return vmp_qcow2_write_at(fd, head->data, head->len, 0, error) &&
           vmp_qcow2_write_at(fd, content->data, content->len, outer.data * CLUSTER, error) &&
           vmp_qcow2_write_at(fd, tail->data, tail->len, outer.table * CLUSTER, error);
}

/* ---- both ---- */

static GByteArray *
read_first(int fd, guint64 offset, guint64 length, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    const guint wanted = (guint)MIN(length, CLUSTER);

    g_byte_array_set_size(bytes, wanted);
    gssize got = TEMP_FAILURE_RETRY(pread(fd, bytes->data, wanted, (off_t)offset));
    if (got < 0)
        vmp_fail_errno(error, errno, "cannot read the RAM");
    else if (got != (gssize)wanted)
        vmp_fail(error, VMP_ERROR_DAMAGED, "the RAM is shorter than it should be");
    if (got != (gssize)wanted)
        return NULL;
    pad(bytes);
    return g_steal_pointer(&bytes);
}

int
vmp_vmstate_wrap(int fd, guint64 offset, guint64 length, GError **error)
{
    g_autoptr(GByteArray) first = read_first(fd, offset, length, error);
    if (!first)
        return -1;

    const Inner inner = lay_out_inner(length);
    g_autoptr(GByteArray) content = make_inner(&inner, first, length);
    g_auto(VmpFd) wrap = memfd_create("vmpoint-vmstate", MFD_CLOEXEC);

    if (wrap < 0) {
        vmp_fail_errno(error, errno, "cannot make a file in memory");
        return -1;
    }
    return write_outer(wrap, &inner, content, error) ? g_steal_fd(&wrap) : -1;
}
