/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A VFS of SQLite that notices when a page is not what was written.
 *
 * SQLite checks the frames of its log, but not the pages of the database: a flipped bit in
 * a path or in a reference reads as another path, another reference.  Here
 * the last 8 bytes of each page, which SQLite keeps free for such use, are a hash of the
 * rest and of the page's place.  They are written with the page and checked when it is
 * read; a page that fails reads as SQLITE_IOERR_DATA.
 *
 * The database stays one that any SQLite can read.  One that writes without this VFS
 * leaves pages that fail here.
 */

#define VMP_SEAL_PAGE_SIZE 4096
#define VMP_SEAL_RESERVE 8

/* Name of the VFS, for sqlite3_open_v2().  Wraps what is the default VFS at the first call. */
const char *
vmp_seal_vfs(void);
