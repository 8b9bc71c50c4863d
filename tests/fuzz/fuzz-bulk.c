/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include "xml/domain.h"
#include "xml/sources.h"
#include "xml/split.h"

/* More seeds are in tests/data/xml/corpus. */
const char *const fuzz_seeds[] = {
    "<domainsnapshots current='a'>\n<definition id='1'>&lt;a/&gt;&#13;</definition>\n"
    "<domainsnapshot><name>a</name><!-- > "
    "--><![CDATA[</x>]]></domainsnapshot>\n</domainsnapshots>",
    "<domainsnapshots><definition id='2' like='1' first='156' "
    "last='114'>/i/b</definition></domainsnapshots>",
    "<domainsnapshots><definition id='2' like='1' first='159' last='48'>b'/&gt;&lt;target "
    "dev='vda'/&gt;&lt;/disk&gt;"
    "&lt;disk type='file'&gt;&lt;source file='/y</definition></domainsnapshots>",
    NULL,
};

#define BASE                                                                            \
    "<domain type='qemu'><name>d</name><memory>65536</memory><os><type>hvm</type></os>" \
    "<devices><disk type='file'><driver name='qemu' type='qcow2'/><source "             \
    "file='/i/a'/><target dev='vda'/></disk>"                                           \
    "<disk type='file'><source file='/i/\xc3\xa9'/><target "                            \
    "dev='vdb'/></disk></devices></domain>"

typedef struct {
    const uint8_t *data;
    size_t size, at, portion;
} Input;

static gssize
read_input(gpointer data, char *buffer, gsize size, GError **error)
{
    Input *input = data;
    size_t taken = MIN(MIN(size, input->portion), input->size - input->at);

    (void)error;
    memcpy(buffer, input->data + input->at, taken);
    input->at += taken;
    return (gssize)taken;
}

/* What is taken for a change of sources alone really is one: the text that comes of it is a
 * domain whenever its disks alone are. */
static void
check_like(const xmlNode *node, const char *middle, gsize length)
{
    g_autoptr(VmpDomainSources) sources = vmp_domain_sources_new(BASE, strlen(BASE));
    guint64 first = 0, last = 0;

    g_assert(sources);
    if (!vmp_xml_attribute_uint(node, "first", &first, NULL) ||
        !vmp_xml_attribute_uint(node, "last", &last, NULL))
        return;
    g_autoptr(GPtrArray) values =
        vmp_domain_sources_match(sources, first, last, middle, length);
    if (!values)
        return;

    g_autofree char *whole = vmp_domain_sources_fill(sources, values);
    g_autofree char *disks = vmp_domain_sources_fill_disks(sources, values);
    g_assert(strlen(whole) == first + length + last);
    g_assert(memcmp(whole + first, middle, length) == 0);
    if (!g_utf8_validate(whole, -1, NULL)) /* a character was cut: the reader looks for that */
        return;
    g_autoptr(VmpDomain) domain = vmp_domain_parse(whole, -1, NULL);
    g_autoptr(VmpDomain) alone = vmp_domain_parse(disks, -1, NULL);
    g_assert(!domain == !alone);
}

static guint
read_pieces(const uint8_t *data, size_t size, size_t portion)
{
    Input input = { data, size, 0, portion };
    g_autoptr(VmpXmlSplitter) splitter = vmp_xml_splitter_new(read_input, &input, "bulk XML");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpXmlDoc) root = vmp_xml_splitter_read_root(splitter, &error);
    VmpXmlPiece piece;
    guint pieces = 0;

    g_assert(!root == !!error);
    while (root && vmp_xml_splitter_next(splitter, &piece, &error) && piece.text) {
        g_autofree char *text = NULL;
        gsize length = 0;
        g_autoptr(VmpXmlDoc) tag =
            vmp_xml_piece_read_text(&piece, "bulk XML", &text, &length, NULL);

        g_assert(piece.text[0] == '<' && piece.text[piece.length - 1] == '>');
        if (tag)
            check_like(vmp_xml_root(tag), text, length);
        pieces++;
    }
    g_assert(!error || g_utf8_validate(error->message, -1, NULL));
    return pieces + (error ? 1000000 : 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* In whatever portions a document comes, it is the same document. */
    g_assert(read_pieces(data, size, SIZE_MAX) == read_pieces(data, size, 1));
    return 0;
}
