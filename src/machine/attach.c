/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Adopting a QEMU that somebody else started, and letting go of it. */

#include <string.h>

#include "base/error.h"
#include "machine/describe.h"
#include "machine/machine-private.h"
#include "qmp/commands.h"

#define GREETING_TIMEOUT_MS 3000
#define NO_UUID "00000000-0000-0000-0000-000000000000"

/* What is asked of the QEMU, and what becomes of it. */
typedef struct {
    VmpHost *host;
    VmpOperation *operation;
    const char *name;
    VmpQmpClient *client;
    char *uuid; /* QEMU's; NULL if it has none */
    VmpBlockGraph *graph;
    VmpDomain *definition;
    VmpJson *devices; /* target -> what QEMU calls the device */
} Attach;

static void
attach_clear(Attach *attach)
{
    g_clear_pointer(&attach->client, vmp_qmp_client_unref);
    g_clear_pointer(&attach->uuid, g_free);
    g_clear_pointer(&attach->graph, vmp_block_graph_free);
    g_clear_pointer(&attach->definition, vmp_domain_free);
    g_clear_pointer(&attach->devices, json_object_put);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Attach, attach_clear)

static GCancellable *
get_cancellable(const Attach *attach)
{
    return vmp_operation_get_cancellable(attach->operation);
}

static VmpJson *
ask(Attach *attach, VmpQmpCommand *command /* taken */, GError **error)
{
    g_autoptr(VmpQmpCommand) sent = command;

    return vmp_qmp_client_execute(attach->client, sent, get_cancellable(attach), error);
}

/* ---- looking at it ---- */

static gboolean
meet(Attach *attach, const char *qmp_path, GError **error)
{
    g_autofree char *label = g_strdup_printf("domain %s", attach->name);

    attach->client =
        vmp_qmp_client_connect(qmp_path, vmp_host_timeout(attach->host, GREETING_TIMEOUT_MS),
                               get_cancellable(attach), error);
    if (!attach->client)
        return FALSE;
    vmp_qmp_client_set_label(attach->client, label);

    g_autoptr(VmpJson) uuid = ask(attach, vmp_qmp_query_uuid(), error);
    if (!uuid)
        return FALSE;
    const char *said = vmp_json_get_string(uuid, "UUID");
    if (said && !g_str_equal(said, NO_UUID))
        attach->uuid = g_ascii_strdown(said, -1);
    attach->graph = vmp_block_graph_read(attach->client, get_cancellable(attach), error);
    return attach->graph &&
           vmp_machine_resolve_paths(attach->graph, attach->client, attach->name, error);
}

/* ---- finding the disks of a definition in it ---- */

static const VmpBlockDevice *
find_by_path(const Attach *attach, const char *path)
{
    const GPtrArray *devices = vmp_block_graph_devices(attach->graph);
    g_autofree char *wanted = path ? g_canonicalize_filename(path, "/") : NULL;

    for (guint i = 0; wanted && i < devices->len; i++) {
        const VmpBlockDevice *device = g_ptr_array_index(devices, i);
        const VmpBlockNode *image =
            device->node ? vmp_block_graph_active_image(attach->graph, device->node) : NULL;
        g_autofree char *opened =
            image && image->path ? g_canonicalize_filename(image->path, "/") : NULL;

        if (g_strcmp0(opened, wanted) == 0)
            return device;
    }
    return NULL;
}

/* By what libvirt calls it, by what we do, by its file. */
static const VmpBlockDevice *
find_device(const Attach *attach, const VmpDomainDisk *disk)
{
    g_autofree char *drive = disk->alias ? g_strconcat("drive-", disk->alias, NULL) : NULL;
    const char *const names[] = { disk->alias, drive, disk->target };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const VmpBlockDevice *device =
            names[i] ? vmp_block_graph_device(attach->graph, names[i]) : NULL;
        if (device)
            return device;
    }
    return find_by_path(attach, disk->source);
}

static gboolean
map_disks(Attach *attach, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(attach->definition);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpBlockDevice *device = find_device(attach, disk);

        if (device && vmp_describe_device_name(device))
            json_object_object_add(attach->devices, disk->target,
                                   json_object_new_string(vmp_describe_device_name(device)));
        else if (disk->source)
            return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                            "QEMU has no device for disk %s ('%s')", disk->target,
                            disk->source);
    }
    return TRUE;
}

static gboolean
take_definition(Attach *attach, const char *xml, const char *uuid, GError **error)
{
    attach->definition = vmp_domain_parse(xml, -1, error);
    if (!attach->definition)
        return FALSE;

    const char *name = vmp_domain_get_name(attach->definition);
    const char *said = vmp_domain_get_uuid(attach->definition);
    if (!g_str_equal(name, attach->name))
        return vmp_fail(error, VMP_ERROR_INVALID, "the definition is of domain '%s'", name);
    if (said && attach->uuid && !g_str_equal(said, attach->uuid))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "the definition is of a machine with uuid %s, "
                        "QEMU runs one with %s",
                        said, attach->uuid);
    if (!said && !vmp_domain_set_uuid(attach->definition, uuid, error))
        return FALSE;
    return map_disks(attach, error);
}

/* ---- the row ---- */

/* The domain's row, if it was known before: its points go on. */
static gboolean
find_row(Attach *attach, VmpStoreDomain **row, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *row = vmp_store_find_domain(attach->host->store, attach->name, &failure);
    if (!*row) {
        if (vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (attach->uuid && !g_str_equal((*row)->uuid, attach->uuid))
        return vmp_fail(error, VMP_ERROR_EXISTS,
                        "there is a domain of that name with uuid %s; "
                        "QEMU runs one with %s",
                        (*row)->uuid, attach->uuid);

    g_autoptr(VmpMachine) machine =
        vmp_machine_open(attach->host, (*row)->uuid, VMP_MACHINE_READ, NULL, error);
    if (machine && vmp_machine_is_on(machine))
        return vmp_fail(error, VMP_ERROR_EXISTS, "it is running already");
    return machine != NULL;
}

static gboolean
write_row(Attach *attach, VmpStoreDomain *row, gboolean is_defined, const char *qmp_path,
          const char *agent_path, GError **error)
{
    VmpStore *store = attach->host->store;
    g_auto(VmpStoreTransaction) transaction = { 0 };
    g_autofree char *text = vmp_domain_format(attach->definition, VMP_DOMAIN_FORMAT_SECURE);
    g_autoptr(VmpJson) extra =
        vmp_json_build("o:devices", json_object_get(attach->devices), NULL);

    if (!vmp_store_begin(store, &transaction, error))
        return FALSE;
    row->active = vmp_store_put_definition(store, text, -1, row->inactive, error);
    if (row->active == 0)
        return FALSE;
    if (is_defined) {
        row->inactive = row->active;
        row->persistent = TRUE;
    }
    g_free(row->qmp_path);
    g_free(row->agent_path);
    g_free(row->extra);
    row->qmp_path = g_canonicalize_filename(qmp_path, NULL);
    row->agent_path = agent_path ? g_canonicalize_filename(agent_path, NULL) : NULL;
    row->extra = vmp_json_to_text(extra);
    return vmp_store_put_domain(store, row, error) && vmp_store_commit(&transaction, error);
}

static VmpStoreDomain *
make_row(const Attach *attach, const char *uuid)
{
    VmpStoreDomain *row = g_new0(VmpStoreDomain, 1);

    row->name = g_strdup(attach->name);
    row->uuid = g_strdup(uuid);
    return row;
}

/* Given, QEMU's, the one it was known by, or a new one. */
static char *
choose_uuid(const Attach *attach, const VmpStoreDomain *row, const char *xml)
{
    g_autoptr(VmpDomain) definition = xml ? vmp_domain_parse(xml, -1, NULL) : NULL;
    const char *said = definition ? vmp_domain_get_uuid(definition) : NULL;

    if (attach->uuid)
        return g_strdup(attach->uuid);
    if (row)
        return g_strdup(row->uuid);
    return said ? g_strdup(said) : g_uuid_string_random();
}

gboolean
vmp_machine_attach(VmpHost *host, const char *name, const char *qmp_path,
                   const char *agent_path, const char *xml, VmpOperation *operation,
                   GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot attach domain %s", name);
    g_auto(Attach) attach = {
        .host = host,
        .operation = operation,
        .name = name,
        .devices = json_object_new_object(),
    };
    g_autoptr(VmpStoreDomain) row = NULL;

    if (!vmp_machine_check_name(name, error) || !meet(&attach, qmp_path, error) ||
        !find_row(&attach, &row, error))
        return FALSE;

    g_autofree char *uuid = choose_uuid(&attach, row, xml);
    g_autoptr(VmpLock) lock = vmp_lock_take(host, uuid, name, get_cancellable(&attach), error);
    if (!lock)
        return FALSE;
    if (xml ? !take_definition(&attach, xml, uuid, error)
            : !(attach.definition = vmp_describe_machine(attach.client, attach.graph, name,
                                                         uuid, attach.devices, error)))
        return FALSE;
    if (vmp_operation_get_dry_run(operation))
        return TRUE;
    if (!row)
        row = make_row(&attach, uuid);
    return write_row(&attach, row, xml != NULL, qmp_path, agent_path, error);
}

gboolean
vmp_machine_detach(VmpMachine *machine, GError **error)
{
    if (!machine->row->qmp_path)
        return vmp_fail(error, VMP_ERROR_INVALID, "domain %s is not attached: vmpoint runs it",
                        machine->row->name);
    vmp_machine_hang_up(machine);
    machine->listens = FALSE;
    return vmp_machine_mark_off(machine, "unknown", error);
}
