/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/host.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define RUNTIME_DIR_FACT "runtime-dir"

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

/* The folder that the store has, if it is there. */
static char *
read_kept_runtime_dir(VmpStore *store)
{
    /* What is damaged is for fsck to tell, which needs no lock and must get this far. */
    g_autofree char *kept = vmp_store_get_fact(store, RUNTIME_DIR_FACT, NULL);

    return kept && g_file_test(kept, G_FILE_TEST_IS_DIR) ? g_steal_pointer(&kept) : NULL;
}

/* The environment's word counts where nobody has a lock or a QEMU elsewhere: a job of cron has
 * no $XDG_RUNTIME_DIR, a session has. */
static void
choose_runtime_dir(VmpHost *host, const char *given)
{
    host->runtime_dir = read_kept_runtime_dir(host->store);
    host->keeps_runtime_dir = host->runtime_dir != NULL;
    if (!host->runtime_dir)
        host->runtime_dir =
            choose_dir(given, "VMPOINT_RUNTIME_DIR", "/run/vmpoint", g_get_user_runtime_dir());
}

gboolean
vmp_host_keep_runtime_dir(VmpHost *host, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };

    if (host->keeps_runtime_dir)
        return TRUE;
    if (!vmp_store_begin(host->store, &transaction, error))
        return FALSE;
    g_autofree char *kept = read_kept_runtime_dir(host->store);
    if (kept && !g_str_equal(kept, host->runtime_dir))
        return vmp_fail(error, VMP_ERROR_BUSY,
                        "another process has begun to use the store with its sockets and "
                        "locks in '%s', not in '%s'; try again",
                        kept, host->runtime_dir);
    host->keeps_runtime_dir =
        vmp_store_put_fact(host->store, RUNTIME_DIR_FACT, host->runtime_dir, error) &&
        vmp_store_commit(&transaction, error);
    return host->keeps_runtime_dir;
}

VmpHost *
vmp_host_open(const char *state_dir, const char *runtime_dir, GError **error)
{
    g_autoptr(VmpHost) host = g_new0(VmpHost, 1);

    host->state_dir =
        choose_dir(state_dir, "VMPOINT_STATE_DIR", "/var/lib/vmpoint", g_get_user_state_dir());
    if (!vmp_dir_ensure(host->state_dir, 0700, error))
        return NULL;
    host->store = vmp_store_open(host->state_dir, error);
    if (!host->store)
        return NULL;
    choose_runtime_dir(host, runtime_dir);
    if (!vmp_dir_ensure(host->runtime_dir, 0700, error))
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
