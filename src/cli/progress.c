/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/progress.h"

#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/units.h"

#define INTERVAL_US (G_USEC_PER_SEC / 10)

struct _VmpProgress {
    int fd;
    VmpProgressStyle style;
    gboolean shown;   /* a bar stands on the terminal */
    gint64 last_time; /* 0 = nothing was written yet */
    char *last_text;
};

VmpProgress *
vmp_progress_new(int fd, VmpProgressStyle style)
{
    VmpProgress *progress = g_new0(VmpProgress, 1);

    progress->fd = fd;
    progress->style = style;
    return progress;
}

void
vmp_progress_free(VmpProgress *progress)
{
    if (!progress)
        return;
    vmp_progress_hide(progress);
    g_free(progress->last_text);
    g_free(progress);
}

/* One write: progress is not worth waiting for a reader, nor an error. */
static void
emit(const VmpProgress *progress, const char *text)
{
    gssize ignored = write(progress->fd, text, strlen(text));

    (void)ignored;
}

void
vmp_progress_hide(VmpProgress *progress)
{
    if (!progress->shown)
        return;
    emit(progress, "\r\033[K");
    progress->shown = FALSE;
}

/* 0 to 100, or -1 while the total is not known. */
static int
percentage(guint64 done, guint64 total)
{
    if (total == 0)
        return -1;
    return (int)((double)MIN(done, total) / (double)total * 100);
}

static char *
format_words(const char *what, guint64 done, guint64 total)
{
    int percent = percentage(done, total);

    if (percent >= 0)
        return g_strdup_printf("%s: %d%%", what, percent);
    g_autofree char *bytes = vmp_format_bytes(done);
    return g_strdup_printf("%s: %s", what, bytes);
}

static char *
format_json(const char *what, guint64 done, guint64 total)
{
    json_object *numbers = json_object_new_object();
    json_object_object_add(numbers, "what", vmp_json_string(what));
    json_object_object_add(numbers, "done", json_object_new_uint64(done));
    json_object_object_add(numbers, "total", json_object_new_uint64(total));

    json_object *object = json_object_new_object();
    json_object_object_add(object, "progress", numbers);
    char *text = g_strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    json_object_put(object);
    return text;
}

/* NULL: there is nothing to say in this style. */
static char *
format(const VmpProgress *progress, const char *what, guint64 done, guint64 total)
{
    switch (progress->style) {
    case VMP_PROGRESS_JSON:
        return format_json(what, done, total);
    case VMP_PROGRESS_HUNDREDTHS:
        return total > 0 ? g_strdup_printf("%d/100", percentage(done, total)) : NULL;
    case VMP_PROGRESS_BAR:
    case VMP_PROGRESS_LINES:
        break;
    }
    return format_words(what, done, total);
}

void
vmp_progress_report(const char *what, guint64 done, guint64 total, gpointer data)
{
    VmpProgress *progress = data;
    gint64 now = g_get_monotonic_time();
    gboolean finished = total > 0 && done >= total;

    if (!finished && progress->last_time > 0 && now - progress->last_time < INTERVAL_US)
        return;
    g_autofree char *text = format(progress, what, done, total);
    if (!text || g_strcmp0(text, progress->last_text) == 0)
        return;

    gboolean bar = progress->style == VMP_PROGRESS_BAR;
    g_autofree char *line =
        bar ? g_strconcat("\r", text, "\033[K", NULL) : g_strconcat(text, "\n", NULL);
    emit(progress, line);
    progress->shown = bar;
    progress->last_time = now;
    g_free(progress->last_text);
    progress->last_text = g_steal_pointer(&text);
}
