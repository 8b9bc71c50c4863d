/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One call that may change something: how it is to be carried out, and what it
 * has to say besides success or failure.
 *
 * Every changing function of the library takes one; NULL means defaults.  An
 * operation serves one call at a time and may be used again after
 * vmp_operation_reset().
 */

#include <glib.h>

#include <gio/gio.h>
#include <vmpoint/macros.h>

G_BEGIN_DECLS

typedef struct _VmpOperation VmpOperation;

/* @done of @total bytes; @total is 0 while it is not known. */
typedef void (*VmpProgressFunc)(const char *what, guint64 done, guint64 total, gpointer data);

/* With defaults: it changes what it is asked to, and nobody cancels or watches it. */
VMP_PUBLIC VmpOperation *vmp_operation_new(void);
VMP_PUBLIC void vmp_operation_free(VmpOperation *operation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpOperation, vmp_operation_free)

/* Forgets warnings and plan of the last call; settings stay. */
VMP_PUBLIC void vmp_operation_reset(VmpOperation *operation);

/* Plan and check only; nothing is changed.  The plan is then in
 * vmp_operation_get_plan(). */
VMP_PUBLIC void vmp_operation_set_dry_run(VmpOperation *operation, gboolean dry_run);
/* FALSE for no @operation. */
VMP_PUBLIC gboolean vmp_operation_get_dry_run(VmpOperation *operation);

/* Cancelling makes the call end with VMP_ERROR_INTERRUPTED and undo itself if it
 * still can.  Takes a reference. */
VMP_PUBLIC void vmp_operation_set_cancellable(VmpOperation *operation,
                                              GCancellable *cancellable);
/* Borrowed; NULL if none. */
VMP_PUBLIC GCancellable *vmp_operation_get_cancellable(VmpOperation *operation);

/* @func is called from within the call; NULL: nobody watches. */
VMP_PUBLIC void vmp_operation_set_progress(VmpOperation *operation, VmpProgressFunc func,
                                           gpointer data);
/* Tells whoever watches. */
VMP_PUBLIC void vmp_operation_report_progress(VmpOperation *operation, const char *what,
                                              guint64 done, guint64 total);

/* A sentence that a successful call adds; the program then exits with 14. */
VMP_PUBLIC void vmp_operation_warn(VmpOperation *operation, const char *format, ...)
    G_GNUC_PRINTF(2, 3);
/* Borrowed array of char *. */
VMP_PUBLIC GPtrArray *vmp_operation_get_warnings(VmpOperation *operation);

/* A note that is no warning (a fallback taken, a recovery done): for -v and logs. */
VMP_PUBLIC void vmp_operation_note(VmpOperation *operation, const char *format, ...)
    G_GNUC_PRINTF(2, 3);
/* Borrowed array of char *. */
VMP_PUBLIC GPtrArray *vmp_operation_get_notes(VmpOperation *operation);

/* The plan of the last call as JSON text (docs/design/journal.md says what is in
 * it), or NULL.  Borrowed. */
VMP_PUBLIC const char *vmp_operation_get_plan(VmpOperation *operation);
/* Takes @plan. */
VMP_PUBLIC void vmp_operation_take_plan(VmpOperation *operation, char *plan);

G_END_DECLS
