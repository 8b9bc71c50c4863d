/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Headers of images that nobody has open.  The guest's view does not change by either.
 *
 * set-backing   { "path", "backing", "format", "was": string, "was-format": string }
 *     writes another name of the same backing image.
 * move-backings { "images": [ { "path", "backing", "format" } ] }
 *     what the headers of all that stood on a layer that went name from now on.
 */

#include "base/error.h"
#include "point/steps.h"
#include "storage/image.h"

/* ---- set-backing ---- */

static gboolean
set(const VmpStep *step, const char *backing, const char *format, GError **error)
{
    return vmp_image_set_backing(vmp_json_get_string(step->args, "path"),
                                 vmp_json_get_string(step->args, backing),
                                 vmp_json_get_string(step->args, format), NULL, error);
}

static gboolean
set_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    return set(step, "backing", "format", error);
}

static gboolean
set_undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    return set(step, "was", "was-format", error);
}

static char *
set_describe(const VmpStep *step)
{
    return g_strdup_printf("let '%s' name '%s' as its backing image",
                           vmp_json_get_string(step->args, "path"),
                           vmp_json_get_string(step->args, "backing"));
}

const VmpStepKind vmp_step_set_backing = {
    .name = "set-backing",
    .apply = set_apply,
    .undo = set_undo,
    .describe = set_describe,
    .writes_frozen = TRUE,
};

/* ---- move-backings ---- */

/* QEMU has done it for the images that it has open. */
static gboolean
move_backing(VmpJson *entry, GError **error)
{
    const char *path = vmp_json_get_string(entry, "path");
    const char *backing = vmp_json_get_string(entry, "backing");
    g_autoptr(VmpImage) image = vmp_image_read(path, "qcow2", NULL, error);

    if (!image)
        return FALSE;
    return g_strcmp0(image->backing_string, backing) == 0 ||
           vmp_image_set_backing(path, backing, vmp_json_get_string(entry, "format"), NULL,
                                 error);
}

static gboolean
move_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");

    for (guint i = 0; i < vmp_json_length(images); i++)
        if (!move_backing(vmp_json_at(images, i), error))
            return FALSE;
    return TRUE;
}

static char *
move_describe(const VmpStep *step)
{
    VmpJson *images = vmp_json_get_array(step->args, "images");
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < vmp_json_length(images); i++)
        g_string_append_printf(text, "%slet '%s' stand on '%s'", i ? ", " : "",
                               vmp_json_get_string(vmp_json_at(images, i), "path"),
                               vmp_json_get_string(vmp_json_at(images, i), "backing"));
    return g_string_free(text, FALSE);
}

const VmpStepKind vmp_step_move_backings = {
    .name = "move-backings",
    .apply = move_apply,
    .describe = move_describe,
    .writes_frozen = TRUE,
};
