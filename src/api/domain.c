/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/domain.h>

#include "api/open.h"
#include "backup/backup.h"
#include "base/error.h"
#include "machine/filesystems.h"
#include "machine/freeze.h"
#include "machine/list.h"
#include "point/checkpoint.h"

/* What a dry run of a one-step command says: there is nothing to plan. */
static gboolean
only_said(VmpMachine *machine, const char *operation, const char *what)
{
    if (!vmp_operation_get_dry_run(vmp_machine_get_operation(machine)))
        return FALSE;

    VmpJson *steps = json_object_new_array();
    json_object_array_add(steps,
                          vmp_json_build("s:kind", operation, "s:describe", what, "b:commit",
                                         TRUE, "o:commands", json_object_new_array(), NULL));
    g_autoptr(VmpJson) plan = vmp_json_build(
        "s:operation", operation, "s:domain", vmp_machine_get_name(machine), "o:risks",
        json_object_new_array(), "o:steps", steps, "i:space", (gint64)0, NULL);
    vmp_operation_take_plan(vmp_machine_get_operation(machine), vmp_json_to_pretty(plan));
    return TRUE;
}

GPtrArray *
vmp_domain_list(VmpHost *host, VmpListFlags flags, GError **error)
{
    return vmp_machine_list(host, flags, error);
}

VmpDomainInfo *
vmp_domain_get_info(VmpHost *host, const char *domain, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine ? vmp_machine_info(machine, error) : NULL;
}

char *
vmp_domain_define(VmpHost *host, const char *xml, gssize length, VmpOperation *operation,
                  GError **error)
{
    return vmp_machine_define(host, xml, length, operation, error);
}

gboolean
vmp_domain_undefine(VmpHost *host, const char *domain, VmpUndefineFlags flags,
                    VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    return machine && (only_said(machine, "undefine", "forget the definition") ||
                       vmp_machine_undefine(machine, flags, error));
}

gboolean
vmp_domain_attach(VmpHost *host, const char *name, const char *qmp_path,
                  const char *agent_path, const char *xml, VmpOperation *operation,
                  GError **error)
{
    return vmp_machine_attach(host, name, qmp_path, agent_path, xml, operation, error);
}

gboolean
vmp_domain_detach(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    return machine && (only_said(machine, "detach", "let go of the running QEMU") ||
                       vmp_machine_detach(machine, error));
}

/* Bitmaps that a QEMU which was killed left behind are known as such when their images are
 * open. That they are still there is no reason not to run. */
static gboolean
start(VmpMachine *machine, VmpStartFlags flags, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (!vmp_machine_start(machine, flags, error))
        return FALSE;
    if (!vmp_point_clear_checkpoints(machine, &failure))
        vmp_operation_note(vmp_machine_get_operation(machine), "%s", failure->message);
    return TRUE;
}

gboolean
vmp_domain_start(VmpHost *host, const char *domain, VmpStartFlags flags,
                 VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    return machine &&
           (only_said(machine, "start", "start QEMU") || start(machine, flags, error));
}

gboolean
vmp_domain_shutdown(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    return machine && (only_said(machine, "shutdown", "press the power button") ||
                       vmp_machine_shutdown(machine, error));
}

gboolean
vmp_domain_destroy(VmpHost *host, const char *domain, VmpDestroyFlags flags,
                   VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    if (!machine)
        return FALSE;
    if (only_said(machine, "destroy", "end QEMU"))
        return TRUE;
    /* A QEMU that cannot be asked for this is killed, which needs no server's leave. */
    vmp_backup_cut_off(machine, NULL);
    return vmp_machine_destroy(machine, flags, error);
}

gboolean
vmp_domain_suspend(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    return machine &&
           (only_said(machine, "suspend", "pause the guest") ||
            (vmp_backup_check_servers(machine, error) && vmp_machine_suspend(machine, error)));
}

gboolean
vmp_domain_resume(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    return machine && (only_said(machine, "resume", "let the guest run") ||
                       vmp_machine_resume(machine, error));
}

gboolean
vmp_domain_reset(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    return machine && (only_said(machine, "reset", "reset the guest") ||
                       vmp_machine_reset(machine, error));
}

gboolean
vmp_domain_get_state(VmpHost *host, const char *domain, VmpState *state, const char **reason,
                     GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine && vmp_machine_query_state(machine, state, reason, error);
}

char *
vmp_domain_get_xml(VmpHost *host, const char *domain, VmpXmlFlags flags, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);
    if (!machine)
        return NULL;

    const VmpDomain *definition = flags & VMP_XML_INACTIVE
                                      ? vmp_machine_get_inactive(machine, error)
                                      : vmp_machine_get_definition(machine, error);
    if (!definition) {
        if (error && !*error)
            vmp_fail(error, VMP_ERROR_NOT_FOUND, "domain %s has no persistent definition",
                     vmp_machine_get_name(machine));
        return NULL;
    }
    return vmp_domain_format(definition,
                             flags & VMP_XML_SECURE ? VMP_DOMAIN_FORMAT_SECURE : 0);
}

GPtrArray *
vmp_domain_list_blocks(VmpHost *host, const char *domain, gboolean inactive, gboolean sizes,
                       GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_look(host, domain, error);

    return machine ? vmp_machine_list_blocks(machine, inactive, sizes, error) : NULL;
}

/* ---- file systems of the guest ---- */

GPtrArray *
vmp_filesystem_list(VmpHost *host, const char *domain, GError **error)
{
    /* Under the lock, for the agent listens to one at a time. */
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, NULL, error);

    return machine ? vmp_machine_list_filesystems(machine, error) : NULL;
}

int
vmp_filesystem_freeze(VmpHost *host, const char *domain, const char *const *mountpoints,
                      VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    if (!machine)
        return -1;
    if (only_said(machine, "freeze", "freeze the guest's file systems"))
        return 0;
    return vmp_machine_freeze_filesystems(machine, mountpoints, error);
}

int
vmp_filesystem_thaw(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    if (!machine)
        return -1;
    if (only_said(machine, "thaw", "thaw the guest's file systems"))
        return 0;
    return vmp_machine_thaw_filesystems(machine, error);
}

gboolean
vmp_filesystem_trim(VmpHost *host, const char *domain, guint64 minimum,
                    VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    return machine && (only_said(machine, "trim", "discard the guest's free space") ||
                       vmp_machine_trim_filesystems(machine, minimum, error));
}
