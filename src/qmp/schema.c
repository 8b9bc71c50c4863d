/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/schema.h"

#include <string.h>

#include "base/error.h"
#include "qmp/schema-private.h"

struct _VmpQmpSchema {
    gatomicrefcount references;
    VmpJson *reply;
    GHashTable *entities; /* name -> entity; both borrowed from the reply */
};

VmpQmpSchema *
vmp_qmp_schema_new(VmpJson *reply, GError **error)
{
    if (!json_object_is_type(reply, json_type_array))
        return vmp_fail_null(error, VMP_ERROR_INVALID, "QEMU's schema is not a list");

    VmpQmpSchema *schema = g_new0(VmpQmpSchema, 1);
    g_atomic_ref_count_init(&schema->references);
    schema->reply = json_object_get(reply);
    schema->entities = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < vmp_json_length(reply); i++) {
        VmpJson *entity = vmp_json_at(reply, i);
        const char *name = vmp_json_get_string(entity, "name");

        if (!name || !vmp_json_get_string(entity, "meta-type")) {
            vmp_qmp_schema_unref(schema);
            return vmp_fail_null(error, VMP_ERROR_INVALID,
                                 "entity %u of QEMU's schema has no name or no meta-type", i);
        }
        g_hash_table_insert(schema->entities, (gpointer)name, entity);
    }
    return schema;
}

VmpQmpSchema *
vmp_qmp_schema_ref(VmpQmpSchema *schema)
{
    g_atomic_ref_count_inc(&schema->references);
    return schema;
}

void
vmp_qmp_schema_unref(VmpQmpSchema *schema)
{
    if (!g_atomic_ref_count_dec(&schema->references))
        return;
    g_hash_table_unref(schema->entities);
    json_object_put(schema->reply);
    g_free(schema);
}

/* ---- looking up ---- */

gboolean
vmp_qmp_entity_has(VmpJson *object, const char *key, const char *word)
{
    return g_strcmp0(vmp_json_get_string(object, key), word) == 0;
}

gboolean
vmp_qmp_entity_is(VmpJson *entity, const char *meta_type)
{
    return vmp_qmp_entity_has(entity, "meta-type", meta_type);
}

static VmpJson *
lookup(const VmpQmpSchema *schema, const char *name)
{
    return name ? g_hash_table_lookup(schema->entities, name) : NULL;
}

VmpJson *
vmp_qmp_schema_follow(const VmpQmpSchema *schema, VmpJson *declaration, const char *key)
{
    return lookup(schema, vmp_json_get_string(declaration, key));
}

VmpJson *
vmp_qmp_schema_get_command(const VmpQmpSchema *schema, const char *name)
{
    VmpJson *entity = lookup(schema, name);

    return vmp_qmp_entity_is(entity, "command") ? entity : NULL;
}

VmpJson *
vmp_qmp_entity_pick(VmpJson *object, const char *list, const char *key, const char *word)
{
    VmpJson *array = vmp_json_get_array(object, list);

    for (guint i = 0; i < vmp_json_length(array); i++) {
        VmpJson *element = vmp_json_at(array, i);
        if (vmp_qmp_entity_has(element, key, word))
            return element;
    }
    return NULL;
}

VmpJson *
vmp_qmp_entity_pick_value(VmpJson *type, const char *value)
{
    VmpJson *member = vmp_qmp_entity_pick(type, "members", "name", value);
    VmpJson *values = vmp_json_get_array(type, "values");

    for (guint i = 0; !member && i < vmp_json_length(values); i++) {
        VmpJson *plain = vmp_json_at(values, i);
        if (json_object_is_type(plain, json_type_string) &&
            strcmp(json_object_get_string(plain), value) == 0)
            member = plain;
    }
    return member;
}

VmpJson *
vmp_qmp_entity_get_tag(VmpJson *type)
{
    const char *tag = vmp_json_get_string(type, "tag");

    return tag ? vmp_qmp_entity_pick(type, "members", "name", tag) : NULL;
}

VmpJson *
vmp_qmp_schema_get_branch(const VmpQmpSchema *schema, VmpJson *type, const char *value)
{
    return vmp_qmp_schema_follow(schema, vmp_qmp_entity_pick(type, "variants", "case", value),
                                 "type");
}

static VmpJson *
skip_arrays(const VmpQmpSchema *schema, VmpJson *type)
{
    for (guint i = 0; vmp_qmp_entity_is(type, "array") && i < VMP_QMP_MAX_NESTING; i++)
        type = vmp_qmp_schema_follow(schema, type, "element-type");
    return type;
}

static VmpJson *find(const VmpQmpSchema *schema, VmpJson *type, char **parts);

static VmpJson *
find_member(const VmpQmpSchema *schema, VmpJson *type, char **parts)
{
    VmpJson *member = vmp_qmp_entity_pick(type, "members", "name", parts[0]);

    if (!member || !parts[1])
        return member;
    return find(schema, vmp_qmp_schema_follow(schema, member, "type"), parts + 1);
}

/* "+value": a value of an enum, or a branch of a union and what is in it. */
static VmpJson *
find_choice(const VmpQmpSchema *schema, VmpJson *type, char **parts)
{
    const char *value = parts[0] + 1;

    if (vmp_qmp_entity_is(type, "enum"))
        return parts[1] ? NULL : vmp_qmp_entity_pick_value(type, value);

    VmpJson *choice = vmp_qmp_entity_pick_value(
        vmp_qmp_schema_follow(schema, vmp_qmp_entity_get_tag(type), "type"), value);
    if (!choice || !parts[1])
        return choice;
    VmpJson *found = find(schema, vmp_qmp_schema_get_branch(schema, type, value), parts + 1);
    return found ? found : find_member(schema, type, parts + 1);
}

/* Alternatives within alternatives are for QEMU's parser to tell apart, not for a path:
 * they are not followed, or a schema could lead us in circles. */
static VmpJson *
find_in_alternate(const VmpQmpSchema *schema, VmpJson *type, char **parts)
{
    VmpJson *members = vmp_json_get_array(type, "members");
    VmpJson *found = NULL;

    for (guint i = 0; !found && i < vmp_json_length(members); i++) {
        VmpJson *choice = vmp_qmp_schema_follow(schema, vmp_json_at(members, i), "type");
        if (!vmp_qmp_entity_is(skip_arrays(schema, choice), "alternate"))
            found = find(schema, choice, parts);
    }
    return found;
}

/* What declares the end of the path @parts below @type: a member or an enum value. */
static VmpJson *
find(const VmpQmpSchema *schema, VmpJson *type, char **parts)
{
    type = skip_arrays(schema, type);
    if (vmp_qmp_entity_is(type, "alternate"))
        return find_in_alternate(schema, type, parts);
    if (parts[0][0] == '+')
        return find_choice(schema, type, parts);
    return find_member(schema, type, parts);
}

static VmpJson *
find_path(const VmpQmpSchema *schema, const char *command, const char *path)
{
    VmpJson *entity = vmp_qmp_schema_get_command(schema, command);

    if (!entity || !path || *path == '\0')
        return entity;
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    return find(schema, vmp_qmp_schema_follow(schema, entity, "arg-type"), parts);
}

gboolean
vmp_qmp_schema_has_command(const VmpQmpSchema *schema, const char *command)
{
    return vmp_qmp_schema_get_command(schema, command) != NULL;
}

gboolean
vmp_qmp_schema_has_event(const VmpQmpSchema *schema, const char *event)
{
    return vmp_qmp_entity_is(lookup(schema, event), "event");
}

gboolean
vmp_qmp_schema_has(const VmpQmpSchema *schema, const char *command, const char *path)
{
    return find_path(schema, command, path) != NULL;
}

gboolean
vmp_qmp_entity_is_deprecated(VmpJson *declaration)
{
    g_auto(GStrv) features = vmp_json_get_strv(declaration, "features");

    return g_strv_contains((const char *const *)features, "deprecated");
}

gboolean
vmp_qmp_schema_is_deprecated(const VmpQmpSchema *schema, const char *command, const char *path)
{
    return vmp_qmp_entity_is_deprecated(vmp_qmp_schema_get_command(schema, command)) ||
           vmp_qmp_entity_is_deprecated(find_path(schema, command, path));
}
