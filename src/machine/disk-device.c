/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/disk-device.h"

#include "base/error.h"
#include "base/json.h"

const VmpBlockDevice *
vmp_machine_disk_device(VmpMachine *machine, const VmpBlockGraph *graph, const char *target,
                        GError **error)
{
    const VmpStoreDomain *row = vmp_machine_get_row(machine);
    g_autoptr(VmpJson) extra = row->extra ? vmp_json_parse(row->extra, -1, NULL) : NULL;
    VmpJson *devices = vmp_json_get_object(extra, "devices");
    const char *id = row->qmp_path ? vmp_json_get_string(devices, target) : target;
    const VmpBlockDevice *device = id ? vmp_block_graph_device(graph, id) : NULL;

    if (!device)
        vmp_fail(error, VMP_ERROR_NOT_FOUND, "domain %s: QEMU has no disk %s",
                 vmp_machine_get_name(machine), target);
    return device;
}

char *
vmp_machine_disk_qom_path(VmpMachine *machine, const VmpBlockGraph *graph, const char *target,
                          GError **error)
{
    const VmpBlockDevice *device = vmp_machine_disk_device(machine, graph, target, error);

    if (!device)
        return NULL;
    if (!device->qdev)
        return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                             "domain %s: QEMU does not say which "
                             "device disk %s is",
                             vmp_machine_get_name(machine), target);
    /* SCSI and IDE disks are named by their id alone. */
    if (device->qdev[0] == '/')
        return g_strdup(device->qdev);
    return g_strconcat("/machine/peripheral/", device->qdev, NULL);
}
