/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* --xpath and --wrap of the commands that dump XML. */

#include <glib.h>

/* The nodes of @xml that @expression selects: each for itself, with a newline behind it, or
 * all as children of one <nodes>.  VMP_ERROR_INVALID if the expression does not parse or
 * by its nature selects no nodes (a number, a string).
 * Free with g_free(). */
char *vmp_xpath_select(const char *xml, const char *expression, gboolean wrap, GError **error);
