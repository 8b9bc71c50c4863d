/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/overlay-export-check.h"

#include "base/error.h"
#include "plan/others.h"
#include "storage/nbd-peer.h"
#include "storage/overlay-export.h"
#include "storage/qcow2.h"

/* Bitmaps that go on in the overlay are stored in it. */
static guint64
smallest_granularity(const VmpBlockNode *below)
{
    guint64 smallest = 0;

    for (guint i = 0; i < below->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(below->bitmaps, i);
        smallest = smallest ? MIN(smallest, bitmap->granularity) : bitmap->granularity;
    }
    return MAX(smallest, 512);
}

static gboolean
check_room(const char *uri, const VmpBlockNode *below, guint64 room, GError **error)
{
    const VmpQcow2 image = { .size = (below->size + 511) / 512 * 512,
                             .cluster_size = below->cluster_size,
                             .extended_l2 = below->extended_l2 };
    guint64 needed = 0;

    if (!vmp_qcow2_measure(&image, below->bitmaps->len, smallest_granularity(below), &needed,
                           error))
        return FALSE;
    return room >= needed ||
           vmp_fail(error, VMP_ERROR_IO,
                    "'%s' has %" G_GUINT64_FORMAT " bytes, and an overlay cannot outgrow its "
                    "export: with all of the disk written it has %" G_GUINT64_FORMAT,
                    uri, room, needed);
}

/* A disk of zeroes looks free; the store knows better. */
static gboolean
check_users(VmpMachine *machine, const char *uri, GError **error)
{
    g_autoptr(VmpOthers) all = vmp_others_look_at_all(
        vmp_machine_get_host(machine),
        vmp_operation_get_cancellable(vmp_machine_get_operation(machine)), error);
    const char *user = all ? vmp_others_find(all, uri) : NULL;

    if (user)
        return vmp_fail(error, VMP_ERROR_EXISTS, "domain '%s' stands on '%s'", user, uri);
    return all != NULL;
}

static gboolean
check_free(const char *uri, guint64 size, GError **error)
{
    gboolean is_free = FALSE;

    if (!vmp_new_export_is_free(uri, size, &is_free, error))
        return FALSE;
    return is_free || vmp_fail(error, VMP_ERROR_EXISTS,
                               "there is something in '%s' (--reuse-external takes an "
                               "overlay that was prepared; an export that begins with "
                               "zeroes is free)",
                               uri);
}

gboolean
vmp_overlay_check_export(VmpMachine *machine, const VmpSnapshotDisk *disk,
                         const VmpBlockNode *below, gboolean reuse, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", disk->name);
    VmpNbdExport found = { 0 };

    if (!vmp_nbd_peer_look(disk->source, NULL, &found, error))
        return FALSE;
    if (found.read_only)
        return vmp_fail(error, VMP_ERROR_IO, "'%s' is read-only", disk->source);
    return reuse || (check_room(disk->source, below, found.size, error) &&
                     check_users(machine, disk->source, error) &&
                     check_free(disk->source, found.size, error));
}
