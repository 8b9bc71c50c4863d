/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <vmpoint/operation.h>

struct _VmpOperation {
    gboolean dry_run;
    GCancellable *cancellable;
    VmpProgressFunc progress;
    gpointer progress_data;
    GPtrArray *warnings;
    GPtrArray *notes;
    char *plan;
};

VmpOperation *
vmp_operation_new(void)
{
    VmpOperation *operation = g_new0(VmpOperation, 1);

    operation->warnings = g_ptr_array_new_with_free_func(g_free);
    operation->notes = g_ptr_array_new_with_free_func(g_free);
    return operation;
}

void
vmp_operation_free(VmpOperation *operation)
{
    if (!operation)
        return;
    g_clear_object(&operation->cancellable);
    g_ptr_array_unref(operation->warnings);
    g_ptr_array_unref(operation->notes);
    g_free(operation->plan);
    g_free(operation);
}

void
vmp_operation_reset(VmpOperation *operation)
{
    g_ptr_array_set_size(operation->warnings, 0);
    g_ptr_array_set_size(operation->notes, 0);
    g_clear_pointer(&operation->plan, g_free);
}

void
vmp_operation_set_dry_run(VmpOperation *operation, gboolean dry_run)
{
    operation->dry_run = dry_run;
}

gboolean
vmp_operation_get_dry_run(VmpOperation *operation)
{
    return operation && operation->dry_run;
}

void
vmp_operation_set_cancellable(VmpOperation *operation, GCancellable *cancellable)
{
    g_set_object(&operation->cancellable, cancellable);
}

GCancellable *
vmp_operation_get_cancellable(VmpOperation *operation)
{
    return operation ? operation->cancellable : NULL;
}

void
vmp_operation_set_progress(VmpOperation *operation, VmpProgressFunc func, gpointer data)
{
    operation->progress = func;
    operation->progress_data = data;
}

void
vmp_operation_report_progress(VmpOperation *operation, const char *what, guint64 done,
                              guint64 total)
{
    if (operation && operation->progress)
        operation->progress(what, done, total, operation->progress_data);
}

void
vmp_operation_warn(VmpOperation *operation, const char *format, ...)
{
    if (!operation)
        return;

    va_list args;
    va_start(args, format);
    g_ptr_array_add(operation->warnings, g_strdup_vprintf(format, args));
    va_end(args);
}

GPtrArray *
vmp_operation_get_warnings(VmpOperation *operation)
{
    return operation->warnings;
}

void
vmp_operation_note(VmpOperation *operation, const char *format, ...)
{
    if (!operation)
        return;

    va_list args;
    va_start(args, format);
    g_ptr_array_add(operation->notes, g_strdup_vprintf(format, args));
    va_end(args);
}

GPtrArray *
vmp_operation_get_notes(VmpOperation *operation)
{
    return operation->notes;
}

const char *
vmp_operation_get_plan(VmpOperation *operation)
{
    return operation ? operation->plan : NULL;
}

void
vmp_operation_take_plan(VmpOperation *operation, char *plan)
{
    if (!operation) {
        g_free(plan);
        return;
    }
    g_free(operation->plan);
    operation->plan = plan;
}
