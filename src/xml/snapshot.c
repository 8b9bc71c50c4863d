/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <domainsnapshot>.
 *
 * Order of elements, as libvirt writes them: name, description, state, parent,
 * creationTime, memory, disks, revertDisks, domain, inactiveDomain, cookie, active.
 *
 * <domain>, <inactiveDomain>, <cookie> and the sources of network disks are kept as the
 * bytes that they were.  Formatting puts two blanks in front of their first line and
 * leaves the others alone; parsing takes from '<' to '>'.  So a dump that is redefined
 * and dumped again is the same to the byte, whoever wrote it first and however it was
 * indented.
 *
 * Elements that are not known are skipped, as libvirt skips them: it validates a
 * snapshot only when it is asked to.
 */

#include <vmpoint/snapshot-record.h>

#include "base/error.h"
#include "base/nbd-uri.h"
#include "xml/domain-private.h"
#include "xml/markup.h"
#include "xml/name.h"
#include "xml/nbd-source.h"
#include "xml/reader.h"
#include "xml/snapshot-disk.h"
#include "xml/strict.h"

#define CHILD_OF_SOURCE "\n        " /* the place of <disks><disk><source><seclabel> */

VmpSnapshotDisk *
vmp_snapshot_disk_new(const char *name)
{
    VmpSnapshotDisk *disk = g_new0(VmpSnapshotDisk, 1);

    disk->name = g_strdup(name);
    disk->type = VMP_STORAGE_FILE;
    return disk;
}

void
vmp_snapshot_disk_free(VmpSnapshotDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->name);
    g_free(disk->source);
    g_free(disk->driver);
    g_free(disk->source_xml);
    g_free(disk->source_extra_xml);
    g_free(disk);
}

void
vmp_snapshot_disk_move(VmpSnapshotDisk *disk, const char *place, const char *format)
{
    g_autofree char *source = g_strdup(place);
    g_autofree char *driver = g_strdup(format);

    disk->type = vmp_nbd_uri_is(place) ? VMP_STORAGE_NETWORK : VMP_STORAGE_FILE;
    g_free(disk->source);
    disk->source = g_steal_pointer(&source);
    g_free(disk->driver);
    disk->driver = g_steal_pointer(&driver);
    g_clear_pointer(&disk->source_xml, g_free);
}

static VmpSnapshotDisk *
copy_disk(const VmpSnapshotDisk *disk)
{
    VmpSnapshotDisk *copy = g_memdup2(disk, sizeof(*disk));

    copy->name = g_strdup(disk->name);
    copy->source = g_strdup(disk->source);
    copy->driver = g_strdup(disk->driver);
    copy->source_xml = g_strdup(disk->source_xml);
    copy->source_extra_xml = g_strdup(disk->source_extra_xml);
    return copy;
}

static GPtrArray *
new_disks(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)vmp_snapshot_disk_free);
}

static GPtrArray *
copy_disks(GPtrArray *disks)
{
    GPtrArray *copy = disks ? new_disks() : NULL;

    for (guint i = 0; disks && i < disks->len; i++)
        g_ptr_array_add(copy, copy_disk(g_ptr_array_index(disks, i)));
    return copy;
}

VmpSnapshot *
vmp_snapshot_new(void)
{
    VmpSnapshot *snapshot = g_new0(VmpSnapshot, 1);

    snapshot->disks = new_disks();
    snapshot->active = -1;
    return snapshot;
}

VmpSnapshot *
vmp_snapshot_copy(const VmpSnapshot *snapshot)
{
    VmpSnapshot *copy = g_memdup2(snapshot, sizeof(*snapshot));

    copy->name = g_strdup(snapshot->name);
    copy->description = g_strdup(snapshot->description);
    copy->parent = g_strdup(snapshot->parent);
    copy->memory_file = g_strdup(snapshot->memory_file);
    copy->disks = copy_disks(snapshot->disks);
    copy->revert_disks = copy_disks(snapshot->revert_disks);
    copy->domain_xml = g_strdup(snapshot->domain_xml);
    copy->inactive_domain_xml = g_strdup(snapshot->inactive_domain_xml);
    copy->domain_uuid = g_strdup(snapshot->domain_uuid);
    copy->cookie_xml = g_strdup(snapshot->cookie_xml);
    return copy;
}

void
vmp_snapshot_free(VmpSnapshot *snapshot)
{
    if (!snapshot)
        return;
    g_free(snapshot->name);
    g_free(snapshot->description);
    g_free(snapshot->parent);
    g_free(snapshot->memory_file);
    g_ptr_array_unref(snapshot->disks);
    g_clear_pointer(&snapshot->revert_disks, g_ptr_array_unref);
    g_free(snapshot->domain_xml);
    g_free(snapshot->inactive_domain_xml);
    g_free(snapshot->domain_uuid);
    g_free(snapshot->cookie_xml);
    g_free(snapshot);
}

VmpSnapshotDisk *
vmp_snapshot_find_disk(const VmpSnapshot *snapshot, const char *name)
{
    for (guint i = 0; i < snapshot->disks->len; i++) {
        VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);

        if (g_str_equal(disk->name, name))
            return disk;
    }
    return NULL;
}

static gboolean
has_disk_at(const VmpSnapshot *snapshot, VmpLocation location)
{
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);

        if (disk->location == location)
            return TRUE;
    }
    return FALSE;
}

VmpLocation
vmp_snapshot_get_location(const VmpSnapshot *snapshot)
{
    static const VmpLocation order[] = { VMP_LOCATION_EXTERNAL, VMP_LOCATION_INTERNAL };

    for (guint i = 0; i < G_N_ELEMENTS(order); i++)
        if (snapshot->memory == order[i] || has_disk_at(snapshot, order[i]))
            return order[i];
    return VMP_LOCATION_NO;
}

/* Parsing. */

static gboolean
is_off(const VmpSnapshot *snapshot)
{
    return snapshot->state == VMP_STATE_SHUTOFF || snapshot->state == VMP_STATE_DISK_SNAPSHOT;
}

static gboolean
fail_text(const xmlNode *node, const char *text, const char *why, GError **error)
{
    g_autofree char *quoted = vmp_name_quote(text);

    return vmp_xml_fail(node, error, "%s %s", quoted, why);
}

/* A file or a block device: what of <source> is not the path is kept as it is. */
static gboolean
read_local_source(VmpSnapshotDisk *disk, const xmlNode *source, GError **error)
{
    const char *attribute = disk->type == VMP_STORAGE_BLOCK ? "dev" : "file";

    if (!source)
        return TRUE;
    disk->source_extra_xml = vmp_xml_serialize_children(source, CHILD_OF_SOURCE);
    return vmp_xml_attribute_path(source, attribute, &disk->source, error);
}

static gboolean
read_network_source(VmpSnapshotDisk *disk, const xmlNode *source, GError **error)
{
    if (!source)
        return TRUE;
    disk->source_xml = vmp_xml_serialize(source);
    return disk->type != VMP_STORAGE_NETWORK ||
           vmp_nbd_source_read_place(source, &disk->source, error);
}

static gboolean
read_source(VmpSnapshotDisk *disk, const xmlNode *node, GError **error)
{
    const xmlNode *source = vmp_xml_child(node, "source");
    g_autofree char *type = vmp_xml_attribute(node, "type");

    if (type && !vmp_storage_type_from_name(type, &disk->type))
        return vmp_xml_fail_value(node, "type", type, "is not known", error);
    if (disk->type == VMP_STORAGE_DIR || disk->type == VMP_STORAGE_VOLUME)
        return vmp_xml_fail_value(node, "type", type, "cannot hold a snapshot", error);
    if (disk->type == VMP_STORAGE_FILE || disk->type == VMP_STORAGE_BLOCK)
        return read_local_source(disk, source, error);
    return read_network_source(disk, source, error);
}

static gboolean
read_driver(VmpSnapshotDisk *disk, const xmlNode *node, GError **error)
{
    const xmlNode *driver = vmp_xml_child(node, "driver");
    const xmlNode *max_size = vmp_xml_find(driver, "metadata_cache/max_size");

    disk->driver = vmp_xml_attribute(driver, "type");
    if (disk->driver && !vmp_xml_is_word_of(disk->driver, VMP_IMAGE_FORMATS_BACKED))
        return vmp_xml_fail_value(driver, "type", disk->driver,
                                  "is not a format that can have a backing file", error);
    return vmp_xml_text_size(max_size, "b", &disk->metadata_cache_size, error);
}

static gboolean
read_disk_location(VmpSnapshotDisk *disk, const xmlNode *node, GError **error)
{
    g_autofree char *snapshot = vmp_xml_attribute(node, "snapshot");

    if (snapshot && !vmp_location_from_name(snapshot, &disk->location))
        return vmp_xml_fail_value(node, "snapshot", snapshot, "is not known", error);

    /* A place or a format for the overlay says that there is to be one. */
    if (!snapshot && (disk->source || disk->source_xml || disk->driver))
        disk->location = VMP_LOCATION_EXTERNAL;
    if ((disk->source || disk->source_xml) && disk->location != VMP_LOCATION_EXTERNAL)
        return vmp_xml_fail_value(node, "snapshot", snapshot,
                                  "and a <source>: only external snapshots have one", error);
    return TRUE;
}

static VmpSnapshotDisk *
read_disk(const xmlNode *node, VmpSnapshotParseFlags flags, GError **error)
{
    g_autofree char *name = vmp_xml_attribute(node, "name");
    g_autoptr(VmpSnapshotDisk) disk = vmp_snapshot_disk_new(name);

    if (!name || name[0] == '\0') {
        vmp_xml_fail(node, error, "name is missing");
        return NULL;
    }
    if (!read_source(disk, node, error) || !read_driver(disk, node, error) ||
        !read_disk_location(disk, node, error))
        return NULL;
    if (flags & VMP_SNAPSHOT_PARSE_REDEFINE)
        disk->delete_in_progress = vmp_xml_child(node, "snapshotDeleteInProgress") != NULL;
    return g_steal_pointer(&disk);
}

static gboolean
read_disks(GPtrArray *disks, const xmlNode *list, VmpSnapshotParseFlags flags, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (xmlNode *node = vmp_xml_child(list, "disk"); node;
         node = vmp_xml_next(node, "disk")) {
        VmpSnapshotDisk *disk = read_disk(node, flags, error);

        if (!disk)
            return FALSE;
        g_ptr_array_add(disks, disk);
        if (!g_hash_table_add(names, disk->name))
            return vmp_xml_fail_value(node, "name", disk->name, "is given twice", error);
    }
    return TRUE;
}

static gboolean
read_memory(VmpSnapshot *snapshot, const xmlNode *root, VmpSnapshotParseFlags flags,
            GError **error)
{
    const xmlNode *node = vmp_xml_child(root, "memory");
    g_autofree char *place = vmp_xml_attribute(node, "snapshot");

    if (!vmp_xml_attribute_path(node, "file", &snapshot->memory_file, error))
        return FALSE;
    if (place && !vmp_location_from_name(place, &snapshot->memory))
        return vmp_xml_fail_value(node, "snapshot", place, "is not known", error);
    if (snapshot->memory == VMP_LOCATION_MANUAL)
        return vmp_xml_fail(node, error, "memory cannot be saved by hand (snapshot='manual')");

    if (!place && snapshot->memory_file)
        snapshot->memory = VMP_LOCATION_EXTERNAL;
    else if (!place && flags & VMP_SNAPSHOT_PARSE_REDEFINE)
        snapshot->memory = is_off(snapshot) ? VMP_LOCATION_NO : VMP_LOCATION_INTERNAL;

    gboolean is_external = snapshot->memory == VMP_LOCATION_EXTERNAL;
    if (snapshot->memory_file && !is_external)
        return vmp_xml_fail_value(node, "file", snapshot->memory_file,
                                  "requires an external snapshot of the memory", error);
    if (is_external && !snapshot->memory_file)
        return vmp_xml_fail(node, error, "an external snapshot of the memory requires file=");
    return TRUE;
}

static gboolean
read_state(VmpSnapshot *snapshot, const xmlNode *root, GError **error)
{
    const xmlNode *node = vmp_xml_child(root, "state");
    g_autofree char *state = vmp_xml_text(node);

    if (!state)
        return vmp_xml_fail(root, error,
                            "<state> is missing, a redefined snapshot must have one");
    if (!vmp_state_from_name(g_strstrip(state), &snapshot->state) ||
        snapshot->state == VMP_STATE_NOSTATE)
        return fail_text(node, state, "is not a state that a snapshot can have", error);
    return TRUE;
}

static gboolean
read_creation_time(VmpSnapshot *snapshot, const xmlNode *root, GError **error)
{
    const xmlNode *node = vmp_xml_child(root, "creationTime");
    g_autofree char *text = vmp_xml_text(node);

    if (!text)
        return vmp_xml_fail(root, error,
                            "<creationTime> is missing, a redefined snapshot must have one");
    if (!g_ascii_string_to_signed(g_strstrip(text), 10, G_MININT64, G_MAXINT64,
                                  &snapshot->creation_time, NULL))
        return fail_text(node, text, "is not a number of seconds", error);
    return TRUE;
}

/* Before libvirt 0.9.5 a snapshot said no more of its domain than the UUID; such a
 * <domain> has no type=. */
static gboolean
read_domain(VmpSnapshot *snapshot, const xmlNode *root, GError **error)
{
    const xmlNode *node = vmp_xml_child(root, "domain");
    const xmlNode *uuid = vmp_xml_child(node, "uuid");
    g_autofree char *type = vmp_xml_attribute(node, "type");

    if (!type)
        return vmp_domain_read_uuid(uuid, &snapshot->domain_uuid, error);

    g_autofree char *xml = vmp_xml_serialize(node);
    g_autoptr(VmpDomain) domain = vmp_domain_parse_part(xml, vmp_xml_line(node), error);
    if (!domain)
        return FALSE;
    snapshot->domain_uuid = g_strdup(vmp_domain_get_uuid(domain));
    snapshot->domain_xml = g_steal_pointer(&xml);
    return TRUE;
}

static gboolean
read_inactive_domain(VmpSnapshot *snapshot, const xmlNode *root, GError **error)
{
    const xmlNode *node = vmp_xml_child(root, "inactiveDomain");
    g_autofree char *xml = node ? vmp_xml_serialize(node) : NULL;
    g_autoptr(VmpDomain) domain =
        node ? vmp_domain_parse_part(xml, vmp_xml_line(node), error) : NULL;

    if (node && !domain)
        return FALSE;
    snapshot->inactive_domain_xml = g_steal_pointer(&xml);
    return TRUE;
}

static gboolean
read_captured(VmpSnapshot *snapshot, const xmlNode *root, GError **error)
{
    const xmlNode *cookie = vmp_xml_child(root, "cookie");

    if (!read_state(snapshot, root, error) || !read_creation_time(snapshot, root, error) ||
        !read_domain(snapshot, root, error) || !read_inactive_domain(snapshot, root, error))
        return FALSE;
    snapshot->parent = vmp_xml_text_or_null(vmp_xml_find(root, "parent/name"));
    if (cookie && !is_off(snapshot))
        snapshot->cookie_xml = vmp_xml_serialize(cookie);
    return TRUE;
}

static gboolean
read_revert_disks(VmpSnapshot *snapshot, const xmlNode *root, VmpSnapshotParseFlags flags,
                  GError **error)
{
    const xmlNode *list = vmp_xml_child(root, "revertDisks");

    if (!list || !(flags & VMP_SNAPSHOT_PARSE_REDEFINE))
        return TRUE;
    snapshot->revert_disks = new_disks();
    return read_disks(snapshot->revert_disks, list, flags, error);
}

static gboolean
read_active(VmpSnapshot *snapshot, const xmlNode *root, VmpSnapshotParseFlags flags,
            GError **error)
{
    const xmlNode *node = vmp_xml_child(root, "active");
    g_autofree char *text = vmp_xml_text(node);

    if (!text || !(flags & VMP_SNAPSHOT_PARSE_INTERNAL))
        return TRUE;
    if (!vmp_xml_is_word_of(g_strstrip(text), "0 1"))
        return fail_text(node, text, "is neither 0 nor 1", error);
    snapshot->active = text[0] - '0';
    return TRUE;
}

static gboolean
read_snapshot(VmpSnapshot *snapshot, const xmlNode *root, VmpSnapshotParseFlags flags,
              GError **error)
{
    snapshot->name = vmp_xml_text_or_null(vmp_xml_child(root, "name"));
    snapshot->description = vmp_xml_text_or_null(vmp_xml_child(root, "description"));
    if (flags & VMP_SNAPSHOT_PARSE_REDEFINE) {
        if (!snapshot->name)
            return vmp_xml_fail(root, error,
                                "<name> is missing, a redefined snapshot must have one");
        if (!read_captured(snapshot, root, error))
            return FALSE;
    }
    return read_memory(snapshot, root, flags, error) &&
           read_disks(snapshot->disks, vmp_xml_child(root, "disks"), flags, error) &&
           read_revert_disks(snapshot, root, flags, error) &&
           read_active(snapshot, root, flags, error);
}

VmpSnapshot *
vmp_snapshot_parse(const char *xml, gssize length, VmpSnapshotParseFlags flags, GError **error)
{
    g_autoptr(VmpXmlDoc) doc =
        vmp_xml_parse(xml, length, "domainsnapshot", "snapshot XML", error);
    if (!doc)
        return NULL;

    VMP_ERROR_CONTEXT(error, "snapshot XML");
    g_autoptr(VmpSnapshot) snapshot = vmp_snapshot_new();
    if (!read_snapshot(snapshot, vmp_xml_root(doc), flags, error))
        return NULL;
    return g_steal_pointer(&snapshot);
}

/* Formatting. */

static void
write_driver(VmpMarkup *markup, const VmpSnapshotDisk *disk)
{
    if (!disk->driver && !disk->metadata_cache_size)
        return;
    vmp_markup_open(markup, "driver");
    vmp_markup_attribute(markup, "type", disk->driver);
    if (disk->metadata_cache_size) {
        g_autofree char *size =
            g_strdup_printf("<max_size unit='bytes'>%" G_GUINT64_FORMAT "</max_size>",
                            disk->metadata_cache_size);
        vmp_markup_open(markup, "metadata_cache");
        vmp_markup_verbatim(markup, size);
        vmp_markup_close(markup, "metadata_cache");
    }
    vmp_markup_close(markup, "driver");
}

/* Markup of others, masked unless secrets may be shown. */
static void
write_foreign(VmpMarkup *markup, const char *xml, VmpSnapshotFormatFlags flags)
{
    g_autofree char *masked =
        xml && !(flags & VMP_SNAPSHOT_FORMAT_SECURE) ? vmp_domain_mask(xml) : NULL;

    vmp_markup_verbatim(markup, masked ? masked : xml);
}

static void
write_source(VmpMarkup *markup, const VmpSnapshotDisk *disk, VmpSnapshotFormatFlags flags)
{
    write_foreign(markup, disk->source_xml, flags);
    if (disk->source_xml || (!disk->source && !disk->source_extra_xml))
        return;
    vmp_markup_open(markup, "source");
    if (disk->type == VMP_STORAGE_NETWORK)
        vmp_nbd_source_write(markup, disk->source);
    else
        vmp_markup_attribute(markup, disk->type == VMP_STORAGE_BLOCK ? "dev" : "file",
                             disk->source);
    vmp_markup_verbatim(markup, disk->source_extra_xml);
    vmp_markup_close(markup, "source");
}

static void
write_disk(VmpMarkup *markup, const VmpSnapshotDisk *disk, VmpSnapshotFormatFlags flags)
{
    gboolean is_detailed = disk->source || disk->source_xml || disk->source_extra_xml ||
                           disk->driver || disk->metadata_cache_size ||
                           disk->type != VMP_STORAGE_FILE;

    vmp_markup_open(markup, "disk");
    vmp_markup_attribute(markup, "name", disk->name);
    vmp_markup_attribute(markup, "snapshot", vmp_location_name(disk->location));
    if (is_detailed) {
        vmp_markup_attribute(markup, "type", vmp_storage_type_name(disk->type));
        write_driver(markup, disk);
        write_source(markup, disk, flags);
    }
    if (disk->delete_in_progress)
        vmp_markup_verbatim(markup, "<snapshotDeleteInProgress/>");
    vmp_markup_close(markup, "disk");
}

static void
write_disks(VmpMarkup *markup, const char *name, const GPtrArray *disks,
            VmpSnapshotFormatFlags flags)
{
    if (!disks || disks->len == 0)
        return;
    vmp_markup_open(markup, name);
    for (guint i = 0; i < disks->len; i++)
        write_disk(markup, g_ptr_array_index(disks, i), flags);
    vmp_markup_close(markup, name);
}

static void
write_memory(VmpMarkup *markup, const VmpSnapshot *snapshot)
{
    if (snapshot->memory == VMP_LOCATION_UNSET)
        return;
    vmp_markup_open(markup, "memory");
    vmp_markup_attribute(markup, "snapshot", vmp_location_name(snapshot->memory));
    vmp_markup_attribute(markup, "file", snapshot->memory_file);
    vmp_markup_close(markup, "memory");
}

static void
write_domains(VmpMarkup *markup, const VmpSnapshot *snapshot, VmpSnapshotFormatFlags flags)
{
    if (snapshot->domain_xml) {
        write_foreign(markup, snapshot->domain_xml, flags);
    } else if (snapshot->domain_uuid) {
        vmp_markup_open(markup, "domain");
        vmp_markup_element(markup, "uuid", snapshot->domain_uuid);
        vmp_markup_close(markup, "domain");
    }
    write_foreign(markup, snapshot->inactive_domain_xml, flags);
}

static void
write_parent(VmpMarkup *markup, const char *parent)
{
    if (!parent)
        return;
    vmp_markup_open(markup, "parent");
    vmp_markup_element(markup, "name", parent);
    vmp_markup_close(markup, "parent");
}

char *
vmp_snapshot_format(const VmpSnapshot *snapshot, VmpSnapshotFormatFlags flags)
{
    gboolean is_captured = snapshot->state != VMP_STATE_NOSTATE;
    VmpMarkup markup = vmp_markup_begin();

    vmp_markup_open(&markup, "domainsnapshot");
    vmp_markup_element(&markup, "name", snapshot->name);
    vmp_markup_element(&markup, "description", snapshot->description);
    if (is_captured)
        vmp_markup_element(&markup, "state", vmp_state_name(snapshot->state));
    write_parent(&markup, snapshot->parent);
    if (is_captured || snapshot->creation_time)
        vmp_markup_element_int(&markup, "creationTime", snapshot->creation_time);
    write_memory(&markup, snapshot);
    write_disks(&markup, "disks", snapshot->disks, flags);
    write_disks(&markup, "revertDisks", snapshot->revert_disks, flags);
    if (!(flags & VMP_SNAPSHOT_FORMAT_NO_DOMAIN))
        write_domains(&markup, snapshot, flags);
    vmp_markup_verbatim(&markup, snapshot->cookie_xml);
    if (flags & VMP_SNAPSHOT_FORMAT_INTERNAL && snapshot->active >= 0)
        vmp_markup_element_int(&markup, "active", snapshot->active);
    vmp_markup_close(&markup, "domainsnapshot");
    return vmp_markup_finish(&markup);
}
