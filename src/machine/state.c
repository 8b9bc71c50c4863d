/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/state.h"

const VmpRunState vmp_run_states[] = {
    { "running", VMP_STATE_RUNNING, "unknown" },
    { "paused", VMP_STATE_PAUSED, "unknown" },
    { "prelaunch", VMP_STATE_PAUSED, "starting up" },
    { "inmigrate", VMP_STATE_PAUSED, "starting up" },
    { "finish-migrate", VMP_STATE_PAUSED, "migrating" },
    { "postmigrate", VMP_STATE_PAUSED, "migrating" },
    { "save-vm", VMP_STATE_PAUSED, "snapshot" },
    { "restore-vm", VMP_STATE_PAUSED, "snapshot" },
    { "io-error", VMP_STATE_PAUSED, "I/O error" },
    { "watchdog", VMP_STATE_PAUSED, "watchdog" },
    { "debug", VMP_STATE_PAUSED, "unknown" },
    { "internal-error", VMP_STATE_PAUSED, "unknown" },
    { "colo", VMP_STATE_PAUSED, "migrating" },
    { "shutdown", VMP_STATE_SHUTDOWN, "unknown" },
    { "suspended", VMP_STATE_PMSUSPENDED, "unknown" },
    { "guest-panicked", VMP_STATE_CRASHED, "panicked" },
    { NULL, VMP_STATE_NOSTATE, NULL },
};

VmpState
vmp_run_state(const char *status, const char **reason)
{
    for (const VmpRunState *known = vmp_run_states; status && known->status; known++) {
        if (g_str_equal(known->status, status)) {
            if (reason)
                *reason = known->reason;
            return known->state;
        }
    }
    if (reason)
        *reason = "unknown";
    return VMP_STATE_NOSTATE;
}

const char *
vmp_state_reason(const char *reason)
{
    static const char *const known[] = {
        "booted",    "user",    "unpaused", "from snapshot", "restored", "shutdown",
        "destroyed", "crashed", "failed",   "snapshot",      "migrated",
    };

    for (guint i = 0; reason && i < G_N_ELEMENTS(known); i++) {
        if (g_str_equal(known[i], reason))
            return known[i];
    }
    return "unknown";
}
