/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every module needs to report an error well. */

#include <glib.h>
#include <vmpoint/error.h>

/* TRUE if @error is of VMP_ERROR with @code. */
#define vmp_error_is(error, code) g_error_matches((error), VMP_ERROR, (code))

/* g_set_error() in our domain; returns FALSE so that `return vmp_fail(...)` reads well. */
gboolean vmp_fail(GError **error, VmpErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* As vmp_fail(), for functions that return a pointer. */
void *vmp_fail_null(GError **error, VmpErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* As vmp_fail(): the code follows from @errnum (ENOSPC, EIO, EACCES -> IO, ENOENT ->
 * NOT_FOUND, EEXIST -> EXISTS), and ": strerror" is appended to the message. */
gboolean vmp_fail_errno(GError **error, int errnum, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Turns an error of another domain (GIO's, say) into ours, in place, keeping the
 * text: cancelled -> INTERRUPTED, no space -> IO, not found -> NOT_FOUND, ... */
void vmp_error_adopt(GError **error);

/* Prefixes whatever error leaves the enclosing function:
 *
 *     VMP_ERROR_CONTEXT(error, "checkpoint %s", name);
 *
 * Once, at the top; each layer adds at most one. */
#define VMP_ERROR_CONTEXT(error, ...)                               \
    G_GNUC_UNUSED __attribute__((cleanup(vmp_error_context_clear))) \
    VmpErrorContext vmp_error_context_ = vmp_error_context((error), __VA_ARGS__)

typedef struct {
    GError **error;
    char *prefix;
} VmpErrorContext;

VmpErrorContext vmp_error_context(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
void vmp_error_context_clear(VmpErrorContext *context);
