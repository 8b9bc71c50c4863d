/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Disks that an iothread serves, and that nobody else can be served from.
 *
 * QEMU 7.2 ends with a failed assertion when a client leaves an export whose node lives in an
 * iothread, whoever made the export.  Disks that have none can be served beside them.
 */

#include "qmp/client.h"

/* UNSUPPORTED if @disk, whose device is at @qom_path, has an iothread of its own or is at a
 * controller that has one. */
gboolean vmp_iothread_check_none(VmpQmpClient *client, const char *disk, const char *qom_path,
                                 GError **error);
