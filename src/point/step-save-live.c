/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* set-background { "path", "mark" }
 * save-live      { "path", "mark", "was-running", "bandwidth": of before }
 *
 * A live save stops the guest only for the switch of the disks and for QEMU to protect the RAM
 * against writing; then the guest runs on, each page being saved before it changes.  Whatever
 * can be done before the guest stops is done by set-background: QEMU has the file, and its RAM
 * is in huge pages, of which there are few to protect.
 *
 * QEMU 7.2 has no way back from there: a save that fails or is cancelled leaves a guest that
 * hangs for ever.  So there is space for all of it beforehand, the file is QEMU's own to
 * write, and nothing cancels it; whoever comes after a killed vmpoint waits for its end.
 */

#include "base/error.h"
#include "base/fault.h"
#include "machine/huge-pages.h"
#include "point/memory-lost.h"
#include "point/migration.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/ram-file.h"

static const char *
path_of(const VmpStep *step)
{
    return vmp_json_get_string(step->args, "path");
}

/* ---- set-background ---- */

static gboolean
give_file(const VmpStep *step, VmpQmpClient *client, GError **error)
{
    g_auto(VmpFd) fd = vmp_ram_file_reopen(
        path_of(step), (guint64)vmp_json_get_int(step->args, "mark", 0), error);

    return fd >= 0 && vmp_migration_give(client, fd, error);
}

static gboolean
get_ready(const VmpStep *step, VmpChange *change, VmpQmpClient *client, GError **error)
{
    GPid pid = vmp_machine_get_pid(change->machine);

    if (pid > 0)
        vmp_huge_pages_gather(pid);
    return vmp_qmp_client_run(client,
                              vmp_qmp_migrate_set_max_bandwidth(VMP_MIGRATION_NO_LIMIT), NULL,
                              error) &&
           vmp_qmp_client_run(client, vmp_qmp_migrate_set_capability("events", TRUE), NULL,
                              error) &&
           give_file(step, client, error);
}

static gboolean
background_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GError) failure = NULL;
    VmpQmpClient *client = vmp_change_get_client(change, error);

    if (!client || !get_ready(step, change, client, error))
        return FALSE;
    if (vmp_qmp_client_run(client,
                           vmp_qmp_migrate_set_capability(VMP_MIGRATION_BACKGROUND, TRUE),
                           NULL, &failure))
        return TRUE;
    if (!vmp_error_is(failure, VMP_ERROR_REFUSED)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    /* The save is then one of a guest that is stopped meanwhile: slower, as right. */
    vmp_operation_note(change->operation, "the guest is paused while its RAM is saved: %s",
                       failure->message);
    return TRUE;
}

static gboolean
background_undo(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    VmpQmpClient *client =
        vmp_machine_is_on(change->machine) ? vmp_change_get_client(change, error) : NULL;

    if (!client)
        return !vmp_machine_is_on(change->machine);
    /* Refused where it is not known, and so not on; and where there is no file any more, whose
     * space QEMU would keep from others. */
    vmp_qmp_client_run(client, vmp_qmp_migrate_set_capability(VMP_MIGRATION_BACKGROUND, FALSE),
                       NULL, NULL);
    vmp_qmp_client_run(client, vmp_qmp_closefd(VMP_MIGRATION_FD), NULL, NULL);
    return TRUE;
}

static char *
background_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("have the RAM saved while the guest runs");
}

static void
background_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_migrate_set_max_bandwidth(VMP_MIGRATION_NO_LIMIT));
    g_ptr_array_add(commands, vmp_qmp_migrate_set_capability("events", TRUE));
    g_ptr_array_add(commands, vmp_qmp_getfd(VMP_MIGRATION_FD));
    g_ptr_array_add(commands, vmp_qmp_migrate_set_capability(VMP_MIGRATION_BACKGROUND, TRUE));
}

const VmpStepKind vmp_step_set_background = {
    .name = "set-background",
    .apply = background_apply,
    .undo = background_undo,
    .describe = background_describe,
    .commands = background_commands,
};

/* ---- save-live ---- */

static gboolean
start_live(const VmpStep *step, VmpQmpClient *client, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (vmp_qmp_client_run(client, vmp_qmp_migrate(VMP_MIGRATION_URI), NULL, &failure))
        return TRUE;
    /* An older vmpoint has begun this, and did not give the file yet. */
    if (vmp_error_is(failure, VMP_ERROR_REFUSED) && give_file(step, client, NULL) &&
        vmp_qmp_client_run(client, vmp_qmp_migrate(VMP_MIGRATION_URI), NULL, NULL))
        return TRUE;
    vmp_qmp_client_run(client, vmp_qmp_closefd(VMP_MIGRATION_FD), NULL, NULL);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* Newer QEMUs leave a guest stopped that we have stopped. */
static gboolean
let_run(const VmpStep *step, VmpQmpClient *client, GError **error)
{
    return vmp_migration_wait_begun(client, NULL, error) &&
           vmp_migration_settle(client, error) &&
           vmp_migration_wake(client, vmp_json_get_bool(step->args, "was-running", FALSE),
                              error);
}

/* In one round trip: the guest waits. */
static gboolean
look(VmpQmpClient *client, gboolean *under_way, gboolean *running, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(GPtrArray) replies = NULL;

    g_ptr_array_add(commands, vmp_qmp_query_migrate());
    g_ptr_array_add(commands, vmp_qmp_query_status());
    if (!vmp_qmp_client_execute_all(client, commands, &replies, NULL, error))
        return FALSE;
    *under_way = vmp_migration_is_under_way(g_ptr_array_index(replies, 0));
    vmp_qmp_read_status(g_ptr_array_index(replies, 1), running);
    return TRUE;
}

/* The guest has stood still since the disks switched. */
static gboolean
start_if_due(const VmpStep *step, VmpQmpClient *client, GError **error)
{
    gboolean under_way = FALSE, running = FALSE;

    if (!look(client, &under_way, &running, error))
        return FALSE;
    if (under_way || vmp_ram_file_is_begun(path_of(step)))
        return TRUE;
    if (running)
        return vmp_fail(
            error, VMP_ERROR_INCONSISTENT,
            "the guest was let run before its RAM was saved: the snapshot is without it");
    return start_live(step, client, error);
}

static gboolean
save_live(const VmpStep *step, VmpChange *change, VmpQmpClient *client, GError **error)
{
    /* Whoever is killed from here on leaves a QEMU that goes on by itself; so does one who
     * does not want to wait, although the commit step is behind. */
    return start_if_due(step, client, error) && vmp_fault("memory-under-way", error) &&
           let_run(step, client, error) &&
           vmp_migration_finish(client, change->operation,
                                vmp_operation_get_cancellable(change->operation), error) &&
           vmp_migration_settle(client, error) &&
           vmp_ram_file_note_length(path_of(step), error);
}

static gboolean
save_live_if_on(const VmpStep *step, VmpChange *change, GError **error)
{
    if (!vmp_machine_is_on(change->machine))
        return vmp_fail(error, VMP_ERROR_DAMAGED, "QEMU ended meanwhile");

    VmpQmpClient *client = vmp_change_get_client(change, error);
    if (!client || !save_live(step, change, client, error))
        return FALSE;
    /* As it was; what is refused here was never on. */
    gint64 bandwidth = vmp_json_get_int(step->args, "bandwidth", 0);
    vmp_qmp_client_run(client, vmp_qmp_migrate_set_capability(VMP_MIGRATION_BACKGROUND, FALSE),
                       NULL, NULL);
    if (bandwidth > 0)
        vmp_qmp_client_run(client, vmp_qmp_migrate_set_max_bandwidth((guint64)bandwidth), NULL,
                           NULL);
    return TRUE;
}

static gboolean
save_for_a_while(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client =
        vmp_machine_is_on(change->machine) ? vmp_change_get_client(change, error) : NULL;
    if (!client)
        return !vmp_machine_is_on(change->machine) && save_live_if_on(step, change, error);

    G_GNUC_UNUSED g_auto(VmpQmpTimeout) timeout =
        vmp_qmp_timeout_begin(client, VMP_MEMORY_ANSWER_TIMEOUT_MS);
    return save_live_if_on(step, change, error);
}

/* A conversation that got no answer in time is over; QEMU may still be there for another. */
static gboolean
begin_anew(VmpChange *change)
{
    gboolean closed = vmp_change_close_session(change, NULL);

    vmp_machine_forget_monitor(change->machine);
    return closed;
}

/* QEMU's main loop may hang with the guest, and then does not answer at all. */
static gboolean
save_with_patience(const VmpStep *step, VmpChange *change, GError **error)
{
    for (guint left = VMP_MEMORY_PATIENCE;; left--) {
        g_autoptr(GError) failure = NULL;

        if (save_for_a_while(step, change, &failure))
            return TRUE;
        if (vmp_error_is(failure, VMP_ERROR_TIMED_OUT) && begin_anew(change)) {
            if (vmp_memory_is_hung(change->machine, path_of(step)))
                return vmp_fail(error, VMP_ERROR_DAMAGED, "the guest hung, and QEMU with it");
            if (left > 0)
                continue;
        }
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
}

/* See seal-memory for what becomes of the snapshot. */
static gboolean
live_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (save_with_patience(step, change, &failure))
        return TRUE;
    if (vmp_error_is(failure, VMP_ERROR_INTERRUPTED))
        g_prefix_error(
            &failure,
            "QEMU goes on saving the RAM, and the next command for the domain waits for "
            "its end: ");
    if (!vmp_memory_is_lost(failure)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    vmp_operation_warn(change->operation, "the RAM could not be saved: %s", failure->message);
    vmp_memory_give_up(change->machine, path_of(step));
    return TRUE;
}

static VmpProbe
live_probe(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    return vmp_ram_file_is_complete(path_of(step)) ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
live_describe(const VmpStep *step)
{
    return g_strdup_printf("save the RAM in '%s'", path_of(step));
}

static void
live_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_migrate(VMP_MIGRATION_URI));
}

const VmpStepKind vmp_step_save_live = {
    .name = "save-live",
    .apply = live_apply,
    .probe = live_probe,
    .describe = live_describe,
    .commands = live_commands,
};
