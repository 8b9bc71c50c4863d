/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a schema is looked up, for those that walk through it. */

#include "qmp/schema.h"

/* The reply is a flat list of entities that refer to each other by name.  Commands and
 * events have their own names; types have numbers, but for the built-in ones.
 *
 *   command    arg-type
 *   object     members {name, type, default?}; of a union also tag, variants {case, type}
 *   enum       members {name}; before QEMU 6.2 only values
 *   array      element-type
 *   alternate  members {type}: whichever fits the JSON value
 *   builtin    json-type
 *
 * A member with "default" is optional.  "features" of a command, a member or an enum
 * value may say "deprecated".
 */

/* Honest schemas nest unions twice at most; it stops those that refer to themselves. */
#define VMP_QMP_MAX_NESTING 8

/* Is @entity there, and of @meta_type ("command", "enum", ...)? */
gboolean vmp_qmp_entity_is(VmpJson *entity, const char *meta_type);
/* Is its member @key the string @word? */
gboolean vmp_qmp_entity_has(VmpJson *entity, const char *key, const char *word);
/* The element of the list @entity.@list whose @key is @word; NULL if there is none. */
VmpJson *vmp_qmp_entity_pick(VmpJson *entity, const char *list, const char *key,
                             const char *word);
/* The declaration of @value in an enum, or NULL. */
VmpJson *vmp_qmp_entity_pick_value(VmpJson *type, const char *value);
/* The declaration of the member that chooses the branch of a union; NULL if it is none. */
VmpJson *vmp_qmp_entity_get_tag(VmpJson *type);
gboolean vmp_qmp_entity_is_deprecated(VmpJson *declaration);

VmpJson *vmp_qmp_schema_get_command(const VmpQmpSchema *schema, const char *name);
/* The entity that @declaration's member @key names: "type", "arg-type", ... */
VmpJson *vmp_qmp_schema_follow(const VmpQmpSchema *schema, VmpJson *declaration,
                               const char *key);
/* The type that union @type has besides for @value of its tag. */
VmpJson *vmp_qmp_schema_get_branch(const VmpQmpSchema *schema, VmpJson *type,
                                   const char *value);
