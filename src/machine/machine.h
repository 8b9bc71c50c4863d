/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpMachine: one domain, opened: what the store has of it, what runs it, and how to talk
 * to that.
 *
 * Opened for CHANGE it holds the domain's lock until it is freed.  Opened for READ it takes
 * no lock and uses the second monitor, so that looking never waits for changing.
 *
 * A machine is ON while its process lives (pid and start time; for an attached QEMU: its
 * monitor answers).  A process that has gone is noticed here: the store's active definition
 * is then dropped (CHANGE only).
 */

#include <vmpoint/domain.h>
#include <vmpoint/operation.h>

#include "machine/host.h"
#include "storage/block-graph.h"
#include "xml/domain.h"

typedef struct _VmpMachine VmpMachine;

typedef enum {
    VMP_MACHINE_READ,
    VMP_MACHINE_CHANGE,
} VmpMachineAccess;

/* @name_or_uuid as the store knows it (NOT_FOUND). */
VmpMachine *vmp_machine_open(VmpHost *host, const char *name_or_uuid, VmpMachineAccess access,
                             VmpOperation *operation, GError **error);
void vmp_machine_free(VmpMachine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpMachine, vmp_machine_free)

VmpHost *vmp_machine_get_host(VmpMachine *machine);
VmpStore *vmp_machine_get_store(VmpMachine *machine);
VmpOperation *vmp_machine_get_operation(VmpMachine *machine);
const char *vmp_machine_get_name(VmpMachine *machine);
const char *vmp_machine_get_uuid(VmpMachine *machine);
/* The store's row as it was read; borrowed. */
const VmpStoreDomain *vmp_machine_get_row(VmpMachine *machine);
/* Reads the row again after the store was changed. */
gboolean vmp_machine_reload(VmpMachine *machine, GError **error);

/* Borrowed.  The running definition when on (NULL when off); the persistent one (NULL for
 * a transient domain). */
const VmpDomain *vmp_machine_get_active(VmpMachine *machine, GError **error);
const VmpDomain *vmp_machine_get_inactive(VmpMachine *machine, GError **error);
/* The active one when on, else the inactive one. */
const VmpDomain *vmp_machine_get_definition(VmpMachine *machine, GError **error);

gboolean vmp_machine_is_on(VmpMachine *machine);
/* Of the QEMU that runs; 0 if none does, or somebody else started it. */
GPid vmp_machine_get_pid(VmpMachine *machine);
/* The monitor; connected at the first call.  VMP_ERROR_DISCONNECTED if QEMU is gone, BUSY if
 * another client holds it.  Borrowed. */
VmpQmpClient *vmp_machine_get_monitor(VmpMachine *machine, GError **error);
/* What @client's QEMU has open; relative paths, which somebody else's QEMU may have been
 * started with, are made absolute. */
VmpBlockGraph *vmp_machine_read_graph(VmpMachine *machine, VmpQmpClient *client,
                                      GError **error);
/* Lets go of a monitor that has not answered in time: the next call connects anew.  Whoever
 * has borrowed it must not use it any more. */
void vmp_machine_forget_monitor(VmpMachine *machine);
/* Where the guest agent's channel listens.  UNSUPPORTED if there is none.  Free with
 * g_free(). */
char *vmp_machine_get_agent_path(VmpMachine *machine, GError **error);
/* RUNNING, PAUSED, ...; SHUTOFF when off. */
gboolean vmp_machine_query_state(VmpMachine *machine, VmpState *state, const char **reason,
                                 GError **error);
/* This QEMU's schema; kept in the store by build of QEMU, so that asking is cheap. */
gboolean vmp_machine_has(VmpMachine *machine, const char *command, const char *path,
                         gboolean *has, GError **error);

/* Life.  Each leaves the store's row in step. */
gboolean vmp_machine_start(VmpMachine *machine, VmpStartFlags flags, GError **error);
/* Starts with @definition instead of the persistent one (revert). */
gboolean vmp_machine_start_with(VmpMachine *machine, const VmpDomain *definition,
                                VmpStartFlags flags, GError **error);
gboolean vmp_machine_shutdown(VmpMachine *machine, GError **error);
gboolean vmp_machine_destroy(VmpMachine *machine, VmpDestroyFlags flags, GError **error);
gboolean vmp_machine_suspend(VmpMachine *machine, GError **error);
gboolean vmp_machine_resume(VmpMachine *machine, GError **error);
gboolean vmp_machine_reset(VmpMachine *machine, GError **error);

/* qom path whose "drive" property is the disk's root node; free with g_free().  For our
 * own machines from the launch convention, for attached ones from query-block. */
char *vmp_machine_disk_qom_path(VmpMachine *machine, const VmpBlockGraph *graph,
                                const char *target, GError **error);

/* Defining (no machine opened yet). */
char *vmp_machine_define(VmpHost *host, const char *xml, gssize length,
                         VmpOperation *operation, GError **error);
gboolean vmp_machine_undefine(VmpMachine *machine, VmpUndefineFlags flags, GError **error);
gboolean vmp_machine_attach(VmpHost *host, const char *name, const char *qmp_path,
                            const char *agent_path, const char *xml, VmpOperation *operation,
                            GError **error);
gboolean vmp_machine_detach(VmpMachine *machine, GError **error);
