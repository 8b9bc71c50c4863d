/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All points of a domain in one document (docs/design/bulk.md has the format).
 *
 *     <domainsnapshots domain='vm' uuid='...' current='s2'>
 *     <definition id='1'>&lt;domain type=... the whole text</definition>
 *     <domainsnapshot>
 *       <name>s1</name> ... <domain ref='1'/>
 *     </domainsnapshot>
 *     <definition id='2' like='1' first='812' last='90215'>vda.s2.qcow2</definition>
 *     <domainsnapshot>
 *       <name>s2</name> <parent><name>s1</name></parent> ... <domain ref='2'/>
 *     </domainsnapshot>
 *     </domainsnapshots>
 */

#include <vmpoint/bulk.h>
#include <vmpoint/checkpoint.h>
#include <vmpoint/snapshot.h>

#include "machine/machine.h"
#include "store/store.h"

/* The definitions that a new one may be told by: the last whole ones of its kind. */
#define VMP_BULK_KEYS 4
#define VMP_BULK_MAX_POINTS 1000000

/* What the root element is called. */
const char *vmp_bulk_root_name(VmpPointKind kind);
const char *vmp_bulk_point_name(VmpPointKind kind);

/* Writes all points, parents first.  @secure: secrets are shown; a document that lacks any
 * says so, and is not taken back. */
gboolean vmp_bulk_write(VmpMachine *machine, VmpPointKind kind, gboolean secure,
                        VmpWriteFunc write, gpointer data, GError **error);
/* Redefines all points of a document, or none.  @flags: of the single redefine.  Returns how
 * many, or -1. */
gint64 vmp_bulk_read(VmpMachine *machine, VmpPointKind kind, guint flags, VmpReadFunc read,
                     gpointer data, GError **error);
/* The same for a folder of single documents (*.xml), in any order. */
gint64 vmp_bulk_read_folder(VmpMachine *machine, VmpPointKind kind, guint flags,
                            const char *folder, GError **error);
