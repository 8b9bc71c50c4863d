/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include <stdarg.h>
#include <string.h>

#include "base/error.h"

#define MAX_DEPTH 128

/* Adds one triple; @args stands at its value. */
static void
add_member(VmpJson *object, const char *key, va_list *args)
{
    const char type = key[0];
    const char *name = key + 2;

    g_assert(type != '\0' && key[1] == ':');

    switch (type) {
    case 's':
    case 'S': {
        const char *value = va_arg(*args, const char *);
        if (value || type == 's')
            json_object_object_add(object, name, json_object_new_string(value));
        return;
    }
    case 'i':
    case 'I': {
        gint64 value = va_arg(*args, gint64);
        if (value || type == 'i')
            json_object_object_add(object, name, json_object_new_int64(value));
        return;
    }
    case 'b':
    case 'B': {
        gboolean value = va_arg(*args, gboolean);
        if (value || type == 'b')
            json_object_object_add(object, name, json_object_new_boolean(value));
        return;
    }
    case 'o':
    case 'O': {
        VmpJson *value = va_arg(*args, VmpJson *);
        if (value || type == 'o')
            json_object_object_add(object, name, value);
        return;
    }
    case 'n':
        json_object_object_add(object, name, NULL);
        return;
    default:
        g_assert_not_reached();
    }
}

static void
add_members(VmpJson *object, const char *key, va_list *args)
{
    for (; key; key = va_arg(*args, const char *))
        add_member(object, key, args);
}

VmpJson *
vmp_json_build(const char *key, ...)
{
    VmpJson *object = json_object_new_object();
    va_list args;

    va_start(args, key);
    add_members(object, key, &args);
    va_end(args);
    return object;
}

void
vmp_json_add(VmpJson *object, const char *key, ...)
{
    va_list args;

    va_start(args, key);
    add_members(object, key, &args);
    va_end(args);
}

VmpJson *
vmp_json_strv(const char *const *strings)
{
    VmpJson *array = json_object_new_array();

    for (; strings && *strings; strings++)
        json_object_array_add(array, json_object_new_string(*strings));
    return array;
}

char **
vmp_json_get_strv(VmpJson *object, const char *key)
{
    VmpJson *array = vmp_json_get_array(object, key);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint i = 0; i < vmp_json_length(array); i++) {
        VmpJson *element = vmp_json_at(array, i);
        if (json_object_is_type(element, json_type_string))
            g_strv_builder_add(builder, json_object_get_string(element));
    }
    return g_strv_builder_end(builder);
}

VmpJson *
vmp_json_get(VmpJson *object, const char *key)
{
    VmpJson *value = NULL;

    if (json_object_is_type(object, json_type_object))
        json_object_object_get_ex(object, key, &value);
    return value;
}

static VmpJson *
get_typed(VmpJson *object, const char *key, enum json_type type)
{
    VmpJson *value = vmp_json_get(object, key);

    return json_object_is_type(value, type) ? value : NULL;
}

VmpJson *
vmp_json_get_object(VmpJson *object, const char *key)
{
    return get_typed(object, key, json_type_object);
}

VmpJson *
vmp_json_get_array(VmpJson *object, const char *key)
{
    return get_typed(object, key, json_type_array);
}

const char *
vmp_json_get_string(VmpJson *object, const char *key)
{
    VmpJson *value = get_typed(object, key, json_type_string);

    /* json_object_get_string() answers "null" for NULL: do not ask it. */
    return value ? json_object_get_string(value) : NULL;
}

gint64
vmp_json_get_int(VmpJson *object, const char *key, gint64 fallback)
{
    VmpJson *value = get_typed(object, key, json_type_int);

    return value ? json_object_get_int64(value) : fallback;
}

gboolean
vmp_json_get_bool(VmpJson *object, const char *key, gboolean fallback)
{
    VmpJson *value = get_typed(object, key, json_type_boolean);

    return value ? json_object_get_boolean(value) : fallback;
}

guint
vmp_json_length(VmpJson *array)
{
    return json_object_is_type(array, json_type_array) ? (guint)json_object_array_length(array)
                                                       : 0;
}

VmpJson *
vmp_json_at(VmpJson *array, guint index)
{
    return index < vmp_json_length(array) ? json_object_array_get_idx(array, index) : NULL;
}

char *
vmp_json_to_text(VmpJson *json)
{
    return g_strdup(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE));
}

char *
vmp_json_to_pretty(VmpJson *json)
{
    return g_strdup(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY |
                                                             JSON_C_TO_STRING_SPACED |
                                                             JSON_C_TO_STRING_NOSLASHESCAPE));
}

VmpJson *
vmp_json_parse(const char *text, gssize length, GError **error)
{
    gsize size = length < 0 ? strlen(text) : (gsize)length;
    if (size > G_MAXINT)
        return vmp_fail_null(error, VMP_ERROR_INVALID, "JSON text of %zu bytes is too large",
                             size);

    struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    VmpJson *json = json_tokener_parse_ex(tokener, text, (int)size);
    enum json_tokener_error outcome = json_tokener_get_error(tokener);

    /* A bare number has no end of its own: only a further byte tells. */
    if (outcome == json_tokener_continue) {
        json = json_tokener_parse_ex(tokener, "", 1);
        outcome = json_tokener_get_error(tokener);
    } else if (outcome == json_tokener_success) {
        for (gsize i = json_tokener_get_parse_end(tokener); i < size; i++)
            if (!g_ascii_isspace(text[i]))
                outcome = json_tokener_error_parse_unexpected;
    }
    json_tokener_free(tokener);

    if (outcome == json_tokener_success)
        return json;
    json_object_put(json);
    return vmp_fail_null(error, VMP_ERROR_INVALID, "not JSON: %s",
                         json_tokener_error_desc(outcome));
}
