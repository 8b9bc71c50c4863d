/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors of the whole library.
 *
 * The code says what a *program* may do next and is the exit status of the
 * vmpoint program; codes are stable and only ever appended.  The message says
 * what a *person* must know: domain, disk, what was attempted, and QEMU's own
 * words verbatim.
 */

#include <glib.h>

#include <vmpoint/macros.h>

G_BEGIN_DECLS

#define VMP_ERROR (vmp_error_quark())

typedef enum {
    VMP_ERROR_FAILED = 1,        /* none of the below; the message has to do */
    VMP_ERROR_INVALID = 2,       /* bad input: usage, XML, names; nothing was touched */
    VMP_ERROR_NOT_FOUND = 3,     /* no such domain, disk, snapshot, checkpoint, file */
    VMP_ERROR_EXISTS = 4,        /* the name or the file is taken */
    VMP_ERROR_BUSY = 5,          /* lock, job or monitor is held by another; try later */
    VMP_ERROR_UNSUPPORTED = 6,   /* this QEMU, image or host cannot do it */
    VMP_ERROR_REFUSED = 7,       /* QEMU said no: an answer, nothing changed */
    VMP_ERROR_DISCONNECTED = 8,  /* QEMU went away: the outcome is in doubt until recovery */
    VMP_ERROR_TIMED_OUT = 9,     /* no answer in time: in doubt as well */
    VMP_ERROR_INCONSISTENT = 10, /* store and images (or QEMU) differ */
    VMP_ERROR_RISKY = 11,        /* would lose something; needs FORCE */
    VMP_ERROR_DAMAGED = 12,      /* data is not what was written */
    VMP_ERROR_IO = 13,           /* I/O error, no space, no permission */
    VMP_ERROR_WARNING = 14,      /* done, but read the warnings */
    VMP_ERROR_INTERRUPTED = 130, /* cancelled by the caller */
} VmpErrorCode;

/* The domain of all errors. */
VMP_PUBLIC GQuark vmp_error_quark(void);

/* Stable lower-case word for a code ("not-found"), as JSON output has it. */
VMP_PUBLIC const char *vmp_error_code_name(int code);

G_END_DECLS
