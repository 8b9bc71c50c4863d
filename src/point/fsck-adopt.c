/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the images say by themselves, made into points.
 *
 *   internal snapshots   one for each tag that all writable disks hold
 *   external ones        one for each layer of the chains above what the store knows, if the
 *                        overlays are called as libvirt and vmpoint call them: the image's
 * name with the snapshot's in place of the ending, the same on all disks.  An image that
 * merely has a backing image (a clone of a template) is none checkpoints          one for each
 * bitmap that records, by its name
 *
 * Images do not hold definitions: each point gets the present one, with the images of its
 * time.
 */

#include <string.h>

#include "point/definition.h"
#include "point/fsck.h"
#include "xml/name.h"
#include "xml/snapshot-disk.h"

void
vmp_fsck_adoption_clear(VmpFsckAdoption *adoption)
{
    g_clear_pointer(&adoption->snapshots, g_ptr_array_unref);
    g_clear_pointer(&adoption->checkpoints, g_ptr_array_unref);
}

static const VmpFsckSnapshot *
known_snapshot(const VmpFsckView *view, const char *name)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (g_str_equal(entry->snapshot->name, name))
            return entry;
    }
    return NULL;
}

static const VmpFsckSnapshot *
current_of(const VmpFsckView *view)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (entry->current)
            return entry;
    }
    return NULL;
}

/* What the next adopted snapshot is a child of. */
static const char *
last_name(const VmpFsckView *view, const VmpFsckAdoption *adoption)
{
    const VmpFsckSnapshot *current = current_of(view);
    guint count = adoption->snapshots->len;

    if (count > 0)
        return ((VmpSnapshot *)g_ptr_array_index(adoption->snapshots, count - 1))->name;
    return current ? current->snapshot->name : NULL;
}

static gboolean
is_taken(const VmpFsckView *view, const VmpFsckAdoption *adoption, const char *name)
{
    for (guint i = 0; i < adoption->snapshots->len; i++)
        if (g_str_equal(((VmpSnapshot *)g_ptr_array_index(adoption->snapshots, i))->name,
                        name))
            return TRUE;
    return known_snapshot(view, name) != NULL;
}

/* Writable disks that have an image; an array of const VmpDomainDisk. */
static GPtrArray *
writable_disks(const VmpFsckView *view)
{
    const GPtrArray *disks = vmp_domain_get_disks(view->present);
    GPtrArray *writable = g_ptr_array_new();

    for (guint i = 0; i < disks->len; i++) {
        VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && !disk->readonly && disk->type != VMP_STORAGE_NETWORK)
            g_ptr_array_add(writable, disk);
    }
    return writable;
}

static VmpSnapshotDisk *
add_disk(VmpSnapshot *snapshot, const char *target, VmpLocation location)
{
    VmpSnapshotDisk *disk = vmp_snapshot_disk_new(target);

    disk->location = location;
    g_ptr_array_add(snapshot->disks, disk);
    return disk;
}

/* Disks that the snapshot does not have yet are none of its parts. */
static void
leave_out_the_rest(VmpSnapshot *snapshot, const VmpDomain *domain)
{
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (!vmp_snapshot_find_disk(snapshot, disk->target))
            add_disk(snapshot, disk->target, VMP_LOCATION_NO);
    }
}

static void
finish(VmpSnapshot *snapshot, const VmpDomain *domain, VmpFsckAdoption *adoption)
{
    leave_out_the_rest(snapshot, domain);
    snapshot->domain_xml = vmp_definition_capture(domain);
    snapshot->domain_uuid = g_strdup(vmp_domain_get_uuid(domain));
    g_ptr_array_add(adoption->snapshots, snapshot);
}

/* ---- internal ---- */

static VmpSnapshot *
internal_snapshot(const VmpFsckView *view, const VmpInternalSnapshot *held,
                  const GPtrArray *disks)
{
    g_autoptr(VmpSnapshot) snapshot = vmp_snapshot_new();
    gboolean memory = FALSE;

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpImage *image = vmp_fsck_image(view, disk->source);
        const VmpInternalSnapshot *part =
            image ? vmp_internal_snapshots_find(image->snapshots, held->tag) : NULL;
        if (!part || !vmp_internal_snapshots_is_clear(image->snapshots, held->tag))
            return NULL;
        memory |= part->vm_state_size > 0;
        add_disk(snapshot, disk->target, VMP_LOCATION_INTERNAL);
    }
    snapshot->name = g_strdup(held->tag);
    snapshot->creation_time = held->date;
    snapshot->state = memory ? VMP_STATE_RUNNING : VMP_STATE_SHUTOFF;
    snapshot->memory = memory ? VMP_LOCATION_INTERNAL : VMP_LOCATION_NO;
    return g_steal_pointer(&snapshot);
}

static int
compare_times(gconstpointer a, gconstpointer b)
{
    const VmpInternalSnapshot *const *left = a;
    const VmpInternalSnapshot *const *right = b;

    return ((*left)->date > (*right)->date) - ((*left)->date < (*right)->date);
}

/* In the order of their making each is taken for the child of the one before: images do not
 * say it. */
static void
adopt_internal(const VmpFsckView *view, const GPtrArray *disks, VmpFsckAdoption *adoption)
{
    const VmpDomainDisk *first = disks->len ? g_ptr_array_index(disks, 0) : NULL;
    const VmpImage *image = first ? vmp_fsck_image(view, first->source) : NULL;
    g_autoptr(GPtrArray) held = g_ptr_array_new();

    for (guint i = 0; image && i < image->snapshots->len; i++)
        g_ptr_array_add(held, g_ptr_array_index(image->snapshots, i));
    g_ptr_array_sort(held, compare_times);
    for (guint i = 0; i < held->len; i++) {
        const VmpInternalSnapshot *part = g_ptr_array_index(held, i);
        if (is_taken(view, adoption, part->tag) || !vmp_snapshot_name_check(part->tag, NULL))
            continue;
        VmpSnapshot *snapshot = internal_snapshot(view, part, disks);
        if (!snapshot)
            continue;
        snapshot->parent = g_strdup(last_name(view, adoption));
        finish(snapshot, view->present, adoption);
    }
}

/* ---- external ---- */

static char *
stem_of(const char *path)
{
    const char *base = strrchr(path, '/');
    const char *dot = strrchr(base ? base : path, '.');

    return dot ? g_strndup(path, (gsize)(dot - path)) : g_strdup(path);
}

/* "s1" if @overlay is called as an overlay "s1" of @image would be; else NULL. */
static const char *
name_of_layer(const char *overlay, const char *image)
{
    g_autofree char *stem = stem_of(image);
    gsize length = strlen(stem);

    if (strncmp(overlay, stem, length) != 0 || overlay[length] != '.')
        return NULL;
    const char *name = overlay + length + 1;
    return vmp_snapshot_name_check(name, NULL) && !g_str_equal(name, "qcow2") ? name : NULL;
}

static gboolean
is_frozen(const VmpFsckView *view, const char *path)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        for (guint j = 0; entry->past && j < entry->snapshot->disks->len; j++) {
            const VmpSnapshotDisk *disk = g_ptr_array_index(entry->snapshot->disks, j);
            const VmpDomainDisk *past = vmp_domain_find_disk(entry->past, disk->name);
            if (past && g_strcmp0(past->source, path) == 0 &&
                disk->location == VMP_LOCATION_EXTERNAL)
                return TRUE;
        }
    }
    return FALSE;
}

/* A layer that we made and no snapshot has: one that waits to be merged, or was forgotten on
 * purpose. */
static gboolean
is_ours(const VmpFsckView *view, const char *path)
{
    for (guint i = 0; i < view->files->len; i++)
        if (g_str_equal(((VmpStoreFile *)g_ptr_array_index(view->files, i))->path, path))
            return TRUE;
    return FALSE;
}

/* One layer that is still to be adopted on every disk: overlays by disk, top first. */
typedef struct {
    const VmpDomainDisk *disk;
    const char *overlay; /* the layer looked at now */
    const VmpImage *image;
} Walk;

/* Overlays @walks name one snapshot, and stand on images that are free: its name. */
static const char *
common_name(const VmpFsckView *view, const GArray *walks)
{
    const char *common = NULL;

    for (guint i = 0; i < walks->len; i++) {
        const Walk *walk = &g_array_index(walks, Walk, i);
        const char *below = walk->image ? walk->image->backing_path : NULL;
        const char *name =
            below && vmp_fsck_image(view, below) ? name_of_layer(walk->overlay, below) : NULL;
        if (!name || is_frozen(view, below) || is_ours(view, walk->overlay) ||
            (common && !g_str_equal(name, common)))
            return NULL;
        common = name;
    }
    return common && !known_snapshot(view, common) ? common : NULL;
}

/* The snapshot whose overlays the @walks are; then they go one layer down. */
static VmpSnapshot *
take_layer(const VmpFsckView *view, GArray *walks, VmpDomain **domain)
{
    const char *name = common_name(view, walks);
    g_autoptr(VmpSnapshot) snapshot = name ? vmp_snapshot_new() : NULL;

    if (!snapshot)
        return NULL;
    snapshot->name = g_strdup(name);
    snapshot->state = VMP_STATE_DISK_SNAPSHOT;
    snapshot->memory = VMP_LOCATION_NO;
    for (guint i = 0; i < walks->len; i++) {
        Walk *walk = &g_array_index(walks, Walk, i);
        const char *below = walk->image->backing_path;
        const VmpFsckImage *entry = g_hash_table_lookup(view->images, below);
        VmpSnapshotDisk *disk = add_disk(snapshot, walk->disk->target, VMP_LOCATION_EXTERNAL);

        vmp_snapshot_disk_move(disk, walk->overlay, walk->image->format);
        /* Nothing was written to it since. */
        snapshot->creation_time = MAX(snapshot->creation_time, entry->modified);
        if (!vmp_domain_set_disk_source(*domain, walk->disk->target, below,
                                        entry->image->format, NULL))
            return NULL;
        walk->overlay = below;
        walk->image = entry->image;
    }
    return g_steal_pointer(&snapshot);
}

static void
adopt_external(const VmpFsckView *view, const GPtrArray *disks, VmpFsckAdoption *adoption)
{
    g_autoptr(GArray) walks = g_array_new(FALSE, FALSE, sizeof(Walk));
    g_autoptr(GPtrArray) layers = g_ptr_array_new();
    g_autoptr(VmpDomain) domain = vmp_domain_copy(view->present);
    g_autoptr(GPtrArray) domains =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_domain_free);

    for (guint i = 0; i < disks->len; i++) {
        VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        Walk walk = { disk, disk->source, vmp_fsck_image(view, disk->source) };
        g_array_append_val(walks, walk);
    }
    for (VmpSnapshot *layer; (layer = take_layer(view, walks, &domain));) {
        g_ptr_array_add(layers, layer);
        g_ptr_array_add(domains, vmp_domain_copy(domain));
    }
    for (guint i = layers->len; i-- > 0;) {
        VmpSnapshot *snapshot = g_ptr_array_index(layers, i);
        snapshot->parent = g_strdup(last_name(view, adoption));
        finish(snapshot, g_ptr_array_index(domains, i), adoption);
    }
}

/* ---- checkpoints ---- */

static VmpCheckpoint *
find_adopted(const VmpFsckAdoption *adoption, const char *name)
{
    for (guint i = 0; i < adoption->checkpoints->len; i++) {
        VmpCheckpoint *checkpoint = g_ptr_array_index(adoption->checkpoints, i);
        if (g_str_equal(checkpoint->name, name))
            return checkpoint;
    }
    return NULL;
}

static gboolean
is_known_checkpoint(const VmpFsckView *view, const char *name)
{
    for (guint i = 0; i < view->checkpoints->len; i++)
        if (g_str_equal(((VmpCheckpoint *)g_ptr_array_index(view->checkpoints, i))->name,
                        name))
            return TRUE;
    return FALSE;
}

static VmpCheckpoint *
new_checkpoint(const VmpFsckView *view, const char *name, gint64 now, const char *parent)
{
    VmpCheckpoint *checkpoint = vmp_checkpoint_new();

    checkpoint->name = g_strdup(name);
    checkpoint->parent = g_strdup(parent);
    checkpoint->creation_time = now;
    checkpoint->disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_free);
    checkpoint->domain_xml = vmp_definition_capture(view->present);
    checkpoint->domain_uuid = g_strdup(vmp_domain_get_uuid(view->present));
    return checkpoint;
}

static void
adopt_bitmap(const VmpFsckView *view, const char *target, const char *name, gint64 now,
             VmpFsckAdoption *adoption)
{
    VmpCheckpoint *checkpoint = find_adopted(adoption, name);

    if (!checkpoint) {
        const VmpCheckpoint *last =
            adoption->checkpoints->len
                ? g_ptr_array_index(adoption->checkpoints, adoption->checkpoints->len - 1)
                : NULL;
        checkpoint =
            new_checkpoint(view, name, now, last ? last->name : view->current_checkpoint);
        g_ptr_array_add(adoption->checkpoints, checkpoint);
    }
    VmpCheckpointDisk *disk = vmp_checkpoint_disk_new(target);
    disk->bitmap_set = TRUE;
    disk->wanted = TRUE;
    disk->bitmap = g_strdup(name);
    g_ptr_array_add(checkpoint->disks, disk);
}

/* qcow2 keeps bitmaps in the order of their making. */
static void
adopt_bitmaps(const VmpFsckView *view, const GPtrArray *disks, gint64 now,
              VmpFsckAdoption *adoption)
{
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const GPtrArray *bitmaps = vmp_fsck_bitmaps(view, disk);
        for (guint j = 0; bitmaps && j < bitmaps->len; j++) {
            const VmpBitmap *bitmap = g_ptr_array_index(bitmaps, j);
            if (bitmap->persistent && bitmap->recording && !bitmap->inconsistent &&
                vmp_checkpoint_name_check(bitmap->name, NULL) &&
                !is_known_checkpoint(view, bitmap->name))
                adopt_bitmap(view, disk->target, bitmap->name, now, adoption);
        }
    }
}

void
vmp_fsck_adopt(const VmpFsckView *view, gint64 now, VmpFsckAdoption *adoption)
{
    g_autoptr(GPtrArray) disks = writable_disks(view);

    adoption->snapshots = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_snapshot_free);
    adoption->checkpoints =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_free);
    adopt_external(view, disks, adoption);
    adopt_internal(view, disks, adoption);
    adopt_bitmaps(view, disks, now, adoption);
}
