/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/host.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

/* What was given, else the environment's word, else the system's or the user's folder. */
static char *
choose_dir(const char *given, const char *variable, const char *of_root, const char *of_user)
{
    const char *chosen = given && *given ? given : g_getenv(variable);

    if (chosen && *chosen)
        return g_canonicalize_filename(chosen, NULL);
    if (geteuid() == 0)
        return g_strdup(of_root);
    return g_build_filename(of_user, "vmpoint", NULL);
}

VmpHost *
vmp_host_open(const char *state_dir, const char *runtime_dir, GError **error)
{
    g_autoptr(VmpHost) host = g_new0(VmpHost, 1);

    host->state_dir =
        choose_dir(state_dir, "VMPOINT_STATE_DIR", "/var/lib/vmpoint", g_get_user_state_dir());
    host->runtime_dir = choose_dir(runtime_dir, "VMPOINT_RUNTIME_DIR", "/run/vmpoint",
                                   g_get_user_runtime_dir());
    if (!vmp_dir_ensure(host->state_dir, 0700, error) ||
        !vmp_dir_ensure(host->runtime_dir, 0700, error))
        return NULL;

    host->store = vmp_store_open(host->state_dir, error);
    if (!host->store)
        return NULL;
    return g_steal_pointer(&host);
}

void
vmp_host_close(VmpHost *host)
{
    if (!host)
        return;
    g_clear_pointer(&host->store, vmp_store_close);
    g_free(host->state_dir);
    g_free(host->runtime_dir);
    g_free(host);
}

void
vmp_host_set_timeout(VmpHost *host, int timeout_ms)
{
    host->timeout_ms = MAX(timeout_ms, 0);
}

void
vmp_host_set_trace(VmpHost *host, VmpTraceFunc func, gpointer data)
{
    host->trace = func;
    host->trace_data = data;
}

char *
vmp_host_runtime_path(const VmpHost *host, const char *uuid, const char *file)
{
    return g_build_filename(host->runtime_dir, uuid, file, NULL);
}

int
vmp_host_timeout(const VmpHost *host, int fallback_ms)
{
    return host->timeout_ms > 0 ? host->timeout_ms : fallback_ms;
}
