/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpRepository: a folder of restore points of one domain.
 *
 * What is in a point's folder is never written to again; points appear and go by renaming
 * their folders.  A folder whose name begins with a dot is nobody's point: what a run that was
 * cut off leaves, swept by the next one that changes the repository.
 */

#include <vmpoint/operation.h>
#include <vmpoint/repository.h>

#include "backup/manifest.h"

typedef struct {
    char *name;            /* of its folder */
    VmpManifest *manifest; /* NULL: @problem says why */
    GError *problem;
} VmpRepositoryPoint;

typedef struct {
    char *path;                  /* absolute */
    char *id;                    /* a uuid: the same wherever the folder is mounted */
    char *domain, *uuid;         /* whose points it has */
    int lock, use;               /* descriptors; -1 = not taken */
    GPtrArray *points;           /* of VmpRepositoryPoint, oldest first */
    gboolean new_folder, is_new; /* made by opening it */
} VmpRepository;

/* Two locks: one of who changes the repository, and one under which points may not go. */
typedef enum {
    VMP_REPOSITORY_LOOK,  /* no lock: the names and manifests of the moment */
    VMP_REPOSITORY_READ,  /* what is there stays there; on read-only media without a lock */
    VMP_REPOSITORY_ADD,   /* the only one who changes; beside readers */
    VMP_REPOSITORY_PRUNE, /* the only one */
} VmpRepositoryAccess;

/* NOT_FOUND if there is none, UNSUPPORTED for a newer one, BUSY while another run changes it.
 */
VmpRepository *vmp_repository_open(const char *path, VmpRepositoryAccess access,
                                   GError **error);
/* For ADD; makes it where nothing or an empty folder is, but not with @dry_run.  EXISTS with
 * another domain's. */
VmpRepository *vmp_repository_open_for(const char *path, const char *domain, const char *uuid,
                                       gboolean dry_run, GError **error);
/* Nothing has come into it: what opening has made is taken away again.  One that was there, or
 * has something in it by now, stays as it is. */
void vmp_repository_abandon(VmpRepository *repository);
void vmp_repository_free(VmpRepository *repository);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpRepository, vmp_repository_free)

/* Reads the folders again. */
gboolean vmp_repository_reload(VmpRepository *repository, GError **error);
/* Removes what runs that were cut off left. */
gboolean vmp_repository_sweep(VmpRepository *repository, GError **error);

/* NULL if there is none.  Borrowed. */
VmpRepositoryPoint *vmp_repository_find(const VmpRepository *repository, const char *name);
/* The newest; NULL if there is none. */
VmpRepositoryPoint *vmp_repository_newest(const VmpRepository *repository);
/* NOT_FOUND, or what is wrong with its manifest; "latest" is the newest. */
const VmpManifest *vmp_repository_get(const VmpRepository *repository, const char *name,
                                      GError **error);
/* The manifests that @disk of @point is read from, the newest first, to the full one.  DAMAGED
 * if one of them is not there or not what it should be. */
GPtrArray *vmp_repository_chain(const VmpRepository *repository, const VmpManifest *point,
                                const char *disk, GError **error);
/* Are all files of that chain there, and of their size, and their headers what they should be?
 */
gboolean vmp_repository_check_chain(const VmpRepository *repository, const GPtrArray *chain,
                                    const char *disk, GCancellable *cancellable,
                                    GError **error);

/* A file of @point that is no image, compared with its digest: DAMAGED.  Free with g_free().
 */
char *vmp_repository_read_file(const VmpRepository *repository, const VmpManifest *point,
                               const char *name, gsize *length, GError **error);

/* <repository>/<point>[/<file>]; free with g_free(). */
char *vmp_repository_path(const VmpRepository *repository, const char *point,
                          const char *file);
/* A folder that is no point yet; free with g_free(). */
char *vmp_repository_path_aside(const VmpRepository *repository, const char *point);
/* The whole of it goes: first its name, then its files. */
gboolean vmp_repository_remove_folder(const VmpRepository *repository, const char *path,
                                      GError **error);
