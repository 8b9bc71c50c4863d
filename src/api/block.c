/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/open.h"
#include "backup/backup.h"
#include "point/block-job.h"
#include "point/copy-disk.h"
#include "point/merge-disk.h"
#include "point/resize.h"

gboolean
vmp_block_resize(VmpHost *host, const char *domain, const char *disk, guint64 size,
                 VmpBlockResizeFlags flags, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_point_resize_disk(machine, disk, size, flags, error);
}

gboolean
vmp_block_commit(VmpHost *host, const char *domain, const char *disk,
                 const VmpBlockRange *range, VmpBlockCommitFlags flags,
                 VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_backup_check_no_pull(machine, error) &&
           vmp_point_commit_disk(machine, disk, range, flags, error);
}

gboolean
vmp_block_pull(VmpHost *host, const char *domain, const char *disk, const VmpBlockRange *range,
               VmpBlockPullFlags flags, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_backup_check_no_pull(machine, error) &&
           vmp_point_pull_disk(machine, disk, range, flags, error);
}

gboolean
vmp_block_copy_disk(VmpHost *host, const char *domain, const char *disk,
                    const VmpBlockCopy *copy, VmpBlockCopyFlags flags, VmpOperation *operation,
                    GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_backup_check_no_pull(machine, error) &&
           vmp_point_copy_disk(machine, disk, copy, flags, error);
}

/* ---- jobs: beside whoever has the lock ---- */

VmpBlockJobInfo *
vmp_block_job_get_info(VmpHost *host, const char *domain, const char *disk, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);
    g_autoptr(VmpBlockJobInfo) info =
        machine ? vmp_point_block_job(machine, disk, error) : NULL;
    if (!info || !info->pending)
        return g_steal_pointer(&info);

    /* One that goes on by itself has come to its end; if somebody waits for it, it is settled
     * when we get the lock. */
    g_autoptr(VmpMachine) settled = vmp_api_settle(host, domain, NULL, NULL, NULL);
    return settled ? vmp_point_block_job(settled, disk, error) : g_steal_pointer(&info);
}

gboolean
vmp_block_job_set_bandwidth(VmpHost *host, const char *domain, const char *disk,
                            guint64 bandwidth, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine && vmp_point_set_block_job_bandwidth(machine, disk, bandwidth, error);
}

gboolean
vmp_block_job_abort(VmpHost *host, const char *domain, const char *disk,
                    VmpBlockJobAbortFlags flags, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);
    gboolean left = FALSE;

    if (!machine || !vmp_point_block_job_is_left(machine, disk, &left, error))
        return FALSE;
    /* Who waits for it has the lock, and sees that it ends. */
    g_autoptr(VmpMachine) locked =
        left ? vmp_api_settle(host, domain, NULL, NULL, NULL) : NULL;
    return locked ? vmp_point_stop_block_job(locked, disk, vmp_api_step_kinds(), error)
                  : vmp_point_abort_block_job(machine, disk, flags, error);
}

gboolean
vmp_block_job_pivot(VmpHost *host, const char *domain, const char *disk,
                    VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_settle(host, domain, operation, NULL, error);

    return machine && vmp_point_pivot_block_job(machine, disk, vmp_api_step_kinds(), error);
}
