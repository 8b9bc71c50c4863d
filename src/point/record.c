/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/record.h"

#include "base/error.h"

static gboolean
attach_definition(VmpStore *store, gint64 id, char **xml, GError **error)
{
    if (id == 0)
        return TRUE;
    *xml = vmp_store_get_definition(store, id, NULL, error);
    return *xml != NULL;
}

VmpSnapshot *
vmp_record_from_snapshot_row(VmpStore *store, const VmpStorePoint *row, GError **error)
{
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(row->body, -1, VMP_SNAPSHOT_PARSE_REDEFINE, error);

    if (!snapshot)
        return NULL;
    /* The tree is the store's: a body may name a parent that has been deleted since. */
    g_free(snapshot->parent);
    snapshot->parent = g_strdup(row->parent);
    if (!attach_definition(store, row->definition, &snapshot->domain_xml, error) ||
        !attach_definition(store, row->inactive_definition, &snapshot->inactive_domain_xml,
                           error))
        return NULL;
    return g_steal_pointer(&snapshot);
}

VmpSnapshot *
vmp_record_load_snapshot(VmpMachine *machine, const char *name, GError **error)
{
    VmpStore *store = vmp_machine_get_store(machine);
    g_autoptr(VmpStorePoint) row = vmp_store_find_point(
        store, vmp_machine_get_row(machine)->id, VMP_POINT_SNAPSHOT, name, error);

    return row ? vmp_record_from_snapshot_row(store, row, error) : NULL;
}

/* Stores @xml (NULL: none, id 0), close to the domain's present definition. */
static gboolean
put_definition(VmpMachine *machine, const char *xml, gint64 *id, GError **error)
{
    const VmpStoreDomain *domain = vmp_machine_get_row(machine);

    *id = 0;
    if (!xml)
        return TRUE;
    *id = vmp_store_put_definition(vmp_machine_get_store(machine), xml, -1,
                                   domain->active ? domain->active : domain->inactive, error);
    return *id != 0;
}

VmpStorePoint *
vmp_record_to_snapshot_row(VmpMachine *machine, const VmpSnapshot *snapshot, gboolean current,
                           GError **error)
{
    g_autoptr(VmpStorePoint) row = g_new0(VmpStorePoint, 1);

    row->domain = vmp_machine_get_row(machine)->id;
    row->kind = VMP_POINT_SNAPSHOT;
    row->name = g_strdup(snapshot->name);
    row->parent = g_strdup(snapshot->parent);
    row->creation_time = snapshot->creation_time;
    row->state = g_strdup(vmp_state_name(snapshot->state));
    row->location = (int)vmp_snapshot_get_location(snapshot);
    row->current = current;
    row->body = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_NO_DOMAIN);
    if (!put_definition(machine, snapshot->domain_xml, &row->definition, error) ||
        !put_definition(machine, snapshot->inactive_domain_xml, &row->inactive_definition,
                        error))
        return NULL;
    return g_steal_pointer(&row);
}

VmpCheckpoint *
vmp_record_from_checkpoint_row(VmpStore *store, const VmpStorePoint *row, GError **error)
{
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_checkpoint_parse(row->body, -1, VMP_CHECKPOINT_PARSE_REDEFINE, error);

    if (!checkpoint)
        return NULL;
    g_free(checkpoint->parent);
    checkpoint->parent = g_strdup(row->parent);
    if (!attach_definition(store, row->definition, &checkpoint->domain_xml, error))
        return NULL;
    return g_steal_pointer(&checkpoint);
}

VmpCheckpoint *
vmp_record_load_checkpoint(VmpMachine *machine, const char *name, GError **error)
{
    VmpStore *store = vmp_machine_get_store(machine);
    g_autoptr(VmpStorePoint) row = vmp_store_find_point(
        store, vmp_machine_get_row(machine)->id, VMP_POINT_CHECKPOINT, name, error);

    return row ? vmp_record_from_checkpoint_row(store, row, error) : NULL;
}

VmpStorePoint *
vmp_record_to_checkpoint_row(VmpMachine *machine, const VmpCheckpoint *checkpoint,
                             gboolean current, GError **error)
{
    g_autoptr(VmpStorePoint) row = g_new0(VmpStorePoint, 1);

    row->domain = vmp_machine_get_row(machine)->id;
    row->kind = VMP_POINT_CHECKPOINT;
    row->name = g_strdup(checkpoint->name);
    row->parent = g_strdup(checkpoint->parent);
    row->creation_time = checkpoint->creation_time;
    row->current = current;
    row->body = vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_NO_DOMAIN);
    if (!put_definition(machine, checkpoint->domain_xml, &row->definition, error))
        return NULL;
    return g_steal_pointer(&row);
}

gboolean
vmp_record_exists(VmpMachine *machine, VmpPointKind kind, const char *name, gboolean *exists,
                  GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStorePoint) row =
        vmp_store_find_point(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                             kind, name, &failure);

    *exists = row != NULL;
    if (row || vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean
vmp_record_current_name(VmpMachine *machine, VmpPointKind kind, char **name, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStorePoint) row = vmp_store_find_current_point(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, kind, &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    *name = row ? g_strdup(row->name) : NULL;
    return TRUE;
}

gboolean
vmp_record_check_uuid(VmpMachine *machine, const char *uuid, GError **error)
{
    if (!uuid || g_ascii_strcasecmp(uuid, vmp_machine_get_uuid(machine)) == 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_INVALID,
                    "the document is of the domain %s, this one is %s", uuid,
                    vmp_machine_get_uuid(machine));
}
