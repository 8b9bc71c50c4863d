/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/content.h"

#include <errno.h>
#include <libnbd.h>
#include <string.h>

#include "base/error.h"
#include "storage/image.h"

#define CONTEXT_DEPTH "qemu:allocation-depth"

/* Of base:allocation. */
#define STATE_ZERO (1 << 1)

/* NBD counts a request's bytes with 32 bits; what is asked at once stays well below. */
#define MAX_STATUS (G_GUINT64_CONSTANT(1) << 30)
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
                     (char *)(content->writes ? "--cache=writeback" : "--allocation-depth"),
                     content->path,
                     NULL };

    content->nbd = nbd_create();
    if (!content->nbd ||
        nbd_add_meta_context(content->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
        nbd_add_meta_context(content->nbd, CONTEXT_DEPTH) < 0 ||
        nbd_connect_systemd_socket_activation(content->nbd, argv) < 0)
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

/* ---- what an image holds itself ---- */

/* What the server says of the two contexts, each with extents of its own. */
typedef struct {
    GArray *depth, *state; /* of Run */
} Status;

typedef struct {
    guint64 end;
    guint32 value;
} Run;

static int
take_runs(void *data, const char *context, uint64_t offset, uint32_t *entries, size_t length,
          int *error)
{
    Status *status = data;
    GArray *runs = strcmp(context, CONTEXT_DEPTH) == 0 ? status->depth : status->state;

    for (size_t i = 0; i + 1 < length; i += 2) {
        offset += entries[i];
        Run run = { offset, entries[i + 1] };
        g_array_append_val(runs, run);
    }
    return 0;
}

static void
add_extent(GArray *extents, guint64 offset, guint64 end, gboolean zero)
{
    VmpExtent *last =
        extents->len > 0 ? &g_array_index(extents, VmpExtent, extents->len - 1) : NULL;

    if (last && last->offset + last->length == offset && last->zero == zero) {
        last->length += end - offset;
        return;
    }
    VmpExtent extent = { offset, end - offset, zero };
    g_array_append_val(extents, extent);
}

/* The part of which both contexts have spoken, from @offset on; returns its end. */
static guint64
add_own(GArray *extents, const Status *status, guint64 offset)
{
    guint at_depth = 0, at_state = 0;

    while (at_depth < status->depth->len && at_state < status->state->len) {
        const Run *depth = &g_array_index(status->depth, Run, at_depth);
        const Run *state = &g_array_index(status->state, Run, at_state);
        guint64 end = MIN(depth->end, state->end);
        if (depth->value == 1)
            add_extent(extents, offset, end, (state->value & STATE_ZERO) != 0);
        offset = end;
        at_depth += depth->end == end;
        at_state += state->end == end;
    }
    return offset;
}

GArray *
vmp_content_read_own(VmpContent *content, GError **error)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(VmpExtent));
    g_autoptr(GArray) depth = g_array_new(FALSE, FALSE, sizeof(Run));
    g_autoptr(GArray) state = g_array_new(FALSE, FALSE, sizeof(Run));
    Status status = { depth, state };

    for (guint64 offset = 0; offset < content->size;) {
        g_array_set_size(depth, 0);
        g_array_set_size(state, 0);
        nbd_extent_callback callback = { .callback = take_runs, .user_data = &status };
        if (nbd_block_status(content->nbd, MIN(content->size - offset, MAX_STATUS), offset,
                             callback, 0) < 0) {
            fail(content, "ask for the extents of", error);
            return NULL;
        }
        guint64 end = add_own(extents, &status, offset);
        if (end <= offset)
            return vmp_fail_null(error, VMP_ERROR_IO,
                                 "cannot ask for the extents of '%s': there is no answer",
                                 content->path);
        offset = end;
    }
    return g_steal_pointer(&extents);
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
