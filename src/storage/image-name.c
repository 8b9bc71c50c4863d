/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/image-name.h"

#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nbd-uri.h"
#include "storage/nbd-peer.h"
#include "storage/qcow2.h"

/* A loop is for others to find. */
#define MAX_DEPTH 1000

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

char *
vmp_image_place_of_name(const char *name)
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

/* The header of an export, as a file in memory. */
static int
open_header(const char *place, GError **error)
{
    return vmp_nbd_uri_is(place) ? vmp_nbd_peer_open_head(place, error)
                                 : open(place, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

char *
vmp_image_peek_backing(const char *place, char **format, GError **error)
{
    g_auto(VmpFd) fd = open_header(place, error);
    g_autofree char *name = fd >= 0 ? vmp_qcow2_read_backing(fd) : NULL;

    if (format)
        *format = name ? vmp_qcow2_read_backing_format(fd) : NULL;
    if (!name)
        return NULL;
    char *below = vmp_image_place_of_name(name);
    if (below || strchr(name, ':') || vmp_nbd_uri_is(place))
        return below;
    g_autofree char *folder = g_path_get_dirname(place);
    return g_canonicalize_filename(name, folder);
}

/* @above: what names it; NULL = the definition. */
static gboolean
look_at_server(const char *place, const char *above, GError **error)
{
    VmpNbdExport found = { 0 };

    if (!vmp_nbd_uri_is(place) || vmp_nbd_peer_look(place, NULL, &found, error))
        return TRUE;
    if (above)
        g_prefix_error(error, "below '%s': ", above);
    return FALSE;
}

gboolean
vmp_image_look_at_servers(const char *place, const char *format, GError **error)
{
    g_autofree char *at = g_strdup(place);
    g_autofree char *at_format = g_strdup(format);
    g_autofree char *above = NULL;

    for (guint steps = 0; at && steps < MAX_DEPTH; steps++) {
        if (!look_at_server(at, above, error))
            return FALSE;
        /* What a guest writes to a raw disk leads nowhere. */
        if (g_strcmp0(at_format, "raw") == 0)
            return TRUE;
        g_autoptr(GError) failure = NULL;
        char *below_format = NULL;
        char *below = vmp_image_peek_backing(at, &below_format, &failure);
        g_free(above);
        above = at;
        at = below;
        g_free(at_format);
        at_format = below_format;
        if (failure) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
    }
    return TRUE;
}
