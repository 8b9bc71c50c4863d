/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The checks of fsck, each of which adds to @findings (of VmpFinding) what it finds in the
 * view.  Their codes are in fsck-compare.c.
 *
 *   fsck-compare.c   what is unsettled, QEMU and the definition
 *   fsck-images.c    images, what they stand on, and the snapshots that they make up
 *   fsck-files.c     files that vmpoint made
 *   fsck-bitmaps.c   bitmaps of checkpoints
 */

#include "point/fsck.h"

/* ---- fsck-images.c ---- */

void vmp_fsck_compare_images(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_damage(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_backing(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_tree(const VmpFsckView *view, GPtrArray *findings);
/* Internal snapshots: those that an image should hold, and those that it should not. */
void vmp_fsck_compare_held(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_unknown_held(const VmpFsckView *view, const VmpFsckAdoption *adoption,
                                   GPtrArray *findings);
void vmp_fsck_compare_unknown_layers(const VmpFsckAdoption *adoption, GPtrArray *findings);

/* ---- fsck-files.c ---- */

void vmp_fsck_compare_memory(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_parts(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_ledger(const VmpFsckView *view, GPtrArray *findings);

/* ---- fsck-bitmaps.c ---- */

void vmp_fsck_compare_checkpoint(const VmpFsckView *view, const VmpCheckpoint *checkpoint,
                                 GPtrArray *findings);
void vmp_fsck_compare_unknown_bitmaps(const VmpFsckView *view, const VmpFsckAdoption *adoption,
                                      GPtrArray *findings);
