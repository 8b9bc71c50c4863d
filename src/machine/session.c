/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/session.h"

#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "base/process.h"
#include "machine/disk-device.h"
#include "machine/instance-end.h"
#include "machine/instance-start.h"
#include "machine/machine-private.h"
#include "machine/servers.h"
#include "machine/words.h"
#include "qmp/commands.h"

#define END_TIMEOUT_MS 30000
#define LEFTOVER_TIMEOUT_MS 5000

struct _VmpBlockSession {
    VmpMachine *machine;
    VmpQmpClient *client; /* a reference; NULL once closed */
    VmpInstance *daemon;  /* NULL: the running QEMU serves, or it is closed */
    gboolean is_offline;
};

/* ---- the daemon ---- */

/* SIGTERM makes it store its bitmaps; with its vmpoint it gets that from the kernel, but then
 * nobody has waited for its end. */
gboolean
vmp_machine_end_leftover_daemon(VmpMachine *machine, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpInstance) daemon =
        vmp_instance_read(machine->host, machine->row->uuid, VMP_INSTANCE_DAEMON, &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!daemon)
        return TRUE;
    if (!vmp_instance_kill(daemon, LEFTOVER_TIMEOUT_MS, NULL))
        return vmp_fail(
            error, VMP_ERROR_BUSY,
            "domain %s: a storage daemon (pid %d) holds the disks and does not end",
            machine->row->name, (int)daemon->process.pid);
    vmp_instance_remove_files(daemon, VMP_INSTANCE_DAEMON);
    return TRUE;
}

static gboolean
add_node(VmpBlockSession *session, VmpJson *options /* taken */, GError **error)
{
    return vmp_qmp_client_run(session->client, vmp_qmp_blockdev_add(options),
                              vmp_machine_get_cancellable(session->machine), error);
}

/* The definition's cache mode is for a guest; what we write offline is to be durable. */
static gboolean
add_disk_nodes(VmpBlockSession *session, const VmpDomainDisk *disk, gboolean read_only,
               GError **error)
{
    g_autofree char *format = g_strconcat(disk->target, "-format", NULL);
    g_autofree char *storage = g_strconcat(disk->target, "-storage", NULL);
    VmpJson *file =
        vmp_qmp_options_storage(storage, disk->source, disk->type == VMP_STORAGE_BLOCK, FALSE);

    vmp_json_add(file, "b:auto-read-only", TRUE, "s:discard", "unmap", NULL);
    return add_node(session, file, error) &&
           add_node(session,
                    vmp_qmp_options_format(format, disk->driver, storage, NULL, read_only),
                    error);
}

static gboolean
open_disk(VmpBlockSession *session, const VmpDomainDisk *disk, gboolean read_only,
          GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *label = g_strdup_printf("disk %s ('%s')", disk->target, disk->source);

    if (!vmp_servers_look_at_disk(disk, error))
        return FALSE;
    vmp_qmp_client_set_label(session->client, label);
    if (add_disk_nodes(session, disk, read_only, &failure))
        return TRUE;
    /* QEMU's one error class says nothing; its words do. */
    if (vmp_error_is(failure, VMP_ERROR_REFUSED))
        failure->code = (int)vmp_words_code(failure->message, VMP_ERROR_REFUSED);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean
has_image(const VmpDomainDisk *disk)
{
    return disk->source != NULL;
}

static gboolean
is_medium(const VmpDomainDisk *disk)
{
    return g_str_equal(disk->device, "cdrom") || g_str_equal(disk->device, "floppy");
}

static gboolean
open_disks(VmpBlockSession *session, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_inactive(session->machine, error);
    const GPtrArray *disks = definition ? vmp_domain_get_disks(definition) : NULL;

    for (guint i = 0; disks && i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        g_autoptr(GError) failure = NULL;

        if (!has_image(disk) ||
            open_disk(session, disk, disk->readonly || is_medium(disk), &failure))
            continue;
        /* A disc that was taken away since does not keep anybody from the disks. */
        if (is_medium(disk) && !vmp_error_is(failure, VMP_ERROR_INTERRUPTED)) {
            vmp_operation_note(session->machine->operation, "%s", failure->message);
            continue;
        }
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return disks != NULL;
}

/* ---- opening ---- */

static gboolean
open_offline(VmpBlockSession *session, GError **error)
{
    VmpMachine *machine = session->machine;

    session->daemon =
        vmp_instance_start_daemon(machine->host, machine->row->uuid, &session->client,
                                  vmp_machine_get_cancellable(machine), error);
    if (!session->daemon)
        return FALSE;
    vmp_machine_prepare_client(machine, session->client);
    if (!open_disks(session, error))
        return FALSE;
    /* Opening named each disk. */
    vmp_machine_prepare_client(machine, session->client);
    return TRUE;
}

VmpBlockSession *
vmp_block_session_open(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpBlockSession) session = g_new0(VmpBlockSession, 1);
    session->machine = machine;

    if (vmp_machine_is_on(machine)) {
        VmpQmpClient *monitor = vmp_machine_get_monitor(machine, error);
        if (!monitor)
            return NULL;
        session->client = vmp_qmp_client_ref(monitor);
        return g_steal_pointer(&session);
    }

    VMP_ERROR_CONTEXT(error, "domain %s", machine->row->name);
    session->is_offline = TRUE;
    return open_offline(session, error) ? g_steal_pointer(&session) : NULL;
}

/* ---- closing ---- */

static void
ask_to_quit(VmpQmpClient *client)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_quit();
    g_autoptr(VmpJson) reply = NULL;

    if (vmp_qmp_client_get_state(client) != VMP_QMP_READY)
        return;
    /* Whether it answers or just goes: its exit is what counts. */
    vmp_qmp_client_set_timeout(client, END_TIMEOUT_MS);
    reply = vmp_qmp_client_execute(client, command, NULL, NULL);
}

static gboolean
end_daemon(const VmpInstance *daemon, GError **error)
{
    const VmpProcess *process = &daemon->process;
    g_autofree char *log = vmp_instance_path(daemon, "log");
    int status = 0;

    if (!vmp_process_reap(process, END_TIMEOUT_MS, &status)) {
        vmp_process_kill(process->pid, process->start_time, SIGKILL);
        vmp_process_reap(process, END_TIMEOUT_MS, NULL);
        return vmp_fail(error, VMP_ERROR_TIMED_OUT,
                        "qemu-storage-daemon did not end and was killed; bitmaps may be "
                        "inconsistent");
    }

    g_autofree char *words = vmp_log_last_words(log);
    if (status == 0 && !strstr(words, "bitmap"))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                    "qemu-storage-daemon did not store all that "
                    "it should (exit status %d)%s%s",
                    status, *words ? ": " : "", words);
}

gboolean
vmp_block_session_close(VmpBlockSession *session, GError **error)
{
    gboolean ended = TRUE;

    if (session->client && session->daemon)
        ask_to_quit(session->client);
    g_clear_pointer(&session->client, vmp_qmp_client_unref);
    if (session->daemon) {
        VMP_ERROR_CONTEXT(error, "domain %s", session->machine->row->name);
        ended = end_daemon(session->daemon, error);
        vmp_instance_remove_files(session->daemon, VMP_INSTANCE_DAEMON);
        g_clear_pointer(&session->daemon, vmp_instance_free);
    }
    return ended;
}

void
vmp_block_session_free(VmpBlockSession *session)
{
    g_autoptr(GError) failure = NULL;

    if (!session)
        return;
    if (!vmp_block_session_close(session, &failure))
        vmp_operation_warn(session->machine->operation, "%s", failure->message);
    g_free(session);
}

/* ---- looking ---- */

gboolean
vmp_block_session_is_offline(const VmpBlockSession *session)
{
    return session->is_offline;
}

gboolean
vmp_block_session_has(VmpBlockSession *session, const char *command, const char *path,
                      gboolean *has, GError **error)
{
    return session->is_offline
               ? vmp_machine_daemon_has(session->machine, session->daemon, session->client,
                                        command, path, has, error)
               : vmp_machine_has(session->machine, command, path, has, error);
}

VmpQmpClient *
vmp_block_session_get_client(VmpBlockSession *session)
{
    return session->client;
}

VmpMachine *
vmp_block_session_get_machine(VmpBlockSession *session)
{
    return session->machine;
}

VmpBlockGraph *
vmp_block_session_read_graph(VmpBlockSession *session, GError **error)
{
    return vmp_machine_read_graph(session->machine, session->client, error);
}

/* The node that stands on @node: an overlay of it, or a filter. */
static const VmpBlockNode *
find_above(const VmpBlockGraph *graph, const VmpBlockNode *node)
{
    const GPtrArray *nodes = vmp_block_graph_nodes(graph);

    for (guint i = 0; i < nodes->len; i++) {
        const VmpBlockNode *other = g_ptr_array_index(nodes, i);
        if (g_strcmp0(other->backing, node->name) == 0 ||
            g_strcmp0(other->file, node->name) == 0)
            return other;
    }
    return NULL;
}

/* A daemon has no devices: the root is what was opened for the disk, or what has been put on
 * it since. */
static const char *
offline_root(const VmpBlockGraph *graph, const char *target)
{
    g_autofree char *opened = g_strconcat(target, "-format", NULL);
    const VmpBlockNode *node = vmp_block_graph_node(graph, opened);

    for (const VmpBlockNode *above = node; above; above = find_above(graph, node))
        node = above;
    return node ? node->name : NULL;
}

const char *
vmp_block_session_root(VmpBlockSession *session, const VmpBlockGraph *graph,
                       const char *target, GError **error)
{
    const char *name = session->machine->row->name;
    const char *root = NULL;

    if (session->is_offline) {
        root = offline_root(graph, target);
    } else {
        const VmpBlockDevice *device =
            vmp_machine_disk_device(session->machine, graph, target, error);
        if (!device)
            return NULL;
        root = device->node;
    }
    if (!root)
        vmp_fail(error, VMP_ERROR_NOT_FOUND, "domain %s: disk %s has no image", name, target);
    return root;
}

const VmpBlockNode *
vmp_block_session_image(VmpBlockSession *session, const VmpBlockGraph *graph,
                        const char *target, GError **error)
{
    const char *root = vmp_block_session_root(session, graph, target, error);
    const VmpBlockNode *image = root ? vmp_block_graph_active_image(graph, root) : NULL;

    if (root && !image)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "domain %s: disk %s has no image",
                             session->machine->row->name, target);
    return image;
}
