/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A save of the RAM that has failed after the disks had switched.
 *
 * What is left is a snapshot of the disks, and that is what it becomes: nothing would be won
 * by merging layers back that the guest writes to.  Its guest may hang
 * (machine/uffd-rescue.h).
 */

#include "plan/step.h"

/* How long QEMU may take to answer while it saves live, and how often one looks whether it
 * hangs. */
#define VMP_MEMORY_ANSWER_TIMEOUT_MS 5000
#define VMP_MEMORY_PATIENCE 12

/* Does @failure say for certain that the RAM will never be in the file? */
gboolean vmp_memory_is_lost(const GError *failure);
/* Does somebody in QEMU sleep all the time, while nothing is saved?  Takes some seconds if so.
 */
gboolean vmp_memory_is_hung(VmpMachine *machine, const char *path);
/* The file will never be complete; a guest that hangs because of it is freed.  What cannot be
 * done is a warning. */
void vmp_memory_give_up(VmpMachine *machine, const char *path);
/* The plan's snapshot becomes one of the disks alone, when it is settled. */
void vmp_memory_demote(VmpChange *change, const char *path);
/* Before anything else is asked of QEMU: is there an open intent whose live save has failed,
 * or has hung the guest, and perhaps QEMU itself?  Then the guest is freed. */
void vmp_memory_free_hung(VmpMachine *machine);
