/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/agent-commands.h"

static void
check(VmpQmpCommand *command, const char *wanted)
{
    g_autoptr(VmpQmpCommand) owned = command;
    g_autoptr(VmpJson) json = vmp_qmp_command_to_json(owned);
    g_autofree char *text = vmp_json_to_text(json);

    g_assert_cmpstr(text, ==, wanted);
}

static void
commands_are_what_the_agent_knows(void)
{
    const char *const none[] = { NULL }, *const some[] = { "/", "/home", NULL };

    check(vmp_agent_guest_sync_delimited(7),
          "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":7}}");
    check(vmp_agent_guest_fsfreeze_status(), "{\"execute\":\"guest-fsfreeze-status\"}");
    check(vmp_agent_guest_fsfreeze_freeze(NULL), "{\"execute\":\"guest-fsfreeze-freeze\"}");
    check(vmp_agent_guest_fsfreeze_freeze(none), "{\"execute\":\"guest-fsfreeze-freeze\"}");
    check(vmp_agent_guest_fsfreeze_freeze(some),
          "{\"execute\":\"guest-fsfreeze-freeze-list\","
          "\"arguments\":{\"mountpoints\":[\"/\",\"/home\"]}}");
    check(vmp_agent_guest_fsfreeze_thaw(), "{\"execute\":\"guest-fsfreeze-thaw\"}");
    check(vmp_agent_guest_fstrim(4096),
          "{\"execute\":\"guest-fstrim\",\"arguments\":{\"minimum\":4096}}");
    check(vmp_agent_guest_get_fsinfo(), "{\"execute\":\"guest-get-fsinfo\"}");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/agent-commands/commands-are-what-the-agent-knows",
                    commands_are_what_the_agent_knows);
    return g_test_run();
}
