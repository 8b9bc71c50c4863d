/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the machine's QEMU can do, by its schema.
 *
 * A schema is a quarter of a megabyte; answers are one bit each.  So the answers are kept
 * in the store, by the build of QEMU: the program file that the process runs, known by device,
 * inode, size and time.  Of an attached QEMU the build is not known, and nothing is kept. */

#include <sys/stat.h>

#include "base/error.h"
#include "machine/machine-private.h"
#include "qmp/commands.h"

static char *
build_of(VmpMachine *machine)
{
    if (machine->row->qmp_path || !machine->instance)
        return NULL;

    g_autofree char *program =
        g_strdup_printf("/proc/%d/exe", (int)machine->instance->process.pid);
    struct stat info;
    if (stat(program, &info) < 0)
        return NULL;
    return g_strdup_printf("%llx-%llx-%llx-%llx.%09lx", (unsigned long long)info.st_dev,
                           (unsigned long long)info.st_ino, (unsigned long long)info.st_size,
                           (unsigned long long)info.st_mtim.tv_sec,
                           (unsigned long)info.st_mtim.tv_nsec);
}

static const VmpQmpSchema *
get_schema(VmpMachine *machine, GError **error)
{
    if (machine->schema)
        return machine->schema;

    VmpQmpClient *client = vmp_machine_get_monitor(machine, error);
    if (!client)
        return NULL;
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_qmp_schema();
    g_autoptr(VmpJson) reply =
        vmp_qmp_client_execute(client, command, vmp_machine_get_cancellable(machine), error);
    if (reply)
        machine->schema = vmp_qmp_schema_new(reply, error);
    return machine->schema;
}

gboolean
vmp_machine_has(VmpMachine *machine, const char *command, const char *path, gboolean *has,
                GError **error)
{
    VmpStore *store = machine->host->store;
    g_autofree char *build = build_of(machine);
    g_autofree char *key =
        build ? g_strdup_printf("has:%s:%s:%s", build, command, path ? path : "") : NULL;
    g_autofree char *known = key ? vmp_store_get_fact(store, key, NULL) : NULL;

    if (known) {
        *has = g_str_equal(known, "1");
        return TRUE;
    }

    const VmpQmpSchema *schema = get_schema(machine, error);
    if (!schema)
        return FALSE;
    *has = path ? vmp_qmp_schema_has(schema, command, path)
                : vmp_qmp_schema_has_command(schema, command);
    /* Only to be quicker next time: that it cannot be written is no reason to fail. */
    if (key)
        vmp_store_put_fact(store, key, *has ? "1" : "0", NULL);
    return TRUE;
}
