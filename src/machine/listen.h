/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unix sockets that somebody listens at: made before their server starts, or asked about.
 *
 * A server inherits a socket that listens already, so that whoever connects waits in the
 * kernel's queue for it and never has to try again.
 */

#include <glib.h>

/* Binds and listens at @path, mode 0600; -1 with @error.  INVALID if the path is longer
 * than the system allows.  The descriptor closes on exec until somebody says otherwise. */
int vmp_listen_at(const char *path, GError **error);

/* The same for a path that others know, in two strokes: bound under another name in the
 * same folder, and published when its server is to serve.
 *
 * Publishing replaces a socket that is there, at one instant.  And when the server ends it
 * cannot unlink @path, because it knows its socket by the other name: so the old server of
 * a path does not take the new one's away. */
char *vmp_listen_aside_name(const char *path);
/* @aside is such a name for @path. */
int vmp_listen_aside(const char *aside, const char *path, GError **error);
gboolean vmp_listen_publish(const char *aside, const char *path, GError **error);

/* Does anybody listen at @path?  The kernel answers, without a greeting. */
gboolean vmp_listener_exists(const char *path);
