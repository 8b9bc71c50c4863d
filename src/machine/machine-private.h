/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of VmpMachine, for the modules that carry out its life. */

#include "machine/instance.h"
#include "machine/lock.h"
#include "machine/machine.h"
#include "qmp/schema.h"

struct _VmpMachine {
    VmpHost *host;
    VmpMachineAccess access;
    VmpOperation *operation; /* borrowed; or NULL */
    VmpLock *lock;           /* NULL unless CHANGE */
    VmpStoreDomain *row;
    VmpInstance *instance; /* of our own QEMU; NULL if there is no record of one */
    VmpInstance *spare;    /* see machine/spare.h */
    VmpQmpClient *spare_monitor;
    gboolean listens;             /* attached: somebody listens at the monitor's path */
    VmpQmpClient *monitor;        /* NULL until asked for */
    struct _VmpFreeze *freeze;    /* machine/freeze.c: the guest agent; NULL until asked for */
    VmpQmpSchema *schema;         /* NULL until asked for */
    VmpDomain *active, *inactive; /* NULL until asked for */
    GPtrArray *retired;           /* of VmpDomain: those before them */
};

/* The operation's cancellable, or NULL. */
GCancellable *vmp_machine_get_cancellable(VmpMachine *machine);

/* Gives a client the machine's label, trace and timeout. */
void vmp_machine_prepare_client(VmpMachine *machine, VmpQmpClient *client);
/* @instance and @monitor (both taken) are the machine's from now on. */
void vmp_machine_adopt(VmpMachine *machine, VmpInstance *instance, VmpQmpClient *monitor);
/* Lets go of the monitor. */
void vmp_machine_hang_up(VmpMachine *machine);

/* QEMU's own word for its state; free with g_free(). */
char *vmp_machine_ask_status(VmpMachine *machine, GError **error);

/* The row says that @definition runs. */
gboolean vmp_machine_mark_on(VmpMachine *machine, const VmpDomain *definition, VmpState state,
                             const char *reason, GError **error);
/* The row says that nothing runs.  A transient domain without points is forgotten: its row
 * then has id 0. */
gboolean vmp_machine_mark_off(VmpMachine *machine, const char *reason, GError **error);
/* define.c: what the TPM remembers goes or stays, as the definition (or NULL) and @flags say.
 */
gboolean vmp_machine_settle_tpm(VmpMachine *machine, const VmpDomain *definition,
                                VmpUndefineFlags flags, GError **error);
/* In a row's extra: the flags of an undefine that made a domain which runs transient. */
#define VMP_EXTRA_UNDEFINE "undefine"
/* Remembers why the domain is in @state. */
gboolean vmp_machine_mark_state(VmpMachine *machine, VmpState state, const char *reason,
                                GError **error);

/* Where the monitor of one that is on listens; free with g_free(). */
char *vmp_machine_monitor_path(VmpMachine *machine);
/* vmp_machine_get_monitor() with another bound. */
VmpQmpClient *vmp_machine_connect(VmpMachine *machine, int timeout_ms, GError **error);
/* Makes relative paths of a QEMU that somebody else started absolute. */
gboolean vmp_machine_resolve_paths(VmpBlockGraph *graph, VmpQmpClient *client,
                                   const char *name, GError **error);
/* define.c: INVALID unless a domain may be called so. */
gboolean vmp_machine_check_name(const char *name, GError **error);
/* FAILED unless it is on. */
gboolean vmp_machine_require_on(VmpMachine *machine, GError **error);

/* life.c: ends the process that runs, and leaves the row alone. */
gboolean vmp_machine_end_process(VmpMachine *machine, VmpDestroyFlags flags, GError **error);
/* spare.c: ends a spare that was not used, or finishes a switch that was decided. */
gboolean vmp_machine_settle_spare(VmpMachine *machine, GError **error);
/* capability.c: vmp_machine_has() of a storage daemon, by its own schema. */
gboolean vmp_machine_daemon_has(VmpMachine *machine, const VmpInstance *daemon,
                                VmpQmpClient *client, const char *command, const char *path,
                                gboolean *has, GError **error);
/* session.c: ends a storage daemon whose vmpoint is gone.  The caller has the lock, so every
 * one that is there is such a one. */
gboolean vmp_machine_end_leftover_daemon(VmpMachine *machine, GError **error);
/* life.c: what a CHANGE finds when it opens: a QEMU that has gone, a start that was not
 * finished, a spare that was not used. */
gboolean vmp_machine_settle(VmpMachine *machine, GError **error);
