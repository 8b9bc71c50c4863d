/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* create-memory-file { "path", "mark", "reserve": bytes, "live" }
 * set-background     { }
 * stop-for-memory    { "was-running" }
 * save-memory        { "path", "mark", "was-running" }
 * save-live          { "path", "mark", "was-running", "bandwidth": of before }
 * wake               { "was-running" }
 * seal-memory        { "path" }
 * load-spare         { "file", "definition": id of the store, "nvram": path or none }
 * switch-to-spare    { "definition" }
 *
 * The guest is stopped while QEMU writes its RAM into the file, so that RAM and disks are of one
 * instant.  Having written it, QEMU has let go of its images; only running again takes them back,
 * so that a guest which was paused is let run and stopped again in one breath.
 *
 * A live save stops the guest only for the switch of the disks and for QEMU to protect the RAM
 * against writing; then the guest runs on, each page being saved before it changes.  QEMU 7.2 has
 * no way back from there: a save that fails or is cancelled leaves a guest that hangs for ever.  So
 * there is space for all of it beforehand, the file is QEMU's own to write, and nothing cancels it;
 * whoever comes after a killed vmpoint waits for its end.
 *
 * The way back is a second process that has loaded the RAM before the present one ends.
 */

#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "machine/instance.h"
#include "machine/spare.h"
#include "point/memory.h"
#include "point/memory-lost.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/ram-file.h"

#define FD_NAME "vmp-memory"
#define BACKGROUND "background-snapshot"
#define NO_LIMIT ((guint64)1 << 40) /* bytes per second */
/* How long QEMU may take to answer while it saves live, and how often one looks whether it hangs. */
#define ANSWER_TIMEOUT_MS 5000
#define PATIENCE 12
/* How often a wait looks by itself. */
#define LOOK_INTERVAL_MS 500
/* The run state follows a migration's end without an event of its own. */
#define RUN_STATE_INTERVAL_MS 2

static VmpJson *
run(VmpQmpClient *client, VmpQmpCommand *command /* taken */, GError **error)
{
    g_autoptr(VmpQmpCommand) owned = command;

    return client ? vmp_qmp_client_execute(client, owned, NULL, error) : NULL;
}

static gboolean
send_command(VmpQmpClient *client, VmpQmpCommand *command /* taken */, GError **error)
{
    g_autoptr(VmpJson) reply = run(client, command, error);

    return reply != NULL;
}

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

/* ---- migrations ---- */

typedef struct {
    gboolean news;
} Watch;

static gboolean
is_end(const char *status)
{
    return g_strcmp0(status, "completed") == 0 || g_strcmp0(status, "failed") == 0
           || g_strcmp0(status, "cancelled") == 0;
}

static void
on_migration(VmpQmpClient *client G_GNUC_UNUSED, const char *event G_GNUC_UNUSED,
             VmpJson *data G_GNUC_UNUSED, gint64 timestamp_us G_GNUC_UNUSED, gpointer user_data)
{
    ((Watch *)user_data)->news = TRUE;
}

static gboolean
has_news(gpointer data)
{
    return ((const Watch *)data)->news;
}

static gboolean
never(gpointer data G_GNUC_UNUSED)
{
    return FALSE;
}

/* TRUE as well when it is only time for another look. */
static gboolean
wait_a_while(VmpQmpClient *client, VmpQmpDoneFunc done, gpointer data, int interval_ms,
             GCancellable *cancellable, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (vmp_qmp_client_wait(client, done, data, interval_ms, cancellable, &failure)
        || vmp_error_is(failure, VMP_ERROR_TIMED_OUT))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* The status that the migration ended with (@started: or goes on with after its setup); NULL if that
 * cannot be told.  Free with g_free(). */
static char *
wait_for_end(VmpQmpClient *client, Watch *watch, gboolean started, char **words,
             VmpOperation *operation, GCancellable *cancellable, GError **error)
{
    for (;;) {
        watch->news = FALSE;
        g_autoptr(VmpJson) reply = run(client, vmp_qmp_query_migrate(), error);
        if (!reply)
            return NULL;
        const char *status = vmp_json_get_string(reply, "status");
        VmpJson *ram = vmp_json_get_object(reply, "ram");

        vmp_operation_report_progress(operation, "memory",
                                      (guint64)vmp_json_get_int(ram, "transferred", 0),
                                      (guint64)vmp_json_get_int(ram, "total", 0));
        if (!status || g_str_equal(status, "none") || is_end(status)
            || (started && !g_str_equal(status, "setup"))) {
            *words = g_strdup(vmp_json_get_string(reply, "error-desc"));
            return g_strdup(status ? status : "none");
        }
        if (!wait_a_while(client, has_news, watch, LOOK_INTERVAL_MS, cancellable, error))
            return NULL;
    }
}

static gboolean
finish_migration(VmpQmpClient *client, Watch *watch, VmpOperation *operation,
                 GCancellable *cancellable, GError **error)
{
    g_autofree char *words = NULL;
    guint subscription = vmp_qmp_client_subscribe(client, "MIGRATION", on_migration, watch);
    g_autofree char *status =
        wait_for_end(client, watch, FALSE, &words, operation, cancellable, error);

    vmp_qmp_client_unsubscribe(client, subscription);
    if (!status)
        return FALSE;
    return g_str_equal(status, "completed")
           || vmp_fail(error, VMP_ERROR_REFUSED, "the migration has %s%s%s", status,
                       words ? ": " : "", words ? words : "");
}

/* QEMU says that a migration is completed before it can be told to run. */
static gboolean
wait_settled(VmpQmpClient *client, GError **error)
{
    for (;;) {
        g_autoptr(VmpJson) reply = run(client, vmp_qmp_query_status(), error);
        if (!reply)
            return FALSE;
        if (g_strcmp0(vmp_qmp_read_status(reply, NULL), "finish-migrate") != 0)
            return TRUE;
        if (!wait_a_while(client, never, NULL, RUN_STATE_INTERVAL_MS, NULL, error))
            return FALSE;
    }
}

/* The guest as it was before it was stopped. */
static gboolean
wake(VmpQmpClient *client, gboolean was_running, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(VmpJson) reply = run(client, vmp_qmp_query_status(), error);
    gboolean running = FALSE;
    if (!reply)
        return FALSE;

    const char *status = vmp_qmp_read_status(reply, &running);
    gboolean let_go = g_strcmp0(status, "postmigrate") == 0;
    if (running || (!was_running && !let_go))
        return TRUE;
    g_ptr_array_add(commands, vmp_qmp_cont());
    if (!was_running)
        g_ptr_array_add(commands, vmp_qmp_stop());
    return vmp_qmp_client_execute_all(client, commands, NULL, NULL, error);
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
    g_auto(VmpFd) fd = vmp_ram_file_create(path_of(step), mark_of(step),
                                           (guint64)vmp_json_get_int(step->args, "reserve", 0),
                                           error);

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
    return send_command(vmp_change_get_client(change, error), vmp_qmp_stop(), error);
}

static gboolean
wake_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client =
        vmp_machine_is_on(change->machine) ? vmp_change_get_client(change, error) : NULL;

    return !vmp_machine_is_on(change->machine)
           || (client && wake(client, was_running(step), error));
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
    g_autoptr(VmpJson) reply = run(client, vmp_qmp_query_migrate_parameters(), NULL);

    return (guint64)vmp_json_get_int(reply, "max-bandwidth", 0);
}

static gboolean
give_descriptor(VmpQmpClient *client, int fd, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_getfd(FD_NAME);
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute_fd(client, command, fd, NULL, error);

    return reply != NULL;
}

static gboolean
migrate_to(VmpQmpClient *client, int fd, VmpChange *change, GError **error)
{
    Watch watch = { 0 };

    return send_command(client, vmp_qmp_migrate_set_capability("events", TRUE), error)
           && give_descriptor(client, fd, error)
           && send_command(client, vmp_qmp_migrate("fd:" FD_NAME), error)
           && finish_migration(client, &watch, change->operation,
                               vmp_change_get_cancellable(change), error)
           && wait_settled(client, error);
}

static gboolean
save_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_auto(VmpFd) fd = client ? vmp_ram_file_reopen(path_of(step), mark_of(step), error) : -1;
    if (fd < 0)
        return FALSE;

    /* One that somebody left on would let the guest run on; where it is not known it is off. */
    send_command(client, vmp_qmp_migrate_set_capability(BACKGROUND, FALSE), NULL);
    guint64 bandwidth = read_bandwidth(client);
    if (!send_command(client, vmp_qmp_migrate_set_max_bandwidth(NO_LIMIT), error))
        return FALSE;
    gboolean saved = migrate_to(client, fd, change, error);
    if (bandwidth > 0 && vmp_qmp_client_get_state(client) == VMP_QMP_READY)
        send_command(client, vmp_qmp_migrate_set_max_bandwidth(bandwidth), NULL);
    return saved && vmp_ram_file_note_length(path_of(step), error);
}

/* A migration of a stopped guest to a file can be cancelled without harm. */
static gboolean
save_undo(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    if (!vmp_machine_is_on(change->machine))
        return TRUE;

    Watch watch = { 0 };
    g_autoptr(GError) failure = NULL;
    VmpQmpClient *client = vmp_change_get_client(change, error);
    if (!client || !send_command(client, vmp_qmp_migrate_cancel(), error))
        return FALSE;
    /* However it ended, it has. */
    if (finish_migration(client, &watch, NULL, NULL, &failure)
        || vmp_error_is(failure, VMP_ERROR_REFUSED))
        return wait_settled(client, error);
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
    g_ptr_array_add(commands, vmp_qmp_migrate_set_max_bandwidth(NO_LIMIT));
    g_ptr_array_add(commands, vmp_qmp_migrate_set_capability("events", TRUE));
    g_ptr_array_add(commands, vmp_qmp_getfd(FD_NAME));
    g_ptr_array_add(commands, vmp_qmp_migrate("fd:" FD_NAME));
}

const VmpStepKind vmp_step_save_memory = {
    .name = "save-memory",
    .apply = save_apply,
    .undo = save_undo,
    .describe = save_describe,
    .commands = save_commands,
};

/* ---- set-background ---- */

static gboolean
background_apply(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    g_autoptr(GError) failure = NULL;
    VmpQmpClient *client = vmp_change_get_client(change, error);

    if (!client || !send_command(client, vmp_qmp_migrate_set_max_bandwidth(NO_LIMIT), error)
        || !send_command(client, vmp_qmp_migrate_set_capability("events", TRUE), error))
        return FALSE;
    if (send_command(client, vmp_qmp_migrate_set_capability(BACKGROUND, TRUE), &failure))
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
    /* Refused where it is not known, and so not on. */
    send_command(client, vmp_qmp_migrate_set_capability(BACKGROUND, FALSE), NULL);
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
    g_ptr_array_add(commands, vmp_qmp_migrate_set_capability(BACKGROUND, TRUE));
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
is_under_way(VmpQmpClient *client, gboolean *under_way, GError **error)
{
    g_autoptr(VmpJson) reply = run(client, vmp_qmp_query_migrate(), error);
    const char *status = vmp_json_get_string(reply, "status");

    *under_way = status && !g_str_equal(status, "none") && !is_end(status);
    return reply != NULL;
}

/* The guest has stood still since the disks switched. */
static gboolean
start_live(const VmpStep *step, VmpQmpClient *client, GError **error)
{
    gboolean running = FALSE;
    g_autoptr(VmpJson) reply = run(client, vmp_qmp_query_status(), error);
    if (!reply)
        return FALSE;
    vmp_qmp_read_status(reply, &running);
    if (running)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                        "the guest was let run before its RAM was saved: the snapshot is without it");

    g_auto(VmpFd) fd = vmp_ram_file_reopen(path_of(step), mark_of(step), error);
    return fd >= 0 && give_descriptor(client, fd, error)
           && send_command(client, vmp_qmp_migrate("fd:" FD_NAME), error);
}

/* Newer QEMUs leave a guest stopped that we have stopped. */
static gboolean
let_run(const VmpStep *step, VmpQmpClient *client, GError **error)
{
    Watch watch = { 0 };
    g_autofree char *words = NULL;
    guint subscription = vmp_qmp_client_subscribe(client, "MIGRATION", on_migration, &watch);
    g_autofree char *status = wait_for_end(client, &watch, TRUE, &words, NULL, NULL, error);

    vmp_qmp_client_unsubscribe(client, subscription);
    return status && wait_settled(client, error) && wake(client, was_running(step), error);
}

static gboolean
save_live(const VmpStep *step, VmpChange *change, VmpQmpClient *client, GError **error)
{
    gboolean under_way = FALSE;
    Watch watch = { 0 };

    if (!is_under_way(client, &under_way, error)
        || (!under_way && !vmp_ram_file_is_begun(path_of(step))
            && !start_live(step, client, error)))
        return FALSE;
    /* Whoever is killed from here on leaves a QEMU that goes on by itself. */
    return vmp_fault("memory-under-way", error) && let_run(step, client, error)
           && finish_migration(client, &watch, change->operation, NULL, error)
           && wait_settled(client, error) && vmp_ram_file_note_length(path_of(step), error);
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
    send_command(client, vmp_qmp_migrate_set_capability(BACKGROUND, FALSE), NULL);
    if (bandwidth > 0)
        send_command(client, vmp_qmp_migrate_set_max_bandwidth((guint64)bandwidth), NULL);
    return TRUE;
}

/* Is it certain that the RAM will never be in the file? */
static gboolean
is_lost(const GError *failure)
{
    return vmp_error_is(failure, VMP_ERROR_REFUSED) || vmp_error_is(failure, VMP_ERROR_DAMAGED)
           || vmp_error_is(failure, VMP_ERROR_INCONSISTENT)
           || vmp_error_is(failure, VMP_ERROR_NOT_FOUND);
}

static gboolean
save_for_a_while(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client =
        vmp_machine_is_on(change->machine) ? vmp_change_get_client(change, error) : NULL;
    if (!client)
        return !vmp_machine_is_on(change->machine) && save_live_if_on(step, change, error);

    int usual_timeout_ms = vmp_qmp_client_get_timeout(client);
    vmp_qmp_client_set_timeout(client, ANSWER_TIMEOUT_MS);
    gboolean saved = save_live_if_on(step, change, error);
    vmp_qmp_client_set_timeout(client, usual_timeout_ms);
    return saved;
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
    for (guint left = PATIENCE;; left--) {
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
    if (!is_lost(failure)) {
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

const VmpStepKind vmp_step_save_live = {
    .name = "save-live",
    .apply = live_apply,
    .probe = live_probe,
    .describe = save_describe,
    .commands = save_commands,
};

/* ---- seal-memory ---- */

/* The disks have switched: without the RAM the snapshot is one of the disks, and says so. */
static gboolean
seal_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (vmp_ram_file_seal(path_of(step), &failure))
        return TRUE;
    if (is_lost(failure)) {
        vmp_memory_demote(change, path_of(step));
        g_prefix_error(&failure, "the snapshot is one of the disks alone: ");
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static VmpProbe
seal_probe(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
    return vmp_ram_file_is_complete(path_of(step)) ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
seal_describe(const VmpStep *step)
{
    return g_strdup_printf("complete memory file '%s'", path_of(step));
}

const VmpStepKind vmp_step_seal_memory = {
    .name = "seal-memory",
    .apply = seal_apply,
    .probe = seal_probe,
    .describe = seal_describe,
};

/* ---- load-spare ---- */

static VmpDomain *
read_definition(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autofree char *text =
        vmp_store_get_definition(vmp_machine_get_store(change->machine),
                                 vmp_json_get_int(step->args, "definition", 0), NULL, error);

    return text ? vmp_domain_parse(text, -1, error) : NULL;
}

/* QEMU ends when the RAM does not fit. */
static gboolean
load_from(VmpQmpClient *client, int fd, VmpChange *change, GError **error)
{
    Watch watch = { 0 };

    return send_command(client, vmp_qmp_migrate_set_capability("events", TRUE), error)
           && give_descriptor(client, fd, error)
           && send_command(client, vmp_qmp_migrate_incoming("fd:" FD_NAME), error)
           && finish_migration(client, &watch, change->operation,
                               vmp_change_get_cancellable(change), error);
}

gboolean
vmp_memory_load_spare(VmpChange *change, const VmpDomain *definition, const char *file,
                      const char *nvram, GError **error)
{
    g_auto(VmpFd) fd = vmp_ram_file_open(file, error);

    if (fd < 0 || !vmp_change_close_session(change, error)
        || !vmp_machine_prepare_spare(change->machine, definition, TRUE, nvram, error))
        return FALSE;
    if (load_from(vmp_machine_get_spare_monitor(change->machine), fd, change, error))
        return TRUE;
    g_prefix_error(error, "the RAM of '%s' cannot be loaded: ", file);
    vmp_machine_drop_spare(change->machine);
    return FALSE;
}

static gboolean
spare_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(VmpDomain) definition = read_definition(step, change, error);

    return definition && vmp_memory_load_spare(change, definition,
                                               vmp_json_get_string(step->args, "file"),
                                               vmp_json_get_string(step->args, "nvram"), error);
}

static gboolean
spare_undo(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error G_GNUC_UNUSED)
{
    vmp_machine_drop_spare(change->machine);
    return TRUE;
}

static char *
spare_describe(const VmpStep *step)
{
    return g_strdup_printf("start a second process and load the RAM of '%s' into it",
                           vmp_json_get_string(step->args, "file"));
}

static void
spare_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_migrate_set_capability("events", TRUE));
    g_ptr_array_add(commands, vmp_qmp_getfd(FD_NAME));
    g_ptr_array_add(commands, vmp_qmp_migrate_incoming("fd:" FD_NAME));
}

const VmpStepKind vmp_step_load_spare = {
    .name = "load-spare",
    .apply = spare_apply,
    .undo = spare_undo,
    .describe = spare_describe,
    .commands = spare_commands,
};

/* ---- switch-to-spare ---- */

static gboolean
switch_apply(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    return vmp_change_close_session(change, error)
           && vmp_machine_switch_to_spare(change->machine, "from snapshot", error);
}

/* What the process that runs was started with: the store's row may be older than it. */
static char *
read_running(VmpMachine *machine)
{
    g_autoptr(VmpInstance) instance =
        vmp_instance_read(vmp_machine_get_host(machine), vmp_machine_get_uuid(machine),
                          VMP_INSTANCE_MACHINE, NULL);
    g_autofree char *text = instance && vmp_instance_is_alive(instance)
                                ? vmp_instance_read_definition(instance, NULL)
                                : NULL;
    g_autoptr(VmpDomain) definition = text ? vmp_domain_parse(text, -1, NULL) : NULL;

    return definition ? vmp_domain_format(definition, VMP_DOMAIN_FORMAT_SECURE) : NULL;
}

static VmpProbe
switch_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    /* Still at hand: it may have been chosen, which cannot be taken back. */
    if (change->commit_begun && vmp_machine_get_spare_monitor(change->machine))
        return VMP_PROBE_BEGUN;

    g_autoptr(VmpDomain) definition = read_definition(step, change, error);
    if (!definition)
        return VMP_PROBE_UNKNOWN;
    g_autofree char *wanted = vmp_domain_format(definition, VMP_DOMAIN_FORMAT_SECURE);
    g_autofree char *running = read_running(change->machine);
    return g_strcmp0(wanted, running) == 0 ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
switch_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("end the present process, if there is one, and put the second one in its place");
}

const VmpStepKind vmp_step_switch_to_spare = {
    .name = "switch-to-spare",
    .apply = switch_apply,
    .probe = switch_probe,
    .describe = switch_describe,
};
