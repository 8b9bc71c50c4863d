/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* block*: one disk of a domain. */

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include "cli/units.h"

/* What virsh takes a number without a unit for. */
#define SIZE_UNIT 1024

static gboolean
run_resize(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *path = vmp_arguments_get(arguments, "path");
    const char *text = vmp_arguments_get(arguments, "size");
    guint64 size = 0;

    if (text && !vmp_parse_bytes(text, SIZE_UNIT, &size)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID, "'%s' is no size", text);
        return FALSE;
    }
    VmpHost *host = vmp_session_open(session, error);
    if (!host || !vmp_block_resize(host, domain, path, size, vmp_arguments_get_bits(arguments),
                                   vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL), "Block device '%s' is resized\n",
                       path);
    return TRUE;
}

/* ---- layers ---- */

static void
refuse(GError **error, const char *sentence)
{
    g_set_error_literal(error, VMP_ERROR, VMP_ERROR_UNSUPPORTED, sentence);
}

/* MiB a second as virsh takes them, or bytes. */
static gboolean
read_bandwidth(const VmpArguments *arguments, guint64 *bandwidth, GError **error)
{
    const char *text = vmp_arguments_get(arguments, "bandwidth");
    guint64 unit = vmp_arguments_has(arguments, "bytes") ? 1 : 1024 * 1024;

    if (!text || vmp_parse_bytes(text, unit, bandwidth))
        return TRUE;
    g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID, "--bandwidth is no number: '%s'", text);
    return FALSE;
}

static gboolean
read_patience(const VmpArguments *arguments, GError **error)
{
    const char *text = vmp_arguments_get(arguments, "timeout");
    guint64 seconds = 0;

    if (!text)
        return TRUE;
    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &seconds, NULL)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID,
                    "--timeout is no number of seconds: '%s'", text);
        return FALSE;
    }
    vmp_interrupt_after((guint)seconds);
    return TRUE;
}

static gboolean
read_range(const VmpArguments *arguments, VmpBlockRange *range, GError **error)
{
    if (vmp_arguments_has(arguments, "keep-relative")) {
        refuse(error,
               "--keep-relative is not supported: images name what they stand on by absolute "
               "paths");
        return FALSE;
    }
    range->base = vmp_arguments_get(arguments, "base");
    return read_bandwidth(arguments, &range->bandwidth, error) &&
           read_patience(arguments, error);
}

/* One that was cut short by --timeout has run out of time. */
static gboolean
fail(const VmpArguments *arguments, GError **error)
{
    if (vmp_interrupt_has_come() &&
        g_error_matches(*error, VMP_ERROR, VMP_ERROR_INTERRUPTED)) {
        g_clear_error(error);
        g_set_error(error, VMP_ERROR, VMP_ERROR_TIMED_OUT,
                    "not done within %s seconds; the layers are as before",
                    vmp_arguments_get(arguments, "timeout"));
    }
    return FALSE;
}

/* As virsh understands it: a command that is not told to wait returns when the job runs. */
static gboolean
waits(const VmpArguments *arguments, const char *const *ends)
{
    for (const char *const *end = ends; *end; end++)
        if (vmp_arguments_has(arguments, *end))
            return TRUE;
    return vmp_arguments_has(arguments, "wait") || vmp_arguments_has(arguments, "timeout");
}

static const char *const commit_ends[] = { "pivot", "keep-overlay", NULL };
static const char *const pull_ends[] = { NULL };
static const char *const copy_ends[] = { "pivot", "finish", NULL };

/* Only in a QEMU that runs can a job go on without us. */
static gboolean
is_running(VmpHost *host, const char *domain)
{
    g_autoptr(VmpDomainInfo) info = vmp_domain_get_info(host, domain, NULL);

    return info && info->state != VMP_STATE_SHUTOFF;
}

static VmpBlockCommitFlags
commit_flags(const VmpArguments *arguments, gboolean running)
{
    VmpBlockCommitFlags flags = vmp_arguments_get_bits(arguments);
    gboolean ends =
        !(flags & VMP_BLOCK_COMMIT_ACTIVE) || vmp_arguments_has(arguments, "pivot");

    if (!waits(arguments, commit_ends))
        return running || !ends ? flags | VMP_BLOCK_COMMIT_DETACH : flags;
    return ends ? flags : flags | VMP_BLOCK_COMMIT_KEEP_READY;
}

static const char *
said_of_commit(const VmpArguments *arguments, VmpBlockCommitFlags flags)
{
    if (flags & VMP_BLOCK_COMMIT_DETACH)
        return flags & VMP_BLOCK_COMMIT_ACTIVE ? "Active Block Commit started"
                                               : "Block Commit started";
    if (vmp_arguments_has(arguments, "keep-overlay"))
        return "\nCommit complete, overlay image kept";
    if (flags & VMP_BLOCK_COMMIT_KEEP_READY)
        return "\nNow in synchronized phase";
    return vmp_arguments_has(arguments, "pivot") ? "\nSuccessfully pivoted"
                                                 : "\nCommit complete";
}

static gboolean
run_commit(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *path = vmp_arguments_get(arguments, "path");
    VmpBlockRange range = { .top = vmp_arguments_get(arguments, "top") };
    VmpHost *host =
        read_range(arguments, &range, error) ? vmp_session_open(session, error) : NULL;
    if (!host)
        return FALSE;

    VmpBlockCommitFlags flags = commit_flags(arguments, is_running(host, domain));
    if (!vmp_block_commit(host, domain, path, &range, flags,
                          vmp_session_get_operation(session), error) ||
        (vmp_arguments_has(arguments, "keep-overlay") &&
         !vmp_operation_get_dry_run(vmp_session_get_operation(session)) &&
         !vmp_block_job_abort(host, domain, path, 0, error)))
        return fail(arguments, error);
    vmp_session_finish(session, vmp_result_new(domain, NULL), "%s",
                       said_of_commit(arguments, flags));
    return TRUE;
}

static gboolean
run_pull(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *path = vmp_arguments_get(arguments, "path");
    VmpBlockRange range = { 0 };
    VmpHost *host =
        read_range(arguments, &range, error) ? vmp_session_open(session, error) : NULL;
    if (!host)
        return FALSE;

    gboolean detach = !waits(arguments, pull_ends) && is_running(host, domain);
    if (!vmp_block_pull(host, domain, path, &range, detach ? VMP_BLOCK_PULL_DETACH : 0,
                        vmp_session_get_operation(session), error))
        return fail(arguments, error);
    vmp_session_finish(session, vmp_result_new(domain, NULL), "%s",
                       detach ? "Block Pull started" : "\nPull complete");
    return TRUE;
}

/* ---- copies ---- */

static gboolean
check_copy(const VmpArguments *arguments, GError **error)
{
    if (vmp_arguments_has(arguments, "shallow"))
        refuse(error, "--shallow is not supported: a copy stands on nothing");
    else if (vmp_arguments_has(arguments, "xml") || vmp_arguments_has(arguments, "print-xml"))
        refuse(error, "a destination is said by --dest and --format, not by --xml");
    else if (!vmp_arguments_has(arguments, "dest"))
        g_set_error_literal(error, VMP_ERROR, VMP_ERROR_INVALID, "blockcopy needs --dest");
    else
        return TRUE;
    return FALSE;
}

static gboolean
read_bytes(const VmpArguments *arguments, const char *name, guint64 *bytes, GError **error)
{
    const char *text = vmp_arguments_get(arguments, name);

    if (!text || vmp_parse_bytes(text, 1, bytes))
        return TRUE;
    g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID, "--%s is no size: '%s'", name, text);
    return FALSE;
}

static gboolean
read_copy(const VmpArguments *arguments, VmpBlockCopy *copy, GError **error)
{
    copy->path = vmp_arguments_get(arguments, "dest");
    copy->format = vmp_arguments_get(arguments, "format");
    if (vmp_arguments_has(arguments, "blockdev") && !copy->format)
        copy->format = "raw";
    return check_copy(arguments, error) &&
           read_bytes(arguments, "granularity", &copy->granularity, error) &&
           read_bytes(arguments, "buf-size", &copy->buffer, error) &&
           read_bandwidth(arguments, &copy->bandwidth, error) &&
           read_patience(arguments, error);
}

static VmpBlockCopyFlags
copy_flags(const VmpArguments *arguments)
{
    VmpBlockCopyFlags flags = vmp_arguments_get_bits(arguments);

    if (!waits(arguments, copy_ends))
        return flags | VMP_BLOCK_COPY_DETACH;
    return vmp_arguments_has(arguments, "pivot") || vmp_arguments_has(arguments, "finish")
               ? flags
               : flags | VMP_BLOCK_COPY_KEEP_READY;
}

static const char *
said_of_copy(VmpBlockCopyFlags flags)
{
    if (flags & VMP_BLOCK_COPY_DETACH)
        return "Block Copy started";
    if (flags & VMP_BLOCK_COPY_KEEP_READY)
        return "\nNow in mirroring phase";
    return flags & VMP_BLOCK_COPY_PIVOT ? "\nSuccessfully pivoted" : "\nSuccessfully copied";
}

static gboolean
run_copy(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *path = vmp_arguments_get(arguments, "path");
    VmpBlockCopy copy = { 0 };
    VmpBlockCopyFlags flags = copy_flags(arguments);
    VmpHost *host =
        read_copy(arguments, &copy, error) ? vmp_session_open(session, error) : NULL;

    if (!host || !vmp_block_copy_disk(host, domain, path, &copy, flags,
                                      vmp_session_get_operation(session), error))
        return fail(arguments, error);
    vmp_session_finish(session, vmp_result_new(domain, NULL), "%s", said_of_copy(flags));
    return TRUE;
}

/* ---- jobs ---- */

static const char *
title_of(const VmpBlockJobInfo *info)
{
    if (g_str_equal(info->type, "pull"))
        return "Block Pull";
    if (g_str_equal(info->type, "copy"))
        return "Block Copy";
    if (g_str_equal(info->type, "commit"))
        return info->ready ? "Active Block Commit" : "Block Commit";
    return "Backup";
}

static json_object *
job_to_json(const VmpBlockJobInfo *info)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "type", vmp_json_string(info->type));
    json_object_object_add(object, "bandwidth", json_object_new_uint64(info->bandwidth));
    json_object_object_add(object, "current", json_object_new_uint64(info->current));
    json_object_object_add(object, "total", json_object_new_uint64(info->total));
    json_object_object_add(object, "ready", json_object_new_boolean(info->ready));
    return object;
}

/* One that has nothing to do has done it when it is ready. */
static int
percentage(const VmpBlockJobInfo *info)
{
    if (info->total == 0)
        return info->ready ? 100 : 0;
    return (int)((double)MIN(info->current, info->total) * 100 / (double)info->total);
}

static void
print_job(VmpOutput *output, const VmpBlockJobInfo *info)
{
    vmp_output_print(output, "%s: [%3d %%]", title_of(info), percentage(info));
    if (info->bandwidth) {
        g_autofree char *pretty = vmp_format_bytes(info->bandwidth);
        vmp_output_print(output, "    Bandwidth limit: %" G_GUINT64_FORMAT " bytes/s (%s/s)",
                         info->bandwidth, pretty);
    }
    vmp_output_print(output, "\n");
}

static gboolean
print_info(VmpSession *session, const VmpArguments *arguments, VmpHost *host, GError **error)
{
    VmpOutput *output = vmp_session_get_output(session);
    const char *path = vmp_arguments_get(arguments, "path");
    g_autoptr(VmpBlockJobInfo) info =
        vmp_block_job_get_info(host, vmp_arguments_get(arguments, "domain"), path, error);

    if (!info)
        return FALSE;
    if (vmp_session_wants_json(session))
        vmp_output_take_json(output, job_to_json(info));
    else if (!info->type)
        vmp_output_say(output, "No current block job for %s\n", path);
    else if (vmp_arguments_has(arguments, "raw"))
        vmp_output_print(output,
                         " type=%s\n bandwidth=%" G_GUINT64_FORMAT "\n cur=%" G_GUINT64_FORMAT
                         "\n end=%" G_GUINT64_FORMAT "\n",
                         title_of(info), info->bandwidth, info->current, info->total);
    else
        print_job(output, info);
    return TRUE;
}

static gboolean
run_job(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *path = vmp_arguments_get(arguments, "path");
    guint64 bandwidth = 0;

    VmpHost *host =
        read_bandwidth(arguments, &bandwidth, error) ? vmp_session_open(session, error) : NULL;
    if (!host)
        return FALSE;
    if (vmp_arguments_has(arguments, "pivot"))
        return vmp_block_job_pivot(host, domain, path, vmp_session_get_operation(session),
                                   error);
    if (vmp_arguments_has(arguments, "abort") || vmp_arguments_has(arguments, "async"))
        return vmp_block_job_abort(host, domain, path, vmp_arguments_get_bits(arguments),
                                   error);
    if (vmp_arguments_has(arguments, "bandwidth"))
        return vmp_block_job_set_bandwidth(host, domain, path, bandwidth, error);
    return print_info(session, arguments, host, error);
}

#define DISK_OPTION                                                      \
    VMP_POSITION("path", VMP_OPTION_REQUIRED, "disk", VMP_COMPLETE_DISK, \
                 "target of the disk, or path of its image")
#define RATE_OPTIONS                                                                   \
    VMP_VALUE("bandwidth", "MiB/s", VMP_COMPLETE_NOTHING, "copy no faster than that"), \
        VMP_FLAG("bytes", "--bandwidth is in bytes a second")
#define WAIT_OPTIONS                                                                        \
    VMP_FLAG("wait", "return when it is done, or, if it ends by a word only, could end"),   \
        VMP_FLAG("verbose", "accepted: progress is shown on a terminal, or by --progress"), \
        VMP_FLAG("async", "accepted: an end that was asked for is waited for"),             \
        VMP_VALUE("timeout", "seconds", VMP_COMPLETE_NOTHING,                               \
                  "take it back if it is not done by then")
#define RELATIVE_OPTION VMP_FLAG("keep-relative", "refused: paths are absolute")

static const VmpOption commit_options[] = {
    VMP_DOMAIN_OPTION,
    DISK_OPTION,
    RATE_OPTIONS,
    VMP_VALUE("base", "path", VMP_COMPLETE_FILE,
              "image that takes the others in; the lowest one if it is not said"),
    VMP_FLAG_BIT("shallow", VMP_BLOCK_COMMIT_SHALLOW, "into what --top stands on"),
    VMP_VALUE("top", "path", VMP_COMPLETE_FILE,
              "uppermost image that goes; the active layer if it is not said"),
    VMP_FLAG_BIT("active", VMP_BLOCK_COMMIT_ACTIVE, "the active layer goes"),
    VMP_FLAG_BIT("delete", VMP_BLOCK_COMMIT_DELETE, "remove the files that vmpoint made"),
    WAIT_OPTIONS,
    RELATIVE_OPTION,
    VMP_FLAG_BIT("pivot", VMP_BLOCK_COMMIT_ACTIVE,
                 "the same as --active: the disk goes on with the base"),
    VMP_FLAG_BIT("keep-overlay", VMP_BLOCK_COMMIT_ACTIVE,
                 "commit the active layer, and go on with it over the base"),
    VMP_OPTION_END,
};

static const VmpRule commit_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "pivot keep-overlay" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption pull_options[] = {
    VMP_DOMAIN_OPTION,
    DISK_OPTION,
    RATE_OPTIONS,
    VMP_VALUE("base", "path", VMP_COMPLETE_FILE,
              "image to stand on then; nothing if it is not said"),
    WAIT_OPTIONS,
    RELATIVE_OPTION,
    VMP_OPTION_END,
};

static const VmpOption copy_options[] = {
    VMP_DOMAIN_OPTION,
    DISK_OPTION,
    VMP_POSITION("dest", 0, "path", VMP_COMPLETE_FILE, "file of the copy"),
    RATE_OPTIONS,
    VMP_FLAG("shallow", "refused: a copy stands on nothing"),
    VMP_FLAG_BIT("reuse-external", VMP_BLOCK_COPY_REUSE_EXTERNAL,
                 "use a file that exists already"),
    VMP_FLAG_BIT("blockdev", VMP_BLOCK_COPY_BLOCK_DEVICE, "--dest is a block device"),
    WAIT_OPTIONS,
    VMP_FLAG_BIT("pivot", VMP_BLOCK_COPY_PIVOT, "the disk goes on with the copy"),
    VMP_FLAG("finish", "the disk goes on as before"),
    VMP_VALUE("xml", "file", VMP_COMPLETE_FILE, "refused: say --dest"),
    VMP_VALUE("format", "format", VMP_COMPLETE_NOTHING,
              "qcow2 or raw; that of the disk if it is not said"),
    VMP_VALUE("granularity", "bytes", VMP_COMPLETE_NOTHING, "what is copied at once at least"),
    VMP_VALUE("buf-size", "bytes", VMP_COMPLETE_NOTHING, "what is in flight at most"),
    VMP_FLAG("transient-job", "accepted: a job does not outlive its QEMU"),
    VMP_FLAG_BIT("synchronous-writes", VMP_BLOCK_COPY_SYNCHRONOUS,
                 "what the guest writes meanwhile is written twice at once"),
    VMP_FLAG("print-xml", "refused: there is no such document"),
    VMP_OPTION_END,
};

static const VmpRule copy_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "pivot finish" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption job_options[] = {
    VMP_DOMAIN_OPTION,
    DISK_OPTION,
    VMP_FLAG("abort", "end the job; the layers are as before"),
    VMP_FLAG_BIT("async", VMP_BLOCK_JOB_ABORT_ASYNC, "the same, without waiting for its end"),
    VMP_FLAG("pivot", "go on with the copy, or with what the active layer was committed to"),
    VMP_FLAG("info", "how far it is; that is what is done if nothing is said"),
    VMP_FLAG("raw", "the same, number by number"),
    RATE_OPTIONS,
    VMP_OPTION_END,
};

static const VmpRule job_rules[] = {
    { VMP_RULE_AT_MOST_ONE, "info abort bandwidth" },
    { VMP_RULE_AT_MOST_ONE, "info pivot bandwidth" },
    { VMP_RULE_AT_MOST_ONE, "info async bandwidth" },
    { VMP_RULE_AT_MOST_ONE, "raw abort bandwidth" },
    { VMP_RULE_AT_MOST_ONE, "raw async bandwidth" },
    { VMP_RULE_NONE, NULL },
};

/* ---- size ---- */

static const VmpOption resize_options[] = {
    VMP_DOMAIN_OPTION,
    DISK_OPTION,
    VMP_POSITION("size", 0, "size", VMP_COMPLETE_NOTHING,
                 "what it is to have: 3G or 512MiB, for instance; KiB without a unit"),
    VMP_FLAG_BIT("capacity", VMP_BLOCK_RESIZE_CAPACITY,
                 "a raw block device: as large as that has become"),
    VMP_FLAG_BIT("extend", VMP_BLOCK_RESIZE_EXTEND, "never make it smaller"),
    VMP_FLAG_BIT("force", VMP_BLOCK_RESIZE_FORCE, "make it smaller, whatever is lost"),
    VMP_OPTION_END,
};

static const VmpRule resize_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "size capacity" },
    { VMP_RULE_AT_MOST_ONE, "extend force" },
    { VMP_RULE_NONE, NULL },
};

const VmpCommand vmp_block_commands[] = {
    { .name = "blockcommit",
      .help = "merge layers of a disk down into one of them",
      .description = "Merges the layers of a disk from --top down into --base.  Of a domain "
                     "that runs the "
                     "command returns when the job does, unless it is told to wait.  Bitmaps "
                     "are carried along.  Layers that a snapshot, another image or "
                     "another "
                     "domain needs are left alone: the command is refused.",
      .options = commit_options,
      .rules = commit_rules,
      .changes = TRUE,
      .run = run_commit },
    { .name = "blockcopy",
      .help = "copy a disk while its guest runs",
      .description =
          "Copies all that a disk of a running domain reads as into another image.  "
          "With --finish the copy is the disk as it is then, with --pivot "
          "the disk goes on with the copy, bitmaps included.",
      .options = copy_options,
      .rules = copy_rules,
      .changes = TRUE,
      .run = run_copy },
    { .name = "blockjob",
      .help = "look at the block job of a disk, slow it down or end it",
      .description =
          "Prints how far the job is that some other command has begun on a disk, gives it "
          "another bandwidth, or ends it.  It does not wait for a command that waits for "
          "the job.",
      .options = job_options,
      .rules = job_rules,
      .run = run_job },
    { .name = "blockpull",
      .help = "make the active layer of a disk stand on less, or on nothing",
      .description =
          "Copies into the active layer of a disk what it has from the layers below, down to "
          "--base.  Of a domain that runs the command returns when the job does, unless it is "
          "told to wait.  The layers stay, for the snapshots that "
          "have "
          "them.",
      .options = pull_options,
      .changes = TRUE,
      .run = run_pull },
    { .name = "blockresize",
      .help = "give a disk another size",
      .description =
          "Makes a disk larger, or with --force smaller, while the domain runs or is "
          "off.  Its snapshots keep the size that they have.",
      .options = resize_options,
      .rules = resize_rules,
      .changes = TRUE,
      .run = run_resize },
    { .name = NULL },
};
