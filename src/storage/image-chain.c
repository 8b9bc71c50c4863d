/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A chain of images by the order in which they are given.
 *
 * What the headers name as backing images may have been moved, renamed or never been
 * written.  qemu-img takes a whole chain as one "json:" name, in which each layer's backing
 * image is the one before it; only the first is opened with what its own header says.
 */

#include "base/error.h"
#include "base/process.h"
#include "qmp/commands.h"
#include "storage/image.h"

/* The node for images[index] with all below it. */
static VmpJson *
chain_node(const char *const *images, guint index, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpImage) image = vmp_image_read(images[index], NULL, cancellable, error);
    VmpJson *below = NULL;

    if (!image)
        return NULL;
    if (index > 0) {
        below = chain_node(images, index - 1, cancellable, error);
        if (!below)
            return NULL;
    }
    return vmp_json_build("s:driver", image->format, "o:file",
                          vmp_qmp_options_storage(NULL, image->path, FALSE, FALSE),
                          "O:backing", below, NULL);
}

/* The whole chain as a name that qemu-img understands; free with g_free(). */
static char *
chain_name(const char *const *images, GCancellable *cancellable, GError **error)
{
    guint length = g_strv_length((char **)images);
    g_autoptr(VmpJson) node = chain_node(images, length - 1, cancellable, error);
    g_autofree char *text = node ? vmp_json_to_text(node) : NULL;

    return text ? g_strconcat("json:", text, NULL) : NULL;
}

gboolean
vmp_image_convert_chain(const char *const *images, const VmpImageSpec *target,
                        GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot write '%s'", target->path);
    g_autofree char *name = chain_name(images, cancellable, error);
    const char *const argv[] = {
        "qemu-img", "convert",    "-q", "-W",
        "-m",       "16",         "-O", target->format ? target->format : "qcow2",
        name,       target->path, NULL,
    };

    return name && vmp_tool_check(argv, VMP_ERROR_IO, NULL, cancellable, error);
}

gboolean
vmp_image_compare_chain(const char *const *images, const char *path, const char *format,
                        GCancellable *cancellable, GError **error)
{
    g_autofree char *name = chain_name(images, cancellable, error);
    const char *const argv[] = { "qemu-img", "compare", "-q", "-F", format ? format : "qcow2",
                                 name,       path,      NULL };
    g_auto(VmpToolResult) result = { 0 };

    if (!name || !vmp_tool_run(argv, &result, cancellable, error))
        return FALSE;
    if (result.exit_status == 1)
        return vmp_fail(error, VMP_ERROR_DAMAGED, "'%s' is not what was read from its backups",
                        path);
    return result.exit_status == 0 ||
           vmp_fail(error, VMP_ERROR_IO, "cannot compare '%s': %s", path, result.err);
}
