/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "point/redefine.h"
#include "point/snapshot.h"
#include "point/tree.h"

static gboolean
check_flags(VmpSnapshotEditFlags flags, const char *from, const char *to, GError **error)
{
    if ((flags & VMP_SNAPSHOT_EDIT_RENAME) && (flags & VMP_SNAPSHOT_EDIT_CLONE))
        return vmp_fail(error, VMP_ERROR_INVALID, "renaming and cloning exclude each other");
    if (strcmp(from, to) == 0 && (flags & VMP_SNAPSHOT_EDIT_CLONE))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "a clone of snapshot '%s' needs another name", from);
    if (strcmp(from, to) != 0 &&
        !(flags & (VMP_SNAPSHOT_EDIT_RENAME | VMP_SNAPSHOT_EDIT_CLONE)))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "must use --rename or --clone to change %s to %s", from, to);
    return TRUE;
}

/* The images of an internal snapshot know it by its name. */
static gboolean
check_can_change_name(const VmpStorePoint *known, GError **error)
{
    if (known->location != VMP_LOCATION_INTERNAL)
        return TRUE;
    return vmp_fail(
        error, VMP_ERROR_UNSUPPORTED,
        "snapshot '%s' is internal: its images know it by this name, and under another "
        "one it could not be gone back to",
        known->name);
}

static gboolean
change_name(VmpMachine *machine, const char *name, VmpSnapshot *snapshot,
            VmpSnapshotEditFlags flags, GError **error)
{
    VmpStore *store = vmp_machine_get_store(machine);
    gint64 domain = vmp_machine_get_row(machine)->id;
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(store, domain, VMP_POINT_SNAPSHOT, FALSE, error);
    g_autoptr(VmpStorePoint) known =
        rows ? vmp_store_find_point(store, domain, VMP_POINT_SNAPSHOT, name, error) : NULL;

    if (!known || !check_can_change_name(known, error))
        return FALSE;
    if (vmp_tree_find(rows, snapshot->name))
        return vmp_fail(error, VMP_ERROR_EXISTS, "snapshot '%s' exists already",
                        snapshot->name);
    return vmp_redefine_other_name(machine, rows, known, snapshot,
                                   (flags & VMP_SNAPSHOT_EDIT_RENAME) != 0,
                                   (flags & VMP_SNAPSHOT_EDIT_CURRENT) != 0, error);
}

char *
vmp_point_edit_snapshot(VmpMachine *machine, const char *name, const char *xml,
                        VmpSnapshotEditFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(xml, -1, VMP_SNAPSHOT_PARSE_REDEFINE, error);
    VmpSnapshotCreateFlags redefine =
        VMP_SNAPSHOT_CREATE_REDEFINE |
        (flags & VMP_SNAPSHOT_EDIT_CURRENT ? VMP_SNAPSHOT_CREATE_CURRENT : 0);

    if (!snapshot || !check_flags(flags, name, snapshot->name, error))
        return NULL;
    if (strcmp(snapshot->name, name) == 0)
        return vmp_point_redefine_snapshot(machine, xml, redefine, error);
    if (!change_name(machine, name, snapshot, flags, error))
        return NULL;
    return g_steal_pointer(&snapshot->name);
}
