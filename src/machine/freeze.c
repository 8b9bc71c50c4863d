/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/freeze.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "machine/machine-private.h"
#include "machine/thaw-guard.h"
#include "qmp/agent-commands.h"
#include "qmp/agent.h"

/* How long an agent may take to say that it is there. */
#define SYNC_MS 10000
/* The guest writes out what it has: on a slow disk that takes a while. */
#define FREEZE_MS 60000
#define COMMAND_MS 30000
/* No guest stays frozen longer than that, whatever we are at. */
#define LIMIT_MS 60000

typedef struct _VmpFreeze VmpFreeze;
struct _VmpFreeze {
    VmpAgent *agent;
    VmpThawGuard *guard; /* NULL unless frozen by us */
    gint64 count;        /* how many are frozen */
    gint64 since;        /* on the monotonic clock */
};

/* ---- the agent ---- */

void
vmp_machine_leave_agent(VmpMachine *machine)
{
    VmpFreeze *freeze = g_steal_pointer(&machine->freeze);

    if (!freeze)
        return;
    vmp_thaw_guard_leave(freeze->guard);
    vmp_agent_free(freeze->agent);
    g_free(freeze);
}

/* A guest that is paused does not answer, however long one waits. */
static gboolean
require_running(VmpMachine *machine, GError **error)
{
    VmpState state = VMP_STATE_SHUTOFF;

    if (!vmp_machine_query_state(machine, &state, NULL, error))
        return FALSE;
    if (state == VMP_STATE_RUNNING)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_FAILED,
                    "not running but '%s': its guest agent cannot answer",
                    vmp_state_name(state));
}

static VmpFreeze *
connect_agent(VmpMachine *machine, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    if (machine->freeze)
        return machine->freeze;
    if (!require_running(machine, error))
        return NULL;

    g_autofree char *path = vmp_machine_get_agent_path(machine, error);
    VmpAgent *agent = path ? vmp_agent_connect(path, vmp_host_timeout(machine->host, SYNC_MS),
                                               cancellable, error)
                           : NULL;
    if (!agent)
        return NULL;
    machine->freeze = g_new0(VmpFreeze, 1);
    machine->freeze->agent = agent;
    return machine->freeze;
}

static VmpJson *
ask(VmpMachine *machine, VmpQmpCommand *command, int timeout_ms, GError **error)
{
    GCancellable *cancellable = vmp_machine_get_cancellable(machine);
    VmpFreeze *freeze = connect_agent(machine, cancellable, error);

    return freeze ? vmp_agent_execute(freeze->agent, command,
                                      vmp_host_timeout(machine->host, timeout_ms), cancellable,
                                      error)
                  : NULL;
}

/* The number in an answer (or NULL); -1 if there is none. */
static gint64
read_number(VmpJson *answer, VmpQmpCommand *command, GError **error)
{
    if (!answer)
        return -1;
    if (!json_object_is_type(answer, json_type_int) || json_object_get_int64(answer) < 0) {
        vmp_fail(error, VMP_ERROR_INVALID, "the guest agent's answer to '%s' is no number",
                 vmp_qmp_command_get_name(command));
        return -1;
    }
    return json_object_get_int64(answer);
}

/* ---- the debt ---- */

static char *
debt_path(VmpMachine *machine)
{
    g_autofree char *name = g_strconcat(machine->row->uuid, ".frozen", NULL);

    return g_build_filename(machine->host->runtime_dir, name, NULL);
}

gboolean
vmp_machine_owes_thaw(VmpMachine *machine)
{
    g_autofree char *path = debt_path(machine);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static gboolean
forgive_debt(VmpMachine *machine, GError **error)
{
    g_autofree char *path = debt_path(machine);

    return vmp_file_remove(path, error);
}

/* ---- freezing ---- */

gboolean
vmp_machine_check_can_freeze(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_agent_guest_fsfreeze_status();
    g_autoptr(VmpJson) status = ask(machine, command, COMMAND_MS, error);

    if (!status)
        return FALSE;
    if (!json_object_is_type(status, json_type_string) ||
        strcmp(json_object_get_string(status), "thawed") != 0)
        return vmp_fail(error, VMP_ERROR_BUSY,
                        "the guest's file systems are frozen already, by somebody else "
                        "(domfsthaw thaws them)");
    return TRUE;
}

/* The debt is on record, and somebody is there to pay it. */
static gboolean
go_into_debt(VmpMachine *machine, GError **error)
{
    g_autofree char *path = debt_path(machine);
    g_autoptr(GError) failure = NULL;

    if (!vmp_file_replace(path, "", 0, 0600, error))
        return FALSE;
    machine->freeze->guard =
        vmp_thaw_guard_new(vmp_agent_get_fd(machine->freeze->agent), path, LIMIT_MS, &failure);
    if (machine->freeze->guard)
        return TRUE;
    vmp_file_remove(path, NULL);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean
end_debt(VmpMachine *machine, GError **error)
{
    vmp_thaw_guard_dismiss(g_steal_pointer(&machine->freeze->guard));
    return forgive_debt(machine, error);
}

gboolean
vmp_machine_freeze(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_agent_guest_fsfreeze_freeze(NULL);
    g_autoptr(GError) failure = NULL;

    if (!vmp_machine_check_can_freeze(machine, error) || !go_into_debt(machine, error))
        return FALSE;

    machine->freeze->since = g_get_monotonic_time();
    g_autoptr(VmpJson) answer = ask(machine, command, FREEZE_MS, &failure);
    machine->freeze->count = read_number(answer, command, &failure);
    if (machine->freeze->count >= 0)
        return TRUE;
    /* An agent that refuses has thawed again what it had frozen. */
    if (vmp_error_is(failure, VMP_ERROR_REFUSED))
        end_debt(machine, NULL);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* ---- thawing ---- */

/* -1 on failure; an agent that still was at work is waited for.  Cancelling what we were at
 * does not cancel this. */
static gint64
thaw(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_agent_guest_fsfreeze_thaw();
    VmpFreeze *freeze = connect_agent(machine, NULL, error);

    if (!freeze || (vmp_agent_is_behind(freeze->agent) &&
                    !vmp_agent_sync(freeze->agent, vmp_host_timeout(machine->host, SYNC_MS),
                                    NULL, error)))
        return -1;
    g_autoptr(VmpJson) answer = vmp_agent_execute(
        freeze->agent, command, vmp_host_timeout(machine->host, COMMAND_MS), NULL, error);
    return read_number(answer, command, error);
}

static void
report(VmpMachine *machine, gint64 thawed)
{
    const VmpFreeze *freeze = machine->freeze;
    gint64 window_ms = (g_get_monotonic_time() - freeze->since) / G_TIME_SPAN_MILLISECOND;

    vmp_operation_note(machine->operation,
                       "froze %" G_GINT64_FORMAT
                       " of the guest's file systems for %" G_GINT64_FORMAT " ms",
                       freeze->count, window_ms);
    if (window_ms >= LIMIT_MS || (thawed == 0 && freeze->count > 0))
        vmp_operation_warn(
            machine->operation,
            "the guest's file systems did not stay frozen all the time; what was "
            "made meanwhile may hold them in the midst of a change");
}

gboolean
vmp_machine_pay_thaw(VmpMachine *machine, GError **error)
{
    if (!vmp_machine_owes_thaw(machine))
        return TRUE;
    if (!vmp_machine_is_on(machine))
        return forgive_debt(machine, error);

    gint64 thawed = thaw(machine, error);
    if (thawed < 0)
        return FALSE;
    if (machine->freeze->since)
        report(machine, thawed);
    machine->freeze->since = 0;
    return end_debt(machine, error);
}

void
vmp_machine_settle_freeze(VmpMachine *machine)
{
    g_autoptr(GError) failure = NULL;

    if (!vmp_machine_owes_thaw(machine))
        return;
    if (!vmp_machine_pay_thaw(machine, &failure)) {
        vmp_operation_warn(
            machine->operation,
            "the guest's file systems may still be frozen (domfsthaw thaws them): "
            "%s",
            failure->message);
        return;
    }
    vmp_operation_note(
        machine->operation,
        "domain %s: thawed the guest's file systems after an interrupted command",
        vmp_machine_get_name(machine));
}

void
vmp_machine_settle_running_freeze(VmpMachine *machine)
{
    if (vmp_machine_owes_thaw(machine) &&
        (!vmp_machine_is_on(machine) || require_running(machine, NULL)))
        vmp_machine_settle_freeze(machine);
}

/* ---- because somebody asked for it ---- */

int
vmp_machine_freeze_filesystems(VmpMachine *machine, const char *const *mountpoints,
                               GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_agent_guest_fsfreeze_freeze(mountpoints);
    g_autoptr(VmpJson) answer = ask(machine, command, FREEZE_MS, error);

    return (int)read_number(answer, command, error);
}

int
vmp_machine_thaw_filesystems(VmpMachine *machine, GError **error)
{
    gint64 thawed = thaw(machine, error);

    return thawed < 0 || !forgive_debt(machine, error) ? -1 : (int)thawed;
}

gboolean
vmp_machine_trim_filesystems(VmpMachine *machine, guint64 minimum, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_agent_guest_fstrim(minimum);
    g_autoptr(VmpJson) answer = ask(machine, command, FREEZE_MS, error);

    return answer != NULL;
}

VmpJson *
vmp_machine_query_filesystems(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_agent_guest_get_fsinfo();
    g_autoptr(VmpJson) answer = ask(machine, command, COMMAND_MS, error);

    if (answer && !json_object_is_type(answer, json_type_array))
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "the guest agent's answer to 'guest-get-fsinfo' is no list");
    return g_steal_pointer(&answer);
}
