/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The emulated TPM of a domain: where it keeps what it remembers, and the process (swtpm) that
 * plays it.
 *
 * The folder <state dir>/tpm/<uuid>, mode 0700, is the domain's by its name: no ledger is
 * asked before it goes.  In it swtpm has one file, VMP_TPM_FILE, which it replaces by a rename
 * whenever a command of the guest changes something that outlives a reset, before it answers:
 * so a copy of it is always whole.  What a reset clears is in QEMU's stream of RAM and
 * devices, as is all the rest; whoever loads such a stream has swtpm write the file anew.
 *
 * swtpm gets the folder by a descriptor: the folder may change its name while it runs, which
 * is how one that was prepared beside the present one takes its place.
 */

#include "machine/host.h"
#include "machine/spawn.h"
#include "xml/domain.h"

#define VMP_TPM_FILE "tpm2-00.permall"

/* The folder of the domain with @uuid, whether or not there is one; free with g_free(). */
char *vmp_tpm_folder(const VmpHost *host, const char *uuid);

/* Before anything is let go: can the TPM of @definition, if it has one, be played at all?
 * UNSUPPORTED: swtpm is not installed. */
gboolean vmp_tpm_check(const VmpDomain *definition, GError **error);
/* A process that waits to be let go (machine/spawn.h); it plays the TPM in @folder, which is
 * made if need be, for whoever has the other end of the socket @connection, and ends with that
 * one.  UNSUPPORTED: swtpm is not installed. */
VmpSpawn *vmp_tpm_spawn(const char *folder, const char *log, int connection, GError **error);
