/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/nbd-uri.h"
#include "storage/image-name.h"
#include "storage/qemu-img.h"

/* ---- from JSON ---- */

static void
bitmap_free(VmpBitmap *bitmap)
{
    g_free(bitmap->name);
    g_free(bitmap);
}

void
vmp_image_free(VmpImage *image)
{
    if (!image)
        return;
    g_free(image->path);
    g_free(image->format);
    g_free(image->compat);
    g_free(image->backing_string);
    g_free(image->backing_path);
    g_free(image->backing_format);
    g_ptr_array_unref(image->bitmaps);
    g_ptr_array_unref(image->snapshots);
    g_free(image);
}

static gboolean
has_flag(VmpJson *flags, const char *flag)
{
    for (guint i = 0; i < vmp_json_length(flags); i++)
        if (g_strcmp0(json_object_get_string(vmp_json_at(flags, i)), flag) == 0)
            return TRUE;
    return FALSE;
}

static GPtrArray *
read_bitmaps(VmpJson *array)
{
    GPtrArray *bitmaps = g_ptr_array_new_with_free_func((GDestroyNotify)bitmap_free);

    for (guint i = 0; i < vmp_json_length(array); i++) {
        VmpJson *json = vmp_json_at(array, i);
        VmpJson *flags = vmp_json_get_array(json, "flags");
        VmpBitmap *bitmap = g_new(VmpBitmap, 1);

        *bitmap = (VmpBitmap){
            .name = g_strdup(vmp_json_get_string(json, "name")),
            .granularity = (guint32)vmp_json_get_int(json, "granularity", 0),
            .recording = has_flag(flags, "auto"),
            .persistent = TRUE,
            .inconsistent = has_flag(flags, "in-use"),
        };
        g_ptr_array_add(bitmaps, bitmap);
    }
    return bitmaps;
}

VmpImage *
vmp_image_from_json(VmpJson *info, GError **error)
{
    const char *filename = vmp_json_get_string(info, "filename");
    const char *format = vmp_json_get_string(info, "format");
    VmpJson *specific =
        vmp_json_get_object(vmp_json_get_object(info, "format-specific"), "data");
    const char *full = vmp_json_get_string(info, "full-backing-filename");

    if (!filename || !format)
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "qemu-img named no file or no format of an image");

    char *path = vmp_image_place_of_name(filename);
    VmpImage *image = g_new(VmpImage, 1);
    *image = (VmpImage){
        .path = path ? path : g_strdup(filename),
        .format = g_strdup(format),
        .virtual_size = (guint64)vmp_json_get_int(info, "virtual-size", 0),
        .actual_size = (guint64)vmp_json_get_int(info, "actual-size", 0),
        .cluster_size = (guint64)vmp_json_get_int(info, "cluster-size", 0),
        .extended_l2 = vmp_json_get_bool(specific, "extended-l2", FALSE),
        .lazy_refcounts = vmp_json_get_bool(specific, "lazy-refcounts", FALSE),
        .encrypted = vmp_json_get_bool(info, "encrypted", FALSE),
        .corrupt = vmp_json_get_bool(specific, "corrupt", FALSE),
        .compat = g_strdup(vmp_json_get_string(specific, "compat")),
        .backing_string = g_strdup(vmp_json_get_string(info, "backing-filename")),
        .backing_path = vmp_image_place_of_name(full),
        .backing_format = g_strdup(vmp_json_get_string(info, "backing-filename-format")),
        .bitmaps = read_bitmaps(vmp_json_get_array(specific, "bitmaps")),
        .snapshots = vmp_internal_snapshots_from_json(vmp_json_get_array(info, "snapshots")),
    };
    return image;
}

/* ---- reading ---- */

static VmpJson *
read_info(const char *path, const char *format, gboolean chain, GCancellable *cancellable,
          GError **error)
{
    g_autoptr(GStrvBuilder) arguments = vmp_qemu_img_new("info", "--output=json", "-U", NULL);
    g_autofree char *out = NULL;

    if (chain)
        g_strv_builder_add(arguments, "--backing-chain");
    vmp_qemu_img_add_image(arguments, path, format);
    return vmp_qemu_img_run(arguments, &out, cancellable, error)
               ? vmp_json_parse(out, -1, error)
               : NULL;
}

VmpImage *
vmp_image_read(const char *path, const char *format, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot read image '%s'", path);

    g_autoptr(VmpJson) info = read_info(path, format, FALSE, cancellable, error);
    return info ? vmp_image_from_json(info, error) : NULL;
}

static GPtrArray *
chain_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)vmp_image_free);
}

/* All in one process. */
static GPtrArray *
read_chain_at_once(const char *path, const char *format, GCancellable *cancellable,
                   GError **error)
{
    g_autoptr(VmpJson) infos = read_info(path, format, TRUE, cancellable, error);
    if (!infos)
        return NULL;

    g_autoptr(GPtrArray) chain = chain_new();
    for (guint i = 0; i < vmp_json_length(infos); i++) {
        VmpImage *image = vmp_image_from_json(vmp_json_at(infos, i), error);
        if (!image)
            return NULL;
        g_ptr_array_add(chain, image);
    }
    return g_steal_pointer(&chain);
}

/* By device and inode, so that two names of one file are one. */
static char *
identity(const char *path)
{
    struct stat info;

    if (stat(path, &info) < 0)
        return g_strdup(path);
    return g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)info.st_dev,
                           (guint64)info.st_ino);
}

static gboolean
check_backing(const VmpImage *image, GHashTable *seen, GError **error)
{
    if (!image->backing_path)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "the backing image of '%s' is neither a local file nor an NBD export: '%s'",
            image->path, image->backing_string);
    if (!g_hash_table_add(seen, identity(image->backing_path)))
        return vmp_fail(
            error, VMP_ERROR_DAMAGED,
            "the backing chain is a loop: '%s', on which '%s' stands, stands on it "
            "as well",
            image->backing_path, image->path);
    return TRUE;
}

/* One by one: slower, and able to say which image the trouble is with. */
static GPtrArray *
read_chain_stepwise(const char *path, const char *format, GCancellable *cancellable,
                    GError **error)
{
    g_autoptr(GPtrArray) chain = chain_new();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const char *above = NULL;

    g_hash_table_add(seen, identity(path));
    while (path) {
        VmpImage *image = vmp_image_read(path, format, cancellable, error);
        if (!image && above)
            g_prefix_error(error, "below '%s': ", above);
        if (!image)
            return NULL;
        g_ptr_array_add(chain, image);
        if (image->backing_string && !check_backing(image, seen, error))
            return NULL;
        above = image->path;
        path = image->backing_path;
        format = image->backing_format;
    }
    return g_steal_pointer(&chain);
}

/* Does it end in an export?  For one that a header names qemu-img would wait for ever, if its
 * server keeps silent. */
static gboolean
reaches_export(const char *path)
{
    const guint enough = 1000; /* a loop is for others to find */
    g_autofree char *place = g_strdup(path);

    for (guint steps = 0; place && !vmp_nbd_uri_is(place) && steps < enough; steps++) {
        char *below = vmp_image_peek_backing(place, NULL, NULL);
        g_free(place);
        place = below;
    }
    return vmp_nbd_uri_is(place);
}

GPtrArray *
vmp_image_read_chain(const char *path, const char *format, GCancellable *cancellable,
                     GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s' with its backing images", path);

    g_autofree char *full = vmp_qemu_img_path(path);
    GPtrArray *chain =
        reaches_export(full) ? NULL : read_chain_at_once(path, format, cancellable, NULL);
    if (chain)
        return chain;
    return read_chain_stepwise(path, format, cancellable, error);
}
