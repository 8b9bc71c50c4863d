/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/bulk-views.h"

#include <string.h>

#include "base/error.h"
#include "xml/sources.h"
#include "xml/strict.h"

#define VIEWS 16  /* small: the disks of a domain */
#define SOURCES 4 /* whole texts */

/* One of the document. */
typedef struct {
    gint64 id;
    gboolean inactive; /* <inactiveDomain> */
} Definition;

typedef struct {
    gint64 id; /* 0 = none */
    VmpDomain *domain;
} View;

typedef struct {
    gint64 id; /* 0 = none */
    VmpDomainSources *sources;
} Sources;

struct _VmpBulkViews {
    VmpMachine *machine;
    VmpStore *store;
    char *what;
    GArray *definitions;      /* of Definition; number N is at N - 1 */
    GHashTable *unused;       /* numbers */
    View views[VIEWS];        /* newest first */
    Sources sources[SOURCES]; /* newest first */
};

VmpBulkViews *
vmp_bulk_views_new(VmpMachine *machine, const char *what)
{
    VmpBulkViews *views = g_new0(VmpBulkViews, 1);

    views->machine = machine;
    views->store = vmp_machine_get_store(machine);
    views->what = g_strdup(what);
    views->definitions = g_array_new(FALSE, FALSE, sizeof(Definition));
    views->unused = g_hash_table_new(NULL, NULL);
    return views;
}

void
vmp_bulk_views_free(VmpBulkViews *views)
{
    if (!views)
        return;
    for (guint i = 0; i < VIEWS; i++)
        vmp_domain_free(views->views[i].domain);
    for (guint i = 0; i < SOURCES; i++)
        vmp_domain_sources_free(views->sources[i].sources);
    g_array_unref(views->definitions);
    g_hash_table_unref(views->unused);
    g_free(views->what);
    g_free(views);
}

/* ---- what was read lately ---- */

/* Takes @domain. */
static const VmpDomain *
remember_view(VmpBulkViews *views, gint64 id, VmpDomain *domain)
{
    vmp_domain_free(views->views[VIEWS - 1].domain);
    memmove(&views->views[1], &views->views[0], (VIEWS - 1) * sizeof(View));
    views->views[0] = (View){ id, domain };
    return domain;
}

/* Takes @sources. */
static void
remember_sources(VmpBulkViews *views, gint64 id, VmpDomainSources *sources)
{
    vmp_domain_sources_free(views->sources[SOURCES - 1].sources);
    memmove(&views->sources[1], &views->sources[0], (SOURCES - 1) * sizeof(Sources));
    views->sources[0] = (Sources){ id, sources };
}

static VmpDomainSources *
find_sources(VmpBulkViews *views, gint64 id)
{
    for (guint i = 0; i < SOURCES; i++)
        if (views->sources[i].id == id)
            return views->sources[i].sources;
    return NULL;
}

/* The disks alone where that says enough, else @domain itself, which is taken. */
static VmpDomain *
reduce(const VmpDomainSources *sources, VmpDomain *domain)
{
    g_autofree char *disks = sources ? vmp_domain_sources_fill_disks(sources, NULL) : NULL;
    VmpDomain *alone = disks ? vmp_domain_parse(disks, -1, NULL) : NULL;

    if (!alone)
        return domain;
    vmp_domain_free(domain);
    return alone;
}

const VmpDomain *
vmp_bulk_views_get(VmpBulkViews *views, gint64 id, GError **error)
{
    for (guint i = 0; i < VIEWS; i++)
        if (views->views[i].id == id)
            return views->views[i].domain;

    gsize length;
    g_autofree char *text = vmp_store_get_definition(views->store, id, &length, error);
    VmpDomain *domain = text ? vmp_domain_parse(text, (gssize)length, error) : NULL;
    return domain ? remember_view(views, id, domain) : NULL;
}

/* ---- taking one ---- */

typedef struct {
    guint line;
    guint64 like; /* number; 0 = it is whole */
    VmpStoreParts parts;
    gboolean inactive;
} Taken;

static void
taken_clear(Taken *taken)
{
    vmp_store_parts_clear(&taken->parts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Taken, taken_clear)

static gboolean
read_number(const xmlNode *node, const char *name, guint64 *value, GError **error)
{
    g_autofree char *text = vmp_xml_attribute(node, name);

    if (!text)
        return vmp_xml_fail(node, error, "%s is missing", name);
    return vmp_xml_attribute_uint(node, name, value, error);
}

static gboolean
read_like(VmpBulkViews *views, const xmlNode *node, Taken *taken, GError **error)
{
    guint64 first, last;

    if (!read_number(node, "like", &taken->like, error) ||
        !read_number(node, "first", &first, error) || !read_number(node, "last", &last, error))
        return FALSE;
    if (taken->like == 0 || taken->like > views->definitions->len)
        return vmp_xml_fail(node, error,
                            "like='%" G_GUINT64_FORMAT "' is no definition before it",
                            taken->like);

    const Definition *like = &g_array_index(views->definitions, Definition, taken->like - 1);
    taken->parts.base = like->id;
    taken->parts.first = first;
    taken->parts.last = last;
    taken->inactive = like->inactive;
    return TRUE;
}

static gboolean
read_attributes(VmpBulkViews *views, const xmlNode *node, Taken *taken, GError **error)
{
    g_autofree char *like = vmp_xml_attribute(node, "like");
    guint64 number;

    if (!vmp_xml_closed(node, like ? "id like first last" : "id", NULL, error) ||
        !read_number(node, "id", &number, error))
        return FALSE;
    if (number != views->definitions->len + 1)
        return vmp_xml_fail(node, error,
                            "id='%" G_GUINT64_FORMAT "', but %u would be the next one", number,
                            views->definitions->len + 1);
    return !like || read_like(views, node, taken, error);
}

static gboolean
fail_taken(const VmpBulkViews *views, const Taken *taken, GError **error, const char *why)
{
    return vmp_fail(error, VMP_ERROR_INVALID, "%s: line %u: <definition>: %s", views->what,
                    taken->line, why);
}

static gboolean
is_inside_character(const char *text, gsize at)
{
    return ((guchar)text[at] & 0xc0) == 0x80;
}

static gboolean
check_cut(const VmpBulkViews *views, const Taken *taken, const char *base, gsize length,
          GError **error)
{
    const VmpStoreParts *parts = &taken->parts;

    if (parts->first > length || parts->last > length - parts->first)
        return fail_taken(views, taken, error, "first and last are more than there is");
    /* @base ends with a NUL. */
    if (is_inside_character(base, parts->first) ||
        is_inside_character(base, length - parts->last))
        return fail_taken(views, taken, error, "first or last cuts a character in two");
    return TRUE;
}

static gboolean
check_uuid(const VmpBulkViews *views, const Taken *taken, const VmpDomain *domain,
           GError **error)
{
    const char *uuid = vmp_domain_get_uuid(domain);
    const char *own = vmp_machine_get_uuid(views->machine);

    if (!uuid || g_ascii_strcasecmp(uuid, own) == 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_INVALID,
                    "%s: line %u: the definition is of the domain %s, this one is %s",
                    views->what, taken->line, uuid, own);
}

/* Reads @text as a whole, and puts it into the store as @parts.  Returns its id, or 0. */
static gint64
take_whole(VmpBulkViews *views, Taken *taken, const char *text, gsize length, GError **error)
{
    VMP_ERROR_CONTEXT(error, "%s: the definition in line %u", views->what, taken->line);
    g_autoptr(VmpDomain) domain = vmp_domain_parse(text, (gssize)length, error);

    if (!domain || !check_uuid(views, taken, domain, error))
        return 0;
    g_autofree char *exact =
        vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE |
                                      (text[1] == 'i' ? VMP_DOMAIN_FORMAT_INACTIVE_ROOT : 0));
    if (strcmp(exact, text) != 0) {
        vmp_fail(error, VMP_ERROR_INVALID, "something stands around its root element");
        return 0;
    }
    taken->inactive = text[1] == 'i';
    gint64 id = vmp_store_put_definition_parts(views->store, &taken->parts, error);
    if (id == 0)
        return 0;
    VmpDomainSources *sources = vmp_domain_sources_new(text, length);
    remember_sources(views, id, sources);
    remember_view(views, id, reduce(sources, g_steal_pointer(&domain)));
    return id;
}

/* The text that @taken is told by. */
static gboolean
load_like(VmpBulkViews *views, const Taken *taken, GError **error)
{
    gsize length;

    if (find_sources(views, taken->parts.base))
        return TRUE;
    g_autofree char *text =
        vmp_store_get_definition(views->store, taken->parts.base, &length, error);
    if (!text)
        return FALSE;
    VmpDomainSources *sources = vmp_domain_sources_new(text, length);
    if (sources)
        remember_sources(views, taken->parts.base, sources);
    return TRUE;
}

/* Puts @taken together with the text of its base. */
static gint64
take_together(VmpBulkViews *views, Taken *taken, const char *base, gsize length,
              GError **error)
{
    const VmpStoreParts *parts = &taken->parts;

    if (!check_cut(views, taken, base, length, error))
        return 0;
    if (parts->first + parts->last > VMP_XML_MAX_SIZE - MIN(parts->length, VMP_XML_MAX_SIZE)) {
        fail_taken(views, taken, error, "it is too long");
        return 0;
    }
    g_autoptr(GString) text = g_string_sized_new(parts->first + parts->length + parts->last);
    g_string_append_len(text, base, (gssize)parts->first);
    g_string_append_len(text, parts->middle, (gssize)parts->length);
    g_string_append_len(text, base + length - parts->last, (gssize)parts->last);
    return take_whole(views, taken, text->str, text->len, error);
}

/* Its disks alone, if it differs from its base in sources alone; NULL without an error else.
 */
static VmpDomain *
read_disks(const VmpDomainSources *sources, const VmpStoreParts *parts)
{
    g_autoptr(GPtrArray) values = vmp_domain_sources_match(sources, parts->first, parts->last,
                                                           parts->middle, parts->length);
    g_autofree char *disks = values ? vmp_domain_sources_fill_disks(sources, values) : NULL;

    return disks ? vmp_domain_parse(disks, -1, NULL) : NULL;
}

static gint64
take_like(VmpBulkViews *views, Taken *taken, GError **error)
{
    if (!load_like(views, taken, error))
        return 0;
    const VmpDomainSources *sources = find_sources(views, taken->parts.base);
    if (!sources) {
        gsize length;
        g_autofree char *base =
            vmp_store_get_definition(views->store, taken->parts.base, &length, error);
        return base ? take_together(views, taken, base, length, error) : 0;
    }

    gsize length;
    const char *base = vmp_domain_sources_get_text(sources, &length);
    if (!check_cut(views, taken, base, length, error))
        return 0;
    VmpDomain *domain = read_disks(sources, &taken->parts);
    if (!domain)
        return take_together(views, taken, base, length, error);
    gint64 id = vmp_store_put_definition_parts(views->store, &taken->parts, error);
    remember_view(views, id, domain);
    return id;
}

gboolean
vmp_bulk_views_take(VmpBulkViews *views, const VmpXmlPiece *piece, GError **error)
{
    g_auto(Taken) taken = { .line = piece->line };
    g_autoptr(VmpXmlDoc) tag = vmp_xml_piece_read_text(piece, views->what, &taken.parts.middle,
                                                       &taken.parts.length, error);

    if (!tag)
        return FALSE;
    g_autoptr(GError) failure = NULL;
    if (!read_attributes(views, vmp_xml_root(tag), &taken, &failure)) {
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "%s: ", views->what);
        return FALSE;
    }
    Definition definition = {
        .id = taken.like
                  ? take_like(views, &taken, error)
                  : take_whole(views, &taken, taken.parts.middle, taken.parts.length, error),
    };
    if (definition.id == 0)
        return FALSE;
    definition.inactive = taken.inactive;
    g_array_append_val(views->definitions, definition);
    g_hash_table_add(views->unused, GUINT_TO_POINTER(views->definitions->len));
    return g_hash_table_size(views->unused) <= 2 || vmp_bulk_views_check_used(views, error);
}

gboolean
vmp_bulk_views_check_used(VmpBulkViews *views, GError **error)
{
    GHashTableIter iter;
    gpointer number;

    g_hash_table_iter_init(&iter, views->unused);
    if (!g_hash_table_iter_next(&iter, &number, NULL))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_INVALID,
                    "%s: definition %u is not used by the point that follows it", views->what,
                    GPOINTER_TO_UINT(number));
}

gint64
vmp_bulk_views_use(VmpBulkViews *views, guint64 number, gboolean inactive, GError **error)
{
    if (number == 0 || number > views->definitions->len) {
        vmp_fail(error, VMP_ERROR_INVALID,
                 "ref='%" G_GUINT64_FORMAT "' is no definition before it", number);
        return 0;
    }
    const Definition *definition = &g_array_index(views->definitions, Definition, number - 1);
    if (definition->inactive != inactive) {
        vmp_fail(error, VMP_ERROR_INVALID, "definition %" G_GUINT64_FORMAT " is no <%s>",
                 number, inactive ? "inactiveDomain" : "domain");
        return 0;
    }
    g_hash_table_remove(views->unused, GUINT_TO_POINTER((guint)number));
    return definition->id;
}
