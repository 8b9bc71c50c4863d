/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looking at domains: who there is, in which state, with which disks.
 */

#include "machine/machine.h"

/* Array of VmpDomainInfo, sorted by name.  All monitors are asked at once; one that has not
 * answered after a second is listed as NOSTATE. */
GPtrArray *vmp_machine_list(VmpHost *host, VmpListFlags flags, GError **error);
VmpDomainInfo *vmp_machine_info(VmpMachine *machine, GError **error);
/* Array of VmpDomainBlock in the order of the XML.  With @sizes the images are asked. */
GPtrArray *vmp_machine_list_blocks(VmpMachine *machine, gboolean inactive, gboolean sizes,
                                   GError **error);
