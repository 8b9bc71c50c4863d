/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/memory.h"

#include "base/error.h"
#include "machine/spare.h"
#include "plan/stamp.h"
#include "point/quiet.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/ram-file.h"
#include "store/store.h"

gboolean
vmp_memory_check(VmpMachine *machine, const char *path, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return vmp_fail(error, VMP_ERROR_EXISTS, "memory file '%s' exists already", path);
    return vmp_quiet_check_jobs(machine, error) && vmp_quiet_check_migration(machine, error);
}

/* Bytes that the stream can have at most: RAM with a word for each page, and what devices add,
 * their own memory included. */
static guint64
largest_stream(const VmpDomain *definition)
{
    const guint64 page = 4096, word = 16, devices = (guint64)256 << 20;
    guint64 memory = vmp_domain_get_memory(definition);

    return memory + memory / page * word + devices;
}

/* 0 if it cannot be told: then it is left as it is. */
static gint64
read_bandwidth(VmpMachine *machine)
{
    VmpQmpClient *monitor = vmp_machine_get_monitor(machine, NULL);
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_migrate_parameters();
    g_autoptr(VmpJson) reply =
        monitor ? vmp_qmp_client_execute(monitor, command, NULL, NULL) : NULL;

    return vmp_json_get_int(reply, "max-bandwidth", 0);
}

/* With the guest stopped, QEMU gives up all images at the end, and cannot while the filter of
 * a pull backup still writes to scratch space: the RAM would be saved for nothing. */
static gboolean
check_images_can_rest(const VmpBlockGraph *graph, GError **error)
{
    const GPtrArray *nodes = vmp_block_graph_nodes(graph);

    for (guint i = 0; i < nodes->len; i++) {
        const VmpBlockNode *node = g_ptr_array_index(nodes, i);
        if (g_strcmp0(node->driver, "copy-before-write") == 0)
            return vmp_fail(error, VMP_ERROR_BUSY,
                            "QEMU cannot save the RAM of a guest that is stopped while a pull "
                            "backup serves its disks; end it with domjobabort first, or save "
                            "with --live while the guest runs");
    }
    return TRUE;
}

gboolean
vmp_memory_plan_save(VmpPlan *plan, VmpMachine *machine, const VmpBlockGraph *graph,
                     const char *path, gboolean live, GError **error)
{
    guint64 mark = ((guint64)g_random_int() << 32) | g_random_int();
    VmpState state = VMP_STATE_NOSTATE;
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);

    if (!definition || !vmp_machine_query_state(machine, &state, NULL, error))
        return FALSE;

    gboolean running = state == VMP_STATE_RUNNING;
    /* QEMU would let a paused guest run; and it loses nothing by waiting. */
    gboolean background = live && running;
    if (!background && !check_images_can_rest(graph, error))
        return FALSE;
    plan->space += largest_stream(definition);
    vmp_plan_add(plan, &vmp_step_create_memory_file,
                 vmp_json_build("s:path", path, "i:mark", (gint64)mark, "I:reserve",
                                background ? (gint64)largest_stream(definition) : (gint64)0,
                                "B:live", background, "I:bandwidth",
                                background ? read_bandwidth(machine) : (gint64)0, NULL));
    if (background)
        vmp_plan_add(plan, &vmp_step_set_background,
                     vmp_json_build("s:path", path, "i:mark", (gint64)mark, NULL));
    vmp_plan_add(plan, &vmp_step_stop_for_memory,
                 vmp_json_build("b:was-running", running, NULL));
    if (!background)
        vmp_plan_add(plan, &vmp_step_save_memory,
                     vmp_json_build("s:path", path, "i:mark", (gint64)mark, "b:was-running",
                                    running, NULL));
    return TRUE;
}

void
vmp_memory_plan_seal(VmpPlan *plan)
{
    VmpJson *file = vmp_plan_find(plan, &vmp_step_create_memory_file)->args;
    VmpJson *stop = vmp_plan_find(plan, &vmp_step_stop_for_memory)->args;
    const VmpStep *commit = g_ptr_array_index(plan->steps, (guint)plan->commit);
    const char *path = vmp_json_get_string(file, "path");
    gboolean was_running = vmp_json_get_bool(stop, "was-running", FALSE);
    gboolean live = vmp_json_get_bool(file, "live", FALSE);

    /* How the switch is told once QEMU is gone: see step-overlays.c. */
    plan->mark_commit = !live;
    json_object_object_add(commit->args, live ? "ram" : "noted",
                           live ? json_object_new_string(path)
                                : json_object_new_boolean(TRUE));
    if (live)
        vmp_plan_add(plan, &vmp_step_save_live,
                     vmp_json_build("s:path", path, "i:mark",
                                    vmp_json_get_int(file, "mark", 0), "b:was-running",
                                    was_running, "I:bandwidth",
                                    vmp_json_get_int(file, "bandwidth", 0), NULL));
    vmp_plan_add(plan, &vmp_step_wake, vmp_json_build("b:was-running", was_running, NULL));
    vmp_plan_add_cleanup(plan, &vmp_step_seal_memory, vmp_json_build("s:path", path, NULL));
}

gboolean
vmp_memory_check_file(VmpMachine *machine, const char *path, GError **error)
{
    g_auto(VmpFd) fd = vmp_ram_file_open(path, error);
    if (fd < 0)
        return FALSE;

    /* Sound by itself, it can be another snapshot's: with the disks of this one it would load.
     */
    g_autofree char *hash = vmp_ram_file_read_hash(path);
    return !vmp_stamp_is_other_content(machine, path, hash) ||
           vmp_fail(error, VMP_ERROR_DAMAGED,
                    "memory file '%s': it is not the RAM that was saved there", path);
}

gboolean
vmp_memory_check_load(VmpMachine *machine, const VmpDomain *definition, const char *path,
                      GError **error)
{
    g_autofree char *why = NULL;

    if (vmp_machine_is_on(machine) && vmp_machine_get_row(machine)->qmp_path)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "the RAM goes into a new process, and the present one was not started by "
            "vmpoint");
    if (vmp_machine_is_on(machine) && !vmp_spare_is_possible(definition, &why))
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "a new process cannot be prepared beside the present one because of %s; "
            "end the domain, then revert",
            why);
    return vmp_memory_check_file(machine, path, error);
}

gint64
vmp_memory_put_definition(VmpMachine *machine, const VmpDomain *definition, GError **error)
{
    const VmpStoreDomain *row = vmp_machine_get_row(machine);
    g_autofree char *text = vmp_domain_format(definition, VMP_DOMAIN_FORMAT_SECURE);

    return vmp_store_put_definition(vmp_machine_get_store(machine), text, -1,
                                    row->active ? row->active : row->inactive, error);
}

void
vmp_memory_plan_load(VmpPlan *plan, gint64 definition, const char *path,
                     const VmpPartPast *parts, gboolean resume)
{
    vmp_plan_add(plan, &vmp_step_load_spare,
                 vmp_json_build("s:file", path, "i:definition", definition, "S:nvram",
                                vmp_part_staged_path(parts, VMP_PART_NVRAM), "S:tpm",
                                vmp_part_staged_path(parts, VMP_PART_TPM), NULL));
    vmp_plan_add_commit(plan, &vmp_step_switch_to_spare,
                        vmp_json_build("i:definition", definition, NULL));
    vmp_part_plan_put(plan, parts);
    if (resume)
        vmp_plan_add(plan, &vmp_step_resume, NULL);
}
