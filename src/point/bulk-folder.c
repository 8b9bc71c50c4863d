/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A folder of single documents, one a file: dumps, or what libvirt keeps of a domain's
 * snapshots itself (/var/lib/libvirt/qemu/snapshot/DOMAIN).
 *
 * All files are looked at for name and parent, then taken parents first.
 */

#include <string.h>

#include "base/error.h"
#include "point/bulk-read.h"
#include "point/bulk.h"
#include "xml/reader.h"

typedef struct {
    char *path;
    char *name;
    char *parent; /* or NULL */
} File;

static void
file_free(File *file)
{
    g_free(file->path);
    g_free(file->name);
    g_free(file->parent);
    g_free(file);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(File, file_free)

typedef struct {
    VmpPointKind kind;
    GPtrArray *files;    /* of File, by path */
    GHashTable *by_name; /* name -> File */
    char *current;       /* name; or NULL */
} Folder;

static void
folder_clear(Folder *folder)
{
    g_hash_table_unref(folder->by_name);
    g_ptr_array_unref(folder->files);
    g_free(folder->current);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Folder, folder_clear)

static int
compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const File *const *)a)->path, (*(const File *const *)b)->path);
}

static gboolean
list_files(Folder *folder, const char *path, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &failure);
    int code = g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? VMP_ERROR_NOT_FOUND
                                                                          : VMP_ERROR_IO;

    if (!dir)
        return vmp_fail(error, code, "cannot read folder '%s': %s", path, failure->message);
    for (const char *name; (name = g_dir_read_name(dir));) {
        if (!g_str_has_suffix(name, ".xml") || name[0] == '.')
            continue;
        File *file = g_new0(File, 1);
        file->path = g_build_filename(path, name, NULL);
        g_ptr_array_add(folder->files, file);
    }
    if (folder->files->len == 0)
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "there is no *.xml in '%s'", path);
    g_ptr_array_sort(folder->files, compare_paths);
    return TRUE;
}

static char *
load(const char *path, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *text = NULL;
    gsize length;

    /* The reader refuses what is longer than it takes; a NUL byte ends the text early and
     * leaves it malformed. */
    if (!g_file_get_contents(path, &text, &length, &failure))
        return vmp_fail_null(error, VMP_ERROR_IO, "%s", failure->message);
    if (strlen(text) != length)
        return vmp_fail_null(error, VMP_ERROR_INVALID, "a NUL byte");
    return g_steal_pointer(&text);
}

/* libvirt's own files say which snapshot is current. */
static gboolean
note_current(Folder *folder, const File *file, const xmlNode *root, GError **error)
{
    g_autofree char *active = vmp_xml_text(vmp_xml_child(root, "active"));

    if (folder->kind != VMP_POINT_SNAPSHOT || !active || strcmp(g_strstrip(active), "1") != 0)
        return TRUE;
    if (folder->current)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "both '%s' and '%s' say that they are the current snapshot",
                        folder->current, file->name);
    folder->current = g_strdup(file->name);
    return TRUE;
}

static gboolean
look(Folder *folder, File *file, GError **error)
{
    VMP_ERROR_CONTEXT(error, "%s", file->path);
    g_autofree char *text = load(file->path, error);
    g_autoptr(VmpXmlDoc) doc =
        text ? vmp_xml_parse(text, -1, vmp_bulk_point_name(folder->kind), "XML", error) : NULL;
    if (!doc)
        return FALSE;

    const xmlNode *root = vmp_xml_root(doc);
    file->name = vmp_xml_text_or_null(vmp_xml_child(root, "name"));
    file->parent = vmp_xml_text_or_null(vmp_xml_find(root, "parent/name"));
    if (!file->name)
        return vmp_fail(error, VMP_ERROR_INVALID, "<name> is missing");
    const File *other = g_hash_table_lookup(folder->by_name, file->name);
    if (other)
        return vmp_fail(error, VMP_ERROR_INVALID, "'%s' is in %s as well", file->name,
                        other->path);
    g_hash_table_insert(folder->by_name, file->name, file);
    return note_current(folder, file, root, error);
}

static gboolean
take_file(VmpBulkRead *bulk, const File *file, GError **error)
{
    static const VmpBulkDomains none = { 0 };
    VMP_ERROR_CONTEXT(error, "%s", file->path);
    g_autofree char *text = load(file->path, error);

    return text && vmp_bulk_read_put(bulk, text, &none, error);
}

/* @file and those above it that were not yet taken, topmost first.  A cycle is left as it
 * is: its first file then has a parent that is not there. */
static gboolean
take_line(Folder *folder, VmpBulkRead *bulk, File *file, GError **error)
{
    g_autoptr(GPtrArray) line = g_ptr_array_new();

    while (file && g_hash_table_steal(folder->by_name, file->name)) {
        g_ptr_array_add(line, file);
        file = file->parent ? g_hash_table_lookup(folder->by_name, file->parent) : NULL;
    }
    for (guint i = line->len; i > 0; i--)
        if (!take_file(bulk, g_ptr_array_index(line, i - 1), error))
            return FALSE;
    return TRUE;
}

gint64
vmp_bulk_read_folder(VmpMachine *machine, VmpPointKind kind, guint flags, const char *path,
                     GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    g_auto(Folder) folder = {
        .kind = kind,
        .files = g_ptr_array_new_with_free_func((GDestroyNotify)file_free),
        .by_name = g_hash_table_new(g_str_hash, g_str_equal),
    };

    if (!list_files(&folder, path, error))
        return -1;
    for (guint i = 0; i < folder.files->len; i++)
        if (!look(&folder, g_ptr_array_index(folder.files, i), error))
            return -1;
    g_autoptr(VmpBulkRead) bulk = vmp_bulk_read_new(machine, kind, flags, error);
    for (guint i = 0; bulk && i < folder.files->len; i++)
        if (!take_line(&folder, bulk, g_ptr_array_index(folder.files, i), error))
            return -1;
    return bulk ? vmp_bulk_read_finish(bulk, folder.current, error) : -1;
}
