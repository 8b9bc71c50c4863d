/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/fsck.h"

#include <time.h>

#include "base/error.h"
#include "plan/executor.h"
#include "point/definition.h"
#include "point/record.h"
#include "point/steps.h"
#include "store/edit.h"

/* ---- repair ---- */

static void
plan_backing(VmpPlan *plan, const VmpFsckView *view, const VmpFinding *finding)
{
    const VmpImage *image = vmp_fsck_image(view, finding->path);
    const char *format = NULL;
    const char *backing = vmp_fsck_true_backing(view, finding->path, &format);

    vmp_plan_add(plan, &vmp_step_set_backing,
                 vmp_json_build("s:path", finding->path, "s:backing", backing, "S:format",
                                format, "s:was", image->backing_string, "S:was-format",
                                image->backing_format, NULL));
}

/* QEMU's word for what is open is the truth; the definition follows. */
static gboolean
plan_definition(VmpPlan *plan, VmpMachine *machine, const VmpFsckView *view,
                const GPtrArray *findings, GError **error)
{
    g_autoptr(GPtrArray) changes =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_source_change_free);

    for (guint i = 0; i < findings->len; i++) {
        const VmpFinding *finding = g_ptr_array_index(findings, i);
        if (!g_str_equal(finding->code, "definition-differs"))
            continue;
        const VmpFsckActive *open = g_hash_table_lookup(view->active, finding->disk);
        g_ptr_array_add(changes,
                        vmp_source_change_new(finding->disk, open->path, open->format));
    }
    return changes->len == 0 ||
           vmp_definition_edit_sources(machine, changes, plan->edits, error);
}

static gboolean
plan_repair(VmpPlan *plan, VmpMachine *machine, const VmpFsckView *view,
            const GPtrArray *findings, GError **error)
{
    for (guint i = 0; i < findings->len; i++) {
        const VmpFinding *finding = g_ptr_array_index(findings, i);
        if (finding->cure != VMP_CURE_REPAIR)
            continue;
        if (g_str_equal(finding->code, "backing-lost"))
            plan_backing(plan, view, finding);
        else if (g_str_equal(finding->code, "file-forgotten"))
            vmp_store_edit_remove_file(plan->edits, finding->path);
    }
    return plan_definition(plan, machine, view, findings, error);
}

/* ---- adoption ---- */

static gboolean
plan_adoption(VmpPlan *plan, VmpMachine *machine, const VmpFsckView *view, GError **error)
{
    g_auto(VmpFsckAdoption) adoption = { NULL };

    vmp_fsck_adopt(view, (gint64)time(NULL), &adoption);
    for (guint i = 0; i < adoption.snapshots->len; i++) {
        g_autoptr(VmpStorePoint) row =
            vmp_record_to_snapshot_row(machine, g_ptr_array_index(adoption.snapshots, i),
                                       i + 1 == adoption.snapshots->len, error);
        if (!row)
            return FALSE;
        vmp_store_edit_put_point(plan->edits, row);
    }
    for (guint i = 0; i < adoption.checkpoints->len; i++) {
        g_autoptr(VmpStorePoint) row =
            vmp_record_to_checkpoint_row(machine, g_ptr_array_index(adoption.checkpoints, i),
                                         i + 1 == adoption.checkpoints->len, error);
        if (!row)
            return FALSE;
        vmp_store_edit_put_point(plan->edits, row);
    }
    return TRUE;
}

/* ---- the whole ---- */

static gboolean
is_to_be_cured(const VmpFinding *finding, VmpFsckFlags flags)
{
    return (finding->cure == VMP_CURE_REPAIR && (flags & VMP_FSCK_REPAIR)) ||
           (finding->cure == VMP_CURE_ADOPT && (flags & VMP_FSCK_ADOPT));
}

static gboolean
cure(VmpMachine *machine, const VmpFsckView *view, VmpFsckFlags flags,
     const GPtrArray *findings, GError **error)
{
    VmpOperation *operation = vmp_machine_get_operation(machine);
    g_autoptr(VmpPlan) plan = vmp_plan_new("fsck", vmp_machine_get_name(machine), NULL);
    g_auto(VmpChange) change = { .machine = machine, .operation = operation };

    if (!vmp_change_begin_planning(&change, error) ||
        ((flags & VMP_FSCK_REPAIR) && !plan_repair(plan, machine, view, findings, error)) ||
        ((flags & VMP_FSCK_ADOPT) && !plan_adoption(plan, machine, view, error)) ||
        !vmp_plan_execute(plan, &change, error))
        return FALSE;
    if (vmp_operation_get_dry_run(operation))
        return TRUE;
    for (guint i = 0; i < findings->len; i++) {
        VmpFinding *finding = g_ptr_array_index(findings, i);
        finding->cured = is_to_be_cured(finding, flags);
    }
    return TRUE;
}

/* A domain that was undefined while it ran, has ended since and is kept for its points. */
static GPtrArray *
find_no_definition(VmpMachine *machine)
{
    GPtrArray *findings = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_finding_free);

    g_ptr_array_add(findings,
                    vmp_finding_new("no-definition", VMP_CURE_NONE, NULL, NULL, NULL,
                                    "the domain has points and, since its QEMU has ended, no "
                                    "definition; define it again, or undefine it with what is "
                                    "known of them"));
    return findings;
}

GPtrArray *
vmp_point_fsck(VmpMachine *machine, VmpFsckFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    if (!vmp_machine_is_on(machine) && vmp_machine_get_row(machine)->inactive == 0)
        return find_no_definition(machine);
    g_autoptr(VmpFsckView) view = vmp_fsck_look(machine, (flags & VMP_FSCK_DATA) != 0, error);
    if (!view)
        return NULL;

    g_autoptr(GPtrArray) findings = vmp_fsck_compare(view);
    gboolean curable = FALSE;
    for (guint i = 0; i < findings->len; i++)
        curable |= is_to_be_cured(g_ptr_array_index(findings, i), flags);
    if (curable && !cure(machine, view, flags, findings, error))
        return NULL;
    return g_steal_pointer(&findings);
}
