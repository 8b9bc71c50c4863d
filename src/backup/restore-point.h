/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What can be done with restore points; see include/vmpoint/repository.h for the promises. */

#include "backup/block-walk.h"
#include "backup/repository.h"
#include "machine/machine.h"
#include "plan/step.h"

/* Makes a point in the repository at @path; its name, free with g_free(). */
char *vmp_restore_point_create(VmpMachine *machine, const char *path,
                               const VmpRestorePointSpec *spec, GError **error);

/* The lists of blocks of @chain for @disk, laid over one another. */
GArray *vmp_restore_point_read_blocks(const VmpRepository *repository, const GPtrArray *chain,
                                      const char *disk, gboolean keep_zeroes, GError **error);

/* What a file is called until it is complete ends so. */
#define VMP_RESTORE_ASIDE ".restoring"

/* As vmp_repository_restore_domain(). */
gboolean vmp_restore_point_return(VmpMachine *machine, const char *path, const char *point,
                                  const char *folder, gboolean overwrite, GError **error);
/* step-restore.c */
extern const VmpStepKind vmp_step_restore_disks;
