/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/markup.h"

#include <string.h>

static gboolean
is_xml_character(gunichar c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c != 0xfffe && c != 0xffff);
}

gboolean
vmp_markup_can_hold(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL))
        return FALSE;
    for (const char *at = text; *at; at = g_utf8_next_char(at))
        if (!is_xml_character(g_utf8_get_char(at)))
            return FALSE;
    return TRUE;
}

static const char *
entity_of(gunichar c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '\'':
        return "&apos;";
    case '"':
        return "&quot;";
    default:
        return NULL;
    }
}

/* @folded: the blanks that a parser would not give back as they are. */
static char *
escape(const char *text, const char *folded)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *escaped = g_string_sized_new(strlen(valid) + 16);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        if (entity_of(c))
            g_string_append(escaped, entity_of(c));
        else if (c < 0x20 && strchr(folded, (int)c))
            g_string_append_printf(escaped, "&#%u;", c);
        else if (is_xml_character(c))
            g_string_append_unichar(escaped, c);
    }
    return g_string_free(escaped, FALSE);
}

char *
vmp_markup_escape_attribute(const char *value)
{
    return escape(value, "\t\n\r");
}

char *
vmp_markup_escape_text(const char *text)
{
    return escape(text, "\r");
}

VmpMarkup
vmp_markup_begin(void)
{
    return (VmpMarkup){ .text = g_string_new(NULL) };
}

char *
vmp_markup_finish(VmpMarkup *markup)
{
    g_assert(markup->depth == 0);
    return g_string_free(g_steal_pointer(&markup->text), FALSE);
}

static void
end_tag(VmpMarkup *markup)
{
    if (markup->in_tag)
        g_string_append(markup->text, ">\n");
    markup->in_tag = FALSE;
}

static void
indent(VmpMarkup *markup)
{
    g_string_append_printf(markup->text, "%*s", (int)markup->depth * 2, "");
}

void
vmp_markup_open(VmpMarkup *markup, const char *name)
{
    end_tag(markup);
    indent(markup);
    g_string_append_printf(markup->text, "<%s", name);
    markup->in_tag = TRUE;
    markup->depth++;
}

void
vmp_markup_attribute(VmpMarkup *markup, const char *name, const char *value)
{
    g_assert(markup->in_tag);
    if (!value)
        return;

    g_autofree char *escaped = vmp_markup_escape_attribute(value);
    g_string_append_printf(markup->text, " %s='%s'", name, escaped);
}

void
vmp_markup_attribute_int(VmpMarkup *markup, const char *name, gint64 value)
{
    g_assert(markup->in_tag);
    g_string_append_printf(markup->text, " %s='%" G_GINT64_FORMAT "'", name, value);
}

void
vmp_markup_close(VmpMarkup *markup, const char *name)
{
    markup->depth--;
    if (markup->in_tag) {
        g_string_append(markup->text, "/>\n");
        markup->in_tag = FALSE;
        return;
    }
    indent(markup);
    g_string_append_printf(markup->text, "</%s>\n", name);
}

void
vmp_markup_close_text(VmpMarkup *markup, const char *name, const char *text)
{
    g_autofree char *escaped = vmp_markup_escape_text(text);

    g_assert(markup->in_tag);
    g_string_append_printf(markup->text, ">%s</%s>\n", escaped, name);
    markup->in_tag = FALSE;
    markup->depth--;
}

void
vmp_markup_element(VmpMarkup *markup, const char *name, const char *text)
{
    if (!text)
        return;

    g_autofree char *escaped = vmp_markup_escape_text(text);
    end_tag(markup);
    indent(markup);
    g_string_append_printf(markup->text, "<%s>%s</%s>\n", name, escaped, name);
}

void
vmp_markup_element_int(VmpMarkup *markup, const char *name, gint64 value)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);

    vmp_markup_element(markup, name, text);
}

void
vmp_markup_verbatim(VmpMarkup *markup, const char *xml)
{
    if (!xml)
        return;
    end_tag(markup);
    indent(markup);
    g_string_append(markup->text, xml);
    g_string_append_c(markup->text, '\n');
}
