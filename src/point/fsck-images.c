/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Images, what they stand on, and the snapshots that are in them or between them. */

#include "base/error.h"
#include "point/fsck-compare.h"

/* ---- images ---- */

/* @who: "the domain" or "snapshot 's1'". */
static void
compare_image(const VmpFsckView *view, const VmpDomainDisk *disk, const char *point,
              const char *who, GHashTable *seen, GPtrArray *findings)
{
    const VmpFsckImage *entry =
        vmp_fsck_has_image(disk) ? g_hash_table_lookup(view->images, disk->source) : NULL;

    if (!entry || entry->image || !g_hash_table_add(seen, g_strdup(disk->source)))
        return;
    gboolean missing = g_error_matches(entry->failure, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_ptr_array_add(findings, vmp_finding_new(missing ? "image-missing" : "image-unreadable",
                                              VMP_CURE_NONE, disk->target, point, disk->source,
                                              "disk '%s' of %s: %s", disk->target, who,
                                              entry->failure->message));
}

void
vmp_fsck_compare_images(const VmpFsckView *view, GPtrArray *findings)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const GPtrArray *disks = vmp_domain_get_disks(view->present);

    for (guint i = 0; i < disks->len; i++)
        compare_image(view, g_ptr_array_index(disks, i), NULL, "the domain", seen, findings);
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        g_autofree char *who = g_strdup_printf("snapshot '%s'", entry->snapshot->name);
        for (guint j = 0; j < entry->snapshot->disks->len; j++) {
            const VmpSnapshotDisk *disk = g_ptr_array_index(entry->snapshot->disks, j);
            /* One that it leaves out is not gone back to; it may have gone its way. */
            if (disk->location != VMP_LOCATION_NO)
                compare_image(view, vmp_fsck_frozen_disk(entry, disk), entry->snapshot->name,
                              who, seen, findings);
        }
    }
}

void
vmp_fsck_compare_damage(const VmpFsckView *view, GPtrArray *findings)
{
    GHashTableIter iter;
    gpointer path, said;

    g_hash_table_iter_init(&iter, view->images);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        const VmpImage *image = vmp_fsck_image(view, path);
        said = g_hash_table_lookup(view->damage, path);
        if (said || (image && image->corrupt))
            g_ptr_array_add(
                findings, vmp_finding_new("image-damaged", VMP_CURE_NONE, NULL, NULL, path,
                                          "image '%s' is damaged: %s", (char *)path,
                                          said ? (char *)said : "QEMU has marked it corrupt"));
    }
}

/* ---- backing links ---- */

/* The overlay at @path was made by @entry, on what that froze. */
static const char *
backing_by_record(const VmpFsckSnapshot *entry, const GPtrArray *disks, const char *path,
                  const char **format)
{
    for (guint i = 0; disks && i < disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(disks, i);
        const VmpDomainDisk *frozen = vmp_fsck_frozen_disk(entry, disk);
        if (frozen && disk->location == VMP_LOCATION_EXTERNAL &&
            g_strcmp0(disk->source, path) == 0) {
            *format = frozen->driver;
            return frozen->source;
        }
    }
    return NULL;
}

const char *
vmp_fsck_true_backing(const VmpFsckView *view, const char *path, const char **format)
{
    const char *found = NULL;

    for (guint i = 0; i < view->snapshots->len && !found; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        found = backing_by_record(entry, entry->snapshot->disks, path, format);
        if (!found)
            found = backing_by_record(entry, entry->snapshot->revert_disks, path, format);
    }
    return found && vmp_fsck_image(view, found) ? found : NULL;
}

static gboolean
is_missing(const VmpFsckView *view, const char *path)
{
    const VmpFsckImage *entry = path ? g_hash_table_lookup(view->images, path) : NULL;

    return !entry || g_error_matches(entry->failure, VMP_ERROR, VMP_ERROR_NOT_FOUND);
}

/* A link that leads nowhere; one that leads to a wrong place is seen in the tree. */
void
vmp_fsck_compare_backing(const VmpFsckView *view, GPtrArray *findings)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, view->images);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        const VmpImage *image = vmp_fsck_image(view, path);
        const char *format = NULL;
        if (!image || !image->backing_string || !is_missing(view, image->backing_path))
            continue;
        const char *right = vmp_fsck_true_backing(view, path, &format);
        /* Headers of what QEMU has open are QEMU's. */
        VmpCure cure = right && !view->on ? VMP_CURE_REPAIR : VMP_CURE_NONE;
        g_ptr_array_add(
            findings, vmp_finding_new("backing-lost", cure, NULL, NULL, path,
                                      "image '%s' names the backing image '%s', which is not "
                                      "there%s%s%s",
                                      (char *)path, image->backing_string,
                                      right ? "; it was made on '" : "", right ? right : "",
                                      right ? "'" : ""));
    }
}

/* ---- the tree ---- */

static const VmpFsckSnapshot *
current_snapshot(const VmpFsckView *view)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (entry->current)
            return entry;
    }
    return NULL;
}

/* Somebody has made it, or one that it rests on, stand on less. */
static gboolean
is_pulled(const VmpFsckView *view, const char *path)
{
    GHashTableIter iter;
    gpointer pulled;

    g_hash_table_iter_init(&iter, view->pulled);
    while (g_hash_table_iter_next(&iter, &pulled, NULL))
        if (vmp_fsck_rests_on(view, path, pulled))
            return TRUE;
    return FALSE;
}

/* @upper, which @who needs, must rest on what @below froze. */
static void
compare_link(const VmpFsckView *view, const VmpFsckSnapshot *below, const VmpDomain *upper,
             const char *point, const char *who, GPtrArray *findings)
{
    for (guint i = 0; i < below->snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(below->snapshot->disks, i);
        const VmpDomainDisk *frozen = vmp_fsck_frozen_disk(below, entry);
        const VmpDomainDisk *disk = frozen ? vmp_domain_find_disk(upper, entry->name) : NULL;

        if (!vmp_fsck_has_image(disk) || entry->location == VMP_LOCATION_NO ||
            !vmp_fsck_image(view, disk->source) || !vmp_fsck_image(view, frozen->source) ||
            vmp_fsck_rests_on(view, disk->source, frozen->source) ||
            is_pulled(view, disk->source))
            continue;
        g_ptr_array_add(
            findings,
            vmp_finding_new("tree-differs", VMP_CURE_NONE, disk->target, point, disk->source,
                            "disk '%s' of %s: its image '%s' does not rest on '%s', "
                            "which snapshot '%s' froze",
                            disk->target, who, disk->source, frozen->source,
                            below->snapshot->name));
    }
}

void
vmp_fsck_compare_tree(const VmpFsckView *view, GPtrArray *findings)
{
    const VmpFsckSnapshot *current = current_snapshot(view);

    if (current && current->past)
        compare_link(view, current, view->present, NULL, "the domain", findings);
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        const VmpFsckSnapshot *parent = vmp_fsck_find_snapshot(view, entry->snapshot->parent);
        g_autofree char *who = g_strdup_printf("snapshot '%s'", entry->snapshot->name);
        if (parent && parent->past && entry->past)
            compare_link(view, parent, entry->past, entry->snapshot->name, who, findings);
    }
}

/* ---- internal snapshots ---- */

void
vmp_fsck_compare_held(const VmpFsckView *view, GPtrArray *findings)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        for (guint j = 0; j < entry->snapshot->disks->len; j++) {
            const VmpSnapshotDisk *disk = g_ptr_array_index(entry->snapshot->disks, j);
            const VmpDomainDisk *past = vmp_fsck_frozen_disk(entry, disk);
            const VmpImage *image = past ? vmp_fsck_image(view, past->source) : NULL;
            if (disk->location != VMP_LOCATION_INTERNAL || !image ||
                vmp_internal_snapshots_find(image->snapshots, entry->snapshot->name))
                continue;
            g_ptr_array_add(
                findings,
                vmp_finding_new("internal-missing", VMP_CURE_NONE, disk->name,
                                entry->snapshot->name, past->source,
                                "snapshot '%s': image '%s' of disk '%s' does not hold "
                                "it any more",
                                entry->snapshot->name, past->source, disk->name));
        }
    }
}

void
vmp_fsck_compare_unknown_held(const VmpFsckView *view, const VmpFsckAdoption *adoption,
                              GPtrArray *findings)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, view->images);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        const VmpImage *image = vmp_fsck_image(view, path);
        for (guint i = 0; image && i < image->snapshots->len; i++) {
            const VmpInternalSnapshot *held = g_ptr_array_index(image->snapshots, i);
            if (vmp_fsck_find_snapshot(view, held->tag))
                continue;
            gboolean whole = FALSE;
            for (guint j = 0; j < adoption->snapshots->len; j++)
                whole |= g_str_equal(
                    ((VmpSnapshot *)g_ptr_array_index(adoption->snapshots, j))->name,
                    held->tag);
            g_ptr_array_add(
                findings,
                vmp_finding_new("internal-unknown", whole ? VMP_CURE_ADOPT : VMP_CURE_NONE,
                                NULL, held->tag, path,
                                "image '%s' holds the internal snapshot '%s', which "
                                "the store does not know",
                                (char *)path, held->tag));
        }
    }
}

void
vmp_fsck_compare_unknown_layers(const VmpFsckAdoption *adoption, GPtrArray *findings)
{
    for (guint i = 0; i < adoption->snapshots->len; i++) {
        const VmpSnapshot *snapshot = g_ptr_array_index(adoption->snapshots, i);
        if (vmp_snapshot_get_location(snapshot) != VMP_LOCATION_EXTERNAL)
            continue;
        for (guint j = 0; j < snapshot->disks->len; j++) {
            const VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, j);
            if (disk->location == VMP_LOCATION_EXTERNAL)
                g_ptr_array_add(findings,
                                vmp_finding_new("chain-unknown", VMP_CURE_ADOPT, disk->name,
                                                snapshot->name, disk->source,
                                                "disk '%s': '%s' looks like the overlay of a "
                                                "snapshot '%s', which the store does not know",
                                                disk->name, disk->source, snapshot->name));
        }
    }
}
