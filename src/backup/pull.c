/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A pull backup: disks as they were at one instant, served until the client has what it wants.
 *
 * Nothing of it is a job of QEMU's: it lives as filters, exports and a server in QEMU, and the
 * row in the store says what they are.  Its end is asked for, and is a success.  Of a domain
 * that is off it lives as a process of its own: see serve.h.
 */

#include "backup/fleece.h"
#include "backup/relief.h"
#include "backup/running.h"
#include "base/error.h"
#include "base/fault.h"
#include "machine/server.h"
#include "storage/export.h"
#include "storage/overlay.h"
#include "storage/tls.h"

/* ---- its server ---- */

VmpJson *
vmp_pull_server(VmpBackup *backup, GError **error)
{
    VmpBackupServer *asked = backup->server;
    g_autofree char *port = asked->port ? g_strdup_printf("%d", asked->port) : NULL;

    if (g_str_equal(asked->transport, "fd"))
        return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                             "transport='fd' needs a descriptor from the caller: use 'unix'");

    g_autoptr(VmpJson) server = vmp_json_build(
        "s:transport", asked->transport, "S:socket", asked->socket, "S:host", asked->name,
        "S:port", port, "S:tls-dir", asked->tls ? vmp_tls_folder() : NULL, NULL);
    if (!vmp_nbd_server_prepare(server, error))
        return NULL;
    if (vmp_json_get_string(server, "port"))
        asked->port = (int)g_ascii_strtoll(vmp_json_get_string(server, "port"), NULL, 10);
    return g_steal_pointer(&server);
}

/* ---- its end ---- */

static gboolean
end_process(const VmpRunning *running, VmpMachine *machine, GError **error)
{
    if (!vmp_machine_end_server(machine, error))
        return FALSE;
    vmp_nbd_server_clear(vmp_json_get_object(running->detail, "server"));
    return TRUE;
}

/* The exports first: with the snapshot gone they would serve what the guest writes now. */
static gboolean
take_down(const VmpRunning *running, VmpChange *change, GError **error)
{
    if (vmp_running_is_offline(running))
        return end_process(running, change->machine, error);

    VmpQmpClient *client = vmp_change_get_client(change, error);
    VmpJson *detail = running->detail;

    return client &&
           vmp_exports_remove(client, vmp_json_get_array(detail, "exports"), error) &&
           vmp_fault("exports-removed", error) &&
           vmp_nbd_server_stop(client, vmp_json_get_object(detail, "server"), error) &&
           vmp_fleece_remove(change, vmp_json_get_array(detail, "fleece"), error) &&
           vmp_fault("filters-removed", error) &&
           vmp_new_images_close(client, running->scratch, NULL, error);
}

/* A guest that stands for want of space has some again. */
static gboolean
relieve(const VmpRunning *running, VmpChange *change, GError **error)
{
    return !vmp_machine_is_on(change->machine) ||
           vmp_relief_give(vmp_change_get_client(change, error), running->scratch, error);
}

static VmpJobState
end_state(const char *word)
{
    return g_str_equal(word, "completed") ? VMP_JOB_COMPLETED : VMP_JOB_FAILED;
}

/* Brings it to @word; may be done again after a crash. */
static gboolean
end(VmpRunning *running, VmpChange *change, const char *word, const char *failure,
    VmpJobState *state, GError **error)
{
    *state = end_state(word);
    return vmp_running_note_end(running, change->machine, word, failure, error) &&
           vmp_fault("end-noted", error) && take_down(running, change, error) &&
           relieve(running, change, error) &&
           vmp_running_close(running, change->machine, word, failure, error);
}

static gboolean
end_without_process(VmpRunning *running, VmpChange *change, VmpJobState *state, GError **error)
{
    const char *noted = vmp_json_get_string(running->detail, "ending");
    g_autofree char *word = g_strdup(noted ? noted : "failed");
    g_autofree char *failure =
        noted ? g_strdup(vmp_json_get_string(running->detail, "error"))
              : g_strdup("the domain's process ended before the backup was ended");

    *state = end_state(word);
    vmp_nbd_server_clear(vmp_json_get_object(running->detail, "server"));
    return vmp_running_close(running, change->machine, word, failure, error);
}

/* Why it cannot go on; NULL if it can, or with @error. */
static char *
find_failure(const VmpRunning *running, VmpQmpClient *client, GError **error)
{
    gboolean exist = FALSE;

    if (!vmp_exports_exist(client, vmp_json_get_array(running->detail, "exports"), &exist,
                           error))
        return NULL;
    if (!exist)
        return g_strdup("somebody has taken its exports out of QEMU");
    VmpJson *fleece = vmp_json_get_array(running->detail, "fleece");
    g_autoptr(GError) unknown = NULL;
    char *failure = vmp_fleece_find_break(client, fleece, &unknown);
    if (!failure && !unknown)
        failure = vmp_fleece_find_want(client, fleece, &unknown);
    if (unknown)
        g_propagate_error(error, g_steal_pointer(&unknown));
    return failure;
}

static gboolean
refuse_to_wait(GError **error)
{
    return vmp_fail(
        error, VMP_ERROR_INVALID,
        "a pull backup ends when it is asked to, by domjobabort: there is nothing to "
        "wait for");
}

static gboolean
settle_running(VmpRunning *running, VmpChange *change, VmpSettleMode mode, VmpJobState *state,
               GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autofree char *noted = g_strdup(vmp_json_get_string(running->detail, "ending"));
    g_autofree char *noted_failure = g_strdup(vmp_json_get_string(running->detail, "error"));
    if (!client)
        return FALSE;
    if (noted)
        return end(running, change, noted, noted_failure, state, error);

    g_autoptr(GError) unknown = NULL;
    g_autofree char *failure = find_failure(running, client, &unknown);
    if (unknown) {
        g_propagate_error(error, g_steal_pointer(&unknown));
        return FALSE;
    }
    if (failure)
        return end(running, change, "failed", failure, state, error);
    if (mode == VMP_SETTLE_CANCEL)
        return end(running, change, "completed", NULL, state, error);
    *state = VMP_JOB_RUNNING;
    return mode == VMP_SETTLE_LOOK || refuse_to_wait(error);
}

/* It does not matter whether the domain is still off: it is not its process that serves. */
static gboolean
settle_served(VmpRunning *running, VmpChange *change, VmpSettleMode mode, VmpJobState *state,
              GError **error)
{
    g_autofree char *noted = g_strdup(vmp_json_get_string(running->detail, "ending"));
    g_autofree char *noted_failure = g_strdup(vmp_json_get_string(running->detail, "error"));
    GPid pid = 0;

    if (!vmp_machine_find_server(change->machine, &pid, error))
        return FALSE;
    if (noted)
        return end(running, change, noted, noted_failure, state, error);
    if (!pid)
        return end(
            running, change, "failed",
            "the storage daemon that served the disks ended before the backup was ended",
            state, error);
    if (mode == VMP_SETTLE_CANCEL)
        return end(running, change, "completed", NULL, state, error);
    *state = VMP_JOB_RUNNING;
    return mode == VMP_SETTLE_LOOK || refuse_to_wait(error);
}

gboolean
vmp_pull_settle(VmpRunning *running, VmpChange *change, VmpSettleMode mode, VmpJobState *state,
                GError **error)
{
    if (vmp_running_is_offline(running))
        return settle_served(running, change, mode, state, error);
    if (vmp_machine_is_on(change->machine))
        return settle_running(running, change, mode, state, error);
    return end_without_process(running, change, state, error);
}

gboolean
vmp_backup_check_no_pull(VmpMachine *machine, GError **error)
{
    g_auto(VmpRunning) running = { 0 };

    if (!vmp_running_find(machine, &running, error))
        return FALSE;
    return !running.row || !vmp_running_is_pull(&running) ||
           vmp_fail(error, VMP_ERROR_BUSY,
                    "domain %s: a pull backup serves its disks; end it with domjobabort first",
                    vmp_machine_get_name(machine));
}
