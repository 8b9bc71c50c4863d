/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The executor, with steps that change a little world in memory.
 *
 * Each test lets something go wrong at one place and asks: is the world as before or as
 * after, is the store in step with it, and is the journal empty (or open, where the outcome
 * really is in doubt)?
 */

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "plan/executor.h"
#include "plan/stamp.h"
#include "store/edit.h"
#include "store/intent.h"

#define DOMAIN                                                         \
    "<domain type='qemu'><name>d</name><memory unit='MiB'>64</memory>" \
    "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"

/* The world: letters of the steps that are in effect, in order. */
static GString *world;
/* "apply:b:7" = applying b fails with code 7; "lost:b:8" = it takes effect, and then fails. */
static const char *trouble;
static VmpProbe probe_says;
static gboolean probe_lies; /* take probe_says rather than look at the world */

typedef struct {
    char *state_dir, *runtime_dir;
    VmpHost *host;
    VmpMachine *machine;
    VmpOperation *operation;
} Fixture;

static const char *
letter(const VmpStep *step)
{
    return vmp_json_get_string(step->args, "letter");
}

/* The code with which @verb of @name is to fail; 0 = not. */
static int
trouble_for(const char *verb, const char *name)
{
    g_autofree char *prefix = g_strdup_printf("%s:%s:", verb, name);

    return trouble && g_str_has_prefix(trouble, prefix) ? atoi(trouble + strlen(prefix)) : 0;
}

static gboolean
in_world(const char *name)
{
    return strstr(world->str, name) != NULL;
}

static gboolean
letter_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    int code = trouble_for("apply", letter(step));

    if (code)
        return vmp_fail(error, code, "%s fails", letter(step));
    if (!in_world(letter(step)))
        g_string_append(world, letter(step));
    code = trouble_for("lost", letter(step));
    return !code || vmp_fail(error, code, "%s got no answer", letter(step));
}

static gboolean
letter_undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    int code = trouble_for("undo", letter(step));
    const char *at = strstr(world->str, letter(step));

    if (code)
        return vmp_fail(error, code, "%s cannot be undone", letter(step));
    if (at)
        g_string_erase(world, at - world->str, 1);
    return TRUE;
}

static VmpProbe
letter_probe(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    if (probe_lies && probe_says == VMP_PROBE_UNKNOWN)
        vmp_fail(error, VMP_ERROR_DISCONNECTED, "nobody there");
    if (probe_lies)
        return probe_says;
    return in_world(letter(step)) ? VMP_PROBE_DONE : VMP_PROBE_NOT_DONE;
}

static char *
letter_describe(const VmpStep *step)
{
    return g_strdup_printf("add %s", letter(step));
}

static const VmpStepKind letter_kind = {
    .name = "letter",
    .apply = letter_apply,
    .undo = letter_undo,
    .probe = letter_probe,
    .describe = letter_describe,
};
static const VmpStepKind *const kinds[] = { &letter_kind, NULL };

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    world = g_string_new(NULL);
    trouble = NULL;
    probe_lies = FALSE;
    fixture->state_dir = g_dir_make_tmp("vmp-plan-XXXXXX", &error);
    fixture->runtime_dir = g_build_filename(fixture->state_dir, "run", NULL);
    fixture->host = vmp_host_open(fixture->state_dir, fixture->runtime_dir, &error);
    g_assert_no_error(error);
    g_autofree char *name = vmp_machine_define(fixture->host, DOMAIN, -1, NULL, &error);
    g_assert_no_error(error);
    fixture->operation = vmp_operation_new();
    fixture->machine =
        vmp_machine_open(fixture->host, name, VMP_MACHINE_CHANGE, fixture->operation, &error);
    g_assert_no_error(error);
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        remove_tree(child);
    }
    g_remove(path);
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    vmp_machine_free(fixture->machine);
    vmp_operation_free(fixture->operation);
    vmp_host_close(fixture->host);
    remove_tree(fixture->state_dir);
    g_free(fixture->state_dir);
    g_free(fixture->runtime_dir);
    g_string_free(world, TRUE);
}

/* Steps a, b, c of which @commit commits; the store then gets a fact of its own: a file. */
static VmpPlan *
make_plan(Fixture *fixture, int commit)
{
    static const char *const letters[] = { "a", "b", "c" };
    VmpPlan *plan = vmp_plan_new("test", "d", "point");
    VmpStoreFile file = { .path = (char *)"/ours",
                          .domain = vmp_machine_get_row(fixture->machine)->id,
                          .role = (char *)"overlay" };

    for (int i = 0; i < 3; i++) {
        VmpJson *args = vmp_json_build("s:letter", letters[i], NULL);
        if (i == commit)
            vmp_plan_add_commit(plan, &letter_kind, args);
        else
            vmp_plan_add(plan, &letter_kind, args);
    }
    vmp_store_edit_put_file(plan->edits, &file);
    return plan;
}

static gboolean
execute(Fixture *fixture, VmpPlan *plan, GError **error)
{
    g_auto(VmpChange)
        change = { .machine = fixture->machine, .operation = fixture->operation };

    return vmp_plan_execute(plan, &change, error);
}

static void
assert_store(Fixture *fixture, gboolean settled, guint open_intents)
{
    g_autoptr(GError) error = NULL;
    VmpStore *store = vmp_machine_get_store(fixture->machine);
    g_autoptr(VmpStoreFile) file = vmp_store_find_file(store, "/ours", &error);
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(store, 0, &error);

    g_assert_no_error(error);
    g_assert_cmpint(file != NULL, ==, settled);
    g_assert_cmpuint(intents->len, ==, open_intents);
}

/* A later process comes along. */
static gboolean
recover(Fixture *fixture, GError **error)
{
    return vmp_plan_recover(fixture->machine, kinds, NULL, error);
}

/* ---- running ---- */

static void
all_steps_are_applied_and_settled(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    g_assert_true(execute(fixture, plan, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(world->str, ==, "abc");
    assert_store(fixture, TRUE, 0);
}

static void
a_dry_run_touches_nothing_and_reports_the_plan(Fixture *fixture,
                                               gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    vmp_operation_set_dry_run(fixture->operation, TRUE);
    g_assert_true(execute(fixture, plan, &error));
    g_assert_cmpstr(world->str, ==, "");
    assert_store(fixture, FALSE, 0);

    g_autoptr(VmpJson) report =
        vmp_json_parse(vmp_operation_get_plan(fixture->operation), -1, &error);
    VmpJson *steps = vmp_json_get_array(report, "steps");
    g_assert_cmpuint(vmp_json_length(steps), ==, 3);
    g_assert_cmpstr(vmp_json_get_string(vmp_json_at(steps, 1), "describe"), ==, "add b");
    g_assert_true(vmp_json_get_bool(vmp_json_at(steps, 1), "commit", FALSE));
}

static void
a_failure_before_the_commit_step_undoes_everything(Fixture *fixture,
                                                   gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 2);
    g_autoptr(GError) error = NULL;

    trouble = "lost:b:13"; /* even a step that took effect and then failed */
    g_assert_false(execute(fixture, plan, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    g_assert_cmpstr(world->str, ==, "");
    assert_store(fixture, FALSE, 0);
}

static void
a_refused_commit_step_undoes_everything(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    trouble = "apply:b:7";
    g_assert_false(execute(fixture, plan, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_REFUSED);
    g_assert_cmpstr(world->str, ==, "");
    assert_store(fixture, FALSE, 0);
}

static void
a_commit_step_without_an_answer_that_happened_goes_forward(Fixture *fixture,
                                                           gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    trouble = "lost:b:8";
    g_assert_true(execute(fixture, plan, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(world->str, ==, "abc");
    assert_store(fixture, TRUE, 0);
}

static void
a_commit_step_without_an_answer_that_did_not_happen_is_undone(Fixture *fixture,
                                                              gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    trouble = "apply:b:8";
    g_assert_false(execute(fixture, plan, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    g_assert_cmpstr(world->str, ==, "");
    assert_store(fixture, FALSE, 0);
}

static void
an_outcome_in_doubt_leaves_the_intent_open_until_it_can_be_told(
    Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    trouble = "lost:b:8";
    probe_lies = TRUE;
    probe_says = VMP_PROBE_UNKNOWN;
    g_assert_false(execute(fixture, plan, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    assert_store(fixture, FALSE, 1);

    g_clear_error(&error);
    g_assert_false(recover(fixture, &error)); /* still nobody there */
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DISCONNECTED);
    assert_store(fixture, FALSE, 1);

    g_clear_error(&error);
    probe_lies = FALSE;
    trouble = NULL;
    g_assert_true(recover(fixture, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(world->str, ==, "abc");
    assert_store(fixture, TRUE, 0);
}

static void
a_failure_after_the_commit_step_is_finished_by_the_next_command(
    Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    trouble = "apply:c:13";
    g_assert_false(execute(fixture, plan, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_IO);
    g_assert_cmpstr(world->str, ==, "ab");
    assert_store(fixture, FALSE, 1);

    trouble = NULL;
    g_clear_error(&error);
    g_assert_true(recover(fixture, &error));
    g_assert_cmpstr(world->str, ==, "abc");
    assert_store(fixture, TRUE, 0);
}

static void
a_cleanup_that_fails_is_a_warning(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    ((VmpStep *)g_ptr_array_index(plan->steps, 2))->cleanup = TRUE;
    trouble = "apply:c:13";
    g_assert_true(execute(fixture, plan, &error));
    g_assert_cmpuint(vmp_operation_get_warnings(fixture->operation)->len, ==, 1);
    g_assert_cmpstr(world->str, ==, "ab");
    assert_store(fixture, TRUE, 0);
}

static void
an_undo_that_fails_is_tried_again_by_the_next_command(Fixture *fixture,
                                                      gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 2);
    g_autoptr(GError) error = NULL;

    /* Only one trouble at a time: b fails by cancelling, then a refuses to be undone. */
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_cancellable_cancel(cancellable);
    vmp_operation_set_cancellable(fixture->operation, cancellable);
    g_string_assign(world, "a"); /* as if a had been applied before the interrupt */
    trouble = "undo:a:13";
    g_assert_false(execute(fixture, plan, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INTERRUPTED);
    assert_store(fixture, FALSE, 1);

    trouble = NULL;
    g_clear_error(&error);
    g_assert_true(recover(fixture, &error));
    g_assert_cmpstr(world->str, ==, "");
    assert_store(fixture, FALSE, 0);
}

static void
a_plan_without_commit_step_is_committed_by_its_edits(Fixture *fixture,
                                                     gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, -1);
    g_autoptr(GError) error = NULL;

    g_assert_true(execute(fixture, plan, &error));
    g_assert_cmpstr(world->str, ==, "abc");
    assert_store(fixture, TRUE, 0);

    g_autoptr(VmpPlan) again = make_plan(fixture, -1);
    g_string_assign(world, "");
    trouble = "apply:c:13";
    g_assert_false(execute(fixture, again, &error));
    g_assert_cmpstr(world->str, ==, "");
}

/* ---- recovery of a plan whose process died at any step ---- */

/* The journal as it is after a kill when the world was @at. */
static void
killed_when(Fixture *fixture, int commit, const char *at)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, commit);
    g_autoptr(VmpJson) json = vmp_plan_to_json(plan);
    g_autofree char *text = vmp_json_to_text(json);
    g_autoptr(GError) error = NULL;
    G_GNUC_UNUSED g_autoptr(VmpIntent) intent = vmp_store_declare(
        vmp_machine_get_store(fixture->machine), vmp_machine_get_row(fixture->machine)->id,
        "test", "point", text, &error);

    g_assert_no_error(error);
    g_string_assign(world, at);
}

static void
after_a_kill_anywhere_the_world_is_before_or_after(Fixture *fixture,
                                                   gconstpointer data G_GNUC_UNUSED)
{
    static const struct {
        int commit;
        const char *at, *end;
    } cases[] = {
        { 1, "", "" },     { 1, "a", "" },      { 1, "ab", "abc" }, { 1, "abc", "abc" },
        { 2, "ab", "" },   { 2, "abc", "abc" }, { 0, "a", "abc" },  { 0, "", "" },
        { -1, "abc", "" }, { -1, "a", "" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        gboolean after = strcmp(cases[i].end, "abc") == 0;

        killed_when(fixture, cases[i].commit, cases[i].at);
        g_assert_true(recover(fixture, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(world->str, ==, cases[i].end);
        assert_store(fixture, after, 0);
        g_assert_true(
            vmp_store_remove_file(vmp_machine_get_store(fixture->machine), "/ours", NULL));
    }
}

static void
a_commit_step_that_was_begun_is_brought_to_its_end(Fixture *fixture,
                                                   gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    killed_when(fixture, 1, "a");
    probe_lies = TRUE;
    probe_says = VMP_PROBE_BEGUN;
    g_assert_true(recover(fixture, &error));
    g_assert_cmpstr(world->str, ==, "abc");
    assert_store(fixture, TRUE, 0);
}

/* The commit step of this one fails for good once it was begun, and is right to be undone
 * then. */
static gboolean
giving_up_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    change->taken_back = TRUE;
    return vmp_fail(error, VMP_ERROR_DAMAGED, "%s is lost", letter(step));
}

static void
a_commit_step_that_gives_up_is_undone(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    const VmpStepKind kind = { .name = "letter",
                               .apply = giving_up_apply,
                               .undo = letter_undo,
                               .probe = letter_probe,
                               .describe = letter_describe };
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);

    probe_lies = TRUE;
    probe_says = VMP_PROBE_BEGUN;
    ((VmpStep *)g_ptr_array_index(plan->steps, 1))->kind = &kind;
    g_assert_false(execute(fixture, plan, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_DAMAGED);
    g_assert_cmpstr(world->str, ==, "");
    assert_store(fixture, FALSE, 0);
}

static void
a_journal_of_a_newer_vmpoint_is_refused_and_kept(Fixture *fixture,
                                                 gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    G_GNUC_UNUSED g_autoptr(VmpIntent) intent =
        vmp_store_declare(vmp_machine_get_store(fixture->machine),
                          vmp_machine_get_row(fixture->machine)->id, "test", NULL,
                          "{\"operation\":\"x\",\"domain\":\"d\",\"commit\":0,\"edits\":[],"
                          "\"steps\":[{\"kind\":\"of-the-future\",\"args\":{}}]}",
                          &error);

    g_assert_no_error(error);
    g_assert_false(recover(fixture, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
    assert_store(fixture, FALSE, 1);
}

/* ---- risks ---- */

static void
risks_are_all_named_and_force_overrides_only_those_that_may_be(
    Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(VmpPlan) plan = make_plan(fixture, 1);
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_plan_check_risks(plan, FALSE, &error));
    vmp_plan_add_risk(plan, "one", TRUE, "first %d", 1);
    vmp_plan_add_risk(plan, "two", TRUE, "second");
    g_assert_false(vmp_plan_check_risks(plan, FALSE, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_RISKY);
    g_assert_nonnull(strstr(error->message, "first 1 (one)"));
    g_assert_nonnull(strstr(error->message, "second (two)"));
    g_clear_error(&error);
    g_assert_true(vmp_plan_check_risks(plan, TRUE, &error));

    vmp_plan_add_risk(plan, "three", FALSE, "never");
    g_assert_false(vmp_plan_check_risks(plan, TRUE, &error));
    g_assert_null(strstr(error->message, "first"));
    g_assert_nonnull(strstr(error->message, "never (three)"));
}

/* ---- frozen images ---- */

static gboolean
overwrite_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    return g_file_set_contents(vmp_json_get_string(step->args, "path"), "longer", -1, error);
}

static char *
make_frozen_image(Fixture *fixture, const char *name)
{
    char *path = g_build_filename(fixture->state_dir, name, NULL);

    g_assert_true(g_file_set_contents(path, "short", -1, NULL));
    g_assert_true(vmp_stamp_take(fixture->machine, path, TRUE, NULL));
    return path;
}

/* A plan of one step, which changes the file. */
static void
overwrite(Fixture *fixture, const char *path, gboolean writes_frozen)
{
    const VmpStepKind kind = { .name = "overwrite",
                               .apply = overwrite_apply,
                               .describe = letter_describe,
                               .writes_frozen = writes_frozen };
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpPlan) plan = vmp_plan_new("test", "d", NULL);

    vmp_plan_add(plan, &kind, vmp_json_build("s:path", path, "s:letter", "x", NULL));
    execute(fixture, plan, &error);
    g_assert_no_error(error);
}

static void
a_step_that_writes_to_frozen_images_renews_their_stamps(Fixture *fixture,
                                                        gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *ours = make_frozen_image(fixture, "ours");

    overwrite(fixture, ours, TRUE);
    g_assert_false(vmp_stamp_is_broken(fixture->machine, ours));
}

static void
what_was_broken_before_stays_broken(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *ours = make_frozen_image(fixture, "ours");
    g_autofree char *theirs = make_frozen_image(fixture, "theirs");

    g_assert_true(g_file_set_contents(theirs, "by somebody else", -1, NULL));
    overwrite(fixture, ours, TRUE);
    g_assert_true(vmp_stamp_is_broken(fixture->machine, theirs));
}

static void
a_step_of_another_kind_leaves_stamps_alone(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autofree char *ours = make_frozen_image(fixture, "ours");

    overwrite(fixture, ours, FALSE);
    g_assert_true(vmp_stamp_is_broken(fixture->machine, ours));
}

#define ADD(path, func) \
    g_test_add("/plan/executor/" path, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("all-steps-are-applied-and-settled", all_steps_are_applied_and_settled);
    ADD("a-dry-run-touches-nothing-and-reports-the-plan",
        a_dry_run_touches_nothing_and_reports_the_plan);
    ADD("a-failure-before-the-commit-step-undoes-everything",
        a_failure_before_the_commit_step_undoes_everything);
    ADD("a-refused-commit-step-undoes-everything", a_refused_commit_step_undoes_everything);
    ADD("a-commit-step-without-an-answer-that-happened-goes-forward",
        a_commit_step_without_an_answer_that_happened_goes_forward);
    ADD("a-commit-step-without-an-answer-that-did-not-happen-is-undone",
        a_commit_step_without_an_answer_that_did_not_happen_is_undone);
    ADD("an-outcome-in-doubt-leaves-the-intent-open-until-it-can-be-told",
        an_outcome_in_doubt_leaves_the_intent_open_until_it_can_be_told);
    ADD("a-failure-after-the-commit-step-is-finished-by-the-next-command",
        a_failure_after_the_commit_step_is_finished_by_the_next_command);
    ADD("a-cleanup-that-fails-is-a-warning", a_cleanup_that_fails_is_a_warning);
    ADD("an-undo-that-fails-is-tried-again-by-the-next-command",
        an_undo_that_fails_is_tried_again_by_the_next_command);
    ADD("a-plan-without-commit-step-is-committed-by-its-edits",
        a_plan_without_commit_step_is_committed_by_its_edits);
    ADD("after-a-kill-anywhere-the-world-is-before-or-after",
        after_a_kill_anywhere_the_world_is_before_or_after);
    ADD("a-commit-step-that-was-begun-is-brought-to-its-end",
        a_commit_step_that_was_begun_is_brought_to_its_end);
    ADD("a-commit-step-that-gives-up-is-undone", a_commit_step_that_gives_up_is_undone);
    ADD("a-journal-of-a-newer-vmpoint-is-refused-and-kept",
        a_journal_of_a_newer_vmpoint_is_refused_and_kept);
    ADD("risks-are-all-named-and-force-overrides-only-those-that-may-be",
        risks_are_all_named_and_force_overrides_only_those_that_may_be);
    ADD("a-step-that-writes-to-frozen-images-renews-their-stamps",
        a_step_that_writes_to_frozen_images_renews_their_stamps);
    ADD("what-was-broken-before-stays-broken", what_was_broken_before_stays_broken);
    ADD("a-step-of-another-kind-leaves-stamps-alone",
        a_step_of_another_kind_leaves_stamps_alone);
    return g_test_run();
}
