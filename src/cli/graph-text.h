/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A VmpGraph as people and programs read it. */

#include <json-c/json.h>
#include <vmpoint/graph.h>

/* Images as trees, each below the one that it stands on, then snapshots and checkpoints.
 * Appended to @text. */
void vmp_graph_format_text(const VmpGraph *graph, GString *text);
json_object *vmp_graph_to_json(const VmpGraph *graph);

/* In Graphviz's language: disks, images, RAM files and points are nodes, each with a class
 * for style sheets.  Appended to @text. */
void vmp_graph_format_dot(const VmpGraph *graph, GString *text);
