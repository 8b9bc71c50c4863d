/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Fault points: places where the tests let the worst happen.
 *
 * The environment says what happens where, and only the tests set it:
 *   VMPOINT_FAULT="kill@3"   the process dies by SIGKILL at the third point it passes
 *   VMPOINT_FAULT="fail@3"   the third point fails with VMP_ERROR_IO
 *   VMPOINT_FAULT="stop@3"   the process stops there, with all its locks, until SIGCONT
 *   VMPOINT_FAULT="count"    prints how many points were passed, at exit, to stderr
 * Without it a point costs one comparison.
 */

#include <glib.h>

/* Passes the point named @where; FALSE with @error if it is to fail here. */
gboolean vmp_fault(const char *where, GError **error);
