/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <vmpoint/error.h>

#define JSON_STYLE (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct _VmpOutput {
    gboolean json;
    gboolean quiet;
    gboolean coloured; /* standard error is a terminal and nobody minds */
    GString *data;
};

static gboolean
may_colour(int fd)
{
    const char *no_color = g_getenv("NO_COLOR");
    const char *terminal = g_getenv("TERM");

    return isatty(fd) && !(no_color && *no_color) && terminal &&
           !g_str_equal(terminal, "dumb");
}

VmpOutput *
vmp_output_new(void)
{
    VmpOutput *output = g_new0(VmpOutput, 1);

    output->coloured = may_colour(STDERR_FILENO);
    output->data = g_string_new(NULL);
    return output;
}

void
vmp_output_free(VmpOutput *output)
{
    if (!output)
        return;
    g_string_free(output->data, TRUE);
    g_free(output);
}

void
vmp_output_set_style(VmpOutput *output, gboolean json, gboolean quiet)
{
    output->json = json;
    output->quiet = quiet;
}

gboolean
vmp_output_is_json(const VmpOutput *output)
{
    return output->json;
}

void
vmp_output_print(VmpOutput *output, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_string_append_vprintf(output->data, format, args);
    va_end(args);
}

void
vmp_output_print_table(VmpOutput *output, const VmpTable *table)
{
    vmp_table_format(table, !output->quiet, output->data);
}

void
vmp_output_say(VmpOutput *output, const char *format, ...)
{
    va_list args;

    if (output->quiet)
        return;
    va_start(args, format);
    g_string_append_vprintf(output->data, format, args);
    va_end(args);
}

void
vmp_output_set_json_text(VmpOutput *output, const char *text)
{
    g_string_assign(output->data, text);
}

void
vmp_output_take_json(VmpOutput *output, json_object *value)
{
    vmp_output_set_json_text(output, json_object_to_json_string_ext(value, JSON_STYLE));
    json_object_put(value);
}

static gboolean
write_all(int fd, const char *data, gsize length)
{
    while (length > 0) {
        gssize written = write(fd, data, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return FALSE;
        data += written;
        length -= (gsize)written;
    }
    return TRUE;
}

/* virsh ends each command with a newline, also where the last line has one already. */
static void
end_data(VmpOutput *output)
{
    gboolean ended =
        output->data->len == 0 || output->data->str[output->data->len - 1] == '\n';

    if (output->json ? output->data->len > 0 : !output->quiet || !ended)
        g_string_append_c(output->data, '\n');
}

gboolean
vmp_output_flush(VmpOutput *output, gboolean *reader_left, GError **error)
{
    end_data(output);
    gboolean written = write_all(STDOUT_FILENO, output->data->str, output->data->len);
    int errnum = errno;

    g_string_truncate(output->data, 0);
    *reader_left = !written && errnum == EPIPE;
    if (!written)
        g_set_error(error, VMP_ERROR, VMP_ERROR_IO, "cannot write to standard output: %s",
                    g_strerror(errnum));
    return written;
}

/* Whoever closed standard error does not want to hear of it. */
static void
write_line(const char *line)
{
    g_autofree char *whole = g_strconcat(line, "\n", NULL);

    if (!write_all(STDERR_FILENO, whole, strlen(whole)))
        return;
}

static void
write_object(const char *key, json_object *value)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, key, value);
    write_line(json_object_to_json_string_ext(object, JSON_STYLE));
    json_object_put(object);
}

static void
write_sentence(const VmpOutput *output, const char *kind, const char *colour,
               const char *sentence)
{
    g_autofree char *line =
        output->coloured ? g_strdup_printf("\033[%sm%s:\033[0m %s", colour, kind, sentence)
                         : g_strdup_printf("%s: %s", kind, sentence);

    write_line(line);
}

static void
write_error_object(const GError *failure, int status, json_object *risks)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "code",
                           json_object_new_string(vmp_error_code_name(status)));
    json_object_object_add(object, "exit", json_object_new_int(status));
    json_object_object_add(object, "message", vmp_json_string(failure->message));
    if (risks)
        json_object_object_add(object, "risks", json_object_get(risks));
    write_object("error", object);
}

void
vmp_output_error(VmpOutput *output, const GError *failure, int status, json_object *risks)
{
    if (output->json)
        write_error_object(failure, status, risks);
    else
        write_sentence(output, "error", "1;31", failure->message);
}

void
vmp_output_warning(VmpOutput *output, const char *sentence)
{
    if (output->json)
        write_object("warning", vmp_json_string(sentence));
    else
        write_sentence(output, "warning", "1;33", sentence);
}

void
vmp_output_note(VmpOutput *output, const char *sentence)
{
    if (output->json)
        write_object("note", vmp_json_string(sentence));
    else
        write_sentence(output, "note", "1", sentence);
}

void
vmp_output_trace(VmpOutput *output, const char *domain, gboolean sent, const char *text)
{
    if (!output->json) {
        g_autofree char *line =
            g_strdup_printf("%s %s %s", domain ? domain : "-", sent ? "->" : "<-", text);
        write_line(line);
        return;
    }
    json_object *parsed = json_tokener_parse(text);
    json_object *message = json_object_new_object();
    json_object_object_add(message, "domain", vmp_json_string(domain));
    json_object_object_add(message, sent ? "sent" : "received",
                           parsed ? parsed : vmp_json_string(text));
    write_object("qmp", message);
}

json_object *
vmp_json_string(const char *text)
{
    if (!text)
        return NULL;
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    return json_object_new_string(valid);
}
