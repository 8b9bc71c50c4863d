/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/stamp.h"

#include "store/edit.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#include "base/error.h"

#define DOMAIN                                                         \
    "<domain type='qemu'><name>d</name><memory unit='MiB'>64</memory>" \
    "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"

typedef struct {
    char *folder, *runtime_dir, *image;
    VmpHost *host;
    VmpOperation *operation;
    VmpMachine *machine;
} Fixture;

static void
write_image(const Fixture *fixture, const char *content)
{
    g_assert_true(g_file_set_contents(fixture->image, content, -1, NULL));
}

/* The file system's clock may be coarse: what is written twice at once must differ all the
 * same. */
static void
set_time(const Fixture *fixture, long nanoseconds)
{
    const struct timespec times[2] = { { 1000, nanoseconds }, { 1000, nanoseconds } };

    g_assert_cmpint(utimensat(AT_FDCWD, fixture->image, times, 0), ==, 0);
}

static void
set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    fixture->folder = g_dir_make_tmp("vmp-stamp-XXXXXX", NULL);
    fixture->runtime_dir = g_build_filename(fixture->folder, "run", NULL);
    fixture->image = g_build_filename(fixture->folder, "image", NULL);
    fixture->host = vmp_host_open(fixture->folder, fixture->runtime_dir, &error);
    g_assert_no_error(error);
    g_autofree char *name = vmp_machine_define(fixture->host, DOMAIN, -1, NULL, &error);
    g_assert_no_error(error);
    fixture->operation = vmp_operation_new();
    fixture->machine =
        vmp_machine_open(fixture->host, name, VMP_MACHINE_CHANGE, fixture->operation, &error);
    g_assert_no_error(error);
    write_image(fixture, "content");
    set_time(fixture, 1);
}

static void
tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    vmp_machine_free(fixture->machine);
    vmp_operation_free(fixture->operation);
    vmp_host_close(fixture->host);
    g_autofree char *command = g_strdup_printf("rm -r '%s'", fixture->folder);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    g_free(fixture->folder);
    g_free(fixture->runtime_dir);
    g_free(fixture->image);
}

static void
take(Fixture *fixture, gboolean again)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(vmp_stamp_take(fixture->machine, fixture->image, again, &error));
    g_assert_no_error(error);
}

static gboolean
is_broken(Fixture *fixture)
{
    return vmp_stamp_is_broken(fixture->machine, fixture->image);
}

static void
a_later_write_breaks_it(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_false(is_broken(fixture)); /* has none */
    take(fixture, FALSE);
    g_assert_false(is_broken(fixture));
    set_time(fixture, 2);
    g_assert_true(is_broken(fixture));

    /* Only when asked for a new one. */
    take(fixture, FALSE);
    g_assert_true(is_broken(fixture));
    take(fixture, TRUE);
    g_assert_false(is_broken(fixture));
}

static void
another_size_breaks_it(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    take(fixture, FALSE);
    write_image(fixture, "more content");
    set_time(fixture, 1);
    g_assert_true(is_broken(fixture));
}

static void
a_copy_with_its_times_is_as_good(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    take(fixture, FALSE);
    g_assert_cmpint(g_unlink(fixture->image), ==, 0);
    g_assert_false(is_broken(fixture)); /* that it is missing is said by others */
    write_image(fixture, "content");
    set_time(fixture, 1);
    g_assert_false(is_broken(fixture));
}

static void
our_own_writes_renew_what_was_right(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;

    take(fixture, FALSE);
    g_autoptr(GPtrArray) intact = vmp_stamps_intact(fixture->machine);
    g_assert_cmpuint(intact->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(intact, 0), ==, fixture->image);
    set_time(fixture, 2);
    g_assert_true(vmp_stamps_renew(fixture->machine, intact, &error));
    g_assert_false(is_broken(fixture));

    /* What somebody else wrote to before is not among them. */
    set_time(fixture, 3);
    g_autoptr(GPtrArray) none = vmp_stamps_intact(fixture->machine);
    g_assert_cmpuint(none->len, ==, 0);

    vmp_stamp_forget(fixture->machine, fixture->image);
    g_assert_false(vmp_stamp_has(fixture->machine, fixture->image));
}

static void
keep_content(Fixture *fixture, const char *content)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpJson) edits = json_object_new_array();

    vmp_stamp_keep_content(fixture->machine, fixture->image, content, edits);
    g_assert_true(
        vmp_store_apply_edits(vmp_machine_get_store(fixture->machine), edits, &error));
    g_assert_no_error(error);
}

static void
other_content_is_seen_until_it_is_forgotten(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_assert_false(vmp_stamp_is_other_content(fixture->machine, fixture->image, "a"));
    keep_content(fixture, "a");
    g_assert_false(vmp_stamp_is_other_content(fixture->machine, fixture->image, "a"));
    g_assert_true(vmp_stamp_is_other_content(fixture->machine, fixture->image, "b"));
    g_assert_true(vmp_stamp_is_other_content(fixture->machine, fixture->image, NULL));
    keep_content(fixture, "b");
    g_assert_false(vmp_stamp_is_other_content(fixture->machine, fixture->image, "b"));
    /* It is no stamp: nothing is said of size and time. */
    g_assert_false(vmp_stamp_has(fixture->machine, fixture->image));
    vmp_stamp_forget(fixture->machine, fixture->image);
    g_assert_false(vmp_stamp_is_other_content(fixture->machine, fixture->image, "a"));
}

#define ADD(name, test) g_test_add("/plan/stamp/" name, Fixture, NULL, set_up, test, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("a-later-write-breaks-it", a_later_write_breaks_it);
    ADD("another-size-breaks-it", another_size_breaks_it);
    ADD("a-copy-with-its-times-is-as-good", a_copy_with_its_times_is_as_good);
    ADD("our-own-writes-renew-what-was-right", our_own_writes_renew_what_was_right);
    ADD("other-content-is-seen-until-it-is-forgotten",
        other_content_is_seen_until_it_is_forgotten);
    return g_test_run();
}
