/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The state directory and the first, empty database in it. */

#include <glib.h>

/* Makes @dir (0700) and the database @path in it (0600) unless they are there.
 *
 * The database appears under its name complete and durable, or not at all; of several
 * processes that try at once, one makes it.  VMP_ERROR_DAMAGED if the log of a database is
 * there and the database is not. */
gboolean vmp_store_ensure_database(const char *dir, const char *path, GError **error);
