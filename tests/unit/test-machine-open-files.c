/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A process of our own, as the one that is looked at: files are opened by relative paths, and
 * then it goes elsewhere, as QEMU's -daemonize does. */

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/file.h"
#include "machine/open-files.h"

static char *work;

static void
make(const char *name)
{
    g_autofree char *path = g_build_filename(work, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static void
assert_found(const char *relative, const char *expected)
{
    g_autoptr(VmpOpenFiles) files = vmp_open_files_read(getpid());
    g_autofree char *found = vmp_open_files_find(files, relative);
    g_autofree char *path = expected ? g_build_filename(work, expected, NULL) : NULL;

    g_assert_cmpstr(found, ==, path);
}

static void
test_in_the_working_directory(void)
{
    make("a.img");
    make("b.img");
    g_assert_cmpint(chdir(work), ==, 0);
    g_auto(VmpFd) fd = open("a.img", O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    assert_found("a.img", "a.img");
    assert_found("./a.img", "a.img");
    /* It is there, and not what is open. */
    assert_found("b.img", NULL);
}

static void
test_gone_elsewhere(void)
{
    make("disks/a.img");
    g_assert_cmpint(chdir(work), ==, 0);
    G_GNUC_UNUSED g_auto(VmpFd) fd = open("disks/a.img", O_RDONLY | O_CLOEXEC);
    G_GNUC_UNUSED g_auto(VmpFd) again = open("disks/a.img", O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(chdir("/"), ==, 0);
    assert_found("disks/a.img", "disks/a.img");
    assert_found("a.img", "disks/a.img");
    assert_found("../a.img", "disks/a.img");
    /* Only whole names. */
    assert_found("img", NULL);
    assert_found("isks/a.img", NULL);

    make("other/a.img");
    g_autofree char *other_path = g_build_filename(work, "other/a.img", NULL);
    G_GNUC_UNUSED g_auto(VmpFd) other = open(other_path, O_RDONLY | O_CLOEXEC);
    assert_found("a.img", NULL);
    assert_found("disks/a.img", "disks/a.img");
}

static void
test_removed_since(void)
{
    make("gone.img");
    g_autofree char *path = g_build_filename(work, "gone.img", NULL);
    G_GNUC_UNUSED g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(chdir("/"), ==, 0);
    assert_found("gone.img", "gone.img");
}

static void
test_no_such_process(void)
{
    g_autoptr(VmpOpenFiles) files = vmp_open_files_read(G_MAXINT);
    g_autofree char *found = vmp_open_files_find(files, "a.img");

    g_assert_null(found);
}

static void
remove_folder(const char *name)
{
    g_autofree char *path = g_strconcat(work, name, NULL);

    g_assert_true(vmp_dir_remove(path, NULL));
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *made = g_dir_make_tmp("vmpoint-open-XXXXXX", &error);
    int status;

    g_test_init(&argc, &argv, NULL);
    g_assert_no_error(error);
    work = realpath(made, NULL);
    g_test_add_func("/machine/open-files/here", test_in_the_working_directory);
    g_test_add_func("/machine/open-files/elsewhere", test_gone_elsewhere);
    g_test_add_func("/machine/open-files/removed", test_removed_since);
    g_test_add_func("/machine/open-files/nobody", test_no_such_process);
    status = g_test_run();
    remove_folder("/disks");
    remove_folder("/other");
    remove_folder("");
    free(work);
    return status;
}
