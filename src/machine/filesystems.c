/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/filesystems.h"

#include <string.h>

#include "base/error.h"
#include "machine/freeze.h"
#include "machine/machine-private.h"
#include "qmp/commands.h"

void
vmp_filesystem_free(VmpFilesystem *filesystem)
{
    if (!filesystem)
        return;
    g_free(filesystem->mountpoint);
    g_free(filesystem->name);
    g_free(filesystem->type);
    g_strfreev(filesystem->targets);
    g_free(filesystem);
}

/* ---- which device is where ---- */

static char *
address_key(gint64 bus, gint64 slot, gint64 function)
{
    return g_strdup_printf("%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT, bus,
                           slot, function);
}

/* Adds address -> device id for all of @devices, and those behind its bridges. */
static void
collect_devices(VmpJson *devices, GHashTable *ids)
{
    for (guint i = 0; i < vmp_json_length(devices); i++) {
        VmpJson *device = vmp_json_at(devices, i);
        const char *id = vmp_json_get_string(device, "qdev_id");

        if (id && id[0])
            g_hash_table_insert(ids,
                                address_key(vmp_json_get_int(device, "bus", -1),
                                            vmp_json_get_int(device, "slot", -1),
                                            vmp_json_get_int(device, "function", -1)),
                                g_strdup(id));
        collect_devices(
            vmp_json_get_array(vmp_json_get_object(device, "pci_bridge"), "devices"), ids);
    }
}

static GHashTable *
index_devices(VmpJson *pci)
{
    GHashTable *ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (guint i = 0; i < vmp_json_length(pci); i++)
        collect_devices(vmp_json_get_array(vmp_json_at(pci, i), "devices"), ids);
    return ids;
}

/* ---- which disk that is ---- */

static const char *
find_target(VmpJson *disk, GHashTable *ids, GHashTable *targets)
{
    VmpJson *address = vmp_json_get_object(disk, "pci-controller");
    g_autofree char *key = address_key(vmp_json_get_int(address, "bus", -1),
                                       vmp_json_get_int(address, "slot", -1),
                                       vmp_json_get_int(address, "function", -1));
    const char *id = g_hash_table_lookup(ids, key);

    return id ? g_hash_table_lookup(targets, id) : NULL;
}

static char **
read_targets(VmpJson *disks, GHashTable *ids, GHashTable *targets)
{
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < vmp_json_length(disks); i++) {
        const char *target = find_target(vmp_json_at(disks, i), ids, targets);
        if (target && g_hash_table_add(seen, (gpointer)target))
            g_strv_builder_add(found, target);
    }
    return g_strv_builder_end(found);
}

GPtrArray *
vmp_filesystems_read(VmpJson *answer, VmpJson *pci, GHashTable *targets)
{
    g_autoptr(GHashTable) ids = index_devices(pci);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_filesystem_free);

    for (guint i = 0; i < vmp_json_length(answer); i++) {
        VmpJson *entry = vmp_json_at(answer, i);
        VmpFilesystem *filesystem = g_new0(VmpFilesystem, 1);

        filesystem->mountpoint = g_strdup(vmp_json_get_string(entry, "mountpoint"));
        filesystem->name = g_strdup(vmp_json_get_string(entry, "name"));
        filesystem->type = g_strdup(vmp_json_get_string(entry, "type"));
        filesystem->total = (guint64)MAX(vmp_json_get_int(entry, "total-bytes", 0), 0);
        filesystem->used = (guint64)MAX(vmp_json_get_int(entry, "used-bytes", 0), 0);
        filesystem->targets = read_targets(vmp_json_get_array(entry, "disk"), ids, targets);
        g_ptr_array_add(list, filesystem);
    }
    return list;
}

/* Device id -> target, for the disks that QEMU has. */
static GHashTable *
index_targets(VmpMachine *machine, VmpQmpClient *client, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    g_autoptr(VmpBlockGraph) graph =
        definition ? vmp_machine_read_graph(machine, client, error) : NULL;
    if (!graph)
        return NULL;

    GHashTable *targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const GPtrArray *disks = vmp_domain_get_disks(definition);
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        g_autofree char *path = vmp_machine_disk_qom_path(machine, graph, disk->target, NULL);
        g_auto(GStrv) parts = path ? g_strsplit(path, "/", -1) : NULL;

        /* "/machine/peripheral/<id>[/...]" */
        if (parts && g_strv_length(parts) > 3)
            g_hash_table_insert(targets, g_strdup(parts[3]), g_strdup(disk->target));
    }
    return targets;
}

GPtrArray *
vmp_machine_list_filesystems(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpJson) answer = vmp_machine_query_filesystems(machine, error);
    VmpQmpClient *client = answer ? vmp_machine_get_monitor(machine, error) : NULL;
    g_autoptr(GHashTable) targets = client ? index_targets(machine, client, error) : NULL;
    if (!targets)
        return NULL;

    /* A machine without PCI knows no addresses. */
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_pci();
    g_autoptr(VmpJson) pci =
        vmp_qmp_client_execute(client, command, vmp_machine_get_cancellable(machine), NULL);

    return vmp_filesystems_read(answer, pci, targets);
}
