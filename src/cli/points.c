/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/points.h"

#include "cli/session.h"
#include "cli/tree-text.h"
#include "cli/units.h"

static void
row_clear(gpointer data)
{
    VmpPointRow *row = data;

    json_object_put(row->json);
}

GArray *
vmp_point_rows_new(void)
{
    GArray *rows = g_array_new(FALSE, TRUE, sizeof(VmpPointRow));

    g_array_set_clear_func(rows, row_clear);
    return rows;
}

static const VmpPointRow *
row_at(const GArray *rows, guint i)
{
    return &g_array_index(rows, VmpPointRow, i);
}

static int
compare_rows(gconstpointer a, gconstpointer b)
{
    const VmpPointRow *one = a, *other = b;

    return vmp_compare_names(one->name, other->name);
}

static void
take_json(VmpOutput *output, const GArray *rows)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < rows->len; i++)
        json_object_array_add(array, json_object_get(row_at(rows, i)->json));
    vmp_output_take_json(output, array);
}

static void
print_tree(VmpOutput *output, const GArray *rows, const char *from)
{
    g_autoptr(VmpTreeText) tree = vmp_tree_text_new();
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < rows->len; i++)
        vmp_tree_text_add(tree, row_at(rows, i)->name, row_at(rows, i)->parent);
    vmp_tree_text_format(tree, from, text);
    vmp_output_print(output, "%s", text->str);
}

static void
print_names(VmpOutput *output, const GArray *rows)
{
    for (guint i = 0; i < rows->len; i++)
        vmp_output_print(output, "%s\n", row_at(rows, i)->name);
}

static void
print_table(VmpOutput *output, const GArray *rows, gboolean states, gboolean parents)
{
    g_autoptr(VmpTable) table = vmp_table_new("Name", "Creation Time", NULL);

    if (states)
        vmp_table_add_column(table, "State");
    if (parents)
        vmp_table_add_column(table, "Parent");
    for (guint i = 0; i < rows->len; i++) {
        const VmpPointRow *row = row_at(rows, i);
        g_autofree char *created = vmp_format_time(row->creation_time);

        vmp_table_add_row(table, row->name, created, NULL);
        if (states)
            vmp_table_append_cell(table, row->state);
        if (parents)
            vmp_table_append_cell(table, row->parent ? row->parent : "");
    }
    vmp_output_print_table(output, table);
}

void
vmp_point_rows_print(GArray *rows, VmpSession *session, const VmpArguments *arguments,
                     gboolean states, const char *from)
{
    VmpOutput *output = vmp_session_get_output(session);

    if (!vmp_arguments_has(arguments, "topological"))
        g_array_sort(rows, compare_rows);
    if (vmp_session_wants_json(session))
        take_json(output, rows);
    else if (vmp_arguments_has(arguments, "tree"))
        print_tree(output, rows, from);
    else if (vmp_arguments_has(arguments, "name"))
        print_names(output, rows);
    else
        print_table(output, rows, states, vmp_arguments_has(arguments, "parent"));
}
