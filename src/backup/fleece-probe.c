/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Is a snapshot whole?
 *
 * A broken one tells readers alone, and there is no QMP command that reads.  A job does: its
 * first sector is mirrored into nothing, which takes a millisecond.  (A backup job would do as
 * well, but complains into QEMU's log that such a target has no block size.)
 */

#include <sys/statvfs.h>

#include "backup/fleece.h"
#include "backup/relief.h"
#include "base/error.h"
#include "qmp/commands.h"
#include "storage/job.h"

#define PROBE_JOB "vmp-probe"
#define PROBE_NODE "vmp-probe-part"
#define PROBE_TARGET "vmp-probe-target"
#define PROBE_SIZE 512

/* What a full file system has left: less than a cluster for each of QEMU's writers. */
#define NO_SPACE (1024 * 1024)

static const char *const probe_jobs[] = { PROBE_JOB, NULL };

gboolean
vmp_fleece_clear_probe(VmpQmpClient *client, GError **error)
{
    if (!vmp_qmp_client_execute_removal(client, vmp_qmp_job_cancel(PROBE_JOB), error))
        return FALSE;
    g_autoptr(GPtrArray) jobs =
        vmp_jobs_wait(client, probe_jobs, VMP_JOB_CONCLUDED, "probe", NULL, error);
    return jobs &&
           vmp_qmp_client_execute_removal(client, vmp_qmp_job_dismiss(PROBE_JOB), error) &&
           vmp_qmp_client_execute_removal(client, vmp_qmp_blockdev_del(PROBE_NODE), error) &&
           vmp_qmp_client_execute_removal(client, vmp_qmp_blockdev_del(PROBE_TARGET), error);
}

static gboolean
start_probe(VmpQmpClient *client, const char *snapshot, GError **error)
{
    return vmp_qmp_client_run(
               client,
               vmp_qmp_blockdev_add(vmp_qmp_options_part(PROBE_NODE, snapshot, PROBE_SIZE)),
               NULL, error) &&
           vmp_qmp_client_run(
               client, vmp_qmp_blockdev_add(vmp_qmp_options_null(PROBE_TARGET, PROBE_SIZE)),
               NULL, error) &&
           vmp_qmp_client_run(client,
                              vmp_qmp_blockdev_mirror(PROBE_JOB, PROBE_NODE, PROBE_TARGET),
                              NULL, error);
}

static gboolean
probe(VmpQmpClient *client, const char *snapshot, gboolean *whole, GError **error)
{
    if (!vmp_fleece_clear_probe(client, error) || !start_probe(client, snapshot, error))
        return FALSE;
    g_autoptr(GPtrArray) jobs =
        vmp_jobs_wait(client, probe_jobs, VMP_JOB_READY, "probe", NULL, error);
    if (!jobs)
        return FALSE;
    const VmpJob *job = g_ptr_array_index(jobs, 0);
    *whole = job->failure == NULL;
    return vmp_fleece_clear_probe(client, error);
}

/* ---- saying so ---- */

static gboolean
has_no_space(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    struct statvfs info;

    return statvfs(folder, &info) == 0 && info.f_bavail * info.f_frsize < NO_SPACE;
}

static char *
say_break(VmpJson *disk)
{
    const char *name = vmp_json_get_string(disk, "disk");
    const char *scratch = vmp_json_get_string(disk, "scratch");

    if (has_no_space(scratch))
        return g_strdup_printf("disk '%s': no space left for '%s', which keeps what the guest "
                               "overwrites: the point in time is lost, the guest goes on",
                               name, scratch);
    return g_strdup_printf(
        "disk '%s': '%s', which keeps what the guest overwrites, could not be "
        "written within %d seconds: the point in time is lost, the guest "
        "goes on",
        name, scratch, VMP_FLEECE_PATIENCE_S);
}

char *
vmp_fleece_find_break(VmpQmpClient *client, VmpJson *disks, GError **error)
{
    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        gboolean whole = TRUE;
        if (!probe(client, vmp_json_get_string(disk, "snapshot"), &whole, error))
            return NULL;
        if (!whole)
            return say_break(disk);
    }
    return NULL;
}

char *
vmp_fleece_find_want(VmpQmpClient *client, VmpJson *disks, GError **error)
{
    gboolean stands = FALSE;

    if (!vmp_relief_is_needed(client, &stands, error) || !stands)
        return NULL;
    for (guint i = 0; i < vmp_json_length(disks); i++) {
        VmpJson *disk = vmp_json_at(disks, i);
        const char *scratch = vmp_json_get_string(disk, "scratch");
        if (has_no_space(scratch))
            return g_strdup_printf(
                "disk '%s': the guest stood because a write found no space, "
                "of which '%s' had taken some: the point in time is given up",
                vmp_json_get_string(disk, "disk"), scratch);
    }
    return NULL;
}
