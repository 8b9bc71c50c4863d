/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/bulk-read.h"

#include <string.h>

#include "base/error.h"
#include "machine/session.h"
#include "plan/plan.h"
#include "point/record.h"
#include "point/redefine.h"

/* A point as it is at this moment. */
typedef struct {
    const char *parent; /* one of the keys of the table; NULL = root */
    gboolean was_there; /* before */
    gboolean taken;     /* from the document */
} Known;

struct _VmpBulkRead {
    VmpMachine *machine;
    VmpStore *store;
    gint64 domain;
    VmpPointKind kind;
    guint flags;
    VmpStoreTransaction transaction;
    GHashTable *known;    /* name -> Known */
    char *current;        /* or NULL */
    gboolean had_current; /* before */
    guint taken;
    VmpBlockSession *session; /* only with REDEFINE_VALIDATE */
    VmpBlockGraph *graph;
};

void
vmp_bulk_read_free(VmpBulkRead *bulk)
{
    if (!bulk)
        return;
    vmp_store_transaction_clear(&bulk->transaction);
    g_hash_table_unref(bulk->known);
    g_free(bulk->current);
    g_clear_pointer(&bulk->graph, vmp_block_graph_free);
    g_clear_pointer(&bulk->session, vmp_block_session_free);
    g_free(bulk);
}

static Known *
find(VmpBulkRead *bulk, const char *name, const char **key)
{
    gpointer kept = NULL, known = NULL;

    g_hash_table_lookup_extended(bulk->known, name, &kept, &known);
    if (key)
        *key = kept;
    return known;
}

static Known *
add(VmpBulkRead *bulk, const char *name, const char *parent)
{
    Known *known = g_new0(Known, 1);

    if (parent)
        find(bulk, parent, &known->parent);
    g_hash_table_insert(bulk->known, g_strdup(name), known);
    return known;
}

static gboolean
look(VmpBulkRead *bulk, GError **error)
{
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(bulk->store, bulk->domain, bulk->kind, FALSE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        add(bulk, row->name, row->parent)->was_there = TRUE;
        if (row->current)
            bulk->current = g_strdup(row->name);
    }
    bulk->had_current = bulk->current != NULL;
    return rows != NULL;
}

static gboolean
open_images(VmpBulkRead *bulk, GError **error)
{
    if (bulk->kind != VMP_POINT_CHECKPOINT ||
        !(bulk->flags & VMP_CHECKPOINT_CREATE_REDEFINE_VALIDATE))
        return TRUE;
    bulk->session = vmp_block_session_open(bulk->machine, error);
    bulk->graph = bulk->session ? vmp_block_session_read_graph(bulk->session, error) : NULL;
    return bulk->graph != NULL;
}

VmpBulkRead *
vmp_bulk_read_new(VmpMachine *machine, VmpPointKind kind, guint flags, GError **error)
{
    g_autoptr(VmpBulkRead) bulk = g_new0(VmpBulkRead, 1);

    bulk->machine = machine;
    bulk->store = vmp_machine_get_store(machine);
    bulk->domain = vmp_machine_get_row(machine)->id;
    bulk->kind = kind;
    bulk->flags = flags;
    bulk->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gboolean allowed = kind == VMP_POINT_SNAPSHOT
                           ? vmp_redefine_check_snapshot_flags(flags, error)
                           : vmp_redefine_check_checkpoint_flags(flags, error);
    if (!allowed || !open_images(bulk, error) ||
        !vmp_store_begin(bulk->store, &bulk->transaction, error) || !look(bulk, error))
        return NULL;
    return g_steal_pointer(&bulk);
}

/* ---- the tree ---- */

/* Only a point that was there can have somebody below it. */
static gboolean
check_no_cycle(VmpBulkRead *bulk, const Known *known, const char *name, const char *parent,
               GError **error)
{
    if (!known || g_strcmp0(known->parent, parent) == 0)
        return TRUE;
    for (const Known *up = find(bulk, parent, NULL); up && up->parent;
         up = find(bulk, up->parent, NULL))
        if (strcmp(up->parent, name) == 0)
            return vmp_fail(error, VMP_ERROR_INVALID,
                            "the parent '%s' is itself below '%s': a cycle", parent, name);
    return TRUE;
}

static gboolean
check_place(VmpBulkRead *bulk, const char *name, const char *parent, GError **error)
{
    const Known *known = find(bulk, name, NULL);

    if (known && known->taken)
        return vmp_fail(error, VMP_ERROR_INVALID, "'%s' is there twice", name);
    if (bulk->taken == VMP_BULK_MAX_POINTS)
        return vmp_fail(error, VMP_ERROR_INVALID, "more than %d points", VMP_BULK_MAX_POINTS);
    if (!parent)
        return TRUE;
    if (strcmp(parent, name) == 0)
        return vmp_fail(error, VMP_ERROR_INVALID, "'%s' cannot be its own parent", name);
    if (!find(bulk, parent, NULL))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "the parent '%s' of '%s' is not there: parents come first", parent,
                        name);
    return check_no_cycle(bulk, known, name, parent, error);
}

static void
take(VmpBulkRead *bulk, const char *name, const char *parent, gboolean current)
{
    Known *known = find(bulk, name, NULL);

    if (!known)
        known = add(bulk, name, NULL);
    known->parent = NULL;
    if (parent)
        find(bulk, parent, &known->parent);
    known->taken = TRUE;
    bulk->taken++;
    if (!current)
        return;
    g_free(bulk->current);
    bulk->current = g_strdup(name);
}

/* ---- one point ---- */

/* The row of the same name, with its body; NULL without @error if there is none. */
static gboolean
load_known(VmpBulkRead *bulk, const char *name, VmpStorePoint **row, GError **error)
{
    *row = find(bulk, name, NULL)
               ? vmp_store_find_point(bulk->store, bulk->domain, bulk->kind, name, error)
               : NULL;
    return *row || !find(bulk, name, NULL);
}

static gboolean
put_row(VmpBulkRead *bulk, VmpStorePoint *row, const VmpStorePoint *known,
        const VmpBulkDomains *domains, GError **error)
{
    if (domains->domain != 0)
        row->definition = domains->domain;
    if (domains->inactive != 0)
        row->inactive_definition = domains->inactive;
    if (known) {
        row->extra = g_strdup(known->extra);
        if (row->definition == 0)
            row->definition = known->definition;
    }
    if (!vmp_store_put_point(bulk->store, row, error))
        return FALSE;
    take(bulk, row->name, row->parent, row->current);
    return TRUE;
}

/* Does what is there have another definition, and would the guest see that? */
static gboolean
check_abi(VmpBulkRead *bulk, const VmpSnapshot *snapshot, const VmpStorePoint *known,
          gint64 definition, GError **error)
{
    if (!known || known->definition == 0 || known->definition == definition ||
        (definition == 0 && !snapshot->domain_xml))
        return TRUE;
    g_autofree char *before =
        vmp_store_get_definition(bulk->store, known->definition, NULL, error);
    g_autofree char *after =
        snapshot->domain_xml ? g_strdup(snapshot->domain_xml)
        : before             ? vmp_store_get_definition(bulk->store, definition, NULL, error)
                             : NULL;

    return before && after && vmp_redefine_check_abi(snapshot->name, before, after, error);
}

/* The view that a point is aligned with: what it refers to, has in it, or takes over. */
static gboolean
find_view(VmpBulkRead *bulk, const char *xml, const VmpStorePoint *known,
          const VmpBulkDomains *domains, VmpDomain **own, const VmpDomain **view,
          GError **error)
{
    g_autofree char *taken_over = NULL;

    *view = domains->view;
    if (*view)
        return TRUE;
    if (!xml && known && known->definition != 0) {
        xml = taken_over =
            vmp_store_get_definition(bulk->store, known->definition, NULL, error);
        if (!xml)
            return FALSE;
    }
    *view = *own = xml ? vmp_domain_parse(xml, -1, error) : NULL;
    return *own || !xml;
}

static gboolean
put_snapshot(VmpBulkRead *bulk, const char *xml, const VmpBulkDomains *domains, GError **error)
{
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(xml, -1, VMP_SNAPSHOT_PARSE_REDEFINE, error);
    g_autoptr(VmpStorePoint) known = NULL;
    g_autoptr(VmpDomain) own = NULL;
    const VmpDomain *view;

    if (!snapshot || !check_place(bulk, snapshot->name, snapshot->parent, error) ||
        !load_known(bulk, snapshot->name, &known, error) ||
        !find_view(bulk, snapshot->domain_xml, known, domains, &own, &view, error) ||
        !vmp_redefine_check_snapshot(bulk->machine, snapshot, view, known, bulk->flags,
                                     error) ||
        !check_abi(bulk, snapshot, known, domains->domain, error))
        return FALSE;
    g_autoptr(VmpStorePoint) row =
        vmp_record_to_snapshot_row(bulk->machine, snapshot, known && known->current, error);
    return row && put_row(bulk, row, known, domains, error);
}

/* It becomes current if its parent is, or if none is; libvirt has no flag for it. */
static gboolean
becomes_current(const VmpBulkRead *bulk, const VmpCheckpoint *checkpoint)
{
    return !bulk->current || g_strcmp0(bulk->current, checkpoint->parent) == 0 ||
           strcmp(bulk->current, checkpoint->name) == 0;
}

static gboolean
put_checkpoint(VmpBulkRead *bulk, const char *xml, const VmpBulkDomains *domains,
               GError **error)
{
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_checkpoint_parse(xml, -1, VMP_CHECKPOINT_PARSE_REDEFINE, error);
    g_autoptr(VmpStorePoint) known = NULL;
    g_autoptr(VmpDomain) own = NULL;
    const VmpDomain *view;

    if (!checkpoint || !check_place(bulk, checkpoint->name, checkpoint->parent, error) ||
        !load_known(bulk, checkpoint->name, &known, error) ||
        !find_view(bulk, checkpoint->domain_xml, NULL, domains, &own, &view, error) ||
        !vmp_redefine_check_checkpoint(bulk->machine, checkpoint, view, bulk->flags, error) ||
        (bulk->graph &&
         !vmp_redefine_check_bitmaps(bulk->session, bulk->graph, checkpoint, error)))
        return FALSE;
    g_autoptr(VmpStorePoint) row = vmp_record_to_checkpoint_row(
        bulk->machine, checkpoint, becomes_current(bulk, checkpoint), error);
    return row && put_row(bulk, row, known, domains, error);
}

gboolean
vmp_bulk_read_put(VmpBulkRead *bulk, const char *xml, const VmpBulkDomains *domains,
                  GError **error)
{
    GCancellable *cancellable =
        vmp_operation_get_cancellable(vmp_machine_get_operation(bulk->machine));

    if (g_cancellable_is_cancelled(cancellable))
        return vmp_fail(error, VMP_ERROR_INTERRUPTED, "interrupted");
    return bulk->kind == VMP_POINT_SNAPSHOT ? put_snapshot(bulk, xml, domains, error)
                                            : put_checkpoint(bulk, xml, domains, error);
}

/* ---- the end ---- */

/* A domain that has a current point keeps it, unless it is asked not to: then the document
 * must say which one. */
static gboolean
settle_current(VmpBulkRead *bulk, const char *current, GError **error)
{
    gboolean is_asked =
        bulk->kind == VMP_POINT_SNAPSHOT && (bulk->flags & VMP_SNAPSHOT_CREATE_CURRENT) != 0;
    const Known *known = current ? find(bulk, current, NULL) : NULL;

    if (is_asked && !current)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "it is not said which snapshot is to be the current one");
    if (current && (!known || !known->taken))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "the current one is '%s', but there is no such", current);
    if (!current || (bulk->had_current && !is_asked))
        return TRUE;
    return vmp_store_set_current_point(bulk->store, bulk->domain, bulk->kind, current, error);
}

/* A plan without steps: its report is all that there is to see. */
static void
report_plan(VmpBulkRead *bulk)
{
    g_autofree char *subject = g_strdup_printf("%u points", bulk->taken);
    g_autoptr(VmpPlan) plan = vmp_plan_new(
        bulk->kind == VMP_POINT_SNAPSHOT ? "snapshot-redefine" : "checkpoint-redefine",
        vmp_machine_get_name(bulk->machine), subject);

    vmp_operation_take_plan(vmp_machine_get_operation(bulk->machine), vmp_plan_report(plan));
}

gint64
vmp_bulk_read_finish(VmpBulkRead *bulk, const char *current, GError **error)
{
    if (!settle_current(bulk, current, error))
        return -1;
    report_plan(bulk);
    if (vmp_operation_get_dry_run(vmp_machine_get_operation(bulk->machine)))
        return bulk->taken;
    return vmp_store_commit(&bulk->transaction, error) ? (gint64)bulk->taken : -1;
}
