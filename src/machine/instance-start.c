/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/instance-start.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "machine/instance-end.h"
#include "machine/launch.h"
#include "machine/listen.h"
#include "machine/tpm.h"
#include "machine/words.h"
#include "qmp/commands.h"
#include "storage/bitmap-marks.h"

#define START_TIMEOUT_MS 60000
#define KILL_TIMEOUT_MS 5000

/* What a start has in hand.  Clearing it closes our copies of QEMU's sockets: from then on
 * only QEMU has them, and whoever waits at one learns when QEMU ends. */
typedef struct {
    const VmpHost *host;
    const VmpInstanceSpec *spec;
    VmpInstance *instance;
    GArray *fds;         /* of int */
    GHashTable *sockets; /* path -> fd */
    VmpSpawn *tpm;       /* the process of the TPM; NULL = there is none */
    VmpFd connection;    /* to a daemon; -1 = none, or taken by the client */
} Start;

static void
start_clear(Start *start)
{
    for (guint i = 0; start->fds && i < start->fds->len; i++)
        close(g_array_index(start->fds, int, i));
    g_clear_pointer(&start->fds, g_array_unref);
    g_clear_pointer(&start->sockets, g_hash_table_unref);
    g_clear_pointer(&start->tpm, vmp_spawn_free);
}

static void
start_end(Start *start)
{
    start_clear(start);
    vmp_fd_clear(&start->connection);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Start, start_end)

static int
bind_monitor(Start *start, const char *suffix, GError **error)
{
    g_autofree char *path = vmp_instance_path(start->instance, suffix);
    int fd = vmp_listen_at(path, error);

    if (fd >= 0)
        g_array_append_val(start->fds, fd);
    return fd;
}

static void
plan_sockets(Start *start, const VmpLaunchHost *launch)
{
    g_autoptr(GPtrArray) paths = vmp_launch_socket_paths(start->spec->definition, launch);

    for (guint i = 0; i < paths->len; i++) {
        VmpInstanceSocket *planned = g_new0(VmpInstanceSocket, 1);
        planned->path = g_strdup(g_ptr_array_index(paths, i));
        planned->aside = vmp_listen_aside_name(planned->path);
        g_ptr_array_add(start->instance->sockets, planned);
    }
}

static gboolean
bind_sockets(Start *start, GError **error)
{
    GPtrArray *sockets = start->instance->sockets;

    for (guint i = 0; i < sockets->len; i++) {
        VmpInstanceSocket *planned = g_ptr_array_index(sockets, i);
        int fd = vmp_listen_aside(planned->aside, planned->path, error);
        struct stat info;

        if (fd < 0)
            return FALSE;
        g_array_append_val(start->fds, fd);
        g_hash_table_insert(start->sockets, g_strdup(planned->path), GINT_TO_POINTER(fd));
        if (lstat(planned->aside, &info) == 0) {
            planned->device = info.st_dev;
            planned->inode = info.st_ino;
        }
    }
    return TRUE;
}

/* Makes the process of the TPM; *fd is QEMU's end of what leads to it. */
static gboolean
make_tpm(Start *start, int *fd, GError **error)
{
    g_autofree char *log = vmp_instance_path(start->instance, "tpm-log");
    int pair[2];

    if (!vmp_domain_get_tpm(start->spec->definition))
        return TRUE;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return vmp_fail_errno(error, errno, "cannot make a socket");
    g_auto(VmpFd) connection = pair[1];
    *fd = pair[0];
    g_array_append_val(start->fds, *fd);
    start->tpm = vmp_tpm_spawn(start->spec->tpm_folder, log, connection, error);
    return start->tpm != NULL;
}

/* For QEMU to read when it starts; it goes as soon as that is done. */
static gboolean
write_password(const VmpDomain *definition, const char *path, GError **error)
{
    const GPtrArray *graphics = vmp_domain_get_graphics(definition);
    const VmpDomainGraphics *screen =
        graphics->len > 0 ? g_ptr_array_index(graphics, 0) : NULL;

    if (!screen || !screen->passwd)
        return TRUE;
    return vmp_file_replace(path, screen->passwd, -1, 0600, error);
}

static char **
make_command(Start *start, VmpInstanceRole role, GError **error)
{
    g_autofree char *agent_path = vmp_instance_path(start->instance, "agent");
    g_autofree char *prefix = vmp_instance_path(start->instance, "");
    g_autofree char *password_path = vmp_instance_path(start->instance, "password");
    VmpLaunchHost launch = {
        .prefix = prefix,
        .password_path = password_path,
        .agent_path = agent_path,
        .loader_path = start->spec->firmware->loader,
        .loader_format = start->spec->firmware->loader_format,
        .nvram_path = start->spec->firmware->nvram,
        .nvram_format = start->spec->firmware->nvram_format,
        .sockets = start->sockets,
        .incoming = start->spec->incoming,
        .new_genid = start->spec->new_genid,
    };

    /* Written down before they are bound, so that whoever comes after a crash knows what to
     * take away. */
    plan_sockets(start, &launch);
    if (!vmp_instance_write(start->instance, role, error) ||
        !vmp_fault("qemu-recorded", error))
        return NULL;
    launch.monitor_fd = bind_monitor(start, "qmp", error);
    if (launch.monitor_fd < 0)
        return NULL;
    launch.query_fd = bind_monitor(start, "query", error);
    if (launch.query_fd < 0 || !bind_sockets(start, error) ||
        !write_password(start->spec->definition, password_path, error) ||
        !make_tpm(start, &launch.tpm_fd, error))
        return NULL;
    return vmp_launch_command(start->spec->definition, &launch, error);
}

/* A daemon gets a connection, not a place to listen at: it enters its main loop at once, and
 * there a client that waits already may be accepted before the monitor listens to what
 * happens, and then it never greets (QEMU 7.2: one start of a hundred).  A QEMU that makes a
 * machine first is long past that. */
static char **
make_daemon_command(Start *start, GError **error)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        vmp_fail_errno(error, errno, "cannot make a socket");
        return NULL;
    }
    start->connection = pair[0];
    g_array_append_val(start->fds, pair[1]);

    g_autofree char *chardev = g_strdup_printf("socket,id=monitor,fd=%d", pair[1]);
    const char *const argv[] = {
        "qemu-storage-daemon", "--chardev", chardev, "--monitor", "chardev=monitor", NULL,
    };
    return g_strdupv((char **)argv);
}

static gboolean
write_definition(const Start *start, GError **error)
{
    g_autofree char *text =
        vmp_domain_format(start->spec->definition, VMP_DOMAIN_FORMAT_SECURE);
    g_autofree char *path = vmp_instance_path(start->instance, "xml");

    return vmp_file_replace(path, text, -1, 0600, error);
}

static char **
make_environment(const VmpDomain *definition)
{
    const GPtrArray *given = vmp_domain_get_qemu_env(definition);
    g_autoptr(GStrvBuilder) environment = g_strv_builder_new();

    for (guint i = 0; given && i < given->len; i++)
        g_strv_builder_add(environment, g_ptr_array_index(given, i));
    return g_strv_builder_end(environment);
}

static gboolean
run(Start *start, VmpInstanceRole role, char **argv, char **environment, GError **error)
{
    VmpInstance *instance = start->instance;
    g_autofree char *log = vmp_instance_path(instance, "log");
    VmpSpawnSpec spec = {
        .argv = (const char *const *)argv,
        .environment = (const char *const *)environment,
        .log_path = log,
        .fds = (const int *)(gpointer)start->fds->data,
        .n_fds = start->fds->len,
        .detached = role != VMP_INSTANCE_DAEMON,
    };
    g_autoptr(VmpSpawn) spawn = vmp_spawn_new(&spec, error);
    if (!spawn)
        return FALSE;
    instance->process = vmp_spawn_get_process(spawn);
    if (start->tpm)
        instance->tpm = vmp_spawn_get_process(start->tpm);
    if (!vmp_instance_write(instance, role, error))
        return FALSE;
    /* Only now, when the record knows them by their inodes.  Those of a spare wait: somebody
     * else may still serve there. */
    if (role == VMP_INSTANCE_MACHINE && !vmp_instance_publish_sockets(instance, error))
        return FALSE;
    return vmp_fault("qemu-made", error) && (!start->tpm || vmp_spawn_go(start->tpm, error)) &&
           vmp_spawn_go(spawn, error) && vmp_fault("qemu-started", error);
}

static gboolean
run_machine(Start *start, VmpInstanceRole role, GError **error)
{
    g_auto(GStrv) argv = make_command(start, role, error);
    if (!argv || !write_definition(start, error))
        return FALSE;

    g_auto(GStrv) environment = make_environment(start->spec->definition);
    return run(start, role, argv, environment, error);
}

static gboolean
run_daemon(Start *start, VmpInstanceRole role, GError **error)
{
    g_auto(GStrv) argv = make_daemon_command(start, error);

    return argv && run(start, role, argv, NULL, error);
}

/* QEMU's, and before them those of its TPM if that has ended first; free with g_free(). */
static char *
last_words(const VmpInstance *instance)
{
    g_autofree char *log = vmp_instance_path(instance, "log");
    g_autofree char *tpm_log = vmp_instance_path(instance, "tpm-log");
    g_autofree char *words = vmp_log_last_words(log);
    g_autofree char *tpm_words = instance->tpm.pid ? vmp_log_last_words(tpm_log) : NULL;

    if (!tpm_words || !*tpm_words)
        return g_steal_pointer(&words);
    return g_strdup_printf("%s (its TPM: %s)", words, tpm_words);
}

/* Turns the error of a monitor that hung up into what QEMU said before it went. */
static void
explain(const VmpInstance *instance, const char *program, GError **error)
{
    g_autofree char *words = last_words(instance);

    if (vmp_error_is(*error, VMP_ERROR_INTERRUPTED))
        return;

    g_autoptr(GError) failure = g_steal_pointer(error);
    if (vmp_error_is(failure, VMP_ERROR_BUSY) || vmp_error_is(failure, VMP_ERROR_TIMED_OUT))
        vmp_fail(error, VMP_ERROR_TIMED_OUT, "%s did not start in time%s%s", program,
                 *words ? ": " : "", words);
    else
        vmp_fail(error, vmp_words_code(words, VMP_ERROR_REFUSED), "%s did not start: %s",
                 program, *words ? words : failure->message);
}

static VmpQmpClient *
connect_to(Start *start, int timeout_ms, GCancellable *cancellable, GError **error)
{
    g_autofree char *path = vmp_instance_path(start->instance, "qmp");
    int connection = start->connection;

    if (connection < 0)
        return vmp_qmp_client_connect(path, timeout_ms, cancellable, error);
    start->connection = -1;
    return vmp_qmp_client_from_fd(connection, timeout_ms, cancellable, error);
}

static VmpQmpClient *
greet(Start *start, GCancellable *cancellable, GError **error)
{
    int timeout_ms = vmp_host_timeout(start->host, START_TIMEOUT_MS);
    VmpQmpClient *client = connect_to(start, timeout_ms, cancellable, error);

    if (client)
        vmp_qmp_client_set_timeout(client, timeout_ms);
    return client;
}

/* The greeting may come before all devices are made; an answer from the main loop comes
 * after. */
static gboolean
await_main_loop(VmpQmpClient *client, GCancellable *cancellable, GError **error)
{
    return vmp_qmp_client_run(client, vmp_qmp_query_status(), cancellable, error);
}

/* The monitor of what has been run; its error says what the process did. */
static VmpQmpClient *
await_start(Start *start, GCancellable *cancellable, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpQmpClient) monitor = greet(start, cancellable, &failure);

    if (monitor && (!start->spec || await_main_loop(monitor, cancellable, &failure)))
        return g_steal_pointer(&monitor);
    explain(start->instance, start->spec ? "QEMU" : "qemu-storage-daemon", &failure);
    g_propagate_error(error, g_steal_pointer(&failure));
    return NULL;
}

static VmpQmpClient *
run_and_await(Start *start, VmpInstanceRole role, GCancellable *cancellable, GError **error)
{
    if (!(start->spec ? run_machine(start, role, error) : run_daemon(start, role, error)))
        return NULL;
    start_clear(start);
    return await_start(start, cancellable, error);
}

/* The images that QEMU will open to write to. */
static VmpBitmapMarks *
note_marks(const VmpInstanceSpec *spec)
{
    const GPtrArray *disks = vmp_domain_get_disks(spec->definition);
    g_autoptr(GPtrArray) paths = g_ptr_array_new();

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && !disk->readonly && g_strcmp0(disk->driver, "qcow2") == 0 &&
            (disk->type == VMP_STORAGE_FILE || disk->type == VMP_STORAGE_BLOCK))
            g_ptr_array_add(paths, disk->source);
    }
    return vmp_bitmap_marks_new(paths);
}

/* @spec NULL: a storage daemon. */
static VmpInstance *
start_instance(const VmpHost *host, const char *uuid, VmpInstanceRole role,
               const VmpInstanceSpec *spec, VmpQmpClient **client, GCancellable *cancellable,
               GError **error)
{
    g_autoptr(VmpInstance) instance = vmp_instance_new(host, uuid, error);
    if (!instance)
        return NULL;

    instance->starting = spec ? spec->starting : role == VMP_INSTANCE_SERVER;
    g_auto(Start) start = {
        .host = host,
        .spec = spec,
        .instance = instance,
        .connection = -1,
        .fds = g_array_new(FALSE, FALSE, sizeof(int)),
        .sockets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
    g_autoptr(VmpBitmapMarks) marks = spec ? note_marks(spec) : NULL;
    g_autoptr(VmpQmpClient) monitor = run_and_await(&start, role, cancellable, error);
    if (!monitor) {
        /* What we have open of it would keep its TPM. */
        start_clear(&start);
        /* It never got so far as to run its guest, for which it waits to be told. */
        if (vmp_instance_kill(instance, KILL_TIMEOUT_MS, NULL) && marks)
            vmp_bitmap_marks_restore(marks);
        vmp_instance_remove_files(instance, role);
        return NULL;
    }

    g_autofree char *password = vmp_instance_path(instance, "password");
    unlink(password);
    if (client)
        *client = g_steal_pointer(&monitor);
    return g_steal_pointer(&instance);
}

VmpInstance *
vmp_instance_start(const VmpHost *host, const char *uuid, VmpInstanceRole role,
                   const VmpInstanceSpec *spec, VmpQmpClient **client,
                   GCancellable *cancellable, GError **error)
{
    return start_instance(host, uuid, role, spec, client, cancellable, error);
}

VmpInstance *
vmp_instance_start_daemon(const VmpHost *host, const char *uuid, VmpQmpClient **client,
                          GCancellable *cancellable, GError **error)
{
    return start_instance(host, uuid, VMP_INSTANCE_DAEMON, NULL, client, cancellable, error);
}

VmpInstance *
vmp_instance_start_server(const VmpHost *host, const char *uuid, VmpQmpClient **client,
                          GCancellable *cancellable, GError **error)
{
    return start_instance(host, uuid, VMP_INSTANCE_SERVER, NULL, client, cancellable, error);
}
