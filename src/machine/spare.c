/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/spare.h"

#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "machine/firmware.h"
#include "machine/instance-end.h"
#include "machine/instance-start.h"
#include "machine/machine-private.h"
#include "machine/servers.h"
#include "machine/tpm.h"

#define END_TIMEOUT_MS 5000

/* ---- is it possible ---- */

static char *
find_exclusive_chardev(const VmpDomain *definition)
{
    const GPtrArray *chardevs = vmp_domain_get_chardevs(definition);

    for (guint i = 0; i < chardevs->len; i++) {
        const VmpDomainChardev *chardev = g_ptr_array_index(chardevs, i);
        if (g_strcmp0(chardev->type, "tcp") == 0)
            return g_strdup_printf("<%s type='tcp'>", chardev->kind);
    }
    return NULL;
}

static char *
find_exclusive_port(const VmpDomain *definition)
{
    const GPtrArray *interfaces = vmp_domain_get_interfaces(definition);
    const GPtrArray *graphics = vmp_domain_get_graphics(definition);

    for (guint i = 0; i < interfaces->len; i++) {
        const VmpDomainInterface *interface = g_ptr_array_index(interfaces, i);
        if (interface->forwards && interface->forwards->len > 0)
            return g_strdup("<portForward>");
    }
    for (guint i = 0; i < graphics->len; i++) {
        const VmpDomainGraphics *screen = g_ptr_array_index(graphics, i);
        if (g_strcmp0(screen->type, "none") != 0 && (screen->socket || !screen->autoport))
            return g_strdup_printf("<graphics type='%s'>", screen->type);
    }
    return NULL;
}

gboolean
vmp_spare_is_possible(const VmpDomain *definition, char **why)
{
    const GPtrArray *arguments = vmp_domain_get_qemu_args(definition);
    g_autofree char *found = find_exclusive_chardev(definition);

    if (!found)
        found = find_exclusive_port(definition);
    /* What they hold on to is not ours to know. */
    if (!found && arguments && arguments->len > 0)
        found = g_strdup("<qemu:commandline>");

    gboolean is_possible = found == NULL;
    if (why)
        *why = g_steal_pointer(&found);
    return is_possible;
}

/* ---- its life ---- */

gboolean
vmp_machine_prepare_spare(VmpMachine *machine, const VmpDomain *definition, gboolean incoming,
                          const char *nvram, const char *tpm, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", machine->row->name);
    g_auto(VmpFirmware) firmware = { 0 };
    if (!vmp_servers_look(definition, error) ||
        !vmp_firmware_prepare(machine, definition, FALSE, &firmware, error))
        return FALSE;

    if (nvram && firmware.nvram) {
        g_free(firmware.nvram);
        firmware.nvram = g_strdup(nvram);
    }
    g_autofree char *own = vmp_tpm_folder(machine->host, machine->row->uuid);
    if (vmp_domain_get_tpm(definition) && !tpm && vmp_machine_is_on(machine))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "two processes cannot have one TPM: end the domain first");
    VmpInstanceSpec spec = {
        .definition = definition,
        .firmware = &firmware,
        .tpm_folder = tpm ? tpm : own,
        .incoming = incoming,
        .new_genid = TRUE,
    };

    vmp_machine_drop_spare(machine);
    machine->spare = vmp_instance_start(machine->host, machine->row->uuid, VMP_INSTANCE_SPARE,
                                        &spec, &machine->spare_monitor,
                                        vmp_machine_get_cancellable(machine), error);
    if (!machine->spare)
        return FALSE;
    vmp_machine_prepare_client(machine, machine->spare_monitor);
    return TRUE;
}

VmpQmpClient *
vmp_machine_get_spare_monitor(VmpMachine *machine)
{
    return machine->spare_monitor;
}

void
vmp_machine_drop_spare(VmpMachine *machine)
{
    g_clear_pointer(&machine->spare_monitor, vmp_qmp_client_unref);
    /* One that was chosen is the next command's to finish. */
    if (machine->spare && !machine->spare->chosen &&
        vmp_instance_kill(machine->spare, END_TIMEOUT_MS, NULL))
        vmp_instance_remove_files(machine->spare, VMP_INSTANCE_SPARE);
    g_clear_pointer(&machine->spare, vmp_instance_free);
}

/* The one before has ended, or is as good as dead: a spare is never chosen twice. */
static gboolean
promote(VmpMachine *machine, const char *reason, GError **error)
{
    g_autofree char *text = vmp_instance_read_definition(machine->spare, error);
    g_autoptr(VmpDomain) definition = text ? vmp_domain_parse(text, -1, error) : NULL;

    if (!definition || !vmp_instance_promote(machine->spare, error))
        return FALSE;
    g_clear_pointer(&machine->instance, vmp_instance_free);
    machine->instance = g_steal_pointer(&machine->spare);
    return vmp_fault("spare-promoted", error) &&
           vmp_machine_mark_on(machine, definition, VMP_STATE_PAUSED, reason, error);
}

gboolean
vmp_machine_switch_to_spare(VmpMachine *machine, const char *reason, GError **error)
{
    if (!vmp_instance_choose(machine->spare, error) || !vmp_fault("spare-chosen", error))
        return FALSE;
    if (vmp_machine_is_on(machine) && !vmp_machine_end_process(machine, 0, error))
        return FALSE;

    VmpQmpClient *monitor = g_steal_pointer(&machine->spare_monitor);
    gboolean promoted = promote(machine, reason, error);
    vmp_machine_hang_up(machine);
    machine->monitor = monitor;
    return promoted;
}

gboolean
vmp_machine_settle_spare(VmpMachine *machine, GError **error)
{
    g_autoptr(GError) failure = NULL;
    machine->spare =
        vmp_instance_read(machine->host, machine->row->uuid, VMP_INSTANCE_SPARE, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!machine->spare)
        return TRUE;
    if (!machine->spare->chosen || !vmp_instance_is_alive(machine->spare)) {
        machine->spare->chosen = FALSE;
        vmp_machine_drop_spare(machine);
        return TRUE;
    }

    vmp_operation_note(machine->operation, "domain %s: finished replacing its QEMU",
                       machine->row->name);
    if (vmp_machine_is_on(machine) && !vmp_machine_end_process(machine, 0, error))
        return FALSE;
    return promote(machine, "unknown", error);
}
