/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A table as virsh prints it: columns as wide as their widest cell, measured in the
 * columns of a terminal, a rule under the header.  Cells are made safe first: control
 * characters and what is not UTF-8 become \xNN, so that a name cannot move the cursor. */

#include <glib.h>

typedef struct _VmpTable VmpTable;

/* Column titles, then NULL. */
VmpTable *vmp_table_new(const char *title, ...) G_GNUC_NULL_TERMINATED;
void vmp_table_free(VmpTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpTable, vmp_table_free)

/* Not every column is there on every day; before the first row. */
void vmp_table_add_column(VmpTable *table, const char *title);
/* As many cells as there are columns, then NULL. */
void vmp_table_add_row(VmpTable *table, const char *cell, ...) G_GNUC_NULL_TERMINATED;
/* Another cell of the last row, for a column that was added. */
void vmp_table_append_cell(VmpTable *table, const char *cell);

/* Appends the table to @text; without @header only the rows. */
void vmp_table_format(const VmpTable *table, gboolean header, GString *text);

/* How many columns of a terminal @text takes. */
guint vmp_text_width(const char *text);
/* @text without anything that a terminal would act upon; free with g_free(). */
char *vmp_text_make_safe(const char *text);
