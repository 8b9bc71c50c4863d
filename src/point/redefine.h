/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* REDEFINE: putting back what an earlier dump says.
 *
 * Only the store changes; images are never touched.  The complete document of the dump is
 * asked for, <domain> included: without it a revert would be a guess.  A snapshot without
 * it is taken all the same and marked (its revert then needs FORCE); a checkpoint is refused,
 * unless the bitmaps in the images prove it.
 *
 * Every check comes before the one store transaction, so a failed redefine leaves what was
 * there.
 */

#include <vmpoint/checkpoint.h>
#include <vmpoint/snapshot.h>

#include "machine/machine.h"
#include "machine/session.h"
#include "store/store.h"
#include "xml/domain.h"

/* Return the name; free with g_free(). */
char *vmp_point_redefine_snapshot(VmpMachine *machine, const char *xml,
                                  VmpSnapshotCreateFlags flags, GError **error);
char *vmp_point_redefine_checkpoint(VmpMachine *machine, const char *xml,
                                    VmpCheckpointCreateFlags flags, GError **error);

/* As the one of that name, but @snapshot (aligned here) is another document of the row @known
 * (with body): a copy under a name of its own, or with @rename that one itself under its new
 * name, keeping its children.  @rows: all snapshots of the domain. */
gboolean vmp_redefine_other_name(VmpMachine *machine, const GPtrArray *rows,
                                 const VmpStorePoint *known, VmpSnapshot *snapshot,
                                 gboolean rename, gboolean current, GError **error);

/* ---- for whoever redefines many at once ----
 *
 * All checks but that of the parent, which is asked of the tree as it is at that moment. */

/* @domain: the view of its <domain>, or of the one that it takes over; NULL if there is
 * none.  @known: the row, with body, of the same name; or NULL.  Aligns @snapshot. */
gboolean vmp_redefine_check_snapshot(VmpMachine *machine, VmpSnapshot *snapshot,
                                     const VmpDomain *domain, const VmpStorePoint *known,
                                     VmpSnapshotCreateFlags flags, GError **error);
gboolean vmp_redefine_check_snapshot_flags(VmpSnapshotCreateFlags flags, GError **error);
/* Would the guest of snapshot @name see the same machine? */
gboolean vmp_redefine_check_abi(const char *name, const char *before, const char *after,
                                GError **error);
/* With VALIDATE: are the images that it speaks of there, and do they rest on each other so? */
gboolean vmp_redefine_check_images(const VmpSnapshot *snapshot, const VmpDomain *domain,
                                   GError **error);
gboolean vmp_redefine_check_checkpoint(VmpMachine *machine, VmpCheckpoint *checkpoint,
                                       const VmpDomain *domain, VmpCheckpointCreateFlags flags,
                                       GError **error);
gboolean vmp_redefine_check_checkpoint_flags(VmpCheckpointCreateFlags flags, GError **error);
/* Every disk that is still there must have a whole chain of the checkpoint's bitmap. */
gboolean vmp_redefine_check_bitmaps(VmpBlockSession *session, const VmpBlockGraph *graph,
                                    const VmpCheckpoint *checkpoint, GError **error);
