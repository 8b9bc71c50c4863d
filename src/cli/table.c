/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/table.h"

#include <stdarg.h>
#include <string.h>

/* Between two columns. */
#define GAP 3

struct _VmpTable {
    GPtrArray *rows; /* of GPtrArray of char *, the header first */
};

guint
vmp_text_width(const char *text)
{
    guint width = 0;

    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (g_unichar_iswide(c))
            width += 2;
        else if (!g_unichar_iszerowidth(c))
            width++;
    }
    return width;
}

static gboolean
is_printable(gunichar c)
{
    /* The two line separators and the bidirectional controls are no control characters
     * to Unicode, but a terminal follows them. */
    return !g_unichar_iscntrl(c) && c != 0x2028 && c != 0x2029 &&
           !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

char *
vmp_text_make_safe(const char *text)
{
    g_autoptr(GString) safe = g_string_new(NULL);

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        gboolean valid = c != (gunichar)-1 && c != (gunichar)-2;
        gsize length = valid ? (gsize)(g_utf8_next_char(text) - text) : 1;

        if (valid && is_printable(c))
            g_string_append_len(safe, text, (gssize)length);
        else
            for (gsize i = 0; i < length; i++)
                g_string_append_printf(safe, "\\x%02x", (guchar)text[i]);
        text += length;
    }
    return g_string_free(g_steal_pointer(&safe), FALSE);
}

static GPtrArray *
row_new(const char *first, va_list rest)
{
    GPtrArray *row = g_ptr_array_new_with_free_func(g_free);

    for (const char *cell = first; cell; cell = va_arg(rest, const char *))
        g_ptr_array_add(row, vmp_text_make_safe(cell));
    return row;
}

VmpTable *
vmp_table_new(const char *title, ...)
{
    VmpTable *table = g_new0(VmpTable, 1);
    va_list rest;

    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    va_start(rest, title);
    g_ptr_array_add(table->rows, row_new(title, rest));
    va_end(rest);
    return table;
}

void
vmp_table_free(VmpTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->rows);
    g_free(table);
}

static const GPtrArray *
row_at(const VmpTable *table, guint i)
{
    return g_ptr_array_index(table->rows, i);
}

void
vmp_table_add_column(VmpTable *table, const char *title)
{
    g_ptr_array_add(g_ptr_array_index(table->rows, 0), vmp_text_make_safe(title));
}

void
vmp_table_add_row(VmpTable *table, const char *cell, ...)
{
    va_list rest;

    va_start(rest, cell);
    g_ptr_array_add(table->rows, row_new(cell, rest));
    va_end(rest);
}

void
vmp_table_append_cell(VmpTable *table, const char *cell)
{
    g_ptr_array_add(g_ptr_array_index(table->rows, table->rows->len - 1),
                    vmp_text_make_safe(cell));
}

static guint
column_width(const VmpTable *table, guint column, guint first_row)
{
    guint width = 0;

    for (guint i = first_row; i < table->rows->len; i++)
        width = MAX(width, vmp_text_width(g_ptr_array_index(row_at(table, i), column)));
    return width;
}

static void
append_fill(GString *text, char c, guint count)
{
    for (guint i = 0; i < count; i++)
        g_string_append_c(text, c);
}

static void
format_row(const GPtrArray *row, const guint *widths, GString *text)
{
    for (guint column = 0; column < row->len; column++) {
        const char *cell = g_ptr_array_index(row, column);

        g_string_append_printf(text, " %s", cell);
        if (column + 1 < row->len)
            append_fill(text, ' ', widths[column] - vmp_text_width(cell) + GAP - 1);
    }
    g_string_append_c(text, '\n');
}

void
vmp_table_format(const VmpTable *table, gboolean header, GString *text)
{
    guint first_row = header ? 0 : 1;
    guint columns = row_at(table, 0)->len;
    g_autofree guint *widths = g_new(guint, columns);
    guint total = 0;

    for (guint column = 0; column < columns; column++) {
        widths[column] = column_width(table, column, first_row);
        total += widths[column] + GAP;
    }
    for (guint i = first_row; i < table->rows->len; i++) {
        format_row(row_at(table, i), widths, text);
        if (i == 0) {
            append_fill(text, '-', total);
            g_string_append_c(text, '\n');
        }
    }
}
