/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* create-memory-file { "path", "mark", "reserve": bytes, "live" }
 * stop-for-memory    { "was-running" }
 * save-memory        { "path", "mark", "was-running" }
 * wake               { "was-running" }
 * seal-memory        { "path" }
 *
 * The guest is stopped while QEMU writes its RAM into the file, so that RAM and disks are of
 * one instant.  Having written it, QEMU has let go of its images; only running again takes
 * them back, so that a guest which was paused is let run and stopped again in one breath.
 */

#include "base/error.h"
#include "plan/stamp.h"
#include "point/memory-lost.h"
#include "point/migration.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/ram-file.h"

static guint64
mark_of(const VmpStep *step)
{
    return (guint64)vmp_json_get_int(step->args, "mark", 0);
}

static const char *
path_of(const VmpStep *step)
{
    return vmp_json_get_string(step->args, "path");
}

static gboolean
was_running(const VmpStep *step)
{
    return vmp_json_get_bool(step->args, "was-running", FALSE);
}

/* ---- create-memory-file ---- */

static gboolean
create_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    g_auto(VmpFd) fd =
        vmp_ram_file_create(path_of(step), mark_of(step),
                            (guint64)vmp_json_get_int(step->args, "reserve", 0), error);

    return fd >= 0;
}

static gboolean
create_undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    return vmp_ram_file_remove(path_of(step), mark_of(step), error);
}

static char *
create_describe(const VmpStep *step)
{
    return g_strdup_printf("make memory file '%s'", path_of(step));
}

const VmpStepKind vmp_step_create_memory_file = {
    .name = "create-memory-file",
    .apply = create_apply,
    .undo = create_undo,
    .describe = create_describe,
};

/* ---- stop-for-memory, wake ---- */

static gboolean
stop_apply(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    return vmp_change_run(change, vmp_qmp_stop(), error);
}

static gboolean
wake_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client =
        vmp_machine_is_on(change->machine) ? vmp_change_get_client(change, error) : NULL;

    return !vmp_machine_is_on(change->machine) ||
           (client && vmp_migration_wake(client, was_running(step), error));
}

static char *
stop_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("pause the guest");
}

static void
stop_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_stop());
}

const VmpStepKind vmp_step_stop_for_memory = {
    .name = "stop-for-memory",
    .apply = stop_apply,
    .undo = wake_apply,
    .describe = stop_describe,
    .commands = stop_commands,
};

static char *
wake_describe(const VmpStep *step)
{
    return g_strdup(was_running(step) ? "let the guest run" : "leave the guest paused");
}

static void
wake_commands(const VmpStep *step, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_cont());
    if (!was_running(step))
        g_ptr_array_add(commands, vmp_qmp_stop());
}

const VmpStepKind vmp_step_wake = {
    .name = "wake",
    .apply = wake_apply,
    .describe = wake_describe,
    .commands = wake_commands,
};

/* ---- save-memory ---- */

static guint64
read_bandwidth(VmpQmpClient *client)
{
    g_autoptr(VmpJson) reply =
        vmp_migration_ask(client, vmp_qmp_query_migrate_parameters(), NULL);

    return (guint64)vmp_json_get_int(reply, "max-bandwidth", 0);
}

static gboolean
migrate_to(VmpQmpClient *client, int fd, VmpChange *change, GError **error)
{
    return vmp_qmp_client_run(client, vmp_qmp_migrate_set_capability("events", TRUE), NULL,
                              error) &&
           vmp_migration_give(client, fd, error) &&
           vmp_qmp_client_run(client, vmp_qmp_migrate(VMP_MIGRATION_URI), NULL, error) &&
           vmp_migration_finish(client, change->operation, vmp_change_get_cancellable(change),
                                error) &&
           vmp_migration_settle(client, error);
}

static gboolean
save_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_auto(VmpFd) fd = client ? vmp_ram_file_reopen(path_of(step), mark_of(step), error) : -1;
    if (fd < 0)
        return FALSE;

    /* One that somebody left on would let the guest run on; where it is not known it is off.
     */
    vmp_qmp_client_run(client, vmp_qmp_migrate_set_capability(VMP_MIGRATION_BACKGROUND, FALSE),
                       NULL, NULL);
    guint64 bandwidth = read_bandwidth(client);
    if (!vmp_qmp_client_run(client, vmp_qmp_migrate_set_max_bandwidth(VMP_MIGRATION_NO_LIMIT),
                            NULL, error))
        return FALSE;
    gboolean saved = migrate_to(client, fd, change, error);
    if (bandwidth > 0 && vmp_qmp_client_get_state(client) == VMP_QMP_READY)
        vmp_qmp_client_run(client, vmp_qmp_migrate_set_max_bandwidth(bandwidth), NULL, NULL);
    return saved && vmp_ram_file_note_length(path_of(step), error);
}

/* A migration of a stopped guest to a file can be cancelled without harm. */
static gboolean
save_undo(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    if (!vmp_machine_is_on(change->machine))
        return TRUE;

    g_autoptr(GError) failure = NULL;
    VmpQmpClient *client = vmp_change_get_client(change, error);
    if (!client || !vmp_qmp_client_run(client, vmp_qmp_migrate_cancel(), NULL, error))
        return FALSE;
    /* However it ended, it has. */
    if (vmp_migration_finish(client, NULL, NULL, &failure) ||
        vmp_error_is(failure, VMP_ERROR_REFUSED))
        return vmp_migration_settle(client, error);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static char *
save_describe(const VmpStep *step)
{
    return g_strdup_printf("save the RAM in '%s'", path_of(step));
}

static void
save_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_migrate_set_max_bandwidth(VMP_MIGRATION_NO_LIMIT));
    g_ptr_array_add(commands, vmp_qmp_migrate_set_capability("events", TRUE));
    g_ptr_array_add(commands, vmp_qmp_getfd(VMP_MIGRATION_FD));
    g_ptr_array_add(commands, vmp_qmp_migrate(VMP_MIGRATION_URI));
}

const VmpStepKind vmp_step_save_memory = {
    .name = "save-memory",
    .apply = save_apply,
    .undo = save_undo,
    .describe = save_describe,
    .commands = save_commands,
};

/* ---- seal-memory ---- */

/* Done again by recovery, which costs nothing: the store is to be told what is in the file.
 *
 * The disks have switched: without the RAM the snapshot is one of the disks, and says so. */
static gboolean
seal_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (vmp_ram_file_seal(path_of(step), &failure)) {
        g_autofree char *hash = vmp_ram_file_read_hash(path_of(step));
        vmp_stamp_keep_content(change->machine, path_of(step), hash, change->edits);
        return TRUE;
    }
    if (vmp_memory_is_lost(failure)) {
        vmp_memory_demote(change, path_of(step));
        g_prefix_error(&failure, "the snapshot is one of the disks alone: ");
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static char *
seal_describe(const VmpStep *step)
{
    return g_strdup_printf("complete memory file '%s'", path_of(step));
}

const VmpStepKind vmp_step_seal_memory = {
    .name = "seal-memory",
    .apply = seal_apply,
    .describe = seal_describe,
};
