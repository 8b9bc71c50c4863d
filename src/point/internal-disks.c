/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/internal-disks.h"

#include <string.h>

#include "base/error.h"
#include "machine/disk-device.h"
#include "machine/firmware.h"
#include "storage/image.h"

#define NVRAM "nvram"

void
vmp_internal_disk_free(VmpInternalDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->disk);
    g_free(disk->path);
    g_free(disk->node);
    g_free(disk->format);
    g_ptr_array_unref(disk->snapshots);
    g_ptr_array_unref(disk->bitmaps);
    g_free(disk);
}

static gpointer
copy_snapshot(gconstpointer source, gpointer data G_GNUC_UNUSED)
{
    const VmpInternalSnapshot *snapshot = source;
    VmpInternalSnapshot *copy = g_new(VmpInternalSnapshot, 1);

    *copy = *snapshot;
    copy->tag = g_strdup(snapshot->tag);
    copy->id = g_strdup(snapshot->id);
    return copy;
}

static VmpInternalDisk *
disk_new(const char *name, const char *path, const char *node, const char *format,
         const GPtrArray *snapshots, const GPtrArray *bitmaps)
{
    VmpInternalDisk *disk = g_new0(VmpInternalDisk, 1);

    disk->disk = g_strdup(name);
    disk->path = g_strdup(path);
    disk->node = g_strdup(node);
    disk->format = g_strdup(format);
    disk->snapshots = g_ptr_array_copy((GPtrArray *)snapshots, copy_snapshot, NULL);
    g_ptr_array_set_free_func(disk->snapshots, (GDestroyNotify)vmp_internal_snapshot_free);
    disk->bitmaps = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < bitmaps->len; i++)
        g_ptr_array_add(disk->bitmaps,
                        g_strdup(((const VmpBitmap *)g_ptr_array_index(bitmaps, i))->name));
    return disk;
}

/* ---- of a running domain ---- */

/* Adds the image of @device if it is written to and not there yet. */
static void
add_device(GPtrArray *disks, const VmpBlockGraph *graph, const VmpBlockDevice *device,
           const char *name)
{
    const VmpBlockNode *root = device->node ? vmp_block_graph_node(graph, device->node) : NULL;
    const VmpBlockNode *image =
        root ? vmp_block_graph_active_image(graph, device->node) : NULL;

    if (!image || root->read_only || image->read_only)
        return;
    for (guint i = 0; i < disks->len; i++) {
        const VmpInternalDisk *disk = g_ptr_array_index(disks, i);
        if (g_str_equal(disk->node, image->name))
            return;
    }
    g_ptr_array_add(disks, disk_new(name, image->path, image->name, image->driver,
                                    image->snapshots, image->bitmaps));
}

/* Of a device that is none of the domain's disks. */
static const char *
name_of_device(const VmpBlockDevice *device)
{
    if (device->qdev && strstr(device->qdev, "system.flash"))
        return NVRAM;
    return device->qdev ? device->qdev : device->id;
}

static gboolean
look_at_process(VmpMachine *machine, const VmpDomain *definition, GPtrArray *disks,
                GError **error)
{
    VmpQmpClient *monitor = vmp_machine_get_monitor(machine, error);
    g_autoptr(VmpBlockGraph) graph =
        monitor ? vmp_machine_read_graph(machine, monitor, error) : NULL;
    if (!graph)
        return FALSE;

    const GPtrArray *known = vmp_domain_get_disks(definition);
    for (guint i = 0; i < known->len; i++) {
        const char *target = ((const VmpDomainDisk *)g_ptr_array_index(known, i))->target;
        /* One that the process has not is nothing to look at. */
        const VmpBlockDevice *device = vmp_machine_disk_device(machine, graph, target, NULL);
        if (device)
            add_device(disks, graph, device, target);
    }
    const GPtrArray *devices = vmp_block_graph_devices(graph);
    for (guint i = 0; i < devices->len; i++) {
        const VmpBlockDevice *device = g_ptr_array_index(devices, i);
        add_device(disks, graph, device, name_of_device(device));
    }
    return TRUE;
}

/* ---- of one that is off ---- */

static gboolean
add_image(GPtrArray *disks, const char *name, const char *path, const char *format,
          GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", name);
    g_autoptr(VmpImage) image = vmp_image_read(path, format, NULL, error);

    if (image)
        g_ptr_array_add(disks, disk_new(name, path, NULL, image->format, image->snapshots,
                                        image->bitmaps));
    return image != NULL;
}

static gboolean
is_written(const VmpDomainDisk *disk)
{
    return disk->source && !disk->readonly && !g_str_equal(disk->device, "cdrom");
}

static gboolean
look_at_images(VmpMachine *machine, const VmpDomain *definition, GPtrArray *disks,
               GError **error)
{
    const GPtrArray *known = vmp_domain_get_disks(definition);

    for (guint i = 0; i < known->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(known, i);
        if (is_written(disk) &&
            !add_image(disks, disk->target, disk->source, disk->driver, error))
            return FALSE;
    }

    /* Variables that were never made have nothing to keep. */
    g_autofree char *nvram = vmp_firmware_nvram_path(machine, definition);
    return !nvram || !g_file_test(nvram, G_FILE_TEST_EXISTS) ||
           add_image(disks, NVRAM, nvram, vmp_domain_get_os(definition)->nvram_format, error);
}

GPtrArray *
vmp_internal_disks_look(VmpMachine *machine, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    g_autoptr(GPtrArray) disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_internal_disk_free);

    if (!definition ||
        !(vmp_machine_is_on(machine) ? look_at_process(machine, definition, disks, error)
                                     : look_at_images(machine, definition, disks, error)))
        return NULL;
    return g_steal_pointer(&disks);
}

/* ---- finding ---- */

const VmpInternalDisk *
vmp_internal_disks_find(const GPtrArray *disks, const char *name)
{
    for (guint i = 0; i < disks->len; i++) {
        const VmpInternalDisk *disk = g_ptr_array_index(disks, i);
        if (g_strcmp0(disk->disk, name) == 0)
            return disk;
    }
    return NULL;
}

const VmpInternalDisk *
vmp_internal_disks_find_image(const GPtrArray *disks, const char *path)
{
    for (guint i = 0; path && i < disks->len; i++) {
        const VmpInternalDisk *disk = g_ptr_array_index(disks, i);
        if (g_strcmp0(disk->path, path) == 0)
            return disk;
    }
    return NULL;
}

VmpJson *
vmp_internal_disks_to_json(const GPtrArray *disks, const char *tag)
{
    VmpJson *array = json_object_new_array();

    for (guint i = 0; i < disks->len; i++) {
        const VmpInternalDisk *disk = g_ptr_array_index(disks, i);
        if (!tag || vmp_internal_snapshots_find(disk->snapshots, tag))
            json_object_array_add(array,
                                  vmp_json_build("s:disk", disk->disk, "S:path", disk->path,
                                                 "S:node", disk->node, NULL));
    }
    return array;
}

const VmpInternalDisk *
vmp_internal_disks_find_entry(const GPtrArray *disks, VmpJson *entry)
{
    const char *path = vmp_json_get_string(entry, "path");
    const VmpInternalDisk *disk =
        vmp_internal_disks_find(disks, vmp_json_get_string(entry, "disk"));

    return disk && g_strcmp0(disk->path, path) == 0 ? disk : NULL;
}

gboolean
vmp_internal_entry_has(const GPtrArray *disks, VmpJson *entry, const char *tag, gboolean *has,
                       GError **error)
{
    const VmpInternalDisk *disk = vmp_internal_disks_find_entry(disks, entry);
    const char *path = vmp_json_get_string(entry, "path");

    *has = disk && vmp_internal_snapshots_find(disk->snapshots, tag);
    if (disk || !path || !g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;

    g_autoptr(VmpImage) image = vmp_image_read(path, "qcow2", NULL, error);
    *has = image && vmp_internal_snapshots_find(image->snapshots, tag);
    return image != NULL;
}
