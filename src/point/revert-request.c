/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/revert-request.h"

#include "base/error.h"

gboolean
vmp_revert_has_memory(const VmpSnapshot *snapshot)
{
    return snapshot->memory == VMP_LOCATION_INTERNAL ||
           snapshot->memory == VMP_LOCATION_EXTERNAL;
}

gboolean
vmp_revert_check_request(VmpMachine *machine, const VmpSnapshot *snapshot,
                         VmpSnapshotRevertFlags flags, GError **error)
{
    gboolean running = (flags & VMP_SNAPSHOT_REVERT_RUNNING) != 0;
    gboolean paused = (flags & VMP_SNAPSHOT_REVERT_PAUSED) != 0;
    gboolean has_memory = vmp_revert_has_memory(snapshot);

    if (running && paused)
        return vmp_fail(error, VMP_ERROR_INVALID, "running and paused exclude each other");
    if (has_memory && (flags & VMP_SNAPSHOT_REVERT_RESET_NVRAM))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "a snapshot with memory has the firmware's variables of its moment; "
                        "fresh ones go with a boot only");
    if (!has_memory && !vmp_machine_get_row(machine)->inactive && !running && !paused)
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "a transient domain cannot revert to an inactive state; ask for running "
            "or paused");
    if (snapshot->state == VMP_STATE_PMSUSPENDED)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "the guest was suspended to memory then");
    return TRUE;
}

VmpState
vmp_revert_choose_end(const VmpSnapshot *snapshot, VmpSnapshotRevertFlags flags)
{
    if (flags & VMP_SNAPSHOT_REVERT_RUNNING)
        return VMP_STATE_RUNNING;
    if (flags & VMP_SNAPSHOT_REVERT_PAUSED)
        return VMP_STATE_PAUSED;
    if (!vmp_revert_has_memory(snapshot))
        return VMP_STATE_SHUTOFF;
    return snapshot->state == VMP_STATE_PAUSED ? VMP_STATE_PAUSED : VMP_STATE_RUNNING;
}

/* The name never reverts. */
static VmpDomain *
parse_definition(VmpMachine *machine, const char *xml, GError **error)
{
    g_autoptr(VmpDomain) domain = vmp_domain_parse(xml, -1, error);

    if (!domain || !vmp_domain_set_name(domain, vmp_machine_get_name(machine), error))
        return NULL;
    return g_steal_pointer(&domain);
}

gboolean
vmp_revert_choose_definitions(VmpMachine *machine, const VmpSnapshot *snapshot,
                              const VmpDomain *present, VmpDomain **definition,
                              VmpDomain **inactive, GError **error)
{
    const char *persistent =
        snapshot->inactive_domain_xml ? snapshot->inactive_domain_xml : snapshot->domain_xml;

    if (!snapshot->domain_xml) { /* see the risk "no-domain" */
        *definition = vmp_domain_copy(present);
        *inactive = vmp_domain_copy(present);
        return TRUE;
    }
    *definition = parse_definition(machine, snapshot->domain_xml, error);
    *inactive = *definition ? parse_definition(machine, persistent, error) : NULL;
    return *inactive != NULL;
}
