/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libvmpoint: points in time of QEMU virtual machines.
 *
 * Open a host (a store and the domains it knows), call functions on it.  There is no
 * daemon and no background thread: each call connects to QEMU, does its work under the
 * domain's lock, and leaves.  A VmpHost belongs to one thread at a time.
 *
 * Failing functions return FALSE or NULL and set a GError of domain VMP_ERROR; its code
 * says what a program may do next (error.h).
 */

#include <vmpoint/backup.h>
#include <vmpoint/block.h>
#include <vmpoint/bulk.h>
#include <vmpoint/checkpoint.h>
#include <vmpoint/domain.h>
#include <vmpoint/error.h>
#include <vmpoint/filesystem.h>
#include <vmpoint/fsck.h>
#include <vmpoint/graph.h>
#include <vmpoint/host.h>
#include <vmpoint/operation.h>
#include <vmpoint/repository.h>
#include <vmpoint/snapshot.h>
