/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/print.h"

#include "cli/session.h"
#include "cli/xpath.h"

void
vmp_print_whole_xml(VmpSession *session, const char *xml)
{
    VmpOutput *output = vmp_session_get_output(session);

    if (vmp_session_wants_json(session)) {
        json_object *object = json_object_new_object();
        json_object_object_add(object, "xml", vmp_json_string(xml));
        vmp_output_take_json(output, object);
        return;
    }
    /* A definition is kept as it was written, and may have been written without the end of
     * its last line. */
    gboolean ended = *xml == '\0' || g_str_has_suffix(xml, "\n");
    vmp_output_print(output, "%s%s", xml, ended ? "" : "\n");
}

void
vmp_print_new_xml(VmpSession *session, const char *xml)
{
    vmp_print_whole_xml(session, xml);
    if (!vmp_session_wants_json(session))
        vmp_output_print(vmp_session_get_output(session), "\n");
}

gboolean
vmp_print_xml(VmpSession *session, const VmpArguments *arguments, const char *xml,
              GError **error)
{
    const char *expression = vmp_arguments_get(arguments, "xpath");
    gboolean wrap = vmp_arguments_has(arguments, "wrap");

    if (!expression) {
        vmp_print_whole_xml(session, xml);
        return TRUE;
    }
    g_autofree char *selected = vmp_xpath_select(xml, expression, wrap, error);
    if (!selected)
        return FALSE;
    vmp_print_whole_xml(session, selected);
    return TRUE;
}

void
vmp_print_name(VmpSession *session, const char *key, const char *name)
{
    VmpOutput *output = vmp_session_get_output(session);

    if (vmp_session_wants_json(session)) {
        json_object *object = json_object_new_object();
        json_object_object_add(object, key, vmp_json_string(name));
        vmp_output_take_json(output, object);
    } else {
        vmp_output_print(output, "%s", name);
    }
}
