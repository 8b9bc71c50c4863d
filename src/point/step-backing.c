/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* set-backing { "path", "backing", "format", "was": string, "was-format": string }
 *     writes another name of the same backing image into the header of an image that nobody
 * has open.  The guest's view does not change by it.
 */

#include "base/error.h"
#include "point/steps.h"
#include "storage/image.h"

static gboolean
set(const VmpStep *step, const char *backing, const char *format, GError **error)
{
    return vmp_image_set_backing(vmp_json_get_string(step->args, "path"),
                                 vmp_json_get_string(step->args, backing),
                                 vmp_json_get_string(step->args, format), NULL, error);
}

static gboolean
apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    return set(step, "backing", "format", error);
}

static gboolean
undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    return set(step, "was", "was-format", error);
}

static char *
describe(const VmpStep *step)
{
    return g_strdup_printf("let '%s' name '%s' as its backing image",
                           vmp_json_get_string(step->args, "path"),
                           vmp_json_get_string(step->args, "backing"));
}

const VmpStepKind vmp_step_set_backing = {
    .name = "set-backing",
    .apply = apply,
    .undo = undo,
    .describe = describe,
    .writes_frozen = TRUE,
};
