/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/open.h"
#include "point/resize.h"

gboolean
vmp_block_resize(VmpHost *host, const char *domain, const char *disk, guint64 size,
                 VmpBlockResizeFlags flags, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine && vmp_point_resize_disk(machine, disk, size, flags, error);
}
