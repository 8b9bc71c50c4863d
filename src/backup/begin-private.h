/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of the beginning of a backup.
 *
 *   begin.c        the request, the order of the steps, the records
 *   begin-disk.c   what is done with each disk
 */

#include <vmpoint/backup.h>
#include <vmpoint/checkpoint-record.h>

#include "machine/machine.h"
#include "machine/session.h"

typedef struct {
    VmpMachine *machine;
    VmpBackupBeginFlags flags;
    const VmpBackupTuning *tuning;
    GHashTable *links;         /* see VmpBackupPart; or NULL */
    VmpBackup *backup;         /* aligned */
    VmpCheckpoint *checkpoint; /* aligned; NULL = none asked for */
    VmpBlockSession *session;
    VmpBlockGraph *graph;
    gboolean copy_range;  /* this QEMU can have the kernel copy */
    GHashTable *insisted; /* targets for which the document itself says incremental */
    VmpJson *server;      /* of a pull backup; else NULL */
    gboolean running;     /* the guest runs */
    gboolean quiesces;    /* its file systems are frozen at the instant */
    gboolean fleeces;     /* a push whose targets the guest never waits for */
    char *suffix;         /* of names that are made up */
} VmpBegin;

/* What the disks add to the arguments of the steps; arrays of JSON objects. */
typedef struct {
    GHashTable *taken;
    VmpJson *images, *scratch, *disks, *fleece, *exports;
    VmpJson *checkpoint; /* the bitmaps of the new one, a reference of its own; or NULL */
} VmpBeginSteps;

gboolean vmp_begin_is_pull(const VmpBegin *begin);
/* A pull backup of a domain that is off: no guest writes, and another process serves. */
gboolean vmp_begin_is_served(const VmpBegin *begin);

/* Adds to @steps what @disk needs.  One that cannot tell what changed becomes a full one. */
gboolean vmp_begin_plan_disk(const VmpBegin *begin, VmpBackupDisk *disk, VmpBeginSteps *steps,
                             GError **error);
