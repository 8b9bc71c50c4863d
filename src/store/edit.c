/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/edit.h"

#include "base/error.h"

/* An element is an object: "edit" says what is to be done, the other keys are the
 * arguments, named as the fields of the records are. */

static void
append(VmpJson *edits, VmpJson *edit)
{
    json_object_array_add(edits, edit);
}

static char *
dup_string(VmpJson *edit, const char *key)
{
    return g_strdup(vmp_json_get_string(edit, key));
}

/* ---- domains ---- */

void
vmp_store_edit_put_domain(VmpJson *edits, const VmpStoreDomain *domain)
{
    append(edits,
           vmp_json_build("s:edit", "put-domain", "I:id", domain->id, "s:name", domain->name,
                          "S:uuid", domain->uuid, "b:persistent", domain->persistent,
                          "I:inactive", domain->inactive, "I:active", domain->active,
                          "S:qmp-path", domain->qmp_path, "S:agent-path", domain->agent_path,
                          "S:extra", domain->extra, NULL));
}

static gboolean
apply_put_domain(VmpStore *store, VmpJson *edit, GError **error)
{
    g_autoptr(VmpStoreDomain) domain = g_new0(VmpStoreDomain, 1);

    domain->id = vmp_json_get_int(edit, "id", 0);
    domain->name = dup_string(edit, "name");
    domain->uuid = dup_string(edit, "uuid");
    domain->persistent = vmp_json_get_bool(edit, "persistent", FALSE);
    domain->inactive = vmp_json_get_int(edit, "inactive", 0);
    domain->active = vmp_json_get_int(edit, "active", 0);
    domain->qmp_path = dup_string(edit, "qmp-path");
    domain->agent_path = dup_string(edit, "agent-path");
    domain->extra = dup_string(edit, "extra");
    return vmp_store_put_domain(store, domain, error);
}

void
vmp_store_edit_remove_domain(VmpJson *edits, gint64 domain)
{
    append(edits, vmp_json_build("s:edit", "remove-domain", "i:domain", domain, NULL));
}

static gboolean
apply_remove_domain(VmpStore *store, VmpJson *edit, GError **error)
{
    return vmp_store_remove_domain(store, vmp_json_get_int(edit, "domain", 0), error);
}

/* ---- points ---- */

static const char *const kind_names[] = {
    [VMP_POINT_SNAPSHOT] = "snapshot",
    [VMP_POINT_CHECKPOINT] = "checkpoint",
};

static gboolean
get_kind(VmpJson *edit, VmpPointKind *kind, GError **error)
{
    const char *name = vmp_json_get_string(edit, "kind");

    for (guint i = 0; i < G_N_ELEMENTS(kind_names); i++) {
        if (g_strcmp0(name, kind_names[i]) == 0) {
            *kind = (VmpPointKind)i;
            return TRUE;
        }
    }
    return vmp_fail(error, VMP_ERROR_INVALID, "an edit is of a point of unknown kind '%s'",
                    name ? name : "");
}

void
vmp_store_edit_put_point(VmpJson *edits, const VmpStorePoint *point)
{
    append(edits,
           vmp_json_build("s:edit", "put-point", "i:domain", point->domain, "s:kind",
                          kind_names[point->kind], "s:name", point->name, "S:parent",
                          point->parent, "i:creation-time", point->creation_time, "S:state",
                          point->state, "i:location", (gint64)point->location, "b:current",
                          point->current, "S:body", point->body, "I:definition",
                          point->definition, "I:inactive-definition",
                          point->inactive_definition, "S:extra", point->extra, NULL));
}

static VmpStorePoint *
read_point(VmpJson *edit, GError **error)
{
    g_autoptr(VmpStorePoint) point = g_new0(VmpStorePoint, 1);

    if (!get_kind(edit, &point->kind, error))
        return NULL;
    point->domain = vmp_json_get_int(edit, "domain", 0);
    point->name = dup_string(edit, "name");
    point->parent = dup_string(edit, "parent");
    point->creation_time = vmp_json_get_int(edit, "creation-time", 0);
    point->state = dup_string(edit, "state");
    point->location = (int)vmp_json_get_int(edit, "location", 0);
    point->current = vmp_json_get_bool(edit, "current", FALSE);
    point->body = dup_string(edit, "body");
    point->definition = vmp_json_get_int(edit, "definition", 0);
    point->inactive_definition = vmp_json_get_int(edit, "inactive-definition", 0);
    point->extra = dup_string(edit, "extra");
    return g_steal_pointer(&point);
}

static gboolean
apply_put_point(VmpStore *store, VmpJson *edit, GError **error)
{
    g_autoptr(VmpStorePoint) point = read_point(edit, error);

    return point && vmp_store_put_point(store, point, error);
}

VmpStorePoint *
vmp_store_edit_find_point(VmpJson *edits)
{
    for (guint i = 0; i < vmp_json_length(edits); i++) {
        VmpJson *edit = vmp_json_at(edits, i);
        if (g_strcmp0(vmp_json_get_string(edit, "edit"), "put-point") == 0)
            return read_point(edit, NULL);
    }
    return NULL;
}

void
vmp_store_edit_remove_point(VmpJson *edits, gint64 domain, VmpPointKind kind, const char *name)
{
    append(edits, vmp_json_build("s:edit", "remove-point", "i:domain", domain, "s:kind",
                                 kind_names[kind], "s:name", name, NULL));
}

static gboolean
apply_remove_point(VmpStore *store, VmpJson *edit, GError **error)
{
    VmpPointKind kind;

    return get_kind(edit, &kind, error) &&
           vmp_store_remove_point(store, vmp_json_get_int(edit, "domain", 0), kind,
                                  vmp_json_get_string(edit, "name"), error);
}

void
vmp_store_edit_set_current(VmpJson *edits, gint64 domain, VmpPointKind kind, const char *name)
{
    append(edits, vmp_json_build("s:edit", "set-current", "i:domain", domain, "s:kind",
                                 kind_names[kind], "S:name", name, NULL));
}

static gboolean
apply_set_current(VmpStore *store, VmpJson *edit, GError **error)
{
    VmpPointKind kind;

    return get_kind(edit, &kind, error) &&
           vmp_store_set_current_point(store, vmp_json_get_int(edit, "domain", 0), kind,
                                       vmp_json_get_string(edit, "name"), error);
}

void
vmp_store_edit_rename_point(VmpJson *edits, gint64 domain, VmpPointKind kind, const char *from,
                            const char *to)
{
    append(edits, vmp_json_build("s:edit", "rename-point", "i:domain", domain, "s:kind",
                                 kind_names[kind], "s:from", from, "s:name", to, NULL));
}

static gboolean
apply_rename_point(VmpStore *store, VmpJson *edit, GError **error)
{
    VmpPointKind kind;

    return get_kind(edit, &kind, error) &&
           vmp_store_rename_point(store, vmp_json_get_int(edit, "domain", 0), kind,
                                  vmp_json_get_string(edit, "from"),
                                  vmp_json_get_string(edit, "name"), error);
}

/* ---- files and backups ---- */

void
vmp_store_edit_put_file(VmpJson *edits, const VmpStoreFile *file)
{
    append(edits,
           vmp_json_build("s:edit", "put-file", "s:path", file->path, "i:domain", file->domain,
                          "s:role", file->role, "S:point", file->point, NULL));
}

static gboolean
apply_put_file(VmpStore *store, VmpJson *edit, GError **error)
{
    g_autoptr(VmpStoreFile) file = g_new0(VmpStoreFile, 1);

    file->path = dup_string(edit, "path");
    file->domain = vmp_json_get_int(edit, "domain", 0);
    file->role = dup_string(edit, "role");
    file->point = dup_string(edit, "point");
    return vmp_store_put_file(store, file, error);
}

void
vmp_store_edit_remove_file(VmpJson *edits, const char *path)
{
    append(edits, vmp_json_build("s:edit", "remove-file", "s:path", path, NULL));
}

static gboolean
apply_remove_file(VmpStore *store, VmpJson *edit, GError **error)
{
    return vmp_store_remove_file(store, vmp_json_get_string(edit, "path"), error);
}

void
vmp_store_edit_put_backup(VmpJson *edits, const VmpStoreBackup *backup)
{
    append(edits, vmp_json_build("s:edit", "put-backup", "I:id", backup->id, "i:domain",
                                 backup->domain, "s:state", backup->state, "i:started",
                                 backup->started, "i:ended", backup->ended, "S:body",
                                 backup->body, "S:detail", backup->detail, NULL));
}

static gboolean
apply_put_backup(VmpStore *store, VmpJson *edit, GError **error)
{
    g_autoptr(VmpStoreBackup) backup = g_new0(VmpStoreBackup, 1);

    backup->id = vmp_json_get_int(edit, "id", 0);
    backup->domain = vmp_json_get_int(edit, "domain", 0);
    backup->state = dup_string(edit, "state");
    backup->started = vmp_json_get_int(edit, "started", 0);
    backup->ended = vmp_json_get_int(edit, "ended", 0);
    backup->body = dup_string(edit, "body");
    backup->detail = dup_string(edit, "detail");
    return vmp_store_put_backup(store, backup, error);
}

/* ---- facts ---- */

void
vmp_store_edit_put_fact(VmpJson *edits, const char *key, const char *value)
{
    append(edits, vmp_json_build("s:edit", "put-fact", "s:key", key, "S:value", value, NULL));
}

static gboolean
apply_put_fact(VmpStore *store, VmpJson *edit, GError **error)
{
    return vmp_store_put_fact(store, vmp_json_get_string(edit, "key"),
                              vmp_json_get_string(edit, "value"), error);
}

/* ---- applying ---- */

static const struct {
    const char *name;
    gboolean (*apply)(VmpStore *store, VmpJson *edit, GError **error);
    const char *demands[4]; /* texts without which there is nothing to apply */
} kinds[] = {
    { "put-domain", apply_put_domain, { "name" } },
    { "remove-domain", apply_remove_domain, { NULL } },
    { "put-point", apply_put_point, { "kind", "name" } },
    { "remove-point", apply_remove_point, { "kind", "name" } },
    { "set-current", apply_set_current, { "kind" } },
    { "rename-point", apply_rename_point, { "kind", "from", "name" } },
    { "put-file", apply_put_file, { "path", "role" } },
    { "remove-file", apply_remove_file, { "path" } },
    { "put-backup", apply_put_backup, { "state" } },
    { "put-fact", apply_put_fact, { "key" } },
};

static gboolean
apply_one(VmpStore *store, VmpJson *edit, GError **error)
{
    const char *name = vmp_json_get_string(edit, "edit");

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_strcmp0(name, kinds[i].name) != 0)
            continue;
        for (const char *const *key = kinds[i].demands; *key; key++)
            if (!vmp_json_get_string(edit, *key))
                return vmp_fail(error, VMP_ERROR_INVALID, "an edit '%s' lacks '%s'", name,
                                *key);
        return kinds[i].apply(store, edit, error);
    }
    return vmp_fail(error, VMP_ERROR_INVALID, "an edit is of unknown kind '%s'",
                    name ? name : "");
}

gboolean
vmp_store_apply_edits(VmpStore *store, VmpJson *edits, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    if (!vmp_store_begin(store, &transaction, error))
        return FALSE;

    for (guint i = 0; i < vmp_json_length(edits); i++)
        if (!apply_one(store, vmp_json_at(edits, i), error))
            return FALSE;
    return vmp_store_commit(&transaction, error);
}
