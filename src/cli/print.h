/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What commands of several groups print in the same way. */

#include "cli/parser.h"

/* A document of the library's, or what --xpath selects of it. */
gboolean vmp_print_xml(VmpSession *session, const VmpArguments *arguments, const char *xml,
                       GError **error);
/* A document, whole. */
void vmp_print_whole_xml(VmpSession *session, const char *xml);
/* A document that was put together here: virsh sets it off by an empty line. */
void vmp_print_new_xml(VmpSession *session, const char *xml);
/* One name of a point; with --json it is the member @key of an object. */
void vmp_print_name(VmpSession *session, const char *key, const char *name);
