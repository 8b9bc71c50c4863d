/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Documents that a user hands to a command. */

#include <glib.h>

/* No document is longer than this. */
#define VMP_INPUT_LIMIT (64 * 1024 * 1024)

/* The content of the file @path, "-" being standard input, with a NUL behind it that
 * @length does not count.  VMP_ERROR_NOT_FOUND, VMP_ERROR_IO, or VMP_ERROR_INVALID for
 * what is too long or no file. */
char *vmp_input_read(const char *path, gsize *length, GError **error);
/* The same for text: a NUL inside is VMP_ERROR_INVALID. */
char *vmp_input_read_text(const char *path, GError **error);
