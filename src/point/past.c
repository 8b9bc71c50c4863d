/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/past.h"

#include <sys/stat.h>

#include "base/error.h"
#include "plan/sweep.h"
#include "point/pulled.h"
#include "point/revert.h"
#include "point/snapshot.h"
#include "point/steps.h"
#include "storage/image.h"
#include "store/edit.h"

void
vmp_past_clear(VmpPast *past)
{
    g_clear_pointer(&past->tag, g_free);
    g_clear_pointer(&past->images, json_object_put);
}

gboolean
vmp_past_is_empty(const VmpPast *past)
{
    return vmp_json_length(past->images) == 0;
}

/* ---- looking ---- */

/* The disk as it will be.  Bitmaps are not copied: they tell nothing of that moment. */
static void
become(VmpInternalDisk *disk, const char *path, const VmpImage *image)
{
    g_free(disk->path);
    disk->path = g_strdup(path);
    g_clear_pointer(&disk->node, g_free);
    g_free(disk->format);
    disk->format = g_strdup("qcow2");
    g_ptr_array_unref(disk->snapshots);
    disk->snapshots = g_ptr_array_ref(image->snapshots);
    g_ptr_array_set_size(disk->bitmaps, 0);
}

static VmpInternalDisk *
find_disk(GPtrArray *disks, const char *target)
{
    return (VmpInternalDisk *)vmp_internal_disks_find(disks, target);
}

static gboolean
look_at_image(VmpMachine *machine, const VmpDomainDisk *then, VmpInternalDisk *now,
              VmpPast *past, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", then->target);

    if (then->type != VMP_STORAGE_FILE)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "its present image '%s' is not '%s', which the snapshot is in and "
                        "which is no file that could be copied",
                        now->path ? now->path : now->node, then->source);

    g_autoptr(VmpImage) image = vmp_image_read(then->source, "qcow2", NULL, error);
    g_autofree char *path =
        image ? vmp_revert_new_path(machine, then->source, past->tag, error) : NULL;
    if (!path)
        return FALSE;
    json_object_array_add(past->images,
                          vmp_json_build("s:disk", then->target, "s:from", then->source,
                                         "s:path", path, "S:backing", image->backing_path,
                                         "S:left", now->path, NULL));
    become(now, path, image);
    return TRUE;
}

gboolean
vmp_past_look(VmpMachine *machine, const VmpSnapshot *snapshot, const VmpDomain *definition,
              GPtrArray *disks, VmpPast *past, GError **error)
{
    past->tag = g_strdup(snapshot->name);
    past->images = json_object_new_array();
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        const VmpDomainDisk *then = vmp_domain_find_disk(definition, entry->name);
        VmpInternalDisk *now = find_disk(disks, entry->name);

        if (entry->location != VMP_LOCATION_INTERNAL || !then || !now ||
            g_strcmp0(then->source, now->path) == 0)
            continue;
        if (!look_at_image(machine, then, now, past, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vmp_past_has(const VmpPast *past, const char *target)
{
    for (guint i = 0; i < vmp_json_length(past->images); i++)
        if (g_strcmp0(vmp_json_get_string(vmp_json_at(past->images, i), "disk"), target) == 0)
            return TRUE;
    return FALSE;
}

/* ---- steps ---- */

static guint64
allocated(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? (guint64)info.st_blocks * 512 : 0;
}

void
vmp_past_plan_copies(VmpPlan *plan, const VmpPast *past, gboolean with_ram)
{
    if (vmp_past_is_empty(past))
        return;
    for (guint i = 0; i < vmp_json_length(past->images); i++)
        plan->space += allocated(vmp_json_get_string(vmp_json_at(past->images, i), "from"));
    vmp_plan_add(plan, &vmp_step_copy_past,
                 vmp_json_build("s:tag", past->tag, "b:keep-tag", with_ram, "o:images",
                                json_object_get(past->images), NULL));
}

gboolean
vmp_past_add_swaps(const VmpPast *past, GPtrArray *disks, VmpSwaps *swaps, GError **error)
{
    for (guint i = 0; i < vmp_json_length(past->images); i++) {
        VmpJson *image = vmp_json_at(past->images, i);
        if (!vmp_swaps_add(swaps, image, error))
            return FALSE;
        VmpInternalDisk *disk = find_disk(disks, vmp_json_get_string(image, "disk"));
        g_free(disk->node);
        disk->node = g_strdup(vmp_json_get_string(vmp_json_at(swaps->opens, i), "node"));
    }
    return TRUE;
}

VmpJson *
vmp_past_to_json(const VmpPast *past, const GPtrArray *disks)
{
    VmpJson *entries = json_object_new_array();

    for (guint i = 0; i < vmp_json_length(past->images); i++) {
        const char *target = vmp_json_get_string(vmp_json_at(past->images, i), "disk");
        const VmpInternalDisk *disk = vmp_internal_disks_find(disks, target);
        json_object_array_add(entries, vmp_json_build("s:disk", target, "s:path", disk->path,
                                                      "S:node", disk->node, NULL));
    }
    return entries;
}

void
vmp_past_plan_tidy(VmpPlan *plan, const VmpPast *past, const GPtrArray *disks)
{
    VmpJson *snapshots = json_object_new_array();

    json_object_array_add(snapshots, vmp_json_build("s:tag", past->tag, "o:disks",
                                                    vmp_past_to_json(past, disks), NULL));
    vmp_plan_add_cleanup(plan, &vmp_step_delete_internal,
                         vmp_json_build("o:snapshots", snapshots, NULL));
}

/* ---- what the store is told ---- */

gboolean
vmp_past_set_sources(const VmpPast *past, VmpDomain *domain, GError **error)
{
    for (guint i = 0; i < vmp_json_length(past->images); i++) {
        VmpJson *image = vmp_json_at(past->images, i);
        const char *target = vmp_json_get_string(image, "disk");
        if (vmp_domain_find_disk(domain, target) &&
            !vmp_domain_set_disk_source(domain, target, vmp_json_get_string(image, "path"),
                                        "qcow2", error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
retire(VmpPlan *plan, VmpMachine *machine, const char *left, GError **error)
{
    gboolean frozen = TRUE;

    if (!left)
        return TRUE;
    if (!vmp_point_is_frozen_image(machine, left, &frozen, error))
        return FALSE;
    if (!frozen)
        vmp_plan_retire_file(machine, left, plan->edits);
    return TRUE;
}

gboolean
vmp_past_plan_edits(VmpPlan *plan, const VmpPast *past, VmpMachine *machine, GError **error)
{
    for (guint i = 0; i < vmp_json_length(past->images); i++) {
        VmpJson *image = vmp_json_at(past->images, i);
        VmpStoreFile file = { .path = (char *)vmp_json_get_string(image, "path"),
                              .domain = vmp_machine_get_row(machine)->id,
                              .role = (char *)"overlay",
                              .point = past->tag };

        vmp_store_edit_put_file(plan->edits, &file);
        vmp_pulled_edit(machine, file.path, plan->edits);
        if (!retire(plan, machine, vmp_json_get_string(image, "left"), error))
            return FALSE;
    }
    return TRUE;
}
