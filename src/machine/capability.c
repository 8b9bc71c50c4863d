/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a QEMU or storage daemon can do, by its schema.
 *
 * A schema is a quarter of a megabyte; answers are one bit each.  So the answers are kept
 * in the store, by the build: the program file that the process runs, known by device,
 * inode, size and time.  Of an attached QEMU the build is not known, and nothing is kept. */

#include <sys/stat.h>

#include "base/error.h"
#include "machine/machine-private.h"
#include "qmp/commands.h"

/* Of the program that the process @pid runs. */
static char *
build_of(int pid)
{
    g_autofree char *program = g_strdup_printf("/proc/%d/exe", pid);
    struct stat info;

    if (stat(program, &info) < 0)
        return NULL;
    return g_strdup_printf("%llx-%llx-%llx-%llx.%09lx", (unsigned long long)info.st_dev,
                           (unsigned long long)info.st_ino, (unsigned long long)info.st_size,
                           (unsigned long long)info.st_mtim.tv_sec,
                           (unsigned long)info.st_mtim.tv_nsec);
}

static VmpQmpSchema *
read_schema(VmpMachine *machine, VmpQmpClient *client, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_qmp_schema();
    g_autoptr(VmpJson) reply =
        vmp_qmp_client_execute(client, command, vmp_machine_get_cancellable(machine), error);

    return reply ? vmp_qmp_schema_new(reply, error) : NULL;
}

/* The machine's own is read once. */
static VmpQmpSchema *
get_schema(VmpMachine *machine, GError **error)
{
    if (machine->schema)
        return machine->schema;

    VmpQmpClient *client = vmp_machine_get_monitor(machine, error);
    if (client)
        machine->schema = read_schema(machine, client, error);
    return machine->schema;
}

static gboolean
schema_says(const VmpQmpSchema *schema, const char *command, const char *path)
{
    return path ? vmp_qmp_schema_has(schema, command, path)
                : vmp_qmp_schema_has_command(schema, command);
}

/* Where the answer is kept; NULL = nowhere. */
static char *
key_of(const VmpInstance *instance, const char *command, const char *path)
{
    g_autofree char *build = instance ? build_of((int)instance->process.pid) : NULL;

    return build ? g_strdup_printf("has:%s:%s:%s", build, command, path ? path : "") : NULL;
}

static gboolean
is_known(VmpMachine *machine, const char *key, gboolean *has)
{
    g_autofree char *known = key ? vmp_store_get_fact(machine->host->store, key, NULL) : NULL;

    *has = g_strcmp0(known, "1") == 0;
    return known != NULL;
}

/* Only to be quicker next time: that it cannot be written is no reason to fail. */
static void
keep(VmpMachine *machine, const char *key, gboolean has)
{
    if (key)
        vmp_store_put_fact(machine->host->store, key, has ? "1" : "0", NULL);
}

gboolean
vmp_machine_has(VmpMachine *machine, const char *command, const char *path, gboolean *has,
                GError **error)
{
    g_autofree char *key =
        machine->row->qmp_path ? NULL : key_of(machine->instance, command, path);
    if (is_known(machine, key, has))
        return TRUE;

    const VmpQmpSchema *schema = get_schema(machine, error);
    if (!schema)
        return FALSE;
    *has = schema_says(schema, command, path);
    keep(machine, key, *has);
    return TRUE;
}

gboolean
vmp_machine_daemon_has(VmpMachine *machine, const VmpInstance *daemon, VmpQmpClient *client,
                       const char *command, const char *path, gboolean *has, GError **error)
{
    g_autofree char *key = key_of(daemon, command, path);
    if (is_known(machine, key, has))
        return TRUE;

    g_autoptr(VmpQmpSchema) schema = read_schema(machine, client, error);
    if (!schema)
        return FALSE;
    *has = schema_says(schema, command, path);
    keep(machine, key, *has);
    return TRUE;
}
