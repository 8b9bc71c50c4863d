/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/fsck.h>

#include "api/open.h"
#include "point/fsck.h"

GPtrArray *
vmp_domain_fsck(VmpHost *host, const char *domain, VmpFsckFlags flags, VmpOperation *operation,
                GError **error)
{
    gboolean changes = (flags & (VMP_FSCK_REPAIR | VMP_FSCK_ADOPT)) != 0;
    g_autoptr(VmpMachine) machine =
        changes ? vmp_api_change(host, domain, operation, error)
                : vmp_machine_open(host, domain, VMP_MACHINE_READ, operation, error);

    return machine ? vmp_point_fsck(machine, flags, error) : NULL;
}

gboolean
vmp_host_verify(VmpHost *host, GError **error)
{
    return vmp_store_verify(host->store, error);
}
