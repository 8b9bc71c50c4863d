/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each check is a function from the view to findings; none asks the world.
 *
 * Codes, in the order of the checks:
 *   no-definition      (fsck.c) nothing but points is left of the domain: there is no view
 *   unsettled          a command was cut short and nothing has come after it
 *   image-missing, image-unreadable, image-damaged
 *   definition-differs QEMU writes to another image than the definition says
 *   backing-lost       an overlay names a backing image that is not there
 *   tree-differs       an image does not rest on the one that its parent snapshot froze
 *   internal-missing, internal-unknown
 *   chain-unknown      a layer that looks like an external snapshot's, and is none of ours
 *   memory-missing, memory-incomplete, memory-damaged
 *   part-missing, part-damaged
 *   bitmap-missing, bitmap-inconsistent, bitmap-unknown
 *   file-forgotten     the ledger has a file that is gone
 *   file-orphaned      a file that vmpoint made and nothing refers to
 */

#include "base/error.h"
#include "point/fsck.h"
#include "point/part.h"

void
vmp_finding_free(VmpFinding *finding)
{
    if (!finding)
        return;
    g_free(finding->code);
    g_free(finding->message);
    g_free(finding->disk);
    g_free(finding->point);
    g_free(finding->path);
    g_free(finding);
}

VmpFinding *
vmp_finding_new(const char *code, VmpCure cure, const char *disk, const char *point,
                const char *path, const char *format, ...)
{
    VmpFinding *finding = g_new(VmpFinding, 1);
    va_list arguments;

    va_start(arguments, format);
    *finding = (VmpFinding){
        .code = g_strdup(code),
        .message = g_strdup_vprintf(format, arguments),
        .disk = g_strdup(disk),
        .point = g_strdup(point),
        .path = g_strdup(path),
        .cure = cure,
    };
    va_end(arguments);
    return finding;
}

/* ---- what several checks ask ---- */

static gboolean
has_image(const VmpDomainDisk *disk)
{
    return disk && disk->source;
}

/* The image that @entry froze of that disk, or NULL if it does not cover it. */
static const VmpDomainDisk *
frozen_disk(const VmpFsckSnapshot *entry, const VmpSnapshotDisk *disk)
{
    const VmpDomainDisk *past =
        entry->past ? vmp_domain_find_disk(entry->past, disk->name) : NULL;

    return has_image(past) ? past : NULL;
}

static const VmpFsckSnapshot *
find_snapshot(const VmpFsckView *view, const char *name)
{
    for (guint i = 0; name && i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (g_str_equal(entry->snapshot->name, name))
            return entry;
    }
    return NULL;
}

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

/* ---- unsettled ---- */

static void
compare_intents(const VmpFsckView *view, GPtrArray *findings)
{
    for (guint i = 0; i < view->intents->len; i++)
        g_ptr_array_add(findings,
                        vmp_finding_new("unsettled", VMP_CURE_REPAIR, NULL, NULL, NULL,
                                        "the %s was cut short and is not settled yet",
                                        (char *)g_ptr_array_index(view->intents, i)));
}

/* ---- images ---- */

/* @who: "the domain" or "snapshot 's1'". */
static void
compare_image(const VmpFsckView *view, const VmpDomainDisk *disk, const char *point,
              const char *who, GHashTable *seen, GPtrArray *findings)
{
    const VmpFsckImage *entry =
        has_image(disk) ? g_hash_table_lookup(view->images, disk->source) : NULL;

    if (!entry || entry->image || !g_hash_table_add(seen, g_strdup(disk->source)))
        return;
    gboolean missing = g_error_matches(entry->failure, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    g_ptr_array_add(findings, vmp_finding_new(missing ? "image-missing" : "image-unreadable",
                                              VMP_CURE_NONE, disk->target, point, disk->source,
                                              "disk '%s' of %s: %s", disk->target, who,
                                              entry->failure->message));
}

static void
compare_images(const VmpFsckView *view, GPtrArray *findings)
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
            compare_image(view, frozen_disk(entry, disk), entry->snapshot->name, who, seen,
                          findings);
        }
    }
}

static void
compare_damage(const VmpFsckView *view, GPtrArray *findings)
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

/* ---- QEMU and the definition ---- */

static void
compare_active(const VmpFsckView *view, GPtrArray *findings)
{
    const GPtrArray *disks = vmp_domain_get_disks(view->present);

    for (guint i = 0; view->active && i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpFsckActive *open = g_hash_table_lookup(view->active, disk->target);
        if (open && has_image(disk) && !g_str_equal(open->path, disk->source))
            g_ptr_array_add(
                findings,
                vmp_finding_new("definition-differs", VMP_CURE_REPAIR, disk->target, NULL,
                                open->path,
                                "disk '%s': QEMU writes to '%s', the definition says "
                                "'%s'",
                                disk->target, open->path, disk->source));
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
        const VmpDomainDisk *frozen = frozen_disk(entry, disk);
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
static void
compare_backing(const VmpFsckView *view, GPtrArray *findings)
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
        const VmpDomainDisk *frozen = frozen_disk(below, entry);
        const VmpDomainDisk *disk = frozen ? vmp_domain_find_disk(upper, entry->name) : NULL;

        if (!has_image(disk) || entry->location == VMP_LOCATION_NO ||
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

static void
compare_tree(const VmpFsckView *view, GPtrArray *findings)
{
    const VmpFsckSnapshot *current = current_snapshot(view);

    if (current && current->past)
        compare_link(view, current, view->present, NULL, "the domain", findings);
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        const VmpFsckSnapshot *parent = find_snapshot(view, entry->snapshot->parent);
        g_autofree char *who = g_strdup_printf("snapshot '%s'", entry->snapshot->name);
        if (parent && parent->past && entry->past)
            compare_link(view, parent, entry->past, entry->snapshot->name, who, findings);
    }
}

/* ---- internal snapshots ---- */

static void
compare_held(const VmpFsckView *view, GPtrArray *findings)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        for (guint j = 0; j < entry->snapshot->disks->len; j++) {
            const VmpSnapshotDisk *disk = g_ptr_array_index(entry->snapshot->disks, j);
            const VmpDomainDisk *past = frozen_disk(entry, disk);
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

static void
compare_unknown_held(const VmpFsckView *view, const VmpFsckAdoption *adoption,
                     GPtrArray *findings)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, view->images);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        const VmpImage *image = vmp_fsck_image(view, path);
        for (guint i = 0; image && i < image->snapshots->len; i++) {
            const VmpInternalSnapshot *held = g_ptr_array_index(image->snapshots, i);
            if (find_snapshot(view, held->tag))
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

static void
compare_unknown_layers(const VmpFsckAdoption *adoption, GPtrArray *findings)
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

/* ---- RAM files ---- */

static void
compare_memory(const VmpFsckView *view, GPtrArray *findings)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpSnapshot *snapshot =
            ((VmpFsckSnapshot *)g_ptr_array_index(view->snapshots, i))->snapshot;
        const char *file = snapshot->memory_file;
        const char *said = file ? g_hash_table_lookup(view->damage, file) : NULL;
        const char *code = NULL;

        if (!file)
            continue;
        if (g_hash_table_contains(view->gone, file))
            code = "memory-missing", said = "it is not there";
        else if (said)
            code = "memory-damaged";
        else if (g_hash_table_contains(view->incomplete, file))
            code = "memory-incomplete", said = "it has no mark that says it is complete";
        if (code)
            g_ptr_array_add(findings,
                            vmp_finding_new(code, VMP_CURE_NONE, NULL, snapshot->name, file,
                                            "snapshot '%s': its RAM file '%s': %s",
                                            snapshot->name, file, said));
    }
}

/* ---- copies of firmware variables and TPM ---- */

static gboolean
is_known_snapshot(const VmpFsckView *view, const char *name)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (g_str_equal(entry->snapshot->name, name))
            return TRUE;
    }
    return FALSE;
}

static void
compare_parts(const VmpFsckView *view, GPtrArray *findings)
{
    for (guint i = 0; i < view->files->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(view->files, i);
        gboolean gone = g_hash_table_contains(view->gone, file->path);
        const char *said =
            gone ? "it is not there" : g_hash_table_lookup(view->damage, file->path);

        if (said && vmp_part_is_copy(file) && is_known_snapshot(view, file->point))
            g_ptr_array_add(findings,
                            vmp_finding_new(gone ? "part-missing" : "part-damaged",
                                            VMP_CURE_NONE, NULL, file->point, file->path,
                                            "snapshot '%s': its copy of %s, '%s': %s",
                                            file->point, file->role, file->path, said));
    }
}

/* ---- bitmaps ---- */

static const VmpBitmap *
find_bitmap(const GPtrArray *bitmaps, const char *name)
{
    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(bitmaps, i);
        if (g_str_equal(bitmap->name, name))
            return bitmap;
    }
    return NULL;
}

/* After a revert to a state before a checkpoint its bitmap is in another branch: not lost. */
static gboolean
is_held_elsewhere(const VmpFsckView *view, const char *bitmap)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, view->images);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        const VmpImage *image = vmp_fsck_image(view, path);
        const VmpBitmap *held = image ? find_bitmap(image->bitmaps, bitmap) : NULL;
        if (held && !held->inconsistent)
            return TRUE;
    }
    return FALSE;
}

static void
compare_checkpoint(const VmpFsckView *view, const VmpCheckpoint *checkpoint,
                   GPtrArray *findings)
{
    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++) {
        const VmpCheckpointDisk *entry = g_ptr_array_index(checkpoint->disks, i);
        const VmpDomainDisk *disk =
            entry->wanted ? vmp_domain_find_disk(view->present, entry->name) : NULL;
        const GPtrArray *bitmaps = has_image(disk) ? vmp_fsck_bitmaps(view, disk) : NULL;
        const char *name = entry->bitmap ? entry->bitmap : checkpoint->name;
        const VmpBitmap *bitmap = find_bitmap(bitmaps, name);

        if (!bitmaps || (bitmap ? !bitmap->inconsistent : is_held_elsewhere(view, name)))
            continue;
        g_ptr_array_add(
            findings,
            vmp_finding_new(
                bitmap ? "bitmap-inconsistent" : "bitmap-missing", VMP_CURE_NONE, disk->target,
                checkpoint->name, disk->source,
                bitmap ? "checkpoint '%s': its bitmap on disk '%s' was not stored when "
                         "QEMU ended; a backup of that disk since it has to be full"
                       : "checkpoint '%s': disk '%s' has lost its bitmap; a backup of "
                         "that disk since it has to be full",
                checkpoint->name, disk->target));
    }
}

static gboolean
is_of_a_checkpoint(const VmpFsckView *view, const char *target, const char *bitmap)
{
    for (guint i = 0; i < view->checkpoints->len; i++) {
        const VmpCheckpoint *checkpoint = g_ptr_array_index(view->checkpoints, i);
        const VmpCheckpointDisk *disk =
            checkpoint->disks ? vmp_checkpoint_find_disk(checkpoint, target) : NULL;
        if (disk && disk->wanted &&
            g_str_equal(disk->bitmap ? disk->bitmap : checkpoint->name, bitmap))
            return TRUE;
    }
    return FALSE;
}

static void
compare_unknown_bitmaps(const VmpFsckView *view, const VmpFsckAdoption *adoption,
                        GPtrArray *findings)
{
    const GPtrArray *disks = vmp_domain_get_disks(view->present);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const GPtrArray *bitmaps = has_image(disk) ? vmp_fsck_bitmaps(view, disk) : NULL;
        for (guint j = 0; bitmaps && j < bitmaps->len; j++) {
            const VmpBitmap *bitmap = g_ptr_array_index(bitmaps, j);
            gboolean whole = FALSE;
            if (!bitmap->persistent || is_of_a_checkpoint(view, disk->target, bitmap->name))
                continue;
            for (guint k = 0; k < adoption->checkpoints->len; k++)
                whole |= g_str_equal(
                    ((VmpCheckpoint *)g_ptr_array_index(adoption->checkpoints, k))->name,
                    bitmap->name);
            g_ptr_array_add(
                findings,
                vmp_finding_new("bitmap-unknown", whole ? VMP_CURE_ADOPT : VMP_CURE_NONE,
                                disk->target, bitmap->name, disk->source,
                                "disk '%s' has the bitmap '%s'%s, of which the store "
                                "knows no checkpoint",
                                disk->target, bitmap->name,
                                bitmap->inconsistent ? " (inconsistent)" : ""));
        }
    }
}

/* ---- the ledger ---- */

static void
need_disks(const VmpFsckView *view, const VmpDomain *domain, GHashTable *needed)
{
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    for (guint i = 0; i < disks->len; i++) {
        const char *path = ((VmpDomainDisk *)g_ptr_array_index(disks, i))->source;
        while (path && g_hash_table_add(needed, g_strdup(path))) {
            const VmpImage *image = vmp_fsck_image(view, path);
            path = image ? image->backing_path : NULL;
        }
    }
}

/* Set of all paths that the domain, its snapshots or other domains rest on. */
static GHashTable *
needed_paths(const VmpFsckView *view)
{
    GHashTable *needed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer path;

    need_disks(view, view->present, needed);
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (entry->past)
            need_disks(view, entry->past, needed);
    }
    g_hash_table_iter_init(&iter, view->foreign);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        g_hash_table_add(needed, g_strdup(path));
    if (view->active) {
        g_hash_table_iter_init(&iter, view->active);
        while (g_hash_table_iter_next(&iter, NULL, &path))
            g_hash_table_add(needed, g_strdup(((VmpFsckActive *)path)->path));
    }
    return needed;
}

static gboolean
is_known_memory(const VmpFsckView *view, const char *path)
{
    for (guint i = 0; i < view->snapshots->len; i++)
        if (g_strcmp0(((VmpFsckSnapshot *)g_ptr_array_index(view->snapshots, i))
                          ->snapshot->memory_file,
                      path) == 0)
            return TRUE;
    return FALSE;
}

static void
compare_ledger(const VmpFsckView *view, GPtrArray *findings)
{
    g_autoptr(GHashTable) needed = needed_paths(view);

    for (guint i = 0; i < view->files->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(view->files, i);
        gboolean overlay = g_strcmp0(file->role, "overlay") == 0;
        gboolean memory = g_strcmp0(file->role, "memory") == 0;
        gboolean copy = vmp_part_is_copy(file);
        if ((!overlay && !memory && !copy) || g_hash_table_contains(needed, file->path) ||
            (memory && is_known_memory(view, file->path)) ||
            (copy && is_known_snapshot(view, file->point)))
            continue;
        if (g_hash_table_contains(view->gone, file->path))
            g_ptr_array_add(
                findings,
                vmp_finding_new("file-forgotten", VMP_CURE_REPAIR, NULL, NULL, file->path,
                                "'%s', which vmpoint made, is gone, and nothing needs "
                                "it",
                                file->path));
        else
            g_ptr_array_add(
                findings,
                vmp_finding_new("file-orphaned", VMP_CURE_NONE, NULL, file->point, file->path,
                                "'%s' was made by vmpoint%s%s%s, and nothing refers to "
                                "it any more",
                                file->path, file->point ? " for '" : "",
                                file->point ? file->point : "", file->point ? "'" : ""));
    }
}

GPtrArray *
vmp_fsck_compare(const VmpFsckView *view)
{
    GPtrArray *findings = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_finding_free);
    g_auto(VmpFsckAdoption) adoption = { NULL };

    vmp_fsck_adopt(view, 0, &adoption);
    compare_intents(view, findings);
    compare_images(view, findings);
    compare_damage(view, findings);
    compare_active(view, findings);
    compare_backing(view, findings);
    compare_tree(view, findings);
    compare_held(view, findings);
    compare_unknown_held(view, &adoption, findings);
    compare_unknown_layers(&adoption, findings);
    compare_memory(view, findings);
    compare_parts(view, findings);
    for (guint i = 0; i < view->checkpoints->len; i++)
        compare_checkpoint(view, g_ptr_array_index(view->checkpoints, i), findings);
    compare_unknown_bitmaps(view, &adoption, findings);
    compare_ledger(view, findings);
    return findings;
}
