/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/relief.h"

#include "base/error.h"
#include "qmp/commands.h"
#include "storage/overlay.h"

gboolean
vmp_relief_is_needed(VmpQmpClient *client, gboolean *needed, GError **error)
{
    g_autoptr(VmpQmpCommand) ask = vmp_qmp_query_status();
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute(client, ask, NULL, error);

    *needed = reply && g_strcmp0(vmp_qmp_read_status(reply, NULL), "io-error") == 0;
    return reply != NULL;
}

gboolean
vmp_relief_give(VmpQmpClient *client, GPtrArray *scratch, GError **error)
{
    gboolean needed = FALSE;

    if (!vmp_new_images_remove(scratch, error) ||
        !vmp_relief_is_needed(client, &needed, error))
        return FALSE;
    if (!needed)
        return TRUE;
    g_autoptr(VmpQmpCommand) go_on = vmp_qmp_cont();
    g_autoptr(VmpJson) done = vmp_qmp_client_execute(client, go_on, NULL, error);
    return done != NULL;
}
