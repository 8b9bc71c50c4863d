/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "qmp/outbox.h"

typedef struct {
    VmpQmpOutbox *outbox;
    int ours, theirs;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    int pair[2];

    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    fixture->ours = pair[0];
    fixture->theirs = pair[1];
    fixture->outbox = vmp_qmp_outbox_new();
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    vmp_qmp_outbox_free(fixture->outbox);
    close(fixture->ours);
    if (fixture->theirs >= 0)
        close(fixture->theirs);
}

static void
add(Fixture *fixture, const char *text, int fd)
{
    g_autoptr(GError) error = NULL;

    vmp_qmp_outbox_add(fixture->outbox, text, strlen(text), fd, &error);
    g_assert_no_error(error);
}

static void
flush(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    vmp_qmp_outbox_flush(fixture->outbox, fixture->ours, &error);
    g_assert_no_error(error);
}

/* Receives up to @size bytes, and a descriptor if one comes along (else *fd is -1). */
static gsize
receive(Fixture *fixture, char *bytes, gsize size, int *fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec part = { bytes, size };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    const gssize got = recvmsg(fixture->theirs, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    g_assert_cmpint(got, >, 0);

    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *fd = -1;
    if (header) {
        g_assert_cmpuint(header->cmsg_len, ==, CMSG_LEN(sizeof(int)));
        memcpy(fd, CMSG_DATA(header), sizeof(int));
    }
    return (gsize)got;
}

static void
test_order(Fixture *fixture, gconstpointer data)
{
    char bytes[64] = "";
    int fd;

    add(fixture, "one ", -1);
    add(fixture, "two ", -1);
    add(fixture, "three", -1);
    g_assert_false(vmp_qmp_outbox_is_empty(fixture->outbox));
    flush(fixture);
    g_assert_true(vmp_qmp_outbox_is_empty(fixture->outbox));

    g_assert_cmpuint(receive(fixture, bytes, sizeof(bytes), &fd), ==, strlen("one two three"));
    g_assert_cmpstr(bytes, ==, "one two three");
}

static void
test_partial_writes(Fixture *fixture, gconstpointer data)
{
    const gsize size = 4 * 1024 * 1024;
    g_autofree char *text = g_malloc(size + 1);
    g_autofree char *seen = g_malloc(size);
    gsize got = 0;
    guint rounds = 0;
    int fd;

    for (gsize i = 0; i < size; i++)
        text[i] = (char)('a' + i % 23);
    text[size] = '\0';
    add(fixture, text, -1);

    while (got < size) {
        flush(fixture);
        got += receive(fixture, seen + got, size - got, &fd);
        rounds++;
    }
    g_assert_cmpuint(rounds, >, 1);
    g_assert_cmpmem(seen, got, text, size);
    g_assert_true(vmp_qmp_outbox_is_empty(fixture->outbox));
}

static void
test_fd_with_its_text(Fixture *fixture, gconstpointer data)
{
    char bytes[64];
    int pipes[2][2];
    int fd;

    g_assert_no_errno(pipe2(pipes[0], O_CLOEXEC));
    g_assert_no_errno(pipe2(pipes[1], O_CLOEXEC));
    add(fixture, "none", -1);
    add(fixture, "first", pipes[0][1]);
    add(fixture, "second", pipes[1][1]);
    flush(fixture);

    /* Linux ends a read where descriptors end. */
    g_assert_cmpuint(receive(fixture, bytes, strlen("none"), &fd), ==, strlen("none"));
    g_assert_cmpint(fd, ==, -1);
    for (guint i = 0; i < 2; i++) {
        const char *text = i == 0 ? "first" : "second";
        char byte = 0;

        g_assert_cmpuint(receive(fixture, bytes, sizeof(bytes), &fd), ==, strlen(text));
        g_assert_cmpmem(bytes, strlen(text), text, strlen(text));
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, "x", 1), ==, 1);
        g_assert_cmpint(read(pipes[i][0], &byte, 1), ==, 1);
        close(fd);
    }
    for (guint i = 0; i < 2; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

static void
test_fd_stays_the_callers(Fixture *fixture, gconstpointer data)
{
    char byte;
    int ends[2];

    g_assert_no_errno(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    add(fixture, "text", ends[1]);
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);

    /* Not sent: the copy goes with the outbox, and then nobody can write any more. */
    close(ends[1]);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, -1);
    vmp_qmp_outbox_clear(fixture->outbox);
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 0);
    close(ends[0]);
}

static void
test_bad_fd(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(vmp_qmp_outbox_add(fixture->outbox, "x", 1, 999999, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    g_assert_true(vmp_qmp_outbox_is_empty(fixture->outbox));
}

static void
test_reader_gone(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    close(fixture->theirs);
    fixture->theirs = -1;
    add(fixture, "hello", -1);
    g_assert_false(vmp_qmp_outbox_flush(fixture->outbox, fixture->ours, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
}

#define TEST(name, func) \
    g_test_add("/qmp/outbox/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("texts-leave-in-order", test_order);
    TEST("a-full-socket-takes-the-rest-later", test_partial_writes);
    TEST("a-descriptor-travels-with-its-own-text", test_fd_with_its_text);
    TEST("a-descriptor-stays-the-callers", test_fd_stays_the_callers);
    TEST("what-is-no-descriptor-is-not-sent", test_bad_fd);
    TEST("a-reader-that-is-gone-is-disconnected", test_reader_gone);
    return g_test_run();
}
