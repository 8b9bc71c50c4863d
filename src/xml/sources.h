/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpDomainSources: the places in a domain's text where the sources of its disks are named.
 *
 * External snapshots follow each other with definitions that differ in nothing else.  Whoever
 * has read one of them can tell by the text alone that another differs only there: all
 * other bytes are the same, and what stands in these places has no quote, no markup and no
 * control character in it, so that the two documents have the same structure.  Then
 * only the disks need to be read again, which stand in a document of their own that is as
 * short as they are (vmp_domain_sources_fill_disks()).
 */

#include <glib.h>

typedef struct _VmpDomainSources VmpDomainSources;

/* @text: a definition that vmp_domain_parse() takes, from '<' to '>'.  NULL, without an error,
 * where nothing would be gained. */
VmpDomainSources *vmp_domain_sources_new(const char *text, gsize length);
void vmp_domain_sources_free(VmpDomainSources *sources);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDomainSources, vmp_domain_sources_free)

/* Borrowed. */
const char *vmp_domain_sources_get_text(const VmpDomainSources *sources, gsize *length);

/* The sources (of char *; NULL = as they were) with which the text becomes its first @first
 * bytes, @middle and its last @last bytes; NULL if it differs elsewhere.  Free with
 * g_ptr_array_unref(). */
GPtrArray *vmp_domain_sources_match(const VmpDomainSources *sources, gsize first, gsize last,
                                    const char *middle, gsize length);
/* The text with other sources, of a match or NULL: free with g_free(). */
char *vmp_domain_sources_fill(const VmpDomainSources *sources, const GPtrArray *values);
/* A domain of that name and uuid with the disks alone. */
char *vmp_domain_sources_fill_disks(const VmpDomainSources *sources, const GPtrArray *values);
