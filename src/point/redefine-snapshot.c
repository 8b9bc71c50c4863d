/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "machine/launch.h"
#include "plan/executor.h"
#include "point/align.h"
#include "point/part.h"
#include "point/record.h"
#include "point/redefine.h"
#include "point/tree.h"
#include "store/edit.h"
#include "xml/name.h"

gboolean
vmp_redefine_check_snapshot_flags(VmpSnapshotCreateFlags flags, GError **error)
{
    static const struct {
        VmpSnapshotCreateFlags flag;
        const char *name;
    } excluded[] = {
        { VMP_SNAPSHOT_CREATE_NO_METADATA, "no-metadata" },
        { VMP_SNAPSHOT_CREATE_HALT, "halt" },
        { VMP_SNAPSHOT_CREATE_LIVE, "live" },
        { VMP_SNAPSHOT_CREATE_QUIESCE, "quiesce" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(excluded); i++)
        if (flags & excluded[i].flag)
            return vmp_fail(error, VMP_ERROR_INVALID, "redefine and %s exclude each other",
                            excluded[i].name);
    return TRUE;
}

static gboolean
check_state(const VmpSnapshot *snapshot, VmpSnapshotCreateFlags flags, GError **error)
{
    switch (snapshot->state) {
    case VMP_STATE_NOSTATE:
    case VMP_STATE_BLOCKED:
    case VMP_STATE_PMSUSPENDED:
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "a snapshot cannot have the state '%s'",
                        vmp_state_name(snapshot->state));
    default:
        break;
    }
    if ((flags & VMP_SNAPSHOT_CREATE_DISK_ONLY) && snapshot->state != VMP_STATE_DISK_SNAPSHOT)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk-only goes with the state 'disk-snapshot', this one is '%s'",
                        vmp_state_name(snapshot->state));
    return TRUE;
}

/* ---- against one of the same name ---- */

static gboolean
is_online(VmpState state)
{
    return state == VMP_STATE_RUNNING || state == VMP_STATE_PAUSED;
}

gboolean
vmp_redefine_check_abi(const char *name, const char *before_xml, const char *after_xml,
                       GError **error)
{
    g_autofree char *difference = NULL;
    g_autoptr(VmpDomain) before = vmp_domain_parse(before_xml, -1, error);
    g_autoptr(VmpDomain) after = before ? vmp_domain_parse(after_xml, -1, error) : NULL;

    if (!after)
        return FALSE;
    return vmp_launch_same_abi(before, after, &difference) ||
           vmp_fail(error, VMP_ERROR_INVALID,
                    "the guest of snapshot '%s' would see another machine (%s)", name,
                    difference);
}

/* What the new document may not change. */
static gboolean
check_same_kind(const VmpStorePoint *known, const VmpSnapshot *new, GError **error)
{
    VmpState old = VMP_STATE_NOSTATE;

    if (!known || !known->state || !vmp_state_from_name(known->state, &old))
        return TRUE;
    if (is_online(old) != is_online(new->state))
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "snapshot '%s' cannot change between online and offline ('%s' to '%s')", new->name,
            known->state, vmp_state_name(new->state));
    if ((old == VMP_STATE_DISK_SNAPSHOT) != (new->state == VMP_STATE_DISK_SNAPSHOT))
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "snapshot '%s' cannot change between disk-only and full ('%s' to '%s')", new->name,
            known->state, vmp_state_name(new->state));
    return TRUE;
}

gboolean
vmp_redefine_check_snapshot(VmpMachine *machine, VmpSnapshot *snapshot,
                            const VmpDomain *domain, const VmpStorePoint *known,
                            VmpSnapshotCreateFlags flags, GError **error)
{
    const char *uuid = domain ? vmp_domain_get_uuid(domain) : snapshot->domain_uuid;

    if (!vmp_snapshot_name_check(snapshot->name, error) ||
        !check_state(snapshot, flags, error) || !vmp_record_check_uuid(machine, uuid, error) ||
        !check_same_kind(known, snapshot, error))
        return FALSE;
    if (domain && !vmp_align_redefined(snapshot, domain, error))
        return FALSE;
    if ((flags & VMP_SNAPSHOT_CREATE_REDEFINE_VALIDATE) &&
        !vmp_redefine_check_images(snapshot, domain, error))
        return FALSE;
    if (domain)
        return TRUE;

    vmp_operation_note(vmp_machine_get_operation(machine),
                       "snapshot '%s' has no <domain>: reverting to it will need force",
                       snapshot->name);
    return vmp_align_redefined_memory(snapshot, error);
}

/* ---- one ---- */

/* What the new document takes over of the old one, and what of it must not differ. */
static gboolean
take_over(VmpMachine *machine, const VmpStorePoint *known, VmpSnapshot *snapshot,
          GError **error)
{
    if (!known || known->definition == 0)
        return TRUE;
    g_autofree char *old = vmp_store_get_definition(vmp_machine_get_store(machine),
                                                    known->definition, NULL, error);
    if (!old)
        return FALSE;
    if (snapshot->domain_xml)
        return vmp_redefine_check_abi(snapshot->name, old, snapshot->domain_xml, error);
    snapshot->domain_xml = g_steal_pointer(&old);
    return TRUE;
}

/* @place: the name under which it stands in the tree of @rows, if it does. */
static gboolean
check(VmpMachine *machine, const GPtrArray *rows, const char *place,
      const VmpStorePoint *known, VmpSnapshot *snapshot, VmpSnapshotCreateFlags flags,
      GError **error)
{
    if (!vmp_tree_check_parent(rows, place, snapshot->parent, error) ||
        !take_over(machine, known, snapshot, error))
        return FALSE;

    g_autoptr(VmpDomain) domain =
        snapshot->domain_xml ? vmp_domain_parse(snapshot->domain_xml, -1, error) : NULL;
    if (snapshot->domain_xml && !domain)
        return FALSE;
    return vmp_redefine_check_snapshot(machine, snapshot, domain, known, flags, error);
}

/* What it has beside its layers, where it is not the snapshot of that name that is told
 * anew. */
static gboolean
plan_parts(VmpPlan *plan, VmpMachine *machine, const VmpStorePoint *known, const char *name,
           const char *rename_from, GError **error)
{
    if (!known || g_str_equal(known->name, name))
        return TRUE;
    /* A renamed one takes its own along, and must not find others there. */
    return rename_from ? vmp_part_plan_retire(plan, machine, name, error)
                       : vmp_part_plan_clone(plan, machine, known->name, name, error);
}

static gboolean
write_row(VmpMachine *machine, const VmpSnapshot *snapshot, const VmpStorePoint *known,
          const char *rename_from, gboolean current, GError **error)
{
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-redefine", vmp_machine_get_name(machine), snapshot->name);
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };

    if (!vmp_change_begin_planning(&change, error))
        return FALSE;
    g_autoptr(VmpStorePoint) row =
        vmp_record_to_snapshot_row(machine, snapshot, current, error);
    if (!row || !plan_parts(plan, machine, known, snapshot->name, rename_from, error))
        return FALSE;
    row->extra = g_strdup(known ? known->extra : NULL);
    if (rename_from)
        vmp_store_edit_rename_point(plan->edits, row->domain, VMP_POINT_SNAPSHOT, rename_from,
                                    snapshot->name);
    vmp_store_edit_put_point(plan->edits, row);
    return vmp_plan_execute(plan, &change, error);
}

char *
vmp_point_redefine_snapshot(VmpMachine *machine, const char *xml, VmpSnapshotCreateFlags flags,
                            GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    g_autoptr(VmpSnapshot) snapshot =
        xml ? vmp_snapshot_parse(xml, -1, VMP_SNAPSHOT_PARSE_REDEFINE, error)
            : vmp_fail_null(error, VMP_ERROR_INVALID,
                            "redefining needs the document of a dump");
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                              VMP_POINT_SNAPSHOT, FALSE, snapshot ? error : NULL);

    if (!snapshot || !rows || !vmp_redefine_check_snapshot_flags(flags, error))
        return NULL;

    const VmpStorePoint *known = vmp_tree_find(rows, snapshot->name);
    gboolean current = (flags & VMP_SNAPSHOT_CREATE_CURRENT) || (known && known->current);
    if (!check(machine, rows, snapshot->name, known, snapshot, flags, error) ||
        !write_row(machine, snapshot, known, NULL, current, error))
        return NULL;
    return g_steal_pointer(&snapshot->name);
}

gboolean
vmp_redefine_other_name(VmpMachine *machine, const GPtrArray *rows, const VmpStorePoint *known,
                        VmpSnapshot *snapshot, gboolean rename, gboolean current,
                        GError **error)
{
    const char *place = rename ? known->name : snapshot->name;

    return check(machine, rows, place, known, snapshot, 0, error) &&
           write_row(machine, snapshot, known, rename ? known->name : NULL,
                     current || (rename && known->current), error);
}
