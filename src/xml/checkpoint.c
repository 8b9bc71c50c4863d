/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <domaincheckpoint>.
 *
 * Order of elements, as libvirt writes them: name, description, parent, creationTime,
 * disks, domain.  <domain> is kept as the bytes that it was, see snapshot.c.
 *
 * libvirt validates these documents against a schema, always.  So does this parser, by
 * hand: what is not listed is refused, also in parts that creating does not read.
 */

#include <vmpoint/checkpoint-record.h>

#include <string.h>

#include "base/error.h"
#include "xml/domain.h"
#include "xml/markup.h"
#include "xml/name.h"
#include "xml/reader.h"
#include "xml/strict.h"

VmpCheckpointDisk *
vmp_checkpoint_disk_new(const char *name)
{
    VmpCheckpointDisk *disk = g_new0(VmpCheckpointDisk, 1);

    disk->name = g_strdup(name);
    disk->wanted = TRUE;
    disk->size = -1;
    return disk;
}

void
vmp_checkpoint_disk_free(VmpCheckpointDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->name);
    g_free(disk->bitmap);
    g_free(disk);
}

static VmpCheckpointDisk *
copy_disk(const VmpCheckpointDisk *disk)
{
    VmpCheckpointDisk *copy = g_memdup2(disk, sizeof(*disk));

    copy->name = g_strdup(disk->name);
    copy->bitmap = g_strdup(disk->bitmap);
    return copy;
}

static GPtrArray *
new_disks(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_free);
}

VmpCheckpoint *
vmp_checkpoint_new(void)
{
    VmpCheckpoint *checkpoint = g_new0(VmpCheckpoint, 1);

    checkpoint->creation_time = -1;
    return checkpoint;
}

VmpCheckpoint *
vmp_checkpoint_copy(const VmpCheckpoint *checkpoint)
{
    VmpCheckpoint *copy = g_memdup2(checkpoint, sizeof(*checkpoint));

    copy->name = g_strdup(checkpoint->name);
    copy->description = g_strdup(checkpoint->description);
    copy->parent = g_strdup(checkpoint->parent);
    copy->domain_xml = g_strdup(checkpoint->domain_xml);
    copy->domain_uuid = g_strdup(checkpoint->domain_uuid);
    copy->disks = checkpoint->disks ? new_disks() : NULL;
    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++)
        g_ptr_array_add(copy->disks, copy_disk(g_ptr_array_index(checkpoint->disks, i)));
    return copy;
}

void
vmp_checkpoint_free(VmpCheckpoint *checkpoint)
{
    if (!checkpoint)
        return;
    g_free(checkpoint->name);
    g_free(checkpoint->description);
    g_free(checkpoint->parent);
    g_clear_pointer(&checkpoint->disks, g_ptr_array_unref);
    g_free(checkpoint->domain_xml);
    g_free(checkpoint->domain_uuid);
    g_free(checkpoint);
}

VmpCheckpointDisk *
vmp_checkpoint_find_disk(const VmpCheckpoint *checkpoint, const char *name)
{
    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++) {
        VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);

        if (g_str_equal(disk->name, name))
            return disk;
    }
    return NULL;
}

/* Parsing. */

/* NULL without an error if there is no such element. */
static gboolean
read_name(const xmlNode *node, char **name, GError **error)
{
    g_autofree char *text = vmp_xml_text(node);
    g_autoptr(GError) reason = NULL;

    if (!text)
        return TRUE;
    if (!vmp_xml_closed(node, "", NULL, error))
        return FALSE;
    if (!vmp_checkpoint_name_check(text, &reason))
        return vmp_xml_fail(node, error, "%s", reason->message);
    *name = g_steal_pointer(&text);
    return TRUE;
}

static gboolean
read_disk(VmpCheckpointDisk *disk, const xmlNode *node, GError **error)
{
    g_autofree char *checkpoint = vmp_xml_attribute(node, "checkpoint");
    guint64 size = 0;

    if (!vmp_xml_closed(node, "name checkpoint bitmap size", "", error) ||
        !vmp_xml_attribute_in(node, "checkpoint", "no bitmap", error) ||
        !vmp_xml_attribute_uint(node, "size", &size, error))
        return FALSE;
    if (!disk->name)
        return vmp_xml_fail(node, error, "name is missing");
    if (!vmp_xml_is_disk_target(disk->name) && (disk->name[0] != '/' || disk->name[1] == '\0'))
        return vmp_xml_fail_value(node, "name", disk->name,
                                  "is neither a disk target nor an absolute path", error);

    disk->bitmap_set = checkpoint != NULL;
    disk->wanted = g_strcmp0(checkpoint, "no") != 0;
    disk->bitmap = vmp_xml_attribute(node, "bitmap");
    if (!disk->wanted && (disk->bitmap || xmlHasProp(node, (const xmlChar *)"size")))
        return vmp_xml_fail(node, error, "checkpoint='no' allows neither bitmap= nor size=");
    if (disk->bitmap && disk->bitmap[0] == '\0')
        g_clear_pointer(&disk->bitmap, g_free);
    return TRUE;
}

static gboolean
read_disks(VmpCheckpoint *checkpoint, const xmlNode *list, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    if (!list)
        return TRUE;
    if (!vmp_xml_closed(list, "", "disk*", error))
        return FALSE;
    if (!vmp_xml_child(list, "disk"))
        return vmp_xml_fail(list, error, "an empty list: leave it out, or name a disk");

    checkpoint->disks = new_disks();
    for (xmlNode *node = vmp_xml_child(list, "disk"); node;
         node = vmp_xml_next(node, "disk")) {
        g_autofree char *name = vmp_xml_attribute(node, "name");
        VmpCheckpointDisk *disk = vmp_checkpoint_disk_new(name);

        g_ptr_array_add(checkpoint->disks, disk);
        if (!read_disk(disk, node, error))
            return FALSE;
        if (!g_hash_table_add(names, disk->name))
            return vmp_xml_fail_value(node, "name", disk->name, "is given twice", error);
    }
    return TRUE;
}

static gboolean
read_creation_time(VmpCheckpoint *checkpoint, const xmlNode *node, GError **error)
{
    g_autofree char *text = vmp_xml_text(node);
    guint64 seconds = 0;

    if (!text)
        return TRUE;
    if (!vmp_xml_closed(node, "", NULL, error))
        return FALSE;
    if (!vmp_xml_parse_uint(g_strstrip(text), &seconds) || seconds > G_MAXINT64) {
        g_autofree char *quoted = vmp_name_quote(text);
        return vmp_xml_fail(node, error, "%s is not a number of seconds", quoted);
    }
    checkpoint->creation_time = (gint64)seconds;
    return TRUE;
}

static gboolean
read_parent(VmpCheckpoint *checkpoint, const xmlNode *node, GError **error)
{
    if (!node)
        return TRUE;
    if (!vmp_xml_closed(node, "", "name", error))
        return FALSE;
    if (!vmp_xml_child(node, "name"))
        return vmp_xml_fail(node, error, "<name> is missing");
    return read_name(vmp_xml_child(node, "name"), &checkpoint->parent, error);
}

static gboolean
read_domain(VmpCheckpoint *checkpoint, const xmlNode *node, GError **error)
{
    if (!node)
        return TRUE;

    g_autofree char *type = vmp_xml_attribute(node, "type");
    if (!type)
        return vmp_xml_fail(node, error,
                            "must be a complete domain; a uuid alone is not enough");

    g_autofree char *xml = vmp_xml_serialize(node);
    g_autoptr(VmpDomain) domain = vmp_domain_parse_part(xml, vmp_xml_line(node), error);
    if (!domain)
        return FALSE;
    checkpoint->domain_uuid = g_strdup(vmp_domain_get_uuid(domain));
    checkpoint->domain_xml = g_steal_pointer(&xml);
    return TRUE;
}

static gboolean
read_checkpoint(VmpCheckpoint *checkpoint, const xmlNode *root, GError **error)
{
    const xmlNode *description = vmp_xml_child(root, "description");

    if (!vmp_xml_closed(root, "", "name description creationTime disks domain parent",
                        error) ||
        (description && !vmp_xml_closed(description, "", NULL, error)))
        return FALSE;
    checkpoint->description = vmp_xml_text_or_null(description);
    return read_name(vmp_xml_child(root, "name"), &checkpoint->name, error) &&
           read_creation_time(checkpoint, vmp_xml_child(root, "creationTime"), error) &&
           read_disks(checkpoint, vmp_xml_child(root, "disks"), error) &&
           read_parent(checkpoint, vmp_xml_child(root, "parent"), error) &&
           read_domain(checkpoint, vmp_xml_child(root, "domain"), error);
}

static gboolean
check_redefine(const xmlNode *root, GError **error)
{
    static const char *const demanded[] = { "name", "creationTime" };

    for (guint i = 0; i < G_N_ELEMENTS(demanded); i++)
        if (!vmp_xml_child(root, demanded[i]))
            return vmp_xml_fail(root, error,
                                "<%s> is missing, a redefined checkpoint must have one",
                                demanded[i]);
    return TRUE;
}

/* Creating decides these itself. */
static void
forget_captured(VmpCheckpoint *checkpoint)
{
    checkpoint->creation_time = -1;
    g_clear_pointer(&checkpoint->parent, g_free);
    g_clear_pointer(&checkpoint->domain_xml, g_free);
    g_clear_pointer(&checkpoint->domain_uuid, g_free);
}

VmpCheckpoint *
vmp_checkpoint_parse(const char *xml, gssize length, VmpCheckpointParseFlags flags,
                     GError **error)
{
    g_autoptr(VmpXmlDoc) doc =
        vmp_xml_parse(xml, length, "domaincheckpoint", "checkpoint XML", error);
    if (!doc)
        return NULL;

    VMP_ERROR_CONTEXT(error, "checkpoint XML");
    g_autoptr(VmpCheckpoint) checkpoint = vmp_checkpoint_new();
    if (!read_checkpoint(checkpoint, vmp_xml_root(doc), error))
        return NULL;
    if (!(flags & VMP_CHECKPOINT_PARSE_REDEFINE))
        forget_captured(checkpoint);
    else if (!check_redefine(vmp_xml_root(doc), error))
        return NULL;
    return g_steal_pointer(&checkpoint);
}

/* Formatting. */

static void
write_disk(VmpMarkup *markup, const VmpCheckpointDisk *disk, VmpCheckpointFormatFlags flags)
{
    vmp_markup_open(markup, "disk");
    vmp_markup_attribute(markup, "name", disk->name);
    if (!disk->wanted)
        vmp_markup_attribute(markup, "checkpoint", "no");
    else if (disk->bitmap_set)
        vmp_markup_attribute(markup, "checkpoint", "bitmap");
    if (disk->wanted)
        vmp_markup_attribute(markup, "bitmap", disk->bitmap);
    if (disk->wanted && disk->size >= 0 && flags & VMP_CHECKPOINT_FORMAT_SIZE)
        vmp_markup_attribute_int(markup, "size", disk->size);
    vmp_markup_close(markup, "disk");
}

static void
write_disks(VmpMarkup *markup, const GPtrArray *disks, VmpCheckpointFormatFlags flags)
{
    if (!disks || disks->len == 0)
        return;
    vmp_markup_open(markup, "disks");
    for (guint i = 0; i < disks->len; i++)
        write_disk(markup, g_ptr_array_index(disks, i), flags);
    vmp_markup_close(markup, "disks");
}

static void
write_domain(VmpMarkup *markup, const char *xml, VmpCheckpointFormatFlags flags)
{
    if (!xml || flags & VMP_CHECKPOINT_FORMAT_NO_DOMAIN)
        return;
    g_autofree char *masked =
        flags & VMP_CHECKPOINT_FORMAT_SECURE ? NULL : vmp_domain_mask(xml);

    vmp_markup_verbatim(markup, masked ? masked : xml);
}

char *
vmp_checkpoint_format(const VmpCheckpoint *checkpoint, VmpCheckpointFormatFlags flags)
{
    VmpMarkup markup = vmp_markup_begin();

    vmp_markup_open(&markup, "domaincheckpoint");
    vmp_markup_element(&markup, "name", checkpoint->name);
    vmp_markup_element(&markup, "description", checkpoint->description);
    if (checkpoint->parent) {
        vmp_markup_open(&markup, "parent");
        vmp_markup_element(&markup, "name", checkpoint->parent);
        vmp_markup_close(&markup, "parent");
    }
    if (checkpoint->creation_time >= 0)
        vmp_markup_element_int(&markup, "creationTime", checkpoint->creation_time);
    write_disks(&markup, checkpoint->disks, flags);
    write_domain(&markup, checkpoint->domain_xml, flags);
    vmp_markup_close(&markup, "domaincheckpoint");
    return vmp_markup_finish(&markup);
}
