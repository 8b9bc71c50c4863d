/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A migration stream in a file, dressed as the RAM of an internal snapshot.
 *
 * QEMU loads a migration stream only into a process that was started to wait for one, but the
 * RAM of an internal snapshot into any.  That is the same stream, found through the tables of
 * a qcow2 image. So a small image is made that has these tables and not the stream: two
 * images, one in the other.
 *
 *   inner   an image with one internal snapshot, VMP_VMSTATE_TAG, whose RAM is where the
 * stream is outer   an image whose content is the inner one, and which has of it what is not
 * stream; the rest shows through from its backing file, which is the stream
 *
 * As clusters of 64 KiB of the inner image, where the stream has n of them:
 *
 *   0         its header, where the stream's first cluster shows through otherwise
 *   1..n-1    the stream, in place
 *   n         a copy of the stream's first cluster
 *   n+1..     tables: L2 of the RAM, L1, L1 of the snapshot, snapshot, refcounts
 *
 * QEMU writes to an image from which it loads; all of that goes into the outer one's file,
 * which is in memory, so the stream's file is only read.  What is made here is of the size of
 * the tables: a few hundred KiB, and 9 MiB for a stream of 64 GiB.
 */

#include <glib.h>

#define VMP_VMSTATE_TAG "ram"

/* The outer image for the stream of @length bytes (at least 1) at @offset of @fd: a descriptor
 * of a file in memory, the caller's to close; -1 on failure. */
int vmp_vmstate_wrap(int fd, guint64 offset, guint64 length, GError **error);
