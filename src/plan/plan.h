/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpPlan: how something is going to be changed, before anything is touched.
 *
 * An ordered list of steps, one of which is the commit step: before it a failure undoes
 * what was applied, last first; from it on recovery goes forward.  A plan without a commit
 * step is committed by its store edits alone.  Beside the steps: risks, the edits that the
 * store gets when all is done, and the space it takes.
 *
 * The same plan is what --dry-run prints, what the executor runs and what the journal
 * keeps.
 */

#include "plan/step.h"

/* One reason why a change is risky. */
typedef struct {
    char *code;           /* stable: "no-domain", "new-process", ... */
    char *message;        /* one sentence that names what would happen */
    gboolean overridable; /* FORCE carries it out all the same */
} VmpRisk;

typedef struct {
    char *operation;      /* "snapshot-create": the intent's kind */
    char *domain;         /* name, for messages */
    char *subject;        /* name of the point or the like; or NULL */
    GPtrArray *steps;     /* of VmpStep */
    int commit;           /* index of the commit step; -1 = none */
    gboolean mark_commit; /* the journal durably notes that the commit step is entered: for one
                           * whose outcome cannot be seen once QEMU is gone */
    gboolean detached;    /* what its steps have begun goes on by itself: carrying the plan out
                           * ends before the commit step, and the intent stays open */
    GPtrArray *risks;     /* of VmpRisk */
    VmpJson *edits;       /* see store/edit.h */
    GPtrArray *
        freezes; /* paths (char *) of images that nobody writes to from then on: see stamp.h */
    guint64 space; /* bytes that it needs at least */
} VmpPlan;

/* Without steps and edits; the texts are copied. */
VmpPlan *vmp_plan_new(const char *operation, const char *domain, const char *subject);
void vmp_plan_free(VmpPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpPlan, vmp_plan_free)

/* Appends a step; @args is consumed (NULL = none). */
VmpStep *vmp_plan_add(VmpPlan *plan, const VmpStepKind *kind, VmpJson *args);
/* The same, and it is the commit step. */
VmpStep *vmp_plan_add_commit(VmpPlan *plan, const VmpStepKind *kind, VmpJson *args);
/* The same, and its failure is only a warning. */
VmpStep *vmp_plan_add_cleanup(VmpPlan *plan, const VmpStepKind *kind, VmpJson *args);
/* Its first step of that kind, or NULL.  Borrowed. */
const VmpStep *vmp_plan_find(const VmpPlan *plan, const VmpStepKind *kind);
void vmp_plan_add_risk(VmpPlan *plan, const char *code, gboolean overridable,
                       const char *format, ...) G_GNUC_PRINTF(4, 5);

/* VMP_ERROR_RISKY with all risks, unless there is none or @force overrides each. */
gboolean vmp_plan_check_risks(const VmpPlan *plan, gboolean force, GError **error);

/* For people and programs: steps with descriptions and QMP commands, risks, space. */
char *vmp_plan_report(const VmpPlan *plan);

/* For the journal. */
VmpJson *vmp_plan_to_json(const VmpPlan *plan);
/* @kinds: all step kinds of the library, NULL-terminated.  VMP_ERROR_UNSUPPORTED for a step
 * that this vmpoint does not know (journal of a newer one). */
VmpPlan *vmp_plan_from_json(VmpJson *json, const VmpStepKind *const *kinds, GError **error);
