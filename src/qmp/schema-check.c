/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Commands against a schema, member by member, as QEMU's own parser does it. */

#include <string.h>

#include "base/error.h"
#include "qmp/schema-private.h"
#include "qmp/schema.h"

/* QEMU takes more arguments for these than it says: they go to another parser. */
static const char *const open_commands[] = { "device_add", NULL };

/* A walk through a command, member by member. */
typedef struct {
    const VmpQmpSchema *schema;
    char *deprecated; /* where the first thing is that is marked so, or NULL */
} Walk;

/* Where in a command we are, for messages: command, then members and indices. */
typedef struct Place {
    const struct Place *parent;
    const char *member; /* or NULL: @index counts */
    guint index;
} Place;

static void
append_place(GString *text, const Place *place)
{
    if (place->parent)
        append_place(text, place->parent);
    if (!place->member)
        g_string_append_printf(text, "[%u]", place->index);
    else
        g_string_append_printf(text, "%s%s",
                               !place->parent           ? ""
                               : !place->parent->parent ? ": "
                                                        : ".",
                               place->member);
}

static void
note_deprecated(Walk *walk, VmpJson *declaration, const Place *place)
{
    if (walk->deprecated || !vmp_qmp_entity_is_deprecated(declaration))
        return;
    GString *where = g_string_new(NULL);
    append_place(where, place);
    walk->deprecated = g_string_free(where, FALSE);
}

static gboolean reject(const Place *place, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static gboolean
reject(const Place *place, GError **error, const char *format, ...)
{
    g_autoptr(GString) where = g_string_new(NULL);
    va_list args;

    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    append_place(where, place);
    return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "%s: %s", where->str, what);
}

static gboolean
fits_builtin(VmpJson *type, VmpJson *value)
{
    static const struct {
        const char *name;
        enum json_type type;
    } kinds[] = {
        { "string", json_type_string },   { "int", json_type_int },
        { "number", json_type_int },      { "number", json_type_double },
        { "boolean", json_type_boolean }, { "null", json_type_null },
    };

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (vmp_qmp_entity_has(type, "json-type", kinds[i].name) &&
            json_object_is_type(value, kinds[i].type))
            return TRUE;
    return vmp_qmp_entity_has(type, "json-type", "value");
}

/* By the kind of JSON value alone: this is how QEMU chooses between alternatives. */
static gboolean
fits_kind(VmpJson *type, VmpJson *value)
{
    if (vmp_qmp_entity_is(type, "builtin"))
        return fits_builtin(type, value);
    if (vmp_qmp_entity_is(type, "enum"))
        return json_object_is_type(value, json_type_string);
    if (vmp_qmp_entity_is(type, "object"))
        return json_object_is_type(value, json_type_object);
    return vmp_qmp_entity_is(type, "array") && json_object_is_type(value, json_type_array);
}

static gboolean check_value(Walk *walk, VmpJson *type, VmpJson *value, const Place *place,
                            GError **error);

/* The branch that @value chooses of union @type; NULL if it is no union, or chooses none. */
static VmpJson *
chosen_branch(const VmpQmpSchema *schema, VmpJson *type, VmpJson *value)
{
    const char *tag = vmp_json_get_string(type, "tag");
    const char *choice = tag ? vmp_json_get_string(value, tag) : NULL;

    return choice ? vmp_qmp_schema_get_branch(schema, type, choice) : NULL;
}

/* The declaration of @member in @type or in the branch that @value chooses. */
static VmpJson *
declaration_of(const VmpQmpSchema *schema, VmpJson *type, VmpJson *value, const char *member)
{
    VmpJson *declaration = NULL;

    for (guint i = 0; type && !declaration && i < VMP_QMP_MAX_NESTING; i++) {
        declaration = vmp_qmp_entity_pick(type, "members", "name", member);
        type = chosen_branch(schema, type, value);
    }
    return declaration;
}

static gboolean
check_mandatory(const VmpQmpSchema *schema, VmpJson *type, VmpJson *value, const Place *place,
                GError **error)
{
    for (guint nesting = 0; type && nesting < VMP_QMP_MAX_NESTING; nesting++) {
        VmpJson *members = vmp_json_get_array(type, "members");

        for (guint i = 0; i < vmp_json_length(members); i++) {
            VmpJson *member = vmp_json_at(members, i);
            const char *name = vmp_json_get_string(member, "name");

            if (name && !json_object_object_get_ex(member, "default", NULL) &&
                !json_object_object_get_ex(value, name, NULL))
                return reject(place, error, "'%s' is missing", name);
        }
        type = chosen_branch(schema, type, value);
    }
    return TRUE;
}

/* The tag comes first, since it decides what else there may be. */
static gboolean
check_tag(Walk *walk, VmpJson *type, VmpJson *value, const Place *place, GError **error)
{
    VmpJson *tag = vmp_qmp_entity_get_tag(type);
    VmpJson *choice = NULL;

    if (!tag || !json_object_object_get_ex(value, vmp_json_get_string(tag, "name"), &choice))
        return TRUE;
    const Place at_tag = { place, vmp_json_get_string(tag, "name"), 0 };
    return check_value(walk, vmp_qmp_schema_follow(walk->schema, tag, "type"), choice, &at_tag,
                       error);
}

static gboolean
check_object(Walk *walk, VmpJson *type, VmpJson *value, gboolean open, const Place *place,
             GError **error)
{
    if (!check_tag(walk, type, value, place, error))
        return FALSE;

    json_object_object_foreach(value, name, member)
    {
        const Place at_member = { place, name, 0 };
        VmpJson *declaration = declaration_of(walk->schema, type, value, name);

        if (declaration) {
            note_deprecated(walk, declaration, &at_member);
            if (!check_value(walk, vmp_qmp_schema_follow(walk->schema, declaration, "type"),
                             member, &at_member, error))
                return FALSE;
        } else if (!open) {
            return reject(place, error, "'%s' is unknown to this QEMU", name);
        }
    }
    return check_mandatory(walk->schema, type, value, place, error);
}

static gboolean
check_array(Walk *walk, VmpJson *type, VmpJson *value, const Place *place, GError **error)
{
    VmpJson *element_type = vmp_qmp_schema_follow(walk->schema, type, "element-type");

    for (guint i = 0; i < vmp_json_length(value); i++) {
        const Place at_element = { place, NULL, i };
        if (!check_value(walk, element_type, vmp_json_at(value, i), &at_element, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
check_alternate(Walk *walk, VmpJson *type, VmpJson *value, const Place *place, GError **error)
{
    VmpJson *members = vmp_json_get_array(type, "members");

    for (guint i = 0; i < vmp_json_length(members); i++) {
        VmpJson *choice = vmp_qmp_schema_follow(walk->schema, vmp_json_at(members, i), "type");
        if (choice && fits_kind(choice, value))
            return check_value(walk, choice, value, place, error);
    }
    return reject(place, error, "of a type that QEMU does not take here");
}

static gboolean
check_enum(Walk *walk, VmpJson *type, const char *value, const Place *place, GError **error)
{
    VmpJson *declaration = vmp_qmp_entity_pick_value(type, value);

    if (!declaration)
        return reject(place, error, "'%s' is unknown to this QEMU", value);
    note_deprecated(walk, declaration, place);
    return TRUE;
}

static gboolean
check_value(Walk *walk, VmpJson *type, VmpJson *value, const Place *place, GError **error)
{
    if (!type)
        return reject(place, error, "of a type that the schema does not define");
    if (vmp_qmp_entity_is(type, "alternate"))
        return check_alternate(walk, type, value, place, error);
    if (!fits_kind(type, value))
        return reject(place, error, "of the wrong type");
    if (vmp_qmp_entity_is(type, "enum"))
        return check_enum(walk, type, json_object_get_string(value), place, error);
    if (vmp_qmp_entity_is(type, "array"))
        return check_array(walk, type, value, place, error);
    if (vmp_qmp_entity_is(type, "object"))
        return check_object(walk, type, value, FALSE, place, error);
    return TRUE;
}

static gboolean
check_command(Walk *walk, const VmpQmpCommand *command, GError **error)
{
    const char *name = vmp_qmp_command_get_name(command);
    const Place place = { NULL, name, 0 };
    VmpJson *entity = vmp_qmp_schema_get_command(walk->schema, name);

    if (!entity)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "this QEMU has no command '%s'", name);
    note_deprecated(walk, entity, &place);

    VmpJson *given = vmp_qmp_command_get_arguments(command);
    g_autoptr(VmpJson) arguments = given ? json_object_get(given) : json_object_new_object();
    if (!json_object_is_type(arguments, json_type_object))
        return reject(&place, error, "arguments are no object");
    return check_object(walk, vmp_qmp_schema_follow(walk->schema, entity, "arg-type"),
                        arguments, g_strv_contains(open_commands, name), &place, error);
}

gboolean
vmp_qmp_schema_check(const VmpQmpSchema *schema, const VmpQmpCommand *command, GError **error)
{
    Walk walk = { .schema = schema };
    const gboolean valid = check_command(&walk, command, error);

    g_free(walk.deprecated);
    return valid;
}

char *
vmp_qmp_schema_find_deprecated(const VmpQmpSchema *schema, const VmpQmpCommand *command)
{
    Walk walk = { .schema = schema };

    check_command(&walk, command, NULL);
    return walk.deprecated;
}
