/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/server.h"

#include "base/error.h"
#include "base/fault.h"
#include "machine/instance-end.h"
#include "machine/instance-start.h"
#include "machine/machine-private.h"

/* It writes nothing, so it has nothing to finish. */
#define END_TIMEOUT_MS 5000

/* FALSE with @error, or TRUE with @server NULL if there is no record of one. */
static gboolean
read_server(VmpMachine *machine, VmpInstance **server, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *server =
        vmp_instance_read(machine->host, machine->row->uuid, VMP_INSTANCE_SERVER, &failure);
    if (!failure)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean
vmp_machine_start_server(VmpMachine *machine, VmpQmpClient **client, GError **error)
{
    if (!vmp_machine_end_server(machine, error))
        return FALSE;

    g_autoptr(VmpInstance) server =
        vmp_instance_start_server(machine->host, machine->row->uuid, client,
                                  vmp_machine_get_cancellable(machine), error);
    if (server)
        vmp_machine_prepare_client(machine, *client);
    return server != NULL;
}

gboolean
vmp_machine_note_server(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpInstance) server = NULL;

    if (!read_server(machine, &server, error))
        return FALSE;
    if (!server || !vmp_instance_is_alive(server))
        return vmp_fail(error, VMP_ERROR_DISCONNECTED,
                        "the storage daemon that was to serve the disks has ended");
    return vmp_instance_note_started(server, VMP_INSTANCE_SERVER, error);
}

gboolean
vmp_machine_find_server(VmpMachine *machine, GPid *pid, GError **error)
{
    g_autoptr(VmpInstance) server = NULL;

    if (!read_server(machine, &server, error))
        return FALSE;
    *pid =
        server && !server->starting && vmp_instance_is_alive(server) ? server->process.pid : 0;
    return TRUE;
}

gboolean
vmp_machine_check_no_server(VmpMachine *machine, GError **error)
{
    GPid pid = 0;

    if (!vmp_machine_find_server(machine, &pid, error))
        return FALSE;
    return pid == 0 ||
           vmp_fail(error, VMP_ERROR_BUSY,
                    "domain %s: a pull backup serves its disks (storage daemon, pid "
                    "%d); end it with domjobabort first",
                    machine->row->name, (int)pid);
}

gboolean
vmp_machine_end_server(VmpMachine *machine, GError **error)
{
    g_autoptr(VmpInstance) server = NULL;

    if (!read_server(machine, &server, error))
        return FALSE;
    if (!server)
        return TRUE;
    if (!vmp_instance_kill(server, END_TIMEOUT_MS, NULL))
        return vmp_fail(
            error, VMP_ERROR_TIMED_OUT,
            "domain %s: the storage daemon (pid %d) that serves its disks outlives "
            "SIGKILL: it hangs in the kernel",
            machine->row->name, (int)server->process.pid);
    if (!vmp_fault("server-ended", error))
        return FALSE;
    vmp_instance_remove_files(server, VMP_INSTANCE_SERVER);
    return TRUE;
}
