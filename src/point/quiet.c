/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/quiet.h"

#include "base/error.h"
#include "qmp/commands.h"
#include "storage/job.h"

gboolean
vmp_quiet_check_jobs(VmpMachine *machine, GError **error)
{
    VmpQmpClient *monitor = vmp_machine_get_monitor(machine, error);
    g_autoptr(GPtrArray) jobs = monitor ? vmp_jobs_query(monitor, NULL, error) : NULL;

    if (!jobs)
        return FALSE;
    if (jobs->len > 0) {
        const VmpJob *job = g_ptr_array_index(jobs, 0);
        return vmp_fail(error, VMP_ERROR_BUSY, "the %s job '%s' is there (%s)", job->type,
                        job->id, job->status);
    }
    return TRUE;
}

static gboolean
is_going_on(const char *status)
{
    static const char *const ends[] = { "none", "completed", "failed", "cancelled" };

    for (guint i = 0; i < G_N_ELEMENTS(ends); i++)
        if (!status || g_str_equal(status, ends[i]))
            return FALSE;
    return TRUE;
}

gboolean
vmp_quiet_check_migration(VmpMachine *machine, GError **error)
{
    VmpQmpClient *monitor = vmp_machine_get_monitor(machine, error);
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_migrate();
    g_autoptr(VmpJson) reply =
        monitor ? vmp_qmp_client_execute(monitor, command, NULL, error) : NULL;
    if (!reply)
        return FALSE;

    g_auto(GStrv) reasons = vmp_json_get_strv(reply, "blocked-reasons");
    g_autofree char *words = g_strjoinv("; ", reasons);
    const char *status = vmp_json_get_string(reply, "status");
    if (*words)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "the guest's state cannot be saved: %s",
                        words);
    if (is_going_on(status))
        return vmp_fail(error, VMP_ERROR_BUSY, "a migration is under way (%s)", status);
    return TRUE;
}
