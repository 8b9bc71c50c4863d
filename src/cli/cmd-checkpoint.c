/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* checkpoint-*: points to count changes from. */

#include "cli/bulk.h"
#include "cli/commands.h"
#include "cli/editor.h"
#include "cli/input.h"
#include "cli/new-point.h"
#include "cli/points.h"
#include "cli/print.h"
#include "cli/session.h"

/* Bytes, or KiB and MiB with a letter; 0 if it is not said. */
static gboolean
read_granularity(const VmpArguments *arguments, guint64 *granularity, GError **error)
{
    const char *text = vmp_arguments_get(arguments, "granularity");
    char *end = NULL;

    *granularity = text ? g_ascii_strtoull(text, &end, 10) : 0;
    if (!text)
        return TRUE;
    char unit = g_ascii_toupper(*end);
    guint shift = unit == 'K' ? 10 : unit == 'M' ? 20 : 0;
    end += shift ? 1 : 0;
    if (!g_ascii_isdigit(*text) || *end || *granularity == 0 || *granularity > G_MAXUINT32) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID, "--granularity '%s' is no size",
                    text);
        return FALSE;
    }
    *granularity <<= shift;
    return TRUE;
}

static char *
create(VmpSession *session, const VmpArguments *arguments, const char *xml,
       json_object **result, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    guint64 granularity = 0;
    VmpHost *host = read_granularity(arguments, &granularity, error)
                        ? vmp_session_open(session, error)
                        : NULL;
    char *name = host ? vmp_checkpoint_create_granular(
                            host, domain, xml, granularity, vmp_arguments_get_bits(arguments),
                            vmp_session_get_operation(session), error)
                      : NULL;

    if (name)
        *result = vmp_result_new(domain, name);
    return name;
}

static const VmpNewPointKind new_checkpoint = {
    .kind = "checkpoint",
    .root = "domaincheckpoints",
    .format = vmp_spec_format_checkpoint,
    .create = create,
    .redefine_all = vmp_checkpoint_redefine_all,
    .redefine_folder = vmp_checkpoint_redefine_folder,
};

static gboolean
run_create(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    return vmp_new_point_create(&new_checkpoint, session, arguments, error);
}

static gboolean
run_create_as(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpPointSpec spec = {
        .name = vmp_arguments_get(arguments, "name"),
        .description = vmp_arguments_get(arguments, "description"),
        .disks = vmp_arguments_get_list(arguments, "diskspec"),
    };
    return vmp_new_point_create_as(&new_checkpoint, session, arguments, &spec, error);
}

static const char *
state_word(VmpCheckpointDiskState state)
{
    static const char *const words[] = { "tracked", "broken", "gone", "unknown" };

    return words[state];
}

static json_object *
disks_to_json(const GPtrArray *disks)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < disks->len; i++) {
        const VmpCheckpointDiskInfo *disk = g_ptr_array_index(disks, i);
        json_object *object = json_object_new_object();
        json_object_object_add(object, "disk", vmp_json_string(disk->disk));
        json_object_object_add(object, "state", vmp_json_string(state_word(disk->state)));
        json_object_object_add(object, "reason", vmp_json_string(disk->reason));
        json_object_array_add(array, object);
    }
    return array;
}

static json_object *
info_to_json(const VmpCheckpointInfo *info)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "name", vmp_json_string(info->name));
    json_object_object_add(object, "parent", vmp_json_string(info->parent));
    json_object_object_add(object, "creation_time",
                           json_object_new_int64(info->creation_time));
    json_object_object_add(object, "current", json_object_new_boolean(info->current));
    json_object_object_add(object, "children", json_object_new_int64(info->children));
    if (info->disks)
        json_object_object_add(object, "disks", disks_to_json(info->disks));
    return object;
}

static void
print_list(VmpSession *session, const VmpArguments *arguments, const GPtrArray *checkpoints,
           const char *from)
{
    g_autoptr(GArray) rows = vmp_point_rows_new();

    for (guint i = 0; i < checkpoints->len; i++) {
        const VmpCheckpointInfo *info = g_ptr_array_index(checkpoints, i);
        VmpPointRow row = {
            .name = info->name,
            .parent = info->parent,
            .creation_time = info->creation_time,
            .json = vmp_session_wants_json(session) ? info_to_json(info) : NULL,
        };
        g_array_append_val(rows, row);
    }
    vmp_point_rows_print(rows, session, arguments, FALSE, from);
}

static gboolean
run_list(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *from = vmp_arguments_get(arguments, "from");
    VmpCheckpointListFlags flags = vmp_arguments_get_bits(arguments);
    VmpHost *host = vmp_session_open(session, error);

    if (!host)
        return FALSE;
    if (from && vmp_arguments_has(arguments, "tree"))
        flags |= VMP_CHECKPOINT_LIST_DESCENDANTS;
    /* A table has no column for it. */
    if (vmp_session_wants_json(session))
        flags |= VMP_CHECKPOINT_LIST_STATE;
    g_autoptr(GPtrArray) checkpoints =
        vmp_checkpoint_list(host, vmp_arguments_get(arguments, "domain"), from, flags, error);
    if (!checkpoints)
        return FALSE;
    print_list(session, arguments, checkpoints, from);
    return TRUE;
}

static VmpCheckpointInfo *
read_info(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);

    return host
               ? vmp_checkpoint_get_info(host, vmp_arguments_get(arguments, "domain"),
                                         vmp_arguments_get(arguments, "checkpointname"), error)
               : NULL;
}

static void
print_info(VmpOutput *output, const char *domain, const VmpCheckpointInfo *info)
{
    vmp_output_print(output, "%-15s %s\n", "Name:", info->name);
    vmp_output_print(output, "%-15s %s\n", "Domain:", domain);
    vmp_output_print(output, "%-15s %s\n", "Parent:", info->parent ? info->parent : "-");
    vmp_output_print(output, "%-15s %u\n", "Children:", info->children);
    vmp_output_print(output, "%-15s %u\n", "Descendants:", info->descendants);
    for (guint i = 0; info->disks && i < info->disks->len; i++) {
        const VmpCheckpointDiskInfo *disk = g_ptr_array_index(info->disks, i);
        if (disk->state != VMP_CHECKPOINT_DISK_TRACKED)
            vmp_output_print(output, "%-15s %s is %s: %s\n", "Disk:", disk->disk,
                             state_word(disk->state), disk->reason);
    }
}

static gboolean
run_info(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    g_autoptr(VmpCheckpointInfo) info = read_info(session, arguments, error);
    if (!info)
        return FALSE;

    if (vmp_session_wants_json(session)) {
        json_object *object = info_to_json(info);
        json_object_object_add(object, "descendants",
                               json_object_new_int64(info->descendants));
        vmp_output_take_json(vmp_session_get_output(session), object);
    } else {
        print_info(vmp_session_get_output(session), vmp_arguments_get(arguments, "domain"),
                   info);
    }
    return TRUE;
}

static gboolean
run_parent(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    g_autoptr(VmpCheckpointInfo) info = read_info(session, arguments, error);
    if (!info)
        return FALSE;
    if (!info->parent) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND, "checkpoint '%s' has no parent",
                    info->name);
        return FALSE;
    }
    vmp_print_name(session, "parent", info->parent);
    return TRUE;
}

static gboolean
run_dumpxml(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    if (vmp_arguments_has(arguments, "all"))
        return vmp_bulk_dump(session, arguments, vmp_checkpoint_dump_all, error);

    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autofree char *xml =
        vmp_checkpoint_get_xml(host, vmp_arguments_get(arguments, "domain"),
                               vmp_arguments_get(arguments, "checkpointname"),
                               vmp_arguments_get_bits(arguments), error);

    return xml && vmp_print_xml(session, arguments, xml, error);
}

typedef struct {
    VmpSession *session;
    VmpHost *host;
    const char *domain, *name;
} Edit;

static gboolean
apply_edit(const char *xml, gpointer data, GError **error)
{
    const Edit *edit = data;
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_checkpoint_parse(xml, -1, VMP_CHECKPOINT_PARSE_REDEFINE, error);

    if (!checkpoint)
        return FALSE;
    if (!g_str_equal(checkpoint->name, edit->name)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID, "Cannot rename checkpoint %s to %s",
                    edit->name, checkpoint->name);
        return FALSE;
    }
    g_autofree char *result =
        vmp_checkpoint_create(edit->host, edit->domain, xml, VMP_CHECKPOINT_CREATE_REDEFINE,
                              vmp_session_get_operation(edit->session), error);
    return result != NULL;
}

static gboolean
run_edit(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    Edit edit = { session, vmp_session_open(session, error),
                  vmp_arguments_get(arguments, "domain"),
                  vmp_arguments_get(arguments, "checkpointname") };
    g_autofree char *xml = edit.host
                               ? vmp_checkpoint_get_xml(edit.host, edit.domain, edit.name,
                                                        VMP_CHECKPOINT_FORMAT_SECURE, error)
                               : NULL;
    gboolean changed = FALSE;

    if (!xml || !vmp_editor_apply(xml, apply_edit, &edit, &changed, error))
        return FALSE;
    json_object *result = vmp_result_new(edit.domain, edit.name);
    json_object_object_add(result, "changed", json_object_new_boolean(changed));
    vmp_session_finish(session, result,
                       changed ? "Checkpoint %s edited.\n"
                               : "Checkpoint %s XML configuration not changed.\n",
                       edit.name);
    return TRUE;
}

static gboolean
run_delete(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *name = vmp_arguments_get(arguments, "checkpointname");
    gboolean children = vmp_arguments_has(arguments, "children-only");
    VmpHost *host = vmp_session_open(session, error);

    if (!host || !vmp_checkpoint_delete(host, domain, name, vmp_arguments_get_bits(arguments),
                                        vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, name),
                       "Domain checkpoint %s %sdeleted\n", name, children ? "children " : "");
    return TRUE;
}

#define NAME_OPTION                                                                      \
    VMP_POSITION("checkpointname", VMP_OPTION_REQUIRED, "name", VMP_COMPLETE_CHECKPOINT, \
                 "name of a checkpoint")
#define GRANULARITY_OPTION                                  \
    VMP_VALUE("granularity", "bytes", VMP_COMPLETE_NOTHING, \
              "what the bitmaps tell apart, 4k for instance; 64 KiB if it is not said")
#define QUIESCE_OPTION                                     \
    VMP_FLAG_BIT("quiesce", VMP_CHECKPOINT_CREATE_QUIESCE, \
                 "have the guest agent freeze the guest's file systems")

static const VmpOption create_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("xmlfile", 0, "file", VMP_COMPLETE_FILE,
                 "file with the <domaincheckpoint>; - is standard input"),
    VMP_VALUE("from-dir", "folder", VMP_COMPLETE_FILE,
              "with --redefine, take in all that have a file in this folder"),
    VMP_FLAG_BIT("redefine", VMP_CHECKPOINT_CREATE_REDEFINE,
                 "take in a checkpoint that exists, or change what is remembered of it"),
    VMP_FLAG_BIT("redefine-validate", VMP_CHECKPOINT_CREATE_REDEFINE_VALIDATE,
                 "with --redefine, look for its bitmaps in the images"),
    QUIESCE_OPTION,
    GRANULARITY_OPTION,
    VMP_OPTION_END,
};

static const VmpRule create_rules[] = {
    { VMP_RULE_FIRST_NEEDS, "redefine-validate redefine" },
    { VMP_RULE_FIRST_NEEDS, "from-dir redefine" },
    { VMP_RULE_AT_MOST_ONE, "from-dir xmlfile" },
    { VMP_RULE_AT_MOST_ONE, "redefine quiesce" },
    { VMP_RULE_AT_MOST_ONE, "redefine granularity" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption create_as_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("name", 0, "name", VMP_COMPLETE_NOTHING, "name of the checkpoint"),
    VMP_POSITION("description", 0, "text", VMP_COMPLETE_NOTHING,
                 "description of the checkpoint"),
    VMP_FLAG("print-xml", "print the document, make no checkpoint"),
    QUIESCE_OPTION,
    GRANULARITY_OPTION,
    { .name = "diskspec",
      .type = VMP_OPTION_LIST,
      .use = VMP_OPTION_POSITIONAL,
      .help = "a disk: disk[,checkpoint=type][,bitmap=name]",
      .value = "diskspec",
      .completes = VMP_COMPLETE_DISK },
    VMP_OPTION_END,
};

static const VmpOption list_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("parent", "also the name of the parent"),
    VMP_FLAG_BIT("roots", VMP_CHECKPOINT_LIST_ROOTS, "only those without a parent"),
    VMP_FLAG_BIT("leaves", VMP_CHECKPOINT_LIST_LEAVES, "only those without children"),
    VMP_FLAG_BIT("no-leaves", VMP_CHECKPOINT_LIST_NO_LEAVES, "only those with children"),
    VMP_FLAG("tree", "draw a tree"),
    VMP_POSITION("from", 0, "name", VMP_COMPLETE_CHECKPOINT,
                 "only children of this checkpoint"),
    VMP_FLAG_BIT("descendants", VMP_CHECKPOINT_LIST_DESCENDANTS,
                 "with --from, also children of children"),
    VMP_FLAG("name", "print only names"),
    VMP_FLAG_BIT("topological", VMP_CHECKPOINT_LIST_TOPOLOGICAL, "parents before children"),
    VMP_OPTION_END,
};

static const VmpRule list_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "tree name" },
    { VMP_RULE_AT_MOST_ONE, "parent roots tree" },
    { VMP_RULE_AT_MOST_ONE, "roots from" },
    { VMP_RULE_FIRST_NEEDS, "descendants from" },
    { VMP_RULE_FIRST_EXCLUDES, "tree leaves no-leaves" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption name_options[] = { VMP_DOMAIN_OPTION, NAME_OPTION, VMP_OPTION_END };

static const VmpOption dumpxml_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("checkpointname", 0, "name", VMP_COMPLETE_CHECKPOINT, "name of a checkpoint"),
    VMP_FLAG("all", "all checkpoints of the domain in one document"),
    VMP_FLAG_BIT("security-info", VMP_CHECKPOINT_FORMAT_SECURE, "with passwords"),
    VMP_FLAG_BIT("no-domain", VMP_CHECKPOINT_FORMAT_NO_DOMAIN,
                 "without <domain>; not fit for --redefine"),
    VMP_FLAG_BIT("size", VMP_CHECKPOINT_FORMAT_SIZE,
                 "with the bytes that were written since, disk by disk"),
    VMP_XPATH_OPTIONS,
    VMP_OPTION_END,
};

static const VmpRule dumpxml_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "checkpointname all" },
    { VMP_RULE_FIRST_EXCLUDES, "all no-domain size xpath wrap" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption delete_options[] = {
    VMP_DOMAIN_OPTION,
    NAME_OPTION,
    VMP_FLAG_BIT("children", VMP_CHECKPOINT_DELETE_CHILDREN, "and all below it"),
    VMP_FLAG_BIT("children-only", VMP_CHECKPOINT_DELETE_CHILDREN_ONLY,
                 "all below it, but not itself"),
    VMP_FLAG_BIT("metadata", VMP_CHECKPOINT_DELETE_METADATA_ONLY,
                 "only forget it; its bitmaps stay"),
    VMP_OPTION_END,
};

static const VmpRule delete_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "children children-only" },
    { VMP_RULE_NONE, NULL },
};

const VmpCommand vmp_checkpoint_commands[] = {
    { .name = "checkpoint-create",
      .help = "make a checkpoint from XML",
      .description = "Starts to record which parts of the disks are written from now on, as a "
                     "<domaincheckpoint> document asks for it; without one, on all disks.",
      .options = create_options,
      .rules = create_rules,
      .changes = TRUE,
      .run = run_create },
    { .name = "checkpoint-create-as",
      .help = "make a checkpoint from arguments",
      .description =
          "Starts to record which parts of the disks are written from now on.  A comma that "
          "belongs to a name in a diskspec is written twice.",
      .options = create_as_options,
      .changes = TRUE,
      .run = run_create_as },
    { .name = "checkpoint-delete",
      .help = "delete a checkpoint",
      .description = "Deletes a checkpoint.  What older checkpoints have recorded is kept.",
      .options = delete_options,
      .rules = delete_rules,
      .changes = TRUE,
      .run = run_delete },
    { .name = "checkpoint-dumpxml",
      .help = "the <domaincheckpoint> document of a checkpoint",
      .description =
          "Prints the document of a checkpoint, which checkpoint-create --redefine reads, or "
          "that of all of them.  One with secrets left out of it is not taken back.",
      .options = dumpxml_options,
      .rules = dumpxml_rules,
      .run = run_dumpxml },
    { .name = "checkpoint-edit",
      .help = "edit the document of a checkpoint",
      .description =
          "Opens the document of a checkpoint in $VISUAL or $EDITOR and takes in what is made "
          "of it, as checkpoint-create --redefine does.  Its name stays.",
      .options = name_options,
      .changes = TRUE,
      .run = run_edit },
    { .name = "checkpoint-info",
      .help = "facts about a checkpoint",
      .description = "Prints what is known of a checkpoint.",
      .options = name_options,
      .run = run_info },
    { .name = "checkpoint-list",
      .help = "list the checkpoints of a domain",
      .description = "Lists checkpoints by name.",
      .options = list_options,
      .rules = list_rules,
      .run = run_list },
    { .name = "checkpoint-parent",
      .help = "the parent of a checkpoint",
      .description = "Prints the name of the checkpoint that a checkpoint was made upon.",
      .options = name_options,
      .run = run_parent },
    { .name = NULL },
};
