/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Everything the program says.
 *
 * Data goes to standard output, all at once when the command has succeeded: a command
 * that fails has written none.  As text it is what virsh prints, down to the empty line
 * at the end, which -q drops together with the lines that only say what was done.  With
 * --json it is one JSON value in one line.
 *
 * Whatever else there is to say goes to standard error: sentences, or with --json one
 * object a line.
 */

#include <glib.h>
#include <json-c/json.h>

#include "cli/table.h"

typedef struct _VmpOutput VmpOutput;

VmpOutput *vmp_output_new(void);
void vmp_output_free(VmpOutput *output);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpOutput, vmp_output_free)

/* Text is the default, and to say everything. */
void vmp_output_set_style(VmpOutput *output, gboolean json, gboolean quiet);
gboolean vmp_output_is_json(const VmpOutput *output);

/* Data as text. */
void vmp_output_print(VmpOutput *output, const char *format, ...) G_GNUC_PRINTF(2, 3);
void vmp_output_print_table(VmpOutput *output, const VmpTable *table);
/* What was done: nothing with -q. */
void vmp_output_say(VmpOutput *output, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Data as JSON; takes @value, NULL is null. */
void vmp_output_take_json(VmpOutput *output, json_object *value);
/* The same for what already is JSON text. */
void vmp_output_set_json_text(VmpOutput *output, const char *text);

/* Writes the data.  VMP_ERROR_IO if they could not be written; with *@reader_left when
 * that is so because whoever read them has enough. */
gboolean vmp_output_flush(VmpOutput *output, gboolean *reader_left, GError **error);

/* @risks (or NULL) is another member of the error's object. */
void vmp_output_error(VmpOutput *output, const GError *failure, int status,
                      json_object *risks);
void vmp_output_warning(VmpOutput *output, const char *sentence);
void vmp_output_note(VmpOutput *output, const char *sentence);
/* One QMP message, as -v shows it. */
void vmp_output_trace(VmpOutput *output, const char *domain, gboolean sent, const char *text);

/* JSON text has to be UTF-8, names of files need not: what is not becomes U+FFFD.  NULL
 * gives null. */
json_object *vmp_json_string(const char *text);
