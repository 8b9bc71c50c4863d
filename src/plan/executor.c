/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/executor.h"

#include "base/error.h"
#include "base/fault.h"
#include "machine/words.h"
#include "plan/stamp.h"
#include "plan/sweep.h"
#include "store/edit.h"
#include "store/intent.h"

/* Takes steps @from .. 0 back.  Goes on after a failure, so that as much as possible is
 * undone; the first failure is the error, and the intent then stays open. */
static gboolean
undo_steps(const VmpPlan *plan, VmpChange *change, int from, GError **error)
{
    gboolean was_recovering = change->recovering;
    gboolean undone = TRUE;

    change->recovering = TRUE; /* a cancelled operation must still be taken back */
    for (int i = from; i >= 0; i--) {
        const VmpStep *step = g_ptr_array_index(plan->steps, (guint)i);
        if (!step->kind->undo)
            continue;
        if (!step->kind->undo(step, change, undone ? error : NULL))
            undone = FALSE;
    }
    change->recovering = was_recovering;
    return undone;
}

/* Undoes and closes the intent, keeping @failure as the error of the whole. */
static gboolean
give_up(const VmpPlan *plan, VmpIntent *intent, VmpChange *change, int last, GError *failure,
        GError **error)
{
    g_autoptr(GError) undo_failure = NULL;
    VmpStore *store = vmp_machine_get_store(change->machine);

    if (!undo_steps(plan, change, last, &undo_failure)) {
        vmp_operation_note(change->operation, "could not be undone yet: %s",
                           undo_failure->message);
        g_propagate_prefixed_error(
            error, failure, "(and not all could be undone; the next command tries again) ");
        return FALSE;
    }
    if (!vmp_store_drop_intent(store, intent, &undo_failure))
        vmp_operation_note(change->operation, "%s", undo_failure->message);
    g_propagate_error(error, failure);
    return FALSE;
}

static gboolean
apply_step(const VmpStep *step, VmpChange *change, GError **error)
{
    if (g_cancellable_is_cancelled(vmp_change_get_cancellable(change)))
        return vmp_fail(error, VMP_ERROR_INTERRUPTED, "interrupted");
    if (!vmp_fault("before-step", error))
        return FALSE;
    return step->kind->apply(step, change, error) && vmp_fault("after-step", error);
}

/* What follows the commit step: forward only.  A cleanup that fails is a warning. */
static gboolean
finish_steps(const VmpPlan *plan, VmpChange *change, GError **error)
{
    change->recovering = TRUE; /* beyond the commit step there is no cancelling */
    for (guint i = (guint)(plan->commit + 1); plan->commit >= 0 && i < plan->steps->len; i++) {
        const VmpStep *step = g_ptr_array_index(plan->steps, i);
        g_autoptr(GError) failure = NULL;

        if (step->kind->probe && step->kind->probe(step, change, NULL) == VMP_PROBE_DONE)
            continue;
        if (apply_step(step, change, &failure))
            continue;
        if (!step->cleanup) {
            g_propagate_prefixed_error(error, g_steal_pointer(&failure),
                                       "%s is done but for its end: ", plan->operation);
            return FALSE;
        }
        vmp_operation_warn(change->operation, "%s", failure->message);
    }
    /* An offline session stores bitmaps when it ends: they belong to what is settled now. */
    return change->keep_session || vmp_change_close_session(change, error);
}

static gboolean
take_stamps(const VmpPlan *plan, VmpChange *change, GError **error)
{
    for (guint i = 0; i < plan->freezes->len; i++)
        if (!vmp_stamp_take(change->machine, g_ptr_array_index(plan->freezes, i), TRUE, error))
            return FALSE;
    return !change->intact || vmp_stamps_renew(change->machine, change->intact, error);
}

static gboolean
settle(const VmpPlan *plan, VmpIntent *intent, VmpChange *change, GError **error)
{
    VmpStore *store = vmp_machine_get_store(change->machine);
    g_auto(VmpStoreTransaction) transaction = { 0 };

    return vmp_fault("before-settle", error) && vmp_store_begin(store, &transaction, error) &&
           take_stamps(plan, change, error) &&
           vmp_store_settle(store, intent, plan->edits, error) &&
           vmp_store_commit(&transaction, error) && vmp_machine_reload(change->machine, error);
}

static gboolean
bring_to_end(const VmpStep *step, VmpChange *change, gboolean *done, GError **error)
{
    g_autoptr(GError) failure = NULL;

    *done = step->kind->apply(step, change, &failure);
    if (*done)
        return TRUE;
    if (change->taken_back) {
        vmp_operation_warn(change->operation, "%s", failure->message);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* The commit step failed with something else than a refusal, or its process died: look what
 * is true, and bring it to its end if it was begun. */
static gboolean
look_at_commit(const VmpPlan *plan, VmpIntent *intent, VmpChange *change, gboolean *done,
               GError **error)
{
    VmpStore *store = vmp_machine_get_store(change->machine);
    const VmpStep *step = g_ptr_array_index(plan->steps, (guint)plan->commit);

    switch (step->kind->probe(step, change, error)) {
    case VMP_PROBE_UNKNOWN:
        return FALSE;
    case VMP_PROBE_GOING:
        return vmp_fail(error, VMP_ERROR_BUSY, "the %s of '%s' is not ready for its end yet",
                        plan->operation, plan->subject);
    case VMP_PROBE_NOT_DONE:
        *done = FALSE;
        return TRUE;
    case VMP_PROBE_BEGUN:
        /* What is begun now may be cut as well. */
        return (!plan->mark_commit || vmp_store_mark_past_commit(store, intent, error)) &&
               bring_to_end(step, change, done, error);
    case VMP_PROBE_DONE:
        *done = TRUE;
        return TRUE;
    }
    g_assert_not_reached();
}

static gboolean
go_forward(const VmpPlan *plan, VmpIntent *intent, VmpChange *change, GError **error)
{
    return finish_steps(plan, change, error) && settle(plan, intent, change, error);
}

/* Step @at failed with @failure (taken). */
static gboolean
handle_failure(const VmpPlan *plan, VmpIntent *intent, VmpChange *change, int at,
               GError *failure, GError **error)
{
    /* A refusal is an answer; anything else may have happened. */
    if (at != plan->commit || change->taken_back || vmp_error_is(failure, VMP_ERROR_REFUSED))
        return give_up(plan, intent, change, at, failure, error);

    gboolean done = FALSE;
    g_autoptr(GError) unknown = NULL;
    change->recovering = TRUE;
    change->commit_begun = TRUE;
    if (!look_at_commit(plan, intent, change, &done, &unknown)) {
        g_propagate_prefixed_error(
            error, failure,
            "the outcome is in doubt (the next command for the domain settles it): ");
        return FALSE;
    }
    if (!done)
        return give_up(plan, intent, change, at, failure, error);
    g_error_free(failure);
    return go_forward(plan, intent, change, error);
}

/* What a detached plan was made for: at its end its edits must still fit. */
static VmpJson *
basis_of(VmpMachine *machine)
{
    const VmpStoreDomain *row = vmp_machine_get_row(machine);

    return vmp_json_build("i:active", row->active, "i:inactive", row->inactive, "b:persistent",
                          row->persistent, NULL);
}

static gboolean
check_basis(const VmpIntent *intent, VmpMachine *machine, GError **error)
{
    g_autoptr(VmpJson) json = vmp_json_parse(intent->plan, -1, error);
    g_autoptr(VmpJson) now = basis_of(machine);

    if (!json)
        return FALSE;
    return json_object_equal(vmp_json_get_object(json, "basis"), now) ||
           vmp_fail(error, VMP_ERROR_INCONSISTENT,
                    "the domain's definition has changed since the %s of '%s' was begun, so "
                    "it can only be taken back",
                    intent->kind, intent->subject);
}

static VmpIntent *
declare(const VmpPlan *plan, VmpChange *change, GError **error)
{
    g_autoptr(VmpJson) json = vmp_plan_to_json(plan);
    if (plan->detached)
        vmp_json_add(json, "o:basis", basis_of(change->machine), NULL);
    g_autofree char *text = vmp_json_to_text(json);
    g_autoptr(VmpIntent) intent = vmp_store_declare(
        vmp_machine_get_store(change->machine), vmp_machine_get_row(change->machine)->id,
        plan->operation, plan->subject, text, error);

    if (!intent || (change->planning.store && !vmp_store_commit(&change->planning, error)))
        return NULL;
    return g_steal_pointer(&intent);
}

/* Step @at of the plan, with the journal's note before the commit step. */
static gboolean
run_step(const VmpPlan *plan, VmpIntent *intent, VmpChange *change, int at, GError **error)
{
    if (at == plan->commit && plan->mark_commit &&
        !vmp_store_mark_past_commit(vmp_machine_get_store(change->machine), intent, error))
        return FALSE;
    return apply_step(g_ptr_array_index(plan->steps, (guint)at), change, error);
}

/* From the declared intent to the end. */
static gboolean
run_plan(const VmpPlan *plan, VmpIntent *intent, VmpChange *change, GError **error)
{
    int last = plan->commit >= 0 ? plan->commit : (int)plan->steps->len - 1;

    if (plan->detached)
        last = plan->commit - 1;
    for (int i = 0; i <= last; i++) {
        GError *failure = NULL;
        if (!run_step(plan, intent, change, i, &failure))
            return handle_failure(plan, intent, change, i, failure, error);
    }
    if (plan->detached)
        return TRUE;
    if (plan->commit < 0) {
        GError *failure = NULL;
        if (!vmp_change_close_session(change, &failure))
            return give_up(plan, intent, change, last, failure, error);
    }
    return go_forward(plan, intent, change, error);
}

static gboolean
writes_frozen(const VmpPlan *plan)
{
    for (guint i = 0; i < plan->steps->len; i++) {
        const VmpStep *step = g_ptr_array_index(plan->steps, i);
        if (step->kind->writes_frozen)
            return TRUE;
    }
    return FALSE;
}

/* To steps a refusal is QEMU's answer, whatever it was about; who asked for the change can do
 * something about a disk that is full. */
static gboolean
fail_in_words(GError *failure /* taken */, GError **error)
{
    if (vmp_error_is(failure, VMP_ERROR_REFUSED) &&
        vmp_words_code(failure->message, VMP_ERROR_REFUSED) == VMP_ERROR_IO)
        failure->code = VMP_ERROR_IO;
    g_propagate_error(error, failure);
    return FALSE;
}

gboolean
vmp_plan_execute(VmpPlan *plan, VmpChange *change, GError **error)
{
    GError *failure = NULL;

    vmp_operation_take_plan(change->operation, vmp_plan_report(plan));
    if (vmp_operation_get_dry_run(change->operation))
        return TRUE;

    g_autoptr(VmpIntent) intent = declare(plan, change, error);
    if (!intent)
        return FALSE;
    if (writes_frozen(plan))
        change->intact = vmp_stamps_intact(change->machine);
    change->edits = plan->edits;

    if (!run_plan(plan, intent, change, &failure))
        return fail_in_words(failure, error);
    vmp_plan_sweep_files(change->machine);
    return TRUE;
}

/* Is what @plan has begun still on its way? */
static gboolean
goes_on(const VmpPlan *plan, VmpChange *change)
{
    const VmpStep *step =
        plan->detached ? g_ptr_array_index(plan->steps, (guint)plan->commit) : NULL;

    return step && change->wish == VMP_WISH_NONE &&
           step->kind->probe(step, change, NULL) == VMP_PROBE_GOING;
}

/* One that has come to its end by itself, and cannot be settled any more, is taken back. */
static VmpWish
choose_wish(const VmpPlan *plan, const VmpIntent *intent, VmpMachine *machine, VmpWish wish)
{
    g_autoptr(GError) failure = NULL;

    if (!plan->detached || intent->past_commit || wish != VMP_WISH_NONE ||
        check_basis(intent, machine, &failure))
        return wish;
    vmp_operation_note(vmp_machine_get_operation(machine), "%s", failure->message);
    return VMP_WISH_STOP;
}

/* Is to be settled before it is @done, or was not. */
static gboolean
settle_intent(const VmpPlan *plan, VmpIntent *intent, VmpChange *change, gboolean *done,
              GError **error)
{
    VmpMachine *machine = change->machine;

    if (plan->commit >= 0 && !look_at_commit(plan, intent, change, done, error))
        return FALSE;
    if (*done)
        return go_forward(plan, intent, change, error);
    return undo_steps(plan, change, (int)plan->steps->len - 1, error) &&
           vmp_change_close_session(change, error) &&
           vmp_store_drop_intent(vmp_machine_get_store(machine), intent, error);
}

/* One open intent of an earlier process. */
static gboolean
recover_intent(VmpIntent *intent, VmpMachine *machine, const VmpStepKind *const *kinds,
               GPtrArray *said, GError **error)
{
    VMP_ERROR_CONTEXT(error, "settling the interrupted %s '%s'", intent->kind,
                      intent->subject ? intent->subject : "");

    g_autoptr(VmpJson) json = vmp_json_parse(intent->plan, -1, error);
    g_autoptr(VmpPlan) plan = json ? vmp_plan_from_json(json, kinds, error) : NULL;
    if (!plan)
        return FALSE;

    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = vmp_machine_get_operation(machine),
                                 .edits = plan->edits,
                                 .recovering = TRUE,
                                 .commit_begun = intent->past_commit };
    gboolean done = FALSE;
    if (goes_on(plan, &change))
        return TRUE;
    change.wish = choose_wish(plan, intent, machine, change.wish);
    if (!settle_intent(plan, intent, &change, &done, error))
        return FALSE;

    vmp_operation_note(change.operation, "%s the interrupted %s '%s'",
                       done ? "finished" : "undid", intent->kind,
                       intent->subject ? intent->subject : "");
    if (said)
        g_ptr_array_add(said, g_strdup_printf("domain %s: %s the interrupted %s '%s'",
                                              vmp_machine_get_name(machine),
                                              done ? "finished" : "undid", intent->kind,
                                              intent->subject ? intent->subject : ""));
    return TRUE;
}

gboolean
vmp_plan_recover(VmpMachine *machine, const VmpStepKind *const *kinds, GPtrArray *said,
                 GError **error)
{
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, error);

    if (!intents)
        return FALSE;
    /* The newest first: it may be a part of an older one. */
    for (guint i = intents->len; i > 0; i--)
        if (!recover_intent(g_ptr_array_index(intents, i - 1), machine, kinds, said, error))
            return FALSE;
    vmp_plan_sweep_files(machine);
    return TRUE;
}

/* ---- plans that go on by themselves ---- */

void
vmp_detached_clear(VmpDetached *detached)
{
    g_clear_pointer(&detached->plan, vmp_plan_free);
}

/* Its plan as JSON; *@json is NULL if there is none. */
static gboolean
read_detached(VmpMachine *machine, const char *subject, VmpJson **json, gint64 *id,
              GError **error)
{
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, error);

    *json = NULL;
    for (guint i = 0; intents && i < intents->len; i++) {
        const VmpIntent *intent = g_ptr_array_index(intents, i);
        g_autoptr(VmpJson) plan = vmp_json_parse(intent->plan, -1, error);
        if (!plan)
            return FALSE;
        if (g_strcmp0(intent->subject, subject) != 0 ||
            !vmp_json_get_bool(plan, "detached", FALSE))
            continue;
        *json = g_steal_pointer(&plan);
        *id = intent->id;
        break;
    }
    return intents != NULL;
}

gboolean
vmp_plan_has_detached(VmpMachine *machine, const char *subject, gboolean *has, GError **error)
{
    g_autoptr(VmpJson) json = NULL;
    gint64 id = 0;
    gboolean read = read_detached(machine, subject, &json, &id, error);

    *has = json != NULL;
    return read;
}

gboolean
vmp_plan_find_detached(VmpMachine *machine, const char *subject,
                       const VmpStepKind *const *kinds, VmpDetached *detached, GError **error)
{
    g_autoptr(VmpJson) json = NULL;

    *detached = (VmpDetached){ NULL };
    if (!read_detached(machine, subject, &json, &detached->intent, error))
        return FALSE;
    detached->plan = json ? vmp_plan_from_json(json, kinds, error) : NULL;
    return !json || detached->plan;
}

/* The row itself, which may have been marked since. */
static VmpIntent *
take_intent(VmpMachine *machine, gint64 id, GError **error)
{
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, error);

    for (guint i = 0; intents && i < intents->len; i++)
        if (((VmpIntent *)g_ptr_array_index(intents, i))->id == id)
            return g_ptr_array_steal_index(intents, i);
    return intents ? vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "it has ended meanwhile")
                   : NULL;
}

gboolean
vmp_plan_end_detached(VmpMachine *machine, const VmpDetached *detached, VmpWish wish,
                      GError **error)
{
    const VmpPlan *plan = detached->plan;
    g_autoptr(VmpIntent) intent = take_intent(machine, detached->intent, error);
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = vmp_machine_get_operation(machine),
                                 .edits = plan->edits,
                                 .recovering = TRUE,
                                 .wish = wish };
    gboolean done = FALSE;

    if (!intent || (wish == VMP_WISH_END && !check_basis(intent, machine, error)))
        return FALSE;
    change.commit_begun = intent->past_commit;
    if (writes_frozen(plan))
        change.intact = vmp_stamps_intact(machine);
    if (!settle_intent(plan, intent, &change, &done, error))
        return FALSE;
    vmp_plan_sweep_files(machine);
    return done == (wish == VMP_WISH_END) ||
           vmp_fail(error, VMP_ERROR_FAILED, "the %s of '%s' had failed, and is taken back",
                    plan->operation, plan->subject);
}

gboolean
vmp_plan_release_detached(VmpMachine *machine, const VmpDetached *detached, GError **error)
{
    g_autoptr(VmpIntent) intent = take_intent(machine, detached->intent, error);

    return intent && vmp_store_drop_intent(vmp_machine_get_store(machine), intent, error);
}

gboolean
vmp_plan_check_none_detached(VmpMachine *machine, GError **error)
{
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, error);

    if (!intents || intents->len == 0)
        return intents != NULL;
    const VmpIntent *intent = g_ptr_array_index(intents, 0);
    return vmp_fail(error, VMP_ERROR_BUSY,
                    "domain %s: the %s of disk '%s' is under way (blockjob ends it)",
                    vmp_machine_get_name(machine), intent->kind, intent->subject);
}
