/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/open.h"
#include "point/graph.h"

VmpGraph *
vmp_domain_graph(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine =
        vmp_machine_open(host, domain, VMP_MACHINE_READ, operation, error);
    g_autoptr(VmpFsckView) view = machine ? vmp_fsck_look(machine, FALSE, error) : NULL;

    return view ? vmp_graph_from_view(view) : NULL;
}
