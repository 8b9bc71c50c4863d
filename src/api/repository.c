/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/open.h"
#include "backup/restore-point.h"

char *
vmp_repository_create_point(VmpHost *host, const char *domain, const char *repository,
                            const VmpRestorePointSpec *spec, VmpOperation *operation,
                            GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine ? vmp_restore_point_create(machine, repository, spec, error) : NULL;
}

gboolean
vmp_repository_restore_domain(VmpHost *host, const char *domain, const char *repository,
                              const char *point, const char *folder, gboolean overwrite,
                              VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change(host, domain, operation, error);

    return machine &&
           vmp_restore_point_return(machine, repository, point, folder, overwrite, error);
}
