/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/plan-text.h"

#include "cli/units.h"

/* NULL if @object has no such member, or is none itself. */
static json_object *
member(json_object *object, const char *key)
{
    json_object *value = NULL;

    return json_object_object_get_ex(object, key, &value) ? value : NULL;
}

static const char *
text_of(json_object *object, const char *key)
{
    json_object *value = member(object, key);

    return value ? json_object_get_string(value) : "";
}

static gsize
length_of(json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static void
append_heading(GString *text, json_object *plan)
{
    const char *subject = text_of(plan, "subject");

    g_string_append_printf(text, "Plan of %s for domain '%s'", text_of(plan, "operation"),
                           text_of(plan, "domain"));
    if (*subject)
        g_string_append_printf(text, ", '%s'", subject);
    g_string_append(text, ":\n");
}

static void
append_step(GString *text, gsize number, json_object *step)
{
    json_object *commands = member(step, "commands");
    gboolean commit = json_object_get_boolean(member(step, "commit"));

    g_string_append_printf(text, "%3" G_GSIZE_FORMAT ". %s%s\n", number,
                           text_of(step, "describe"),
                           commit ? " (the point of no return)" : "");
    for (gsize i = 0; i < length_of(commands); i++) {
        json_object *command = json_object_array_get_idx(commands, i);

        g_string_append_printf(
            text, "       %s\n",
            json_object_to_json_string_ext(command, JSON_C_TO_STRING_SPACED |
                                                        JSON_C_TO_STRING_NOSLASHESCAPE));
    }
}

static void
append_risks(GString *text, json_object *risks)
{
    if (length_of(risks) > 0)
        g_string_append(text, "Risks:\n");
    for (gsize i = 0; i < length_of(risks); i++) {
        json_object *risk = json_object_array_get_idx(risks, i);
        gboolean overridable = json_object_get_boolean(member(risk, "overridable"));

        g_string_append_printf(text, "  %s: %s (%s)\n", text_of(risk, "code"),
                               text_of(risk, "message"),
                               overridable ? "--force accepts it" : "--force does not help");
    }
}

char *
vmp_plan_to_text(const char *plan)
{
    json_object *object = plan ? json_tokener_parse(plan) : NULL;
    json_object *steps = member(object, "steps");
    gint64 space = json_object_get_int64(member(object, "space"));
    GString *text = g_string_new(NULL);

    if (object)
        append_heading(text, object);
    if (length_of(steps) == 0)
        g_string_append(text, "There is nothing to do.\n");
    for (gsize i = 0; i < length_of(steps); i++)
        append_step(text, i + 1, json_object_array_get_idx(steps, i));
    if (space > 0) {
        g_autofree char *bytes = vmp_format_bytes((guint64)space);
        g_string_append_printf(text, "Space needed: %s\n", bytes);
    }
    append_risks(text, member(object, "risks"));
    json_object_put(object);
    return g_string_free(text, FALSE);
}

json_object *
vmp_plan_get_risks(const char *plan)
{
    json_object *object = plan ? json_tokener_parse(plan) : NULL;
    json_object *risks = json_object_get(member(object, "risks"));

    json_object_put(object);
    return risks;
}
