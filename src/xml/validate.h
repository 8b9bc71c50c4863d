/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checking a document against libvirt's own RNG schemas (package libvirt0), on request.
 *
 * The readers of this layer are strict where libvirt is; a schema also refuses what libvirt
 * would ignore, such as a misspelt element.
 */

#include <glib.h>

/* @root: name of the document and of its schema, "domainsnapshot".  VMP_ERROR_INVALID with the
 * line and libxml2's words; VMP_ERROR_UNSUPPORTED if the schemas are not installed. */
gboolean vmp_xml_validate(const char *xml, gssize length, const char *root, GError **error);
