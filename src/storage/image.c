/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/nbd-uri.h"
#include "base/process.h"
#include "qmp/commands.h"
#include "storage/qcow2.h"

#define QEMU_IMG "qemu-img"

/* Exit codes of "qemu-img check". */
enum {
    CHECK_FAILED = 1,
    CHECK_CORRUPT = 2,
    CHECK_LEAKS = 3,
    CHECK_UNSUPPORTED = 63,
};

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

/* "json:{...}" of a local file, in the nested or the dotted spelling. */
static char *
path_of_json_name(const char *name)
{
    g_autoptr(VmpJson) json = vmp_json_parse(name + strlen("json:"), -1, NULL);
    VmpJson *file = vmp_json_get_object(json, "file");
    const char *path = vmp_json_get_string(file, "filename");

    if (!path)
        path = vmp_json_get_string(json, "file.filename");
    if (!path)
        path = vmp_json_get_string(json, "filename");
    return path && g_path_is_absolute(path) ? g_strdup(path) : NULL;
}

/* NULL for what is no place of ours: neither a local file nor an NBD export. */
static char *
path_of_name(const char *name)
{
    if (!name)
        return NULL;
    if (vmp_nbd_uri_is(name))
        return vmp_nbd_uri_normalize(name);
    if (g_str_has_prefix(name, "json:"))
        return path_of_json_name(name);
    if (g_str_has_prefix(name, "file:"))
        name += strlen("file:");
    return g_path_is_absolute(name) ? g_strdup(name) : NULL;
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

    char *path = path_of_name(filename);
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
        .backing_path = path_of_name(full),
        .backing_format = g_strdup(vmp_json_get_string(info, "backing-filename-format")),
        .bitmaps = read_bitmaps(vmp_json_get_array(specific, "bitmaps")),
        .snapshots = vmp_internal_snapshots_from_json(vmp_json_get_array(info, "snapshots")),
    };
    return image;
}

/* ---- qemu-img's answers ---- */

/* What qemu-img's words say about the cause.  It prints them untranslated. */
static VmpErrorCode
code_of_words(const char *words)
{
    static const struct {
        const char *words;
        VmpErrorCode code;
    } table[] = {
        { "No such file or directory", VMP_ERROR_NOT_FOUND },
        { "Permission denied", VMP_ERROR_IO },
        { "Failed to get ", VMP_ERROR_BUSY }, /* ... "write" lock */
        { "Failed to lock", VMP_ERROR_BUSY },
        { "Image is not in", VMP_ERROR_DAMAGED },
        { "header too short", VMP_ERROR_DAMAGED },
        { "infinite loop", VMP_ERROR_DAMAGED },
        { "corrupt", VMP_ERROR_DAMAGED },
        { "too large", VMP_ERROR_DAMAGED },
        { "invalid", VMP_ERROR_DAMAGED },
        { "Unsupported", VMP_ERROR_UNSUPPORTED },
        { "Unknown driver", VMP_ERROR_UNSUPPORTED },
        { "Unknown file format", VMP_ERROR_UNSUPPORTED },
        { "must be", VMP_ERROR_INVALID },
        { "regular file", VMP_ERROR_INVALID },
    };

    /* Whatever errno it adds: no image is missing. */
    if (strstr(words, "Failed to connect to "))
        return VMP_ERROR_IO;
    /* A file's name is not qemu-img's word: what follows the last quoted one counts. */
    const char *quote = strrchr(words, '\'');
    const char *said = quote && quote[1] ? quote + 1 : words;
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
        if (strstr(said, table[i].words))
            return table[i].code;
    return VMP_ERROR_IO;
}

static gboolean
fail_with_words(const char *words, GError **error)
{
    const char *said =
        g_str_has_prefix(words, QEMU_IMG ": ") ? words + strlen(QEMU_IMG ": ") : words;

    return vmp_fail(error, code_of_words(said), "%s",
                    *said ? said : QEMU_IMG " failed without a word");
}

static gboolean
run(const GStrvBuilder *arguments, char **out, GCancellable *cancellable, GError **error)
{
    g_auto(GStrv) argv = g_strv_builder_end((GStrvBuilder *)arguments);
    g_auto(VmpToolResult) result = { 0 };

    if (!vmp_tool_run((const char *const *)argv, &result, cancellable, error))
        return FALSE;
    if (result.exit_status != 0)
        return fail_with_words(result.err, error);
    if (out)
        *out = g_steal_pointer(&result.out);
    return TRUE;
}

static GStrvBuilder *arguments_new(const char *command, ...) G_GNUC_NULL_TERMINATED;

static GStrvBuilder *
arguments_new(const char *command, ...)
{
    GStrvBuilder *arguments = g_strv_builder_new();
    va_list more;

    g_strv_builder_add_many(arguments, QEMU_IMG, command, NULL);
    va_start(more, command);
    for (const char *word; (word = va_arg(more, const char *));)
        g_strv_builder_add(arguments, word);
    va_end(more);
    return arguments;
}

static void
add_option(GStrvBuilder *arguments, const char *option, const char *value)
{
    if (value)
        g_strv_builder_add_many(arguments, option, value, NULL);
}

/* Never a name that qemu-img could take for an option or a protocol. */
static char *
absolute(const char *path)
{
    return g_path_is_absolute(path) || vmp_nbd_uri_is(path)
               ? g_strdup(path)
               : g_canonicalize_filename(path, NULL);
}

/* A name by which qemu-img opens an image as @format (NULL = it looks) where it takes no -f
 * and would guess.  @alone: without what is below, which may be open elsewhere, and be written
 * to. */
static char *
name_of(const char *path, const char *format, gboolean alone)
{
    g_autofree char *full = absolute(path);
    /* Without a driver QEMU looks whether the file is a device. */
    VmpJson *storage = vmp_nbd_uri_is(full) ? vmp_qmp_options_storage(NULL, full, FALSE, FALSE)
                                            : vmp_json_build("s:filename", full, NULL);
    g_autoptr(VmpJson) options = vmp_json_build("S:driver", format, "o:file", storage, NULL);

    if (alone)
        vmp_json_add(options, "n:backing", NULL);
    g_autofree char *text = vmp_json_to_text(options);
    return g_strconcat("json:", text, NULL);
}

/* An export is opened with a limit of time, which a URI does not say. */
static void
add_image(GStrvBuilder *arguments, const char *path, const char *format)
{
    g_autofree char *name =
        vmp_nbd_uri_is(path) ? name_of(path, format, FALSE) : absolute(path);

    if (!vmp_nbd_uri_is(path))
        add_option(arguments, "-f", format);
    g_strv_builder_add(arguments, name);
}

/* ---- reading ---- */

static VmpJson *
read_info(const char *path, const char *format, gboolean chain, GCancellable *cancellable,
          GError **error)
{
    g_autoptr(GStrvBuilder) arguments = arguments_new("info", "--output=json", "-U", NULL);
    g_autofree char *out = NULL;

    if (chain)
        g_strv_builder_add(arguments, "--backing-chain");
    add_image(arguments, path, format);
    return run(arguments, &out, cancellable, error) ? vmp_json_parse(out, -1, error) : NULL;
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

/* What the header of the file @path names; resolved as QEMU does it. */
static char *
peek_backing(const char *path)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    g_autofree char *name = fd >= 0 ? vmp_qcow2_read_backing(fd) : NULL;
    g_autofree char *folder = g_path_get_dirname(path);

    if (!name)
        return NULL;
    char *place = path_of_name(name);
    return place || strchr(name, ':') ? place : g_canonicalize_filename(name, folder);
}

/* Does it end in an export?  For one that a header names qemu-img would wait for ever, if its
 * server keeps silent. */
static gboolean
reaches_export(const char *path)
{
    const guint enough = 1000; /* a loop is for others to find */
    g_autofree char *place = g_strdup(path);

    for (guint steps = 0; place && !vmp_nbd_uri_is(place) && steps < enough; steps++) {
        char *below = peek_backing(place);
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

    g_autofree char *full = absolute(path);
    GPtrArray *chain =
        reaches_export(full) ? NULL : read_chain_at_once(path, format, cancellable, NULL);
    if (chain)
        return chain;
    return read_chain_stepwise(path, format, cancellable, error);
}

/* ---- maps ---- */

/* Ends @arguments. */
static VmpJson *
read_map(GStrvBuilder *arguments, GCancellable *cancellable, GError **error)
{
    g_autofree char *out = NULL;

    return run(arguments, &out, cancellable, error) ? vmp_json_parse(out, -1, error) : NULL;
}

static GStrvBuilder *
map_arguments(void)
{
    return arguments_new("map", "--output=json", "-U", NULL);
}

static VmpMapping
mapping_from_json(VmpJson *extent, gboolean alone)
{
    const gint64 host = vmp_json_get_int(extent, "offset", -1);
    VmpMapping mapping = {
        .offset = (guint64)vmp_json_get_int(extent, "start", 0),
        .length = (guint64)vmp_json_get_int(extent, "length", 0),
        .depth = (guint)vmp_json_get_int(extent, "depth", 0),
        .place = VMP_MAPPING_ELSEWHERE,
    };

    if (alone && !vmp_json_get_bool(extent, "present", FALSE)) {
        mapping.place = VMP_MAPPING_BELOW;
    } else if (vmp_json_get_bool(extent, "zero", FALSE)) {
        mapping.place = VMP_MAPPING_ZERO;
    } else if (host >= 0) {
        mapping.place = VMP_MAPPING_FILE;
        mapping.host = (guint64)host;
    }
    return mapping;
}

static GArray *
map_from_json(VmpJson *json, gboolean alone, GError **error)
{
    g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(VmpMapping));
    guint64 end = 0;

    for (guint i = 0; i < vmp_json_length(json); i++) {
        VmpMapping mapping = mapping_from_json(vmp_json_at(json, i), alone);
        if (mapping.offset != end)
            return vmp_fail_null(error, VMP_ERROR_IO, "qemu-img's map of it has gaps");
        end = mapping.offset + mapping.length;
        g_array_append_val(map, mapping);
    }
    return g_steal_pointer(&map);
}

GArray *
vmp_image_map(const char *path, const char *format, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);
    g_autoptr(GStrvBuilder) arguments = map_arguments();
    add_image(arguments, path, format);
    g_autoptr(VmpJson) json = read_map(arguments, cancellable, error);

    return json ? map_from_json(json, FALSE, error) : NULL;
}

GArray *
vmp_image_map_alone(const char *path, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);
    g_autoptr(GStrvBuilder) arguments = map_arguments();
    g_autofree char *name = name_of(path, "qcow2", TRUE);
    g_strv_builder_add(arguments, name);
    g_autoptr(VmpJson) json = read_map(arguments, cancellable, error);

    return json ? map_from_json(json, TRUE, error) : NULL;
}

gboolean
vmp_image_is_written(const char *path, gboolean *written, GCancellable *cancellable,
                     GError **error)
{
    g_autoptr(GArray) map = vmp_image_map_alone(path, cancellable, error);

    *written = FALSE;
    for (guint i = 0; map && i < map->len; i++)
        *written = *written || g_array_index(map, VmpMapping, i).place != VMP_MAPPING_BELOW;
    return map != NULL;
}

/* ---- making ---- */

/* A file that is new, or was there and empty; unlinked again unless the guard is disarmed. */
typedef struct {
    char *path;
    gboolean made;
} NewFile;

static void
new_file_clear(NewFile *file)
{
    /* What led here is the error to report. */
    if (file->made && unlink(file->path) < 0 && errno != ENOENT)
        g_debug("cannot unlink '%s': %s", file->path, g_strerror(errno));
    g_free(file->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NewFile, new_file_clear)

static gboolean
new_file_make(NewFile *file, const char *path, GError **error)
{
    struct stat info;

    file->path = absolute(path);
    g_auto(VmpFd) fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        file->made = TRUE;
        return TRUE;
    }
    if (errno != EEXIST)
        return vmp_fail_errno(error, errno, "cannot make it");
    if (stat(file->path, &info) < 0 || S_ISBLK(info.st_mode) ||
        (S_ISREG(info.st_mode) && info.st_size == 0))
        return TRUE;
    return vmp_fail(error, VMP_ERROR_EXISTS, "it exists and is not an empty file");
}

/* qemu-img writes its output without a flush. */
static gboolean
new_file_keep(NewFile *file, GError **error)
{
    g_auto(VmpFd) fd = open(file->path, O_RDONLY | O_CLOEXEC);
    g_autofree char *folder = g_path_get_dirname(file->path);

    if (fd < 0 || fsync(fd) < 0)
        return vmp_fail_errno(error, errno, "cannot flush it");
    if (!vmp_dir_sync(folder, error))
        return FALSE;
    file->made = FALSE;
    return TRUE;
}

static const char *
format_of(const VmpImageSpec *spec)
{
    return spec->format ? spec->format : "qcow2";
}

static void
add_format_options(GStrvBuilder *arguments, const VmpImageSpec *spec)
{
    g_autofree char *cluster_size =
        spec->cluster_size
            ? g_strdup_printf("cluster_size=%" G_GUINT64_FORMAT, spec->cluster_size)
            : NULL;

    add_option(arguments, "-o", cluster_size);
    add_option(arguments, "-o", spec->extended_l2 ? "extended_l2=on" : NULL);
}

/* Fills the file @path. */
static gboolean
fill_empty(const char *path, const VmpImageSpec *spec, GCancellable *cancellable,
           GError **error)
{
    g_autoptr(GStrvBuilder) arguments =
        arguments_new("create", "-q", "-f", format_of(spec), NULL);
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, spec->size);

    add_format_options(arguments, spec);
    add_option(arguments, "-b", spec->backing);
    add_option(arguments, "-F", spec->backing_format);
    /* With a size the backing image need not be opened, nor be there yet. */
    if (spec->size && spec->backing)
        g_strv_builder_add(arguments, "-u");
    g_strv_builder_add(arguments, path);
    if (spec->size)
        g_strv_builder_add(arguments, size);
    return run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_create(const VmpImageSpec *spec, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot make image '%s'", spec->path);

    g_auto(NewFile) file = { 0 };
    return new_file_make(&file, spec->path, error) &&
           fill_empty(file.path, spec, cancellable, error) && new_file_keep(&file, error);
}

static gboolean
fill_from(const char *path, const char *source, const char *source_format,
          const VmpImageSpec *spec, GCancellable *cancellable, GError **error)
{
    g_autoptr(GStrvBuilder) arguments = arguments_new("convert", "-q", "-U", NULL);
    g_autofree char *from = absolute(source);
    /* Only an image that was made before can be larger than its source. */
    const gboolean made_before = spec->size != 0;

    if (made_before && !fill_empty(path, spec, cancellable, error))
        return FALSE;
    add_option(arguments, "-f", source_format);
    add_option(arguments, "-O", format_of(spec));
    if (made_before) {
        g_strv_builder_add(arguments, "-n");
        if (!spec->backing)
            g_strv_builder_add(arguments, "--target-is-zero");
    } else {
        add_format_options(arguments, spec);
        add_option(arguments, "-B", spec->backing);
        add_option(arguments, "-F", spec->backing_format);
    }
    g_strv_builder_add_many(arguments, from, path, NULL);
    return run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_convert(const char *source, const char *source_format, const VmpImageSpec *target,
                  GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot copy image '%s' to '%s'", source, target->path);

    g_auto(NewFile) file = { 0 };
    return new_file_make(&file, target->path, error) &&
           fill_from(file.path, source, source_format, target, cancellable, error) &&
           new_file_keep(&file, error);
}

/* ---- changing and checking ---- */

gboolean
vmp_image_set_backing(const char *path, const char *backing, const char *backing_format,
                      GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot set the backing image of '%s'", path);

    g_autoptr(GStrvBuilder) arguments =
        arguments_new("rebase", "-q", "-u", "-f", "qcow2", NULL);
    g_autofree char *full = absolute(path);

    add_option(arguments, "-b", backing ? backing : "");
    add_option(arguments, "-F", backing ? backing_format : NULL);
    g_strv_builder_add(arguments, full);
    return run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_snapshot(const char *path, VmpImageSnapshotVerb verb, const char *tag,
                   GCancellable *cancellable, GError **error)
{
    static const char *const options[] = { "-c", "-a", "-d" };
    VMP_ERROR_CONTEXT(error, "internal snapshot '%s' of image '%s'", tag, path);

    g_autofree char *name = name_of(path, "qcow2", verb == VMP_IMAGE_SNAPSHOT_DELETE);
    g_autoptr(GStrvBuilder) arguments =
        arguments_new("snapshot", "-q", options[verb], tag, name, NULL);

    return run(arguments, NULL, cancellable, error);
}

gboolean
vmp_image_remove_bitmap(const char *path, const char *name, GCancellable *cancellable,
                        GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);

    g_autofree char *full = absolute(path);
    g_autoptr(GStrvBuilder) arguments =
        arguments_new("bitmap", "--remove", "-f", "qcow2", full, name, NULL);

    return run(arguments, NULL, cancellable, error);
}

/* The first lines say what kind of damage it is; there can be one a cluster. */
static char *
words_of_check(const VmpToolResult *result)
{
    const guint enough = 3;
    g_auto(GStrv) lines = g_strsplit(*result->err ? result->err : result->out, "\n", 0);

    for (guint i = 0; lines[i]; i++)
        if (i >= enough)
            g_clear_pointer(&lines[i], g_free);
    return g_strjoinv("; ", lines);
}

/* Ends @arguments and runs them. */
static gboolean
run_check(GStrvBuilder *arguments, GCancellable *cancellable, GError **error)
{
    g_auto(GStrv) argv = g_strv_builder_end(arguments);
    g_auto(VmpToolResult) result = { 0 };
    if (!vmp_tool_run((const char *const *)argv, &result, cancellable, error))
        return FALSE;

    g_autofree char *words = words_of_check(&result);
    switch (result.exit_status) {
    case 0:
    case CHECK_LEAKS:       /* space is wasted, nothing is wrong */
    case CHECK_UNSUPPORTED: /* raw has nothing to check */
        return TRUE;
    case CHECK_CORRUPT:
        return vmp_fail(error, VMP_ERROR_DAMAGED, "%s", words);
    case CHECK_FAILED:
    default:
        return fail_with_words(words, error);
    }
}

gboolean
vmp_image_check(const char *path, const char *format, GCancellable *cancellable,
                GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);

    g_autoptr(GStrvBuilder) arguments = arguments_new("check", "-U", NULL);
    add_image(arguments, path, format);
    return run_check(arguments, cancellable, error);
}

gboolean
vmp_image_check_alone(const char *path, const char *format, GCancellable *cancellable,
                      GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);
    g_autofree char *name = name_of(path, format, TRUE);
    g_autoptr(GStrvBuilder) arguments = arguments_new("check", "-U", NULL);
    g_strv_builder_add(arguments, name);
    return run_check(arguments, cancellable, error);
}
