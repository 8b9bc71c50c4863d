/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A <domain> for a QEMU of which nobody has one: what QMP tells of it. */

#include "qmp/client.h"
#include "storage/block-graph.h"
#include "xml/domain.h"

/* What QEMU calls the device, for as long as it lives; NULL if it has no name.  Borrowed. */
const char *vmp_describe_device_name(const VmpBlockDevice *device);

/* @graph has absolute paths.  @devices gets target -> name of the device, for each disk.
 * Flash is firmware and its variables, not disks.  A disk whose writes go where nobody can
 * find them (-drive snapshot=on) is transient and left out of snapshots. */
VmpDomain *vmp_describe_machine(VmpQmpClient *client, const VmpBlockGraph *graph,
                                const char *name, const char *uuid, VmpJson *devices,
                                GError **error);
