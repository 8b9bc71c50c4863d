/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/graph-text.h"

#include "cli/output.h"
#include "cli/tree-text.h"
#include "cli/units.h"

/* ---- text ---- */

static void
append_size(GString *label, const VmpGraphImage *image)
{
    g_autofree char *used = vmp_format_bytes(image->actual_size);
    g_autofree char *size = vmp_format_bytes(image->virtual_size);

    if (image->failure)
        g_string_append_printf(label, "  [unreadable: %s]", image->failure);
    else
        g_string_append_printf(label, "  [%s, %s of %s]", image->format, used, size);
}

static void
append_names(GString *label, const char *before, const GPtrArray *names)
{
    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(label, "%s%s", i == 0 ? before : ", ",
                               (const char *)g_ptr_array_index(names, i));
}

/* The external snapshots that have a disk in this image. */
static void
append_snapshots(GString *label, const VmpGraph *graph, const VmpGraphImage *image)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (guint i = 0; i < graph->snapshots->len; i++) {
        const VmpGraphPoint *point = g_ptr_array_index(graph->snapshots, i);

        for (guint k = 0; k < point->places->len; k++) {
            const VmpGraphPlace *place = g_ptr_array_index(point->places, k);
            if (!place->internal && g_str_equal(place->path, image->path)) {
                g_ptr_array_add(names, point->name);
                break;
            }
        }
    }
    append_names(label, "; snapshot ", names);
}

static void
append_bitmaps(GString *label, const VmpGraphImage *image)
{
    for (guint i = 0; i < image->bitmaps->len; i++) {
        const VmpGraphBitmap *bitmap = g_ptr_array_index(image->bitmaps, i);
        g_string_append_printf(label, "%s%s%s%s", i == 0 ? "; bitmap " : ", ", bitmap->name,
                               bitmap->checkpoint ? "" : " (nobody's)",
                               bitmap->inconsistent ? " (inconsistent)" : "");
    }
}

static char *
label_of_image(const VmpGraph *graph, const VmpGraphImage *image)
{
    GString *label = g_string_new(image->path);

    append_size(label, image);
    append_names(label, " <- ", image->disks);
    append_snapshots(label, graph, image);
    append_names(label, "; internal snapshot ", image->internal);
    append_bitmaps(label, image);
    if (image->node)
        g_string_append_printf(label, "; node %s", image->node);
    if (image->shared)
        g_string_append(label, "; another domain's as well");
    return g_string_free(label, FALSE);
}

static void
format_images(const VmpGraph *graph, GString *text)
{
    g_autoptr(VmpTreeText) tree = vmp_tree_text_new();
    g_autoptr(GHashTable) labels =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);

    for (guint i = 0; i < graph->images->len; i++) {
        const VmpGraphImage *image = g_ptr_array_index(graph->images, i);
        char *label = label_of_image(graph, image);

        vmp_tree_text_add(tree, label,
                          image->backing ? g_hash_table_lookup(labels, image->backing) : NULL);
        g_hash_table_insert(labels, image->path, label);
    }
    g_string_append(text, "Images:\n");
    vmp_tree_text_format(tree, NULL, text);
}

static void
format_points(const char *title, const GPtrArray *points, GString *text)
{
    g_autoptr(VmpTreeText) tree = vmp_tree_text_new();

    if (points->len == 0)
        return;
    for (guint i = 0; i < points->len; i++) {
        const VmpGraphPoint *point = g_ptr_array_index(points, i);
        vmp_tree_text_add(tree, point->name, point->parent);
    }
    g_string_append_printf(text, "%s:\n", title);
    vmp_tree_text_format(tree, NULL, text);
}

void
vmp_graph_format_text(const VmpGraph *graph, GString *text)
{
    format_images(graph, text);
    format_points("Snapshots", graph->snapshots, text);
    format_points("Checkpoints", graph->checkpoints, text);
}

/* ---- JSON ---- */

typedef json_object *(*ToJson)(gconstpointer item);

static json_object *
array_to_json(const GPtrArray *items, ToJson to_json)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < items->len; i++)
        json_object_array_add(array, to_json(g_ptr_array_index(items, i)));
    return array;
}

static json_object *
text_to_json(gconstpointer text)
{
    return vmp_json_string(text);
}

static json_object *
bitmap_to_json(gconstpointer item)
{
    const VmpGraphBitmap *bitmap = item;
    json_object *object = json_object_new_object();

    json_object_object_add(object, "name", vmp_json_string(bitmap->name));
    json_object_object_add(object, "checkpoint", vmp_json_string(bitmap->checkpoint));
    json_object_object_add(object, "recording", json_object_new_boolean(bitmap->recording));
    json_object_object_add(object, "inconsistent",
                           json_object_new_boolean(bitmap->inconsistent));
    return object;
}

static json_object *
image_to_json(gconstpointer item)
{
    const VmpGraphImage *image = item;
    json_object *object = json_object_new_object();

    json_object_object_add(object, "path", vmp_json_string(image->path));
    json_object_object_add(object, "format", vmp_json_string(image->format));
    json_object_object_add(object, "failure", vmp_json_string(image->failure));
    json_object_object_add(object, "backing", vmp_json_string(image->backing));
    json_object_object_add(object, "node", vmp_json_string(image->node));
    json_object_object_add(object, "virtual-size",
                           json_object_new_uint64(image->virtual_size));
    json_object_object_add(object, "actual-size", json_object_new_uint64(image->actual_size));
    json_object_object_add(object, "shared", json_object_new_boolean(image->shared));
    json_object_object_add(object, "disks", array_to_json(image->disks, text_to_json));
    json_object_object_add(object, "bitmaps", array_to_json(image->bitmaps, bitmap_to_json));
    json_object_object_add(object, "internal-snapshots",
                           array_to_json(image->internal, text_to_json));
    return object;
}

static json_object *
place_to_json(gconstpointer item)
{
    const VmpGraphPlace *place = item;
    json_object *object = json_object_new_object();

    json_object_object_add(object, "disk", vmp_json_string(place->disk));
    json_object_object_add(object, "path", vmp_json_string(place->path));
    json_object_object_add(object, "internal", json_object_new_boolean(place->internal));
    return object;
}

static json_object *
point_to_json(gconstpointer item)
{
    const VmpGraphPoint *point = item;
    json_object *object = json_object_new_object();

    json_object_object_add(object, "name", vmp_json_string(point->name));
    json_object_object_add(object, "parent", vmp_json_string(point->parent));
    json_object_object_add(object, "current", json_object_new_boolean(point->current));
    if (point->state != VMP_STATE_NOSTATE) {
        json_object_object_add(object, "state", vmp_json_string(vmp_state_name(point->state)));
        json_object_object_add(object, "memory-file", vmp_json_string(point->memory_file));
    }
    json_object_object_add(object, "places", array_to_json(point->places, place_to_json));
    return object;
}

json_object *
vmp_graph_to_json(const VmpGraph *graph)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "domain", vmp_json_string(graph->domain));
    json_object_object_add(object, "active", json_object_new_boolean(graph->active));
    json_object_object_add(object, "images", array_to_json(graph->images, image_to_json));
    json_object_object_add(object, "snapshots",
                           array_to_json(graph->snapshots, point_to_json));
    json_object_object_add(object, "checkpoints",
                           array_to_json(graph->checkpoints, point_to_json));
    return object;
}
