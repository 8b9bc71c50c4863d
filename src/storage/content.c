/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/content.h"

#include <errno.h>
#include <libnbd.h>
#include <string.h>

#include "base/error.h"
#include "storage/image.h"

/* NBD counts a request's bytes with 32 bits; what is asked at once stays well below. */
#define MAX_ZERO (G_GUINT64_CONSTANT(1) << 30)

struct _VmpContent {
    struct nbd_handle *nbd;
    char *path;
    guint64 size;
    gboolean writes;
};

static gboolean
fail(const VmpContent *content, const char *what, GError **error)
{
    int errnum = nbd_get_errno();
    VmpErrorCode code = errnum == ENOMEM ? VMP_ERROR_FAILED : VMP_ERROR_IO;

    return vmp_fail(error, code, "cannot %s '%s': %s", what, content->path, nbd_get_error());
}

static gboolean
connect_server(VmpContent *content, const char *format, GError **error)
{
    g_autofree char *said_format = g_strdup_printf("--format=%s", format);
    char *argv[] = { (char *)"qemu-nbd",
                     said_format,
                     (char *)(content->writes ? "--discard=unmap" : "--read-only"),
                     (char *)"--cache=writeback",
                     content->path,
                     NULL };

    content->nbd = nbd_create();
    if (!content->nbd || nbd_connect_systemd_socket_activation(content->nbd, argv) < 0)
        return fail(content, "open", error);

    gint64 size = nbd_get_size(content->nbd);
    if (size < 0)
        return fail(content, "ask for the size of", error);
    content->size = (guint64)size;
    return TRUE;
}

VmpContent *
vmp_content_open(const char *path, const char *format, VmpContentAccess access, GError **error)
{
    g_autoptr(VmpContent) content = g_new0(VmpContent, 1);

    /* What qemu-nbd finds wrong goes to our own stderr, qemu-img's words into the error. */
    g_autoptr(VmpImage) image = vmp_image_read(path, format, NULL, error);
    if (!image)
        return NULL;

    content->path = g_strdup(path);
    content->writes = access == VMP_CONTENT_WRITE;
    return connect_server(content, format, error) ? g_steal_pointer(&content) : NULL;
}

gboolean
vmp_content_close(VmpContent *content, GError **error)
{
    gboolean done = (!content->writes || nbd_flush(content->nbd, 0) == 0) ||
                    fail(content, "write out", error);

    /* The server goes when its only client does; closing the handle waits for it. */
    if (nbd_shutdown(content->nbd, 0) < 0 && done)
        done = fail(content, "close", error);
    g_clear_pointer(&content->nbd, nbd_close);
    vmp_content_free(content);
    return done;
}

void
vmp_content_free(VmpContent *content)
{
    if (!content)
        return;
    g_clear_pointer(&content->nbd, nbd_close);
    g_free(content->path);
    g_free(content);
}

guint64
vmp_content_get_size(const VmpContent *content)
{
    return content->size;
}

/* ---- bytes ---- */

gboolean
vmp_content_read(VmpContent *content, void *buffer, guint64 offset, gsize length,
                 GError **error)
{
    return nbd_pread(content->nbd, buffer, length, offset, 0) == 0 ||
           fail(content, "read", error);
}

gboolean
vmp_content_write(VmpContent *content, const void *buffer, guint64 offset, gsize length,
                  GError **error)
{
    return nbd_pwrite(content->nbd, buffer, length, offset, 0) == 0 ||
           fail(content, "write", error);
}

gboolean
vmp_content_zero(VmpContent *content, guint64 offset, guint64 length, GError **error)
{
    while (length > 0) {
        guint64 part = MIN(length, MAX_ZERO);
        if (nbd_zero(content->nbd, part, offset, 0) < 0)
            return fail(content, "write", error);
        offset += part;
        length -= part;
    }
    return TRUE;
}
