/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpStep: one change of the world that can be applied, undone and asked for.
 *
 * A step is data: a kind and arguments as JSON, so that the journal can hold it and
 * another process can finish or undo it.  Its kind is a table of functions with a stable
 * name.
 *
 *   apply   makes the change; may be called again after a crash when probe() did not say
 *           DONE, so it must cope with a change half made
 *   undo    takes it back; must cope with a change not made, half made, or already undone
 *   probe   looks whether the change is in the world; only needed for the commit step and
 *           what follows it
 */

#include "machine/machine.h"
#include "machine/session.h"
#include "store/store.h"

typedef struct _VmpStep VmpStep;
typedef struct _VmpChange VmpChange;

typedef enum {
    VMP_PROBE_NOT_DONE,
    VMP_PROBE_BEGUN, /* a part is done and cannot be taken back: apply the rest */
    VMP_PROBE_DONE,
    VMP_PROBE_GOING,   /* of a detached plan: it goes on by itself, and nobody wants its end */
    VMP_PROBE_UNKNOWN, /* cannot be told now; the error says why */
} VmpProbe;

typedef struct {
    const char *name; /* stands in journals: never change one */
    gboolean (*apply)(const VmpStep *step, VmpChange *change, GError **error);
    gboolean (*undo)(const VmpStep *step, VmpChange *change, GError **error);
    VmpProbe (*probe)(const VmpStep *step, VmpChange *change, GError **error);
    /* A sentence fragment for --dry-run: "make overlay '/x' for disk vda". */
    char *(*describe)(const VmpStep *step);
    /* Adds the QMP commands it would send (VmpQmpCommand); NULL if it sends none. */
    void (*commands)(const VmpStep *step, GPtrArray *commands);
    /* It writes to frozen images what no guest sees (bitmaps, headers, other snapshots): the
     * executor then renews the stamps that were right before the plan (plan/stamp.h). */
    gboolean writes_frozen;
} VmpStepKind;

struct _VmpStep {
    const VmpStepKind *kind;
    VmpJson *args;
    gboolean cleanup; /* its failure is a warning: nothing depends on it */
};

/* What is wanted of a detached plan. */
typedef enum {
    VMP_WISH_NONE, /* that it goes on */
    VMP_WISH_END,  /* that it is carried out */
    VMP_WISH_STOP, /* that it is taken back */
} VmpWish;

/* What steps work with: the machine under its lock, and its block session, opened when the
 * first step asks for it. */
struct _VmpChange {
    VmpMachine *machine;
    VmpOperation *operation;
    VmpBlockSession *session;     /* NULL until asked for */
    VmpStoreTransaction planning; /* see vmp_change_begin_planning() */
    VmpJson *edits; /* what the store will be told at the end; borrowed.  A step may add to it,
                     * and has to do so again after a crash */
    gboolean keep_session; /* settling the plan does not end an offline session */
    gboolean recovering;   /* beyond cancelling: undoing, or going forward */
    gboolean commit_begun; /* recovering a plan whose commit step may have been entered */
    GPtrArray *intact; /* before a plan that writes to frozen images: those that nobody else
                        * wrote to (char *: paths); or NULL */
    VmpWish wish;
    gboolean taken_back; /* the commit step, begun before, has failed for good and has seen to
                          * it that undoing is right again */
};

/* An apply() for kinds that do no more than send their commands(): what --dry-run shows is
 * then what is sent. */
gboolean vmp_step_send_commands(const VmpStep *step, VmpChange *change, GError **error);

VmpBlockSession *vmp_change_get_session(VmpChange *change, GError **error);
/* The client of that session. */
VmpQmpClient *vmp_change_get_client(VmpChange *change, GError **error);
/* Runs @command (taken) there; its reply says nothing. */
gboolean vmp_change_run(VmpChange *change, VmpQmpCommand *command, GError **error);
/* What that session has open now. */
VmpBlockGraph *vmp_change_read_graph(VmpChange *change, GError **error);
/* Cancelling is ignored while undoing and recovering: then NULL. */
GCancellable *vmp_change_get_cancellable(VmpChange *change);
/* What planning puts into the store (definitions) becomes durable together with the declared
 * plan, in one transaction; a dry run or a failure leaves nothing of it. */
gboolean vmp_change_begin_planning(VmpChange *change, GError **error);
/* Ends the session: an offline one then has stored its bitmaps. */
gboolean vmp_change_close_session(VmpChange *change, GError **error);
/* Closes what is open; an error, which may be a bitmap that is lost, becomes a warning. */
void vmp_change_clear(VmpChange *change);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpChange, vmp_change_clear)
