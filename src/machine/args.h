/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A command line that knows of each word whether the guest can see it.
 *
 * An option is built from "key=value" parts, each of which the guest sees or only the host
 * provides.  The arguments are kept twice: whole, and the guest's half.
 */

#include <glib.h>

typedef struct {
    GPtrArray *whole; /* of char *; ended by NULL when finished */
    GPtrArray *guest;
} VmpArgs;

VmpArgs *vmp_args_new(void);
void vmp_args_free(VmpArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpArgs, vmp_args_free)

/* "-flag" or "-flag value"; @value NULL: none. */
void vmp_args_add_guest(VmpArgs *args, const char *flag, const char *value);
void vmp_args_add_host(VmpArgs *args, const char *flag, const char *value);

/* ---- an option with parts ---- */

typedef struct _VmpOption VmpOption;

/* "-flag first"; @first is in the guest's half as well. */
VmpOption *vmp_option_new(const char *flag, const char *first);
/* ",key=value": commas in the value are doubled, as QEMU wants them. */
void vmp_option_guest(VmpOption *option, const char *key, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
void vmp_option_host(VmpOption *option, const char *key, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* The same when @value is not NULL, or not 0. */
void vmp_option_guest_text(VmpOption *option, const char *key, const char *value);
void vmp_option_host_text(VmpOption *option, const char *key, const char *value);
void vmp_option_guest_uint(VmpOption *option, const char *key, guint value);

/* Adds the option, which is consumed. */
void vmp_args_take(VmpArgs *args, VmpOption *option);
/* Forgets it instead. */
void vmp_option_drop(VmpOption *option);
/* As vmp_args_take(), all of it for the host alone. */
void vmp_args_take_host(VmpArgs *args, VmpOption *option);
