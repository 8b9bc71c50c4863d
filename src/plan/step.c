/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/step.h"

VmpBlockSession *
vmp_change_get_session(VmpChange *change, GError **error)
{
    if (!change->session)
        change->session = vmp_block_session_open(change->machine, error);
    return change->session;
}

VmpQmpClient *
vmp_change_get_client(VmpChange *change, GError **error)
{
    VmpBlockSession *session = vmp_change_get_session(change, error);

    return session ? vmp_block_session_get_client(session) : NULL;
}

gboolean
vmp_change_run(VmpChange *change, VmpQmpCommand *command, GError **error)
{
    return vmp_qmp_client_run(vmp_change_get_client(change, error), command, NULL, error);
}

VmpBlockGraph *
vmp_change_read_graph(VmpChange *change, GError **error)
{
    VmpBlockSession *session = vmp_change_get_session(change, error);

    return session ? vmp_block_session_read_graph(session, error) : NULL;
}

GCancellable *
vmp_change_get_cancellable(VmpChange *change)
{
    return change->recovering ? NULL : vmp_operation_get_cancellable(change->operation);
}

gboolean
vmp_change_begin_planning(VmpChange *change, GError **error)
{
    return vmp_store_begin(vmp_machine_get_store(change->machine), &change->planning, error);
}

gboolean
vmp_change_close_session(VmpChange *change, GError **error)
{
    if (!change->session)
        return TRUE;

    gboolean closed = vmp_block_session_close(change->session, error);
    g_clear_pointer(&change->session, vmp_block_session_free);
    return closed;
}

void
vmp_change_clear(VmpChange *change)
{
    vmp_store_transaction_clear(&change->planning);
    g_clear_pointer(&change->intact, g_ptr_array_unref);
    g_clear_pointer(&change->session, vmp_block_session_free);
}

gboolean
vmp_step_send_commands(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    VmpQmpClient *client = vmp_change_get_client(change, error);

    step->kind->commands(step, commands);
    return client && vmp_qmp_client_execute_all(client, commands, NULL,
                                                vmp_change_get_cancellable(change), error);
}
