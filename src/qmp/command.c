/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/command.h"

struct _VmpQmpCommand {
    gatomicrefcount references;
    char *name;
    VmpJson *arguments; /* NULL if there are none */
};

VmpQmpCommand *
vmp_qmp_command_new(const char *name, VmpJson *arguments)
{
    VmpQmpCommand *command = g_new0(VmpQmpCommand, 1);

    g_atomic_ref_count_init(&command->references);
    command->name = g_strdup(name);
    command->arguments = arguments;
    return command;
}

VmpQmpCommand *
vmp_qmp_command_ref(VmpQmpCommand *command)
{
    g_atomic_ref_count_inc(&command->references);
    return command;
}

void
vmp_qmp_command_unref(VmpQmpCommand *command)
{
    if (!g_atomic_ref_count_dec(&command->references))
        return;
    g_free(command->name);
    json_object_put(command->arguments);
    g_free(command);
}

const char *
vmp_qmp_command_get_name(const VmpQmpCommand *command)
{
    return command->name;
}

VmpJson *
vmp_qmp_command_get_arguments(const VmpQmpCommand *command)
{
    return command->arguments;
}

VmpJson *
vmp_qmp_command_to_json(const VmpQmpCommand *command)
{
    return vmp_json_build("s:execute", command->name, "O:arguments",
                          command->arguments ? json_object_get(command->arguments) : NULL,
                          NULL);
}
