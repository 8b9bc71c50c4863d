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

/* Those that the domain and its snapshots name: are they there, and readable? */
void vmp_fsck_compare_images(const VmpFsckView *view, GPtrArray *findings);
/* Those that are marked corrupt, or that a look into them found damaged. */
void vmp_fsck_compare_damage(const VmpFsckView *view, GPtrArray *findings);
/* Backing links that lead nowhere, and to a wrong place. */
void vmp_fsck_compare_backing(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_tree(const VmpFsckView *view, GPtrArray *findings);
/* Internal snapshots: those that an image should hold, and those that it should not. */
void vmp_fsck_compare_held(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_unknown_held(const VmpFsckView *view, const VmpFsckAdoption *adoption,
                                   GPtrArray *findings);
/* Layers that look like snapshots of which the store has none. */
void vmp_fsck_compare_unknown_layers(const VmpFsckAdoption *adoption, GPtrArray *findings);

/* ---- fsck-files.c ---- */

/* RAM files; copies of firmware variables and TPM; what nobody needs or what is gone. */
void vmp_fsck_compare_memory(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_parts(const VmpFsckView *view, GPtrArray *findings);
void vmp_fsck_compare_ledger(const VmpFsckView *view, GPtrArray *findings);

/* ---- fsck-bitmaps.c ---- */

/* Bitmaps that @checkpoint should have, and those that no checkpoint has. */
void vmp_fsck_compare_checkpoint(const VmpFsckView *view, const VmpCheckpoint *checkpoint,
                                 GPtrArray *findings);
void vmp_fsck_compare_unknown_bitmaps(const VmpFsckView *view, const VmpFsckAdoption *adoption,
                                      GPtrArray *findings);
