/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A server: the storage daemon that serves the disks of a domain that is off, for as long as
 * somebody reads from them.
 *
 * It outlives us.  What it is to serve it is told once, by whoever starts it; after that
 * nobody can talk to it, and it is either there, serving all of it, or gone.  One that was
 * still being told when its vmpoint died counts as gone, and is ended by the next command that
 * looks.
 */

#include "machine/machine.h"

/* Starts one without any images; one that was left half told is ended first.  @client (a
 * reference) is the only way to talk to it. */
gboolean vmp_machine_start_server(VmpMachine *machine, VmpQmpClient **client, GError **error);
/* It has been told everything. */
gboolean vmp_machine_note_server(VmpMachine *machine, GError **error);
/* @pid: of the one that serves; 0 if none does. */
gboolean vmp_machine_find_server(VmpMachine *machine, GPid *pid, GError **error);
/* BUSY while one serves. */
gboolean vmp_machine_check_no_server(VmpMachine *machine, GError **error);
/* Ends it, whatever it has been told, and takes its files away.  None is fine. */
gboolean vmp_machine_end_server(VmpMachine *machine, GError **error);
