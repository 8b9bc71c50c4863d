/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <domainbackup>.
 *
 * Order, as libvirt writes it: incremental, server, disks; of a disk the attributes name,
 * backup, type, backupmode, incremental, exportname, exportbitmap, index, and the
 * elements driver, target or scratch.
 *
 * libvirt validates these documents against a schema, always.  So does this parser, by
 * hand, with the schema's own rules: a push disk names its type, a pull backup its
 * server.  Newer than that schema is the server that gets its socket from the caller
 * (transport='fd').  And ours is the push to somebody's NBD export, where <source> may
 * also stand in <target>, as in <disk> of a domain:
 *   <disk name='vda' type='network'>
 *     <target protocol='nbd' name='EXPORT' tls='yes'>
 *       <host name='HOST' port='PORT'/>   or   <host transport='unix' socket='PATH'/>
 */

#include <vmpoint/backup-record.h>

#include <string.h>

#include "base/error.h"
#include "xml/markup.h"
#include "xml/nbd-source.h"
#include "xml/reader.h"
#include "xml/strict.h"

#define CHILD_OF_TARGET "\n        " /* the place of <disks><disk><target><seclabel> */

VmpBackupDisk *
vmp_backup_disk_new(const char *name)
{
    VmpBackupDisk *disk = g_new0(VmpBackupDisk, 1);

    disk->name = g_strdup(name);
    disk->wanted = TRUE;
    return disk;
}

void
vmp_backup_disk_free(VmpBackupDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->name);
    g_free(disk->incremental);
    g_free(disk->target);
    g_free(disk->driver);
    g_free(disk->export_name);
    g_free(disk->export_bitmap);
    g_free(disk->extra_xml);
    g_free(disk);
}

static VmpBackupDisk *
copy_disk(const VmpBackupDisk *disk)
{
    VmpBackupDisk *copy = g_memdup2(disk, sizeof(*disk));

    copy->name = g_strdup(disk->name);
    copy->incremental = g_strdup(disk->incremental);
    copy->target = g_strdup(disk->target);
    copy->driver = g_strdup(disk->driver);
    copy->export_name = g_strdup(disk->export_name);
    copy->export_bitmap = g_strdup(disk->export_bitmap);
    copy->extra_xml = g_strdup(disk->extra_xml);
    return copy;
}

void
vmp_backup_server_free(VmpBackupServer *server)
{
    if (!server)
        return;
    g_free(server->transport);
    g_free(server->name);
    g_free(server->socket);
    g_free(server->fdgroup);
    g_free(server);
}

static VmpBackupServer *
copy_server(const VmpBackupServer *server)
{
    VmpBackupServer *copy = g_memdup2(server, sizeof(*server));

    copy->transport = g_strdup(server->transport);
    copy->name = g_strdup(server->name);
    copy->socket = g_strdup(server->socket);
    copy->fdgroup = g_strdup(server->fdgroup);
    return copy;
}

static GPtrArray *
new_disks(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)vmp_backup_disk_free);
}

VmpBackup *
vmp_backup_new(void)
{
    return g_new0(VmpBackup, 1);
}

VmpBackup *
vmp_backup_copy(const VmpBackup *backup)
{
    VmpBackup *copy = g_memdup2(backup, sizeof(*backup));

    copy->incremental = g_strdup(backup->incremental);
    copy->server = backup->server ? copy_server(backup->server) : NULL;
    copy->disks = backup->disks ? new_disks() : NULL;
    for (guint i = 0; backup->disks && i < backup->disks->len; i++)
        g_ptr_array_add(copy->disks, copy_disk(g_ptr_array_index(backup->disks, i)));
    return copy;
}

void
vmp_backup_free(VmpBackup *backup)
{
    if (!backup)
        return;
    g_free(backup->incremental);
    vmp_backup_server_free(backup->server);
    g_clear_pointer(&backup->disks, g_ptr_array_unref);
    g_free(backup);
}

VmpBackupDisk *
vmp_backup_find_disk(const VmpBackup *backup, const char *name)
{
    for (guint i = 0; backup->disks && i < backup->disks->len; i++) {
        VmpBackupDisk *disk = g_ptr_array_index(backup->disks, i);

        if (g_str_equal(disk->name, name))
            return disk;
    }
    return NULL;
}

/* Parsing. */

typedef struct {
    VmpBackupMode mode;
    gboolean is_status; /* the document was written by us: index= is known */
} Context;

static gboolean
read_tcp_server(VmpBackupServer *server, const xmlNode *node, GError **error)
{
    guint port = 0;

    if (!vmp_xml_closed(node, "tls transport name port", "", error) ||
        !vmp_xml_attribute_uint_max(node, "port", G_MAXUINT16, &port, error))
        return FALSE;
    server->name = vmp_xml_attribute(node, "name");
    server->port = (int)port;
    if (!server->name)
        return vmp_xml_fail(node, error, "transport='tcp' requires name=");
    return vmp_nbd_source_is_host(server->name) ||
           vmp_xml_fail_value(node, "name", server->name,
                              "is neither a host name nor an address", error);
}

static gboolean
read_unix_server(VmpBackupServer *server, const xmlNode *node, GError **error)
{
    if (!vmp_xml_closed(node, "tls transport socket", "", error) ||
        !vmp_xml_attribute_path(node, "socket", &server->socket, error))
        return FALSE;
    return server->socket || vmp_xml_fail(node, error, "transport='unix' requires socket=");
}

static gboolean
read_fd_server(VmpBackupServer *server, const xmlNode *node, GError **error)
{
    server->fdgroup = vmp_xml_attribute(node, "fdgroup");
    if (!vmp_xml_closed(node, "tls transport fdgroup", "", error))
        return FALSE;
    return (server->fdgroup && server->fdgroup[0] != '\0') ||
           vmp_xml_fail(node, error, "transport='fd' requires fdgroup=");
}

static gboolean
read_server(VmpBackup *backup, const xmlNode *node, GError **error)
{
    if (!vmp_xml_attribute_in(node, "transport", "tcp unix fd", error))
        return FALSE;

    VmpBackupServer *server = g_new0(VmpBackupServer, 1);
    backup->server = server;
    server->transport = vmp_xml_attribute(node, "transport");
    if (!server->transport)
        server->transport = g_strdup("tcp");
    if (!vmp_xml_attribute_yes_no(node, "tls", &server->tls, error))
        return FALSE;

    if (g_str_equal(server->transport, "tcp"))
        return read_tcp_server(server, node, error);
    if (g_str_equal(server->transport, "unix"))
        return read_unix_server(server, node, error);
    return read_fd_server(server, node, error);
}

static gboolean
read_backup_mode(VmpBackupDisk *disk, const xmlNode *node, GError **error)
{
    g_autofree char *mode = vmp_xml_attribute(node, "backupmode");

    if (!vmp_xml_attribute_in(node, "backupmode", "full incremental", error))
        return FALSE;
    disk->incremental = vmp_xml_attribute(node, "incremental");
    if (g_strcmp0(mode, "full") == 0 && disk->incremental)
        return vmp_xml_fail(node, error, "backupmode='full' allows no incremental=");
    if (mode)
        disk->mode =
            g_str_equal(mode, "full") ? VMP_BACKUP_DISK_FULL : VMP_BACKUP_DISK_INCREMENTAL;
    if (disk->incremental && disk->incremental[0] == '\0')
        g_clear_pointer(&disk->incremental, g_free);
    return TRUE;
}

/* Where a pull disk may leave out its type it must leave out backup= as well: the schema
 * has the two as a pair. */
static gboolean
check_type_is_said(const xmlNode *node, const Context *context, GError **error)
{
    if (xmlHasProp(node, (const xmlChar *)"type"))
        return TRUE;
    if (context->mode == VMP_BACKUP_MODE_PUSH)
        return vmp_xml_fail(node, error,
                            "type= is missing: 'file' or 'block' (libvirt's schema "
                            "demands it of every disk of a push backup)");
    if (xmlHasProp(node, (const xmlChar *)"backup"))
        return vmp_xml_fail(node, error, "backup='yes' and no type=: give both or none");
    return TRUE;
}

static gboolean
read_type(VmpBackupDisk *disk, const xmlNode *node, const Context *context, GError **error)
{
    g_autofree char *type = vmp_xml_attribute(node, "type");

    const char *types =
        context->mode == VMP_BACKUP_MODE_PUSH ? "file block network" : "file block";

    if (!vmp_xml_attribute_in(node, "type", types, error) ||
        !check_type_is_said(node, context, error))
        return FALSE;
    if (type)
        vmp_storage_type_from_name(type, &disk->type);
    return TRUE;
}

static gboolean
check_encryption(const xmlNode *place, GError **error)
{
    const xmlNode *encryption = vmp_xml_child(place, "encryption");
    g_autofree char *format = vmp_xml_attribute(encryption, "format");

    if (!encryption)
        return TRUE;
    if (!format)
        return vmp_xml_fail(encryption, error, "format is missing");
    return vmp_xml_attribute_in(encryption, "format", "luks", error) &&
           vmp_xml_attribute_in(encryption, "engine", "qemu", error);
}

/* Somebody's NBD export. */
static gboolean
read_network_place(VmpBackupDisk *disk, const xmlNode *place, GError **error)
{
    const xmlNode *inner = vmp_xml_child(place, "source");
    const xmlNode *source = inner ? inner : place;

    if ((inner && !vmp_xml_closed(place, "", "source", error)) ||
        !vmp_xml_closed(source, "protocol name tls", "host", error))
        return FALSE;
    disk->target = vmp_nbd_source_read(source, error);
    return disk->target != NULL;
}

/* <target> of a push disk, <scratch> of a pull disk. */
static gboolean
read_place(VmpBackupDisk *disk, const xmlNode *node, const Context *context, GError **error)
{
    const char *name = context->mode == VMP_BACKUP_MODE_PUSH ? "target" : "scratch";
    const char *attribute = disk->type == VMP_STORAGE_BLOCK ? "dev" : "file";
    const xmlNode *place = vmp_xml_child(node, name);

    if (!place && context->mode == VMP_BACKUP_MODE_PULL && disk->type == VMP_STORAGE_BLOCK)
        return vmp_xml_fail(node, error, "type='block' requires <scratch dev=...>");
    if (!place && disk->type == VMP_STORAGE_NETWORK)
        return vmp_xml_fail(node, error, "type='network' requires <target>");
    if (!place)
        return TRUE;
    if (disk->type == VMP_STORAGE_NETWORK)
        return read_network_place(disk, place, error);
    if (!vmp_xml_closed(place, attribute, "seclabel* encryption", error) ||
        !vmp_xml_attribute_path(place, attribute, &disk->target, error) ||
        !check_encryption(place, error))
        return FALSE;
    if (!disk->target || disk->target[1] == '\0')
        return vmp_xml_fail(place, error, "%s= with a path is missing", attribute);
    disk->extra_xml = vmp_xml_serialize_children(place, CHILD_OF_TARGET);
    return TRUE;
}

static gboolean
read_driver(VmpBackupDisk *disk, const xmlNode *node, const Context *context, GError **error)
{
    const xmlNode *driver = vmp_xml_child(node, "driver");
    gboolean is_pull = context->mode == VMP_BACKUP_MODE_PULL;

    if (!driver)
        return TRUE;
    if (is_pull && !disk->target)
        return vmp_xml_fail(driver, error, "is allowed next to <scratch> only");
    if (!vmp_xml_closed(driver, "type", "", error) ||
        !vmp_xml_attribute_in(driver, "type", is_pull ? "qcow2" : VMP_IMAGE_FORMATS, error))
        return FALSE;
    disk->driver = vmp_xml_attribute(driver, "type");
    return disk->driver || vmp_xml_fail(driver, error, "type is missing");
}

static gboolean
read_export(VmpBackupDisk *disk, const xmlNode *node, const Context *context, GError **error)
{
    guint index = 0;

    disk->export_name = vmp_xml_attribute(node, "exportname");
    disk->export_bitmap = vmp_xml_attribute(node, "exportbitmap");
    if (context->mode == VMP_BACKUP_MODE_PUSH && (disk->export_name || disk->export_bitmap))
        return vmp_xml_fail(node, error, "exportname= and exportbitmap= are for pull backups");
    if (!vmp_xml_attribute_uint_max(node, "index", G_MAXINT, &index, error))
        return FALSE;
    disk->index = (int)index;
    return TRUE;
}

static gboolean
check_disk_shape(const xmlNode *node, gboolean wanted, const Context *context, GError **error)
{
    const char *children =
        context->mode == VMP_BACKUP_MODE_PUSH ? "driver target" : "driver scratch";

    if (!wanted)
        return vmp_xml_closed(
            node, "name backup backupmode incremental exportname exportbitmap", "", error);
    return vmp_xml_closed(node,
                          context->is_status
                              ? "name backup type backupmode incremental exportname "
                                "exportbitmap index"
                              : "name backup type backupmode incremental exportname "
                                "exportbitmap",
                          children, error);
}

static gboolean
read_disk(VmpBackupDisk *disk, const xmlNode *node, const Context *context, GError **error)
{
    if (!vmp_xml_attribute_yes_no(node, "backup", &disk->wanted, error) ||
        !check_disk_shape(node, disk->wanted, context, error))
        return FALSE;
    if (!disk->name)
        return vmp_xml_fail(node, error, "name is missing");
    if (!vmp_xml_is_disk_target(disk->name))
        return vmp_xml_fail_value(node, "name", disk->name,
                                  "is not a disk target (a path cannot be used here)", error);
    if (!read_backup_mode(disk, node, error) || !read_export(disk, node, context, error))
        return FALSE;
    if (disk->wanted)
        return read_type(disk, node, context, error) &&
               read_place(disk, node, context, error) &&
               read_driver(disk, node, context, error);

    /* Of a disk that stays out nothing else matters. */
    disk->mode = VMP_BACKUP_DISK_UNSET;
    g_clear_pointer(&disk->incremental, g_free);
    g_clear_pointer(&disk->export_name, g_free);
    g_clear_pointer(&disk->export_bitmap, g_free);
    return TRUE;
}

static gboolean
read_disks(VmpBackup *backup, const xmlNode *list, const Context *context, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    if (!list)
        return TRUE;
    if (!vmp_xml_closed(list, "", "disk*", error))
        return FALSE;
    if (!vmp_xml_child(list, "disk"))
        return vmp_xml_fail(list, error, "an empty list: leave it out, or name a disk");

    backup->disks = new_disks();
    for (xmlNode *node = vmp_xml_child(list, "disk"); node;
         node = vmp_xml_next(node, "disk")) {
        g_autofree char *name = vmp_xml_attribute(node, "name");
        VmpBackupDisk *disk = vmp_backup_disk_new(name);

        g_ptr_array_add(backup->disks, disk);
        if (!read_disk(disk, node, context, error))
            return FALSE;
        if (!g_hash_table_add(names, disk->name))
            return vmp_xml_fail_value(node, "name", disk->name, "is given twice", error);
    }
    return TRUE;
}

static gboolean
read_backup(VmpBackup *backup, const xmlNode *root, gboolean is_status, GError **error)
{
    const xmlNode *incremental = vmp_xml_child(root, "incremental");
    const xmlNode *server = vmp_xml_child(root, "server");
    g_autofree char *mode = vmp_xml_attribute(root, "mode");
    gboolean is_pull = g_strcmp0(mode, "pull") == 0;

    if (!vmp_xml_attribute_in(root, "mode", "push pull", error) ||
        !vmp_xml_closed(root, "mode",
                        is_pull ? "incremental server disks" : "incremental disks", error) ||
        (incremental && !vmp_xml_closed(incremental, "", NULL, error)))
        return FALSE;
    if (is_pull && !server)
        return vmp_xml_fail(root, error, "a pull backup requires <server>");

    backup->mode = is_pull ? VMP_BACKUP_MODE_PULL : VMP_BACKUP_MODE_PUSH;
    backup->incremental = vmp_xml_text_or_null(incremental);
    const Context context = { backup->mode, is_status };
    return (!server || read_server(backup, server, error)) &&
           read_disks(backup, vmp_xml_child(root, "disks"), &context, error);
}

static VmpBackup *
parse(const char *xml, gssize length, gboolean is_status, GError **error)
{
    g_autoptr(VmpXmlDoc) doc = vmp_xml_parse(xml, length, "domainbackup", "backup XML", error);
    if (!doc)
        return NULL;

    VMP_ERROR_CONTEXT(error, "backup XML");
    g_autoptr(VmpBackup) backup = vmp_backup_new();
    if (!read_backup(backup, vmp_xml_root(doc), is_status, error))
        return NULL;
    return g_steal_pointer(&backup);
}

VmpBackup *
vmp_backup_parse(const char *xml, gssize length, GError **error)
{
    return parse(xml, length, FALSE, error);
}

VmpBackup *
vmp_backup_parse_status(const char *xml, gssize length, GError **error)
{
    return parse(xml, length, TRUE, error);
}

/* Formatting. */

static void
write_server(VmpMarkup *markup, const VmpBackupServer *server)
{
    if (!server)
        return;
    vmp_markup_open(markup, "server");
    vmp_markup_attribute(markup, "transport", server->transport);
    vmp_markup_attribute(markup, "tls", server->tls ? "yes" : NULL);
    vmp_markup_attribute(markup, "name", server->name);
    if (server->port)
        vmp_markup_attribute_int(markup, "port", server->port);
    vmp_markup_attribute(markup, "socket", server->socket);
    vmp_markup_attribute(markup, "fdgroup", server->fdgroup);
    vmp_markup_close(markup, "server");
}

static const char *
mode_name(VmpBackupDiskMode mode)
{
    switch (mode) {
    case VMP_BACKUP_DISK_FULL:
        return "full";
    case VMP_BACKUP_DISK_INCREMENTAL:
        return "incremental";
    case VMP_BACKUP_DISK_UNSET:
        break;
    }
    return NULL;
}

static void
write_place(VmpMarkup *markup, const VmpBackupDisk *disk, VmpBackupMode mode)
{
    const char *place = mode == VMP_BACKUP_MODE_PUSH ? "target" : "scratch";

    vmp_markup_open(markup, place);
    if (disk->type == VMP_STORAGE_NETWORK)
        vmp_nbd_source_write(markup, disk->target);
    else
        vmp_markup_attribute(markup, disk->type == VMP_STORAGE_BLOCK ? "dev" : "file",
                             disk->target);
    vmp_markup_verbatim(markup, disk->extra_xml);
    vmp_markup_close(markup, place);
}

static void
write_wanted_disk(VmpMarkup *markup, const VmpBackupDisk *disk, VmpBackupMode mode)
{
    /* A pull disk of which nothing was said yet stays as short as it came in. */
    gboolean has_type = disk->type != VMP_STORAGE_NONE || mode == VMP_BACKUP_MODE_PUSH;

    if (has_type) {
        vmp_markup_attribute(markup, "backup", "yes");
        vmp_markup_attribute(
            markup, "type",
            disk->type == VMP_STORAGE_NONE ? "file" : vmp_storage_type_name(disk->type));
    }
    vmp_markup_attribute(markup, "backupmode", mode_name(disk->mode));
    vmp_markup_attribute(markup, "incremental", disk->incremental);
    vmp_markup_attribute(markup, "exportname", disk->export_name);
    vmp_markup_attribute(markup, "exportbitmap", disk->export_bitmap);
    if (disk->index)
        vmp_markup_attribute_int(markup, "index", disk->index);

    if (disk->driver) {
        vmp_markup_open(markup, "driver");
        vmp_markup_attribute(markup, "type", disk->driver);
        vmp_markup_close(markup, "driver");
    }
    if (disk->target)
        write_place(markup, disk, mode);
}

static void
write_disk(VmpMarkup *markup, const VmpBackupDisk *disk, VmpBackupMode mode)
{
    vmp_markup_open(markup, "disk");
    vmp_markup_attribute(markup, "name", disk->name);
    if (disk->wanted)
        write_wanted_disk(markup, disk, mode);
    else
        vmp_markup_attribute(markup, "backup", "no");
    vmp_markup_close(markup, "disk");
}

char *
vmp_backup_format(const VmpBackup *backup)
{
    VmpMarkup markup = vmp_markup_begin();

    vmp_markup_open(&markup, "domainbackup");
    vmp_markup_attribute(&markup, "mode",
                         backup->mode == VMP_BACKUP_MODE_PULL ? "pull" : "push");
    vmp_markup_element(&markup, "incremental", backup->incremental);
    write_server(&markup, backup->server);
    if (backup->disks && backup->disks->len > 0) {
        vmp_markup_open(&markup, "disks");
        for (guint i = 0; i < backup->disks->len; i++)
            write_disk(&markup, g_ptr_array_index(backup->disks, i), backup->mode);
        vmp_markup_close(&markup, "disks");
    }
    vmp_markup_close(&markup, "domainbackup");
    return vmp_markup_finish(&markup);
}
