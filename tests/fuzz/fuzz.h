/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What all fuzz targets share.
 *
 * A target defines LLVMFuzzerTestOneInput() and fuzz_seeds.  Built by clang with
 * -fsanitize=fuzzer -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION it is a fuzzer.  Built by
 * any compiler without, it is a test: main() is here then, and runs the seeds, and every
 * file of the files and folders given as arguments, each as it is and in some mutants that
 * are the same in every run.
 *
 * Each input gets memory of exactly its size, so that a sanitizer or valgrind sees a read
 * behind its end.
 */

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Ends with NULL. */
extern const char *const fuzz_seeds[];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION

#define FUZZ_MUTANTS 50

/* Changes @bytes in one of the ways in which bytes go wrong. */
static inline void
fuzz_mutate(GByteArray *bytes, GRand *random)
{
    guint8 byte = (guint8)g_rand_int_range(random, 0, 256);
    guint at = bytes->len ? (guint)g_rand_int_range(random, 0, (gint32)bytes->len) : 0;
    guint left = MIN(bytes->len - at, 32);
    guint length = left ? (guint)g_rand_int_range(random, 1, (gint32)left + 1) : 0;

    if (bytes->len == 0 || byte < 16) {
        g_byte_array_append(bytes, &byte, 1);
    } else if (byte < 96) {
        bytes->data[at] ^= (guint8)(1u << (byte % 8));
    } else if (byte < 144) {
        g_byte_array_remove_range(bytes, at, length);
    } else if (byte < 200) {
        g_autofree guint8 *part = g_memdup2(bytes->data + at, length);
        g_byte_array_append(bytes, part, length);
    } else if (byte < 232) {
        memset(bytes->data + at, byte, length);
    } else {
        g_byte_array_set_size(bytes, at);
    }
}

static inline void
fuzz_try_bytes(const guint8 *data, gsize size)
{
    g_autofree guint8 *copy = g_memdup2(data, size);

    LLVMFuzzerTestOneInput(copy ? copy : (const guint8 *)"", size);
}

static inline void
fuzz_try_seed(const char *data, gsize size, guint32 number)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(number);

    fuzz_try_bytes((const guint8 *)data, size);
    for (guint i = 0; i < FUZZ_MUTANTS; i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();

        g_byte_array_append(bytes, (const guint8 *)data, (guint)size);
        for (guint changes = i % 4 + 1; changes > 0; changes--)
            fuzz_mutate(bytes, random);
        fuzz_try_bytes(bytes->data, bytes->len);
    }
}

static inline gboolean
fuzz_replay(const char *path, guint *number)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    g_autofree char *text = NULL;
    gsize length = 0;

    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        if (!fuzz_replay(file, number))
            return FALSE;
    }
    if (dir)
        return TRUE;
    if (!g_file_get_contents(path, &text, &length, NULL)) {
        printf("Bail out! cannot read %s\n", path);
        return FALSE;
    }
    fuzz_try_seed(text, length, (guint32)length);
    printf("ok %u %s and %d mutants\n", ++*number, path, FUZZ_MUTANTS);
    fflush(stdout);
    return TRUE;
}

int
main(int argc, char **argv)
{
    guint number = 0;

    for (guint i = 0; fuzz_seeds[i]; i++) {
        fuzz_try_seed(fuzz_seeds[i], strlen(fuzz_seeds[i]), i);
        printf("ok %u seed %u and %d mutants\n", ++number, i, FUZZ_MUTANTS);
        fflush(stdout);
    }
    for (int i = 1; i < argc; i++)
        if (!fuzz_replay(argv[i], &number))
            return 1;
    printf("1..%u\n", number);

    /* Nothing to try must not look like a success. */
    return number > 0 ? 0 : 1;
}

#endif
