/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* load-spare      { "file", "definition": id of the store, "nvram", "tpm": path or none }
 * switch-to-spare { "definition" }
 *
 * RAM that cannot go into the process that runs: a second one has loaded it before the present
 * one ends.
 */

#include "machine/instance.h"
#include "machine/spare.h"
#include "point/memory.h"
#include "point/migration.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/ram-file.h"

/* ---- load-spare ---- */

static VmpDomain *
read_definition(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autofree char *text =
        vmp_store_get_definition(vmp_machine_get_store(change->machine),
                                 vmp_json_get_int(step->args, "definition", 0), NULL, error);

    return text ? vmp_domain_parse(text, -1, error) : NULL;
}

/* QEMU ends when the RAM does not fit. */
static gboolean
load_from(VmpQmpClient *client, int fd, VmpChange *change, GError **error)
{
    return vmp_qmp_client_run(client, vmp_qmp_migrate_set_capability("events", TRUE), NULL,
                              error) &&
           vmp_migration_give(client, fd, error) &&
           vmp_qmp_client_run(client, vmp_qmp_migrate_incoming(VMP_MIGRATION_URI), NULL,
                              error) &&
           vmp_migration_finish(client, change->operation, vmp_change_get_cancellable(change),
                                error);
}

gboolean
vmp_memory_load_spare(VmpChange *change, const VmpDomain *definition, const char *file,
                      const char *nvram, const char *tpm, GError **error)
{
    g_auto(VmpFd) fd = vmp_ram_file_open(file, error);

    if (fd < 0 || !vmp_change_close_session(change, error) ||
        !vmp_machine_prepare_spare(change->machine, definition, TRUE, nvram, tpm, error))
        return FALSE;
    if (load_from(vmp_machine_get_spare_monitor(change->machine), fd, change, error))
        return TRUE;
    g_prefix_error(error, "the RAM of '%s' cannot be loaded: ", file);
    vmp_machine_drop_spare(change->machine);
    return FALSE;
}

static gboolean
spare_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(VmpDomain) definition = read_definition(step, change, error);

    return definition &&
           vmp_memory_load_spare(change, definition, vmp_json_get_string(step->args, "file"),
                                 vmp_json_get_string(step->args, "nvram"),
                                 vmp_json_get_string(step->args, "tpm"), error);
}

static gboolean
spare_undo(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error G_GNUC_UNUSED)
{
    vmp_machine_drop_spare(change->machine);
    return TRUE;
}

static char *
spare_describe(const VmpStep *step)
{
    return g_strdup_printf("start a second process and load the RAM of '%s' into it",
                           vmp_json_get_string(step->args, "file"));
}

static void
spare_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_migrate_set_capability("events", TRUE));
    g_ptr_array_add(commands, vmp_qmp_getfd(VMP_MIGRATION_FD));
    g_ptr_array_add(commands, vmp_qmp_migrate_incoming(VMP_MIGRATION_URI));
}

const VmpStepKind vmp_step_load_spare = {
    .name = "load-spare",
    .apply = spare_apply,
    .undo = spare_undo,
    .describe = spare_describe,
    .commands = spare_commands,
};

/* ---- switch-to-spare ---- */

static gboolean
switch_apply(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    return vmp_change_close_session(change, error) &&
           vmp_machine_switch_to_spare(change->machine, "from snapshot", error);
}

/* What the process that runs was started with: the store's row may be older than it. */
static char *
read_running(VmpMachine *machine)
{
    g_autoptr(VmpInstance) instance =
        vmp_instance_read(vmp_machine_get_host(machine), vmp_machine_get_uuid(machine),
                          VMP_INSTANCE_MACHINE, NULL);
    g_autofree char *text = instance && vmp_instance_is_alive(instance)
                                ? vmp_instance_read_definition(instance, NULL)
                                : NULL;
    g_autoptr(VmpDomain) definition = text ? vmp_domain_parse(text, -1, NULL) : NULL;

    return definition ? vmp_domain_format(definition, VMP_DOMAIN_FORMAT_SECURE) : NULL;
}

static VmpProbe
switch_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    /* Still at hand: it may have been chosen, which cannot be taken back. */
    if (change->commit_begun && vmp_machine_get_spare_monitor(change->machine))
        return VMP_PROBE_BEGUN;

    g_autoptr(VmpDomain) definition = read_definition(step, change, error);
    if (!definition)
        return VMP_PROBE_UNKNOWN;
    g_autofree char *wanted = vmp_domain_format(definition, VMP_DOMAIN_FORMAT_SECURE);
    g_autofree char *running = read_running(change->machine);
    return g_strcmp0(wanted, running) == 0 ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
switch_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup(
        "end the present process, if there is one, and put the second one in its place");
}

const VmpStepKind vmp_step_switch_to_spare = {
    .name = "switch-to-spare",
    .apply = switch_apply,
    .probe = switch_probe,
    .describe = switch_describe,
};
