/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starting a server process in two strokes: first it exists and can be written down, then
 * it runs.
 *
 * If we die between the two, or let go of the VmpSpawn, the process ends without having run
 * anything; so a server is never without a record of it.
 */

#include <glib.h>

typedef struct {
    GPid pid;
    guint64 start_time; /* see base/process.h */
} VmpProcess;

typedef struct {
    const char *const *argv;        /* [0] is a path or a name to look up in PATH */
    const char *const *environment; /* "NAME=value" added to ours; or NULL */
    const char *log_path;           /* stdout and stderr; made anew with mode 0600 */
    const int *fds;                 /* stay open in the process, under the same numbers */
    guint n_fds;
    gboolean detached; /* outlives us, as nobody's child; else it is our child, which we wait
                        * for, and gets SIGTERM when the calling thread ends */
} VmpSpawnSpec;

typedef struct _VmpSpawn VmpSpawn;

/* Makes the process, in a session of its own; it waits.  UNSUPPORTED if there is no such
 * program. */
VmpSpawn *vmp_spawn_new(const VmpSpawnSpec *spec, GError **error);
VmpProcess vmp_spawn_get_process(const VmpSpawn *spawn);
/* Lets it run.  On success it is @argv that runs. */
gboolean vmp_spawn_go(VmpSpawn *spawn, GError **error);
/* A process that has not run ends. */
void vmp_spawn_free(VmpSpawn *spawn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpSpawn, vmp_spawn_free)

/* Waits at most @timeout_ms for a process that is our child (not a detached one) to end, and
 * takes its zombie away.  @status (optional) as in VmpToolResult.  FALSE if it goes on. */
gboolean vmp_process_reap(const VmpProcess *process, int timeout_ms, int *status);

/* The last words of a log, as one line; "" if there are none.  Free with g_free(). */
char *vmp_log_last_words(const char *path);
