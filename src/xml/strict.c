/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/strict.h"

#include <string.h>

#include "xml/name.h"

typedef enum {
    ABSENT,
    SINGLE,
    REPEATED,
} Listed;

static Listed
look_up(const char *word, const char *words)
{
    gsize wanted = strlen(word);

    for (const char *at = words; *at; at += strspn(at, " ")) {
        gsize length = strcspn(at, " *");

        if (length == wanted && memcmp(at, word, length) == 0)
            return at[length] == '*' ? REPEATED : SINGLE;
        at += strcspn(at, " ");
    }
    return ABSENT;
}

gboolean
vmp_xml_is_word_of(const char *word, const char *words)
{
    return look_up(word, words) != ABSENT;
}

static gboolean
check_attributes(const xmlNode *node, const char *attributes, GError **error)
{
    for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
        const char *name = (const char *)attribute->name;

        if (!attribute->ns && vmp_xml_is_word_of(name, attributes))
            continue;
        g_autofree char *quoted = vmp_name_quote(name);
        return vmp_xml_fail(node, error, "attribute %s is not allowed here", quoted);
    }
    return TRUE;
}

static gboolean
check_child(const xmlNode *child, const char *children, GHashTable *seen, GError **error)
{
    const char *name = (const char *)child->name;
    Listed listed = child->ns ? ABSENT : look_up(name, children);

    if (listed == ABSENT)
        return vmp_xml_fail(child, error, "is not allowed in <%.60s>",
                            (const char *)child->parent->name);
    if (!g_hash_table_add(seen, (char *)name) && listed == SINGLE)
        return vmp_xml_fail(child, error, "is given twice");
    return TRUE;
}

static gboolean
is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

gboolean
vmp_xml_closed(const xmlNode *node, const char *attributes, const char *children,
               GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (const xmlNode *child = node->children; child; child = child->next) {
        if (child->type == XML_ELEMENT_NODE) {
            if (!check_child(child, children ? children : "", seen, error))
                return FALSE;
        } else if (children &&
                   (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE) &&
                   !is_blank((const char *)child->content)) {
            return vmp_xml_fail(node, error, "text is not allowed here");
        }
    }
    return check_attributes(node, attributes, error);
}

gboolean
vmp_xml_attribute_in(const xmlNode *node, const char *name, const char *words, GError **error)
{
    g_autofree char *value = vmp_xml_attribute(node, name);

    if (!value || vmp_xml_is_word_of(value, words))
        return TRUE;
    g_autofree char *why = g_strdup_printf("is not one of: %s", words);
    return vmp_xml_fail_value(node, name, value, why, error);
}

gboolean
vmp_xml_is_disk_target(const char *name)
{
    static const char *const prefixes[] = { "fd", "hd", "sd", "vd", "xvd", "ubd" };
    const char *at = g_str_has_prefix(name, "ioemu:") ? name + strlen("ioemu:") : name;

    for (guint i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        const char *rest = at + strlen(prefixes[i]);

        if (g_str_has_prefix(at, prefixes[i]) && *rest &&
            strspn(rest, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_") == strlen(rest))
            return TRUE;
    }
    return FALSE;
}
