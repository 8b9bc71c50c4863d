/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Numbers, times and states as virsh writes them, and names in its order. */

#include <glib.h>
#include <vmpoint/types.h>

/* "1.500 GiB"; free with g_free(). */
char *vmp_format_bytes(guint64 bytes);
/* "3G", "512MiB", "10MB" (of 1000s), "100b", or a number of @unit bytes; FALSE if it is none.
 */
gboolean vmp_parse_bytes(const char *text, guint64 unit, guint64 *bytes);
/* Seconds since the epoch in local time, "2026-01-31 23:59:59 +0100"; free with g_free(). */
char *vmp_format_time(gint64 seconds);
/* "shut off" where libvirt's XML says "shutoff"; static. */
const char *vmp_state_text(VmpState state);
/* "100", MiB per second as in virsh, to bytes per second; NULL is 0.  FALSE for what is no
 * such number. */
gboolean vmp_read_bandwidth(const char *text, guint64 *bandwidth, GError **error);
/* "yes" or "no". */
const char *vmp_format_boolean(gboolean value);
/* As strcmp(), but upper and lower case sort together. */
int vmp_compare_names(const char *a, const char *b);
