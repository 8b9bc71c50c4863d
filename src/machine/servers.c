/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/servers.h"

#include "base/error.h"
#include "storage/image-name.h"

gboolean
vmp_servers_look_at_disk(const VmpDomainDisk *disk, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", disk->target);

    return !disk->source || vmp_image_look_at_servers(disk->source, disk->driver, error);
}

gboolean
vmp_servers_look(const VmpDomain *definition, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(definition);

    for (guint i = 0; i < disks->len; i++)
        if (!vmp_servers_look_at_disk(g_ptr_array_index(disks, i), error))
            return FALSE;
    return TRUE;
}
