/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words that several public headers share: states, storage, where a part of a
 * point in time lives.  Spellings are libvirt's.
 */

#include <glib.h>

#include <vmpoint/macros.h>

G_BEGIN_DECLS

/* State of a domain, or of a snapshot (which alone may be "disk-snapshot"). */
typedef enum {
    VMP_STATE_NOSTATE,
    VMP_STATE_RUNNING,
    VMP_STATE_BLOCKED,
    VMP_STATE_PAUSED,
    VMP_STATE_SHUTDOWN,
    VMP_STATE_SHUTOFF,
    VMP_STATE_CRASHED,
    VMP_STATE_PMSUSPENDED,
    VMP_STATE_DISK_SNAPSHOT,
} VmpState;

/* libvirt's word ("shutoff", "disk-snapshot"). */
VMP_PUBLIC const char *vmp_state_name(VmpState state);
/* FALSE if @name is no such word. */
VMP_PUBLIC gboolean vmp_state_from_name(const char *name, VmpState *state);

/* Where a snapshot keeps a disk or the memory. */
typedef enum {
    VMP_LOCATION_UNSET, /* not said: a default follows when it is aligned */
    VMP_LOCATION_NO,
    VMP_LOCATION_INTERNAL,
    VMP_LOCATION_EXTERNAL,
    VMP_LOCATION_MANUAL,
} VmpLocation;

/* "no", "internal", "external", "manual"; NULL for UNSET. */
VMP_PUBLIC const char *vmp_location_name(VmpLocation location);
/* FALSE if @name is no such word. */
VMP_PUBLIC gboolean vmp_location_from_name(const char *name, VmpLocation *location);

/* What a disk's source is. */
typedef enum {
    VMP_STORAGE_NONE, /* no medium */
    VMP_STORAGE_FILE,
    VMP_STORAGE_BLOCK,
    VMP_STORAGE_DIR,
    VMP_STORAGE_NETWORK,
    VMP_STORAGE_VOLUME,
    VMP_STORAGE_NVME,
    VMP_STORAGE_VHOSTUSER,
} VmpStorageType;

/* libvirt's word ("file", "network"); "none" for NONE. */
VMP_PUBLIC const char *vmp_storage_type_name(VmpStorageType type);
/* FALSE if @name is no such word. */
VMP_PUBLIC gboolean vmp_storage_type_from_name(const char *name, VmpStorageType *type);

G_END_DECLS
