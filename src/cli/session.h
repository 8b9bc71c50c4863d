/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One run of the program: what its own options ask for, the library once a command
 * needs it, and how a command ends. */

#include <json-c/json.h>
#include <vmpoint/vmpoint.h>

#include "cli/output.h"
#include "cli/parser.h"

/* The options that go with every command. */
extern const VmpOption vmp_session_options[];

/* @globals has to outlive the session. */
VmpSession *vmp_session_new(const VmpArguments *globals, VmpOutput *output, GError **error);
void vmp_session_free(VmpSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpSession, vmp_session_free)

/* Borrowed. */
VmpOutput *vmp_session_get_output(VmpSession *session);
gboolean vmp_session_wants_json(const VmpSession *session);

/* The library's door, opened at the first call; NULL with an error.  Borrowed. */
VmpHost *vmp_session_open(VmpSession *session, GError **error);
/* How changes are to be carried out; from the first call on Ctrl-C undoes them. */
VmpOperation *vmp_session_get_operation(VmpSession *session);

/* What a change was about, for --json: its domain, and the point's @name if there is one. */
json_object *vmp_result_new(const char *domain, const char *name);
/* The end of a command that changes something: its plan with --dry-run, else @result (or
 * NULL; taken) with --json, else the line, which says what was done. */
void vmp_session_finish(VmpSession *session, json_object *result, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Ends the run: writes data, notes, warnings and @failure (or NULL), and returns the exit
 * status. */
int vmp_session_end(VmpSession *session, const GError *failure);
/* The exit status that stands for @failure. */
int vmp_error_status(const GError *failure);
