/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a snapshot and a checkpoint may be called.
 *
 * A snapshot's name becomes part of file names, a checkpoint's name is that of a bitmap
 * in every image: both are refused here before anything is made of them.
 */

#include <glib.h>

#define VMP_NAME_MAX 255

/* VMP_ERROR_INVALID unless @name is 1 to 255 bytes of UTF-8 without '/', without a
 * leading '.' and without control characters. */
gboolean vmp_snapshot_name_check(const char *name, GError **error);

/* VMP_ERROR_INVALID unless @name is 1 to 255 of the characters that libvirt's schema
 * allows: letters, digits, '_', '-', and '.' except in front. */
gboolean vmp_checkpoint_name_check(const char *name, GError **error);

/* @text in quotes, cut and with control characters made visible, fit for an error
 * message whatever a hostile document had in it.  Free with g_free(). */
char *vmp_name_quote(const char *text);
