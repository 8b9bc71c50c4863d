/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/spec.h"

#include <string.h>
#include <vmpoint/error.h>

/* Appends @value between quotes.  Line breaks and tabs are written as references, or
 * the reader would take them for spaces. */
static void
append_escaped(GString *xml, const char *value, gboolean attribute)
{
    for (const char *p = value; *p; p++) {
        switch (*p) {
        case '&':
            g_string_append(xml, "&amp;");
            break;
        case '<':
            g_string_append(xml, "&lt;");
            break;
        case '>':
            g_string_append(xml, "&gt;");
            break;
        case '\'':
            g_string_append(xml, "&apos;");
            break;
        case '"':
            g_string_append(xml, "&quot;");
            break;
        case '\r':
            g_string_append(xml, "&#13;");
            break;
        case '\n':
        case '\t':
            if (attribute) {
                g_string_append_printf(xml, "&#%d;", *p);
                break;
            }
            G_GNUC_FALLTHROUGH;
        default:
            g_string_append_c(xml, *p);
        }
    }
}

static void
append_attribute(GString *xml, const char *name, const char *value)
{
    if (!value)
        return;
    g_string_append_printf(xml, " %s='", name);
    append_escaped(xml, value, TRUE);
    g_string_append_c(xml, '\'');
}

static void
append_element(GString *xml, const char *name, const char *content)
{
    if (!content)
        return;
    g_string_append_printf(xml, "  <%s>", name);
    append_escaped(xml, content, FALSE);
    g_string_append_printf(xml, "</%s>\n", name);
}

/* Splits at single commas; two stand for one. */
static GPtrArray *
split(const char *spec)
{
    GPtrArray *fields = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) field = g_string_new(NULL);

    for (const char *p = spec; *p; p++) {
        if (p[0] == ',' && p[1] != ',') {
            g_ptr_array_add(fields, g_strdup(field->str));
            g_string_truncate(field, 0);
            continue;
        }
        if (p[0] == ',')
            p++;
        g_string_append_c(field, *p);
    }
    g_ptr_array_add(fields, g_strdup(field->str));
    return fields;
}

/* If @field is `KEY=VALUE` with a key of @keys that has no value yet, takes it. */
static gboolean
take_pair(const char *field, const char *const *keys, const char **values)
{
    const char *equals = strchr(field, '=');

    for (guint i = 0; equals && keys[i]; i++) {
        if (strlen(keys[i]) == (gsize)(equals - field) && g_str_has_prefix(field, keys[i]) &&
            !values[i]) {
            values[i] = equals + 1;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
fail(GError **error, const char *kind, const char *spec, const char *why)
{
    g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID, "unable to parse %s '%s': %s", kind, spec,
                why);
    return FALSE;
}

static gboolean
append_memory(GString *xml, const char *spec, GError **error)
{
    static const char *const keys[] = { "snapshot", "file", NULL };
    const char *values[G_N_ELEMENTS(keys)] = { NULL };
    g_autoptr(GPtrArray) fields = split(spec);

    for (guint i = 0; i < fields->len; i++) {
        const char *field = g_ptr_array_index(fields, i);

        if (take_pair(field, keys, values))
            continue;
        /* The file may go without its key: whatever is no other pair is its name. */
        if (values[1] || *field == '\0')
            return fail(error, "memspec", spec, "it is not [file=]NAME[,snapshot=TYPE]");
        values[1] = field;
    }
    g_string_append(xml, "  <memory");
    append_attribute(xml, "snapshot", values[0]);
    append_attribute(xml, "file", values[1]);
    g_string_append(xml, "/>\n");
    return TRUE;
}

/* @fields[0] names the disk, the others are pairs. */
static gboolean
parse_disk(const char *spec, const GPtrArray *fields, const char *const *keys,
           const char **values, GError **error)
{
    if (*(const char *)g_ptr_array_index(fields, 0) == '\0')
        return fail(error, "diskspec", spec, "it names no disk");
    for (guint i = 1; i < fields->len; i++) {
        if (take_pair(g_ptr_array_index(fields, i), keys, values))
            continue;
        g_autofree char *known = g_strjoinv("=, ", (char **)keys);
        g_autofree char *why = g_strdup_printf("'%s' is none of %s=, or comes twice",
                                               (char *)g_ptr_array_index(fields, i), known);
        return fail(error, "diskspec", spec, why);
    }
    return TRUE;
}

static void
append_snapshot_disk_children(GString *xml, const char *driver, const char *type,
                              const char *file)
{
    g_string_append(xml, ">\n");
    if (driver) {
        g_string_append(xml, "      <driver");
        append_attribute(xml, "type", driver);
        g_string_append(xml, "/>\n");
    }
    if (file) {
        g_string_append(xml, "      <source");
        append_attribute(xml, g_strcmp0(type, "block") == 0 ? "dev" : "file", file);
        g_string_append(xml, "/>\n");
    }
    g_string_append(xml, "    </disk>\n");
}

static gboolean
append_snapshot_disk(GString *xml, const char *spec, GError **error)
{
    enum { SNAPSHOT, DRIVER, STYPE, FILENAME };
    static const char *const keys[] = { "snapshot", "driver", "stype", "file", NULL };
    const char *values[G_N_ELEMENTS(keys)] = { NULL };
    g_autoptr(GPtrArray) fields = split(spec);

    if (!parse_disk(spec, fields, keys, values, error))
        return FALSE;
    if (values[STYPE] && !g_str_equal(values[STYPE], "file") &&
        !g_str_equal(values[STYPE], "block"))
        return fail(error, "diskspec", spec, "stype is neither 'file' nor 'block'");

    g_string_append(xml, "    <disk");
    append_attribute(xml, "name", g_ptr_array_index(fields, 0));
    append_attribute(xml, "snapshot", values[SNAPSHOT]);
    append_attribute(xml, "type", values[STYPE]);
    if (values[DRIVER] || values[FILENAME])
        append_snapshot_disk_children(xml, values[DRIVER], values[STYPE], values[FILENAME]);
    else
        g_string_append(xml, "/>\n");
    return TRUE;
}

static gboolean
append_checkpoint_disk(GString *xml, const char *spec, GError **error)
{
    enum { CHECKPOINT, BITMAP };
    static const char *const keys[] = { "checkpoint", "bitmap", NULL };
    const char *values[G_N_ELEMENTS(keys)] = { NULL };
    g_autoptr(GPtrArray) fields = split(spec);

    if (!parse_disk(spec, fields, keys, values, error))
        return FALSE;
    g_string_append(xml, "    <disk");
    append_attribute(xml, "name", g_ptr_array_index(fields, 0));
    append_attribute(xml, "checkpoint", values[CHECKPOINT]);
    append_attribute(xml, "bitmap", values[BITMAP]);
    g_string_append(xml, "/>\n");
    return TRUE;
}

typedef gboolean (*AppendDisk)(GString *xml, const char *spec, GError **error);

static char *
format(const char *root, const VmpPointSpec *spec, AppendDisk append_disk, GError **error)
{
    g_autoptr(GString) xml = g_string_new(NULL);

    g_string_append_printf(xml, "<%s>\n", root);
    append_element(xml, "name", spec->name);
    append_element(xml, "description", spec->description);
    if (spec->memory && !append_memory(xml, spec->memory, error))
        return NULL;
    if (spec->disks[0]) {
        g_string_append(xml, "  <disks>\n");
        for (guint i = 0; spec->disks[i]; i++) {
            if (!append_disk(xml, spec->disks[i], error))
                return NULL;
        }
        g_string_append(xml, "  </disks>\n");
    }
    g_string_append_printf(xml, "</%s>\n", root);
    return g_string_free(g_steal_pointer(&xml), FALSE);
}

char *
vmp_spec_format_snapshot(const VmpPointSpec *spec, GError **error)
{
    return format("domainsnapshot", spec, append_snapshot_disk, error);
}

char *
vmp_spec_format_checkpoint(const VmpPointSpec *spec, GError **error)
{
    return format("domaincheckpoint", spec, append_checkpoint_disk, error);
}
