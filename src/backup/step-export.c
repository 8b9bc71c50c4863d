/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-server { "server": see storage/export.h }
 * add-exports  { "exports": the same }
 */

#include "backup/backup.h"
#include "base/error.h"
#include "storage/export.h"

/* ---- start-server ---- */

static VmpJson *
server_of(const VmpStep *step)
{
    return vmp_json_get_object(step->args, "server");
}

static gboolean
server_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);

    return client && vmp_nbd_server_start(client, server_of(step), error);
}

static gboolean
server_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    if (!vmp_machine_is_on(change->machine)) {
        vmp_nbd_server_clear(server_of(step));
        return TRUE;
    }
    VmpQmpClient *client = vmp_change_get_client(change, error);
    return client && vmp_nbd_server_stop(client, server_of(step), error);
}

static char *
server_describe(const VmpStep *step)
{
    g_autofree char *uri = vmp_nbd_server_uri(server_of(step), "");

    return g_strdup_printf("listen at %s", uri);
}

static void
server_commands(const VmpStep *step, GPtrArray *commands)
{
    vmp_nbd_server_commands(server_of(step), commands);
}

const VmpStepKind vmp_step_start_server = {
    .name = "start-server",
    .apply = server_apply,
    .undo = server_undo,
    .describe = server_describe,
    .commands = server_commands,
};

/* ---- add-exports ---- */

static VmpJson *
exports_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "exports");
}

static gboolean
exports_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);

    return client && vmp_exports_add(client, exports_of(step), error);
}

static gboolean
exports_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    if (!vmp_machine_is_on(change->machine))
        return TRUE;
    VmpQmpClient *client = vmp_change_get_client(change, error);
    return client && vmp_exports_remove(client, exports_of(step), error);
}

static VmpProbe
exports_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    gboolean exist = FALSE;

    if (!vmp_machine_is_on(change->machine))
        return VMP_PROBE_NOT_DONE; /* exports do not outlive their process */
    VmpQmpClient *client = vmp_change_get_client(change, error);
    if (!client || !vmp_exports_exist(client, exports_of(step), &exist, error))
        return VMP_PROBE_UNKNOWN;
    return exist ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
exports_describe(const VmpStep *step)
{
    VmpJson *exports = exports_of(step);
    GString *text = g_string_new("serve");

    for (guint i = 0; i < vmp_json_length(exports); i++)
        g_string_append_printf(text, "%s '%s'", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(exports, i), "name"));
    return g_string_free(text, FALSE);
}

static void
exports_commands(const VmpStep *step, GPtrArray *commands)
{
    vmp_exports_commands(exports_of(step), commands);
}

const VmpStepKind vmp_step_add_exports = {
    .name = "add-exports",
    .apply = exports_apply,
    .undo = exports_undo,
    .probe = exports_probe,
    .describe = exports_describe,
    .commands = exports_commands,
};
