/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "point/bulk-delta.h"
#include "point/bulk.h"
#include "xml/markup.h"

#define PORTION ((gsize)256 * 1024)

const char *
vmp_bulk_root_name(VmpPointKind kind)
{
    return kind == VMP_POINT_SNAPSHOT ? "domainsnapshots" : "domaincheckpoints";
}

const char *
vmp_bulk_point_name(VmpPointKind kind)
{
    return kind == VMP_POINT_SNAPSHOT ? "domainsnapshot" : "domaincheckpoint";
}

typedef struct {
    VmpMachine *machine;
    VmpStore *store;
    VmpPointKind kind;
    gboolean secure;
    VmpWriteFunc write;
    gpointer data;
    GString *pending;    /* not yet written */
    GHashTable *numbers; /* id of a definition -> number + 1 */
    VmpBulkDelta *delta;
    gboolean masked; /* it was said that something is left out */
} Writer;

static void
writer_clear(Writer *writer)
{
    g_string_free(writer->pending, TRUE);
    g_hash_table_unref(writer->numbers);
    vmp_bulk_delta_free(writer->delta);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Writer, writer_clear)

static gboolean
flush(Writer *writer, gsize least, GError **error)
{
    if (writer->pending->len <= least)
        return TRUE;
    gboolean written =
        writer->write(writer->data, writer->pending->str, writer->pending->len, error);
    g_string_truncate(writer->pending, 0);
    return written;
}

static void
append_attribute(GString *text, const char *name, const char *value)
{
    g_autofree char *escaped = value ? vmp_markup_escape_attribute(value) : NULL;

    if (escaped)
        g_string_append_printf(text, " %s='%s'", name, escaped);
}

static const VmpStorePoint *
find_current(const GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        if (row->current)
            return row;
    }
    return NULL;
}

static void
open_root(Writer *writer, const GPtrArray *rows)
{
    const VmpStorePoint *current = find_current(rows);

    g_string_append_printf(writer->pending, "<%s", vmp_bulk_root_name(writer->kind));
    append_attribute(writer->pending, "domain", vmp_machine_get_name(writer->machine));
    append_attribute(writer->pending, "uuid", vmp_machine_get_uuid(writer->machine));
    append_attribute(writer->pending, "current", current ? current->name : NULL);
    g_string_append(writer->pending, ">\n");
}

/* Once, and before whatever lacks something: who takes the document back must not find out
 * too late. */
static void
tell_masked(Writer *writer)
{
    if (!writer->masked)
        g_string_append(writer->pending, "<masked/>\n");
    writer->masked = TRUE;
}

static gboolean
write_definition(Writer *writer, gint64 id, GError **error)
{
    guint number = g_hash_table_size(writer->numbers) + 1;
    VmpBulkPart part;

    if (id == 0 || g_hash_table_contains(writer->numbers, &id))
        return TRUE;
    if (!vmp_bulk_delta_next(writer->delta, id, number, &part, error))
        return FALSE;
    g_hash_table_insert(writer->numbers, g_memdup2(&id, sizeof id), GUINT_TO_POINTER(number));

    g_autofree char *text = vmp_markup_escape_text(part.middle);
    if (part.masked)
        tell_masked(writer);
    g_string_append_printf(writer->pending, "<definition id='%u'", number);
    if (part.like)
        g_string_append_printf(writer->pending,
                               " like='%" G_GUINT64_FORMAT "' first='%" G_GSIZE_FORMAT
                               "' last='%" G_GSIZE_FORMAT "'",
                               part.like, part.first, part.last);
    g_string_append_c(writer->pending, '>');
    g_string_append(writer->pending, text);
    g_string_append(writer->pending, "</definition>\n");
    return TRUE;
}

static char *
reference(Writer *writer, const char *name, gint64 id)
{
    return id == 0
               ? NULL
               : g_strdup_printf("<%s ref='%u'/>", name,
                                 GPOINTER_TO_UINT(g_hash_table_lookup(writer->numbers, &id)));
}

static char *
format_snapshot(Writer *writer, const VmpStorePoint *row, gboolean secure, GError **error)
{
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(row->body, -1, VMP_SNAPSHOT_PARSE_REDEFINE, error);

    if (!snapshot)
        return NULL;
    g_free(snapshot->parent);
    snapshot->parent = g_strdup(row->parent);
    snapshot->domain_xml = reference(writer, "domain", row->definition);
    snapshot->inactive_domain_xml =
        reference(writer, "inactiveDomain", row->inactive_definition);
    return vmp_snapshot_format(snapshot, secure ? VMP_SNAPSHOT_FORMAT_SECURE : 0);
}

static char *
format_checkpoint(Writer *writer, const VmpStorePoint *row, GError **error)
{
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_checkpoint_parse(row->body, -1, VMP_CHECKPOINT_PARSE_REDEFINE, error);

    if (!checkpoint)
        return NULL;
    g_free(checkpoint->parent);
    checkpoint->parent = g_strdup(row->parent);
    checkpoint->domain_xml = reference(writer, "domain", row->definition);
    return vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_SECURE);
}

/* The point's document, masked unless secrets may be shown. */
static char *
format_point(Writer *writer, const VmpStorePoint *row, GError **error)
{
    if (writer->kind == VMP_POINT_CHECKPOINT)
        return format_checkpoint(writer, row, error);

    g_autofree char *text = format_snapshot(writer, row, TRUE, error);
    if (!text || writer->secure || !strstr(text, "cookies"))
        return g_steal_pointer(&text);
    g_autofree char *masked = format_snapshot(writer, row, FALSE, error);
    if (masked && strcmp(masked, text) != 0)
        tell_masked(writer);
    return g_steal_pointer(&masked);
}

static gboolean
write_point(Writer *writer, const VmpStorePoint *listed, GError **error)
{
    g_autoptr(VmpStorePoint) row =
        vmp_store_find_point(writer->store, listed->domain, writer->kind, listed->name, error);

    if (!row || !write_definition(writer, row->definition, error) ||
        !write_definition(writer, row->inactive_definition, error))
        return FALSE;
    g_autofree char *text = format_point(writer, row, error);
    if (!text)
        return FALSE;
    g_string_append(writer->pending, text);
    return flush(writer, PORTION, error);
}

gboolean
vmp_bulk_write(VmpMachine *machine, VmpPointKind kind, gboolean secure, VmpWriteFunc write,
               gpointer data, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    VmpStore *store = vmp_machine_get_store(machine);
    g_auto(VmpStoreTransaction) moment = { 0 };

    if (!vmp_store_begin_reading(store, &moment, error))
        return FALSE;
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(store, vmp_machine_get_row(machine)->id, kind, FALSE, error);
    if (!rows)
        return FALSE;

    g_auto(Writer) writer = {
        .machine = machine,
        .store = store,
        .kind = kind,
        .secure = secure,
        .write = write,
        .data = data,
        .pending = g_string_new(NULL),
        .numbers = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
        .delta = vmp_bulk_delta_new(store, secure),
    };
    open_root(&writer, rows);
    for (guint i = 0; i < rows->len; i++)
        if (!write_point(&writer, g_ptr_array_index(rows, i), error))
            return FALSE;
    g_string_append_printf(writer.pending, "</%s>\n", vmp_bulk_root_name(kind));
    return flush(&writer, 0, error);
}
