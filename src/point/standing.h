/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpStanding: which images a domain has, and which of its snapshots and disks stand on them.
 *
 * Read from three places: what each snapshot's definition says its disks wrote to when it was
 * made, what the domain's disks are now, and what the images' headers say is below.  Which of
 * them other domains stand on is looked up as well.
 */

#include "machine/machine.h"
#include "point/forest.h"

typedef struct {
    const VmpStorePoint *row; /* borrowed from the standing's rows */
    gboolean leaving;
    GPtrArray *images; /* of VmpForestImage, borrowed: those that it names */
    GPtrArray *frozen; /* the same: those that it needs as they are */
    gboolean has_revert_disks;
    char *memory_file; /* or NULL */
} VmpStandingPoint;

typedef struct {
    GPtrArray *rows;         /* of VmpStorePoint, with bodies */
    GPtrArray *points;       /* of VmpStandingPoint, as rows */
    VmpForest *forest;       /* filled in, not yet decided */
    GHashTable *by_identity; /* of a file, however it is spelt: VmpForestImage */
} VmpStanding;

/* @leaving: names (char *) of the snapshots that are to go; what only they need is idle.  An
 * image that a snapshot names and that is not there is left out; the present ones must be. */
VmpStanding *vmp_standing_look(VmpMachine *machine, const GPtrArray *leaving, GError **error);
void vmp_standing_free(VmpStanding *standing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpStanding, vmp_standing_free)

/* The image at @path; NULL if it is none of them. */
VmpForestImage *vmp_standing_find(const VmpStanding *standing, const char *path);

/* Are there images that were idle when somebody looked last? */
gboolean vmp_standing_has_idle(VmpMachine *machine, gboolean *has, GError **error);
/* Adds to @edits which images are idle but still there, for whoever looks next. */
void vmp_standing_edit_idle(const VmpStanding *standing, VmpMachine *machine, VmpJson *edits);
