/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The images of a domain that an internal snapshot is about: every one that is written to,
 * the firmware's variables included.
 *
 * Of a running domain they are seen as its QEMU sees them, of one that is off as they are on
 * storage.
 */

#include "machine/machine.h"
#include "storage/internal-snapshot.h"

typedef struct {
    char *disk; /* target; "nvram" for the firmware's variables; else the device's own name */
    char *path; /* NULL if it is no file or device of this host */
    char *node; /* NULL when off */
    char *format;
    GPtrArray *snapshots; /* of VmpInternalSnapshot */
    GPtrArray *bitmaps;   /* of char *: names */
} VmpInternalDisk;

void vmp_internal_disk_free(VmpInternalDisk *disk);

/* An array of VmpInternalDisk: the domain's disks in its order, then the others. */
GPtrArray *vmp_internal_disks_look(VmpMachine *machine, GError **error);
/* Borrowed; NULL if there is none. */
const VmpInternalDisk *vmp_internal_disks_find(const GPtrArray *disks, const char *name);
/* The same, by the image's path. */
const VmpInternalDisk *vmp_internal_disks_find_image(const GPtrArray *disks, const char *path);

/* For steps: [ { "disk", "path", "node" } ], those that have @tag; NULL = all. */
VmpJson *vmp_internal_disks_to_json(const GPtrArray *disks, const char *tag);
/* The one that an entry of such an array means now: another process has other nodes. */
const VmpInternalDisk *vmp_internal_disks_find_entry(const GPtrArray *disks, VmpJson *entry);
/* Has the image of such an entry @tag?  One that is none of @disks is read from storage; one
 * that is not there has none. */
gboolean vmp_internal_entry_has(const GPtrArray *disks, VmpJson *entry, const char *tag,
                                gboolean *has, GError **error);
