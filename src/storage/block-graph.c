/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/block-graph.h"

#include <string.h>

#include "base/error.h"
#include "base/nbd-uri.h"
#include "qmp/commands.h"

/* QEMU's limit for node names is 31 bytes and a NUL. */
#define MAX_NODE_NAME 31

struct _VmpBlockGraph {
    GPtrArray *nodes;    /* of VmpBlockNode */
    GHashTable *by_name; /* node name -> VmpBlockNode in nodes */
    GPtrArray *devices;  /* of VmpBlockDevice */
};

/* Drivers that only pass on what another node holds. */
static const char *const filter_drivers[] = {
    "blkdebug",          "blklogwrites", "blkreplay",    "blkverify",  "commit_top",
    "copy-before-write", "compress",     "copy-on-read", "mirror_top", "preallocate",
    "snapshot-access",   "throttle",     NULL,
};

/* Drivers whose data is in a local file. */
static const char *const file_drivers[] = { "file", "host_device", "host_cdrom", NULL };

/* The other drivers below which there is no node. */
static const char *const remote_drivers[] = {
    "blkio",    "ftp",   "ftps", "gluster",       "http",     "https",
    "io_uring", "iscsi", "nbd",  "nfs",           "null-aio", "null-co",
    "nvme",     "rbd",   "ssh",  "nvme-io_uring", "vvfat",    NULL,
};

static gboolean
is_filter(const VmpBlockNode *node)
{
    return g_strv_contains(filter_drivers, node->driver);
}

static gboolean
is_protocol(const VmpBlockNode *node)
{
    return g_strv_contains(file_drivers, node->driver) ||
           g_strv_contains(remote_drivers, node->driver);
}

/* ---- from JSON ---- */

static void
bitmap_free(VmpBitmap *bitmap)
{
    g_free(bitmap->name);
    g_free(bitmap);
}

static void
node_free(VmpBlockNode *node)
{
    g_free(node->name);
    g_free(node->driver);
    g_free(node->filename);
    g_free(node->path);
    g_free(node->backing_string);
    g_free(node->backing_format);
    g_free(node->file);
    g_free(node->backing);
    g_ptr_array_unref(node->bitmaps);
    g_ptr_array_unref(node->snapshots);
    g_free(node);
}

static void
device_free(VmpBlockDevice *device)
{
    g_free(device->id);
    g_free(device->qdev);
    g_free(device->node);
    g_free(device->io_status);
    g_free(device);
}

static GPtrArray *
read_bitmaps(VmpJson *array)
{
    GPtrArray *bitmaps = g_ptr_array_new_with_free_func((GDestroyNotify)bitmap_free);

    for (guint i = 0; i < vmp_json_length(array); i++) {
        VmpJson *json = vmp_json_at(array, i);
        const char *name = vmp_json_get_string(json, "name");

        if (!name)
            continue; /* of a running job or a filter: nobody else's business */
        VmpBitmap *bitmap = g_new(VmpBitmap, 1);
        *bitmap = (VmpBitmap){
            .name = g_strdup(name),
            .count = (guint64)vmp_json_get_int(json, "count", 0),
            .granularity = (guint32)vmp_json_get_int(json, "granularity", 0),
            .recording = vmp_json_get_bool(json, "recording", FALSE),
            .persistent = vmp_json_get_bool(json, "persistent", FALSE),
            .inconsistent = vmp_json_get_bool(json, "inconsistent", FALSE),
            .busy = vmp_json_get_bool(json, "busy", FALSE),
        };
        g_ptr_array_add(bitmaps, bitmap);
    }
    return bitmaps;
}

static VmpBlockNode *
read_node(VmpJson *json, GError **error)
{
    const char *name = vmp_json_get_string(json, "node-name");
    const char *driver = vmp_json_get_string(json, "drv");
    VmpJson *image = vmp_json_get_object(json, "image");

    if (!name || !driver || !image)
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "a block node without name, driver or image in QEMU's answer");

    VmpJson *specific =
        vmp_json_get_object(vmp_json_get_object(image, "format-specific"), "data");
    const char *compat = vmp_json_get_string(specific, "compat");
    VmpBlockNode *node = g_new(VmpBlockNode, 1);
    *node = (VmpBlockNode){
        .name = g_strdup(name),
        .driver = g_strdup(driver),
        .filename = g_strdup(vmp_json_get_string(image, "filename")),
        .backing_string = g_strdup(vmp_json_get_string(image, "backing-filename")),
        .backing_format = g_strdup(vmp_json_get_string(image, "backing-filename-format")),
        .size = (guint64)vmp_json_get_int(image, "virtual-size", 0),
        .cluster_size = (guint64)vmp_json_get_int(image, "cluster-size", 0),
        .read_only = vmp_json_get_bool(json, "ro", FALSE),
        .encrypted = vmp_json_get_bool(json, "encrypted", FALSE),
        .extended_l2 = vmp_json_get_bool(specific, "extended-l2", FALSE),
        .direct = vmp_json_get_bool(vmp_json_get_object(json, "cache"), "direct", FALSE),
        .can_persist_bitmaps = g_str_equal(driver, "qcow2") && g_strcmp0(compat, "0.10") != 0,
        .bitmaps = read_bitmaps(vmp_json_get_array(json, "dirty-bitmaps")),
        .snapshots = vmp_internal_snapshots_from_json(vmp_json_get_array(image, "snapshots")),
    };
    return node;
}

static gboolean
read_nodes(VmpBlockGraph *graph, VmpJson *named_nodes, GError **error)
{
    for (guint i = 0; i < vmp_json_length(named_nodes); i++) {
        VmpBlockNode *node = read_node(vmp_json_at(named_nodes, i), error);
        if (!node)
            return FALSE;
        g_ptr_array_add(graph->nodes, node);
        g_hash_table_insert(graph->by_name, node->name, node);
    }
    return TRUE;
}

static VmpBlockNode *
find_node(const VmpBlockGraph *graph, const char *name)
{
    return name ? g_hash_table_lookup(graph->by_name, name) : NULL;
}

static void
read_devices(VmpBlockGraph *graph, VmpJson *devices)
{
    for (guint i = 0; i < vmp_json_length(devices); i++) {
        VmpJson *json = vmp_json_at(devices, i);
        const char *id = vmp_json_get_string(json, "device");
        VmpBlockDevice *device = g_new(VmpBlockDevice, 1);

        *device = (VmpBlockDevice){
            .id = g_strdup(id ? id : ""),
            .qdev = g_strdup(vmp_json_get_string(json, "qdev")),
            .node = g_strdup(
                vmp_json_get_string(vmp_json_get_object(json, "inserted"), "node-name")),
            .removable = vmp_json_get_bool(json, "removable", FALSE),
            .locked = vmp_json_get_bool(json, "locked", FALSE),
            .tray_open = vmp_json_get_bool(json, "tray_open", FALSE),
            .io_status = g_strdup(vmp_json_get_string(json, "io-status")),
        };
        g_ptr_array_add(graph->devices, device);

        VmpBlockNode *node = find_node(graph, device->node);
        if (node)
            node->has_parent = TRUE;
    }
}

/* ---- edges ---- */

static void
add_edge(VmpBlockNode *parent, const char *role, VmpBlockNode *child)
{
    child->has_parent = TRUE;
    if (!parent)
        return;
    if (g_strcmp0(role, "file") == 0 && !parent->file)
        parent->file = g_strdup(child->name);
    else if (g_strcmp0(role, "backing") == 0 && !parent->backing)
        parent->backing = g_strdup(child->name);
}

/* The graph's own numbers to our nodes; devices, exports and jobs have numbers and no node. */
static GHashTable *
map_numbers(const VmpBlockGraph *graph, VmpJson *edges)
{
    GHashTable *nodes = g_hash_table_new(NULL, NULL);
    VmpJson *array = vmp_json_get_array(edges, "nodes");

    for (guint i = 0; i < vmp_json_length(array); i++) {
        VmpJson *json = vmp_json_at(array, i);
        gint64 number = vmp_json_get_int(json, "id", -1);

        if (g_strcmp0(vmp_json_get_string(json, "type"), "block-driver") == 0)
            g_hash_table_insert(nodes, GSIZE_TO_POINTER(number),
                                find_node(graph, vmp_json_get_string(json, "name")));
    }
    return nodes;
}

static void
read_edges(VmpBlockGraph *graph, VmpJson *edges)
{
    g_autoptr(GHashTable) nodes = map_numbers(graph, edges);
    VmpJson *array = vmp_json_get_array(edges, "edges");

    for (guint i = 0; i < vmp_json_length(array); i++) {
        VmpJson *json = vmp_json_at(array, i);
        gint64 parent = vmp_json_get_int(json, "parent", -1);
        gint64 child = vmp_json_get_int(json, "child", -1);
        VmpBlockNode *below = g_hash_table_lookup(nodes, GSIZE_TO_POINTER(child));

        if (below)
            add_edge(g_hash_table_lookup(nodes, GSIZE_TO_POINTER(parent)),
                     vmp_json_get_string(json, "name"), below);
    }
}

/* ---- edges, where QEMU does not tell them ---- */

typedef gboolean (*NodeTest)(const VmpBlockNode *node);

static gboolean
is_image(const VmpBlockNode *node)
{
    return !is_filter(node) && !is_protocol(node);
}

/* A node over the file named @filename; one that nobody has claimed yet, if there are
 * several: an image that two disks share is there twice. */
static VmpBlockNode *
guess_node(const VmpBlockGraph *graph, const char *filename, NodeTest test,
           const VmpBlockNode *except)
{
    VmpBlockNode *claimed = NULL;

    for (guint i = 0; filename && i < graph->nodes->len; i++) {
        VmpBlockNode *node = g_ptr_array_index(graph->nodes, i);

        if (node == except || !test(node) || g_strcmp0(node->filename, filename) != 0)
            continue;
        if (!node->has_parent)
            return node;
        claimed = claimed ? claimed : node;
    }
    return claimed;
}

static void
guess_edges_of(const VmpBlockGraph *graph, VmpBlockNode *node, VmpJson *json)
{
    VmpJson *image = vmp_json_get_object(json, "image");
    const char *backing = vmp_json_get_string(image, "full-backing-filename");
    VmpBlockNode *below = NULL;

    if (!backing)
        backing = vmp_json_get_string(json, "backing_file");

    if (is_filter(node))
        below = guess_node(graph, node->filename, is_image, node);
    else if (!is_protocol(node))
        below = guess_node(graph, node->filename, is_protocol, node);
    if (below)
        add_edge(node, "file", below);

    below = is_image(node) ? guess_node(graph, backing, is_image, node) : NULL;
    if (below)
        add_edge(node, "backing", below);
}

static void
guess_edges(VmpBlockGraph *graph, VmpJson *named_nodes)
{
    for (guint i = 0; i < graph->nodes->len; i++)
        guess_edges_of(graph, g_ptr_array_index(graph->nodes, i), vmp_json_at(named_nodes, i));
}

/* ---- what follows from the edges ---- */

static char *
plain_path(const VmpBlockNode *protocol)
{
    const char *filename = protocol->filename;

    if (g_str_equal(protocol->driver, "nbd"))
        return vmp_nbd_uri_normalize(filename);
    if (!filename || !g_strv_contains(file_drivers, protocol->driver))
        return NULL;
    /* A descriptor that was passed in: only that process knows what it leads to. */
    if (g_str_has_prefix(filename, "json:") || g_str_has_prefix(filename, "/dev/fdset/"))
        return NULL;
    /* So QEMU writes a relative name that has a colon. */
    return g_strdup(g_str_has_prefix(filename, "file:") ? filename + 5 : filename);
}

/* Down the "file" children (of filters over a backing child, that one). */
static const VmpBlockNode *
child_below(const VmpBlockGraph *graph, const VmpBlockNode *node)
{
    return find_node(graph, node->file ? node->file : is_filter(node) ? node->backing : NULL);
}

static void
find_path(const VmpBlockGraph *graph, VmpBlockNode *node)
{
    const VmpBlockNode *bottom = node;
    const VmpBlockNode *below;

    for (guint steps = 0; steps < graph->nodes->len; steps++) {
        below = child_below(graph, bottom);
        if (!below)
            break;
        bottom = below;
    }
    node->path = plain_path(bottom);
    node->direct = bottom->direct;
}

VmpBlockGraph *
vmp_block_graph_new(VmpJson *named_nodes, VmpJson *devices, VmpJson *edges, GError **error)
{
    g_autoptr(VmpBlockGraph) graph = g_new0(VmpBlockGraph, 1);

    graph->nodes = g_ptr_array_new_with_free_func((GDestroyNotify)node_free);
    graph->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    graph->devices = g_ptr_array_new_with_free_func((GDestroyNotify)device_free);

    if (!read_nodes(graph, named_nodes, error))
        return NULL;
    read_devices(graph, devices);
    if (edges)
        read_edges(graph, edges);
    else
        guess_edges(graph, named_nodes);
    for (guint i = 0; i < graph->nodes->len; i++)
        find_path(graph, g_ptr_array_index(graph->nodes, i));
    return g_steal_pointer(&graph);
}

void
vmp_block_graph_free(VmpBlockGraph *graph)
{
    if (!graph)
        return;
    g_hash_table_unref(graph->by_name);
    g_ptr_array_unref(graph->nodes);
    g_ptr_array_unref(graph->devices);
    g_free(graph);
}

static VmpBlockGraph *
read_with(VmpQmpClient *client, gboolean ask_edges, GCancellable *cancellable, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    g_autoptr(GPtrArray) replies = NULL;

    g_ptr_array_add(commands, vmp_qmp_query_named_block_nodes());
    g_ptr_array_add(commands, vmp_qmp_query_block());
    if (ask_edges)
        g_ptr_array_add(commands, vmp_qmp_query_block_graph());
    if (!vmp_qmp_client_execute_all(client, commands, &replies, cancellable, error))
        return NULL;
    return vmp_block_graph_new(replies->pdata[0], replies->pdata[1],
                               ask_edges ? replies->pdata[2] : NULL, error);
}

VmpBlockGraph *
vmp_block_graph_read(VmpQmpClient *client, GCancellable *cancellable, GError **error)
{
    g_autoptr(GError) failure = NULL;
    VmpBlockGraph *graph = read_with(client, TRUE, cancellable, &failure);

    /* The graph query is a debugging aid: a QEMU may do without it. */
    if (vmp_error_is(failure, VMP_ERROR_REFUSED))
        return read_with(client, FALSE, cancellable, error);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return graph;
}

gboolean
vmp_block_node_has_relative_path(const VmpBlockNode *node)
{
    return node->path && !g_path_is_absolute(node->path) && !vmp_nbd_uri_is(node->path);
}

const char *
vmp_block_graph_resolve(VmpBlockGraph *graph, VmpPathResolver resolver, gconstpointer data)
{
    for (guint i = 0; i < graph->nodes->len; i++) {
        VmpBlockNode *node = g_ptr_array_index(graph->nodes, i);

        if (!vmp_block_node_has_relative_path(node))
            continue;
        char *path = resolver(data, node->path);
        if (!path)
            return node->path;
        g_free(node->path);
        node->path = path;
    }
    return NULL;
}

/* ---- questions ---- */

const VmpBlockNode *
vmp_block_graph_node(const VmpBlockGraph *graph, const char *name)
{
    return find_node(graph, name);
}

const GPtrArray *
vmp_block_graph_devices(const VmpBlockGraph *graph)
{
    return graph->devices;
}

const GPtrArray *
vmp_block_graph_nodes(const VmpBlockGraph *graph)
{
    return graph->nodes;
}

/* Symbolic links resolved where the file is there; it need not be (yet, or for us). */
static char *
canonical_path(const char *path)
{
    if (vmp_nbd_uri_is(path))
        return vmp_nbd_uri_normalize(path);
    char *real = realpath(path, NULL);
    char *canonical = real ? g_strdup(real) : g_canonicalize_filename(path, NULL);

    free(real);
    return canonical;
}

/* Higher is better: see the header. */
static int
rank_for_path(const VmpBlockNode *node)
{
    return (is_image(node) ? 4 : 0) + (node->read_only ? 0 : 2) + (node->has_parent ? 1 : 0);
}

const VmpBlockNode *
vmp_block_graph_node_of_path(const VmpBlockGraph *graph, const char *path)
{
    g_autofree char *wanted = canonical_path(path);
    const VmpBlockNode *best = NULL;

    for (guint i = 0; i < graph->nodes->len; i++) {
        const VmpBlockNode *node = g_ptr_array_index(graph->nodes, i);

        if (!node->path || is_filter(node) ||
            (best && rank_for_path(node) <= rank_for_path(best)))
            continue;
        g_autofree char *canonical = canonical_path(node->path);
        if (g_str_equal(canonical, wanted))
            best = node;
    }
    return best;
}

const VmpBlockNode *
vmp_block_graph_active_image(const VmpBlockGraph *graph, const char *top)
{
    const VmpBlockNode *node = find_node(graph, top);

    for (guint steps = 0; node && is_filter(node) && steps < graph->nodes->len; steps++)
        node = child_below(graph, node);
    return node;
}

const VmpBlockNode *
vmp_block_graph_backing(const VmpBlockGraph *graph, const VmpBlockNode *node)
{
    return vmp_block_graph_active_image(graph, node->backing);
}

/* "/machine/peripheral/ID" or "/machine/peripheral/ID/virtio-backend" */
static gboolean
is_path_of_device(const char *qdev, const char *id)
{
    static const char root[] = "/machine/peripheral/";

    if (!g_str_has_prefix(qdev, root))
        return FALSE;
    const char *rest = qdev + strlen(root);
    return g_str_has_prefix(rest, id) && (rest[strlen(id)] == '\0' || rest[strlen(id)] == '/');
}

const VmpBlockDevice *
vmp_block_graph_device(const VmpBlockGraph *graph, const char *id)
{
    for (guint i = 0; i < graph->devices->len; i++) {
        const VmpBlockDevice *device = g_ptr_array_index(graph->devices, i);

        if (device->qdev &&
            (g_str_equal(device->qdev, id) || is_path_of_device(device->qdev, id)))
            return device;
    }
    /* A drive's id comes last: "-drive if=virtio" calls it "virtio0" by itself. */
    for (guint i = 0; i < graph->devices->len; i++) {
        const VmpBlockDevice *device = g_ptr_array_index(graph->devices, i);

        if (*device->id && g_str_equal(device->id, id))
            return device;
    }
    return NULL;
}

const VmpBitmap *
vmp_block_node_bitmap(const VmpBlockNode *node, const char *name)
{
    for (guint i = 0; i < node->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(node->bitmaps, i);
        if (g_str_equal(bitmap->name, name))
            return bitmap;
    }
    return NULL;
}

gboolean
vmp_block_node_check_can_track(const VmpBlockNode *node, GError **error)
{
    const char *image = node->path ? node->path : node->name;

    if (node->read_only)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "image '%s' cannot have bitmaps: it is open read-only", image);
    if (!node->file)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "image '%s' cannot have bitmaps: it is open without a format", image);
    return TRUE;
}

gboolean
vmp_block_node_check_can_persist_bitmap(const VmpBlockNode *node, GError **error)
{
    const char *image = node->path ? node->path : node->name;

    if (!g_str_equal(node->driver, "qcow2"))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "image '%s' cannot keep bitmaps: it is %s, not qcow2", image,
                        node->driver);
    if (!node->can_persist_bitmaps)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "image '%s' cannot keep bitmaps: it is qcow2 of the old compat level "
                        "0.10 ('qemu-img amend -o compat=1.1' brings it up)",
                        image);
    /* QEMU would say yes and lose it at the end. */
    if (node->read_only)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "image '%s' cannot keep bitmaps: it is open read-only", image);
    return TRUE;
}

/* ---- new names ---- */

/* QEMU takes a letter first, then letters, digits and "-._". */
static char *
well_formed(const char *stem)
{
    GString *name = g_string_new(g_ascii_isalpha(*stem) ? NULL : "n");

    for (const char *at = stem; *at; at++)
        g_string_append_c(name, g_ascii_isalnum(*at) || strchr("-._", *at) ? *at : '-');
    return g_string_free(name, FALSE);
}

/* Drives and nodes share one name space. */
static gboolean
is_taken(const VmpBlockGraph *graph, GHashTable *taken, const char *name)
{
    if (find_node(graph, name) || (taken && g_hash_table_contains(taken, name)))
        return TRUE;
    for (guint i = 0; i < graph->devices->len; i++) {
        const VmpBlockDevice *device = g_ptr_array_index(graph->devices, i);
        if (g_str_equal(device->id, name))
            return TRUE;
    }
    return FALSE;
}

char *
vmp_block_graph_new_name(const VmpBlockGraph *graph, const char *stem, GHashTable *taken)
{
    g_autofree char *clean = well_formed(stem);

    for (guint number = 1;; number++) {
        g_autofree char *suffix = g_strdup_printf("-%u", number);
        g_autofree char *name =
            g_strdup_printf("%.*s%s", MAX_NODE_NAME - (int)strlen(suffix), clean, suffix);

        if (is_taken(graph, taken, name))
            continue;
        if (taken)
            g_hash_table_add(taken, g_strdup(name));
        return g_steal_pointer(&name);
    }
}

gboolean
vmp_node_query_written(VmpQmpClient *client, const char *name, guint64 *written,
                       GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_blockstats();
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, command, NULL, error);

    *written = 0;
    for (guint i = 0; i < vmp_json_length(reply); i++) {
        VmpJson *node = vmp_json_at(reply, i);
        if (g_strcmp0(vmp_json_get_string(node, "node-name"), name) != 0)
            continue;
        /* QEMU's word for the child in which a node keeps its data. */
        VmpJson *file = vmp_json_get_object(node, "parent");
        *written = (guint64)vmp_json_get_int(vmp_json_get_object(file, "stats"),
                                             "wr_highest_offset", 0);
    }
    return reply != NULL;
}
