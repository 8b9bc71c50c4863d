/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/instance.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "machine/launch.h"
#include "machine/listen.h"
#include "machine/tpm.h"
#include "machine/words.h"
#include "qmp/commands.h"

#define START_TIMEOUT_MS 60000
#define KILL_TIMEOUT_MS 5000
#define RECORD_MAX (1 << 20)
#define DEFINITION_MAX ((gsize)64 << 20)

static const char *const record_names[] = {
    [VMP_INSTANCE_MACHINE] = "pid",
    [VMP_INSTANCE_SPARE] = "spare",
    [VMP_INSTANCE_DAEMON] = "daemon",
    [VMP_INSTANCE_SERVER] = "server",
};

static void
free_socket(gpointer data)
{
    VmpInstanceSocket *bound = data;

    g_free(bound->path);
    g_free(bound->aside);
    g_free(bound);
}

void
vmp_instance_free(VmpInstance *instance)
{
    if (!instance)
        return;
    g_free(instance->id);
    g_free(instance->boot_id);
    g_free(instance->dir);
    g_clear_pointer(&instance->sockets, g_ptr_array_unref);
    g_free(instance);
}

static VmpInstance *
new_instance(const VmpHost *host, const char *uuid)
{
    VmpInstance *instance = g_new0(VmpInstance, 1);

    instance->dir = vmp_host_runtime_path(host, uuid, NULL);
    instance->sockets = g_ptr_array_new_with_free_func(free_socket);
    return instance;
}

char *
vmp_instance_path(const VmpInstance *instance, const char *suffix)
{
    return g_strdup_printf("%s/%s.%s", instance->dir, instance->id, suffix);
}

/* ---- the record ---- */

static gpointer
read_boot_id(gpointer unused)
{
    char *id = vmp_file_read("/proc/sys/kernel/random/boot_id", 256, NULL, NULL);

    return id ? g_strchomp(id) : g_strdup("");
}

/* A pid and its start time come again after the host was booted anew. */
static const char *
get_boot_id(void)
{
    static GOnce once = G_ONCE_INIT;

    return g_once(&once, read_boot_id, NULL);
}

static VmpJson *
sockets_to_json(const VmpInstance *instance)
{
    VmpJson *sockets = json_object_new_array();

    for (guint i = 0; i < instance->sockets->len; i++) {
        const VmpInstanceSocket *bound = g_ptr_array_index(instance->sockets, i);
        json_object_array_add(sockets,
                              vmp_json_build("s:path", bound->path, "S:aside", bound->aside,
                                             "i:device", (gint64)bound->device, "i:inode",
                                             (gint64)bound->inode, NULL));
    }
    return sockets;
}

/* NULL if there is none. */
static VmpJson *
tpm_to_json(const VmpProcess *tpm)
{
    return tpm->pid ? vmp_json_build("i:pid", (gint64)tpm->pid, "i:start-time",
                                     (gint64)tpm->start_time, NULL)
                    : NULL;
}

static gboolean
write_record(const VmpInstance *instance, VmpInstanceRole role, GError **error)
{
    g_autoptr(VmpJson) record = vmp_json_build(
        "s:id", instance->id, "i:pid", (gint64)instance->process.pid, "i:start-time",
        (gint64)instance->process.start_time, "s:boot-id", instance->boot_id, "O:tpm",
        tpm_to_json(&instance->tpm), "o:sockets", sockets_to_json(instance), "B:starting",
        instance->starting, "B:chosen", instance->chosen, NULL);
    g_autofree char *text = vmp_json_to_text(record);
    g_autofree char *path = g_build_filename(instance->dir, record_names[role], NULL);

    return vmp_file_replace(path, text, -1, 0600, error);
}

static VmpProcess
read_process(VmpJson *from)
{
    return (VmpProcess){ (GPid)vmp_json_get_int(from, "pid", 0),
                         (guint64)vmp_json_get_int(from, "start-time", 0) };
}

static void
read_sockets(VmpInstance *instance, VmpJson *sockets)
{
    for (guint i = 0; i < vmp_json_length(sockets); i++) {
        VmpJson *from = vmp_json_at(sockets, i);
        VmpInstanceSocket *bound = g_new0(VmpInstanceSocket, 1);

        bound->path = g_strdup(vmp_json_get_string(from, "path"));
        bound->aside = g_strdup(vmp_json_get_string(from, "aside"));
        bound->device = (guint64)vmp_json_get_int(from, "device", 0);
        bound->inode = (guint64)vmp_json_get_int(from, "inode", 0);
        g_ptr_array_add(instance->sockets, bound);
    }
}

VmpInstance *
vmp_instance_read(const VmpHost *host, const char *uuid, VmpInstanceRole role, GError **error)
{
    g_autofree char *path = vmp_host_runtime_path(host, uuid, record_names[role]);
    g_autoptr(GError) failure = NULL;

    /* Most have none, and a list asks for many: without the work of an error that nobody
     * reads. */
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return NULL;

    g_autofree char *text = vmp_file_read(path, RECORD_MAX, NULL, &failure);
    if (!text) {
        if (!vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
            g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }

    g_autoptr(VmpJson) record = vmp_json_parse(text, -1, NULL);
    const char *id = vmp_json_get_string(record, "id");
    if (!id || strchr(id, '/'))
        return vmp_fail_null(error, VMP_ERROR_DAMAGED,
                             "cannot understand '%s', the record of "
                             "a running QEMU; move it away if none runs",
                             path);

    g_autoptr(VmpInstance) instance = new_instance(host, uuid);
    instance->id = g_strdup(id);
    instance->process = read_process(record);
    instance->tpm = read_process(vmp_json_get_object(record, "tpm"));
    instance->boot_id = g_strdup(vmp_json_get_string(record, "boot-id"));
    instance->starting = vmp_json_get_bool(record, "starting", FALSE);
    instance->chosen = vmp_json_get_bool(record, "chosen", FALSE);
    read_sockets(instance, vmp_json_get_array(record, "sockets"));
    return g_steal_pointer(&instance);
}

gboolean
vmp_instance_note_started(VmpInstance *instance, VmpInstanceRole role, GError **error)
{
    instance->starting = FALSE;
    return write_record(instance, role, error);
}

gboolean
vmp_instance_choose(VmpInstance *instance, GError **error)
{
    instance->chosen = TRUE;
    return write_record(instance, VMP_INSTANCE_SPARE, error);
}

static gboolean
publish_sockets(VmpInstance *instance, GError **error)
{
    for (guint i = 0; i < instance->sockets->len; i++) {
        VmpInstanceSocket *bound = g_ptr_array_index(instance->sockets, i);

        /* One that is not there has been published before a crash. */
        if (bound->aside && g_file_test(bound->aside, G_FILE_TEST_EXISTS) &&
            !vmp_listen_publish(bound->aside, bound->path, error))
            return FALSE;
        g_clear_pointer(&bound->aside, g_free);
    }
    return TRUE;
}

gboolean
vmp_instance_promote(VmpInstance *instance, GError **error)
{
    if (!publish_sockets(instance, error))
        return FALSE;
    instance->chosen = FALSE;
    if (!write_record(instance, VMP_INSTANCE_SPARE, error))
        return FALSE;

    g_autofree char *from =
        g_build_filename(instance->dir, record_names[VMP_INSTANCE_SPARE], NULL);
    g_autofree char *to =
        g_build_filename(instance->dir, record_names[VMP_INSTANCE_MACHINE], NULL);

    if (rename(from, to) < 0)
        return vmp_fail_errno(error, errno, "cannot rename '%s'", from);
    return vmp_dir_sync(instance->dir, error);
}

char *
vmp_instance_read_definition(const VmpInstance *instance, GError **error)
{
    g_autofree char *path = vmp_instance_path(instance, "xml");

    return vmp_file_read(path, DEFINITION_MAX, NULL, error);
}

/* ---- its life ---- */

static gboolean
is_alive(const VmpInstance *instance, const VmpProcess *process)
{
    return g_strcmp0(instance->boot_id, get_boot_id()) == 0 &&
           vmp_process_is_alive(process->pid, process->start_time);
}

gboolean
vmp_instance_is_alive(const VmpInstance *instance)
{
    return is_alive(instance, &instance->process);
}

gboolean
vmp_instance_left_in_order(const VmpInstance *instance)
{
    g_autofree char *monitor = vmp_instance_path(instance, "qmp");

    return !g_file_test(monitor, G_FILE_TEST_EXISTS);
}

static gboolean
kill_process(const VmpInstance *instance, const VmpProcess *process, int patience_ms,
             gboolean *killed)
{
    if (killed)
        *killed = FALSE;
    if (!is_alive(instance, process))
        return TRUE;
    vmp_process_kill(process->pid, process->start_time, SIGTERM);
    if (vmp_process_wait_gone(process->pid, process->start_time, patience_ms))
        return TRUE;

    if (killed)
        *killed = TRUE;
    vmp_process_kill(process->pid, process->start_time, SIGKILL);
    return vmp_process_wait_gone(process->pid, process->start_time, KILL_TIMEOUT_MS);
}

gboolean
vmp_instance_kill(const VmpInstance *instance, int patience_ms, gboolean *killed)
{
    return kill_process(instance, &instance->process, patience_ms, killed);
}

/* It sees that its QEMU is gone, and has nothing to write any more. */
static void
end_tpm(const VmpInstance *instance)
{
    const VmpProcess *tpm = &instance->tpm;

    if (is_alive(instance, tpm) &&
        !vmp_process_wait_gone(tpm->pid, tpm->start_time, KILL_TIMEOUT_MS))
        kill_process(instance, tpm, KILL_TIMEOUT_MS, NULL);
}

/* Unless another socket took that place since. */
static void
remove_socket(const VmpInstanceSocket *bound)
{
    struct stat info;

    if (bound->aside)
        unlink(bound->aside);
    if (bound->path && lstat(bound->path, &info) == 0 &&
        (guint64)info.st_dev == bound->device && (guint64)info.st_ino == bound->inode)
        unlink(bound->path);
}

static void
remove_own_files(const VmpInstance *instance)
{
    g_autofree char *prefix = g_strconcat(instance->id, ".", NULL);
    g_autoptr(GDir) dir = g_dir_open(instance->dir, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        if (g_str_has_prefix(name, prefix)) {
            g_autofree char *path = g_build_filename(instance->dir, name, NULL);
            unlink(path);
        }
    }
}

/* Failures here leave files that no record names; the folder goes with the domain. */
void
vmp_instance_remove_files(const VmpInstance *instance, VmpInstanceRole role)
{
    g_autofree char *record = g_build_filename(instance->dir, record_names[role], NULL);

    end_tpm(instance);
    for (guint i = 0; i < instance->sockets->len; i++)
        remove_socket(g_ptr_array_index(instance->sockets, i));
    remove_own_files(instance);
    unlink(record);
    rmdir(instance->dir);
}

/* "<id>." of all instances that have a record. */
static GPtrArray *
list_prefixes(const VmpHost *host, const char *uuid)
{
    GPtrArray *prefixes = g_ptr_array_new_with_free_func(g_free);

    for (guint role = 0; role < G_N_ELEMENTS(record_names); role++) {
        g_autoptr(VmpInstance) instance = vmp_instance_read(host, uuid, role, NULL);
        if (instance)
            g_ptr_array_add(prefixes, g_strconcat(instance->id, ".", NULL));
    }
    return prefixes;
}

static gboolean
is_known(const char *name, const GPtrArray *prefixes)
{
    for (guint role = 0; role < G_N_ELEMENTS(record_names); role++) {
        if (g_str_equal(name, record_names[role]))
            return TRUE;
    }
    for (guint i = 0; i < prefixes->len; i++) {
        if (g_str_has_prefix(name, g_ptr_array_index(prefixes, i)))
            return TRUE;
    }
    return FALSE;
}

void
vmp_instance_sweep(const VmpHost *host, const char *uuid)
{
    g_autofree char *folder = vmp_host_runtime_path(host, uuid, NULL);
    g_autoptr(GPtrArray) prefixes = list_prefixes(host, uuid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (!is_known(name, prefixes))
            unlink(path);
    }
    rmdir(folder);
}

/* ---- its start ---- */

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
    if (!write_record(start->instance, role, error) || !vmp_fault("qemu-recorded", error))
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

/* A daemon's monitor is a pair of sockets and not one that listens: who connects to a daemon
 * that is still setting its monitor up, which it does in another thread, is sometimes greeted
 * twice or never answered.  Nobody else has to connect to it anyway. */
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
    if (!write_record(instance, role, error))
        return FALSE;
    /* Only now, when the record knows them by their inodes.  Those of a spare wait: somebody
     * else may still serve there. */
    if (role == VMP_INSTANCE_MACHINE && !publish_sockets(instance, error))
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
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_status();
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, cancellable, error);

    return reply != NULL;
}

static VmpInstance *
begin_instance(const VmpHost *host, const char *uuid, GError **error)
{
    g_autoptr(VmpInstance) instance = new_instance(host, uuid);

    if (!vmp_dir_ensure(instance->dir, 0700, error))
        return NULL;
    instance->id = g_strdup_printf("%06x", g_random_int() & 0xffffff);
    instance->boot_id = g_strdup(get_boot_id());
    return g_steal_pointer(&instance);
}

/* @spec NULL: a storage daemon. */
static VmpInstance *
start_instance(const VmpHost *host, const char *uuid, VmpInstanceRole role,
               const VmpInstanceSpec *spec, VmpQmpClient **client, GCancellable *cancellable,
               GError **error)
{
    g_autoptr(VmpInstance) instance = begin_instance(host, uuid, error);
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
    g_autoptr(VmpQmpClient) monitor = NULL;
    g_autoptr(GError) failure = NULL;
    if (spec ? run_machine(&start, role, &failure) : run_daemon(&start, role, &failure)) {
        start_clear(&start);
        monitor = greet(&start, cancellable, &failure);
        if (monitor && spec && !await_main_loop(monitor, cancellable, &failure))
            g_clear_pointer(&monitor, vmp_qmp_client_unref);
        if (!monitor)
            explain(instance, spec ? "QEMU" : "qemu-storage-daemon", &failure);
    }
    if (!monitor) {
        /* What we have open of it would keep its TPM. */
        start_clear(&start);
        vmp_instance_kill(instance, KILL_TIMEOUT_MS, NULL);
        vmp_instance_remove_files(instance, role);
        g_propagate_error(error, g_steal_pointer(&failure));
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
