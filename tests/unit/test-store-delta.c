/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/delta.h"

#include <string.h>

/* Decoded again, it is the same; returns the size of the frame. */
static gsize
round_trip(const char *base, gsize base_length, const char *text, gsize length)
{
    g_autoptr(VmpDeltaCodec) codec = vmp_delta_codec_new();
    g_auto(VmpDelta) delta = { 0 };

    vmp_delta_encode(codec, base, base_length, text, length, &delta);
    g_assert_cmpuint(delta.prefix + delta.suffix, <=, MIN(base_length, length));
    g_autofree char *back = vmp_delta_decode(codec, base, base_length, &delta, length);
    g_assert_nonnull(back);
    g_assert_cmpmem(back, length, text, length);
    g_assert_cmpint(back[length], ==, '\0');
    return delta.size;
}

static void
test_edges(void)
{
    static const char *const texts[] = {
        "", "a", "b", "aa", "aaa", "aba", "abba", "xaby", "\n"
    };

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        for (gsize j = 0; j < G_N_ELEMENTS(texts); j++)
            round_trip(texts[i], strlen(texts[i]), texts[j], strlen(texts[j]));
}

static char *
make_noise(GRand *rand, gsize length)
{
    char *text = g_malloc(length + 1);

    for (gsize i = 0; i < length; i++)
        text[i] = (char)g_rand_int_range(rand, 0, 256);
    text[length] = '\0';
    return text;
}

static void
test_random_edits(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)g_test_rand_int());

    for (int i = 0; i < 300; i++) {
        gsize base_length = (gsize)g_rand_int_range(rand, 0, 30000);
        g_autofree char *base = make_noise(rand, base_length);
        g_autoptr(GString) text = g_string_new_len(base, (gssize)base_length);

        for (int edits = g_rand_int_range(rand, 0, 4); edits > 0; edits--) {
            gssize place = g_rand_int_range(rand, 0, (gint32)text->len + 1);
            gssize gone = g_rand_int_range(rand, 0, 5000);
            g_autofree char *added = make_noise(rand, 5000);
            g_string_erase(text, place, MIN(gone, (gssize)text->len - place));
            g_string_insert_len(text, place, added, g_rand_int_range(rand, 0, 5000));
        }
        round_trip(base, base_length, text->str, text->len);
    }
}

static void
test_both_ends(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    gsize length = 3 << 20;
    g_autofree char *base = make_noise(rand, length);
    g_autofree char *text = g_memdup2(base, length);

    text[0] ^= 1;
    text[length - 1] ^= 1;
    /* Noise does not compress: it can only come from the base. */
    g_assert_cmpuint(round_trip(base, length, text, length), <, 2048);
}

static void
test_distant(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    gsize length = 20 << 20;
    g_autofree char *base = make_noise(rand, length);
    g_autofree char *text = g_malloc(length);

    /* Halves swapped: what is to be found lies 10 MiB away. */
    memcpy(text, base + length / 2, length / 2);
    memcpy(text + length / 2, base, length / 2);
    g_assert_cmpuint(round_trip(base, length, text, length), <, 1 << 20);
}

static void
test_damage(void)
{
    g_autoptr(VmpDeltaCodec) codec = vmp_delta_codec_new();
    g_auto(VmpDelta) delta = { 0 };
    static const char base[] = "<domain><name>before</name></domain>";
    static const char text[] = "<domain><name>afterwards</name></domain>";
    gsize base_length = strlen(base), length = strlen(text);

    vmp_delta_encode(codec, base, base_length, text, length, &delta);
    const VmpDelta good = delta;
    g_assert_cmpuint(good.prefix, ==, strlen("<domain><name>"));

#define refuses(change, a_base, a_length)                                    \
    do {                                                                     \
        VmpDelta bad = good;                                                 \
        change;                                                              \
        g_autofree char *none =                                              \
            vmp_delta_decode(codec, a_base, strlen(a_base), &bad, a_length); \
        g_assert_null(none);                                                 \
    } while (0)

    refuses(bad.prefix = base_length + 1, base, length);
    refuses(bad.suffix = base_length - bad.prefix + 1, base, length);
    refuses(bad.prefix = G_MAXSIZE, base, length);
    refuses(bad.suffix = G_MAXSIZE - bad.prefix + 1, base, length);
    refuses(bad.suffix = 0, base, length);
    refuses(bad.size--, base, length);
    refuses(bad.size = 0, base, length);
    refuses(bad.data = (char *)"not a zstd frame......................", base, length);
    refuses((void)bad, base, length + 1);
    refuses((void)bad, base, length - 1);
    refuses((void)bad, base, 0);
    refuses((void)bad, base, G_MAXSIZE);
    refuses((void)bad, base, VMP_DELTA_MAX + 1);
    refuses((void)bad, "", length);
#undef refuses
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/delta/short-and-empty-texts-come-back", test_edges);
    g_test_add_func("/store/delta/random-edits-come-back", test_random_edits);
    g_test_add_func("/store/delta/changes-at-both-ends-of-3-MiB-cost-little", test_both_ends);
    g_test_add_func("/store/delta/what-lies-10-MiB-away-is-found", test_distant);
    g_test_add_func("/store/delta/a-delta-that-does-not-fit-is-refused", test_damage);
    return g_test_run();
}
