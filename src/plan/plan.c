/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/plan.h"

#include <stdarg.h>

#include "base/error.h"

static void
step_free(gpointer data)
{
    VmpStep *step = data;

    json_object_put(step->args);
    g_free(step);
}

static void
risk_free(gpointer data)
{
    VmpRisk *risk = data;

    g_free(risk->code);
    g_free(risk->message);
    g_free(risk);
}

VmpPlan *
vmp_plan_new(const char *operation, const char *domain, const char *subject)
{
    VmpPlan *plan = g_new0(VmpPlan, 1);

    plan->operation = g_strdup(operation);
    plan->domain = g_strdup(domain);
    plan->subject = g_strdup(subject);
    plan->steps = g_ptr_array_new_with_free_func(step_free);
    plan->commit = -1;
    plan->risks = g_ptr_array_new_with_free_func(risk_free);
    plan->edits = json_object_new_array();
    plan->freezes = g_ptr_array_new_with_free_func(g_free);
    return plan;
}

void
vmp_plan_free(VmpPlan *plan)
{
    if (!plan)
        return;
    g_free(plan->operation);
    g_free(plan->domain);
    g_free(plan->subject);
    g_ptr_array_unref(plan->steps);
    g_ptr_array_unref(plan->risks);
    json_object_put(plan->edits);
    g_ptr_array_unref(plan->freezes);
    g_free(plan);
}

VmpStep *
vmp_plan_add(VmpPlan *plan, const VmpStepKind *kind, VmpJson *args)
{
    VmpStep *step = g_new0(VmpStep, 1);

    step->kind = kind;
    step->args = args ? args : json_object_new_object();
    g_ptr_array_add(plan->steps, step);
    return step;
}

VmpStep *
vmp_plan_add_commit(VmpPlan *plan, const VmpStepKind *kind, VmpJson *args)
{
    g_assert(plan->commit < 0);
    plan->commit = (int)plan->steps->len;
    return vmp_plan_add(plan, kind, args);
}

VmpStep *
vmp_plan_add_cleanup(VmpPlan *plan, const VmpStepKind *kind, VmpJson *args)
{
    VmpStep *step = vmp_plan_add(plan, kind, args);

    step->cleanup = TRUE;
    return step;
}

const VmpStep *
vmp_plan_find(const VmpPlan *plan, const VmpStepKind *kind)
{
    for (guint i = 0; i < plan->steps->len; i++) {
        const VmpStep *step = g_ptr_array_index(plan->steps, i);
        if (step->kind == kind)
            return step;
    }
    return NULL;
}

void
vmp_plan_add_risk(VmpPlan *plan, const char *code, gboolean overridable, const char *format,
                  ...)
{
    VmpRisk *risk = g_new0(VmpRisk, 1);
    va_list args;

    va_start(args, format);
    risk->message = g_strdup_vprintf(format, args);
    va_end(args);
    risk->code = g_strdup(code);
    risk->overridable = overridable;
    g_ptr_array_add(plan->risks, risk);
}

gboolean
vmp_plan_check_risks(const VmpPlan *plan, gboolean force, GError **error)
{
    g_autoptr(GString) all = g_string_new(NULL);

    for (guint i = 0; i < plan->risks->len; i++) {
        const VmpRisk *risk = g_ptr_array_index(plan->risks, i);
        if (force && risk->overridable)
            continue;
        g_string_append_printf(all, "%s%s (%s)", all->len ? "; " : "", risk->message,
                               risk->code);
    }
    if (all->len == 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_RISKY, "%s of '%s' is risky: %s", plan->operation,
                    plan->subject, all->str);
}

static VmpJson *
risks_to_json(const VmpPlan *plan)
{
    VmpJson *risks = json_object_new_array();

    for (guint i = 0; i < plan->risks->len; i++) {
        const VmpRisk *risk = g_ptr_array_index(plan->risks, i);
        json_object_array_add(risks,
                              vmp_json_build("s:code", risk->code, "s:message", risk->message,
                                             "b:overridable", risk->overridable, NULL));
    }
    return risks;
}

static VmpJson *
step_commands(const VmpStep *step)
{
    g_autoptr(GPtrArray) commands =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_qmp_command_unref);
    VmpJson *array = json_object_new_array();

    if (step->kind->commands)
        step->kind->commands(step, commands);
    for (guint i = 0; i < commands->len; i++)
        json_object_array_add(array, vmp_qmp_command_to_json(g_ptr_array_index(commands, i)));
    return array;
}

char *
vmp_plan_report(const VmpPlan *plan)
{
    VmpJson *steps = json_object_new_array();

    for (guint i = 0; i < plan->steps->len; i++) {
        const VmpStep *step = g_ptr_array_index(plan->steps, i);
        g_autofree char *description = step->kind->describe(step);
        json_object_array_add(steps,
                              vmp_json_build("s:kind", step->kind->name, "s:describe",
                                             description, "b:commit", (int)i == plan->commit,
                                             "o:commands", step_commands(step), NULL));
    }

    g_autoptr(VmpJson) report =
        vmp_json_build("s:operation", plan->operation, "s:domain", plan->domain, "S:subject",
                       plan->subject, "o:risks", risks_to_json(plan), "o:steps", steps,
                       "i:space", (gint64)plan->space, NULL);
    return vmp_json_to_pretty(report);
}

static VmpJson *
freezes_to_json(const VmpPlan *plan)
{
    VmpJson *paths = json_object_new_array();

    for (guint i = 0; i < plan->freezes->len; i++)
        json_object_array_add(paths,
                              json_object_new_string(g_ptr_array_index(plan->freezes, i)));
    return paths;
}

static void
freezes_from_json(VmpPlan *plan, VmpJson *json)
{
    g_auto(GStrv) paths = vmp_json_get_strv(json, "freezes");

    for (char **path = paths; path && *path; path++)
        g_ptr_array_add(plan->freezes, g_strdup(*path));
}

VmpJson *
vmp_plan_to_json(const VmpPlan *plan)
{
    VmpJson *steps = json_object_new_array();

    for (guint i = 0; i < plan->steps->len; i++) {
        const VmpStep *step = g_ptr_array_index(plan->steps, i);
        json_object_array_add(steps, vmp_json_build("s:kind", step->kind->name, "B:cleanup",
                                                    step->cleanup, "o:args",
                                                    json_object_get(step->args), NULL));
    }
    return vmp_json_build("s:operation", plan->operation, "s:domain", plan->domain,
                          "S:subject", plan->subject, "i:commit", (gint64)plan->commit,
                          "B:mark-commit", plan->mark_commit, "B:detached", plan->detached,
                          "o:steps", steps, "o:edits", json_object_get(plan->edits),
                          "o:freezes", freezes_to_json(plan), NULL);
}

static const VmpStepKind *
find_kind(const VmpStepKind *const *kinds, const char *name)
{
    for (; *kinds; kinds++)
        if (g_strcmp0((*kinds)->name, name) == 0)
            return *kinds;
    return NULL;
}

VmpPlan *
vmp_plan_from_json(VmpJson *json, const VmpStepKind *const *kinds, GError **error)
{
    g_autoptr(VmpPlan) plan = vmp_plan_new(vmp_json_get_string(json, "operation"),
                                           vmp_json_get_string(json, "domain"),
                                           vmp_json_get_string(json, "subject"));
    VmpJson *steps = vmp_json_get_array(json, "steps");
    VmpJson *edits = vmp_json_get_array(json, "edits");

    if (!plan->operation || !steps || !edits)
        return vmp_fail_null(error, VMP_ERROR_DAMAGED,
                             "the journal holds a plan that is none");

    for (guint i = 0; i < vmp_json_length(steps); i++) {
        VmpJson *step = vmp_json_at(steps, i);
        const char *name = vmp_json_get_string(step, "kind");
        const VmpStepKind *kind = find_kind(kinds, name);
        if (!kind)
            return vmp_fail_null(
                error, VMP_ERROR_UNSUPPORTED,
                "the journal holds a step '%s' that this vmpoint does not know",
                name ? name : "");
        vmp_plan_add(plan, kind, json_object_get(vmp_json_get_object(step, "args")))->cleanup =
            vmp_json_get_bool(step, "cleanup", FALSE);
    }

    plan->commit = (int)vmp_json_get_int(json, "commit", -1);
    plan->mark_commit = vmp_json_get_bool(json, "mark-commit", FALSE);
    plan->detached = vmp_json_get_bool(json, "detached", FALSE);
    if (plan->commit >= (int)plan->steps->len)
        return vmp_fail_null(error, VMP_ERROR_DAMAGED,
                             "the journal names a commit step that is not there");
    json_object_put(plan->edits);
    plan->edits = json_object_get(edits);
    freezes_from_json(plan, json);
    return g_steal_pointer(&plan);
}
