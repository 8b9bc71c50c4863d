/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/migration.h"

#include "base/error.h"
#include "qmp/commands.h"

/* How often a wait looks by itself. */
#define LOOK_INTERVAL_MS 500
/* The run state follows a migration's end without an event of its own. */
#define RUN_STATE_INTERVAL_MS 2

/* ---- asking ---- */

VmpJson *
vmp_migration_ask(VmpQmpClient *client, VmpQmpCommand *command, GError **error)
{
    g_autoptr(VmpQmpCommand) owned = command;

    return client ? vmp_qmp_client_execute(client, owned, NULL, error) : NULL;
}

gboolean
vmp_migration_give(VmpQmpClient *client, int fd, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_getfd(VMP_MIGRATION_FD);
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute_fd(client, command, fd, NULL, error);

    return reply != NULL;
}

/* ---- waiting ---- */

typedef struct {
    gboolean news;
} Watch;

static gboolean
is_end(const char *status)
{
    return g_strcmp0(status, "completed") == 0 || g_strcmp0(status, "failed") == 0 ||
           g_strcmp0(status, "cancelled") == 0;
}

static void
on_migration(VmpQmpClient *client G_GNUC_UNUSED, const char *event G_GNUC_UNUSED,
             VmpJson *data G_GNUC_UNUSED, gint64 timestamp_us G_GNUC_UNUSED,
             gpointer user_data)
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

    if (vmp_qmp_client_wait(client, done, data, interval_ms, cancellable, &failure) ||
        vmp_error_is(failure, VMP_ERROR_TIMED_OUT))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* Between two states that last: it says nothing about what will become of it. */
static gboolean
is_passing(const char *status)
{
    return g_str_equal(status, "setup") || g_str_equal(status, "cancelling");
}

/* The status that the migration ended with (@started: or goes on with after its setup); NULL
 * if that cannot be told.  Free with g_free(). */
static char *
wait_for_end(VmpQmpClient *client, Watch *watch, gboolean started, char **words,
             VmpOperation *operation, GCancellable *cancellable, GError **error)
{
    for (;;) {
        watch->news = FALSE;
        g_autoptr(VmpJson) reply = vmp_migration_ask(client, vmp_qmp_query_migrate(), error);
        if (!reply)
            return NULL;
        const char *status = vmp_json_get_string(reply, "status");
        VmpJson *ram = vmp_json_get_object(reply, "ram");

        vmp_operation_report_progress(operation, "memory",
                                      (guint64)vmp_json_get_int(ram, "transferred", 0),
                                      (guint64)vmp_json_get_int(ram, "total", 0));
        if (!status || g_str_equal(status, "none") || is_end(status) ||
            (started && !is_passing(status))) {
            *words = g_strdup(vmp_json_get_string(reply, "error-desc"));
            return g_strdup(status ? status : "none");
        }
        if (!wait_a_while(client, has_news, watch, LOOK_INTERVAL_MS, cancellable, error))
            return NULL;
    }
}

/* The same, told of news by QEMU. */
static char *
watch_until(VmpQmpClient *client, gboolean started, char **words, VmpOperation *operation,
            GCancellable *cancellable, GError **error)
{
    Watch watch = { 0 };
    guint subscription = vmp_qmp_client_subscribe(client, "MIGRATION", on_migration, &watch);
    char *status = wait_for_end(client, &watch, started, words, operation, cancellable, error);

    vmp_qmp_client_unsubscribe(client, subscription);
    return status;
}

gboolean
vmp_migration_wait_begun(VmpQmpClient *client, gboolean *lost, GError **error)
{
    g_autofree char *words = NULL;
    g_autofree char *status = watch_until(client, TRUE, &words, NULL, NULL, error);

    if (status && lost)
        *lost = g_str_equal(status, "failed") || g_str_equal(status, "cancelled");
    return status != NULL;
}

gboolean
vmp_migration_finish(VmpQmpClient *client, VmpOperation *operation, GCancellable *cancellable,
                     GError **error)
{
    g_autofree char *words = NULL;
    g_autofree char *status =
        watch_until(client, FALSE, &words, operation, cancellable, error);

    if (!status)
        return FALSE;
    return g_str_equal(status, "completed") ||
           vmp_fail(error, VMP_ERROR_REFUSED, "the migration has %s%s%s", status,
                    words ? ": " : "", words ? words : "");
}

gboolean
vmp_migration_is_under_way(VmpJson *reply)
{
    const char *status = vmp_json_get_string(reply, "status");

    return status && !g_str_equal(status, "none") && !is_end(status);
}

gboolean
vmp_migration_settle(VmpQmpClient *client, GError **error)
{
    for (;;) {
        g_autoptr(VmpJson) reply = vmp_migration_ask(client, vmp_qmp_query_status(), error);
        if (!reply)
            return FALSE;
        if (g_strcmp0(vmp_qmp_read_status(reply, NULL), "finish-migrate") != 0)
            return TRUE;
        if (!wait_a_while(client, never, NULL, RUN_STATE_INTERVAL_MS, NULL, error))
            return FALSE;
    }
}

gboolean
vmp_migration_wake(VmpQmpClient *client, gboolean was_running, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(VmpJson) reply = vmp_migration_ask(client, vmp_qmp_query_status(), error);
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
