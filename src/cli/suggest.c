/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/suggest.h"

#include <string.h>

struct _VmpSuggester {
    char *written;
    const char *nearest;
    guint distance; /* of the nearest */
};

/* Longer words are not ours; the bound keeps the table of distances small. */
#define LONGEST 64

/* Optimal string alignment: three rows of the table are enough. */
guint
vmp_edit_distance(const char *a, const char *b)
{
    gsize a_length = strlen(a), b_length = strlen(b);
    guint rows[3][LONGEST + 1];
    guint *before = rows[0], *above = rows[1], *row = rows[2];

    if (a_length > LONGEST || b_length > LONGEST)
        return G_MAXUINT;
    for (guint j = 0; j <= b_length; j++)
        above[j] = j;

    for (guint i = 1; i <= a_length; i++) {
        row[0] = i;
        for (guint j = 1; j <= b_length; j++) {
            guint replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = MIN(replaced, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        guint *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_length];
}

VmpSuggester *
vmp_suggester_new(const char *written)
{
    VmpSuggester *suggester = g_new0(VmpSuggester, 1);

    suggester->written = g_strdup(written);
    suggester->distance = G_MAXUINT;
    return suggester;
}

void
vmp_suggester_free(VmpSuggester *suggester)
{
    if (!suggester)
        return;
    g_free(suggester->written);
    g_free(suggester);
}

void
vmp_suggester_offer(VmpSuggester *suggester, const char *candidate)
{
    guint distance = vmp_edit_distance(suggester->written, candidate);

    if (distance < suggester->distance) {
        suggester->nearest = candidate;
        suggester->distance = distance;
    }
}

const char *
vmp_suggester_get(const VmpSuggester *suggester)
{
    /* One slip in three letters; what differs more is another word. */
    guint allowed = MAX(1, (guint)strlen(suggester->written) / 3);

    return suggester->nearest && suggester->distance <= allowed ? suggester->nearest : NULL;
}
