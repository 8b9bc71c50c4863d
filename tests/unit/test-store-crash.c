/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A process that is killed at any moment leaves the store as before or after. */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "store/edit.h"
#include "store/intent.h"
#include "test-store-fixture.h"

#define ROUNDS (g_test_thorough() ? 200 : 25)

/* Each change makes number n of n - 1: one record in each table bears the number. */
static char *
text_number(int number)
{
    GString *text = g_string_new("<domain>\n");

    for (int i = 0; i < 200; i++)
        g_string_append_printf(text, "  <device slot='%d' value='%d'/>\n", i,
                               i % 50 == 0 ? number : i * 7);
    return g_string_free(text, FALSE);
}

static void
tell(int progress)
{
    char step = '.';

    if (write(progress, &step, 1) != 1)
        _exit(3);
}

static gboolean
change_to(VmpStore *store, int number, int progress, GError **error)
{
    g_autofree char *name = g_strdup_printf("s%d", number);
    g_autofree char *before = number > 1 ? g_strdup_printf("s%d", number - 1) : NULL;
    g_autofree char *path = g_strdup_printf("/images/%s", name);
    g_autofree char *text = text_number(number);
    g_autoptr(VmpStorePoint) current =
        vmp_store_find_current_point(store, 1, VMP_POINT_SNAPSHOT, NULL);
    g_autoptr(VmpJson) edits = json_object_new_array();
    VmpStorePoint point = point_of(1, name, before);
    VmpStoreFile file = { path, 1, (char *)"overlay", name };
    g_autoptr(VmpIntent) intent = NULL;
    {
        g_auto(VmpStoreTransaction) transaction = { 0 };
        if (!vmp_store_begin(store, &transaction, error))
            return FALSE;
        point.definition =

            vmp_store_put_definition(store, text, -1, current ? current->definition : 0,
                                     error);
        tell(progress);
        intent = vmp_store_declare(store, 1, "snapshot-create", name, "{}", error);
        if (!point.definition || !intent || !vmp_store_commit(&transaction, error))
            return FALSE;
    }
    tell(progress);

    point.current = TRUE;
    point.body = text;
    vmp_store_edit_put_point(edits, &point);
    vmp_store_edit_put_file(edits, &file);
    if (number > 20) {
        /* The oldest goes, with its file. */
        g_autofree char *oldest = g_strdup_printf("s%d", number - 20);
        g_autofree char *oldest_path = g_strdup_printf("/images/%s", oldest);
        vmp_store_edit_remove_point(edits, 1, VMP_POINT_SNAPSHOT, oldest);
        vmp_store_edit_remove_file(edits, oldest_path);
    }
    if (!vmp_store_settle(store, intent, edits, error))
        return FALSE;
    tell(progress);
    return number % 7 != 0 || vmp_store_collect_definitions(store, error) >= 0;
}

/* The number that the store stands at; every record has to agree on it. */
static int
check(VmpStore *store)
{
    g_autoptr(GPtrArray) points =
        vmp_store_list_points(store, 1, VMP_POINT_SNAPSHOT, TRUE, NULL);
    g_autoptr(GPtrArray) files = vmp_store_list_files(store, 1, NULL);

    assert_works(vmp_store_verify(store, error));
    g_assert_cmpuint(points->len, ==, files->len);
    g_assert_cmpuint(points->len, <=, 20);
    if (points->len == 0)
        return 0;

    VmpStorePoint *last = g_ptr_array_index(points, points->len - 1);
    int number = atoi(last->name + 1);
    g_assert_true(last->current);
    for (guint i = 0; i < points->len; i++) {
        VmpStorePoint *point = g_ptr_array_index(points, points->len - 1 - i);
        g_autofree char *text = text_number(number - (int)i);
        g_autofree char *path = g_strdup_printf("/images/s%d", number - (int)i);
        g_autofree char *definition =
            vmp_store_get_definition(store, point->definition, NULL, NULL);
        g_autoptr(VmpStoreFile) file = vmp_store_find_file(store, path, NULL);
        g_assert_cmpstr(point->body, ==, text);
        g_assert_cmpstr(definition, ==, text);
        g_assert_cmpstr(file->point, ==, point->name);
    }
    return number;
}

/* What the one that was killed had declared and not settled: it is done or undone here. */
static void
recover(VmpStore *store, int number)
{
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(store, 1, NULL);
    g_autofree char *subject = g_strdup_printf("s%d", number + 1);

    g_assert_cmpuint(intents->len, <=, 1);
    if (intents->len == 1) {
        VmpIntent *intent = g_ptr_array_index(intents, 0);
        g_assert_cmpstr(intent->subject, ==, subject);
        assert_works(vmp_store_drop_intent(store, intent, error));
    }
}

static G_GNUC_NORETURN void
change_until_killed(const char *dir, int number, int progress)
{
    g_autoptr(VmpStore) store = vmp_store_open(dir, NULL);

    while (store && change_to(store, ++number, progress, NULL))
        continue;
    _exit(1);
}

/* Kills @child after some of its steps, and a bit; returns how many it has told of. */
static int
kill_some_time(pid_t child, int progress)
{
    int steps = g_test_rand_int_range(0, 40), told = 0;
    char step;

    while (told < steps && read(progress, &step, 1) == 1)
        told++;
    if (g_test_rand_bit())
        g_usleep((gulong)g_test_rand_int_range(0, 2000));
    kill(child, SIGKILL);

    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status));
    while (read(progress, &step, 1) == 1)
        told++;
    return told;
}

static void
test_kill(Fixture *fixture, gconstpointer data)
{
    int number = 0;

    add_domain(fixture->store, "d");
    g_clear_pointer(&fixture->store, vmp_store_close); /* must not be taken across fork() */
    for (int round = 0; round < ROUNDS; round++) {
        int progress[2];
        g_assert_cmpint(pipe(progress), ==, 0);
        pid_t child = fork();
        if (child == 0) {
            close(progress[0]);
            change_until_killed(fixture->dir, number, progress[1]);
        }
        close(progress[1]);
        int told = kill_some_time(child, progress[0]);
        close(progress[0]);

        /* Three steps a change; the third is told of when it is durable. */
        int least = number + told / 3;
        VmpStore *store = open_store(fixture->dir);
        number = check(store);
        g_assert_cmpint(number, >=, least);
        g_assert_cmpint(number, <=, least + 1);
        recover(store, number);
        vmp_store_close(store);
    }
    g_test_message("%d changes survived %d kills", number, ROUNDS);
    g_assert_cmpint(number, >, ROUNDS);
    fixture->store = open_store(fixture->dir);
}

/* Killed while it makes the store. */
static void
test_kill_creation(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        g_autofree char *top = make_folder();
        g_autofree char *dir = g_build_filename(top, "state", NULL);
        pid_t child = fork();
        if (child == 0) {
            vmp_store_close(vmp_store_open(dir, NULL));
            _exit(0);
        }
        g_usleep((gulong)g_test_rand_int_range(0, 6000));
        kill(child, SIGKILL);
        int status;
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);

        VmpStore *store = open_store(dir);
        add_domain(store, "d");
        assert_works(vmp_store_verify(store, error));
        vmp_store_close(store);

        g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
        const char *name;
        while ((name = g_dir_read_name(entries)))
            g_assert_null(strstr(name, ".new"));
        remove_tree(top);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("/store/crash/a-killed-process-leaves-the-store-as-before-or-after", test_kill);
    g_test_add_func(
        "/store/crash/a-process-killed-while-it-makes-the-store-leaves-one-or-none",
        test_kill_creation);
    return g_test_run();
}
