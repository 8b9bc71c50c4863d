/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the bytes of an image are. */

#include "base/error.h"
#include "storage/image.h"
#include "storage/qemu-img.h"

/* ---- maps ---- */

/* Ends @arguments. */
static VmpJson *
read_map(GStrvBuilder *arguments, GCancellable *cancellable, GError **error)
{
    g_autofree char *out = NULL;

    return vmp_qemu_img_run(arguments, &out, cancellable, error)
               ? vmp_json_parse(out, -1, error)
               : NULL;
}

static GStrvBuilder *
map_arguments(void)
{
    return vmp_qemu_img_new("map", "--output=json", "-U", NULL);
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
    vmp_qemu_img_add_image(arguments, path, format);
    g_autoptr(VmpJson) json = read_map(arguments, cancellable, error);

    return json ? map_from_json(json, FALSE, error) : NULL;
}

GArray *
vmp_image_map_alone(const char *path, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);
    g_autoptr(GStrvBuilder) arguments = map_arguments();
    g_autofree char *name = vmp_qemu_img_name(path, "qcow2", TRUE);
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
