/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/freeze.h"
#include "machine/machine.h"

#include "base/error.h"
#include "machine/instance-end.h"
#include "machine/listen.h"
#include "machine/machine-private.h"
#include "machine/open-files.h"
#include "machine/spare.h"
#include "machine/state.h"
#include "qmp/commands.h"
#include "store/intent.h"

#define CONNECT_TIMEOUT_MS 10000
#define ATTACHED_TIMEOUT_MS 3000
#define COMMAND_TIMEOUT_MS 60000

/* ---- opening ---- */

static gboolean
find_row(VmpMachine *machine, const char *name_or_uuid, GError **error)
{
    machine->row = vmp_store_find_domain(machine->host->store, name_or_uuid, error);
    if (!machine->row || machine->access == VMP_MACHINE_READ)
        return machine->row != NULL;

    machine->lock = vmp_lock_take(machine->host, machine->row->uuid, machine->row->name,
                                  vmp_machine_get_cancellable(machine), error);
    /* Whoever had the lock may have changed the row, and left a daemon that has the disks. */
    return machine->lock && vmp_machine_reload(machine, error) &&
           vmp_machine_end_leftover_daemon(machine, error);
}

VmpMachine *
vmp_machine_open(VmpHost *host, const char *name_or_uuid, VmpMachineAccess access,
                 VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = g_new0(VmpMachine, 1);
    machine->host = host;
    machine->access = access;
    machine->operation = operation;
    machine->retired = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_domain_free);

    if (!find_row(machine, name_or_uuid, error))
        return NULL;

    g_autoptr(GError) failure = NULL;
    machine->instance =
        vmp_instance_read(host, machine->row->uuid, VMP_INSTANCE_MACHINE, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    if (machine->row->qmp_path)
        machine->listens = vmp_listener_exists(machine->row->qmp_path);

    if (access == VMP_MACHINE_CHANGE && !vmp_operation_get_dry_run(operation) &&
        !vmp_machine_settle(machine, error))
        return NULL;
    return g_steal_pointer(&machine);
}

void
vmp_machine_hang_up(VmpMachine *machine)
{
    g_clear_pointer(&machine->monitor, vmp_qmp_client_unref);
    g_clear_pointer(&machine->schema, vmp_qmp_schema_unref);
}

/* A definition that is not the present one any more.  Somebody may have borrowed it, so it
 * lives as long as the machine. */
static void
retire(VmpMachine *machine, VmpDomain **definition)
{
    if (*definition)
        g_ptr_array_add(machine->retired, g_steal_pointer(definition));
}

void
vmp_machine_free(VmpMachine *machine)
{
    if (!machine)
        return;
    vmp_machine_drop_spare(machine);
    vmp_machine_leave_agent(machine);
    vmp_machine_hang_up(machine);
    g_clear_pointer(&machine->active, vmp_domain_free);
    g_clear_pointer(&machine->inactive, vmp_domain_free);
    g_clear_pointer(&machine->retired, g_ptr_array_unref);
    g_clear_pointer(&machine->instance, vmp_instance_free);
    g_clear_pointer(&machine->row, vmp_store_domain_free);
    /* Last: what is above belongs under the lock. */
    vmp_lock_release(machine->lock);
    g_free(machine);
}

VmpHost *
vmp_machine_get_host(VmpMachine *machine)
{
    return machine->host;
}

VmpStore *
vmp_machine_get_store(VmpMachine *machine)
{
    return machine->host->store;
}

VmpOperation *
vmp_machine_get_operation(VmpMachine *machine)
{
    return machine->operation;
}

GCancellable *
vmp_machine_get_cancellable(VmpMachine *machine)
{
    return vmp_operation_get_cancellable(machine->operation);
}

const char *
vmp_machine_get_name(VmpMachine *machine)
{
    return machine->row->name;
}

const char *
vmp_machine_get_uuid(VmpMachine *machine)
{
    return machine->row->uuid;
}

const VmpStoreDomain *
vmp_machine_get_row(VmpMachine *machine)
{
    return machine->row;
}

gboolean
vmp_machine_reload(VmpMachine *machine, GError **error)
{
    VmpStoreDomain *row =
        vmp_store_find_domain(machine->host->store, machine->row->uuid, error);
    if (!row)
        return FALSE;

    if (row->active != machine->row->active)
        retire(machine, &machine->active);
    if (row->inactive != machine->row->inactive)
        retire(machine, &machine->inactive);
    vmp_store_domain_free(machine->row);
    machine->row = row;
    return TRUE;
}

/* ---- definitions ---- */

static const VmpDomain *
read_definition(VmpMachine *machine, gint64 id, VmpDomain **kept, GError **error)
{
    if (id == 0)
        return NULL;
    if (*kept)
        return *kept;

    VMP_ERROR_CONTEXT(error, "domain %s", machine->row->name);
    gsize length = 0;
    g_autofree char *text = vmp_store_get_definition(machine->host->store, id, &length, error);
    if (text)
        *kept = vmp_domain_parse(text, (gssize)length, error);
    return *kept;
}

const VmpDomain *
vmp_machine_get_active(VmpMachine *machine, GError **error)
{
    if (!vmp_machine_is_on(machine))
        return NULL;
    return read_definition(machine, machine->row->active, &machine->active, error);
}

const VmpDomain *
vmp_machine_get_inactive(VmpMachine *machine, GError **error)
{
    return read_definition(machine, machine->row->inactive, &machine->inactive, error);
}

const VmpDomain *
vmp_machine_get_definition(VmpMachine *machine, GError **error)
{
    g_autoptr(GError) failure = NULL;
    const VmpDomain *definition = vmp_machine_is_on(machine)
                                      ? vmp_machine_get_active(machine, &failure)
                                      : vmp_machine_get_inactive(machine, &failure);

    if (!definition && !failure)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "domain %s: it has no definition",
                             machine->row->name);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return definition;
}

/* ---- is it on, and how to talk to it ---- */

GPid
vmp_machine_get_pid(VmpMachine *machine)
{
    return machine->instance && vmp_machine_is_on(machine) ? machine->instance->process.pid
                                                           : 0;
}

gboolean
vmp_machine_is_on(VmpMachine *machine)
{
    if (machine->row->active == 0)
        return FALSE;
    if (!machine->row->qmp_path)
        return machine->instance && vmp_instance_is_alive(machine->instance);
    if (machine->monitor)
        return vmp_qmp_client_get_state(machine->monitor) != VMP_QMP_DEAD;
    return machine->listens;
}

gboolean
vmp_machine_require_on(VmpMachine *machine, GError **error)
{
    if (vmp_machine_is_on(machine))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_FAILED, "domain %s is not running", machine->row->name);
}

static void
trace_message(gboolean sent, const char *text, gpointer data)
{
    VmpMachine *machine = data;

    machine->host->trace(machine->row->name, sent, text, machine->host->trace_data);
}

void
vmp_machine_prepare_client(VmpMachine *machine, VmpQmpClient *client)
{
    g_autofree char *label = g_strdup_printf("domain %s", machine->row->name);

    vmp_qmp_client_set_label(client, label);
    vmp_qmp_client_set_timeout(client, vmp_host_timeout(machine->host, COMMAND_TIMEOUT_MS));
    if (machine->host->trace)
        vmp_qmp_client_set_trace(client, trace_message, machine);
}

void
vmp_machine_adopt(VmpMachine *machine, VmpInstance *instance, VmpQmpClient *monitor)
{
    vmp_machine_hang_up(machine);
    g_clear_pointer(&machine->instance, vmp_instance_free);
    machine->instance = instance;
    machine->monitor = monitor;
    vmp_machine_prepare_client(machine, monitor);
}

char *
vmp_machine_monitor_path(VmpMachine *machine)
{
    if (machine->row->qmp_path)
        return g_strdup(machine->row->qmp_path);
    /* Looking must not wait for changing. */
    return vmp_instance_path(machine->instance,
                             machine->access == VMP_MACHINE_CHANGE ? "qmp" : "query");
}

VmpQmpClient *
vmp_machine_connect(VmpMachine *machine, int timeout_ms, GError **error)
{
    if (machine->monitor && vmp_qmp_client_get_state(machine->monitor) == VMP_QMP_DEAD)
        return vmp_fail_null(error, VMP_ERROR_DISCONNECTED, "domain %s: QEMU is gone",
                             machine->row->name);
    if (machine->monitor)
        return machine->monitor;
    if (!vmp_machine_require_on(machine, error))
        return NULL;

    VMP_ERROR_CONTEXT(error, "domain %s", machine->row->name);
    g_autofree char *path = vmp_machine_monitor_path(machine);
    machine->monitor =
        vmp_qmp_client_connect(path, timeout_ms, vmp_machine_get_cancellable(machine), error);
    if (machine->monitor)
        vmp_machine_prepare_client(machine, machine->monitor);
    return machine->monitor;
}

void
vmp_machine_forget_monitor(VmpMachine *machine)
{
    vmp_machine_hang_up(machine);
}

VmpQmpClient *
vmp_machine_get_monitor(VmpMachine *machine, GError **error)
{
    int fallback_ms = machine->row->qmp_path ? ATTACHED_TIMEOUT_MS : CONNECT_TIMEOUT_MS;

    return vmp_machine_connect(machine, vmp_host_timeout(machine->host, fallback_ms), error);
}

static gboolean
has_relative_paths(const VmpBlockGraph *graph)
{
    const GPtrArray *nodes = vmp_block_graph_nodes(graph);

    for (guint i = 0; i < nodes->len; i++) {
        if (vmp_block_node_has_relative_path(g_ptr_array_index(nodes, i)))
            return TRUE;
    }
    return FALSE;
}

static char *
resolve(gconstpointer files, const char *relative)
{
    return vmp_open_files_find(files, relative);
}

gboolean
vmp_machine_resolve_paths(VmpBlockGraph *graph, VmpQmpClient *client, const char *name,
                          GError **error)
{
    if (!has_relative_paths(graph))
        return TRUE;

    g_autoptr(VmpOpenFiles) files = vmp_open_files_read(vmp_qmp_client_get_peer(client));
    const char *lost = vmp_block_graph_resolve(graph, resolve, files);
    if (lost)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "domain %s: QEMU has '%s' open by a relative path, and the folder that "
            "it starts from cannot be told",
            name, lost);
    return TRUE;
}

VmpBlockGraph *
vmp_machine_read_graph(VmpMachine *machine, VmpQmpClient *client, GError **error)
{
    const VmpStoreDomain *row = machine->row;
    g_autoptr(VmpBlockGraph) graph =
        vmp_block_graph_read(client, vmp_machine_get_cancellable(machine), error);

    /* Ours are given absolute paths. */
    if (graph && row->qmp_path && !vmp_machine_resolve_paths(graph, client, row->name, error))
        return NULL;
    return g_steal_pointer(&graph);
}

char *
vmp_machine_get_agent_path(VmpMachine *machine, GError **error)
{
    if (machine->row->agent_path)
        return g_strdup(machine->row->agent_path);
    if (!vmp_machine_require_on(machine, error))
        return NULL;

    g_autoptr(GError) failure = NULL;
    const VmpDomain *definition = vmp_machine_get_active(machine, &failure);
    const GPtrArray *chardevs = definition ? vmp_domain_get_chardevs(definition) : NULL;
    for (guint i = 0; chardevs && i < chardevs->len; i++) {
        const VmpDomainChardev *chardev = g_ptr_array_index(chardevs, i);
        if (g_strcmp0(chardev->target_name, "org.qemu.guest_agent.0") != 0 ||
            g_strcmp0(chardev->type, "unix") != 0)
            continue;
        if (chardev->path)
            return g_strdup(chardev->path);
        if (machine->instance)
            return vmp_instance_path(machine->instance, "agent");
    }
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED, "domain %s: no guest agent channel",
                         machine->row->name);
}

/* ---- its state ---- */

static VmpJson *
read_extra(VmpMachine *machine)
{
    VmpJson *extra =
        machine->row->extra ? vmp_json_parse(machine->row->extra, -1, NULL) : NULL;

    return extra ? extra : json_object_new_object();
}

gboolean
vmp_machine_mark_state(VmpMachine *machine, VmpState state, const char *reason, GError **error)
{
    g_autoptr(VmpJson) extra = read_extra(machine);

    vmp_json_add(extra, "s:state", vmp_state_name(state), "s:reason", reason, NULL);
    g_free(machine->row->extra);
    machine->row->extra = vmp_json_to_text(extra);
    return vmp_store_put_domain(machine->host->store, machine->row, error);
}

/* What the last command that changed the state remembered, if it still is in that state. */
static const char *
remembered_reason(VmpMachine *machine, VmpState state)
{
    g_autoptr(VmpJson) extra = read_extra(machine);

    if (g_strcmp0(vmp_json_get_string(extra, "state"), vmp_state_name(state)) != 0)
        return NULL;
    return vmp_state_reason(vmp_json_get_string(extra, "reason"));
}

static void
set_off_state(VmpMachine *machine, VmpState *state, const char **reason)
{
    *state = VMP_STATE_SHUTOFF;
    if (!reason)
        return;
    /* Gone, and nobody has noticed yet. */
    if (machine->row->active != 0 && machine->instance)
        *reason = vmp_instance_left_in_order(machine->instance) ? "shutdown" : "crashed";
    else if (machine->row->active != 0)
        *reason = "unknown";
    else
        *reason = remembered_reason(machine, VMP_STATE_SHUTOFF);
    if (!*reason)
        *reason = "unknown";
}

char *
vmp_machine_ask_status(VmpMachine *machine, GError **error)
{
    VmpQmpClient *client = vmp_machine_get_monitor(machine, error);
    if (!client)
        return NULL;

    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_status();
    g_autoptr(VmpJson) reply =
        vmp_qmp_client_execute(client, command, vmp_machine_get_cancellable(machine), error);
    return reply ? g_strdup(vmp_qmp_read_status(reply, NULL)) : NULL;
}

gboolean
vmp_machine_query_state(VmpMachine *machine, VmpState *state, const char **reason,
                        GError **error)
{
    if (!vmp_machine_is_on(machine)) {
        set_off_state(machine, state, reason);
        return TRUE;
    }

    g_autoptr(GError) failure = NULL;
    g_autofree char *status = vmp_machine_ask_status(machine, &failure);
    if (failure && !vmp_machine_is_on(machine)) {
        /* It went while we asked. */
        set_off_state(machine, state, reason);
        return TRUE;
    }
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }

    *state = vmp_run_state(status, reason);
    const char *remembered = remembered_reason(machine, *state);
    if (reason && remembered)
        *reason = remembered;
    return TRUE;
}

/* ---- what the row says ---- */

gboolean
vmp_machine_mark_on(VmpMachine *machine, const VmpDomain *definition, VmpState state,
                    const char *reason, GError **error)
{
    VmpStore *store = machine->host->store;
    g_auto(VmpStoreTransaction) transaction = { 0 };
    g_autofree char *text = vmp_domain_format(definition, VMP_DOMAIN_FORMAT_SECURE);

    if (!vmp_store_begin(store, &transaction, error))
        return FALSE;
    gint64 id = vmp_store_put_definition(store, text, -1, machine->row->inactive, error);
    if (id == 0)
        return FALSE;

    gint64 before = machine->row->active;
    machine->row->active = id;
    if (!vmp_machine_mark_state(machine, state, reason, error) ||
        !vmp_store_commit(&transaction, error)) {
        machine->row->active = before;
        return FALSE;
    }
    if (before != id)
        retire(machine, &machine->active);
    return TRUE;
}

/* Has it points, or something that must be settled first? */
static gboolean
is_worth_keeping(VmpMachine *machine)
{
    VmpStore *store = machine->host->store;
    gint64 id = machine->row->id;
    g_autoptr(GPtrArray) snapshots =
        vmp_store_list_points(store, id, VMP_POINT_SNAPSHOT, FALSE, NULL);
    g_autoptr(GPtrArray) checkpoints =
        vmp_store_list_points(store, id, VMP_POINT_CHECKPOINT, FALSE, NULL);
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(store, id, NULL);

    /* What cannot be read is kept. */
    return !snapshots || !checkpoints || !intents || snapshots->len || checkpoints->len ||
           intents->len;
}

/* A transient domain ends, and with it what its TPM remembers, unless its definition or
 * whoever undefined it says otherwise.  The folder first: a row is what the next one finds it
 * by. */
static gboolean
forget(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpJson) extra = read_extra(machine);
    gboolean is_own = machine->row->qmp_path == NULL;
    g_autoptr(GError) unread = NULL;
    const VmpDomain *definition =
        read_definition(machine, machine->row->active, &machine->active, &unread);
    VmpUndefineFlags flags = (VmpUndefineFlags)vmp_json_get_int(extra, VMP_EXTRA_UNDEFINE, 0);
    gint64 id = machine->row->id;

    /* What a definition that cannot be read says is not known: then it stays. */
    if (is_own && !unread && !vmp_machine_settle_tpm(machine, definition, flags, error))
        return FALSE;
    machine->row->id = 0;
    return vmp_store_remove_domain(machine->host->store, id, error);
}

gboolean
vmp_machine_mark_off(VmpMachine *machine, const char *reason, GError **error)
{
    VmpStoreDomain *row = machine->row;

    if (!row->persistent && !is_worth_keeping(machine)) {
        gboolean forgotten = forget(machine, error);
        row->active = 0;
        retire(machine, &machine->active);
        return forgotten;
    }
    row->active = 0;
    g_clear_pointer(&row->qmp_path, g_free);
    g_clear_pointer(&row->agent_path, g_free);
    g_clear_pointer(&row->extra, g_free);
    retire(machine, &machine->active);
    return vmp_machine_mark_state(machine, VMP_STATE_SHUTOFF, reason, error);
}
