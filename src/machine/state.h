/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QEMU's run states in libvirt's words.
 */

#include <vmpoint/types.h>

typedef struct {
    const char *status; /* QEMU's word in query-status */
    VmpState state;
    const char *reason; /* libvirt's word when nothing better is known */
} VmpRunState;

/* Ended by one with status NULL. */
extern const VmpRunState vmp_run_states[];

/* NOSTATE for a word that is not in the table. */
VmpState vmp_run_state(const char *status, const char **reason);
/* @reason as a static string, if it is one of those that vmpoint remembers; else "unknown". */
const char *vmp_state_reason(const char *reason);
