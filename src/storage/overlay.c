/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/overlay.h"

#include "base/error.h"
#include "base/nbd-uri.h"
#include "qmp/commands.h"
#include "storage/block-graph.h"
#include "storage/overlay-private.h"

/* Long enough for a server that was there just now, short enough for a guest. */
#define CONNECT_TIMEOUT_S 3

/* ---- the value ---- */

void
vmp_new_image_free(VmpNewImage *image)
{
    if (!image)
        return;
    g_free(image->path);
    g_free(image->format);
    g_free(image->backing_path);
    g_free(image->backing_format);
    g_free(image->node);
    g_free(image->model);
    g_free(image->aio);
    g_free(image->detect_zeroes);
    g_free(image->tls_dir);
    g_free(image);
}

void
vmp_new_image_give_mark(VmpNewImage *image)
{
    while (!image->mark)
        image->mark = (guint64)g_random_int() << 32 | g_random_int();
}

VmpJson *
vmp_new_image_to_json(VmpNewImage *image)
{
    vmp_new_image_give_mark(image);
    /* JSON numbers are signed where they are read. */
    g_autofree char *mark = g_strdup_printf("%016" G_GINT64_MODIFIER "x", image->mark);

    return vmp_json_build(
        "s:path", image->path, "S:format", image->format, "i:size", (gint64)image->size,
        "S:backing-path", image->backing_path, "S:backing-format", image->backing_format,
        "I:cluster-size", (gint64)image->cluster_size, "B:extended-l2", image->extended_l2,
        "B:relative", image->relative, "S:node", image->node, "S:model", image->model,
        "B:reuse", image->reuse, "B:direct", image->direct, "B:no-flush", image->no_flush,
        "B:unmap", image->unmap, "S:aio", image->aio, "S:detect-zeroes", image->detect_zeroes,
        "B:block-device", image->block_device, "B:network", image->network, "S:tls-dir",
        image->tls_dir, "s:mark", mark, NULL);
}

static char *
dup_member(VmpJson *json, const char *key)
{
    return g_strdup(vmp_json_get_string(json, key));
}

VmpNewImage *
vmp_new_image_from_json(VmpJson *json, GError **error)
{
    const char *mark = vmp_json_get_string(json, "mark");

    if (!vmp_json_get_string(json, "path") || !mark)
        return vmp_fail_null(error, VMP_ERROR_INVALID, "a new image without path or mark");

    VmpNewImage *image = g_new(VmpNewImage, 1);
    *image = (VmpNewImage){
        .path = dup_member(json, "path"),
        .format = dup_member(json, "format"),
        .size = (guint64)vmp_json_get_int(json, "size", 0),
        .backing_path = dup_member(json, "backing-path"),
        .backing_format = dup_member(json, "backing-format"),
        .relative = vmp_json_get_bool(json, "relative", FALSE),
        .cluster_size = (guint64)vmp_json_get_int(json, "cluster-size", 0),
        .extended_l2 = vmp_json_get_bool(json, "extended-l2", FALSE),
        .node = dup_member(json, "node"),
        .model = dup_member(json, "model"),
        .reuse = vmp_json_get_bool(json, "reuse", FALSE),
        .direct = vmp_json_get_bool(json, "direct", FALSE),
        .no_flush = vmp_json_get_bool(json, "no-flush", FALSE),
        .unmap = vmp_json_get_bool(json, "unmap", FALSE),
        .aio = dup_member(json, "aio"),
        .detect_zeroes = dup_member(json, "detect-zeroes"),
        .block_device = vmp_json_get_bool(json, "block-device", FALSE),
        .network = vmp_json_get_bool(json, "network", FALSE),
        .tls_dir = dup_member(json, "tls-dir"),
        .mark = g_ascii_strtoull(mark, NULL, 16),
    };
    return image;
}

GPtrArray *
vmp_new_images_from_json(VmpJson *list, GError **error)
{
    g_autoptr(GPtrArray) images =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_new_image_free);

    for (guint i = 0; i < vmp_json_length(list); i++) {
        VmpNewImage *image = vmp_new_image_from_json(vmp_json_at(list, i), error);
        if (!image)
            return NULL;
        g_ptr_array_add(images, image);
    }
    return g_steal_pointer(&images);
}

const char *
vmp_new_image_get_format(const VmpNewImage *image)
{
    return image->format ? image->format : "qcow2";
}

gboolean
vmp_new_image_is_raw(const VmpNewImage *image)
{
    return g_str_equal(vmp_new_image_get_format(image), "raw");
}

/* ---- in QEMU ---- */

/* The cache options of a node; NULL if they are QEMU's defaults. */
static VmpJson *
cache_options(const VmpNewImage *image)
{
    if (!image->direct && !image->no_flush)
        return NULL;
    return vmp_json_build("B:direct", image->direct, "B:no-flush", image->no_flush, NULL);
}

/* Of its credentials, which QEMU's node keeps when the object has gone. */
static char *
tls_id(const VmpNewImage *image)
{
    return image->tls_dir ? g_strconcat(image->node, "-tls", NULL) : NULL;
}

static VmpJson *
network_options(const VmpNewImage *image)
{
    g_autoptr(VmpNbdUri) uri = vmp_nbd_uri_parse(image->path, NULL);
    g_autofree char *tls = tls_id(image);

    /* Whoever made the image has read it before. */
    g_assert(uri);
    return vmp_qmp_options_nbd(uri, tls, CONNECT_TIMEOUT_S);
}

static VmpJson *
storage_options(const VmpNewImage *image)
{
    VmpJson *options = image->network ? network_options(image)
                                      : vmp_qmp_options_storage(NULL, image->path,
                                                                image->block_device, FALSE);

    vmp_json_add(options, "O:cache", cache_options(image), "S:aio", image->aio, "S:discard",
                 image->unmap ? "unmap" : NULL, NULL);
    return options;
}

/* Format and file in one command: QEMU reads its monitor byte by byte. */
static VmpQmpCommand *
add_node(const VmpNewImage *image)
{
    VmpJson *options = vmp_qmp_options_whole(image->node, vmp_new_image_get_format(image),
                                             storage_options(image),
                                             vmp_new_image_is_raw(image) ? NULL : "", FALSE);

    /* An export may be larger than what is put there. */
    if (image->network && vmp_new_image_is_raw(image))
        vmp_json_add(options, "i:size", (gint64)image->size, NULL);

    /* The format node tells what it is (query-block), and hands it on to what it opens. */
    vmp_json_add(options, "O:cache", cache_options(image), "S:discard",
                 image->unmap ? "unmap" : NULL, "S:detect-zeroes", image->detect_zeroes, NULL);
    return vmp_qmp_blockdev_add(options);
}

static void
add_commands(const VmpNewImage *image, GPtrArray *commands)
{
    g_autofree char *tls = tls_id(image);

    if (tls)
        g_ptr_array_add(commands, vmp_qmp_tls_client_add(tls, image->tls_dir));
    g_ptr_array_add(commands, add_node(image));
    if (tls)
        g_ptr_array_add(commands, vmp_qmp_object_del(tls));
}

GPtrArray *
vmp_new_images_commands(GPtrArray *images)
{
    GPtrArray *commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);

    for (guint i = 0; i < images->len; i++)
        add_commands(g_ptr_array_index(images, i), commands);
    return commands;
}

/* That an export is spoken to with TLS the graph does not say. */
static gboolean
is_node_of(const VmpBlockNode *node, const VmpNewImage *image)
{
    if (image->tls_dir)
        return !node->path || vmp_nbd_uri_is(node->path);
    if (image->network) {
        g_autofree char *place = vmp_nbd_uri_normalize(image->path);
        return g_strcmp0(node->path, place) == 0;
    }
    return g_strcmp0(node->path, image->path) == 0;
}

static GPtrArray *
commands_to_close(const VmpBlockGraph *graph, GPtrArray *images)
{
    GPtrArray *commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);

    for (guint i = 0; i < images->len; i++) {
        const VmpNewImage *image = g_ptr_array_index(images, i);
        const VmpBlockNode *node = vmp_block_graph_node(graph, image->node);

        if (node && is_node_of(node, image))
            g_ptr_array_add(commands, vmp_qmp_blockdev_del(image->node));
    }
    return commands;
}

/* What opening leaves only when it is cut. */
static gboolean
clear_credentials(VmpQmpClient *client, GPtrArray *images, GError **error)
{
    for (guint i = 0; i < images->len; i++) {
        g_autofree char *tls = tls_id(g_ptr_array_index(images, i));
        if (tls && !vmp_qmp_client_execute_removal(client, vmp_qmp_object_del(tls), error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vmp_new_images_close(VmpQmpClient *client, GPtrArray *images, GCancellable *cancellable,
                     GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot close images");

    if (images->len == 0)
        return TRUE;
    if (!clear_credentials(client, images, error))
        return FALSE;
    g_autoptr(VmpBlockGraph) graph = vmp_block_graph_read(client, cancellable, error);
    if (!graph)
        return FALSE;
    g_autoptr(GPtrArray) commands = commands_to_close(graph, images);
    return commands->len == 0 ||
           vmp_qmp_client_execute_all(client, commands, NULL, cancellable, error);
}

gboolean
vmp_new_images_open(VmpQmpClient *client, GPtrArray *images, GCancellable *cancellable,
                    GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot open images");

    g_autoptr(GPtrArray) commands = vmp_new_images_commands(images);
    if (vmp_qmp_client_execute_all(client, commands, NULL, cancellable, error))
        return TRUE;
    /* The first failure is the one to report.  If QEMU does not answer this either, it is gone
     * and its nodes with it, or the next recovery closes them. */
    vmp_new_images_close(client, images, NULL, NULL);
    return FALSE;
}

gboolean
vmp_new_images_create_and_open(VmpQmpClient *client, GPtrArray *images,
                               GCancellable *cancellable, GError **error)
{
    if (!vmp_new_images_create(images, cancellable, error))
        return FALSE;
    if (vmp_new_images_open(client, images, cancellable, error))
        return TRUE;
    /* No guest has seen them: nothing can be in them, even if QEMU still has them open. */
    vmp_new_images_remove(images, NULL);
    return FALSE;
}
