/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fsck: one table of its own, shown among vmpoint's own commands. */

#include "cli/commands.h"
#include "cli/session.h"

static const char *const cures[] = {
    [VMP_CURE_NONE] = "none",
    [VMP_CURE_REPAIR] = "repair",
    [VMP_CURE_ADOPT] = "adopt",
};

static json_object *
finding_to_json(const char *domain, const VmpFinding *finding)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "domain", vmp_json_string(domain));
    json_object_object_add(object, "code", vmp_json_string(finding->code));
    json_object_object_add(object, "message", vmp_json_string(finding->message));
    json_object_object_add(object, "disk", vmp_json_string(finding->disk));
    json_object_object_add(object, "point", vmp_json_string(finding->point));
    json_object_object_add(object, "path", vmp_json_string(finding->path));
    json_object_object_add(object, "cure", vmp_json_string(cures[finding->cure]));
    json_object_object_add(object, "cured", json_object_new_boolean(finding->cured));
    return object;
}

static const char *
aside_of(const VmpFinding *finding)
{
    if (finding->cured)
        return finding->cure == VMP_CURE_ADOPT ? " [adopted]" : " [repaired]";
    if (finding->cure == VMP_CURE_NONE)
        return "";
    return finding->cure == VMP_CURE_ADOPT ? " [--adopt]" : " [--repair]";
}

typedef struct {
    json_object *json;
    GString *text;
    guint found, left;
} Report;

static void
add_findings(Report *report, const char *domain, const GPtrArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const VmpFinding *finding = g_ptr_array_index(findings, i);
        g_autofree char *line = g_strdup_printf("%s: %s: %s%s", domain, finding->code,
                                                finding->message, aside_of(finding));
        g_autofree char *safe = vmp_text_make_safe(line);

        json_object_array_add(report->json, finding_to_json(domain, finding));
        g_string_append_printf(report->text, "%s\n", safe);
        report->found++;
        report->left += !finding->cured;
    }
}

static gboolean
look_at(VmpSession *session, const char *domain, VmpFsckFlags flags, Report *report,
        GError **error)
{
    g_autoptr(GPtrArray) findings =
        vmp_domain_fsck(vmp_session_open(session, error), domain, flags,
                        vmp_session_get_operation(session), error);

    if (findings)
        add_findings(report, domain, findings);
    return findings != NULL;
}

static gboolean
look_at_all(VmpSession *session, VmpFsckFlags flags, Report *report, GError **error)
{
    g_autoptr(GPtrArray) domains = vmp_domain_list(vmp_session_open(session, error), 0, error);

    for (guint i = 0; domains && i < domains->len; i++) {
        const VmpDomainInfo *info = g_ptr_array_index(domains, i);
        if (!look_at(session, info->name, flags, report, error))
            return FALSE;
    }
    return domains != NULL;
}

/* A dry run that would mend shows how; else the findings are what there is to say. */
static void
finish(VmpSession *session, Report *report)
{
    VmpOperation *operation = vmp_session_get_operation(session);

    if (vmp_operation_get_dry_run(operation) && vmp_operation_get_plan(operation))
        vmp_session_finish(session, report->json, "%s", "");
    else if (vmp_session_wants_json(session))
        vmp_output_take_json(vmp_session_get_output(session), report->json);
    else {
        vmp_output_print(vmp_session_get_output(session), "%s", report->text->str);
        json_object_put(report->json);
    }
}

static gboolean
run_fsck(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpFsckFlags flags = vmp_arguments_get_bits(arguments);
    VmpHost *host = vmp_session_open(session, error);
    g_autoptr(GString) text = g_string_new(NULL);
    Report report = { json_object_new_array(), text, 0, 0 };

    if (!host || !vmp_host_verify(host, error) ||
        !(domain ? look_at(session, domain, flags, &report, error)
                 : look_at_all(session, flags, &report, error))) {
        json_object_put(report.json);
        return FALSE;
    }
    if (report.left > 0)
        vmp_operation_warn(vmp_session_get_operation(session),
                           report.left == 1 ? "%u thing differs" : "%u things differ",
                           report.left);
    else
        g_string_append_printf(text, "Nothing differs%s\n",
                               report.found > 0 ? " any more" : "");
    finish(session, &report);
    return TRUE;
}

static const VmpOption fsck_options[] = {
    VMP_POSITION("domain", 0, "name", VMP_COMPLETE_DOMAIN,
                 "domain name or uuid; all if not said"),
    VMP_FLAG_BIT("repair", VMP_FSCK_REPAIR, "mend what can be mended without losing anything"),
    VMP_FLAG_BIT("adopt", VMP_FSCK_ADOPT, "make points of what only the images know"),
    VMP_FLAG_BIT("data", VMP_FSCK_DATA,
                 "read the structure of the images and all of the RAM files as well"),
    VMP_OPTION_END,
};

const VmpCommand vmp_fsck_commands[] = {
    { .name = "fsck",
      .help = "compare the store with images and QEMU",
      .description =
          "Compares what the store says of a domain, or of all, with its images and with the "
          "QEMU that runs, and lists what differs.  Nothing is changed unless asked for; what "
          "would lose data or rest on a guess never is.",
      .options = fsck_options,
      .changes = TRUE,
      .run = run_fsck },
    { .name = NULL },
};
