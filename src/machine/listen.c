/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define BACKLOG 8

static gboolean
set_address(struct sockaddr_un *address, const char *path, GError **error)
{
    gsize length = strlen(path);

    /* One byte is for the NUL. */
    if (length >= sizeof address->sun_path)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "socket path '%s' is too long: %zu bytes, the system allows %zu "
                        "(VMPOINT_RUNTIME_DIR can name a shorter folder)",
                        path, length, sizeof address->sun_path - 1);

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(address->sun_path, path, length + 1);
    return TRUE;
}

int
vmp_listen_at(const char *path, GError **error)
{
    struct sockaddr_un address;
    if (!set_address(&address, path, error))
        return -1;

    g_auto(VmpFd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The mode goes on before the name does: nobody else can connect, not even for a moment.
     */
    if (fd < 0 || fchmod(fd, 0600) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, BACKLOG) < 0) {
        vmp_fail_errno(error, errno, "cannot listen at '%s'", path);
        return -1;
    }

    int listening = fd;
    fd = -1;
    return listening;
}

static gboolean
may_replace(const char *path, GError **error)
{
    struct stat info;

    if (lstat(path, &info) < 0 || S_ISSOCK(info.st_mode))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_EXISTS,
                    "cannot listen at '%s': there is something that is "
                    "not a socket",
                    path);
}

char *
vmp_listen_aside_name(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);

    return g_strdup_printf("%s/.%06x", dir, g_random_int() & 0xffffff);
}

int
vmp_listen_aside(const char *aside, const char *path, GError **error)
{
    struct sockaddr_un address;

    /* What cannot be published need not be bound. */
    if (!set_address(&address, path, error) || !may_replace(path, error))
        return -1;
    return vmp_listen_at(aside, error);
}

gboolean
vmp_listen_publish(const char *aside, const char *path, GError **error)
{
    if (!may_replace(path, error))
        return FALSE;
    if (rename(aside, path) < 0)
        return vmp_fail_errno(error, errno, "cannot listen at '%s'", path);
    return TRUE;
}

static int
connect_to(const char *path)
{
    struct sockaddr_un address;
    g_auto(VmpFd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || !set_address(&address, path, NULL) ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return -1;

    int connected = fd;
    fd = -1;
    return connected;
}

gboolean
vmp_listener_exists(const char *path)
{
    g_auto(VmpFd) fd = connect_to(path);

    /* A queue that is full has somebody who empties it. */
    return fd >= 0 || errno == EAGAIN;
}
