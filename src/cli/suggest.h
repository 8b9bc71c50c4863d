/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The word that somebody may have meant. */

#include <glib.h>

typedef struct _VmpSuggester VmpSuggester;

VmpSuggester *vmp_suggester_new(const char *written);
void vmp_suggester_free(VmpSuggester *suggester);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpSuggester, vmp_suggester_free)

/* @candidate has to live as long as the suggester. */
void vmp_suggester_offer(VmpSuggester *suggester, const char *candidate);
/* The nearest candidate, the earliest of equals; NULL if none is near enough to be a
 * slip of the keyboard. */
const char *vmp_suggester_get(const VmpSuggester *suggester);

/* Insertions, deletions, replacements and swaps of neighbours that lead from @a to @b. */
guint vmp_edit_distance(const char *a, const char *b);
