/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/standing.h"

#include <stdlib.h>

#include "base/error.h"
#include "plan/others.h"
#include "plan/sweep.h"
#include "point/record.h"
#include "storage/image.h"
#include "store/edit.h"

typedef struct {
    VmpMachine *machine;
    VmpStanding *standing;
    gboolean has_checkpoints;
    GPtrArray *left; /* of VmpForestImage, borrowed: an internal snapshot in it is leaving */
    /* The same: what a snapshot that is leaving, or one that stays, names but has not frozen.
     */
    GPtrArray *named, *kept;
} Look;

static void
point_free(VmpStandingPoint *point)
{
    g_ptr_array_unref(point->images);
    g_ptr_array_unref(point->frozen);
    g_free(point->memory_file);
    g_free(point);
}

void
vmp_standing_free(VmpStanding *standing)
{
    if (!standing)
        return;
    g_clear_pointer(&standing->points, g_ptr_array_unref);
    g_clear_pointer(&standing->rows, g_ptr_array_unref);
    g_hash_table_unref(standing->by_identity);
    vmp_forest_free(standing->forest);
    g_free(standing);
}

/* ---- images ---- */

static char *
identity_of(const char *path)
{
    g_autofree char *real = realpath(path, NULL); /* freed by free(), as g_free() does */

    return real ? g_strdup(real) : g_canonicalize_filename(path, "/");
}

VmpForestImage *
vmp_standing_find(const VmpStanding *standing, const char *path)
{
    g_autofree char *identity = path ? identity_of(path) : NULL;

    return identity ? g_hash_table_lookup(standing->by_identity, identity) : NULL;
}

static gboolean
is_ours(VmpMachine *machine, const char *path, gboolean *ours, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStoreFile) file =
        vmp_store_find_file(vmp_machine_get_store(machine), path, &failure);

    *ours = file && file->domain == vmp_machine_get_row(machine)->id &&
            g_strcmp0(file->role, VMP_FILE_RETIRED) != 0;
    if (!failure)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static VmpForestImage *
add_image(Look *look, const VmpImage *read, GError **error)
{
    VmpForestImage *image = vmp_forest_add(look->standing->forest, read->path);

    g_hash_table_insert(look->standing->by_identity, identity_of(read->path), image);
    image->format = g_strdup(read->format);
    image->size = read->virtual_size;
    image->allocated = read->actual_size;
    image->keeps_bitmaps =
        g_str_equal(read->format, "qcow2") && g_strcmp0(read->compat, "0.10") != 0;
    image->has_bitmaps = read->bitmaps->len > 0;
    return is_ours(look->machine, read->path, &image->ours, error) ? image : NULL;
}

/* The image at @path with all below it, which are looked at once. */
static VmpForestImage *
add_chain(Look *look, const char *path, const char *format, GError **error)
{
    VmpForestImage *known = vmp_standing_find(look->standing, path);
    if (known)
        return known;

    g_autoptr(GPtrArray) chain = vmp_image_read_chain(
        path, format, vmp_operation_get_cancellable(vmp_machine_get_operation(look->machine)),
        error);
    VmpForestImage *below = NULL;
    for (guint i = chain ? chain->len : 0; i > 0; i--) {
        const VmpImage *read = g_ptr_array_index(chain, i - 1);
        VmpForestImage *image = vmp_standing_find(look->standing, read->path);
        if (!image) {
            image = add_image(look, read, error);
            if (!image)
                return NULL;
            image->below = below;
        }
        below = image;
    }
    return below;
}

/* The same, but one that is not there is no error: then *@image is NULL. */
static gboolean
add_chain_if_there(Look *look, const char *path, const char *format, VmpForestImage **image,
                   GError **error)
{
    g_autoptr(GError) failure = NULL;

    *image = add_chain(look, path, format, &failure);
    if (*image || vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* ---- the present ---- */

static gboolean
is_disk_image(const VmpDomainDisk *disk)
{
    return disk->source && g_str_equal(disk->device, "disk");
}

static gboolean
look_at_definition(Look *look, const VmpDomain *domain, gboolean present, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        VmpForestImage *top = NULL;
        if (!is_disk_image(disk))
            continue;
        top = add_chain(look, disk->source, disk->driver, error);
        if (!top) {
            g_prefix_error(error, "disk '%s': ", disk->target);
            return FALSE;
        }
        top->needed = TRUE;
        top->has_bitmaps |= look->has_checkpoints;
        for (VmpForestImage *image = top; present && image; image = image->below)
            if (!image->disk)
                image->disk = g_strdup(disk->target);
    }
    return TRUE;
}

/* The definition of the machine that runs, or would be started; and the other one. */
static gboolean
look_at_present(Look *look, GError **error)
{
    const VmpDomain *present = vmp_machine_get_definition(look->machine, error);

    if (!present || !look_at_definition(look, present, TRUE, error))
        return FALSE;
    if (!vmp_machine_is_on(look->machine) || !vmp_machine_get_row(look->machine)->inactive)
        return TRUE;
    const VmpDomain *inactive = vmp_machine_get_inactive(look->machine, error);
    return inactive && look_at_definition(look, inactive, FALSE, error);
}

/* ---- snapshots ---- */

static gboolean
name_image(Look *look, VmpStandingPoint *point, const char *path, const char *format,
           VmpForestImage **image, GError **error)
{
    *image = NULL;
    if (!path)
        return TRUE;
    if (!add_chain_if_there(look, path, format, image, error))
        return FALSE;
    if (*image)
        g_ptr_array_add(point->images, *image);
    return TRUE;
}

static void
note_need(Look *look, const VmpStandingPoint *point, VmpLocation location,
          VmpForestImage *image)
{
    if (!image)
        return;
    if (location == VMP_LOCATION_EXTERNAL)
        g_ptr_array_add(point->frozen, image);
    if (location == VMP_LOCATION_INTERNAL && point->leaving)
        g_ptr_array_add(look->left, image);
    if (location == VMP_LOCATION_INTERNAL && !point->leaving)
        image->holds = TRUE;
    if (location == VMP_LOCATION_NO)
        g_ptr_array_add(point->leaving ? look->named : look->kept, image);
    if (location == VMP_LOCATION_EXTERNAL && point->leaving)
        image->idle = TRUE;
    if (location == VMP_LOCATION_EXTERNAL && !point->leaving)
        image->needed = TRUE;
}

static gboolean
look_at_disks(Look *look, VmpStandingPoint *point, const VmpSnapshot *snapshot, GError **error)
{
    g_autoptr(VmpDomain) past = vmp_domain_parse(snapshot->domain_xml, -1, error);
    const GPtrArray *disks = past ? vmp_domain_get_disks(past) : NULL;

    for (guint i = 0; disks && i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpSnapshotDisk *entry = vmp_snapshot_find_disk(snapshot, disk->target);
        VmpForestImage *image = NULL;
        if (!is_disk_image(disk))
            continue;
        if (!name_image(look, point, disk->source, disk->driver, &image, error))
            return FALSE;
        note_need(look, point, entry ? entry->location : VMP_LOCATION_NO, image);
    }
    return disks != NULL;
}

/* Overlays that it has on record.  One without <domain> is known by them alone: it stands on
 * what is below. */
static gboolean
look_at_record(Look *look, VmpStandingPoint *point, const VmpSnapshot *snapshot,
               const GPtrArray *entries, GError **error)
{
    for (guint i = 0; entries && i < entries->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(entries, i);
        VmpForestImage *image = NULL;
        if (entry->location != VMP_LOCATION_EXTERNAL || entry->type == VMP_STORAGE_BLOCK)
            continue;
        if (!name_image(look, point, entry->source, NULL, &image, error))
            return FALSE;
        if (!snapshot->domain_xml && image)
            note_need(look, point, entry->location, image->below);
    }
    return TRUE;
}

static gboolean
look_at_point(Look *look, const VmpStorePoint *row, gboolean leaving, GError **error)
{
    VMP_ERROR_CONTEXT(error, "snapshot '%s'", row->name);
    VmpStandingPoint *point = g_new0(VmpStandingPoint, 1);
    g_autoptr(VmpSnapshot) snapshot =
        vmp_record_from_snapshot_row(vmp_machine_get_store(look->machine), row, error);

    point->row = row;
    point->leaving = leaving;
    point->images = g_ptr_array_new();
    point->frozen = g_ptr_array_new();
    g_ptr_array_add(look->standing->points, point);
    if (!snapshot)
        return FALSE;
    point->memory_file = g_strdup(snapshot->memory_file);
    point->has_revert_disks = snapshot->revert_disks && snapshot->revert_disks->len > 0;
    if (snapshot->domain_xml && !look_at_disks(look, point, snapshot, error))
        return FALSE;
    return look_at_record(look, point, snapshot, snapshot->disks, error) &&
           look_at_record(look, point, snapshot, snapshot->revert_disks, error);
}

static gboolean
stands_alone(const VmpForest *forest, const VmpForestImage *image)
{
    for (guint i = 0; i < forest->images->len; i++)
        if (((const VmpForestImage *)g_ptr_array_index(forest->images, i))->below == image)
            return FALSE;
    return TRUE;
}

/* What a revert left, and what stayed only because an internal snapshot was in it, or because
 * a snapshot of other disks named it as what this one wrote to. */
static void
note_left(const Look *look)
{
    for (guint i = 0; i < look->named->len; i++) {
        VmpForestImage *image = g_ptr_array_index(look->named, i);
        if (!image->needed && image->ours && stands_alone(look->standing->forest, image) &&
            !g_ptr_array_find(look->kept, image, NULL))
            image->idle = TRUE;
    }
    for (guint i = 0; i < look->left->len; i++) {
        VmpForestImage *image = g_ptr_array_index(look->left, i);
        if (!image->needed && stands_alone(look->standing->forest, image))
            image->idle = TRUE;
    }
}

static gboolean
is_named(const GPtrArray *names, const char *name)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)names, name, g_str_equal, NULL);
}

static gboolean
look_at_points(Look *look, const GPtrArray *leaving, GError **error)
{
    GPtrArray *rows = look->standing->rows;

    for (guint i = 0; i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        if (!look_at_point(look, row, is_named(leaving, row->name), error))
            return FALSE;
    }
    return TRUE;
}

/* ---- what is idle since earlier ---- */

static char *
idle_key(VmpMachine *machine)
{
    return g_strdup_printf("idle-layers/%" G_GINT64_FORMAT, vmp_machine_get_row(machine)->id);
}

/* *@text is NULL if there is none. */
static gboolean
read_idle(VmpMachine *machine, char **text, GError **error)
{
    g_autofree char *key = idle_key(machine);
    GError *failure = NULL;

    *text = vmp_store_get_fact(vmp_machine_get_store(machine), key, &failure);
    if (!failure)
        return TRUE;
    g_propagate_error(error, failure);
    return FALSE;
}

gboolean
vmp_standing_has_idle(VmpMachine *machine, gboolean *has, GError **error)
{
    g_autofree char *text = NULL;
    gboolean read = read_idle(machine, &text, error);

    *has = text != NULL;
    return read;
}

static gboolean
look_at_idle(Look *look, GError **error)
{
    g_autofree char *text = NULL;
    if (!read_idle(look->machine, &text, error))
        return FALSE;

    g_autoptr(VmpJson) paths =
        text ? vmp_json_parse(text, -1, error) : json_object_new_array();
    for (guint i = 0; i < vmp_json_length(paths); i++) {
        VmpForestImage *image = NULL;
        if (!add_chain_if_there(look, json_object_get_string(vmp_json_at(paths, i)), NULL,
                                &image, error))
            return FALSE;
        if (image)
            image->idle = TRUE;
    }
    return paths != NULL;
}

void
vmp_standing_edit_idle(const VmpStanding *standing, VmpMachine *machine, VmpJson *edits)
{
    g_autoptr(VmpJson) paths = json_object_new_array();
    g_autofree char *key = idle_key(machine);

    for (guint i = 0; i < standing->forest->images->len; i++) {
        const VmpForestImage *image = g_ptr_array_index(standing->forest->images, i);
        if (image->idle && !image->needed && !image->gone)
            json_object_array_add(paths, json_object_new_string(image->path));
    }
    g_autofree char *text = vmp_json_length(paths) > 0 ? vmp_json_to_text(paths) : NULL;
    vmp_store_edit_put_fact(edits, key, text);
}

/* ---- other domains ---- */

static gboolean
look_at_others(Look *look, GError **error)
{
    const GPtrArray *images = look->standing->forest->images;
    g_autoptr(VmpOthers) others = vmp_others_look(look->machine, error);

    for (guint i = 0; others && i < images->len; i++) {
        VmpForestImage *image = g_ptr_array_index(images, i);
        image->outsider = g_strdup(vmp_others_find(others, image->path));
    }
    return others != NULL;
}

/* ---- the whole ---- */

VmpStanding *
vmp_standing_look(VmpMachine *machine, const GPtrArray *leaving, GError **error)
{
    VmpStore *store = vmp_machine_get_store(machine);
    gint64 domain = vmp_machine_get_row(machine)->id;
    g_autoptr(VmpStanding) standing = g_new0(VmpStanding, 1);
    g_autoptr(GPtrArray) left = g_ptr_array_new();
    g_autoptr(GPtrArray) named = g_ptr_array_new();
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    Look look = { machine, standing, FALSE, left, named, kept };

    standing->forest = vmp_forest_new();
    standing->by_identity = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    standing->points = g_ptr_array_new_with_free_func((GDestroyNotify)point_free);
    standing->rows = vmp_store_list_points(store, domain, VMP_POINT_SNAPSHOT, TRUE, error);
    gint64 checkpoints = vmp_store_count_points(store, domain, VMP_POINT_CHECKPOINT, error);
    if (!standing->rows || checkpoints < 0)
        return NULL;

    look.has_checkpoints = checkpoints > 0;
    if (!look_at_present(&look, error) || !look_at_points(&look, leaving, error) ||
        !look_at_idle(&look, error) || !look_at_others(&look, error))
        return NULL;
    note_left(&look);
    return g_steal_pointer(&standing);
}
