/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/edit.h"

#include <string.h>

#include "xml/markup.h"
#include "xml/reader-private.h"

typedef struct {
    gsize start;
    gsize end;
    char *text; /* in place of [start, end) */
} Splice;

struct _VmpXmlEdit {
    const VmpXmlDoc *doc;
    GArray *splices;
};

static void
clear_splice(Splice *splice)
{
    g_free(splice->text);
}

VmpXmlEdit *
vmp_xml_edit_new(const VmpXmlDoc *doc)
{
    VmpXmlEdit *edit = g_new0(VmpXmlEdit, 1);

    edit->doc = doc;
    edit->splices = g_array_new(FALSE, FALSE, sizeof(Splice));
    g_array_set_clear_func(edit->splices, (GDestroyNotify)clear_splice);
    return edit;
}

void
vmp_xml_edit_free(VmpXmlEdit *edit)
{
    if (!edit)
        return;
    g_array_unref(edit->splices);
    g_free(edit);
}

/* Takes @text. */
static void
add_splice(VmpXmlEdit *edit, const char *from, const char *to, char *text)
{
    Splice splice = {
        .start = (gsize)(from - edit->doc->text),
        .end = (gsize)(to - edit->doc->text),
        .text = text,
    };

    g_array_append_val(edit->splices, splice);
}

static const char *
start_of(const VmpXmlEdit *edit, const xmlNode *node)
{
    return edit->doc->text + vmp_xml_span_of(node)->start;
}

static const char *
tag_end_of(const VmpXmlEdit *edit, const xmlNode *node)
{
    return edit->doc->text + vmp_xml_span_of(node)->tag_end;
}

static const char *
end_of(const VmpXmlEdit *edit, const xmlNode *node)
{
    return edit->doc->text + vmp_xml_span_of(node)->end;
}

static gboolean
is_empty_element(const VmpXmlEdit *edit, const xmlNode *node)
{
    return tag_end_of(edit, node)[-2] == '/';
}

static const char *
skip_blanks_back(const VmpXmlEdit *edit, const char *at)
{
    while (at > edit->doc->text && g_ascii_isspace(at[-1]))
        at--;
    return at;
}

/* Finds the attribute; otherwise *@at is where one can be appended. */
static gboolean
find_attribute(const VmpXmlEdit *edit, const xmlNode *node, const char *name,
               VmpXmlAttributeSpan *attribute, const char **at)
{
    const char *end = tag_end_of(edit, node);

    *at = vmp_xml_skip_name(start_of(edit, node) + 1, end);
    for (const char *next = *at; vmp_xml_scan_attribute(&next, end, attribute); *at = next)
        if (attribute->name_length == strlen(name) &&
            memcmp(attribute->name, name, attribute->name_length) == 0)
            return TRUE;
    return FALSE;
}

void
vmp_xml_edit_rename_attribute(VmpXmlEdit *edit, const xmlNode *node, const char *name,
                              const char *new_name, const char *value)
{
    VmpXmlAttributeSpan attribute;
    const char *at = NULL;

    if (!find_attribute(edit, node, name, &attribute, &at))
        return;
    const char *value_end = attribute.value + attribute.value_length;

    add_splice(edit, attribute.name, attribute.name + attribute.name_length,
               g_strdup(new_name));
    add_splice(edit, attribute.value, value_end, vmp_markup_escape_attribute(value));
}

void
vmp_xml_edit_set_attribute(VmpXmlEdit *edit, const xmlNode *node, const char *name,
                           const char *value)
{
    VmpXmlAttributeSpan attribute;
    const char *at = NULL;
    g_autofree char *escaped = vmp_markup_escape_attribute(value);

    if (find_attribute(edit, node, name, &attribute, &at))
        add_splice(edit, attribute.value, attribute.value + attribute.value_length,
                   g_steal_pointer(&escaped));
    else
        add_splice(edit, at, at, g_strdup_printf(" %s='%s'", name, escaped));
}

void
vmp_xml_edit_remove_attribute(VmpXmlEdit *edit, const xmlNode *node, const char *name)
{
    VmpXmlAttributeSpan attribute;
    const char *at = NULL;

    if (find_attribute(edit, node, name, &attribute, &at))
        add_splice(edit, skip_blanks_back(edit, attribute.name),
                   attribute.value + attribute.value_length + 1, g_strdup(""));
}

/* The name in the end tag. */
static const char *
end_tag_name(const VmpXmlEdit *edit, const xmlNode *node)
{
    const char *at = end_of(edit, node);

    while (at[-1] != '/')
        at--;
    return at;
}

void
vmp_xml_edit_set_text(VmpXmlEdit *edit, const xmlNode *node, const char *text)
{
    const char *tag_end = tag_end_of(edit, node);
    g_autofree char *escaped = vmp_markup_escape_text(text);

    if (is_empty_element(edit, node))
        add_splice(edit, tag_end - 2, tag_end,
                   g_strdup_printf(">%s</%s>", escaped, (const char *)node->name));
    else
        add_splice(edit, tag_end, end_tag_name(edit, node) - 2, g_steal_pointer(&escaped));
}

void
vmp_xml_edit_rename(VmpXmlEdit *edit, const xmlNode *node, const char *name)
{
    const char *start = start_of(edit, node) + 1;

    add_splice(edit, start, vmp_xml_skip_name(start, tag_end_of(edit, node)), g_strdup(name));
    if (is_empty_element(edit, node))
        return;
    const char *again = end_tag_name(edit, node);
    add_splice(edit, again, vmp_xml_skip_name(again, end_of(edit, node)), g_strdup(name));
}

void
vmp_xml_edit_remove(VmpXmlEdit *edit, const xmlNode *node)
{
    const char *start = start_of(edit, node);

    add_splice(edit, skip_blanks_back(edit, start), end_of(edit, node), g_strdup(""));
}

void
vmp_xml_edit_replace(VmpXmlEdit *edit, const xmlNode *node, const char *markup)
{
    add_splice(edit, start_of(edit, node), end_of(edit, node), g_strdup(markup));
}

/* The line end and the blanks in front of @node; "" if it does not begin a line. */
static char *
indent_of(const VmpXmlEdit *edit, const xmlNode *node)
{
    const char *start = start_of(edit, node);
    const char *blanks = skip_blanks_back(edit, start);
    const char *line = g_strrstr_len(blanks, start - blanks, "\n");

    return line ? g_strndup(line, (gsize)(start - line)) : g_strdup("");
}

void
vmp_xml_edit_insert_before(VmpXmlEdit *edit, const xmlNode *node, const char *markup)
{
    const char *start = start_of(edit, node);
    g_autofree char *indent = indent_of(edit, node);

    add_splice(edit, start, start, g_strconcat(markup, indent, NULL));
}

void
vmp_xml_edit_insert_after(VmpXmlEdit *edit, const xmlNode *node, const char *markup)
{
    const char *end = end_of(edit, node);
    g_autofree char *indent = indent_of(edit, node);

    add_splice(edit, end, end, g_strconcat(indent, markup, NULL));
}

static int
compare_splices(const void *a, const void *b)
{
    const Splice *left = a;
    const Splice *right = b;

    return left->start < right->start ? -1 : left->start > right->start;
}

char *
vmp_xml_edit_apply(VmpXmlEdit *edit)
{
    const VmpXmlSpan *root = vmp_xml_span_of(vmp_xml_root(edit->doc));
    GString *text = g_string_sized_new(root->end - root->start + 256);
    gsize at = root->start;

    /* g_array_sort() is stable: insertions at one place stay in their order. */
    g_array_sort(edit->splices, compare_splices);
    for (guint i = 0; i < edit->splices->len; i++) {
        const Splice *splice = &g_array_index(edit->splices, Splice, i);

        g_assert(splice->start >= at);
        g_string_append_len(text, edit->doc->text + at, (gssize)(splice->start - at));
        g_string_append(text, splice->text);
        at = splice->end;
    }
    g_string_append_len(text, edit->doc->text + at, (gssize)(root->end - at));
    return g_string_free(text, FALSE);
}
