/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/open.h"
#include "backup/backup.h"
#include "base/error.h"

gboolean
vmp_backup_begin(VmpHost *host, const char *domain, const char *backup_xml,
                 const char *checkpoint_xml, VmpBackupBeginFlags flags,
                 VmpOperation *operation, GError **error)
{
    const VmpBackupTuning none = { 0 };

    return vmp_backup_begin_tuned(host, domain, backup_xml, checkpoint_xml, flags, &none,
                                  operation, error);
}

gboolean
vmp_backup_begin_tuned(VmpHost *host, const char *domain, const char *backup_xml,
                       const char *checkpoint_xml, VmpBackupBeginFlags flags,
                       const VmpBackupTuning *tuning, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_backup_begin_on(machine, NULL, backup_xml, checkpoint_xml, flags,
                                          tuning, error);
}

gboolean
vmp_backup_wait(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_settle(host, domain, operation, NULL, error);
    g_auto(VmpChange) change = { .machine = machine, .operation = operation };

    return machine && vmp_backup_settle(&change, VMP_SETTLE_WAIT, NULL, error);
}

char *
vmp_backup_get_xml(VmpHost *host, const char *domain, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_settle(host, domain, NULL, NULL, error);

    return machine ? vmp_backup_xml(machine, error) : NULL;
}

VmpJobInfo *
vmp_backup_get_job_info(VmpHost *host, const char *domain, gboolean completed, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_settle(host, domain, NULL, NULL, error);

    return machine ? vmp_backup_info(machine, completed, error) : NULL;
}

gboolean
vmp_backup_abort_job(VmpHost *host, const char *domain, VmpOperation *operation,
                     GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_settle(host, domain, operation, NULL, error);
    g_auto(VmpChange) change = { .machine = machine, .operation = operation };
    VmpJobState state = VMP_JOB_NONE;

    if (!machine || !vmp_backup_settle(&change, VMP_SETTLE_CANCEL, &state, error))
        return FALSE;
    return state != VMP_JOB_NONE ||
           vmp_fail(error, VMP_ERROR_NOT_FOUND, "domain %s: no job is running",
                    vmp_machine_get_name(machine));
}
