/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/point-create-private.h"

#include "backup/restore-point.h"
#include "base/error.h"
#include "point/checkpoint.h"
#include "point/record.h"

/* ---- which disks ---- */

static gboolean
is_chosen(const VmpRestorePointSpec *spec, const VmpDomainDisk *disk)
{
    return spec->disks ? g_strv_contains(spec->disks, disk->target)
                       : disk->source && !disk->readonly;
}

gboolean
vmp_point_choose_disks(VmpPointCreation *creation, const VmpDomain *definition, GError **error)
{
    const GPtrArray *all = vmp_domain_get_disks(definition);

    for (const char *const *name = creation->spec->disks; name && *name; name++) {
        const VmpDomainDisk *disk = vmp_domain_find_disk(definition, *name);
        if (!disk || !g_str_equal(disk->target, *name))
            return vmp_fail(error, VMP_ERROR_NOT_FOUND, "it has no disk '%s'", *name);
        if (!disk->source)
            return vmp_fail(error, VMP_ERROR_INVALID, "disk '%s' is empty: nothing to back up",
                            *name);
    }
    for (guint i = 0; i < all->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(all, i);
        if (!is_chosen(creation->spec, disk))
            continue;
        VmpPointDisk *chosen = g_new0(VmpPointDisk, 1);
        chosen->disk = disk;
        g_ptr_array_add(creation->disks, chosen);
    }
    return creation->disks->len > 0 ||
           vmp_fail(error, VMP_ERROR_INVALID, "it has no disk to back up");
}

/* ---- what an increment can stand on ---- */

char *
vmp_point_checkpoint_description(const VmpRepository *repository)
{
    return g_strdup_printf("restore point in repository %s", repository->id);
}

gboolean
vmp_point_has_checkpoint(const VmpPointCreation *creation, const char *name)
{
    g_autofree char *description = vmp_point_checkpoint_description(creation->repository);
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_record_load_checkpoint(creation->machine, name, NULL);

    return checkpoint && g_strcmp0(checkpoint->description, description) == 0;
}

static void
find_base(VmpPointCreation *creation)
{
    const VmpRepositoryPoint *newest = vmp_repository_newest(creation->repository);

    if (!newest || creation->spec->choice == VMP_RESTORE_POINT_FULL)
        return;
    if (!newest->manifest)
        creation->why_no_base = g_strdup_printf("the last point '%s' cannot be used: %s",
                                                newest->name, newest->problem->message);
    else if (!newest->manifest->checkpoint)
        creation->why_no_base =
            g_strdup_printf("no checkpoint was made with the last point '%s'", newest->name);
    else if (!vmp_point_has_checkpoint(creation, newest->manifest->checkpoint))
        creation->why_no_base = g_strdup_printf(
            "the checkpoint of the last point '%s' is not there any more", newest->name);
    else
        creation->base = newest->manifest;
}

/* NULL if @disk can be an increment, else why not. */
static char *
find_obstacle(const VmpPointCreation *creation, const VmpBlockGraph *graph,
              const VmpBlockNode *node, const VmpPointDisk *disk)
{
    const VmpManifest *base = creation->base;
    const char *target = disk->disk->target;
    const VmpManifestDisk *before = vmp_manifest_find_disk(base, target);
    g_autoptr(GError) failure = NULL;

    if (!before)
        return g_strdup_printf("the last point '%s' does not have it", base->name);
    if (before->size != node->size)
        return g_strdup("its size has changed");
    g_autoptr(VmpBitmapChain) bitmaps = vmp_point_checkpoint_chain(
        creation->machine, graph, node, target, base->checkpoint, &failure);
    if (!bitmaps)
        return g_strdup(failure->message);
    g_autoptr(GPtrArray) chain =
        vmp_repository_chain(creation->repository, base, target, &failure);
    if (!chain || !vmp_repository_check_chain(
                      creation->repository, chain, target,
                      vmp_operation_get_cancellable(creation->operation), &failure))
        return g_strdup(failure->message);
    return NULL;
}

static gboolean
decide_disk(const VmpPointCreation *creation, VmpBlockSession *session,
            const VmpBlockGraph *graph, VmpPointDisk *disk, GError **error)
{
    const VmpBlockNode *node =
        vmp_block_session_image(session, graph, disk->disk->target, error);
    if (!node)
        return FALSE;

    disk->has_bitmap = vmp_block_session_is_offline(session)
                           ? vmp_block_node_check_can_persist_bitmap(node, NULL)
                           : vmp_block_node_check_can_track(node, NULL);
    if (creation->base)
        disk->why_full = find_obstacle(creation, graph, node, disk);
    else
        disk->why_full = g_strdup(creation->why_no_base);
    disk->incremental = creation->base && !disk->why_full;
    if (!disk->incremental && creation->spec->choice == VMP_RESTORE_POINT_INCREMENTAL)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "disk '%s' cannot be incremental: %s",
                        disk->disk->target,
                        disk->why_full ? disk->why_full : "there is no point before it");
    return TRUE;
}

gboolean
vmp_point_decide_disks(VmpPointCreation *creation, GError **error)
{
    VmpBlockSession *session = vmp_block_session_open(creation->machine, error);
    creation->part.session = session;
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    if (!graph)
        return FALSE;

    find_base(creation);
    for (guint i = 0; i < creation->disks->len; i++)
        if (!decide_disk(creation, session, graph, g_ptr_array_index(creation->disks, i),
                         error))
            return FALSE;
    return TRUE;
}

void
vmp_point_warn_of_full_disks(const VmpPointCreation *creation)
{
    for (guint i = 0; i < creation->disks->len; i++) {
        const VmpPointDisk *disk = g_ptr_array_index(creation->disks, i);
        if (disk->why_full)
            vmp_operation_warn(creation->operation, "disk '%s' is a full backup: %s",
                               disk->disk->target, disk->why_full);
    }
}
