/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Points in time: the trees of snapshots and of checkpoints of each domain. */

#include "store/store.h"

#include "base/error.h"
#include "store/handle.h"
#include "store/sql.h"
#include "store/tree.h"

void
vmp_store_point_free(VmpStorePoint *point)
{
    if (!point)
        return;
    g_free(point->name);
    g_free(point->parent);
    g_free(point->state);
    g_free(point->body);
    g_free(point->extra);
    g_free(point);
}

static const char *
kind_name(VmpPointKind kind)
{
    return kind == VMP_POINT_SNAPSHOT ? "snapshot" : "checkpoint";
}

/* ---- reading ---- */

/* The seal covers what is only ever written with the whole record; name, parent and mark of
 * the current one stand in indexes as well. */
#define COLUMNS                                                                           \
    "p.id, p.domain, p.kind, p.name, p.creation_time, p.state, p.location, p.definition," \
    " p.inactive_definition, p.extra, p.seal, p.is_current"
#define COLUMN_PARENT 12 /* what follows COLUMNS */
#define BODY_COLUMNS "b.point, b.body, b.seal"
#define COLUMN_BODY_POINT 13
#define COLUMN_BODY 14
#define COLUMN_BODY_SEAL 15
#define COLUMN_CHILDREN 16

static VmpStorePoint *
read_row(VmpSql *sql, GError **error)
{
    if (!vmp_sql_check_seal(sql, "point", 10, 1, 9, error))
        return NULL;

    VmpStorePoint *point = g_new0(VmpStorePoint, 1);
    point->id = vmp_sql_int(sql, 0);
    point->domain = vmp_sql_int(sql, 1);
    point->kind = (VmpPointKind)vmp_sql_int(sql, 2);
    point->name = vmp_sql_text(sql, 3);
    point->creation_time = vmp_sql_int(sql, 4);
    point->state = vmp_sql_text(sql, 5);
    point->location = (int)vmp_sql_int(sql, 6);
    point->definition = vmp_sql_int(sql, 7);
    point->inactive_definition = vmp_sql_int(sql, 8);
    point->extra = vmp_sql_text(sql, 9);
    point->current = vmp_sql_int(sql, 11) != 0;
    return point;
}

static VmpStorePoint *
read_row_with_body(VmpSql *sql, GError **error)
{
    g_autoptr(VmpStorePoint) point = read_row(sql, error);
    if (!point || vmp_sql_int(sql, COLUMN_BODY_POINT) == 0)
        return g_steal_pointer(&point);

    if (!vmp_sql_check_seal(sql, "point's document", COLUMN_BODY_SEAL, COLUMN_BODY_POINT,
                            COLUMN_BODY, error))
        return NULL;
    point->body = vmp_sql_text(sql, COLUMN_BODY);
    return g_steal_pointer(&point);
}

#define SELECT_ONE                                                 \
    "SELECT " COLUMNS ", up.name, " BODY_COLUMNS ","               \
    " (SELECT count(*) FROM points AS c WHERE c.parent = p.id)"    \
    " FROM points AS p LEFT JOIN points AS up ON up.id = p.parent" \
    " LEFT JOIN point_bodies AS b ON b.point = p.id"

/* The one point that @sql finds; NULL, without @error, if it finds none. */
static VmpStorePoint *
read_one(VmpSql *sql, GError **error)
{
    if (vmp_sql_step(sql, error) != VMP_SQL_ROW)
        return NULL;

    VmpStorePoint *point = read_row_with_body(sql, error);
    if (!point)
        return NULL;
    point->parent = vmp_sql_text(sql, COLUMN_PARENT);
    point->children = (guint)vmp_sql_int(sql, COLUMN_CHILDREN);
    return point;
}

static gboolean
fail_not_found(VmpPointKind kind, const char *name, GError **error)
{
    return vmp_fail(error, VMP_ERROR_NOT_FOUND, "the domain has no %s '%s'", kind_name(kind),
                    name);
}

VmpStorePoint *
vmp_store_find_point(VmpStore *store, gint64 domain, VmpPointKind kind, const char *name,
                     GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, SELECT_ONE " WHERE p.domain = ? AND p.kind = ? AND p.name = ?", error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, domain);
    vmp_sql_bind_int(sql, 2, kind);
    vmp_sql_bind_text(sql, 3, name);

    g_autoptr(GError) failure = NULL;
    VmpStorePoint *point = read_one(sql, &failure);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    else if (!point)
        fail_not_found(kind, name, error);
    return point;
}

VmpStorePoint *
vmp_store_find_current_point(VmpStore *store, gint64 domain, VmpPointKind kind, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, SELECT_ONE " WHERE p.domain = ? AND p.kind = ? AND p.is_current = 1", error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, domain);
    vmp_sql_bind_int(sql, 2, kind);
    return read_one(sql, error);
}

static VmpSql *
prepare_list(VmpStore *store, gboolean with_body, GError **error)
{
    if (!with_body)
        return vmp_sql_prepare(store,
                               "SELECT " COLUMNS ", p.parent FROM points AS p"
                               " WHERE p.domain = ? AND p.kind = ?"
                               " ORDER BY p.creation_time, p.id",
                               error);
    return vmp_sql_prepare(store,
                           "SELECT " COLUMNS ", p.parent, " BODY_COLUMNS " FROM points AS p"
                           " LEFT JOIN point_bodies AS b ON b.point = p.id"
                           " WHERE p.domain = ? AND p.kind = ?"
                           " ORDER BY p.creation_time, p.id",
                           error);
}

GPtrArray *
vmp_store_list_points(VmpStore *store, gint64 domain, VmpPointKind kind, gboolean with_body,
                      GError **error)
{
    g_autoptr(VmpSql) sql = prepare_list(store, with_body, error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, domain);
    vmp_sql_bind_int(sql, 2, kind);

    g_autoptr(VmpTree) tree = vmp_tree_new();
    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW) {
        VmpStorePoint *point =
            with_body ? read_row_with_body(sql, error) : read_row(sql, error);
        if (!point)
            return NULL;
        vmp_tree_add(tree, point, vmp_sql_int(sql, COLUMN_PARENT));
    }
    if (result != VMP_SQL_DONE)
        return NULL;

    GPtrArray *points = vmp_tree_flatten(tree);
    if (!points)
        vmp_fail(error, VMP_ERROR_DAMAGED,
                 "store %s: the %ss of domain number %" G_GINT64_FORMAT " form no tree",
                 store->path, kind_name(kind), domain);
    return points;
}

gint64
vmp_store_count_points(VmpStore *store, gint64 domain, VmpPointKind kind, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "SELECT count(*) FROM points WHERE domain = ? AND kind = ?", error);

    if (!sql)
        return -1;
    vmp_sql_bind_int(sql, 1, domain);
    vmp_sql_bind_int(sql, 2, kind);
    return vmp_sql_step(sql, error) == VMP_SQL_ROW ? vmp_sql_int(sql, 0) : -1;
}

/* ---- looking up for a change ---- */

/* What a change needs to know of a point that is there. */
typedef struct {
    gint64 id; /* 0 = there is none */
    gint64 parent;
    gboolean current;
} Place;

static gboolean
look_up(VmpStore *store, gint64 domain, VmpPointKind kind, const char *name, Place *place,
        GError **error)
{
    *place = (Place){ 0 };
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store,
                                            "SELECT id, parent, is_current FROM points"
                                            " WHERE domain = ? AND kind = ? AND name = ?",
                                            error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, domain);
    vmp_sql_bind_int(sql, 2, kind);
    vmp_sql_bind_text(sql, 3, name);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result == VMP_SQL_ROW)
        *place = (Place){ vmp_sql_int(sql, 0), vmp_sql_int(sql, 1), vmp_sql_int(sql, 2) != 0 };
    return result != VMP_SQL_FAILED;
}

/* As look_up(), for a point that has to be there. */
static gboolean
demand(VmpStore *store, gint64 domain, VmpPointKind kind, const char *name, Place *place,
       GError **error)
{
    return look_up(store, domain, kind, name, place, error) &&
           (place->id != 0 || fail_not_found(kind, name, error));
}

/* ---- changes of one column ---- */

static gboolean
clear_current(VmpStore *store, gint64 domain, VmpPointKind kind, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store,
                        "UPDATE points SET is_current = 0"
                        " WHERE domain = ? AND kind = ? AND is_current = 1",
                        error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, domain);
    vmp_sql_bind_int(sql, 2, kind);
    return vmp_sql_run(sql, error);
}

/* @id 0: nothing to mark. */
static gboolean
mark_current(VmpStore *store, gint64 id, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "UPDATE points SET is_current = 1 WHERE id = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);
    return vmp_sql_run(sql, error);
}

/* @parent 0: they become roots. */
static gboolean
move_children(VmpStore *store, gint64 id, gint64 parent, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "UPDATE points SET parent = ? WHERE parent = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_id(sql, 1, parent);
    vmp_sql_bind_int(sql, 2, id);
    return vmp_sql_run(sql, error);
}

/* The ledger says for which snapshot a file was made. */
static gboolean
rename_in_ledger(VmpStore *store, gint64 domain, const char *from, const char *to,
                 GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "UPDATE files SET point = ? WHERE domain = ? AND point = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_text(sql, 1, to);
    vmp_sql_bind_int(sql, 2, domain);
    vmp_sql_bind_text(sql, 3, from);
    return vmp_sql_run(sql, error);
}

static gboolean
delete_row(VmpStore *store, gint64 id, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, "DELETE FROM points WHERE id = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);
    return vmp_sql_run(sql, error);
}

/* ---- putting ---- */

/* FALSE with VMP_ERROR_INVALID if @id is @parent or one of its ancestors. */
static gboolean
check_no_cycle(VmpStore *store, const VmpStorePoint *point, gint64 id, gint64 parent,
               GError **error)
{
    /* UNION, not UNION ALL: ends even if damage has made a circle. */
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store,
                        "WITH RECURSIVE line(id) AS (SELECT ?1 UNION"
                        " SELECT p.parent FROM points AS p JOIN line ON p.id = line.id"
                        " WHERE p.parent IS NOT NULL)"
                        " SELECT 1 FROM line WHERE id = ?2",
                        error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, parent);
    vmp_sql_bind_int(sql, 2, id);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result == VMP_SQL_ROW)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "%s '%s' cannot be a child of '%s', which descends from it",
                        kind_name(point->kind), point->name, point->parent);
    return result == VMP_SQL_DONE;
}

/* The id of point->parent in @parent, 0 for a root. */
static gboolean
find_parent(VmpStore *store, const VmpStorePoint *point, const Place *before, gint64 *parent,
            GError **error)
{
    *parent = 0;
    if (!point->parent)
        return TRUE;

    Place place;
    if (!look_up(store, point->domain, point->kind, point->parent, &place, error))
        return FALSE;
    if (place.id == 0)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "parent '%s' of %s '%s' is not known",
                        point->parent, kind_name(point->kind), point->name);
    *parent = place.id;

    /* A new point has no descendants. */
    if (before->id == 0 || before->parent == *parent)
        return TRUE;
    return check_no_cycle(store, point, before->id, *parent, error);
}

static VmpSql *
prepare_put(VmpStore *store, gboolean known, GError **error)
{
    if (!known)
        return vmp_sql_prepare(store,
                               "INSERT INTO points (domain, kind, name, creation_time, state, "
                               "location, definition,"
                               " inactive_definition, extra, seal, parent, is_current)"
                               " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                               error);
    return vmp_sql_prepare(
        store,
        "UPDATE points SET domain = ?, kind = ?, name = ?, creation_time = ?,"
        " state = ?, location = ?, definition = ?, inactive_definition = ?,"
        " extra = ?, seal = ?, parent = ?, is_current = ? WHERE id = ?",
        error);
}

/* Returns the id, or 0 with @error. */
static gint64
write_row(VmpStore *store, const VmpStorePoint *point, gint64 known, gint64 parent,
          GError **error)
{
    g_autoptr(VmpSql) sql = prepare_put(store, known != 0, error);
    if (!sql)
        return 0;

    vmp_sql_bind_int(sql, 1, point->domain);
    vmp_sql_bind_int(sql, 2, point->kind);
    vmp_sql_bind_text(sql, 3, point->name);
    vmp_sql_bind_int(sql, 4, point->creation_time);
    vmp_sql_bind_text(sql, 5, point->state);
    vmp_sql_bind_int(sql, 6, point->location);
    vmp_sql_bind_id(sql, 7, point->definition);
    vmp_sql_bind_id(sql, 8, point->inactive_definition);
    vmp_sql_bind_text(sql, 9, point->extra);
    vmp_sql_bind_seal(sql, 10, 1, 9);
    vmp_sql_bind_id(sql, 11, parent);
    vmp_sql_bind_int(sql, 12, point->current != FALSE);
    if (known != 0)
        vmp_sql_bind_int(sql, 13, known);
    if (!vmp_sql_run(sql, error))
        return 0;
    return known != 0 ? known : sqlite3_last_insert_rowid(store->db);
}

static gboolean
remove_body(VmpStore *store, gint64 id, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "DELETE FROM point_bodies WHERE point = ?", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);
    return vmp_sql_run(sql, error);
}

static gboolean
write_body(VmpStore *store, gint64 id, const char *body, GError **error)
{
    if (!body)
        return remove_body(store, id, error);

    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "INSERT INTO point_bodies (point, body, seal) VALUES (?, ?, ?)"
        " ON CONFLICT (point) DO UPDATE SET body = excluded.body, seal = excluded.seal",
        error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);
    vmp_sql_bind_text(sql, 2, body);
    vmp_sql_bind_seal(sql, 3, 1, 2);
    return vmp_sql_run(sql, error);
}

gboolean
vmp_store_put_point(VmpStore *store, VmpStorePoint *point, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    Place before;
    gint64 parent;

    if (!vmp_store_begin(store, &transaction, error) ||
        !look_up(store, point->domain, point->kind, point->name, &before, error) ||
        !find_parent(store, point, &before, &parent, error))
        return FALSE;
    if (point->current && !clear_current(store, point->domain, point->kind, error))
        return FALSE;

    gint64 id = write_row(store, point, before.id, parent, error);
    if (id == 0 || !write_body(store, id, point->body, error) ||
        !vmp_store_commit(&transaction, error))
        return FALSE;
    point->id = id;
    return TRUE;
}

/* ---- the rest of the tree's rules ---- */

gboolean
vmp_store_remove_point(VmpStore *store, gint64 domain, VmpPointKind kind, const char *name,
                       GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    Place place;

    if (!vmp_store_begin(store, &transaction, error) ||
        !demand(store, domain, kind, name, &place, error) ||
        !move_children(store, place.id, place.parent, error) ||
        !delete_row(store, place.id, error))
        return FALSE;

    /* Only now: at no time may two be current. */
    if (place.current && !mark_current(store, place.parent, error))
        return FALSE;
    return vmp_store_commit(&transaction, error);
}

gboolean
vmp_store_set_current_point(VmpStore *store, gint64 domain, VmpPointKind kind,
                            const char *name, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    Place place = { 0 };

    if (!vmp_store_begin(store, &transaction, error) ||
        (name && !demand(store, domain, kind, name, &place, error)) ||
        !clear_current(store, domain, kind, error) || !mark_current(store, place.id, error))
        return FALSE;
    return vmp_store_commit(&transaction, error);
}

gboolean
vmp_store_rename_point(VmpStore *store, gint64 domain, VmpPointKind kind, const char *from,
                       const char *to, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    Place place, taken;

    if (!vmp_store_begin(store, &transaction, error) ||
        !demand(store, domain, kind, from, &place, error) ||
        !look_up(store, domain, kind, to, &taken, error))
        return FALSE;
    if (taken.id != 0 && taken.id != place.id)
        return vmp_fail(error, VMP_ERROR_EXISTS, "the domain has a %s '%s' already",
                        kind_name(kind), to);

    /* The name is under the seal of the whole record. */
    g_autoptr(VmpStorePoint) point = vmp_store_find_point(store, domain, kind, from, error);
    if (!point)
        return FALSE;
    g_free(point->name);
    point->name = g_strdup(to);
    if (write_row(store, point, place.id, place.parent, error) == 0)
        return FALSE;

    if (kind == VMP_POINT_SNAPSHOT && !rename_in_ledger(store, domain, from, to, error))
        return FALSE;
    return vmp_store_commit(&transaction, error);
}
