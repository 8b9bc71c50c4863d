/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Graphviz's language: https://graphviz.org/doc/info/lang.html. */

#include "cli/graph-text.h"

#include <string.h>

#include "cli/table.h"
#include "cli/units.h"

/* A quoted string: kind and name are one identity, so that a disk called as a snapshot is
 * another node. */
static void
append_quoted(GString *text, const char *kind, const char *name)
{
    g_autofree char *safe = vmp_text_make_safe(name);

    g_string_append_printf(text, "\"%s", kind);
    for (const char *at = safe; *at; at++) {
        if (*at == '"' || *at == '\\')
            g_string_append_c(text, '\\');
        g_string_append_c(text, *at);
    }
    g_string_append_c(text, '"');
}

static void
append_node(GString *text, const char *kind, const char *name, const char *label,
            const char *shape)
{
    g_string_append(text, "  ");
    append_quoted(text, kind, name);
    g_string_append(text, " [label=");
    append_quoted(text, "", label);
    g_string_append_printf(text, ", shape=%s, class=\"%.*s\"];\n", shape,
                           (int)strcspn(kind, ":"), kind);
}

static void
append_edge(GString *text, const char *from_kind, const char *from, const char *to_kind,
            const char *to, const char *label, const char *style)
{
    g_string_append(text, "  ");
    append_quoted(text, from_kind, from);
    g_string_append(text, " -> ");
    append_quoted(text, to_kind, to);
    g_string_append(text, " [label=");
    append_quoted(text, "", label);
    g_string_append_printf(text, ", style=%s];\n", style);
}

static void
append_image(GString *text, const VmpGraphImage *image)
{
    g_autofree char *used = vmp_format_bytes(image->actual_size);
    g_autofree char *size = vmp_format_bytes(image->virtual_size);
    g_autofree char *label =
        image->failure
            ? g_strdup_printf("%s (unreadable)", image->path)
            : g_strdup_printf("%s (%s, %s of %s%s%s)", image->path, image->format, used, size,
                              image->node ? ", node " : "", image->node ? image->node : "");

    append_node(text, "image:", image->path, label, "box");
    if (image->backing)
        append_edge(text, "image:", image->path, "image:", image->backing, "stands on",
                    "solid");
    for (guint i = 0; i < image->disks->len; i++) {
        const char *disk = g_ptr_array_index(image->disks, i);
        append_node(text, "disk:", disk, disk, "cylinder");
        append_edge(text, "disk:", disk, "image:", image->path, "writes to", "bold");
    }
}

static void
append_point(GString *text, const char *kind, const char *shape, const VmpGraphPoint *point)
{
    g_autofree char *label =
        g_strdup_printf("%s%s", point->name, point->current ? " (current)" : "");

    append_node(text, kind, point->name, label, shape);
    if (point->parent)
        append_edge(text, kind, point->name, kind, point->parent, "after", "dotted");
    for (guint i = 0; i < point->places->len; i++) {
        const VmpGraphPlace *place = g_ptr_array_index(point->places, i);
        g_autofree char *part =
            g_strdup_printf("%s%s", place->disk, place->internal ? " (inside)" : "");
        append_edge(text, kind, point->name, "image:", place->path, part, "dashed");
    }
    if (point->memory_file) {
        append_node(text, "memory:", point->memory_file, point->memory_file, "folder");
        append_edge(text, kind, point->name, "memory:", point->memory_file, "RAM", "dashed");
    }
}

void
vmp_graph_format_dot(const VmpGraph *graph, GString *text)
{
    g_string_append(text, "digraph ");
    append_quoted(text, "", graph->domain);
    g_string_append(text, " {\n  rankdir=BT;\n  node [fontname=\"sans-serif\"];\n"
                          "  edge [fontname=\"sans-serif\", fontsize=10];\n");
    for (guint i = 0; i < graph->images->len; i++)
        append_image(text, g_ptr_array_index(graph->images, i));
    for (guint i = 0; i < graph->snapshots->len; i++)
        append_point(text, "snapshot:", "note", g_ptr_array_index(graph->snapshots, i));
    for (guint i = 0; i < graph->checkpoints->len; i++)
        append_point(text, "checkpoint:", "cds", g_ptr_array_index(graph->checkpoints, i));
    g_string_append(text, "}\n");
}
