/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* resize-disk { "disk", "node", "path", "from": bytes, "to": bytes }
 *     gives a disk's active image another size; the guest is told.
 */

#include "point/steps.h"
#include "qmp/commands.h"

static void
commands(const VmpStep *step, GPtrArray *list)
{
    g_ptr_array_add(list,
                    vmp_qmp_block_resize(vmp_json_get_string(step->args, "node"),
                                         (guint64)vmp_json_get_int(step->args, "to", 0)));
}

static VmpProbe
probe(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpBlockSession *session = vmp_change_get_session(change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    if (!graph)
        return VMP_PROBE_UNKNOWN;

    const VmpBlockNode *image = vmp_block_session_image(
        session, graph, vmp_json_get_string(step->args, "disk"), error);
    if (!image)
        return VMP_PROBE_UNKNOWN;
    return image->size == (guint64)vmp_json_get_int(step->args, "to", 0) ? VMP_PROBE_DONE
                                                                         : VMP_PROBE_NOT_DONE;
}

static char *
describe(const VmpStep *step)
{
    return g_strdup_printf(
        "make disk %s %s: %" G_GINT64_FORMAT " bytes instead of %" G_GINT64_FORMAT,
        vmp_json_get_string(step->args, "disk"),
        vmp_json_get_int(step->args, "to", 0) > vmp_json_get_int(step->args, "from", 0)
            ? "larger"
            : "smaller",
        vmp_json_get_int(step->args, "to", 0), vmp_json_get_int(step->args, "from", 0));
}

const VmpStepKind vmp_step_resize_disk = {
    .name = "resize-disk",
    .apply = vmp_step_send_commands,
    .probe = probe,
    .describe = describe,
    .commands = commands,
};
