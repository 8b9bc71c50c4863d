/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/session.h"

#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/plan-text.h"
#include "cli/progress.h"

#define FLAG(text, says)                                    \
    {                                                       \
        .name = text, .type = VMP_OPTION_FLAG, .help = says \
    }

const VmpOption vmp_session_options[] = {
    FLAG("json", "data, errors and progress as JSON"),
    { .name = "quiet",
      .type = VMP_OPTION_FLAG,
      .help = "only data: no headers, nothing about what was done",
      .letter = 'q' },
    { .name = "verbose",
      .type = VMP_OPTION_FLAG,
      .help = "show each QMP message, secrets masked",
      .letter = 'v' },
    FLAG("dry-run", "print the plan of a command that changes something, and change nothing"),
    { .name = "state-dir",
      .type = VMP_OPTION_STRING,
      .help = "where the store is; $VMPOINT_STATE_DIR",
      .value = "folder",
      .completes = VMP_COMPLETE_FILE },
    { .name = "timeout",
      .type = VMP_OPTION_STRING,
      .help = "longest wait for QEMU",
      .value = "seconds" },
    { .name = "progress",
      .type = VMP_OPTION_OPTIONAL,
      .help = "show progress also where there is no terminal, or on a file descriptor",
      .value = "fd" },
    FLAG("no-progress", "show no progress"),
    { .name = "help", .type = VMP_OPTION_FLAG, .help = "print help", .letter = 'h' },
    { .name = "version", .type = VMP_OPTION_FLAG, .help = "print the version", .letter = 'V' },
    VMP_OPTION_END,
};

struct _VmpSession {
    const VmpArguments *globals;
    VmpOutput *output;
    int timeout_ms;          /* 0 = the library's own */
    VmpHost *host;           /* NULL until it is needed */
    VmpOperation *operation; /* NULL until something is to be changed */
    VmpProgress *progress;   /* NULL: nobody wants to see it */
};

static gboolean
parse_number(const VmpArguments *globals, const char *name, guint64 least, guint64 most,
             int *number, GError **error)
{
    const char *text = vmp_arguments_get(globals, name);
    guint64 parsed = 0;

    if (!text)
        return TRUE;
    if (!g_ascii_string_to_unsigned(text, 10, least, most, &parsed, NULL)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "--%s '%s' is no number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                    name, text, least, most);
        return FALSE;
    }
    *number = (int)parsed;
    return TRUE;
}

static VmpProgressStyle
choose_style(const VmpArguments *globals)
{
    if (vmp_arguments_has(globals, "json"))
        return VMP_PROGRESS_JSON;
    if (vmp_arguments_get(globals, "progress"))
        return VMP_PROGRESS_HUNDREDTHS;
    return isatty(STDERR_FILENO) ? VMP_PROGRESS_BAR : VMP_PROGRESS_LINES;
}

static gboolean
set_up_progress(VmpSession *session, GError **error)
{
    const VmpArguments *globals = session->globals;
    gboolean asked = vmp_arguments_has(globals, "progress");
    int fd = STDERR_FILENO;

    if (asked && vmp_arguments_has(globals, "no-progress")) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "options --progress and --no-progress are mutually exclusive");
        return FALSE;
    }
    if (!parse_number(globals, "progress", STDERR_FILENO, G_MAXINT, &fd, error))
        return FALSE;
    if (fcntl(fd, F_GETFD) < 0 && asked) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "--progress: descriptor %d is not open", fd);
        return FALSE;
    }
    gboolean unasked = isatty(STDERR_FILENO) && !vmp_arguments_has(globals, "no-progress") &&
                       !vmp_arguments_has(globals, "quiet");
    if (asked || unasked)
        session->progress = vmp_progress_new(fd, choose_style(globals));
    return TRUE;
}

VmpSession *
vmp_session_new(const VmpArguments *globals, VmpOutput *output, GError **error)
{
    g_autoptr(VmpSession) session = g_new0(VmpSession, 1);
    int seconds = 0;

    session->globals = globals;
    session->output = output;
    vmp_output_set_style(output, vmp_arguments_has(globals, "json"),
                         vmp_arguments_has(globals, "quiet"));
    if (!parse_number(globals, "timeout", 1, G_MAXINT / 1000, &seconds, error) ||
        !set_up_progress(session, error))
        return NULL;
    session->timeout_ms = seconds * 1000;
    return g_steal_pointer(&session);
}

void
vmp_session_free(VmpSession *session)
{
    if (!session)
        return;
    g_clear_pointer(&session->operation, vmp_operation_free);
    g_clear_pointer(&session->host, vmp_host_close);
    g_clear_pointer(&session->progress, vmp_progress_free);
    g_free(session);
}

VmpOutput *
vmp_session_get_output(VmpSession *session)
{
    return session->output;
}

gboolean
vmp_session_wants_json(const VmpSession *session)
{
    return vmp_output_is_json(session->output);
}

static void
trace(const char *domain, gboolean sent, const char *text, gpointer data)
{
    VmpSession *session = data;

    if (session->progress)
        vmp_progress_hide(session->progress);
    vmp_output_trace(session->output, domain, sent, text);
}

VmpHost *
vmp_session_open(VmpSession *session, GError **error)
{
    if (session->host)
        return session->host;
    session->host =
        vmp_host_open(vmp_arguments_get(session->globals, "state-dir"), NULL, error);
    if (!session->host)
        return NULL;

    vmp_host_set_timeout(session->host, session->timeout_ms);
    if (vmp_arguments_has(session->globals, "verbose"))
        vmp_host_set_trace(session->host, trace, session);
    return session->host;
}

VmpOperation *
vmp_session_get_operation(VmpSession *session)
{
    if (session->operation)
        return session->operation;
    session->operation = vmp_operation_new();
    vmp_operation_set_dry_run(session->operation,
                              vmp_arguments_has(session->globals, "dry-run"));
    vmp_operation_set_cancellable(session->operation, vmp_interrupt_watch());
    if (session->progress)
        vmp_operation_set_progress(session->operation, vmp_progress_report, session->progress);
    return session->operation;
}

json_object *
vmp_result_new(const char *domain, const char *name)
{
    json_object *result = json_object_new_object();

    json_object_object_add(result, "domain", vmp_json_string(domain));
    if (name)
        json_object_object_add(result, "name", vmp_json_string(name));
    return result;
}

static void
finish_dry_run(VmpSession *session)
{
    const char *plan = vmp_operation_get_plan(session->operation);

    if (vmp_session_wants_json(session)) {
        vmp_output_set_json_text(session->output, plan ? plan : "null");
    } else {
        g_autofree char *text = vmp_plan_to_text(plan);
        vmp_output_print(session->output, "%s", text);
    }
}

void
vmp_session_finish(VmpSession *session, json_object *result, const char *format, ...)
{
    if (vmp_arguments_has(session->globals, "dry-run")) {
        json_object_put(result);
        finish_dry_run(session);
        return;
    }
    if (vmp_session_wants_json(session)) {
        vmp_output_take_json(session->output, result ? result : json_object_new_object());
        return;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    vmp_output_say(session->output, "%s", line);
    json_object_put(result);
}

int
vmp_error_status(const GError *failure)
{
    if (g_error_matches(failure, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return VMP_ERROR_INTERRUPTED;
    return failure->domain == VMP_ERROR ? failure->code : VMP_ERROR_FAILED;
}

static void
say_asides(VmpSession *session)
{
    GPtrArray *notes = vmp_operation_get_notes(session->operation);
    GPtrArray *warnings = vmp_operation_get_warnings(session->operation);

    for (guint i = 0; vmp_arguments_has(session->globals, "verbose") && i < notes->len; i++)
        vmp_output_note(session->output, g_ptr_array_index(notes, i));
    for (guint i = 0; i < warnings->len; i++)
        vmp_output_warning(session->output, g_ptr_array_index(warnings, i));
}

static int
end_badly(VmpSession *session, const GError *failure)
{
    const char *plan = session->operation ? vmp_operation_get_plan(session->operation) : NULL;
    int status = vmp_error_status(failure);
    json_object *risks = status == VMP_ERROR_RISKY ? vmp_plan_get_risks(plan) : NULL;

    vmp_output_error(session->output, failure, status, risks);
    json_object_put(risks);
    return status;
}

int
vmp_session_end(VmpSession *session, const GError *failure)
{
    g_autoptr(GError) write_failure = NULL;
    gboolean reader_left = FALSE;

    g_clear_pointer(&session->progress, vmp_progress_free);
    if (session->operation) {
        vmp_operation_set_progress(session->operation, NULL, NULL);
        say_asides(session);
    }
    if (failure)
        return end_badly(session, failure);

    if (!vmp_output_flush(session->output, &reader_left, &write_failure))
        return reader_left ? VMP_ERROR_IO : end_badly(session, write_failure);
    if (session->operation && vmp_operation_get_warnings(session->operation)->len > 0)
        return VMP_ERROR_WARNING;
    return 0;
}
