/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/manifest.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"

static void
file_free(VmpManifestFile *file)
{
    g_free(file->name);
    g_free(file->sha256);
    g_free(file);
}

static void
disk_free(VmpManifestDisk *disk)
{
    g_free(disk->name);
    g_free(disk->image);
    g_free(disk->blocks);
    g_free(disk->why_full);
    g_free(disk->backing);
    g_free(disk->view);
    g_free(disk);
}

VmpManifest *
vmp_manifest_new(void)
{
    VmpManifest *manifest = g_new0(VmpManifest, 1);

    manifest->files = g_ptr_array_new_with_free_func((GDestroyNotify)file_free);
    manifest->disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free);
    return manifest;
}

void
vmp_manifest_free(VmpManifest *manifest)
{
    if (!manifest)
        return;
    g_free(manifest->name);
    g_free(manifest->repository);
    g_free(manifest->domain);
    g_free(manifest->uuid);
    g_free(manifest->parent);
    g_free(manifest->checkpoint);
    g_free(manifest->state);
    g_free(manifest->nvram);
    g_free(manifest->tpm);
    g_ptr_array_unref(manifest->files);
    g_ptr_array_unref(manifest->disks);
    g_free(manifest);
}

void
vmp_manifest_add_file(VmpManifest *manifest, const char *name, guint64 size,
                      const char *sha256)
{
    VmpManifestFile *file = g_new0(VmpManifestFile, 1);

    file->name = g_strdup(name);
    file->size = size;
    file->sha256 = g_strdup(sha256);
    g_ptr_array_add(manifest->files, file);
}

VmpManifestDisk *
vmp_manifest_add_disk(VmpManifest *manifest, const char *name)
{
    VmpManifestDisk *disk = g_new0(VmpManifestDisk, 1);

    disk->name = g_strdup(name);
    g_ptr_array_add(manifest->disks, disk);
    return disk;
}

const VmpManifestFile *
vmp_manifest_find_file(const VmpManifest *manifest, const char *name)
{
    for (guint i = 0; i < manifest->files->len; i++) {
        const VmpManifestFile *file = g_ptr_array_index(manifest->files, i);
        if (g_strcmp0(file->name, name) == 0)
            return file;
    }
    return NULL;
}

VmpManifestDisk *
vmp_manifest_find_disk(const VmpManifest *manifest, const char *name)
{
    for (guint i = 0; i < manifest->disks->len; i++) {
        VmpManifestDisk *disk = g_ptr_array_index(manifest->disks, i);
        if (g_strcmp0(disk->name, name) == 0)
            return disk;
    }
    return NULL;
}

guint64
vmp_manifest_get_size(const VmpManifest *manifest)
{
    guint64 size = 0;

    for (guint i = 0; i < manifest->files->len; i++)
        size += ((const VmpManifestFile *)g_ptr_array_index(manifest->files, i))->size;
    return size;
}

gboolean
vmp_manifest_is_incremental(const VmpManifest *manifest)
{
    for (guint i = 0; i < manifest->disks->len; i++)
        if (((const VmpManifestDisk *)g_ptr_array_index(manifest->disks, i))->incremental)
            return TRUE;
    return FALSE;
}

/* ---- to text ---- */

static VmpJson *
disk_to_json(const VmpManifestDisk *disk)
{
    return vmp_json_build("s:disk", disk->name, "s:image", disk->image, "s:blocks",
                          disk->blocks, "s:kind", disk->incremental ? "incremental" : "full",
                          "S:why-full", disk->why_full, "S:backing", disk->backing, "i:size",
                          (gint64)disk->size, "i:held", (gint64)disk->held, "s:view",
                          disk->view, NULL);
}

static VmpJson *
file_to_json(const VmpManifestFile *file)
{
    return vmp_json_build("s:name", file->name, "i:size", (gint64)file->size, "s:sha256",
                          file->sha256, NULL);
}

char *
vmp_manifest_format(const VmpManifest *manifest)
{
    VmpJson *disks = json_object_new_array();
    VmpJson *files = json_object_new_array();

    for (guint i = 0; i < manifest->disks->len; i++)
        json_object_array_add(disks, disk_to_json(g_ptr_array_index(manifest->disks, i)));
    for (guint i = 0; i < manifest->files->len; i++)
        json_object_array_add(files, file_to_json(g_ptr_array_index(manifest->files, i)));

    g_autoptr(VmpJson) json = vmp_json_build(
        "i:format", (gint64)VMP_MANIFEST_FORMAT, "s:point", manifest->name, "s:repository",
        manifest->repository, "s:domain", manifest->domain, "s:uuid", manifest->uuid, "i:time",
        manifest->time, "S:parent", manifest->parent, "S:checkpoint", manifest->checkpoint,
        "s:state", manifest->state, "b:quiesced", manifest->quiesced, "S:nvram",
        manifest->nvram, "S:tpm", manifest->tpm, "o:disks", disks, "o:files", files, NULL);
    g_autofree char *text = vmp_json_to_pretty(json);
    return g_str_has_suffix(text, "\n") ? g_steal_pointer(&text)
                                        : g_strconcat(text, "\n", NULL);
}

char *
vmp_manifest_format_sums(const VmpManifest *manifest, const char *manifest_sha256)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < manifest->files->len; i++) {
        const VmpManifestFile *file = g_ptr_array_index(manifest->files, i);
        g_string_append_printf(text, "%s  %s\n", file->sha256, file->name);
    }
    g_string_append_printf(text, "%s  %s\n", manifest_sha256, VMP_MANIFEST_FILE);
    return g_string_free(text, FALSE);
}

/* ---- from text ---- */

static gboolean
fail_damaged(const char *what, GError **error)
{
    return vmp_fail(error, VMP_ERROR_DAMAGED, "the manifest is damaged: %s", what);
}

/* A name that stays in the folder that it is in. */
static gboolean
is_plain_name(const char *name)
{
    return name && *name && *name != '.' && strlen(name) < 256 && !strchr(name, '/');
}

static gboolean
is_sha256(const char *text)
{
    return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static gboolean
take_file(VmpManifest *manifest, VmpJson *json, GError **error)
{
    const char *name = vmp_json_get_string(json, "name");
    const char *sha256 = vmp_json_get_string(json, "sha256");
    gint64 size = vmp_json_get_int(json, "size", -1);

    if (!is_plain_name(name) || !is_sha256(sha256) || size < 0 ||
        vmp_manifest_find_file(manifest, name))
        return fail_damaged("an entry of its files cannot be", error);
    vmp_manifest_add_file(manifest, name, (guint64)size, sha256);
    return TRUE;
}

/* "../POINT/IMAGE" and nothing else. */
static gboolean
is_backing(const char *backing, const char *parent, const char *image)
{
    g_autofree char *expected = g_strdup_printf("../%s/%s", parent ? parent : "", image);

    return g_strcmp0(backing, expected) == 0;
}

static gboolean
take_disk(VmpManifest *manifest, VmpJson *json, GError **error)
{
    const char *name = vmp_json_get_string(json, "disk");
    const char *image = vmp_json_get_string(json, "image");
    const char *blocks = vmp_json_get_string(json, "blocks");
    const char *view = vmp_json_get_string(json, "view");
    const char *kind = vmp_json_get_string(json, "kind");
    gint64 size = vmp_json_get_int(json, "size", -1);

    if (!is_plain_name(name) || !vmp_manifest_find_file(manifest, image) ||
        !vmp_manifest_find_file(manifest, blocks) || !is_sha256(view) || size < 0 ||
        vmp_manifest_find_disk(manifest, name) ||
        (g_strcmp0(kind, "full") != 0 && g_strcmp0(kind, "incremental") != 0))
        return fail_damaged("an entry of its disks cannot be", error);

    VmpManifestDisk *disk = vmp_manifest_add_disk(manifest, name);
    disk->image = g_strdup(image);
    disk->blocks = g_strdup(blocks);
    disk->incremental = g_str_equal(kind, "incremental");
    disk->why_full = g_strdup(vmp_json_get_string(json, "why-full"));
    disk->backing = g_strdup(vmp_json_get_string(json, "backing"));
    disk->size = (guint64)size;
    disk->held = (guint64)MAX(vmp_json_get_int(json, "held", 0), 0);
    disk->view = g_strdup(view);
    if (disk->incremental ? !is_backing(disk->backing, manifest->parent, image)
                          : disk->backing != NULL)
        return fail_damaged("an increment of it stands on something else than its parent",
                            error);
    return TRUE;
}

static gboolean
take_words(VmpManifest *manifest, VmpJson *json, GError **error)
{
    manifest->name = g_strdup(vmp_json_get_string(json, "point"));
    manifest->repository = g_strdup(vmp_json_get_string(json, "repository"));
    manifest->domain = g_strdup(vmp_json_get_string(json, "domain"));
    manifest->uuid = g_strdup(vmp_json_get_string(json, "uuid"));
    manifest->time = vmp_json_get_int(json, "time", -1);
    manifest->parent = g_strdup(vmp_json_get_string(json, "parent"));
    manifest->checkpoint = g_strdup(vmp_json_get_string(json, "checkpoint"));
    manifest->state = g_strdup(vmp_json_get_string(json, "state"));
    manifest->quiesced = vmp_json_get_bool(json, "quiesced", FALSE);
    manifest->nvram = g_strdup(vmp_json_get_string(json, "nvram"));
    manifest->tpm = g_strdup(vmp_json_get_string(json, "tpm"));
    if (!is_plain_name(manifest->name) || !manifest->repository || !manifest->domain ||
        !manifest->uuid || manifest->time < 0 || !manifest->state ||
        (manifest->parent && !is_plain_name(manifest->parent)))
        return fail_damaged("it lacks what every manifest has", error);
    return TRUE;
}

/* @name NULL: the point has no such file. */
static gboolean
is_listed(const VmpManifest *manifest, const char *name)
{
    return !name || vmp_manifest_find_file(manifest, name);
}

VmpManifest *
vmp_manifest_parse(const char *text, GError **error)
{
    g_autoptr(VmpJson) json = vmp_json_parse(text, -1, NULL);
    g_autoptr(VmpManifest) manifest = vmp_manifest_new();
    gint64 format = vmp_json_get_int(json, "format", 0);

    if (format > VMP_MANIFEST_FORMAT)
        return vmp_fail_null(
            error, VMP_ERROR_UNSUPPORTED,
            "the manifest is of a newer vmpoint (format %" G_GINT64_FORMAT ")", format);
    if (format < 1) {
        fail_damaged("it is no JSON of its kind", error);
        return NULL;
    }
    if (!take_words(manifest, json, error))
        return NULL;

    VmpJson *files = vmp_json_get_array(json, "files");
    VmpJson *disks = vmp_json_get_array(json, "disks");
    for (guint i = 0; i < vmp_json_length(files); i++)
        if (!take_file(manifest, vmp_json_at(files, i), error))
            return NULL;
    for (guint i = 0; i < vmp_json_length(disks); i++)
        if (!take_disk(manifest, vmp_json_at(disks, i), error))
            return NULL;
    if (manifest->disks->len == 0 || !is_listed(manifest, manifest->nvram) ||
        !is_listed(manifest, manifest->tpm)) {
        fail_damaged("a file of it is not listed", error);
        return NULL;
    }
    return g_steal_pointer(&manifest);
}
