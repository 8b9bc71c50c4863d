/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/state.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

/* QEMU's RunState, as the recorded schema has it: the enum with "guest-panicked" in it. */
static GPtrArray *
recorded_run_states(void)
{
    g_autofree char *path =
        g_build_filename(g_getenv("VMPOINT_TEST_DATA"), "schema", "qemu-7.2.json", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = vmp_file_read(path, 1 << 24, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(VmpJson) file = vmp_json_parse(text, -1, &error);
    g_assert_no_error(error);

    VmpJson *schema = vmp_json_get_array(file, "return");
    schema = schema ? schema : file;
    for (guint i = 0; i < vmp_json_length(schema); i++) {
        g_auto(GStrv) values = vmp_json_get_strv(vmp_json_at(schema, i), "values");
        if (!g_strv_contains((const char *const *)values, "guest-panicked"))
            continue;
        GPtrArray *states = g_ptr_array_new_with_free_func(g_free);
        for (guint k = 0; values[k]; k++)
            g_ptr_array_add(states, g_strdup(values[k]));
        return states;
    }
    g_assert_not_reached();
}

static void
every_run_state_of_qemu_has_a_state(void)
{
    g_autoptr(GPtrArray) states = recorded_run_states();

    g_assert_cmpuint(states->len, >=, 15);
    for (guint i = 0; i < states->len; i++) {
        const char *reason = NULL;
        VmpState state = vmp_run_state(g_ptr_array_index(states, i), &reason);
        if (state == VMP_STATE_NOSTATE)
            g_error("run state '%s' is not known", (const char *)g_ptr_array_index(states, i));
        g_assert_nonnull(reason);
    }
}

static void
run_states_are_what_libvirt_makes_of_them(void)
{
    static const struct {
        const char *status;
        VmpState state;
    } expected[] = {
        { "running", VMP_STATE_RUNNING },        { "paused", VMP_STATE_PAUSED },
        { "io-error", VMP_STATE_PAUSED },        { "shutdown", VMP_STATE_SHUTDOWN },
        { "guest-panicked", VMP_STATE_CRASHED }, { "suspended", VMP_STATE_PMSUSPENDED },
        { "prelaunch", VMP_STATE_PAUSED },       { "inmigrate", VMP_STATE_PAUSED },
        { "finish-migrate", VMP_STATE_PAUSED },  { "postmigrate", VMP_STATE_PAUSED },
        { "restore-vm", VMP_STATE_PAUSED },      { "internal-error", VMP_STATE_PAUSED },
    };

    for (guint i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpint(vmp_run_state(expected[i].status, NULL), ==, expected[i].state);
}

static void
a_word_of_a_newer_qemu_is_no_state(void)
{
    const char *reason = NULL;

    g_assert_cmpint(vmp_run_state("dreaming", &reason), ==, VMP_STATE_NOSTATE);
    g_assert_cmpstr(reason, ==, "unknown");
    g_assert_cmpint(vmp_run_state(NULL, &reason), ==, VMP_STATE_NOSTATE);
}

static void
only_reasons_that_are_remembered_are_said(void)
{
    char *copy = g_strdup("booted");
    const char *reason = vmp_state_reason(copy);

    g_free(copy);
    g_assert_cmpstr(reason, ==, "booted");
    g_assert_cmpstr(vmp_state_reason("a sentence"), ==, "unknown");
    g_assert_cmpstr(vmp_state_reason(NULL), ==, "unknown");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/state/every-run-state-of-qemu-has-a-state",
                    every_run_state_of_qemu_has_a_state);
    g_test_add_func("/machine/state/run-states-are-what-libvirt-makes-of-them",
                    run_states_are_what_libvirt_makes_of_them);
    g_test_add_func("/machine/state/a-word-of-a-newer-qemu-is-no-state",
                    a_word_of_a_newer_qemu_is_no_state);
    g_test_add_func("/machine/state/only-reasons-that-are-remembered-are-said",
                    only_reasons_that_are_remembered_are_said);
    return g_test_run();
}
