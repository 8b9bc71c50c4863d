/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How every public function begins: open the domain, and for a change first settle what
 * earlier commands left open.
 *
 * This is the one layer that sees all others: it ties the step kinds of all of them to
 * the journal.
 */

#include "machine/machine.h"
#include "plan/step.h"

/* For looking: no lock, no change. */
VmpMachine *vmp_api_look(VmpHost *host, const char *domain, GError **error);
/* Locked, recovered, ended backups settled.  @said (or NULL) gets a sentence for each thing
 * that was settled.  For what touches no disk: another process may serve them. */
VmpMachine *vmp_api_settle(VmpHost *host, const char *domain, VmpOperation *operation,
                           GPtrArray *said, GError **error);
/* The same for the domain's life, beside block jobs that go on by themselves: BUSY while its
 * disks are served. */
VmpMachine *vmp_api_change_life(VmpHost *host, const char *domain, VmpOperation *operation,
                                GError **error);
/* The same for changing the domain: BUSY while such a job is there, too. */
VmpMachine *vmp_api_change(VmpHost *host, const char *domain, VmpOperation *operation,
                           GError **error);

/* Every kind of step that a journal can hold. */
const VmpStepKind *const *vmp_api_step_kinds(void);
