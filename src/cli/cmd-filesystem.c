/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* dom*fs*: what the guest agent does with the guest's file systems. */

#include "cli/commands.h"
#include "cli/session.h"
#include "cli/units.h"

static void
finish_count(VmpSession *session, const char *domain, const char *done, int count)
{
    json_object *result = vmp_result_new(domain, NULL);

    json_object_object_add(result, "filesystems", json_object_new_int(count));
    vmp_session_finish(session, result, "%s %d filesystem(s)", done, count);
}

static gboolean
run_freeze(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpHost *host = vmp_session_open(session, error);
    int count = host ? vmp_filesystem_freeze(host, domain,
                                             vmp_arguments_get_list(arguments, "mountpoint"),
                                             vmp_session_get_operation(session), error)
                     : -1;

    if (count >= 0)
        finish_count(session, domain, "Froze", count);
    return count >= 0;
}

/* The agent knows only to freeze some of them, or to discard in some of them. */
static gboolean
require_all(const VmpArguments *arguments, GError **error)
{
    if (!vmp_arguments_has(arguments, "mountpoint"))
        return TRUE;
    g_set_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED,
                "the guest agent does this for all file systems at once: --mountpoint cannot "
                "choose among them");
    return FALSE;
}

static gboolean
run_thaw(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpHost *host = require_all(arguments, error) ? vmp_session_open(session, error) : NULL;
    int count =
        host ? vmp_filesystem_thaw(host, domain, vmp_session_get_operation(session), error)
             : -1;

    if (count >= 0)
        finish_count(session, domain, "Thawed", count);
    return count >= 0;
}

static gboolean
run_trim(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *text = vmp_arguments_get(arguments, "minimum");
    guint64 minimum = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &minimum, NULL)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "--minimum is no number of bytes: '%s'", text);
        return FALSE;
    }
    VmpHost *host = require_all(arguments, error) ? vmp_session_open(session, error) : NULL;
    if (!host ||
        !vmp_filesystem_trim(host, domain, minimum, vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL), "%s", "");
    return TRUE;
}

static json_object *
filesystem_to_json(const VmpFilesystem *filesystem)
{
    json_object *object = json_object_new_object();
    json_object *targets = json_object_new_array();

    for (guint i = 0; filesystem->targets[i]; i++)
        json_object_array_add(targets, json_object_new_string(filesystem->targets[i]));
    json_object_object_add(object, "mountpoint", vmp_json_string(filesystem->mountpoint));
    json_object_object_add(object, "name", vmp_json_string(filesystem->name));
    json_object_object_add(object, "type", vmp_json_string(filesystem->type));
    json_object_object_add(object, "targets", targets);
    json_object_object_add(object, "total", json_object_new_uint64(filesystem->total));
    json_object_object_add(object, "used", json_object_new_uint64(filesystem->used));
    return object;
}

static void
print_filesystems(VmpOutput *output, const GPtrArray *filesystems)
{
    g_autoptr(VmpTable) table = vmp_table_new("Mountpoint", "Name", "Type", "Target", NULL);

    if (filesystems->len == 0) {
        vmp_output_print(output, "%s", "No filesystems are mounted in the domain\n");
        return;
    }
    for (guint i = 0; i < filesystems->len; i++) {
        const VmpFilesystem *filesystem = g_ptr_array_index(filesystems, i);
        g_autofree char *targets = g_strjoinv(",", filesystem->targets);

        vmp_table_add_row(table, filesystem->mountpoint ? filesystem->mountpoint : "",
                          filesystem->name ? filesystem->name : "",
                          filesystem->type ? filesystem->type : "", targets, NULL);
    }
    vmp_output_print_table(output, table);
}

static gboolean
run_info(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);
    g_autoptr(GPtrArray) filesystems =
        host ? vmp_filesystem_list(host, vmp_arguments_get(arguments, "domain"), error) : NULL;
    VmpOutput *output = vmp_session_get_output(session);

    if (!filesystems)
        return FALSE;
    if (!vmp_session_wants_json(session)) {
        print_filesystems(output, filesystems);
        return TRUE;
    }
    json_object *array = json_object_new_array();
    for (guint i = 0; i < filesystems->len; i++)
        json_object_array_add(array, filesystem_to_json(g_ptr_array_index(filesystems, i)));
    vmp_output_take_json(output, array);
    return TRUE;
}

#define MOUNTPOINT_OPTION(says)                                                      \
    {                                                                                \
        .name = "mountpoint", .type = VMP_OPTION_LIST, .use = VMP_OPTION_POSITIONAL, \
        .help = says, .value = "path", .completes = VMP_COMPLETE_NOTHING             \
    }

static const VmpOption only_domain[] = { VMP_DOMAIN_OPTION, VMP_OPTION_END };

static const VmpOption freeze_options[] = {
    VMP_DOMAIN_OPTION,
    MOUNTPOINT_OPTION("only what is mounted there"),
    VMP_OPTION_END,
};

static const VmpOption thaw_options[] = {
    VMP_DOMAIN_OPTION,
    MOUNTPOINT_OPTION("refused: all are thawed"),
    VMP_OPTION_END,
};

static const VmpOption trim_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_VALUE("minimum", "bytes", VMP_COMPLETE_NOTHING,
              "pass over free space that has fewer bytes in a row"),
    VMP_VALUE("mountpoint", "path", VMP_COMPLETE_NOTHING, "refused: all are trimmed"),
    VMP_OPTION_END,
};

const VmpCommand vmp_filesystem_commands[] = {
    { .name = "domfsfreeze",
      .help = "freeze a guest's file systems",
      .description =
          "Has the guest agent write out and freeze the guest's file systems.  Whatever "
          "writes to them in the guest waits until domfsthaw.",
      .options = freeze_options,
      .changes = TRUE,
      .run = run_freeze },
    { .name = "domfsinfo",
      .help = "list a guest's file systems",
      .description =
          "Lists what is mounted in the guest, as its agent says, and on which disks of the "
          "domain.",
      .options = only_domain,
      .run = run_info },
    { .name = "domfsthaw",
      .help = "thaw a guest's file systems",
      .description = "Has the guest agent thaw the guest's file systems, whoever froze them.",
      .options = thaw_options,
      .changes = TRUE,
      .run = run_thaw },
    { .name = "domfstrim",
      .help = "discard the free space of a guest's file systems",
      .description = "Has the guest agent discard what the guest's file systems do not use, "
                     "so that images "
                     "can give up the space.",
      .options = trim_options,
      .changes = TRUE,
      .run = run_trim },
    { .name = NULL },
};
