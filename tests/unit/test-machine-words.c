/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/words.h"

/* Sentences as QEMU 7.2 said them. */
static void
qemus_words_say_what_a_program_may_do_next(void)
{
    static const struct {
        const char *words;
        VmpErrorCode code;
    } said[] = {
        { "Failed to get \"write\" lock; Is another process using the image [/a.qcow2]?",
          VMP_ERROR_BUSY },
        { "Could not open backing file: Failed to get shared \"write\" lock", VMP_ERROR_BUSY },
        { "Could not open '/b.raw': No such file or directory", VMP_ERROR_NOT_FOUND },
        { "Image is not in qcow2 format", VMP_ERROR_DAMAGED },
        { "Could not open '/b.raw': Permission denied", VMP_ERROR_IO },
        { "'nosuch' is not a valid device model name", VMP_ERROR_UNSUPPORTED },
        { "-vnc 127.0.0.1:0: Failed to bind socket: Address already in use", VMP_ERROR_BUSY },
        { "unsupported machine type", VMP_ERROR_UNSUPPORTED },
    };

    for (guint i = 0; i < G_N_ELEMENTS(said); i++)
        g_assert_cmpint(vmp_words_code(said[i].words, VMP_ERROR_REFUSED), ==, said[i].code);
}

static void
other_words_mean_what_the_caller_thinks(void)
{
    g_assert_cmpint(vmp_words_code("Parameter 'x' is unexpected", VMP_ERROR_REFUSED), ==,
                    VMP_ERROR_REFUSED);
    g_assert_cmpint(vmp_words_code(NULL, VMP_ERROR_FAILED), ==, VMP_ERROR_FAILED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/words/qemus-words-say-what-a-program-may-do-next",
                    qemus_words_say_what_a_program_may_do_next);
    g_test_add_func("/machine/words/other-words-mean-what-the-caller-thinks",
                    other_words_mean_what_the_caller_thinks);
    return g_test_run();
}
