/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/tpm.h"

#include <sys/socket.h>
#include <unistd.h>

#include "test-machine-fixture.h"

/* A swtpm that writes down how it was started, writes into its folder, and waits for the end
 * of its connection. */
static const char program[] = "#!/bin/bash\n"
                              "echo \"$@\"\n"
                              "dir=${4#dir=}; dir=${dir%%,*}; fd=${6##*=}\n"
                              "echo memory >$dir/" VMP_TPM_FILE "\n"
                              "eval \"cat <&$fd\"\n"
                              "echo more >>$dir/" VMP_TPM_FILE "\n";

static void
install_program(const Fixture *fixture)
{
    g_autofree char *bin = fixture_path(fixture, "bin");
    g_autofree char *path = g_build_filename(bin, "swtpm", NULL);
    g_autofree char *places = g_strconcat(bin, ":", g_getenv("PATH"), NULL);

    g_assert_cmpint(g_mkdir(bin, 0700), ==, 0);
    g_assert_true(g_file_set_contents_full(path, program, -1, 0, 0700, NULL));
    g_setenv("PATH", places, TRUE);
}

static void
check_content(const char *folder, const char *expected)
{
    g_autofree char *path = g_build_filename(folder, VMP_TPM_FILE, NULL);
    g_autofree char *content = NULL;

    g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, expected);
}

/* Also when the folder has another name meanwhile. */
static void
it_plays_in_its_folder_until_its_peer_ends(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = vmp_tpm_folder(fixture->host, FIXTURE_UUID);
    g_autofree char *other = fixture_path(fixture, "other");
    g_autofree char *log = fixture_path(fixture, "log");
    g_autofree char *said = NULL;
    int pair[2];
    (void)data;

    install_program(fixture);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_autoptr(VmpSpawn) spawn = vmp_tpm_spawn(folder, log, pair[1], &error);
    g_assert_no_error(error);
    close(pair[1]);
    VmpProcess process = vmp_spawn_get_process(spawn);
    g_assert_true(vmp_spawn_go(spawn, &error));
    g_assert_no_error(error);

    g_assert_cmpint(rename(folder, other), ==, 0);
    close(pair[0]);
    g_assert_true(vmp_process_wait_gone(process.pid, process.start_time, 20000));
    check_content(other, "memory\nmore\n");
    g_assert_true(g_file_get_contents(log, &said, NULL, NULL));
    g_assert_true(g_str_has_prefix(said, "socket --tpm2 --tpmstate dir=/proc/self/fd/"));
    g_assert_nonnull(strstr(said, "--terminate"));
}

static void
without_the_program_it_is_not_supported(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = vmp_tpm_folder(fixture->host, FIXTURE_UUID);
    g_autofree char *log = fixture_path(fixture, "log");
    g_autofree char *places = g_strdup(g_getenv("PATH"));
    (void)data;

    g_autoptr(VmpDomain) with = vmp_domain_parse(
        "<domain "
        "type='qemu'><name>n</name><memory>1</memory><os><type>hvm</type></os><devices>"
        "<tpm><backend type='emulator'/></tpm></devices></domain>",
        -1, &error);
    g_assert_no_error(error);
    g_autoptr(VmpDomain) without = vmp_domain_parse(
        "<domain "
        "type='qemu'><name>n</name><memory>1</memory><os><type>hvm</type></os></domain>",
        -1, &error);
    g_assert_no_error(error);

    g_setenv("PATH", fixture->dir, TRUE);
    g_assert_true(vmp_tpm_check(without, &error));
    g_assert_no_error(error);
    g_assert_false(vmp_tpm_check(with, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    g_assert_null(vmp_tpm_spawn(folder, log, 1, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "swtpm"));
    g_setenv("PATH", places, TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_TEST("/machine/tpm/it-plays-in-its-folder-until-its-peer-ends",
                 it_plays_in_its_folder_until_its_peer_ends);
    FIXTURE_TEST("/machine/tpm/without-the-program-it-is-not-supported",
                 without_the_program_it_is_not_supported);
    return g_test_run();
}
