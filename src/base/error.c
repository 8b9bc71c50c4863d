/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <errno.h>
#include <gio/gio.h>
#include <stdarg.h>
#include <string.h>

G_DEFINE_QUARK(vmp - error - quark, vmp_error)

const char *
vmp_error_code_name(int code)
{
    switch ((VmpErrorCode)code) {
    case VMP_ERROR_FAILED:
        return "failed";
    case VMP_ERROR_INVALID:
        return "invalid";
    case VMP_ERROR_NOT_FOUND:
        return "not-found";
    case VMP_ERROR_EXISTS:
        return "exists";
    case VMP_ERROR_BUSY:
        return "busy";
    case VMP_ERROR_UNSUPPORTED:
        return "unsupported";
    case VMP_ERROR_REFUSED:
        return "refused";
    case VMP_ERROR_DISCONNECTED:
        return "disconnected";
    case VMP_ERROR_TIMED_OUT:
        return "timed-out";
    case VMP_ERROR_INCONSISTENT:
        return "inconsistent";
    case VMP_ERROR_RISKY:
        return "risky";
    case VMP_ERROR_DAMAGED:
        return "damaged";
    case VMP_ERROR_IO:
        return "io";
    case VMP_ERROR_WARNING:
        return "warning";
    case VMP_ERROR_INTERRUPTED:
        return "interrupted";
    }
    return "failed";
}

static void G_GNUC_PRINTF(3, 0)
    set_error_valist(GError **error, int code, const char *format, va_list args)
{
    if (error)
        *error = g_error_new_valist(VMP_ERROR, code, format, args);
}

gboolean
vmp_fail(GError **error, VmpErrorCode code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_error_valist(error, code, format, args);
    va_end(args);
    return FALSE;
}

void *
vmp_fail_null(GError **error, VmpErrorCode code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_error_valist(error, code, format, args);
    va_end(args);
    return NULL;
}

static VmpErrorCode
code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return VMP_ERROR_NOT_FOUND;
    case EEXIST:
        return VMP_ERROR_EXISTS;
    case EINVAL:
    case ENAMETOOLONG:
        return VMP_ERROR_INVALID;
    case ETIMEDOUT:
        return VMP_ERROR_TIMED_OUT;
    case EINTR:
    case ECANCELED:
        return VMP_ERROR_INTERRUPTED;
    default:
        return VMP_ERROR_IO;
    }
}

gboolean
vmp_fail_errno(GError **error, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);

    g_set_error(error, VMP_ERROR, (int)code_of_errno(errnum), "%s: %s", what,
                g_strerror(errnum));
    return FALSE;
}

static VmpErrorCode
code_of_gio(int code)
{
    switch (code) {
    case G_IO_ERROR_CANCELLED:
        return VMP_ERROR_INTERRUPTED;
    case G_IO_ERROR_TIMED_OUT:
        return VMP_ERROR_TIMED_OUT;
    case G_IO_ERROR_NOT_FOUND:
        return VMP_ERROR_NOT_FOUND;
    case G_IO_ERROR_EXISTS:
        return VMP_ERROR_EXISTS;
    case G_IO_ERROR_BROKEN_PIPE:
    case G_IO_ERROR_CONNECTION_REFUSED:
        return VMP_ERROR_DISCONNECTED;
    default:
        return VMP_ERROR_IO;
    }
}

void
vmp_error_adopt(GError **error)
{
    if (!error || !*error || (*error)->domain == VMP_ERROR)
        return;

    VmpErrorCode code = VMP_ERROR_FAILED;
    if ((*error)->domain == G_IO_ERROR)
        code = code_of_gio((*error)->code);
    else if ((*error)->domain == G_FILE_ERROR || (*error)->domain == G_SPAWN_ERROR)
        code = VMP_ERROR_IO;

    (*error)->domain = VMP_ERROR;
    (*error)->code = (int)code;
}

VmpErrorContext
vmp_error_context(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    VmpErrorContext context = { error, error ? g_strdup_vprintf(format, args) : NULL };
    va_end(args);
    return context;
}

void
vmp_error_context_clear(VmpErrorContext *context)
{
    g_autofree char *prefix = g_strconcat(context->prefix, ": ", NULL);

    /* A layer below may have named the same domain already. */
    if (context->error && *context->error &&
        !g_str_has_prefix((*context->error)->message, prefix))
        g_prefix_error_literal(context->error, prefix);
    g_free(context->prefix);
}
