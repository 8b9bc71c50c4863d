/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/agent-commands.h"

VmpQmpCommand *
vmp_agent_guest_sync_delimited(gint64 number)
{
    return vmp_qmp_command_new("guest-sync-delimited", vmp_json_build("i:id", number, NULL));
}

VmpQmpCommand *
vmp_agent_guest_fsfreeze_status(void)
{
    return vmp_qmp_command_new("guest-fsfreeze-status", NULL);
}

VmpQmpCommand *
vmp_agent_guest_fsfreeze_freeze(const char *const *mountpoints)
{
    if (!mountpoints || !mountpoints[0])
        return vmp_qmp_command_new("guest-fsfreeze-freeze", NULL);
    return vmp_qmp_command_new(
        "guest-fsfreeze-freeze-list",
        vmp_json_build("o:mountpoints", vmp_json_strv(mountpoints), NULL));
}

VmpQmpCommand *
vmp_agent_guest_fsfreeze_thaw(void)
{
    return vmp_qmp_command_new("guest-fsfreeze-thaw", NULL);
}

VmpQmpCommand *
vmp_agent_guest_fstrim(guint64 minimum)
{
    return vmp_qmp_command_new("guest-fstrim",
                               vmp_json_build("I:minimum", (gint64)minimum, NULL));
}

VmpQmpCommand *
vmp_agent_guest_get_fsinfo(void)
{
    return vmp_qmp_command_new("guest-get-fsinfo", NULL);
}
