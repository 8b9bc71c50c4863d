/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life of a machine: starting it, ending it, and what is in between. */

#include <signal.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/process.h"
#include "machine/freeze.h"
#include "machine/firmware.h"
#include "machine/instance-end.h"
#include "machine/instance-start.h"
#include "machine/machine-private.h"
#include "machine/servers.h"
#include "machine/spare.h"
#include "machine/state.h"
#include "machine/tpm.h"
#include "qmp/commands.h"

#define QUIT_TIMEOUT_MS 5000
#define UNKNOWN_TIMEOUT_MS 10000

static gboolean
send_command(VmpMachine *machine, VmpQmpCommand *command /* taken */, GError **error)
{
    return vmp_qmp_client_run(vmp_machine_get_monitor(machine, error), command,
                              vmp_machine_get_cancellable(machine), error);
}

/* ---- the guest's first step ---- */

/* The guest is to give back what is above <currentMemory>, as soon as it can. */
static gboolean
inflate_balloon(VmpMachine *machine, const VmpDomain *definition, GError **error)
{
    guint64 current = vmp_domain_get_current_memory(definition);
    const char *model = vmp_domain_get_memballoon(definition);

    if (current >= vmp_domain_get_memory(definition) || g_strcmp0(model, "none") == 0)
        return TRUE;
    return send_command(machine, vmp_qmp_balloon(current), error);
}

/* A crash of ours before this leaves a guest that waits; a crash in it one that the next
 * command lets run. */
static gboolean
let_run(VmpMachine *machine, const VmpDomain *definition, GError **error)
{
    return inflate_balloon(machine, definition, error) &&
           send_command(machine, vmp_qmp_cont(), error) && vmp_fault("qemu-runs", error) &&
           vmp_instance_note_started(machine->instance, VMP_INSTANCE_MACHINE, error);
}

/* ---- what a CHANGE finds ---- */

static gboolean
discard_instance(VmpMachine *machine, GError **error)
{
    if (!vmp_instance_kill(machine->instance, QUIT_TIMEOUT_MS, NULL))
        return vmp_fail(error, VMP_ERROR_BUSY, "domain %s: process %d does not end",
                        machine->row->name, (int)machine->instance->process.pid);
    vmp_instance_remove_files(machine->instance, VMP_INSTANCE_MACHINE);
    g_clear_pointer(&machine->instance, vmp_instance_free);
    return TRUE;
}

/* A start whose vmpoint died when all was done but the word to run. */
static void
finish_start(VmpMachine *machine)
{
    g_autoptr(GError) failure = NULL;
    const VmpDomain *definition = vmp_machine_get_active(machine, &failure);
    g_autofree char *status = definition ? vmp_machine_ask_status(machine, &failure) : NULL;

    /* Nothing but a start leaves a QEMU in that state. */
    if (g_strcmp0(status, "prelaunch") == 0 && let_run(machine, definition, &failure))
        vmp_operation_note(machine->operation, "domain %s: finished its start",
                           machine->row->name);
    else if (status && !failure)
        vmp_instance_note_started(machine->instance, VMP_INSTANCE_MACHINE, &failure);
    /* What cannot be asked can still be ended. */
    if (failure)
        vmp_operation_note(machine->operation, "%s", failure->message);
}

/* What the QEMU says that the store takes for off; free with g_free(). */
static char *
ask_unknown(VmpMachine *machine, GError **error)
{
    g_autofree char *path = vmp_instance_path(machine->instance, "qmp");
    g_autoptr(VmpQmpClient) client =
        vmp_qmp_client_connect(path, vmp_host_timeout(machine->host, UNKNOWN_TIMEOUT_MS),
                               vmp_machine_get_cancellable(machine), error);
    if (!client)
        return NULL;

    vmp_machine_prepare_client(machine, client);
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_status();
    g_autoptr(VmpJson) reply =
        vmp_qmp_client_execute(client, command, vmp_machine_get_cancellable(machine), error);
    return reply ? g_strdup(vmp_qmp_read_status(reply, NULL)) : NULL;
}

/* The guest has run, so it is the store that has lost something: an older copy of it was put
 * back, for instance. */
static gboolean
take_back(VmpMachine *machine, const char *status, GError **error)
{
    g_autofree char *text = vmp_instance_read_definition(machine->instance, error);
    g_autoptr(VmpDomain) definition = text ? vmp_domain_parse(text, -1, error) : NULL;

    if (!definition || !vmp_machine_mark_on(machine, definition, vmp_run_state(status, NULL),
                                            "unknown", error))
        return FALSE;
    vmp_operation_warn(machine->operation,
                       "domain %s: the store had it as off, and its QEMU (pid %d) runs: it is "
                       "on",
                       machine->row->name, (int)machine->instance->process.pid);
    return TRUE;
}

/* A QEMU that lives, of a domain that is off: what a start that was cut has left, unless its
 * guest has been let run.  One of a start has a mark until then, or waits in "prelaunch". */
static gboolean
settle_unknown(VmpMachine *machine, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *status =
        machine->instance->starting ? NULL : ask_unknown(machine, &failure);

    if (status && !g_str_equal(status, "prelaunch") && !g_str_equal(status, "inmigrate"))
        return take_back(machine, status, error);
    if (failure && vmp_instance_is_alive(machine->instance)) {
        g_propagate_prefixed_error(error, g_steal_pointer(&failure),
                                   "domain %s: QEMU (pid %d), which the store does not know "
                                   "of, does not tell whether its guest runs: ",
                                   machine->row->name, (int)machine->instance->process.pid);
        return FALSE;
    }
    vmp_operation_note(machine->operation,
                       "domain %s: ended a QEMU whose start was not finished",
                       machine->row->name);
    return discard_instance(machine, error);
}

static gboolean
settle_own(VmpMachine *machine, GError **error)
{
    if (machine->instance && vmp_instance_is_alive(machine->instance)) {
        if (machine->row->active == 0)
            return settle_unknown(machine, error);
        if (machine->instance->starting)
            finish_start(machine);
        return TRUE;
    }

    gboolean in_order = machine->instance && vmp_instance_left_in_order(machine->instance);
    const char *reason = in_order ? "shutdown" : machine->instance ? "crashed" : "unknown";
    if (machine->row->active != 0 && !vmp_machine_mark_off(machine, reason, error))
        return FALSE;
    return !machine->instance || discard_instance(machine, error);
}

gboolean
vmp_machine_settle(VmpMachine *machine, GError **error)
{
    if (!vmp_machine_settle_spare(machine, error))
        return FALSE;
    if (!machine->row->qmp_path) {
        if (!settle_own(machine, error))
            return FALSE;
    } else if (!machine->listens && !vmp_machine_mark_off(machine, "unknown", error)) {
        return FALSE;
    }
    vmp_instance_sweep(machine->host, machine->row->uuid);
    vmp_machine_settle_running_freeze(machine);

    if (machine->row->id == 0)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                        "domain '%s' is not known any more: its QEMU has ended and it had no "
                        "definition of its own",
                        machine->row->name);
    return TRUE;
}

/* ---- starting ---- */

/* The new QEMU is there, stopped.  From here on a failure must end it again. */
static gboolean
set_off(VmpMachine *machine, const VmpDomain *definition, VmpStartFlags flags, GError **error)
{
    gboolean paused = flags & VMP_START_PAUSED;

    /* The row first: a guest that runs is one that we know of. */
    if (!vmp_machine_mark_on(machine, definition,
                             paused ? VMP_STATE_PAUSED : VMP_STATE_RUNNING,
                             paused ? "user" : "booted", error))
        return FALSE;
    return vmp_fault("qemu-marked-on", error) &&
           (paused ? inflate_balloon(machine, definition, error)
                   : let_run(machine, definition, error));
}

static void
undo_start(VmpMachine *machine)
{
    vmp_machine_hang_up(machine);
    discard_instance(machine, NULL);
    if (machine->row->active != 0)
        vmp_machine_mark_off(machine, "failed", NULL);
}

/* Makes a QEMU that waits, stopped, with all that the definition has. */
static gboolean
make_ready(VmpMachine *machine, const VmpDomain *definition, VmpStartFlags flags,
           GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", machine->row->name);
    g_auto(VmpFirmware) firmware = { 0 };
    g_autoptr(VmpQmpClient) monitor = NULL;

    if (!vmp_tpm_check(definition, error) || !vmp_servers_look(definition, error) ||
        !vmp_firmware_prepare(machine, definition, flags & VMP_START_RESET_NVRAM, &firmware,
                              error))
        return FALSE;
    g_autofree char *tpm_folder = vmp_tpm_folder(machine->host, machine->row->uuid);
    VmpInstanceSpec spec = {
        .definition = definition,
        .firmware = &firmware,
        .tpm_folder = tpm_folder,
        .starting = !(flags & VMP_START_PAUSED),
    };
    VmpInstance *instance =
        vmp_instance_start(machine->host, machine->row->uuid, VMP_INSTANCE_MACHINE, &spec,
                           &monitor, vmp_machine_get_cancellable(machine), error);
    if (!instance)
        return FALSE;
    vmp_machine_adopt(machine, instance, g_steal_pointer(&monitor));
    return TRUE;
}

gboolean
vmp_machine_start_with(VmpMachine *machine, const VmpDomain *definition, VmpStartFlags flags,
                       GError **error)
{
    if (vmp_machine_is_on(machine))
        return vmp_fail(error, VMP_ERROR_FAILED, "domain %s is already active",
                        machine->row->name);
    if (!make_ready(machine, definition, flags, error))
        return FALSE;
    if (set_off(machine, definition, flags, error))
        return TRUE;
    undo_start(machine);
    return FALSE;
}

gboolean
vmp_machine_start(VmpMachine *machine, VmpStartFlags flags, GError **error)
{
    g_autoptr(GError) failure = NULL;
    const VmpDomain *definition = vmp_machine_get_inactive(machine, &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!definition)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "domain %s has no definition to start",
                        machine->row->name);
    return vmp_machine_start_with(machine, definition, flags, error);
}

/* ---- ending ---- */

static gboolean
is_dead(gpointer data)
{
    return vmp_qmp_client_get_state(data) == VMP_QMP_DEAD;
}

/* Asks QEMU to end, and gives it time to hang up. */
static gboolean
quit(VmpMachine *machine, GError **error)
{
    VmpQmpClient *client = vmp_machine_connect(machine, QUIT_TIMEOUT_MS, error);
    if (!client)
        return FALSE;

    g_autoptr(VmpQmpCommand) command = vmp_qmp_quit();
    g_autoptr(GError) failure = NULL;
    vmp_qmp_client_set_timeout(client, QUIT_TIMEOUT_MS);
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, &failure);

    /* One that hangs up instead of answering has done what it was asked. */
    if (!reply && !vmp_error_is(failure, VMP_ERROR_DISCONNECTED)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    vmp_qmp_client_wait(client, is_dead, client, QUIT_TIMEOUT_MS, NULL, NULL);
    return TRUE;
}

static gboolean
end_attached(VmpMachine *machine, GError **error)
{
    if (!quit(machine, error))
        return FALSE;
    if (vmp_machine_is_on(machine))
        return vmp_fail(error, VMP_ERROR_TIMED_OUT,
                        "domain %s: QEMU did not end; it is not "
                        "vmpoint's to kill",
                        machine->row->name);
    return TRUE;
}

static gboolean
end_gracefully(VmpMachine *machine, GError **error)
{
    const VmpProcess *process = &machine->instance->process;

    /* SIGTERM asks as `quit` does. */
    vmp_process_kill(process->pid, process->start_time, SIGTERM);
    if (vmp_process_wait_gone(process->pid, process->start_time, QUIT_TIMEOUT_MS))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_TIMED_OUT,
                    "domain %s: QEMU (pid %d) was asked to end and "
                    "does not",
                    machine->row->name, (int)process->pid);
}

static gboolean
end_own(VmpMachine *machine, VmpDestroyFlags flags, GError **error)
{
    const VmpProcess *process = &machine->instance->process;
    gboolean killed = FALSE;

    /* Why it does not answer does not matter: there are other ways. */
    if (quit(machine, NULL) &&
        vmp_process_wait_gone(process->pid, process->start_time, QUIT_TIMEOUT_MS))
        return TRUE;
    if (flags & VMP_DESTROY_GRACEFUL)
        return end_gracefully(machine, error);

    if (!vmp_instance_kill(machine->instance, QUIT_TIMEOUT_MS, &killed))
        return vmp_fail(error, VMP_ERROR_TIMED_OUT,
                        "domain %s: QEMU (pid %d) outlives SIGKILL: "
                        "it hangs in the kernel",
                        machine->row->name, (int)process->pid);
    if (killed)
        vmp_operation_warn(
            machine->operation,
            "domain %s: QEMU did not answer and was killed; bitmaps of its disks "
            "are inconsistent now",
            machine->row->name);
    return TRUE;
}

gboolean
vmp_machine_end_process(VmpMachine *machine, VmpDestroyFlags flags, GError **error)
{
    gboolean ended =
        machine->row->qmp_path ? end_attached(machine, error) : end_own(machine, flags, error);

    if (!ended || !vmp_fault("qemu-ended", error))
        return FALSE;
    vmp_machine_hang_up(machine);
    machine->listens = FALSE;
    if (machine->instance)
        vmp_instance_remove_files(machine->instance, VMP_INSTANCE_MACHINE);
    g_clear_pointer(&machine->instance, vmp_instance_free);
    return TRUE;
}

gboolean
vmp_machine_destroy(VmpMachine *machine, VmpDestroyFlags flags, GError **error)
{
    return vmp_machine_require_on(machine, error) &&
           vmp_machine_end_process(machine, flags, error) &&
           vmp_fault("qemu-cleared", error) &&
           vmp_machine_mark_off(machine, "destroyed", error);
}

/* ---- in between ---- */

gboolean
vmp_machine_shutdown(VmpMachine *machine, GError **error)
{
    return vmp_machine_require_on(machine, error) &&
           send_command(machine, vmp_qmp_system_powerdown(), error);
}

gboolean
vmp_machine_suspend(VmpMachine *machine, GError **error)
{
    VmpState state;

    if (!vmp_machine_require_on(machine, error) ||
        !vmp_machine_query_state(machine, &state, NULL, error))
        return FALSE;
    if (state == VMP_STATE_PAUSED)
        return TRUE;
    return send_command(machine, vmp_qmp_stop(), error) &&
           vmp_machine_mark_state(machine, VMP_STATE_PAUSED, "user", error);
}

gboolean
vmp_machine_resume(VmpMachine *machine, GError **error)
{
    VmpState state;

    if (!vmp_machine_require_on(machine, error) ||
        !vmp_machine_query_state(machine, &state, NULL, error))
        return FALSE;
    if (state != VMP_STATE_PAUSED)
        return vmp_fail(error, VMP_ERROR_FAILED,
                        "domain %s is %s: only a paused one can be "
                        "resumed",
                        machine->row->name, vmp_state_name(state));
    return send_command(machine, vmp_qmp_cont(), error) &&
           vmp_machine_mark_state(machine, VMP_STATE_RUNNING, "unpaused", error);
}

gboolean
vmp_machine_reset(VmpMachine *machine, GError **error)
{
    return vmp_machine_require_on(machine, error) &&
           send_command(machine, vmp_qmp_system_reset(), error);
}
