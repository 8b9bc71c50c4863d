/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backup jobs. */

#include "cli/commands.h"
#include "cli/input.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/units.h"

static gboolean
run_begin(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *backup_file = vmp_arguments_get(arguments, "backupxml");
    const char *checkpoint_file = vmp_arguments_get(arguments, "checkpointxml");
    const char *folder = vmp_arguments_get(arguments, "fleece");
    g_autofree char *fleece_folder = folder ? g_canonicalize_filename(folder, NULL) : NULL;
    VmpBackupTuning tuning = { .compress = vmp_arguments_has(arguments, "compress"),
                               .quiesce = vmp_arguments_has(arguments, "quiesce"),
                               .fleece = vmp_arguments_has(arguments, "fleece"),
                               .fleece_folder = fleece_folder };
    if (!vmp_read_bandwidth(vmp_arguments_get(arguments, "bandwidth"), &tuning.bandwidth,
                            error))
        return FALSE;
    g_autofree char *backup = backup_file ? vmp_input_read_text(backup_file, error) : NULL;

    if (backup_file && !backup)
        return FALSE;
    g_autofree char *checkpoint =
        checkpoint_file ? vmp_input_read_text(checkpoint_file, error) : NULL;
    if (checkpoint_file && !checkpoint)
        return FALSE;

    VmpHost *host = vmp_session_open(session, error);
    if (!host || !vmp_backup_begin_tuned(host, domain, backup, checkpoint,
                                         vmp_arguments_get_bits(arguments), &tuning,
                                         vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL), "Backup %s\n",
                       vmp_arguments_has(arguments, "wait") ? "completed" : "started");
    return TRUE;
}

static gboolean
run_dumpxml(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autofree char *xml =
        vmp_backup_get_xml(host, vmp_arguments_get(arguments, "domain"), error);

    return xml && vmp_print_xml(session, arguments, xml, error);
}

/* libvirt's words, its numbers and ours for the states of a job. */
static const struct {
    const char *title;
    int type;
    const char *json;
} job_states[] = {
    [VMP_JOB_NONE] = { "None", 0, "none" },
    [VMP_JOB_RUNNING] = { "Unbounded", 2, "running" },
    [VMP_JOB_COMPLETED] = { "Completed", 3, "completed" },
    [VMP_JOB_FAILED] = { "Failed", 4, "failed" },
    [VMP_JOB_CANCELLED] = { "Cancelled", 5, "cancelled" },
};

static json_object *
job_to_json(const VmpJobInfo *info)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "state",
                           json_object_new_string(job_states[info->state].json));
    json_object_object_add(object, "operation", vmp_json_string(info->operation));
    json_object_object_add(object, "elapsed_ms", json_object_new_int64(info->elapsed_ms));
    json_object_object_add(object, "total", json_object_new_uint64(info->total));
    json_object_object_add(object, "processed", json_object_new_uint64(info->processed));
    json_object_object_add(object, "remaining", json_object_new_uint64(info->remaining));
    json_object_object_add(object, "scratch_used", json_object_new_uint64(info->scratch_used));
    json_object_object_add(object, "scratch_total",
                           json_object_new_uint64(info->scratch_total));
    json_object_object_add(object, "error", vmp_json_string(info->error));
    return object;
}

static void
print_bytes(VmpOutput *output, const char *title, guint64 bytes)
{
    g_autofree char *text = vmp_format_bytes(bytes);

    vmp_output_print(output, "%-17s %s\n", title, text);
}

/* virsh tells the story of jobs that run or went well; of others only with --anystats. */
static gboolean
has_story(const VmpJobInfo *info, gboolean any)
{
    return info->state == VMP_JOB_RUNNING || info->state == VMP_JOB_COMPLETED ||
           (any && info->state != VMP_JOB_NONE);
}

static void
print_job(VmpOutput *output, const VmpJobInfo *info, gboolean any)
{
    vmp_output_print(output, "%-17s %-12s\n", "Job type:", job_states[info->state].title);
    if (!has_story(info, any))
        return;

    vmp_output_print(output, "%-17s %-12s\n",
                     "Operation:", info->operation ? info->operation : "Unknown");
    vmp_output_print(output, "%-17s %-12" G_GINT64_FORMAT " ms\n",
                     "Time elapsed:", info->elapsed_ms);
    if (info->total > 0 || info->processed > 0 || info->remaining > 0) {
        print_bytes(output, "File processed:", info->processed);
        print_bytes(output, "File remaining:", info->remaining);
        print_bytes(output, "File total:", info->total);
    }
    if (info->scratch_used > 0 || info->scratch_total > 0) {
        print_bytes(output, "Temporary disk space use:", info->scratch_used);
        print_bytes(output, "Temporary disk space total:", info->scratch_total);
    }
    if (info->error)
        vmp_output_print(output, "%-17s %s\n", "Error message:", info->error);
}

static void
print_raw(VmpOutput *output, const char *name, guint64 value)
{
    vmp_output_print(output, "%s: %" G_GUINT64_FORMAT "\n", name, value);
}

/* VIR_DOMAIN_JOB_OPERATION_BACKUP: the only kind of job there is here. */
#define OPERATION_BACKUP 9

/* libvirt's names of the fields, for programs that read virsh --rawstats. */
static void
print_raw_job(VmpOutput *output, const VmpJobInfo *info)
{
    vmp_output_print(output, "Job type: %d\n\n", job_states[info->state].type);
    if (info->state == VMP_JOB_NONE)
        return;

    print_raw(output, "operation", OPERATION_BACKUP);
    print_raw(output, "time_elapsed", (guint64)info->elapsed_ms);
    print_raw(output, "disk_total", info->total);
    print_raw(output, "disk_processed", info->processed);
    print_raw(output, "disk_remaining", info->remaining);
    print_raw(output, "disk_temp_used", info->scratch_used);
    print_raw(output, "disk_temp_total", info->scratch_total);
    if (info->state != VMP_JOB_RUNNING)
        vmp_output_print(output, "success: %s\n",
                         vmp_format_boolean(info->state == VMP_JOB_COMPLETED));
    if (info->error)
        vmp_output_print(output, "errmsg: %s\n", info->error);
}

static gboolean
run_jobinfo(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpOutput *output = vmp_session_get_output(session);
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autoptr(VmpJobInfo) info =
        vmp_backup_get_job_info(host, vmp_arguments_get(arguments, "domain"),
                                vmp_arguments_has(arguments, "completed"), error);
    if (!info)
        return FALSE;

    if (vmp_session_wants_json(session))
        vmp_output_take_json(output, job_to_json(info));
    else if (vmp_arguments_has(arguments, "rawstats"))
        print_raw_job(output, info);
    else
        print_job(output, info, vmp_arguments_has(arguments, "anystats"));
    return TRUE;
}

static gboolean
run_jobabort(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");

    if (vmp_arguments_has(arguments, "postcopy")) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED,
                    "--postcopy is about migrations, and domain '%s' cannot have one here",
                    domain);
        return FALSE;
    }
    VmpHost *host = vmp_session_open(session, error);
    if (!host ||
        !vmp_backup_abort_job(host, domain, vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL), "%s", "");
    return TRUE;
}

static const VmpOption begin_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("backupxml", 0, "file", VMP_COMPLETE_FILE,
                 "file with the <domainbackup>; - is standard input"),
    VMP_POSITION("checkpointxml", 0, "file", VMP_COMPLETE_FILE,
                 "file with the <domaincheckpoint> to make at the same instant"),
    VMP_FLAG_BIT("reuse-external", VMP_BACKUP_BEGIN_REUSE_EXTERNAL,
                 "use target or scratch files that exist already"),
    VMP_FLAG_BIT("wait", VMP_BACKUP_BEGIN_WAIT, "return when the backup is complete"),
    VMP_VALUE("bandwidth", "MiB/s", VMP_COMPLETE_NOTHING, "copy at most so much a disk"),
    VMP_FLAG("compress", "compress what is written to qcow2 targets"),
    VMP_FLAG("quiesce", "the guest's file systems are frozen at the instant"),
    VMP_FLEECE_OPTION,
    VMP_OPTION_END,
};

static const VmpOption dumpxml_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_XPATH_OPTIONS,
    VMP_OPTION_END,
};

static const VmpOption jobinfo_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("completed", "the last job that ended rather than the one that runs"),
    VMP_FLAG("keep-completed", "accepted: reading never makes it forgotten"),
    VMP_FLAG("anystats", "also the numbers of a job that failed"),
    VMP_FLAG("rawstats", "under libvirt's names of the fields"),
    VMP_OPTION_END,
};

static const VmpRule jobinfo_rules[] = {
    { VMP_RULE_FIRST_NEEDS, "keep-completed completed" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption jobabort_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("postcopy", "refused: it is about migrations"),
    VMP_OPTION_END,
};

const VmpCommand vmp_backup_commands[] = {
    { .name = "backup-begin",
      .help = "start a backup of a domain's disks",
      .description =
          "Starts a backup as a <domainbackup> document asks for it; without one, a full "
          "backup of all disks.  The backup is of the instant at which "
          "the command starts it, and so is the checkpoint.  The command returns when the "
          "job runs; domjobinfo says how far it is, and the next command for the domain "
          "settles what has finished.  A pull backup serves the disks as they are at that "
          "instant until domjobabort.",
      .options = begin_options,
      .changes = TRUE,
      .run = run_begin },
    { .name = "backup-dumpxml",
      .help = "the <domainbackup> document of a running backup",
      .description = "Prints the document of the backup that runs.",
      .options = dumpxml_options,
      .run = run_dumpxml },
    { .name = "domjobabort",
      .help = "cancel the running backup",
      .description =
          "Cancels the backup that runs.  What it wrote is removed; what it would have saved "
          "is saved by the next one.  A pull backup is ended, and is complete then.",
      .options = jobabort_options,
      .changes = TRUE,
      .run = run_jobabort },
    { .name = "domjobinfo",
      .help = "how far a backup is",
      .description = "Prints what is known of the backup that runs, or of the last one.",
      .options = jobinfo_options,
      .rules = jobinfo_rules,
      .run = run_jobinfo },
    { .name = NULL },
};
