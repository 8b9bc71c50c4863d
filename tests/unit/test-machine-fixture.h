/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests of the machine layer: a host of its own, and a QEMU that is no QEMU.
 *
 * The test program is the emulator of its own domains: started with FAKE_QEMU in the
 * environment (by <qemu:env>) it serves the monitors that it inherits, as far as a life from
 * start to end needs, and takes its sockets away when it quits, as QEMU does.
 * FAKE_QEMU says how it behaves:
 *   well       as it should
 *   refuse     says why and exits before it greets
 *   mute       never greets
 *   stubborn   ignores quit and SIGTERM
 * FAKE_REFUSE: commands with this text in them are refused with FAKE_WORDS.
 * FAKE_REPLIES: a file with an object of replies by command.
 * FAKE_STATUS, FAKE_LAST_WORDS: how it exits.
 * FAKE_SEEN: a file that all commands are written to, a line each.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/process.h"
#include "machine/host.h"
#include "machine/machine.h"

#define FAKE_GREETING                                                                  \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, " \
    "\"package\": \"fake\"}, \"capabilities\": []}}\r\n"

/* ---- a fake QEMU ---- */

static struct {
    pthread_mutex_t lock;
    const char *status;
    gboolean is_stubborn;
    int fds[8];
    guint n_fds;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .status = "prelaunch" };

static inline void
fake_send(int fd, const char *text)
{
    gsize length = strlen(text);

    while (length > 0) {
        gssize sent = send(fd, text, length, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        text += sent;
        length -= (gsize)sent;
    }
}

/* As QEMU: it unlinks the names that it knows its sockets by. */
static inline void
fake_quit(void)
{
    const char *status = g_getenv("FAKE_STATUS"), *words = g_getenv("FAKE_LAST_WORDS");

    for (guint i = 0; i < fake.n_fds; i++) {
        struct sockaddr_un address = { 0 };
        socklen_t length = sizeof address;
        if (getsockname(fake.fds[i], (struct sockaddr *)&address, &length) == 0)
            unlink(address.sun_path);
    }
    if (words)
        fprintf(stderr, "%s\n", words);
    _exit(status ? atoi(status) : 0);
}

static inline void
fake_terminate(int number)
{
    (void)number;
    fake_quit();
}

static inline void
fake_see(const char *text)
{
    const char *path = g_getenv("FAKE_SEEN");
    FILE *seen = path ? fopen(path, "a") : NULL;

    if (!seen)
        return;
    fprintf(seen, "%s\n", text);
    fclose(seen);
}

/* The value of the reply; a new reference. */
static inline VmpJson *
fake_execute(const char *command)
{
    const char *path = g_getenv("FAKE_REPLIES");
    g_autofree char *text = NULL;

    if (strcmp(command, "stop") == 0)
        fake.status = "paused";
    else if (strcmp(command, "cont") == 0)
        fake.status = "running";
    if (strcmp(command, "query-status") == 0)
        return vmp_json_build("b:running", strcmp(fake.status, "running") == 0, "b:singlestep",
                              FALSE, "s:status", fake.status, NULL);
    if (path && g_file_get_contents(path, &text, NULL, NULL)) {
        g_autoptr(VmpJson) replies = vmp_json_parse(text, -1, NULL);
        VmpJson *reply = vmp_json_get(replies, command);
        if (reply)
            return json_object_get(reply);
    }
    return json_object_new_object();
}

static inline void
fake_answer(int fd, VmpJson *message)
{
    const char *command = vmp_json_get_string(message, "execute");
    const char *refused = g_getenv("FAKE_REFUSE");
    g_autofree char *text = vmp_json_to_text(message);
    g_autoptr(VmpJson) reply =
        vmp_json_build("s:id", vmp_json_get_string(message, "id"), NULL);

    pthread_mutex_lock(&fake.lock);
    fake_see(text);
    if (refused && strstr(text, refused))
        vmp_json_add(
            reply, "o:error",
            vmp_json_build("s:class", "GenericError", "s:desc", g_getenv("FAKE_WORDS"), NULL),
            NULL);
    else
        vmp_json_add(reply, "o:return", fake_execute(command), NULL);
    pthread_mutex_unlock(&fake.lock);

    g_autofree char *line = vmp_json_to_text(reply);
    g_autofree char *sent = g_strconcat(line, "\r\n", NULL);
    fake_send(fd, sent);
    if (strcmp(command, "quit") == 0 && !fake.is_stubborn)
        fake_quit();
}

static inline void
fake_converse(int fd)
{
    json_tokener *tokener = json_tokener_new();
    char buffer[4096];
    gssize got;

    fake_send(fd, FAKE_GREETING);
    while ((got = read(fd, buffer, sizeof buffer)) > 0) {
        for (gssize used = 0; used < got;
             used += (gssize)json_tokener_get_parse_end(tokener)) {
            g_autoptr(VmpJson) message =
                json_tokener_parse_ex(tokener, buffer + used, (int)(got - used));
            if (!message)
                break;
            fake_answer(fd, message);
        }
    }
    json_tokener_free(tokener);
    close(fd);
}

/* A socket that listens is served for ever; one that is connected has its one conversation. */
static inline void *
fake_serve(void *data)
{
    int listening = *(int *)data;
    int accepts = 0;
    socklen_t size = sizeof accepts;

    if (getsockopt(listening, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 && !accepts) {
        fake_converse(listening);
        return NULL;
    }
    for (;;) {
        int fd = accept(listening, NULL, NULL);
        if (fd >= 0)
            fake_converse(fd);
    }
    return NULL;
}

/* "socket,id=charmonitor,fd=7,..." */
static inline gboolean
fake_find_fd(const char *argument, int *fd)
{
    const char *at = strstr(argument, "fd=");

    if (!g_str_has_prefix(argument, "socket,") || !at)
        return FALSE;
    *fd = atoi(at + 3);
    return TRUE;
}

G_NORETURN static inline void
fake_qemu(const char *behaviour, int argc, char **argv)
{
    pthread_t thread;

    if (strcmp(behaviour, "refuse") == 0) {
        fprintf(stderr, "fake: first line\nfake: Failed to get \"write\" lock\n");
        _exit(1);
    }
    /* Whatever becomes of the test, it does not stay for ever. */
    alarm(120);
    fake.is_stubborn = strcmp(behaviour, "stubborn") == 0;
    signal(SIGTERM, fake.is_stubborn ? SIG_IGN : fake_terminate);
    for (int i = 1; i < argc; i++) {
        int fd;
        if (fake_find_fd(argv[i], &fd) && fake.n_fds < G_N_ELEMENTS(fake.fds))
            fake.fds[fake.n_fds++] = fd;
    }
    for (guint i = 0; strcmp(behaviour, "mute") != 0 && i < fake.n_fds; i++)
        pthread_create(&thread, NULL, fake_serve, &fake.fds[i]);
    for (;;)
        pause();
}

/* First thing in main(). */
static inline void
fixture_init(int *argc, char ***argv)
{
    const char *behaviour = g_getenv("FAKE_QEMU");

    if (behaviour)
        fake_qemu(behaviour, *argc, *argv);
    g_test_init(argc, argv, NULL);
}

/* ---- a host ---- */

typedef struct {
    char *dir;
    VmpHost *host;
    VmpOperation *operation;
} Fixture;

static inline void
fixture_set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;

    fixture->dir = g_dir_make_tmp("vmp-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *state = g_build_filename(fixture->dir, "state", NULL);
    g_autofree char *runtime = g_build_filename(fixture->dir, "run", NULL);
    fixture->host = vmp_host_open(state, runtime, &error);
    g_assert_no_error(error);
    fixture->operation = vmp_operation_new();
}

static inline void
fixture_remove(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        fixture_remove(below);
    }
    g_remove(path);
}

static inline void
fixture_tear_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    vmp_host_close(fixture->host);
    vmp_operation_free(fixture->operation);
    fixture_remove(fixture->dir);
    g_free(fixture->dir);
}

#define FIXTURE_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"

/* A domain "vm" of which we are the emulator, with a console at <dir>/console. */
static inline char *
fixture_xml(const Fixture *fixture, const char *behaviour)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    return g_strdup_printf(
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<name>vm</name><uuid>" FIXTURE_UUID "</uuid><memory unit='MiB'>64</memory>"
        "<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>"
        "<devices><emulator>%s</emulator>"
        "<serial type='unix'><source mode='bind' path='%s/console'/></serial></devices>"
        "<qemu:commandline><qemu:env name='FAKE_QEMU' "
        "value='%s'/></qemu:commandline></domain>",
        self, fixture->dir, behaviour);
}

static inline void
fixture_define(const Fixture *fixture, const char *xml)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = vmp_machine_define(fixture->host, xml, -1, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(name, ==, "vm");
}

static inline VmpMachine *
fixture_open(const Fixture *fixture, VmpMachineAccess access)
{
    g_autoptr(GError) error = NULL;
    VmpMachine *machine =
        vmp_machine_open(fixture->host, "vm", access, fixture->operation, &error);

    g_assert_no_error(error);
    return machine;
}

static inline char *
fixture_path(const Fixture *fixture, const char *name)
{
    return g_build_filename(fixture->dir, name, NULL);
}

static inline gboolean
fixture_exists(const Fixture *fixture, const char *name)
{
    g_autofree char *path = fixture_path(fixture, name);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

#define FIXTURE_TEST(path, function) \
    g_test_add(path, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
