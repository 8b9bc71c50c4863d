/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of VmpHost, and where things are:
 *
 *   <state dir>/vmpoint.db          the store
 *   <state dir>/nvram/<name>_VARS.fd
 *   <state dir>/tpm/<uuid>/         what an emulated TPM remembers
 *   <state dir>/parts/<uuid>-...    copies that snapshots have of the two (point/part.h)
 *   <runtime dir>/<uuid>.lock       the domain's lock
 *   <runtime dir>/<uuid>/           sockets, pid file, log of the machine that runs
 */

#include <vmpoint/host.h>

#include "qmp/client.h"
#include "store/store.h"

struct _VmpHost {
    char *state_dir, *runtime_dir; /* absolute */
    VmpStore *store;
    gboolean keeps_runtime_dir; /* the store knows that this is its runtime folder */
    int timeout_ms;             /* 0 = defaults */
    VmpTraceFunc trace;
    gpointer trace_data;
};

#define VMP_HOST_PARTS "parts"

/* What is about to lock a domain calls this: from now on the store has this runtime folder, as
 * long as it is there, whatever another process's environment says.  One that does not see our
 * lock could change the domain beside us, and one that does not see our QEMU would take the
 * domain for off.  BUSY: another process has given the store another folder meanwhile. */
gboolean vmp_host_keep_runtime_dir(VmpHost *host, GError **error);
/* <runtime dir>/<uuid>[/<file>]; free with g_free(). */
char *vmp_host_runtime_path(const VmpHost *host, const char *uuid, const char *file);
/* The caller's bound, or @fallback_ms. */
int vmp_host_timeout(const VmpHost *host, int fallback_ms);
