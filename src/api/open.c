/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "api/open.h"

#include "backup/backup.h"
#include "backup/fleece.h"
#include "backup/restore-point.h"
#include "backup/serve.h"
#include "base/error.h"
#include "machine/freeze.h"
#include "machine/server.h"
#include "plan/executor.h"
#include "point/copy-disk.h"
#include "point/memory-lost.h"
#include "point/steps.h"
#include "point/writable.h"

/* Every kind of step that a journal can hold. */
static const VmpStepKind *const step_kinds[] = {
    &vmp_step_create_images,
    &vmp_step_switch_to_overlays,
    &vmp_step_start_bitmaps,
    &vmp_step_remove_bitmaps,
    &vmp_step_create_branches,
    &vmp_step_open_branches,
    &vmp_step_pause,
    &vmp_step_swap_disks,
    &vmp_step_reset,
    &vmp_step_resume,
    &vmp_step_close_nodes,
    &vmp_step_end_process,
    &vmp_step_start_merges,
    &vmp_step_finish_merges,
    &vmp_step_move_backings,
    &vmp_step_open_layers,
    &vmp_step_shut_layers,
    &vmp_step_start_backup,
    &vmp_step_start_copies,
    &vmp_step_restore_disks,
    &vmp_step_start_server,
    &vmp_step_open_filters,
    &vmp_step_insert_filters,
    &vmp_step_add_exports,
    &vmp_step_serve_disks,
    &vmp_step_save_internal,
    &vmp_step_delete_internal,
    &vmp_step_close_writable,
    &vmp_step_start_stopped,
    &vmp_step_load_internal,
    &vmp_step_apply_internal,
    &vmp_step_create_memory_file,
    &vmp_step_stop_for_memory,
    &vmp_step_save_memory,
    &vmp_step_wake,
    &vmp_step_seal_memory,
    &vmp_step_copy_past,
    &vmp_step_keep_parts,
    &vmp_step_drop_parts,
    &vmp_step_seal_parts,
    &vmp_step_clone_parts,
    &vmp_step_stage_parts,
    &vmp_step_check_parts,
    &vmp_step_put_parts,
    &vmp_step_load_spare,
    &vmp_step_switch_to_spare,
    &vmp_step_set_background,
    &vmp_step_save_live,
    &vmp_step_freeze_guest,
    &vmp_step_thaw_guest,
    &vmp_step_set_backing,
    &vmp_step_resize_disk,
    &vmp_step_copy_once,
    &vmp_step_open_memory,
    &vmp_step_load_memory,
    &vmp_step_save_and_revert,
    NULL,
};

const VmpStepKind *const *
vmp_api_step_kinds(void)
{
    return step_kinds;
}

VmpMachine *
vmp_api_look(VmpHost *host, const char *domain, GError **error)
{
    return vmp_machine_open(host, domain, VMP_MACHINE_READ, NULL, error);
}

static gboolean
settle(VmpMachine *machine, GPtrArray *said, GError **error)
{
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    VmpJobState state = VMP_JOB_NONE;

    vmp_memory_free_hung(machine);
    if (!vmp_plan_recover(machine, step_kinds, said, error))
        return FALSE;
    vmp_machine_settle_freeze(machine);
    if (!vmp_backup_settle(&change, VMP_SETTLE_LOOK, &state, error))
        return FALSE;
    if (said && state != VMP_JOB_NONE && state != VMP_JOB_RUNNING)
        g_ptr_array_add(said,
                        g_strdup_printf("domain %s: the backup has ended: %s",
                                        vmp_machine_get_name(machine),
                                        state == VMP_JOB_COMPLETED ? "completed" : "failed"));
    return TRUE;
}

VmpMachine *
vmp_api_settle(VmpHost *host, const char *domain, VmpOperation *operation, GPtrArray *said,
               GError **error)
{
    g_autoptr(VmpMachine) machine =
        vmp_machine_open(host, domain, VMP_MACHINE_CHANGE, operation, error);

    /* A dry run changes nothing, not even what an earlier command left half done. */
    if (!machine || (!vmp_operation_get_dry_run(operation) && !settle(machine, said, error)))
        return NULL;
    return g_steal_pointer(&machine);
}

VmpMachine *
vmp_api_change_life(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_settle(host, domain, operation, NULL, error);

    if (!machine || !vmp_machine_check_no_server(machine, error))
        return NULL;
    return g_steal_pointer(&machine);
}

VmpMachine *
vmp_api_change(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_api_change_life(host, domain, operation, error);

    /* A dry run has settled nothing, so what is open may be anything. */
    if (!machine || (!vmp_operation_get_dry_run(operation) &&
                     !vmp_plan_check_none_detached(machine, error)))
        return NULL;
    return g_steal_pointer(&machine);
}

GPtrArray *
vmp_host_recover(VmpHost *host, const char *domain, VmpOperation *operation, GError **error)
{
    g_autoptr(GPtrArray) said = g_ptr_array_new_with_free_func(g_free);

    if (domain) {
        g_autoptr(VmpMachine) machine = vmp_api_settle(host, domain, operation, said, error);
        return machine ? g_steal_pointer(&said) : NULL;
    }

    g_autoptr(GPtrArray) rows = vmp_store_list_domains(host->store, error);
    if (!rows)
        return NULL;
    for (guint i = 0; i < rows->len; i++) {
        const VmpStoreDomain *row = g_ptr_array_index(rows, i);
        g_autoptr(VmpMachine) machine =
            vmp_api_settle(host, row->uuid, operation, said, error);
        if (!machine)
            return NULL;
    }
    return g_steal_pointer(&said);
}
