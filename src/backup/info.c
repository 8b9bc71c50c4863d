/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/backup.h"
#include "base/error.h"
#include "storage/block-graph.h"
#include "storage/job.h"

void
vmp_job_info_free(VmpJobInfo *info)
{
    if (!info)
        return;
    g_free(info->operation);
    g_free(info->error);
    g_free(info);
}

/* The newest row in @state; @row NULL without error if there is none. */
static gboolean
find_row(VmpMachine *machine, const char *state, VmpStoreBackup **row, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *row = vmp_store_find_backup(vmp_machine_get_store(machine),
                                 vmp_machine_get_row(machine)->id, state, &failure);
    if (!failure)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static VmpJobState
state_of(const char *word)
{
    static const char *const words[] = { "", "running", "completed", "failed", "cancelled" };

    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_strcmp0(word, words[i]) == 0)
            return (VmpJobState)i;
    return VMP_JOB_NONE;
}

/* Adds up what QEMU says of the jobs that run. */
static gboolean
ask_jobs(VmpMachine *machine, VmpJson *detail, VmpJobInfo *info, GError **error)
{
    VmpQmpClient *client = vmp_machine_get_monitor(machine, error);
    g_autoptr(GPtrArray) jobs = client ? vmp_jobs_query(client, NULL, error) : NULL;
    VmpJson *disks = vmp_json_get_array(detail, "disks");

    for (guint i = 0; jobs && i < vmp_json_length(disks); i++) {
        const char *id = vmp_json_get_string(vmp_json_at(disks, i), "job");
        for (guint j = 0; j < jobs->len; j++) {
            const VmpJob *job = g_ptr_array_index(jobs, j);
            if (!g_str_equal(job->id, id))
                continue;
            info->total += job->total;
            info->processed += job->current;
        }
    }
    return jobs != NULL;
}

/* What the scratch images hold by now, of what they may come to hold. */
static gboolean
add_scratch(VmpMachine *machine, VmpJson *detail, VmpJobInfo *info, GError **error)
{
    VmpJson *scratch = vmp_json_get_array(detail, "scratch");
    VmpQmpClient *client =
        vmp_json_length(scratch) > 0 ? vmp_machine_get_monitor(machine, error) : NULL;

    for (guint i = 0; i < vmp_json_length(scratch); i++) {
        VmpJson *image = vmp_json_at(scratch, i);
        guint64 used = 0;
        if (!client ||
            !vmp_node_query_written(client, vmp_json_get_string(image, "node"), &used, error))
            return FALSE;
        info->scratch_used += used;
        info->scratch_total += (guint64)vmp_json_get_int(image, "size", 0);
    }
    return TRUE;
}

VmpJobInfo *
vmp_backup_info(VmpMachine *machine, gboolean completed, GError **error)
{
    g_autoptr(VmpJobInfo) info = g_new0(VmpJobInfo, 1);
    g_autoptr(VmpStoreBackup) row = NULL;

    if (!find_row(machine, completed ? NULL : "running", &row, error))
        return NULL;
    if (!row)
        return g_steal_pointer(&info);

    g_autoptr(VmpJson) detail = vmp_json_parse(row->detail, -1, error);
    if (!detail)
        return NULL;
    info->state = state_of(row->state);
    info->operation = g_strdup("Backup");
    info->elapsed_ms = (row->ended ? row->ended : g_get_real_time() / 1000) - row->started;
    info->error = g_strdup(vmp_json_get_string(detail, "error"));
    info->total = (guint64)vmp_json_get_int(detail, "total", 0);
    info->processed = (guint64)vmp_json_get_int(detail, "processed", 0);
    if (info->state == VMP_JOB_RUNNING && vmp_machine_is_on(machine) &&
        !(ask_jobs(machine, detail, info, error) && add_scratch(machine, detail, info, error)))
        return NULL;
    info->remaining = info->total - MIN(info->processed, info->total);
    return g_steal_pointer(&info);
}

char *
vmp_backup_xml(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpStoreBackup) row = NULL;

    if (!find_row(machine, "running", &row, error))
        return NULL;
    if (!row)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "domain %s: no backup is running",
                             vmp_machine_get_name(machine));
    return g_strdup(row->body);
}
