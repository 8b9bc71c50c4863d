/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* save-and-revert { "save", "snapshot", "flags", "was-on" }
 *
 * Two operations, each with a journal entry of its own, under one that holds them together:
 * the snapshot of the state that is left, then the revert.  Recovery settles the newest entry
 * first, so when it comes to this one either the revert has happened, or the saved snapshot
 * goes again.
 *
 * With one exception: where the guest was lost on the way, the saved snapshot is the only
 * place where its RAM is, and stays.
 */

#include "base/error.h"
#include "plan/executor.h"
#include "point/internal.h"
#include "point/record.h"
#include "point/revert.h"
#include "point/snapshot.h"
#include "point/steps.h"
#include "point/align.h"
#include "qmp/commands.h"
#include "store/intent.h"
#include "xml/edit.h"

static const char *
save_of(const VmpStep *step)
{
    return vmp_json_get_string(step->args, "save");
}

static const char *
snapshot_of(const VmpStep *step)
{
    return vmp_json_get_string(step->args, "snapshot");
}

/* ---- the saved snapshot ---- */

/* "<first image minus extension>.<snapshot>.ram" */
static char *
memory_path(const VmpDomain *definition, const char *name)
{
    const GPtrArray *disks = vmp_domain_get_disks(definition);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && disk->type == VMP_STORAGE_FILE && !disk->readonly) {
            g_autofree char *stem = vmp_align_overlay_path(disk->source, name);
            return g_strconcat(stem, ".ram", NULL);
        }
    }
    return NULL;
}

/* As snapshot-create would make it when left to itself, but of the kind that the revert leaves
 * alone: what is inside an image stays there only if that image does. */
static char *
describe_saved(VmpMachine *machine, const char *target, const char *save, GError **error)
{
    g_autoptr(VmpSnapshot) snapshot = vmp_record_load_snapshot(machine, target, error);
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    if (!snapshot || !definition)
        return NULL;

    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *name = g_markup_escape_text(save, -1);
    g_string_append_printf(text, "<domainsnapshot><name>%s</name>", name);
    if (vmp_machine_is_on(machine) && !vmp_internal_is(snapshot)) {
        g_autofree char *path = memory_path(definition, save);
        g_autofree char *file = path ? g_markup_escape_text(path, -1) : NULL;
        if (!file)
            return vmp_fail_null(error, VMP_ERROR_UNSUPPORTED,
                                 "there is no image beside which the RAM could be saved");
        g_string_append_printf(text, "<memory snapshot='external' file='%s'/>", file);
    }
    g_string_append(text, "</domainsnapshot>");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean
save_present(VmpMachine *machine, const char *target, const char *save, GError **error)
{
    g_autofree char *xml = describe_saved(machine, target, save, error);
    g_autoptr(VmpSnapshot) snapshot =
        xml ? vmp_record_load_snapshot(machine, target, error) : NULL;
    if (!snapshot)
        return FALSE;

    /* Of a domain that is off there are only disks. */
    VmpSnapshotCreateFlags flags = !vmp_machine_is_on(machine) && !vmp_internal_is(snapshot)
                                       ? VMP_SNAPSHOT_CREATE_DISK_ONLY
                                       : 0;
    g_autofree char *made = vmp_point_create_snapshot(machine, xml, flags, error);
    return made != NULL;
}

/* ---- save-and-revert ---- */

static gboolean
is_reverted(const VmpStep *step, VmpChange *change, gboolean *reverted, GError **error)
{
    g_autofree char *current = NULL;
    gboolean exists = FALSE;

    if (!vmp_record_current_name(change->machine, VMP_POINT_SNAPSHOT, &current, error) ||
        !vmp_record_exists(change->machine, VMP_POINT_SNAPSHOT, save_of(step), &exists, error))
        return FALSE;
    *reverted = exists && g_strcmp0(current, snapshot_of(step)) == 0;
    return TRUE;
}

static gboolean
save_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpSnapshotRevertFlags flags =
        (VmpSnapshotRevertFlags)vmp_json_get_int(step->args, "flags", 0);
    g_autoptr(GError) failure = NULL;
    gboolean reverted = FALSE;

    if (!save_present(change->machine, snapshot_of(step), save_of(step), error))
        return FALSE;
    if (vmp_revert_carry_out(change->machine, snapshot_of(step), flags, FALSE, &failure))
        return TRUE;
    if (is_reverted(step, change, &reverted, NULL) && reverted) {
        vmp_operation_warn(change->operation, "%s", failure->message);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean
check_settled(VmpChange *change, GError **error)
{
    g_autoptr(GPtrArray) intents =
        vmp_store_list_intents(vmp_machine_get_store(change->machine),
                               vmp_machine_get_row(change->machine)->id, error);

    if (!intents)
        return FALSE;
    return intents->len <= 1 ||
           vmp_fail(error, VMP_ERROR_BUSY, "what it consists of is not settled yet");
}

static gboolean
save_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    gboolean exists = FALSE;

    if (!check_settled(change, error) ||
        !vmp_record_exists(change->machine, VMP_POINT_SNAPSHOT, save_of(step), &exists, error))
        return FALSE;
    if (!exists)
        return TRUE;
    if (vmp_json_get_bool(step->args, "was-on", FALSE) &&
        !vmp_machine_is_on(change->machine)) {
        vmp_operation_warn(change->operation, "the state before is in snapshot '%s'",
                           save_of(step));
        return TRUE;
    }
    return vmp_point_delete_snapshot(change->machine, save_of(step), 0, error);
}

static VmpProbe
save_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    gboolean reverted = FALSE;

    if (!is_reverted(step, change, &reverted, error))
        return VMP_PROBE_UNKNOWN;
    return reverted ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
save_describe(const VmpStep *step)
{
    return g_strdup_printf("make snapshot '%s', then revert to '%s'", save_of(step),
                           snapshot_of(step));
}

const VmpStepKind vmp_step_save_and_revert = {
    .name = "save-and-revert",
    .apply = save_apply,
    .undo = save_undo,
    .probe = save_probe,
    .describe = save_describe,
};

/* ---- the whole ---- */

static VmpJson *
take_report(VmpOperation *operation)
{
    return vmp_json_parse(vmp_operation_get_plan(operation), -1, NULL);
}

/* One report of both: the revert's, with the steps of the other one before. */
static gboolean
report(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags, const char *save,
       GError **error)
{
    VmpOperation *operation = vmp_machine_get_operation(machine);

    if (!save_present(machine, name, save, error))
        return FALSE;
    g_autoptr(VmpJson) first = take_report(operation);
    if (!vmp_revert_carry_out(machine, name, flags, FALSE, error))
        return FALSE;
    g_autoptr(VmpJson) second = take_report(operation);
    VmpJson *steps = json_object_get(vmp_json_get_array(first, "steps"));
    VmpJson *later = vmp_json_get_array(second, "steps");

    for (guint i = 0; i < vmp_json_length(later); i++)
        json_object_array_add(steps, json_object_get(vmp_json_at(later, i)));
    json_object_object_add(second, "steps", steps);
    json_object_object_add(second, "space",
                           json_object_new_int64(vmp_json_get_int(first, "space", 0) +
                                                 vmp_json_get_int(second, "space", 0)));
    vmp_operation_take_plan(operation, vmp_json_to_pretty(second));
    return TRUE;
}

/* Once there is one of that name it is ours. */
static gboolean
check_new(VmpMachine *machine, const char *save, GError **error)
{
    gboolean exists = FALSE;

    if (!vmp_record_exists(machine, VMP_POINT_SNAPSHOT, save, &exists, error))
        return FALSE;
    return !exists || vmp_fail(error, VMP_ERROR_EXISTS, "snapshot '%s' exists already", save);
}

gboolean
vmp_revert_save_first(VmpMachine *machine, const char *name, VmpSnapshotRevertFlags flags,
                      const char *save, GError **error)
{
    VmpOperation *operation = vmp_machine_get_operation(machine);
    g_auto(VmpChange) change = { .machine = machine, .operation = operation };

    if (vmp_operation_get_dry_run(operation))
        return report(machine, name, flags, save, error);
    if (!check_new(machine, save, error) ||
        !vmp_revert_carry_out(machine, name, flags, TRUE, error))
        return FALSE;

    g_autoptr(VmpPlan) plan =
        vmp_plan_new("snapshot-revert", vmp_machine_get_name(machine), name);
    vmp_plan_add_commit(plan, &vmp_step_save_and_revert,
                        vmp_json_build("s:save", save, "s:snapshot", name, "i:flags",
                                       (gint64)flags, "b:was-on", vmp_machine_is_on(machine),
                                       NULL));
    return vmp_plan_execute(plan, &change, error);
}
