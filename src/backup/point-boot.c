/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The proof of a restore point that counts: its guest boots.
 *
 * It is a domain like others while it is tried, under its lock the whole time: who finds one
 * of its name without a lock has found what was left by a run that was killed.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "backup/restore-point.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "machine/firmware.h"
#include "qmp/agent.h"

#define DEFAULT_TIMEOUT_S 300
#define DEFAULT_TEXT "login:"
#define MAX_CONSOLE (64 * 1024 * 1024)

/* So long the agent may be silent, or the console be left alone, before it is seen whether the
 * machine is still there. */
#define ASK_MS 5000
#define LOOK_MS 200

typedef struct {
    VmpHost *host;
    VmpOperation *operation; /* of the trial; its warnings are not the caller's */
    char *name;              /* of the domain */
    char *folder, *console;
    VmpFd lock; /* of the folder */
    VmpMachine *machine;
} Trial;

/* ---- taking it away ---- */

static void
empty_folder(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        vmp_file_remove(file, NULL);
    }
}

static gboolean
take_away(VmpMachine *machine, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_inactive(machine, error);
    if (!definition)
        return FALSE;

    g_autofree char *nvram = vmp_firmware_nvram_path(machine, definition);
    if (vmp_machine_is_on(machine) && !vmp_machine_destroy(machine, 0, error))
        return FALSE;
    return (!nvram || vmp_file_remove(nvram, error)) &&
           vmp_machine_undefine(machine, VMP_UNDEFINE_KEEP_NVRAM | VMP_UNDEFINE_TPM, error);
}

static gboolean
take_leftover_away(const Trial *trial, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpMachine) left = vmp_machine_open(trial->host, trial->name, VMP_MACHINE_CHANGE,
                                                  trial->operation, &failure);

    empty_folder(trial->folder);
    if (left)
        return take_away(left, error);
    if (vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static void
trial_clear(Trial *trial)
{
    g_clear_pointer(&trial->machine, vmp_machine_free);
    if (trial->lock >= 0) {
        empty_folder(trial->folder);
        rmdir(trial->folder);
    }
    vmp_fd_clear(&trial->lock);
    g_clear_pointer(&trial->operation, vmp_operation_free);
    g_free(trial->name);
    g_free(trial->folder);
    g_free(trial->console);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Trial, trial_clear)

/* ---- the proof ---- */

static gboolean
check_lives(const Trial *trial, GError **error)
{
    VmpState state = VMP_STATE_SHUTOFF;
    g_autoptr(GError) failure = NULL;

    gboolean known = vmp_machine_query_state(trial->machine, &state, NULL, &failure);
    if (vmp_error_is(failure, VMP_ERROR_INTERRUPTED)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!known || state != VMP_STATE_RUNNING)
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "it does not boot: before its guest had booted, its machine was '%s'",
                        failure ? failure->message : vmp_state_name(state));
    return TRUE;
}

static gboolean
is_cancelled(const Trial *trial, GError **error)
{
    return g_cancellable_is_cancelled(vmp_operation_get_cancellable(trial->operation)) &&
           !vmp_fail(error, VMP_ERROR_INTERRUPTED, "interrupted");
}

static int
left_ms(gint64 deadline, int most)
{
    return (int)CLAMP((deadline - g_get_monotonic_time()) / 1000, 0, most);
}

static gboolean
wait_for_agent(const Trial *trial, const char *path, gint64 deadline, GError **error)
{
    GCancellable *cancellable = vmp_operation_get_cancellable(trial->operation);
    int left;

    while ((left = left_ms(deadline, ASK_MS)) > 0) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpAgent) agent = vmp_agent_connect(path, left, cancellable, &failure);
        if (agent)
            return TRUE;
        if (is_cancelled(trial, error) || !check_lives(trial, error))
            return FALSE;
    }
    return vmp_fail(error, VMP_ERROR_DAMAGED,
                    "it does not boot: the guest agent has not answered in time");
}

/* The last line that has something in it; free with g_free(). */
static char *
find_last_line(char *text)
{
    g_auto(GStrv) lines = g_strsplit_set(g_strstrip(text), "\r\n", -1);
    guint count = g_strv_length(lines);
    g_autofree char *last = count > 0 ? g_utf8_make_valid(lines[count - 1], -1) : g_strdup("");

    return g_strescape(g_strstrip(last), NULL);
}

static gboolean
fail_silent(const Trial *trial, const char *wanted, GError **error)
{
    g_autofree char *text = vmp_file_read(trial->console, MAX_CONSOLE, NULL, NULL);
    g_autofree char *last = find_last_line(text ? text : (text = g_strdup("")));

    return vmp_fail(error, VMP_ERROR_DAMAGED,
                    "it does not boot: its first serial line has not said '%s' in time; the "
                    "last that it said is '%s'",
                    wanted, last);
}

/* Nobody tells when a guest says something; the file is looked at. */
static gboolean
wait_for_text(const Trial *trial, const char *wanted, gint64 deadline, GError **error)
{
    GPollFD cancelled = { .fd = -1 };
    gboolean found = FALSE;

    g_cancellable_make_pollfd(vmp_operation_get_cancellable(trial->operation), &cancelled);
    while (!found && left_ms(deadline, LOOK_MS) > 0) {
        gsize length = 0;
        g_autofree char *text = vmp_file_read(trial->console, MAX_CONSOLE, &length, NULL);
        found = text && memmem(text, length, wanted, strlen(wanted));
        if (found || is_cancelled(trial, error) || !check_lives(trial, error))
            break;
        g_poll(&cancelled, 1, left_ms(deadline, LOOK_MS));
    }
    if (cancelled.fd >= 0)
        g_cancellable_release_fd(vmp_operation_get_cancellable(trial->operation));
    if (found || (error && *error))
        return found;
    return fail_silent(trial, wanted, error);
}

static gboolean
wait_for_proof(const Trial *trial, const VmpBootProof *proof, GError **error)
{
    gint64 seconds = proof->timeout ? proof->timeout : DEFAULT_TIMEOUT_S;
    gint64 deadline = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    g_autofree char *agent =
        proof->expect ? NULL : vmp_machine_get_agent_path(trial->machine, NULL);

    return agent ? wait_for_agent(trial, agent, deadline, error)
                 : wait_for_text(trial, proof->expect ? proof->expect : DEFAULT_TEXT, deadline,
                                 error);
}

/* ---- the trial ---- */

static gboolean
lock_folder(Trial *trial, GError **error)
{
    g_autofree char *folder =
        g_build_filename(trial->host->state_dir, "trials", trial->name, NULL);

    if (!vmp_dir_ensure(folder, 0700, error))
        return FALSE;
    g_auto(VmpFd) lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0)
        return vmp_fail_errno(error, errno, "cannot open '%s'", folder);
    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        return vmp_fail(error, VMP_ERROR_BUSY, "another command is trying whether it boots");
    trial->folder = g_steal_pointer(&folder);
    trial->console = g_build_filename(trial->folder, "console", NULL);
    trial->lock = lock;
    lock = -1;
    return TRUE;
}

/* Whatever happened: the domain goes, if it is there. */
static gboolean
try_point(Trial *trial, const VmpRepository *repository, const char *point,
          const VmpBootProof *proof, GError **error)
{
    const VmpTwinSpec spec = { .name = trial->name,
                               .folder = trial->folder,
                               .overlay = TRUE,
                               .isolated = TRUE,
                               .console = trial->console };

    if (!vmp_repository_make_domain(trial->host, repository->path, point, &spec,
                                    trial->operation, error))
        return FALSE;
    trial->machine = vmp_machine_open(trial->host, trial->name, VMP_MACHINE_CHANGE,
                                      trial->operation, error);
    if (!trial->machine)
        return FALSE;

    gboolean booted = vmp_fault("trial-defined", error) &&
                      vmp_machine_start(trial->machine, 0, error) &&
                      vmp_fault("trial-started", error) && wait_for_proof(trial, proof, error);
    vmp_operation_set_cancellable(trial->operation, NULL);
    return take_away(trial->machine, booted ? error : NULL) && booted;
}

gboolean
vmp_repository_verify_boot(VmpHost *host, const char *path, const char *point,
                           const VmpBootProof *proof, VmpOperation *operation, GError **error)
{
    /* Held until the end: what it stands on must not be pruned. */
    g_autoptr(VmpRepository) repository =
        vmp_repository_open(path, VMP_REPOSITORY_READ, error);
    const VmpManifest *manifest =
        repository ? vmp_repository_get(repository, point, error) : NULL;
    g_auto(Trial) trial = { .host = host, .operation = vmp_operation_new(), .lock = -1 };
    if (!manifest)
        return FALSE;

    VMP_ERROR_CONTEXT(error, "point '%s'", manifest->name);
    vmp_operation_set_cancellable(trial.operation, vmp_operation_get_cancellable(operation));
    trial.name = g_strconcat("verify-", manifest->name, NULL);
    if (vmp_operation_get_dry_run(operation))
        return TRUE;
    return lock_folder(&trial, error) && take_leftover_away(&trial, error) &&
           try_point(&trial, repository, manifest->name, proof, error);
}
