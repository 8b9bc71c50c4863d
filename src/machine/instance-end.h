/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ending a VmpInstance, and taking away what one has left. */

#include "machine/instance.h"

/* Of one that is gone: did QEMU end by itself, and not by a crash or SIGKILL?  One that
 * ends in order takes its monitor's socket away. */
gboolean vmp_instance_left_in_order(const VmpInstance *instance);
/* SIGTERM, then SIGKILL after @patience_ms; FALSE if it lives on all the same.  *killed
 * (optional): SIGKILL was needed. */
gboolean vmp_instance_kill(const VmpInstance *instance, int patience_ms, gboolean *killed);
/* Takes away its files and its record; the process is gone, and that of its TPM goes with it:
 * one that does not is killed. */
void vmp_instance_remove_files(const VmpInstance *instance, VmpInstanceRole role);
/* Takes away what no record of the domain knows: files of a start that was cut off. */
void vmp_instance_sweep(const VmpHost *host, const char *uuid);
