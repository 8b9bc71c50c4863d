/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/open.h"
#include "backup/backup.h"
#include "base/error.h"
#include "point/bulk.h"
#include "point/checkpoint.h"
#include "point/redefine.h"
#include "point/snapshot.h"
#include "xml/validate.h"

char *
vmp_snapshot_create(VmpHost *host, const char *domain, const char *xml,
                    VmpSnapshotCreateFlags flags, VmpOperation *operation, GError **error)
{
    return vmp_snapshot_create_with_checkpoint(host, domain, xml, NULL, flags, NULL, operation,
                                               error);
}

char *
vmp_snapshot_create_with_checkpoint(VmpHost *host, const char *domain, const char *xml,
                                    const char *checkpoint_xml, VmpSnapshotCreateFlags flags,
                                    char **checkpoint_name, VmpOperation *operation,
                                    GError **error)
{
    if ((flags & VMP_SNAPSHOT_CREATE_VALIDATE) && xml &&
        !vmp_xml_validate(xml, -1, "domainsnapshot", error))
        return NULL;
    if ((flags & VMP_SNAPSHOT_CREATE_REDEFINE) && checkpoint_xml)
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "redefining makes nothing that a checkpoint could go with");

    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    if (!machine)
        return NULL;
    return flags & VMP_SNAPSHOT_CREATE_REDEFINE
               ? vmp_point_redefine_snapshot(machine, xml, flags, error)
               : vmp_point_create_with_checkpoint(machine, xml, checkpoint_xml, flags,
                                                  checkpoint_name, error);
}

GPtrArray *
vmp_snapshot_list(VmpHost *host, const char *domain, const char *from,
                  VmpSnapshotListFlags flags, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine ? vmp_point_list_snapshots(machine, from, flags, error) : NULL;
}

VmpSnapshotInfo *
vmp_snapshot_get_info(VmpHost *host, const char *domain, const char *name, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine ? vmp_point_get_snapshot_info(machine, name, error) : NULL;
}

char *
vmp_snapshot_get_xml(VmpHost *host, const char *domain, const char *name,
                     VmpSnapshotFormatFlags flags, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine ? vmp_point_get_snapshot_xml(machine, name, flags, error) : NULL;
}

gboolean
vmp_snapshot_set_current(VmpHost *host, const char *domain, const char *name,
                         VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_point_set_current_snapshot(machine, name, error);
}

char *
vmp_snapshot_edit(VmpHost *host, const char *domain, const char *name, const char *xml,
                  VmpSnapshotEditFlags flags, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine ? vmp_point_edit_snapshot(machine, name, xml, flags, error) : NULL;
}

gboolean
vmp_snapshot_revert(VmpHost *host, const char *domain, const char *name,
                    VmpSnapshotRevertFlags flags, const char *save_current,
                    VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_backup_check_no_pull(machine, error) &&
           vmp_point_revert(machine, name, flags, save_current, error);
}

gboolean
vmp_snapshot_delete(VmpHost *host, const char *domain, const char *name,
                    VmpSnapshotDeleteFlags flags, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_backup_check_no_pull(machine, error) &&
           vmp_point_delete_snapshot(machine, name, flags, error);
}

char *
vmp_checkpoint_create(VmpHost *host, const char *domain, const char *xml,
                      VmpCheckpointCreateFlags flags, VmpOperation *operation, GError **error)
{
    return vmp_checkpoint_create_granular(host, domain, xml, 0, flags, operation, error);
}

char *
vmp_checkpoint_create_granular(VmpHost *host, const char *domain, const char *xml,
                               guint64 granularity, VmpCheckpointCreateFlags flags,
                               VmpOperation *operation, GError **error)
{
    if (granularity && (flags & VMP_CHECKPOINT_CREATE_REDEFINE))
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "a checkpoint that exists has the granularity that it has");
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    if (!machine)
        return NULL;
    return flags & VMP_CHECKPOINT_CREATE_REDEFINE
               ? vmp_point_redefine_checkpoint(machine, xml, flags, error)
               : vmp_point_create_checkpoint(machine, xml, granularity, flags, error);
}

GPtrArray *
vmp_checkpoint_list(VmpHost *host, const char *domain, const char *from,
                    VmpCheckpointListFlags flags, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine ? vmp_point_list_checkpoints(machine, from, flags, error) : NULL;
}

VmpCheckpointInfo *
vmp_checkpoint_get_info(VmpHost *host, const char *domain, const char *name, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine ? vmp_point_get_checkpoint_info(machine, name, error) : NULL;
}

char *
vmp_checkpoint_get_xml(VmpHost *host, const char *domain, const char *name,
                       VmpCheckpointFormatFlags flags, GError **error)
{
    /* Sizes are asked of the block session, which for a domain that is off is a process of
     * ours: that needs the lock. */
    g_autoptr(VmpMachine) machine = flags & VMP_CHECKPOINT_FORMAT_SIZE
                                        ? vmp_api_change(host, domain, NULL, error)
                                        : vmp_api_look(host, domain, error);

    return machine ? vmp_point_get_checkpoint_xml(machine, name, flags, error) : NULL;
}

gboolean
vmp_checkpoint_delete(VmpHost *host, const char *domain, const char *name,
                      VmpCheckpointDeleteFlags flags, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_point_delete_checkpoint(machine, name, flags, error);
}

/* ---- many at once ---- */

gboolean
vmp_snapshot_dump_all(VmpHost *host, const char *domain, VmpSnapshotFormatFlags flags,
                      VmpWriteFunc write, gpointer data, GError **error)
{
    if (flags & ~(guint)VMP_SNAPSHOT_FORMAT_SECURE)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "all snapshots are dumped whole or not at all");
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine &&
           vmp_bulk_write(machine, VMP_POINT_SNAPSHOT,
                          (flags & VMP_SNAPSHOT_FORMAT_SECURE) != 0, write, data, error);
}

gint64
vmp_snapshot_redefine_all(VmpHost *host, const char *domain, VmpSnapshotCreateFlags flags,
                          VmpReadFunc read, gpointer data, VmpOperation *operation,
                          GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine ? vmp_bulk_read(machine, VMP_POINT_SNAPSHOT, flags, read, data, error) : -1;
}

gint64
vmp_snapshot_redefine_folder(VmpHost *host, const char *domain, VmpSnapshotCreateFlags flags,
                             const char *folder, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine ? vmp_bulk_read_folder(machine, VMP_POINT_SNAPSHOT, flags, folder, error)
                   : -1;
}

gboolean
vmp_checkpoint_dump_all(VmpHost *host, const char *domain, VmpCheckpointFormatFlags flags,
                        VmpWriteFunc write, gpointer data, GError **error)
{
    if (flags & ~(guint)VMP_CHECKPOINT_FORMAT_SECURE)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "all checkpoints are dumped whole or not at all");
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine &&
           vmp_bulk_write(machine, VMP_POINT_CHECKPOINT,
                          (flags & VMP_CHECKPOINT_FORMAT_SECURE) != 0, write, data, error);
}

gint64
vmp_checkpoint_redefine_all(VmpHost *host, const char *domain, VmpCheckpointCreateFlags flags,
                            VmpReadFunc read, gpointer data, VmpOperation *operation,
                            GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine ? vmp_bulk_read(machine, VMP_POINT_CHECKPOINT, flags, read, data, error)
                   : -1;
}

gint64
vmp_checkpoint_redefine_folder(VmpHost *host, const char *domain,
                               VmpCheckpointCreateFlags flags, const char *folder,
                               VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine ? vmp_bulk_read_folder(machine, VMP_POINT_CHECKPOINT, flags, folder, error)
                   : -1;
}
