/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* snapshot-list and checkpoint-list: the same options print the same table, tree or names. */

#include <json-c/json.h>

#include "cli/parser.h"

typedef struct {
    const char *name;
    const char *parent;   /* or NULL */
    gint64 creation_time; /* epoch seconds */
    const char *state;    /* or NULL */
    json_object *json;    /* owned; only for --json */
} VmpPointRow;

/* An array of VmpPointRow, which borrow their text. */
GArray *vmp_point_rows_new(void);
/* Prints them as the options `tree`, `name`, `parent` and `topological` of @arguments say.
 * @states: there is a column for the state.  @from (or NULL) is the root of the tree. */
void vmp_point_rows_print(GArray *rows, VmpSession *session, const VmpArguments *arguments,
                          gboolean states, const char *from);
