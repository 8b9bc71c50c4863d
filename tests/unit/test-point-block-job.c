/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/block-job.h"

static VmpJson *
answer(void)
{
    return vmp_json_parse("[{\"device\": \"other-vda\", \"type\": \"mirror\", \"len\": 9, "
                          "\"offset\": 9, \"speed\": 9},"
                          " {\"device\": \"vmp-merge-vda\", \"type\": \"stream\", \"len\": "
                          "10, \"offset\": 3, \"speed\": 7,"
                          "  \"ready\": false},"
                          " {\"device\": \"vmp-merge-branch-vdd\", \"type\": \"commit\", "
                          "\"len\": 9, \"offset\": 9},"
                          " {\"device\": \"vmp-backup-vdb\", \"type\": \"backup\", \"len\": "
                          "4, \"offset\": 4, \"speed\": 0,"
                          "  \"ready\": true}]",
                          -1, NULL);
}

static void
the_job_of_a_disk_is_found_by_its_name(void)
{
    g_autoptr(VmpJson) jobs = answer();
    const char *id = NULL;
    g_autoptr(VmpBlockJobInfo) pull = vmp_block_job_read(jobs, "vda", &id);

    g_assert_cmpstr(id, ==, "vmp-merge-vda");
    g_assert_cmpstr(pull->type, ==, "pull");
    g_assert_cmpuint(pull->bandwidth, ==, 7);
    g_assert_cmpuint(pull->current, ==, 3);
    g_assert_cmpuint(pull->total, ==, 10);
    g_assert_false(pull->ready);
    g_autoptr(VmpBlockJobInfo) backup = vmp_block_job_read(jobs, "vdb", &id);
    g_assert_cmpstr(backup->type, ==, "backup");
    g_assert_true(backup->ready);
}

static void
a_disk_without_one_has_none(void)
{
    g_autoptr(VmpJson) jobs = answer();
    const char *id = "x";
    g_autoptr(VmpBlockJobInfo) none = vmp_block_job_read(jobs, "vdc", &id);
    g_autoptr(VmpBlockJobInfo) branch = vmp_block_job_read(jobs, "vdd", NULL);

    g_assert_null(id);
    g_assert_null(none->type);
    g_assert_null(branch->type);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/point/block-job/the-job-of-a-disk-is-found-by-its-name",
                    the_job_of_a_disk_is_found_by_its_name);
    g_test_add_func("/point/block-job/a-disk-without-one-has-none",
                    a_disk_without_one_has_none);
    return g_test_run();
}
