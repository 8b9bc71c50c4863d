/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Cases by hand, and a model: forests at random in which each image has blocks of its own, and
 * whatever is needed must read the same after each merge and removal. */

#include <stdlib.h>
#include <string.h>

#include "point/forest.h"

/* "name<below" with letters: n needed, i idle, h holds, o ours, b bitmaps, r raw, p present,
 * s small, x another domain stands on it. */
static VmpForest *
plant(const char *const *words)
{
    VmpForest *forest = vmp_forest_new();

    for (; *words; words++) {
        g_auto(GStrv) parts = g_strsplit(*words, " ", 2);
        g_auto(GStrv) names = g_strsplit(parts[0], "<", 2);
        const char *letters = parts[1] ? parts[1] : "";
        VmpForestImage *image = vmp_forest_add(forest, names[0]);

        image->below = names[1] ? vmp_forest_find(forest, names[1]) : NULL;
        image->format = g_strdup(strchr(letters, 'r') ? "raw" : "qcow2");
        image->disk = strchr(letters, 'p') ? g_strdup("vda") : NULL;
        image->size = strchr(letters, 's') ? 1 : 2;
        image->needed = strchr(letters, 'n') != NULL;
        image->idle = strchr(letters, 'i') != NULL;
        image->outsider = strchr(letters, 'x') ? g_strdup("clone") : NULL;
        image->holds = strchr(letters, 'h') != NULL;
        image->ours = strchr(letters, 'o') != NULL;
        image->has_bitmaps = strchr(letters, 'b') != NULL;
        image->keeps_bitmaps = !strchr(letters, 'r');
        image->allocated = strchr(letters, 'L') ? G_GUINT64_CONSTANT(1) << 30 : 0;
    }
    vmp_forest_decide(forest);
    return forest;
}

/* "commit a b c; stream d e; gone x; later 1" */
static char *
tell(const VmpForest *forest)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < forest->merges->len; i++) {
        const VmpMerge *merge = g_ptr_array_index(forest->merges, i);
        GString *part = g_string_new(merge->way == VMP_MERGE_COMMIT ? "commit" : "stream");
        for (guint j = 0; j < merge->layers->len; j++)
            g_string_append_printf(
                part, " %s", ((VmpForestImage *)g_ptr_array_index(merge->layers, j))->path);
        g_ptr_array_add(parts, g_string_free(part, FALSE));
    }
    for (guint i = 0; i < forest->unneeded->len; i++)
        g_ptr_array_add(
            parts,
            g_strdup_printf("gone %s",
                            ((VmpForestImage *)g_ptr_array_index(forest->unneeded, i))->path));
    if (forest->deferred)
        g_ptr_array_add(parts, g_strdup_printf("later %u", forest->deferred));
    g_ptr_array_add(parts, NULL);
    return g_strjoinv("; ", (char **)parts->pdata);
}

typedef struct {
    const char *name;
    const char *images[8];
    const char *wanted;
} Case;

static const Case cases[] = {
    { "nothing-to-do", { "a np", "b<a nop" }, "" },
    { "newest", { "a ip", "b<a nop" }, "commit a b" },
    { "middle", { "a np", "b<a iop", "c<b nop", "d<c nop" }, "commit b c" },
    { "oldest", { "a ip", "b<a nop", "c<b nop" }, "commit a b" },
    { "all-in-a-row", { "a ip", "b<a iop", "c<b iop", "d<c nop" }, "commit a b c d" },
    { "two-rows-one-after-the-other",
      { "a ip", "b<a nop", "c<b iop", "d<c nop" },
      "commit a b; later 1" },
    { "several-stand-on-it", { "a i", "b<a nop", "c<a no" }, "" },
    { "leaf-of-a-branch", { "a np", "b<a io", "c<a nop" }, "gone b" },
    { "leaf-that-lets-its-base-be-merged",
      { "a ip", "b<a io", "c<a nop" },
      "commit a c; gone b" },
    { "a-branch-of-idle-ones-goes-as-a-whole",
      { "a np", "b<a io", "c<b io", "d<a nop" },
      "gone c; gone b" },
    { "inside-a-branch", { "a np", "b<a io", "c<b no", "d<a nop" }, "commit b c" },
    { "a-users-base-below-is-left-alone", { "t p", "a<t np", "b<a nop" }, "" },
    { "the-present-becomes-smaller", { "a ip", "b<a nops" }, "stream a b" },
    { "bitmaps-over-raw", { "a irp", "b<a nopb" }, "stream a b" },
    { "raw-without-bitmaps", { "a irp", "b<a nop" }, "commit a b" },
    { "many-stand-on-the-upper-one",
      { "z np", "a<z iop", "b<a nop", "c<b nop", "d<b no" },
      "stream a b" },
    { "many-stand-on-the-upper-one-but-the-lower-is-not-ours",
      { "a ip", "b<a nop", "c<b nop", "d<b no" },
      "commit a b" },
    { "a-large-layer-stays-where-it-is", { "z np", "a<z iop", "b<a nopL" }, "stream a b" },
    { "a-large-layer-goes-into-the-users-image", { "a ip", "b<a nopL" }, "commit a b" },
    { "an-internal-snapshot-below", { "a ihp", "b<a nop" }, "commit a b" },
    { "an-internal-snapshot-below-of-a-larger-image", { "a ihp", "b<a nops" }, "" },
    { "an-internal-snapshot-above-needs-what-is-below", { "a ip", "b<a nhop" }, "" },
    { "an-internal-snapshot-in-the-middle", { "a ip", "b<a ihop", "c<b nop" }, "commit b c" },
    { "an-internal-snapshot-in-a-branch-that-is-left", { "a np", "b<a iho" }, "" },
    { "another-domain-on-the-image-below", { "a ixp", "b<a nop" }, "" },
    { "another-domain-on-a-layer-above", { "a ip", "b<a nxop", "c<b nop" }, "" },
    { "another-domain-on-a-leaf", { "a np", "b<a iox", "c<a nop" }, "" },
    { "above-what-another-domain-stands-on",
      { "a ixp", "b<a iop", "c<b iop", "d<c nop" },
      "commit b c d" },
    { "a-branch-over-a-merge-comes-later",
      { "a ip", "b<a nop", "c<b nop", "d<b io", "e<d no" },
      "commit a b; later 1" },
};

static void
test_case(gconstpointer data)
{
    const Case *test = data;
    g_autoptr(VmpForest) forest = plant(test->images);
    g_autofree char *told = tell(forest);

    g_assert_cmpstr(told, ==, test->wanted);
}

static void
test_successor(void)
{
    const char *const images[] = { "a ip", "b<a iop", "c<b nop", "d<c nop", "e<d io", NULL };
    g_autoptr(VmpForest) forest = plant(images);
    VmpForestImage *a = vmp_forest_find(forest, "a");

    g_assert_true(vmp_forest_successor(forest, vmp_forest_find(forest, "c")) == a);
    g_assert_true(vmp_forest_successor(forest, vmp_forest_find(forest, "b")) == a);
    g_assert_null(vmp_forest_successor(forest, a));
    g_assert_null(vmp_forest_successor(forest, vmp_forest_find(forest, "d")));
    g_assert_true(vmp_forest_find(forest, "e")->gone);
    g_assert_null(vmp_forest_successor(forest, vmp_forest_find(forest, "e")));
}

/* ---- the model ---- */

#define BLOCKS 8
#define MOST 12
#define ZERO -1 /* allocated, and nothing but zeroes */

typedef struct {
    char name[8];
    int below; /* -1 = none */
    gboolean there, needed, holds, idle, ours;
    guint size, saved_size; /* an internal snapshot remembers its own */
    int data[BLOCKS];       /* 0 = not allocated */
    int saved[BLOCKS];      /* what its internal snapshot has */
    int reads[BLOCKS];      /* what it must read as, if needed */
    int keeps[BLOCKS];      /* what its internal snapshot must read as */
} Model;

static void
read_model(const Model *images, int index, const int *own, int *out)
{
    for (int block = 0; block < BLOCKS; block++) {
        const int *data = own;
        int at = index;
        out[block] = 0;
        while (at >= 0) {
            if ((guint)block >= images[at].size)
                break;
            if (data[block]) {
                out[block] = data[block] == ZERO ? 0 : data[block];
                break;
            }
            at = images[at].below;
            data = at >= 0 ? images[at].data : NULL;
        }
    }
}

static void
grow_model(Model *images, int count)
{
    int next = 1;

    for (int i = 0; i < count; i++) {
        Model *image = &images[i];
        g_snprintf(image->name, sizeof image->name, "i%d", i);
        image->below = i == 0 ? -1 : g_test_rand_int_range(-1, i) / 2 + i / 2;
        if (image->below >= i)
            image->below = i - 1;
        image->there = TRUE;
        image->size = g_test_rand_int_range(0, 4) == 0 ? BLOCKS / 2 : BLOCKS;
        image->saved_size = image->size;
        image->ours = i > 0 && g_test_rand_int_range(0, 5) > 0;
        image->idle = g_test_rand_int_range(0, 2) == 0;
        image->needed = !image->idle && g_test_rand_int_range(0, 3) > 0;
        image->holds = g_test_rand_int_range(0, 6) == 0;
        for (int block = 0; block < BLOCKS; block++) {
            image->data[block] = g_test_rand_bit() && (guint)block < image->size ? next++ : 0;
            image->saved[block] = g_test_rand_bit() && (guint)block < image->size ? next++ : 0;
        }
    }
    for (int i = 0; i < count; i++) {
        read_model(images, i, images[i].data, images[i].reads);
        read_model(images, i, images[i].saved, images[i].keeps);
    }
}

static VmpForest *
plant_model(const Model *images, int count)
{
    VmpForest *forest = vmp_forest_new();

    for (int i = 0; i < count; i++)
        if (images[i].there)
            vmp_forest_add(forest, images[i].name);
    for (int i = 0; i < count; i++) {
        VmpForestImage *image = vmp_forest_find(forest, images[i].name);
        if (!image)
            continue;
        image->below = images[i].below >= 0
                           ? vmp_forest_find(forest, images[images[i].below].name)
                           : NULL;
        image->needed = images[i].needed;
        image->holds = images[i].holds;
        image->idle = images[i].idle;
        image->ours = images[i].ours;
        image->size = images[i].size;
        image->keeps_bitmaps = TRUE;
    }
    return forest;
}

static int
index_of(const VmpForestImage *image)
{
    return atoi(image->path + 1);
}

/* What QEMU does: data of the row into the survivor, then all that stood on its top stands on
 * it. */
static void
merge_model(Model *images, int count, const VmpMerge *merge, int *moved)
{
    int bottom = index_of(g_ptr_array_index(merge->layers, 0));
    int top = index_of(vmp_merge_top(merge));
    int survivor = index_of(vmp_merge_survivor(merge));
    int merged[BLOCKS] = { 0 };

    for (guint i = 0; i < merge->layers->len; i++) {
        const Model *image = &images[index_of(g_ptr_array_index(merge->layers, i))];
        for (guint block = 0; block < BLOCKS; block++) {
            if (block < image->size && image->data[block])
                merged[block] = image->data[block];
            /* Beyond its end an image reads as zeroes, whatever it stands on. */
            if (block >= image->size)
                merged[block] = ZERO;
        }
    }
    int below = images[bottom].below;
    images[survivor].size = MAX(images[survivor].size, images[top].size);
    memcpy(images[survivor].data, merged, sizeof merged);
    images[survivor].below = below;
    for (int i = 0; i < count; i++)
        if (images[i].there && images[i].below == top)
            images[i].below = survivor;
    for (guint i = 0; i < merge->layers->len; i++) {
        int index = index_of(g_ptr_array_index(merge->layers, i));
        if (index != survivor)
            images[index].there = FALSE;
    }
    /* Who needed the top needs the survivor now. */
    if (survivor != top) {
        images[survivor].needed = images[top].needed;
        images[survivor].idle = images[top].idle;
        memcpy(images[survivor].reads, images[top].reads, sizeof images[top].reads);
        *moved = survivor;
    }
}

static void
check_model(const Model *images, int count)
{
    for (int i = 0; i < count; i++) {
        int now[BLOCKS];
        if (!images[i].there) {
            g_assert_false(images[i].holds);
            continue;
        }
        g_assert_true(images[i].below < 0 || images[images[i].below].there);
        read_model(images, i, images[i].data, now);
        if (images[i].needed)
            g_assert_cmpmem(now, sizeof now, images[i].reads, sizeof images[i].reads);
        read_model(images, i, images[i].saved, now);
        if (images[i].holds)
            g_assert_cmpmem(now, images[i].saved_size * sizeof *now, images[i].keeps,
                            images[i].saved_size * sizeof *now);
    }
}

static void
run_model(void)
{
    Model images[MOST] = { 0 };
    int count = g_test_rand_int_range(1, MOST);
    int moved = -1;

    grow_model(images, count);
    for (int round = 0;; round++) {
        g_assert_cmpint(round, <, MOST);
        g_autoptr(VmpForest) forest = plant_model(images, count);
        vmp_forest_decide(forest);
        for (guint i = 0; i < forest->unneeded->len; i++)
            images[index_of(g_ptr_array_index(forest->unneeded, i))].there = FALSE;
        for (guint i = 0; i < forest->merges->len; i++)
            merge_model(images, count, g_ptr_array_index(forest->merges, i), &moved);
        check_model(images, count);
        g_assert_true(forest->merges->len > 0 || forest->deferred == 0);
        if (forest->merges->len == 0 && forest->unneeded->len == 0)
            return;
    }
}

static void
test_model(void)
{
    for (int i = 0; i < 20000; i++)
        run_model();
}

/* What is asked for is done, whoever needs what: that is looked at before. */
static void
test_asked(void)
{
    static const char *const words[] = { "a n", "b<a n", "c<b n", "d<c np", NULL };
    g_autoptr(VmpForest) down = plant(words);
    g_autoptr(VmpForest) up = plant(words);

    vmp_forest_ask_merge(down, vmp_forest_find(down, "b"), vmp_forest_find(down, "c"),
                         VMP_MERGE_COMMIT, 7);
    g_autofree char *committed = tell(down);
    g_assert_cmpstr(committed, ==, "commit b c");
    g_assert_cmpuint(((VmpMerge *)g_ptr_array_index(down->merges, 0))->bandwidth, ==, 7);
    g_assert_true(vmp_forest_find(down, "c")->gone);
    g_assert_true(vmp_forest_successor(down, vmp_forest_find(down, "c")) ==
                  vmp_forest_find(down, "b"));

    vmp_forest_ask_merge(up, vmp_forest_find(up, "a"), vmp_forest_find(up, "d"),
                         VMP_MERGE_STREAM, 0);
    g_autofree char *pulled = tell(up);
    g_assert_cmpstr(pulled, ==, "stream a b c d");
    g_assert_false(vmp_forest_find(up, "a")->gone);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL); /* prints the seed; --seed repeats a run */
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/point/forest/%s", cases[i].name);
        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/point/forest/what-is-merged-has-a-successor", test_successor);
    g_test_add_func("/point/forest/what-is-asked-for-is-merged", test_asked);
    g_test_add_func("/point/forest/whatever-is-needed-reads-the-same", test_model);
    return g_test_run();
}
