/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* snapshot-*: points to go back to. */

#include "cli/bulk.h"
#include "cli/commands.h"
#include "cli/editor.h"
#include "cli/input.h"
#include "cli/new-point.h"
#include "cli/points.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/units.h"

/* The document of the checkpoint that goes with it; *xml is NULL if there is to be none. */
static gboolean
read_checkpoint(const VmpArguments *arguments, char **xml, GError **error)
{
    const char *file = vmp_arguments_get(arguments, "checkpointxml");
    const char *const none[] = { NULL };
    VmpPointSpec spec = { .name = vmp_arguments_get(arguments, "checkpoint"), .disks = none };

    if (!file && !spec.name)
        return TRUE;
    *xml = file ? vmp_input_read_text(file, error) : vmp_spec_format_checkpoint(&spec, error);
    return *xml != NULL;
}

static json_object *
created_to_json(const char *domain, const char *name, const char *checkpoint)
{
    json_object *result = vmp_result_new(domain, name);

    if (checkpoint)
        json_object_object_add(result, "checkpoint", vmp_json_string(checkpoint));
    return result;
}

static char *
create(VmpSession *session, const VmpArguments *arguments, const char *xml,
       json_object **result, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    g_autofree char *checkpoint_xml = NULL;
    g_autofree char *checkpoint = NULL;
    VmpHost *host = read_checkpoint(arguments, &checkpoint_xml, error)
                        ? vmp_session_open(session, error)
                        : NULL;
    char *name =
        host ? vmp_snapshot_create_with_checkpoint(
                   host, domain, xml, checkpoint_xml, vmp_arguments_get_bits(arguments),
                   &checkpoint, vmp_session_get_operation(session), error)
             : NULL;

    if (name)
        *result = created_to_json(domain, name, checkpoint);
    return name;
}

static const VmpNewPointKind new_snapshot = {
    .kind = "snapshot",
    .root = "domainsnapshots",
    .format = vmp_spec_format_snapshot,
    .create = create,
    .redefine_all = vmp_snapshot_redefine_all,
    .redefine_folder = vmp_snapshot_redefine_folder,
};

static gboolean
run_create(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    return vmp_new_point_create(&new_snapshot, session, arguments, error);
}

static gboolean
run_create_as(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpPointSpec spec = {
        .name = vmp_arguments_get(arguments, "name"),
        .description = vmp_arguments_get(arguments, "description"),
        .memory = vmp_arguments_get(arguments, "memspec"),
        .disks = vmp_arguments_get_list(arguments, "diskspec"),
    };
    return vmp_new_point_create_as(&new_snapshot, session, arguments, &spec, error);
}

static json_object *
info_to_json(const VmpSnapshotInfo *info)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "name", vmp_json_string(info->name));
    json_object_object_add(object, "parent", vmp_json_string(info->parent));
    json_object_object_add(object, "creation_time",
                           json_object_new_int64(info->creation_time));
    json_object_object_add(object, "state", vmp_json_string(vmp_state_name(info->state)));
    json_object_object_add(object, "location",
                           vmp_json_string(vmp_location_name(info->location)));
    json_object_object_add(object, "current", json_object_new_boolean(info->current));
    json_object_object_add(object, "has_domain", json_object_new_boolean(info->has_domain));
    json_object_object_add(object, "children", json_object_new_int64(info->children));
    return object;
}

static void
print_list(VmpSession *session, const VmpArguments *arguments, const GPtrArray *snapshots,
           const char *from)
{
    g_autoptr(GArray) rows = vmp_point_rows_new();

    for (guint i = 0; i < snapshots->len; i++) {
        const VmpSnapshotInfo *info = g_ptr_array_index(snapshots, i);
        VmpPointRow row = {
            .name = info->name,
            .parent = info->parent,
            .creation_time = info->creation_time,
            .state = vmp_state_name(info->state),
            .json = vmp_session_wants_json(session) ? info_to_json(info) : NULL,
        };
        g_array_append_val(rows, row);
    }
    vmp_point_rows_print(rows, session, arguments, TRUE, from);
}

/* The name of the snapshot that the command is about: the one that was named, or with
 * --current the one that is; NULL with an error.  Free with g_free(). */
static char *
choose(VmpHost *host, const VmpArguments *arguments, const char *option, GError **error)
{
    if (!vmp_arguments_has(arguments, "current"))
        return g_strdup(vmp_arguments_get(arguments, option));

    g_autoptr(VmpSnapshotInfo) info =
        vmp_snapshot_get_info(host, vmp_arguments_get(arguments, "domain"), NULL, error);
    return info ? g_strdup(info->name) : NULL;
}

static gboolean
run_list(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    gboolean below =
        vmp_arguments_has(arguments, "from") || vmp_arguments_has(arguments, "current");
    VmpSnapshotListFlags flags = vmp_arguments_get_bits(arguments);
    VmpHost *host = vmp_session_open(session, error);

    if (!host)
        return FALSE;
    g_autofree char *from = below ? choose(host, arguments, "from", error) : NULL;
    if (below && !from)
        return FALSE;
    if (from && vmp_arguments_has(arguments, "tree"))
        flags |= VMP_SNAPSHOT_LIST_DESCENDANTS;

    g_autoptr(GPtrArray) snapshots =
        vmp_snapshot_list(host, vmp_arguments_get(arguments, "domain"), from, flags, error);
    if (!snapshots)
        return FALSE;
    print_list(session, arguments, snapshots, from);
    return TRUE;
}

/* Facts about the snapshot that the command is about. */
static VmpSnapshotInfo *
read_chosen(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);

    return host ? vmp_snapshot_get_info(host, vmp_arguments_get(arguments, "domain"),
                                        vmp_arguments_get(arguments, "snapshotname"), error)
                : NULL;
}

static void
print_info(VmpOutput *output, const char *domain, const VmpSnapshotInfo *info)
{
    /* A snapshot of nothing is internal to virsh. */
    const char *location = info->location == VMP_LOCATION_EXTERNAL ? "external" : "internal";

    vmp_output_print(output, "%-15s %s\n", "Name:", info->name);
    vmp_output_print(output, "%-15s %s\n", "Domain:", domain);
    vmp_output_print(output, "%-15s %s\n", "Current:", vmp_format_boolean(info->current));
    vmp_output_print(output, "%-15s %s\n", "State:", vmp_state_name(info->state));
    vmp_output_print(output, "%-15s %s\n", "Location:", location);
    vmp_output_print(output, "%-15s %s\n", "Parent:", info->parent ? info->parent : "-");
    vmp_output_print(output, "%-15s %u\n", "Children:", info->children);
    vmp_output_print(output, "%-15s %u\n", "Descendants:", info->descendants);
    vmp_output_print(output, "%-15s %s\n", "Metadata:", "yes");
}

static json_object *
words_to_json(char **words)
{
    json_object *array = json_object_new_array();

    for (char **word = words; *word; word++)
        json_object_array_add(array, vmp_json_string(*word));
    return array;
}

static gboolean
run_info(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    g_autoptr(VmpSnapshotInfo) info = read_chosen(session, arguments, error);
    if (!info)
        return FALSE;

    if (vmp_session_wants_json(session)) {
        json_object *object = info_to_json(info);
        json_object_object_add(object, "descendants",
                               json_object_new_int64(info->descendants));
        json_object_object_add(object, "parts", words_to_json(info->parts));
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
    g_autoptr(VmpSnapshotInfo) info = read_chosen(session, arguments, error);
    if (!info)
        return FALSE;
    if (!info->parent) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND, "snapshot '%s' has no parent",
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
        return vmp_bulk_dump(session, arguments, vmp_snapshot_dump_all, error);

    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autofree char *xml = vmp_snapshot_get_xml(host, vmp_arguments_get(arguments, "domain"),
                                                vmp_arguments_get(arguments, "snapshotname"),
                                                vmp_arguments_get_bits(arguments), error);

    return xml && vmp_print_xml(session, arguments, xml, error);
}

static gboolean
set_current(VmpSession *session, VmpHost *host, const char *domain, const char *name,
            GError **error)
{
    if (!vmp_snapshot_set_current(host, domain, name, vmp_session_get_operation(session),
                                  error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, name), "Snapshot %s set as current",
                       name);
    return TRUE;
}

static gboolean
print_current(VmpSession *session, const VmpArguments *arguments, VmpHost *host,
              const char *name, GError **error)
{
    if (vmp_arguments_has(arguments, "name")) {
        vmp_print_name(session, "name", name);
        return TRUE;
    }
    g_autofree char *xml =
        vmp_snapshot_get_xml(host, vmp_arguments_get(arguments, "domain"), name,
                             vmp_arguments_get_bits(arguments), error);
    if (!xml)
        return FALSE;
    vmp_print_whole_xml(session, xml);
    return TRUE;
}

static gboolean
run_current(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *name = vmp_arguments_get(arguments, "snapshotname");
    VmpHost *host = vmp_session_open(session, error);

    if (!host)
        return FALSE;
    if (name)
        return set_current(session, host, domain, name, error);
    g_autoptr(VmpSnapshotInfo) info = vmp_snapshot_get_info(host, domain, NULL, error);
    return info && print_current(session, arguments, host, info->name, error);
}

typedef struct {
    VmpSession *session;
    VmpHost *host;
    const VmpArguments *arguments;
    const char *name; /* of the snapshot that is edited */
    char *result;     /* the name that it has then */
} Edit;

static gboolean
apply_edit(const char *xml, gpointer data, GError **error)
{
    Edit *edit = data;

    edit->result = vmp_snapshot_edit(edit->host, vmp_arguments_get(edit->arguments, "domain"),
                                     edit->name, xml, vmp_arguments_get_bits(edit->arguments),
                                     vmp_session_get_operation(edit->session), error);
    return edit->result != NULL;
}

static void
finish_edit(const Edit *edit, gboolean changed)
{
    const char *domain = vmp_arguments_get(edit->arguments, "domain");
    json_object *result = vmp_result_new(domain, changed ? edit->result : edit->name);

    json_object_object_add(result, "changed", json_object_new_boolean(changed));
    if (!changed)
        vmp_session_finish(edit->session, result,
                           "Snapshot %s XML configuration not changed.\n", edit->name);
    else if (g_str_equal(edit->result, edit->name))
        vmp_session_finish(edit->session, result, "Snapshot %s edited.\n", edit->name);
    else
        vmp_session_finish(edit->session, result,
                           vmp_arguments_has(edit->arguments, "clone")
                               ? "Snapshot %s cloned to %s.\n"
                               : "Snapshot %s renamed to %s.\n",
                           edit->name, edit->result);
}

/* Nothing to write makes a snapshot current, if that was asked for. */
static gboolean
run_edit(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *named = vmp_arguments_get(arguments, "snapshotname");

    if (!named && !vmp_arguments_has(arguments, "current")) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "snapshot-edit needs a snapshot: its name, or --current");
        return FALSE;
    }
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;

    /* As in virsh: with a name, --current also makes it so. */
    g_autofree char *name =
        named ? g_strdup(named) : choose(host, arguments, "snapshotname", error);
    g_autofree char *xml =
        name ? vmp_snapshot_get_xml(host, domain, name, VMP_SNAPSHOT_FORMAT_SECURE, error)
             : NULL;
    Edit edit = { session, host, arguments, name, NULL };
    gboolean changed = FALSE;

    if (!xml || !vmp_editor_apply(xml, apply_edit, &edit, &changed, error))
        return FALSE;
    G_GNUC_UNUSED g_autofree char *result = edit.result;
    if (!changed && named && vmp_arguments_has(arguments, "current") &&
        !vmp_snapshot_set_current(host, domain, name, vmp_session_get_operation(session),
                                  error))
        return FALSE;
    finish_edit(&edit, changed);
    return TRUE;
}

static gboolean
run_revert(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;

    g_autofree char *name = choose(host, arguments, "snapshotname", error);
    if (!name || !vmp_snapshot_revert(host, domain, name, vmp_arguments_get_bits(arguments),
                                      vmp_arguments_get(arguments, "save-current"),
                                      vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, name), "Domain snapshot %s reverted\n",
                       name);
    return TRUE;
}

static gboolean
run_delete(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    gboolean children = vmp_arguments_has(arguments, "children-only");
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;

    g_autofree char *name = choose(host, arguments, "snapshotname", error);
    if (!name || !vmp_snapshot_delete(host, domain, name, vmp_arguments_get_bits(arguments),
                                      vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, name), "Domain snapshot %s %sdeleted\n",
                       name, children ? "children " : "");
    return TRUE;
}

#define NAME_OPTION(needed) \
    VMP_POSITION("snapshotname", needed, "name", VMP_COMPLETE_SNAPSHOT, "name of a snapshot")
#define NAME_OR_CURRENT NAME_OPTION(0), VMP_FLAG("current", "the current snapshot")

#define CREATE_FLAGS                                                                         \
    VMP_FLAG_BIT("no-metadata", VMP_SNAPSHOT_CREATE_NO_METADATA,                             \
                 "make it, but do not remember it"),                                         \
        VMP_FLAG_BIT("halt", VMP_SNAPSHOT_CREATE_HALT, "leave the domain off"),              \
        VMP_FLAG_BIT("disk-only", VMP_SNAPSHOT_CREATE_DISK_ONLY, "disks, but no memory"),    \
        VMP_FLAG_BIT("reuse-external", VMP_SNAPSHOT_CREATE_REUSE_EXT,                        \
                     "use overlays that exist already"),                                     \
        VMP_FLAG_BIT("quiesce", VMP_SNAPSHOT_CREATE_QUIESCE,                                 \
                     "have the guest agent freeze the guest's file systems"),                \
        VMP_FLAG_BIT("atomic", VMP_SNAPSHOT_CREATE_ATOMIC, "all disks or none (always so)"), \
        VMP_FLAG_BIT("live", VMP_SNAPSHOT_CREATE_LIVE,                                       \
                     "let the guest run while memory is saved"),                             \
        VMP_FLAG_BIT("validate", VMP_SNAPSHOT_CREATE_VALIDATE,                               \
                     "check the XML against the schema"),                                    \
        VMP_VALUE("checkpoint", "name", VMP_COMPLETE_NOTHING,                                \
                  "also make this checkpoint, at the same instant"),                         \
        VMP_VALUE("checkpointxml", "file", VMP_COMPLETE_FILE,                                \
                  "the same from a file with the <domaincheckpoint>")

static const VmpOption create_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("xmlfile", 0, "file", VMP_COMPLETE_FILE,
                 "file with the <domainsnapshot>; - is standard input"),
    VMP_VALUE("from-dir", "folder", VMP_COMPLETE_FILE,
              "with --redefine, take in all that have a file in this folder"),
    VMP_FLAG_BIT("redefine", VMP_SNAPSHOT_CREATE_REDEFINE,
                 "take in a snapshot that exists, or change what is remembered of it"),
    VMP_FLAG_BIT("redefine-validate", VMP_SNAPSHOT_CREATE_REDEFINE_VALIDATE,
                 "with --redefine, only if the images bear it out"),
    VMP_FLAG_BIT("current", VMP_SNAPSHOT_CREATE_CURRENT,
                 "with --redefine, make it the current one"),
    CREATE_FLAGS,
    VMP_OPTION_END,
};

static const VmpRule create_rules[] = {
    { VMP_RULE_FIRST_NEEDS, "from-dir redefine" },
    { VMP_RULE_FIRST_NEEDS, "redefine-validate redefine" },
    { VMP_RULE_AT_MOST_ONE, "from-dir xmlfile" },
    { VMP_RULE_AT_MOST_ONE, "checkpoint checkpointxml" },
    { VMP_RULE_FIRST_EXCLUDES, "redefine checkpoint checkpointxml" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption create_as_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("name", 0, "name", VMP_COMPLETE_NOTHING, "name of the snapshot"),
    VMP_POSITION("description", 0, "text", VMP_COMPLETE_NOTHING,
                 "description of the snapshot"),
    VMP_FLAG("print-xml", "print the document, make no snapshot"),
    CREATE_FLAGS,
    VMP_VALUE("memspec", "memspec", VMP_COMPLETE_NOTHING,
              "memory: [file=]name[,snapshot=type]"),
    { .name = "diskspec",
      .type = VMP_OPTION_LIST,
      .use = VMP_OPTION_POSITIONAL,
      .help = "a disk: disk[,snapshot=type][,driver=type][,stype=type][,file=name]",
      .value = "diskspec",
      .completes = VMP_COMPLETE_DISK },
    VMP_OPTION_END,
};

static const VmpRule create_as_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "memspec disk-only" },
    { VMP_RULE_AT_MOST_ONE, "checkpoint checkpointxml" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption list_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("parent", "also the name of the parent"),
    VMP_FLAG_BIT("roots", VMP_SNAPSHOT_LIST_ROOTS, "only those without a parent"),
    VMP_FLAG_BIT("leaves", VMP_SNAPSHOT_LIST_LEAVES, "only those without children"),
    VMP_FLAG_BIT("no-leaves", VMP_SNAPSHOT_LIST_NO_LEAVES, "only those with children"),
    VMP_FLAG_BIT("metadata", VMP_SNAPSHOT_LIST_METADATA,
                 "only those that are remembered: all"),
    VMP_FLAG_BIT("no-metadata", VMP_SNAPSHOT_LIST_NO_METADATA,
                 "only those that are not: none"),
    VMP_FLAG_BIT("inactive", VMP_SNAPSHOT_LIST_INACTIVE,
                 "only those of a domain that was off"),
    VMP_FLAG_BIT("active", VMP_SNAPSHOT_LIST_ACTIVE, "only those with memory"),
    VMP_FLAG_BIT("disk-only", VMP_SNAPSHOT_LIST_DISK_ONLY,
                 "only those of the disks of a domain that ran"),
    VMP_FLAG_BIT("internal", VMP_SNAPSHOT_LIST_INTERNAL, "only those inside the images"),
    VMP_FLAG_BIT("external", VMP_SNAPSHOT_LIST_EXTERNAL, "only those with files of their own"),
    VMP_FLAG("tree", "draw a tree"),
    VMP_POSITION("from", 0, "name", VMP_COMPLETE_SNAPSHOT, "only children of this snapshot"),
    VMP_FLAG("current", "only children of the current snapshot"),
    VMP_FLAG_BIT("descendants", VMP_SNAPSHOT_LIST_DESCENDANTS,
                 "with --from or --current, also children of children"),
    VMP_FLAG("name", "print only names"),
    VMP_FLAG_BIT("topological", VMP_SNAPSHOT_LIST_TOPOLOGICAL, "parents before children"),
    VMP_OPTION_END,
};

static const VmpRule list_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "tree name" },
    { VMP_RULE_AT_MOST_ONE, "parent roots tree" },
    { VMP_RULE_FIRST_EXCLUDES, "roots from current" },
    { VMP_RULE_AT_MOST_ONE, "from current" },
    { VMP_RULE_FIRST_NEEDS, "descendants from current" },
    { VMP_RULE_FIRST_EXCLUDES,
      "tree leaves no-leaves inactive active disk-only internal external" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption name_or_current_options[] = {
    VMP_DOMAIN_OPTION,
    NAME_OR_CURRENT,
    VMP_OPTION_END,
};

static const VmpRule name_or_current_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "snapshotname current" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption dumpxml_options[] = {
    VMP_DOMAIN_OPTION,
    NAME_OPTION(0),
    VMP_FLAG("all", "all snapshots of the domain in one document"),
    VMP_FLAG_BIT("security-info", VMP_SNAPSHOT_FORMAT_SECURE, "with passwords"),
    VMP_XPATH_OPTIONS,
    VMP_OPTION_END,
};

static const VmpRule dumpxml_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "snapshotname all" },
    { VMP_RULE_FIRST_EXCLUDES, "all xpath wrap" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption current_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("name", "print its name rather than its XML"),
    VMP_FLAG_BIT("security-info", VMP_SNAPSHOT_FORMAT_SECURE, "with passwords"),
    VMP_POSITION("snapshotname", 0, "name", VMP_COMPLETE_SNAPSHOT,
                 "make this one the current one"),
    VMP_OPTION_END,
};

static const VmpRule current_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "name snapshotname" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption edit_options[] = {
    VMP_DOMAIN_OPTION,
    NAME_OPTION(0),
    VMP_FLAG_BIT("current", VMP_SNAPSHOT_EDIT_CURRENT,
                 "the current snapshot; with a name, make that one the current one"),
    VMP_FLAG_BIT("rename", VMP_SNAPSHOT_EDIT_RENAME, "the document may have another name"),
    VMP_FLAG_BIT("clone", VMP_SNAPSHOT_EDIT_CLONE,
                 "the document has another name, and is another snapshot"),
    VMP_OPTION_END,
};

static const VmpRule edit_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "rename clone" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption revert_options[] = {
    VMP_DOMAIN_OPTION,
    NAME_OR_CURRENT,
    VMP_FLAG_BIT("running", VMP_SNAPSHOT_REVERT_RUNNING, "let the domain run afterwards"),
    VMP_FLAG_BIT("paused", VMP_SNAPSHOT_REVERT_PAUSED, "leave the domain paused afterwards"),
    VMP_FLAG_BIT("force", VMP_SNAPSHOT_REVERT_FORCE, "accept the risks that can be accepted"),
    VMP_FLAG_BIT("reset-nvram", VMP_SNAPSHOT_REVERT_RESET_NVRAM,
                 "with fresh firmware variables"),
    VMP_VALUE("save-current", "name", VMP_COMPLETE_NOTHING,
              "first make this snapshot of the state that is left"),
    VMP_OPTION_END,
};

static const VmpRule revert_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "snapshotname current" },
    { VMP_RULE_AT_MOST_ONE, "running paused" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption delete_options[] = {
    VMP_DOMAIN_OPTION,
    NAME_OR_CURRENT,
    VMP_FLAG_BIT("children", VMP_SNAPSHOT_DELETE_CHILDREN, "and all below it"),
    VMP_FLAG_BIT("children-only", VMP_SNAPSHOT_DELETE_CHILDREN_ONLY,
                 "all below it, but not itself"),
    VMP_FLAG_BIT("metadata", VMP_SNAPSHOT_DELETE_METADATA_ONLY,
                 "only forget it; what is in the images stays"),
    VMP_OPTION_END,
};

static const VmpRule delete_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "snapshotname current" },
    { VMP_RULE_AT_MOST_ONE, "children children-only" },
    { VMP_RULE_NONE, NULL },
};

const VmpCommand vmp_snapshot_commands[] = {
    { .name = "snapshot-create",
      .help = "make a snapshot from XML",
      .description =
          "Makes a snapshot as a <domainsnapshot> document asks for it; without one, of all "
          "disks, and of the memory of a domain that runs.  All disks change at one "
          "instant, or none does.",
      .options = create_options,
      .rules = create_rules,
      .changes = TRUE,
      .run = run_create },
    { .name = "snapshot-create-as",
      .help = "make a snapshot from arguments",
      .description =
          "Makes a snapshot.  A comma that belongs to a name in a memspec or diskspec is "
          "written twice.",
      .options = create_as_options,
      .rules = create_as_rules,
      .changes = TRUE,
      .run = run_create_as },
    { .name = "snapshot-current",
      .help = "print or set the current snapshot",
      .description =
          "Prints the document of the snapshot that the next one will be a child of.  With "
          "a name, makes that one the current one; the domain stays as it is.",
      .options = current_options,
      .rules = current_rules,
      .changes = TRUE,
      .run = run_current },
    { .name = "snapshot-delete",
      .help = "delete a snapshot",
      .description =
          "Deletes a snapshot.  The present state of the domain and all other snapshots stay "
          "as they are.",
      .options = delete_options,
      .rules = delete_rules,
      .changes = TRUE,
      .run = run_delete },
    { .name = "snapshot-dumpxml",
      .help = "the <domainsnapshot> document of a snapshot",
      .description =
          "Prints the document of a snapshot, which snapshot-create --redefine reads, or "
          "that of all of them.  One with secrets left out of it is not taken back.",
      .options = dumpxml_options,
      .rules = dumpxml_rules,
      .run = run_dumpxml },
    { .name = "snapshot-edit",
      .help = "edit the document of a snapshot",
      .description =
          "Opens the document of a snapshot in $VISUAL or $EDITOR and takes in what is made "
          "of "
          "it, as snapshot-create --redefine does.  A renamed snapshot keeps its children.",
      .options = edit_options,
      .rules = edit_rules,
      .changes = TRUE,
      .run = run_edit },
    { .name = "snapshot-info",
      .help = "facts about a snapshot",
      .description = "Prints what is known of a snapshot.",
      .options = name_or_current_options,
      .rules = name_or_current_rules,
      .run = run_info },
    { .name = "snapshot-list",
      .help = "list the snapshots of a domain",
      .description = "Lists snapshots by name.",
      .options = list_options,
      .rules = list_rules,
      .run = run_list },
    { .name = "snapshot-parent",
      .help = "the parent of a snapshot",
      .description = "Prints the name of the snapshot that a snapshot was made upon.",
      .options = name_or_current_options,
      .rules = name_or_current_rules,
      .run = run_parent },
    { .name = "snapshot-revert",
      .help = "take a domain back to a snapshot",
      .description =
          "Takes a domain back to the state that a snapshot keeps.  What would be lost or "
          "broken by that is listed, and --force needed; --dry-run lists it always.",
      .options = revert_options,
      .rules = revert_rules,
      .changes = TRUE,
      .run = run_revert },
    { .name = NULL },
};
