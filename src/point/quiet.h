/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What must not be going on in a QEMU whose whole state is to be kept or taken back. */

#include "machine/machine.h"

/* BUSY with the job's name if any job is known. */
gboolean vmp_quiet_check_jobs(VmpMachine *machine, GError **error);
/* UNSUPPORTED with QEMU's words if a device's state cannot be saved, BUSY if a migration runs.
 */
gboolean vmp_quiet_check_migration(VmpMachine *machine, GError **error);
