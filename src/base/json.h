/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* json-c with ownership that the compiler enforces, and getters that do not
 * crash on what a peer made up.
 *
 * Getters take NULL and objects of the wrong type and answer "absent".
 */

#include <glib.h>
#include <json-c/json.h>

typedef struct json_object VmpJson;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpJson, json_object_put)

/* Builds an object from triples of a type-and-key string and a value, ended by NULL:
 *
 *     vmp_json_build("s:driver", "qcow2", "b:read-only", TRUE, "o:file", file, NULL)
 *
 *   s: const char *             S: the same, left out when NULL
 *   i: gint64 (cast literals!)  I: the same, left out when 0
 *   b: gboolean                 B: the same, left out when FALSE
 *   o: VmpJson *, consumed      O: the same, left out when NULL
 *   n: JSON null; no value follows
 */
VmpJson *vmp_json_build(const char *key, ...) G_GNUC_NULL_TERMINATED;

/* Adds such triples to @object; a key that exists is replaced. */
void vmp_json_add(VmpJson *object, const char *key, ...) G_GNUC_NULL_TERMINATED;

/* An array of strings, from a NULL-terminated vector. */
VmpJson *vmp_json_strv(const char *const *strings);
/* The reverse; absent or wrong types give an empty vector.  Free with g_strfreev(). */
char **vmp_json_get_strv(VmpJson *object, const char *key);

/* Borrowed from @object; NULL if absent or of another type. */
VmpJson *vmp_json_get(VmpJson *object, const char *key);
VmpJson *vmp_json_get_object(VmpJson *object, const char *key);
VmpJson *vmp_json_get_array(VmpJson *object, const char *key);
const char *vmp_json_get_string(VmpJson *object, const char *key);

/* @fallback if absent or of another type. */
gint64 vmp_json_get_int(VmpJson *object, const char *key, gint64 fallback);
gboolean vmp_json_get_bool(VmpJson *object, const char *key, gboolean fallback);

/* Number of elements; 0 for what is no array. */
guint vmp_json_length(VmpJson *array);
/* Borrowed element. */
VmpJson *vmp_json_at(VmpJson *array, guint index);

/* Compact text, no escaped slashes; free with g_free(). */
char *vmp_json_to_text(VmpJson *json);
/* The same, indented for people. */
char *vmp_json_to_pretty(VmpJson *json);
/* Whole text to JSON, at most 128 levels deep; VMP_ERROR_INVALID otherwise. */
VmpJson *vmp_json_parse(const char *text, gssize length, GError **error);
