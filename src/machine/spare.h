/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A spare: a second QEMU for a domain, prepared beside the one that runs (if one does), to
 * take its place.
 *
 * It is started stopped, with another definition or waiting for RAM, while the present guest
 * runs on.  Until it is switched to, dropping it leaves all as it was; so does a crash of
 * ours.  Switching is one decision on stable storage: from then on the next command for the
 * domain finishes it.
 *
 * Two QEMUs cannot both write to one image: the spare's writable images must be others than
 * those of the running one.
 */

#include "machine/machine.h"

/* Can a second QEMU with @definition stand beside one that runs with it?  FALSE if
 * something outside of vmpoint's hands can be had once only (a TCP port, say); *why
 * (optional, free with g_free()) then names it. */
gboolean vmp_spare_is_possible(const VmpDomain *definition, char **why);

/* Starts it.  @incoming: it waits for migrate-incoming.  @nvram and @tpm (or NULL: the
 * domain's own, which two cannot write to): where its firmware's variables and its TPM's
 * folder are until they are put in their place; the spare has them open and does not mind. */
gboolean vmp_machine_prepare_spare(VmpMachine *machine, const VmpDomain *definition,
                                   gboolean incoming, const char *nvram, const char *tpm,
                                   GError **error);
/* Borrowed; NULL if there is no spare. */
VmpQmpClient *vmp_machine_get_spare_monitor(VmpMachine *machine);
/* Ends the present QEMU and makes the spare the domain's machine, with its definition as the
 * active one.  The guest stays as it is in the spare: resume it with vmp_machine_resume(). */
gboolean vmp_machine_switch_to_spare(VmpMachine *machine, const char *reason, GError **error);
/* Ends it.  No spare: nothing happens. */
void vmp_machine_drop_spare(VmpMachine *machine);
