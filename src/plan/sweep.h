/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files that a settled operation left behind.
 *
 * A plan never unlinks what it replaces: its edits mark the file in the ledger as
 * "retired".  Only when that is settled, and nothing can go back to it, is it unlinked; not
 * while another domain stands on it (see others.h).
 */

#include "machine/machine.h"

#define VMP_FILE_RETIRED "retired"

/* Adds to @edits that @path, if vmpoint made it, is to go. */
void vmp_plan_retire_file(VmpMachine *machine, const char *path, VmpJson *edits);
/* Unlinks the domain's retired files; what cannot go stays in the ledger for the next time and
 * becomes a note. */
void vmp_plan_sweep_files(VmpMachine *machine);
