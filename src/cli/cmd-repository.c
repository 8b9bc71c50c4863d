/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Restore points in a repository, and what they are for. */

#include <vmpoint/domain.h>
#include <vmpoint/repository.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/units.h"

static gboolean fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);

static gboolean
fail(GError **error, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, VMP_ERROR, code, message);
    return FALSE;
}

/* ---- making ---- */

static gboolean
read_quiesce(const char *word, VmpQuiesce *quiesce, GError **error)
{
    static const char *const words[] = { "no", "try", "require" };

    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_strcmp0(word, words[i]) == 0) {
            *quiesce = (VmpQuiesce)i;
            return TRUE;
        }
    return !word ||
           fail(error, VMP_ERROR_INVALID, "--quiesce '%s' is none of no, try, require", word);
}

static gboolean
run_create(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *repository = vmp_arguments_get(arguments, "repository");
    const char *folder = vmp_arguments_get(arguments, "fleece");
    g_autofree char *fleece_folder = folder ? g_canonicalize_filename(folder, NULL) : NULL;
    VmpRestorePointSpec spec = { .compress = vmp_arguments_has(arguments, "compress"),
                                 .fleece = vmp_arguments_has(arguments, "fleece"),
                                 .fleece_folder = fleece_folder };
    const char *const *disks = vmp_arguments_get_list(arguments, "disk");

    if (!read_quiesce(vmp_arguments_get(arguments, "quiesce"), &spec.quiesce, error) ||
        !vmp_read_bandwidth(vmp_arguments_get(arguments, "bandwidth"), &spec.bandwidth, error))
        return FALSE;
    spec.disks = *disks ? disks : NULL;
    spec.choice = vmp_arguments_has(arguments, "full")          ? VMP_RESTORE_POINT_FULL
                  : vmp_arguments_has(arguments, "incremental") ? VMP_RESTORE_POINT_INCREMENTAL
                                                                : VMP_RESTORE_POINT_AUTO;

    VmpHost *host = vmp_session_open(session, error);
    g_autofree char *name =
        host ? vmp_repository_create_point(host, domain, repository, &spec,
                                           vmp_session_get_operation(session), error)
             : NULL;
    if (!name)
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, name), "Restore point %s created\n",
                       name);
    return TRUE;
}

/* ---- listing ---- */

static json_object *
disk_to_json(const VmpRestoreDisk *disk)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "disk", vmp_json_string(disk->name));
    json_object_object_add(object, "kind",
                           json_object_new_string(disk->incremental ? "incremental" : "full"));
    json_object_object_add(object, "why_full", vmp_json_string(disk->why_full));
    json_object_object_add(object, "size", json_object_new_uint64(disk->size));
    json_object_object_add(object, "held", json_object_new_uint64(disk->held));
    json_object_object_add(object, "file_size", json_object_new_uint64(disk->file_size));
    return object;
}

static json_object *
point_to_json(const VmpRestorePoint *point)
{
    json_object *object = json_object_new_object();
    json_object *disks = json_object_new_array();

    json_object_object_add(object, "name", vmp_json_string(point->name));
    json_object_object_add(object, "problem", vmp_json_string(point->problem));
    if (point->problem) {
        json_object_put(disks);
        return object;
    }
    for (guint i = 0; i < point->disks->len; i++)
        json_object_array_add(disks, disk_to_json(g_ptr_array_index(point->disks, i)));
    json_object_object_add(object, "time_ms", json_object_new_int64(point->time));
    json_object_object_add(object, "parent", vmp_json_string(point->parent));
    json_object_object_add(
        object, "kind", json_object_new_string(point->incremental ? "incremental" : "full"));
    json_object_object_add(object, "state", vmp_json_string(point->state));
    json_object_object_add(object, "quiesced", json_object_new_boolean(point->quiesced));
    json_object_object_add(object, "size", json_object_new_uint64(point->size));
    json_object_object_add(object, "disks", disks);
    return object;
}

static json_object *
repository_to_json(const VmpRepositoryInfo *info)
{
    json_object *object = json_object_new_object();
    json_object *points = json_object_new_array();

    for (guint i = 0; i < info->points->len; i++)
        json_object_array_add(points, point_to_json(g_ptr_array_index(info->points, i)));
    json_object_object_add(object, "repository", vmp_json_string(info->path));
    json_object_object_add(object, "id", vmp_json_string(info->id));
    json_object_object_add(object, "domain", vmp_json_string(info->domain));
    json_object_object_add(object, "uuid", vmp_json_string(info->uuid));
    json_object_object_add(object, "points", points);
    return object;
}

static void
add_row(VmpTable *table, const VmpRestorePoint *point)
{
    if (point->problem) {
        vmp_table_add_row(table, point->name, "-", "unusable", "-", "-", "-", NULL);
        return;
    }
    g_autofree char *time = vmp_format_time(point->time / 1000);
    g_autofree char *size = vmp_format_bytes(point->size);
    vmp_table_add_row(table, point->name, time, point->incremental ? "incremental" : "full",
                      size, point->state, point->parent ? point->parent : "-", NULL);
}

static gboolean
run_list(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpOutput *output = vmp_session_get_output(session);
    g_autoptr(VmpRepositoryInfo) info =
        vmp_repository_list(vmp_arguments_get(arguments, "repository"), error);
    if (!info)
        return FALSE;
    if (vmp_session_wants_json(session)) {
        vmp_output_take_json(output, repository_to_json(info));
        return TRUE;
    }

    g_autoptr(VmpTable) table =
        vmp_table_new("Point", "Time", "Kind", "Size", "State", "Parent", NULL);
    for (guint i = 0; i < info->points->len; i++)
        add_row(table, g_ptr_array_index(info->points, i));
    vmp_output_print_table(output, table);
    return TRUE;
}

/* ---- verifying ---- */

static json_object *
findings_to_json(const GPtrArray *findings)
{
    json_object *object = json_object_new_object();
    json_object *list = json_object_new_array();

    for (guint i = 0; i < findings->len; i++)
        json_object_array_add(list, vmp_json_string(g_ptr_array_index(findings, i)));
    json_object_object_add(object, "findings", list);
    return object;
}

/* A command that fails writes no data: each finding is a sentence of its own beside the error.
 */
static gboolean
fail_damaged(VmpSession *session, const char *repository, const GPtrArray *findings,
             GError **error)
{
    for (guint i = 0; i < findings->len; i++)
        vmp_output_warning(vmp_session_get_output(session), g_ptr_array_index(findings, i));
    return fail(error, VMP_ERROR_DAMAGED, "repository '%s': %u thing%s wrong: %s", repository,
                findings->len, findings->len == 1 ? " is" : "s are",
                (const char *)g_ptr_array_index(findings, 0));
}

static gboolean
read_seconds(const VmpArguments *arguments, const char *name, guint *seconds, GError **error)
{
    const char *text = vmp_arguments_get(arguments, name);
    guint64 parsed = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT / 1000, &parsed, NULL))
        return fail(error, VMP_ERROR_INVALID, "--%s '%s' is no number of seconds", name, text);
    *seconds = (guint)parsed;
    return TRUE;
}

/* The newest point, if none is named. */
static gboolean
verify_boot(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *point = vmp_arguments_get(arguments, "point");
    VmpBootProof proof = { .expect = vmp_arguments_get(arguments, "expect") };
    VmpHost *host = read_seconds(arguments, "boot-timeout", &proof.timeout, error)
                        ? vmp_session_open(session, error)
                        : NULL;

    return host && vmp_repository_verify_boot(host, vmp_arguments_get(arguments, "repository"),
                                              point ? point : "latest", &proof,
                                              vmp_session_get_operation(session), error);
}

static gboolean
run_verify(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *repository = vmp_arguments_get(arguments, "repository");
    g_autoptr(GPtrArray) findings =
        vmp_repository_verify(repository, vmp_arguments_get(arguments, "point"),
                              vmp_session_get_operation(session), error);

    if (!findings)
        return FALSE;
    if (findings->len > 0)
        return fail_damaged(session, repository, findings, error);
    if (vmp_arguments_has(arguments, "boot") && !verify_boot(session, arguments, error))
        return FALSE;
    vmp_session_finish(session, findings_to_json(findings),
                       "Repository '%s' is as it was written\n", repository);
    return TRUE;
}

/* ---- another domain ---- */

static gboolean
make_domain(VmpSession *session, const char *repository, const char *point,
            const VmpTwinSpec *spec, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);

    return host && vmp_repository_make_domain(host, repository, point, spec,
                                              vmp_session_get_operation(session), error);
}

static gboolean
run_boot(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *point = vmp_arguments_get(arguments, "point");
    const char *name = vmp_arguments_get(arguments, "name");
    const char *folder = vmp_arguments_get(arguments, "to");
    g_autofree char *made = name ? g_strdup(name) : g_strdup_printf("boot-%s", point);
    const VmpTwinSpec spec = { .name = made,
                               .folder = folder ? folder : ".",
                               .overlay = TRUE,
                               .isolated = vmp_arguments_has(arguments, "isolated") };

    if (!make_domain(session, vmp_arguments_get(arguments, "repository"), point, &spec, error))
        return FALSE;
    VmpOperation *operation = vmp_session_get_operation(session);
    if (!vmp_operation_get_dry_run(operation) &&
        !vmp_domain_start(vmp_session_open(session, NULL), made,
                          vmp_arguments_get_bits(arguments), operation, error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(made, NULL), "Domain '%s' started\n", made);
    return TRUE;
}

/* ---- restoring ---- */

static gboolean
restore_chain(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);

    return host && vmp_backup_restore_chain(host, vmp_arguments_get_list(arguments, "source"),
                                            vmp_arguments_get(arguments, "to"),
                                            vmp_arguments_get(arguments, "format"),
                                            vmp_session_get_operation(session), error);
}

static gboolean
restore_domain(VmpSession *session, const VmpArguments *arguments, const char *repository,
               const char *point, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);

    return host &&
           vmp_repository_restore_domain(host, vmp_arguments_get(arguments, "over"),
                                         repository, point, vmp_arguments_get(arguments, "to"),
                                         vmp_arguments_has(arguments, "overwrite"),
                                         vmp_session_get_operation(session), error);
}

static gboolean
restore_point(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *const *words = vmp_arguments_get_list(arguments, "source");
    const VmpRestoreSpec spec = { .disk = vmp_arguments_get(arguments, "disk"),
                                  .to = vmp_arguments_get(arguments, "to"),
                                  .format = vmp_arguments_get(arguments, "format"),
                                  .overwrite = vmp_arguments_has(arguments, "overwrite") };

    const VmpTwinSpec twin = { .name = vmp_arguments_get(arguments, "define"),
                               .folder = spec.to,
                               .format = spec.format };

    if (!words[0] || !words[1] || words[2])
        return fail(error, VMP_ERROR_INVALID,
                    "a repository and the name of one of its points are needed");
    if (vmp_arguments_has(arguments, "over"))
        return restore_domain(session, arguments, words[0], words[1], error);
    if (twin.name)
        return make_domain(session, words[0], words[1], &twin, error);
    return vmp_repository_restore(words[0], words[1], &spec,
                                  vmp_session_get_operation(session), error);
}

static gboolean
run_restore(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *target = vmp_arguments_get(arguments, "to");
    const char *over = vmp_arguments_get(arguments, "over");

    if (!target && !over)
        return fail(error, VMP_ERROR_INVALID, "'backup-restore' needs --to <path>");
    if (!(vmp_arguments_has(arguments, "chain") ? restore_chain(session, arguments, error)
                                                : restore_point(session, arguments, error)))
        return FALSE;

    json_object *result = json_object_new_object();
    json_object_object_add(result, "target", vmp_json_string(target));
    json_object_object_add(result, "domain", vmp_json_string(over));
    vmp_session_finish(session, result,
                       over ? "Domain '%s' restored\n" : "Backup restored to '%s'\n",
                       over ? over : target);
    return TRUE;
}

/* ---- pruning ---- */

static gboolean
read_rule(const VmpArguments *arguments, const char *name, guint *count, GError **error)
{
    const char *text = vmp_arguments_get(arguments, name);
    guint64 parsed = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT, &parsed, NULL))
        return fail(error, VMP_ERROR_INVALID, "--%s '%s' is no number", name, text);
    *count = (guint)parsed;
    return TRUE;
}

static gboolean
read_policy(const VmpArguments *arguments, VmpRetentionPolicy *policy, GError **error)
{
    policy->within = vmp_arguments_get(arguments, "keep-within");
    return read_rule(arguments, "keep-last", &policy->last, error) &&
           read_rule(arguments, "keep-hourly", &policy->hourly, error) &&
           read_rule(arguments, "keep-daily", &policy->daily, error) &&
           read_rule(arguments, "keep-weekly", &policy->weekly, error) &&
           read_rule(arguments, "keep-monthly", &policy->monthly, error) &&
           read_rule(arguments, "keep-yearly", &policy->yearly, error);
}

static json_object *
decisions_to_json(const GPtrArray *decisions)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; i < decisions->len; i++) {
        const VmpPruneDecision *decision = g_ptr_array_index(decisions, i);
        json_object *object = json_object_new_object();
        json_object_object_add(object, "name", vmp_json_string(decision->name));
        json_object_object_add(object, "time_ms", json_object_new_int64(decision->time));
        json_object_object_add(object, "keep", json_object_new_boolean(decision->keep));
        json_object_object_add(object, "why", vmp_json_string(decision->why));
        json_object_object_add(object, "merged", json_object_new_boolean(decision->merged));
        json_object_object_add(object, "copies", json_object_new_uint64(decision->copies));
        json_object_array_add(list, object);
    }
    return list;
}

static void
print_decisions(VmpOutput *output, const GPtrArray *decisions)
{
    g_autoptr(VmpTable) table = vmp_table_new("Point", "Time", "What", "Why", NULL);

    for (guint i = 0; i < decisions->len; i++) {
        const VmpPruneDecision *decision = g_ptr_array_index(decisions, i);
        g_autofree char *time = vmp_format_time(decision->time / 1000);
        g_autofree char *size = vmp_format_bytes(decision->copies);
        g_autofree char *merge = g_strdup_printf("keep, merge %s", size);
        vmp_table_add_row(table, decision->name, time,
                          !decision->keep    ? "remove"
                          : decision->merged ? merge
                                             : "keep",
                          decision->why, NULL);
    }
    vmp_output_print_table(output, table);
}

static gboolean
run_prune(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpRetentionPolicy policy = { 0 };
    VmpHost *host =
        read_policy(arguments, &policy, error) ? vmp_session_open(session, error) : NULL;
    g_autoptr(GPtrArray) decisions =
        host ? vmp_repository_prune(host, vmp_arguments_get(arguments, "repository"), &policy,
                                    vmp_session_get_operation(session), error)
             : NULL;

    if (!decisions)
        return FALSE;
    if (vmp_session_wants_json(session))
        vmp_output_take_json(vmp_session_get_output(session), decisions_to_json(decisions));
    else
        print_decisions(vmp_session_get_output(session), decisions);
    return TRUE;
}

/* ---- tables ---- */

#define REPOSITORY_OPTION                                                        \
    VMP_POSITION("repository", VMP_OPTION_REQUIRED, "folder", VMP_COMPLETE_FILE, \
                 "folder with the restore points of one domain")

static const VmpOption create_options[] = {
    VMP_DOMAIN_OPTION,
    REPOSITORY_OPTION,
    VMP_FLAG("full", "all disks whole, whatever could be an increment"),
    VMP_FLAG("incremental", "all disks as increments, or nothing"),
    { .name = "disk",
      .type = VMP_OPTION_LIST,
      .help = "only this disk; may be given again for others",
      .value = "target",
      .completes = VMP_COMPLETE_DISK },
    VMP_VALUE("quiesce", "how", VMP_COMPLETE_NOTHING,
              "no, try or require that the guest's file systems are frozen at the instant"),
    VMP_FLAG("compress", "compress what is written"),
    VMP_VALUE("bandwidth", "MiB/s", VMP_COMPLETE_NOTHING, "at most so much a disk"),
    VMP_FLEECE_OPTION,
    VMP_OPTION_END,
};

static const VmpRule create_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "full incremental" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption boot_options[] = {
    REPOSITORY_OPTION,
    VMP_POSITION("point", VMP_OPTION_REQUIRED, "name", VMP_COMPLETE_NOTHING,
                 "point; latest is the newest"),
    VMP_VALUE("name", "name", VMP_COMPLETE_NOTHING,
              "of the new domain; boot-POINT if not said"),
    VMP_VALUE("to", "folder", VMP_COMPLETE_FILE,
              "where its overlays go; the current one if not said"),
    VMP_FLAG_BIT("paused", VMP_START_PAUSED, "leave it paused"),
    VMP_FLAG("isolated", "without network, and nothing else that it would share with others"),
    VMP_OPTION_END,
};

static const VmpOption list_options[] = {
    REPOSITORY_OPTION,
    VMP_OPTION_END,
};

static const VmpOption verify_options[] = {
    REPOSITORY_OPTION,
    VMP_POSITION("point", 0, "name", VMP_COMPLETE_NOTHING,
                 "only this point and what it stands on; latest is the newest"),
    VMP_FLAG("boot", "start it, isolated, and wait until its guest has booted"),
    VMP_VALUE("boot-timeout", "seconds", VMP_COMPLETE_NOTHING,
              "how long that may take; 300 if not said"),
    VMP_VALUE("expect", "text", VMP_COMPLETE_NOTHING,
              "what the guest says on its first serial line when it has booted"),
    VMP_OPTION_END,
};

static const VmpRule verify_rules[] = {
    { VMP_RULE_FIRST_NEEDS, "boot-timeout boot" },
    { VMP_RULE_FIRST_NEEDS, "expect boot" },
    { VMP_RULE_NONE, NULL },
};

#define KEEP(name, periods)                                \
    VMP_VALUE("keep-" name, "count", VMP_COMPLETE_NOTHING, \
              "the newest point of each of so many newest " periods)

static const VmpOption prune_options[] = {
    REPOSITORY_OPTION,
    VMP_VALUE("keep-last", "count", VMP_COMPLETE_NOTHING, "so many newest points"),
    KEEP("hourly", "hours that have one"),
    KEEP("daily", "days that have one"),
    KEEP("weekly", "weeks that have one"),
    KEEP("monthly", "months that have one"),
    KEEP("yearly", "years that have one"),
    VMP_VALUE("keep-within", "time", VMP_COMPLETE_NOTHING,
              "all that are not older: 36h, 7d, 2w, 6m, 1y"),
    VMP_OPTION_END,
};

static const VmpOption restore_options[] = {
    { .name = "source",
      .type = VMP_OPTION_LIST,
      .use = VMP_OPTION_POSITIONAL | VMP_OPTION_REQUIRED,
      .help =
          "repository, and the name of one of its points or latest; with --chain the image of "
          "a full backup and then those of its increments, oldest first",
      .value = "source",
      .completes = VMP_COMPLETE_FILE },
    VMP_FLAG("chain", "the sources are images that backup-begin wrote"),
    VMP_VALUE("disk", "target", VMP_COMPLETE_NOTHING, "only this disk of the point"),
    { .name = "to",
      .type = VMP_OPTION_STRING,
      .help = "image or block device to write, or a folder for an image a disk",
      .value = "path",
      .completes = VMP_COMPLETE_FILE },
    VMP_VALUE("format", "format", VMP_COMPLETE_NOTHING, "its format; qcow2 if not said"),
    VMP_VALUE("define", "name", VMP_COMPLETE_NOTHING,
              "define a new domain of this name with the disks, which go into the folder"),
    VMP_VALUE("over", "domain", VMP_COMPLETE_DOMAIN,
              "the point's own domain, which is off, becomes again what it was"),
    VMP_FLAG("overwrite", "what is there may be lost"),
    VMP_OPTION_END,
};

static const VmpRule restore_rules[] = {
    { VMP_RULE_FIRST_EXCLUDES, "chain disk overwrite define over" },
    { VMP_RULE_FIRST_EXCLUDES, "define disk overwrite over" },
    { VMP_RULE_FIRST_EXCLUDES, "over disk format" },
    { VMP_RULE_NONE, NULL },
};

const VmpCommand vmp_repository_commands[] = {
    { .name = "backup-boot",
      .help = "run a restore point at once, as another domain",
      .description = "Defines another domain whose disks are overlays on the point's, and "
                     "starts it.  The "
                     "point is only read, and must stay as long as that domain is there.",
      .options = boot_options,
      .changes = TRUE,
      .run = run_boot },
    { .name = "backup-create",
      .help = "make a restore point in a repository",
      .description =
          "Makes a restore point of a domain that runs, is paused or is off: its disks, "
          "definition, firmware variables and TPM in a folder of their own, with digests.  "
          "Disks "
          "are increments of the last point where that is possible, and full otherwise.  The "
          "command returns when the point is complete and on stable storage.",
      .options = create_options,
      .rules = create_rules,
      .changes = TRUE,
      .run = run_create },
    { .name = "backup-list",
      .help = "the restore points of a repository",
      .description = "Lists the points of a repository, oldest first, by what they say of "
                     "themselves; backup-verify reads them.",
      .options = list_options,
      .run = run_list },
    { .name = "backup-prune",
      .help = "remove restore points that nobody needs",
      .description =
          "Removes the points of a repository that no rule keeps, and says why of each.  The "
          "newest point always stays.  A point that stands on one that goes is made anew "
          "before, "
          "with what that one holds; whatever is cut off, the points that are listed are "
          "whole.",
      .options = prune_options,
      .changes = TRUE,
      .run = run_prune },
    { .name = "backup-restore",
      .help = "write disks from a backup",
      .description =
          "Writes the disks of a restore point as the guest saw them.  Every block is "
          "compared "
          "with its digest on the way.  With --chain, writes a disk from the images of a full "
          "backup and increments laid over it, and compares the result with them.  The "
          "sources "
          "are only read, and a file gets its name when it is complete.",
      .options = restore_options,
      .rules = restore_rules,
      .changes = TRUE,
      .run = run_restore },
    { .name = "backup-verify",
      .help = "compare a repository with what was written there",
      .description =
          "Reads all that is in a repository and compares it with what was written: each file "
          "with its digest, and each disk, as QEMU shows it, with the list of its blocks.  "
          "Names what is wrong and where.  Nothing is written.  With --boot the point, or the "
          "newest one, is then started on overlays, without network, until its guest agent "
          "answers or its first serial line says what is expected.",
      .options = verify_options,
      .rules = verify_rules,
      .run = run_verify },
    { .name = NULL },
};
