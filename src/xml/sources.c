/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/sources.h"

#include <string.h>

#include "xml/domain.h"
#include "xml/markup.h"
#include "xml/reader-private.h"

typedef struct {
    gsize start, end;
} Range;

struct _VmpDomainSources {
    char *text;
    gsize length;
    GArray *values; /* of Range: attribute values of <source>, in order */
    GArray *disks;  /* of Range: each <disk>, in order */
    char *head;     /* what stands in front of the disks when they stand alone */
};

#define TAIL "</devices></domain>"

void
vmp_domain_sources_free(VmpDomainSources *sources)
{
    if (!sources)
        return;
    g_free(sources->text);
    g_free(sources->head);
    g_array_unref(sources->values);
    g_array_unref(sources->disks);
    g_free(sources);
}

const char *
vmp_domain_sources_get_text(const VmpDomainSources *sources, gsize *length)
{
    *length = sources->length;
    return sources->text;
}

/* ---- finding them ---- */

static void
add_values(VmpDomainSources *sources, const xmlNode *source)
{
    const VmpXmlSpan *span = vmp_xml_span_of(source);
    const char *end = sources->text + span->tag_end;
    const char *at = vmp_xml_skip_name(sources->text + span->start + 1, end);
    VmpXmlAttributeSpan attribute;

    while (vmp_xml_scan_attribute(&at, end, &attribute)) {
        Range range = { (gsize)(attribute.value - sources->text), 0 };
        range.end = range.start + attribute.value_length;
        g_array_append_val(sources->values, range);
    }
}

/* Wherever it stands in a disk: a backing image has a source, too. */
static void
add_sources(VmpDomainSources *sources, const xmlNode *node)
{
    if (vmp_xml_is(node, NULL, "source"))
        add_values(sources, node);
    for (const xmlNode *child = vmp_xml_child(node, NULL); child;
         child = vmp_xml_next(child, NULL))
        add_sources(sources, child);
}

static void
add_disks(VmpDomainSources *sources, const xmlNode *root)
{
    for (const xmlNode *devices = vmp_xml_child(root, "devices"); devices;
         devices = vmp_xml_next(devices, "devices"))
        for (const xmlNode *disk = vmp_xml_child(devices, "disk"); disk;
             disk = vmp_xml_next(disk, "disk")) {
            const VmpXmlSpan *span = vmp_xml_span_of(disk);
            Range range = { span->start, span->end };
            g_array_append_val(sources->disks, range);
            add_sources(sources, disk);
        }
}

static void
append_attribute(GString *text, const char *name, const char *value)
{
    g_autofree char *escaped = value ? vmp_markup_escape_attribute(value) : NULL;

    if (escaped)
        g_string_append_printf(text, " %s='%s'", name, escaped);
}

static char *
make_head(const VmpDomain *domain)
{
    const VmpDomainOs *os = vmp_domain_get_os(domain);
    const char *uuid = vmp_domain_get_uuid(domain);
    g_autofree char *name = vmp_markup_escape_text(vmp_domain_get_name(domain));
    GString *head = g_string_new("<domain");

    append_attribute(head, "type", vmp_domain_get_type(domain));
    g_string_append_printf(head, "><name>%s</name>", name);
    if (uuid)
        g_string_append_printf(head, "<uuid>%s</uuid>", uuid);
    g_string_append_printf(head, "<memory unit='b'>%" G_GUINT64_FORMAT "</memory>",
                           vmp_domain_get_memory(domain));
    g_string_append_printf(head, "<iothreads>%u</iothreads><os><type",
                           vmp_domain_get_iothreads(domain));
    append_attribute(head, "arch", os->arch);
    append_attribute(head, "machine", os->machine);
    g_string_append(head, ">hvm</type></os><devices>");
    return g_string_free(head, FALSE);
}

/* Do the disks, alone, say what they say in their domain? */
static gboolean
stand_alone(const VmpDomainSources *sources, const VmpDomain *domain)
{
    g_autofree char *text = vmp_domain_sources_fill_disks(sources, NULL);
    g_autoptr(VmpDomain) alone = vmp_domain_parse(text, -1, NULL);
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    if (!alone || vmp_domain_get_disks(alone)->len != disks->len)
        return FALSE;
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpDomainDisk *other = g_ptr_array_index(vmp_domain_get_disks(alone), i);
        if (g_strcmp0(disk->target, other->target) != 0 ||
            g_strcmp0(disk->source, other->source) != 0)
            return FALSE;
    }
    return TRUE;
}

VmpDomainSources *
vmp_domain_sources_new(const char *text, gsize length)
{
    g_autoptr(VmpDomain) domain = vmp_domain_parse(text, (gssize)length, NULL);
    g_autoptr(VmpXmlDoc) doc =
        domain ? vmp_xml_parse(text, (gssize)length, NULL, "domain XML", NULL) : NULL;
    g_autoptr(VmpDomainSources) sources = doc ? g_new0(VmpDomainSources, 1) : NULL;

    if (!sources)
        return NULL;
    sources->text = g_strndup(text, length);
    sources->length = length;
    sources->values = g_array_new(FALSE, FALSE, sizeof(Range));
    sources->disks = g_array_new(FALSE, FALSE, sizeof(Range));
    const VmpXmlSpan *root = vmp_xml_span_of(vmp_xml_root(doc));
    if (root->start != 0 || root->end != length)
        return NULL;
    add_disks(sources, vmp_xml_root(doc));
    sources->head = make_head(domain);
    if (!stand_alone(sources, domain))
        return NULL;
    return g_steal_pointer(&sources);
}

/* ---- matching ---- */

/* A byte that may stand in an attribute's value and says nothing about where it ends. */
static gboolean
is_plain(const char *at, const char *end)
{
    guchar byte = (guchar)*at;

    if (byte < 0x20 || strchr("'\"<>&", byte))
        return FALSE;
    /* U+FFFE and U+FFFF are no characters to XML; their neighbours are rare. */
    return byte != 0xef || end - at < 2 || (guchar)at[1] != 0xbf;
}

static const Range *
value_at(const VmpDomainSources *sources, guint index)
{
    return index < sources->values->len ? &g_array_index(sources->values, Range, index) : NULL;
}

static guint
first_value_from(const VmpDomainSources *sources, gsize at)
{
    guint low = 0, high = sources->values->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (value_at(sources, middle)->end < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A walk through the old text and the new one at the same time. */
typedef struct {
    const VmpDomainSources *sources;
    gsize at;             /* in the old text */
    gsize stop;           /* where the old text goes on behind the middle */
    const char *in, *end; /* in the middle */
    guint value;          /* index of the next value */
} Walk;

/* Takes the value that @walk stands in.  FALSE if it does not end where a value must. */
static gboolean
take_value(Walk *walk, GPtrArray *values)
{
    const VmpDomainSources *sources = walk->sources;
    const Range *range = value_at(sources, walk->value);
    g_autoptr(GString) value =
        g_string_new_len(sources->text + range->start, (gssize)(walk->at - range->start));
    const char *from = walk->in;

    while (walk->in < walk->end && is_plain(walk->in, walk->end))
        walk->in++;
    g_string_append_len(value, from, walk->in - from);
    if (walk->in == walk->end) {
        if (walk->stop < walk->at || walk->stop > range->end)
            return FALSE;
        g_string_append_len(value, sources->text + walk->stop,
                            (gssize)(range->end - walk->stop));
        walk->stop = range->end;
    } else if (*walk->in != sources->text[range->end]) {
        return FALSE;
    }
    walk->at = range->end;
    g_free(values->pdata[walk->value]);
    values->pdata[walk->value++] = g_string_free(g_steal_pointer(&value), FALSE);
    return TRUE;
}

GPtrArray *
vmp_domain_sources_match(const VmpDomainSources *sources, gsize first, gsize last,
                         const char *middle, gsize length)
{
    if (first > sources->length || last > sources->length - first)
        return NULL;

    Walk walk = { sources, first,           sources->length - last,
                  middle,  middle + length, first_value_from(sources, first) };
    g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_set_size(values, (int)sources->values->len);

    for (;;) {
        const Range *next = value_at(sources, walk.value);
        gsize border = next ? next->start : sources->length;

        for (; walk.at < border && walk.in < walk.end && sources->text[walk.at] == *walk.in;
             walk.in++)
            walk.at++;
        if (walk.in == walk.end && walk.at == walk.stop)
            return g_steal_pointer(&values);
        if (!next || walk.at < next->start || !take_value(&walk, values))
            return NULL;
    }
}

/* ---- filling in ---- */

static void
append_range(const VmpDomainSources *sources, const GPtrArray *values, gsize from, gsize to,
             GString *text)
{
    for (guint i = first_value_from(sources, from); values && i < values->len; i++) {
        const Range *range = value_at(sources, i);
        const char *value = g_ptr_array_index(values, i);

        if (range->start >= to)
            break;
        if (!value)
            continue;
        g_string_append_len(text, sources->text + from, (gssize)(range->start - from));
        g_string_append(text, value);
        from = range->end;
    }
    g_string_append_len(text, sources->text + from, (gssize)(to - from));
}

char *
vmp_domain_sources_fill(const VmpDomainSources *sources, const GPtrArray *values)
{
    GString *text = g_string_sized_new(sources->length + 256);

    append_range(sources, values, 0, sources->length, text);
    return g_string_free(text, FALSE);
}

char *
vmp_domain_sources_fill_disks(const VmpDomainSources *sources, const GPtrArray *values)
{
    GString *text = g_string_new(sources->head);

    for (guint i = 0; i < sources->disks->len; i++) {
        const Range *disk = &g_array_index(sources->disks, Range, i);
        append_range(sources, values, disk->start, disk->end, text);
    }
    g_string_append(text, TAIL);
    return g_string_free(text, FALSE);
}
