/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* open-memory { "file", "node" }
 * load-memory { "file", "node", "definition": id of the store, "layers": [ path, ... ],
 * "parts": as in step-part.c, or absent }
 *
 * The RAM of a memory file goes into the process that runs, whose disks have been swapped for
 * new, empty layers: connections to it stay.
 *
 * From the moment that QEMU begins to load, the RAM that was there is lost; the disks are not,
 * for their old layers wait untouched.  So when it fails a new process is tried, and when that
 * fails too all is undone: the domain is off, with the disks (and the TPM: "parts") that it
 * had.  That is the worst there is, a power cut.
 *
 * Loading may be repeated as long as the guest has not run, and once it was begun that is what
 * recovery does.  Whether the guest has run shows: it runs, or it has written to its new
 * layers.
 */

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "machine/spare.h"
#include "point/internal-steps.h"
#include "point/memory.h"
#include "point/part.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "storage/ram-file.h"
#include "storage/vmstate.h"

#define LOAD_JOB "vmp-memory-load"

static const char *
node_of(const VmpStep *step)
{
    return vmp_json_get_string(step->args, "node");
}

/* ---- open-memory ---- */

/* The id under which QEMU has @fd; -1 on failure. */
static gint64
lend(VmpQmpClient *client, int fd, GError **error)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_add_fd();
    g_autoptr(VmpJson) reply = vmp_qmp_client_execute_fd(client, command, fd, NULL, error);

    return reply ? vmp_json_get_int(reply, "fdset-id", -1) : -1;
}

static gboolean
open_lent(VmpQmpClient *client, const char *node, gint64 wrap, gint64 stream, guint64 offset,
          GError **error)
{
    g_autofree char *wrap_path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, wrap);
    g_autofree char *stream_path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, stream);

    return vmp_qmp_client_run(
        client,
        vmp_qmp_blockdev_add(vmp_qmp_options_vmstate(node, wrap_path, stream_path, offset)),
        NULL, error);
}

/* By descriptors: QEMU need not be one that may open the memory file by its name. */
static gboolean
open_memory(VmpQmpClient *client, const char *node, int stream, int wrap, guint64 offset,
            GError **error)
{
    gint64 wrap_id = lend(client, wrap, error);
    gint64 stream_id = wrap_id >= 0 ? lend(client, stream, error) : -1;
    gboolean opened =
        stream_id >= 0 && open_lent(client, node, wrap_id, stream_id, offset, error);

    /* What is open stays open; the rest is closed with the last monitor in any case. */
    if (wrap_id >= 0)
        vmp_qmp_client_run(client, vmp_qmp_remove_fd(wrap_id), NULL, NULL);
    if (stream_id >= 0)
        vmp_qmp_client_run(client, vmp_qmp_remove_fd(stream_id), NULL, NULL);
    return opened;
}

static gboolean
open_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    const char *file = vmp_json_get_string(step->args, "file");
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_auto(VmpFd) stream = client ? vmp_ram_file_open_checked(file, error) : -1;
    struct stat info;
    off_t offset = stream >= 0 ? lseek(stream, 0, SEEK_CUR) : -1;

    if (offset < 0 || fstat(stream, &info) < 0)
        return FALSE;
    g_auto(VmpFd) wrap =
        vmp_vmstate_wrap(stream, (guint64)offset, (guint64)(info.st_size - offset), error);
    return wrap >= 0 &&
           open_memory(client, node_of(step), stream, wrap, (guint64)offset, error);
}

static gboolean
is_open(const VmpStep *step, VmpChange *change, gboolean *open, GError **error)
{
    g_autoptr(VmpBlockGraph) graph = vmp_change_read_graph(change, error);

    *open = graph && vmp_block_graph_node(graph, node_of(step));
    return graph != NULL;
}

static gboolean
open_undo(const VmpStep *step, VmpChange *change, GError **error)
{
    gboolean open = FALSE;

    if (!vmp_machine_is_on(change->machine))
        return TRUE;
    return is_open(step, change, &open, error) &&
           (!open || vmp_change_run(change, vmp_qmp_blockdev_del(node_of(step)), error));
}

static char *
open_describe(const VmpStep *step)
{
    return g_strdup_printf("open memory file '%s' in the running process",
                           vmp_json_get_string(step->args, "file"));
}

static void
open_commands(const VmpStep *step G_GNUC_UNUSED, GPtrArray *commands)
{
    g_ptr_array_add(commands, vmp_qmp_add_fd());
    g_ptr_array_add(commands, vmp_qmp_add_fd());
    g_ptr_array_add(commands, vmp_qmp_blockdev_add(vmp_qmp_options_vmstate(
                                  node_of(step), "/dev/fdset/0", "/dev/fdset/1", 0)));
}

const VmpStepKind vmp_step_open_memory = {
    .name = "open-memory",
    .apply = open_apply,
    .undo = open_undo,
    .describe = open_describe,
    .commands = open_commands,
};

/* ---- load-memory ---- */

static VmpQmpCommand *
load_command(const VmpStep *step)
{
    const char *nodes[] = { node_of(step), NULL };

    return vmp_qmp_snapshot_load(LOAD_JOB, VMP_VMSTATE_TAG, nodes[0], nodes);
}

/* Into the process that is there. */
static gboolean
load(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(VmpQmpCommand) command = load_command(step);
    gboolean open = FALSE;

    if (!is_open(step, change, &open, error))
        return FALSE;
    if (!open)
        return vmp_fail(error, VMP_ERROR_INCONSISTENT, "the memory file is not open any more");
    return vmp_internal_run_job(change, command, LOAD_JOB, error);
}

static gboolean
load_into_new_process(const VmpStep *step, VmpChange *change, GError **error)
{
    const char *file = vmp_json_get_string(step->args, "file");
    g_autofree char *text =
        vmp_store_get_definition(vmp_machine_get_store(change->machine),
                                 vmp_json_get_int(step->args, "definition", 0), NULL, error);
    g_autoptr(VmpDomain) definition = text ? vmp_domain_parse(text, -1, error) : NULL;

    return definition && vmp_internal_end_process(change, error) &&
           vmp_fault("memory-process-ended", error) &&
           vmp_memory_load_spare(change, definition, file, NULL, NULL, error) &&
           vmp_machine_switch_to_spare(change->machine, "from snapshot", error);
}

/* Of a QEMU that is not ours to start again: as after a power cut, too. */
static gboolean
give_up_attached(VmpChange *change, GError *failure /* taken */, GError **error)
{
    if (vmp_machine_is_on(change->machine) &&
        !vmp_change_run(change, vmp_qmp_system_reset(), NULL)) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    change->taken_back = TRUE;
    vmp_fail(
        error, VMP_ERROR_DAMAGED,
        "the RAM could not be loaded (%s): the guest was reset, with the disks that it had",
        failure->message);
    g_error_free(failure);
    return FALSE;
}

static gboolean
give_up(const VmpStep *step, VmpChange *change, const GError *first, const GError *second,
        GError **error)
{
    /* A new process that was chosen is there, or the next command sees to it. */
    if (vmp_machine_is_on(change->machine) || vmp_machine_get_spare_monitor(change->machine)) {
        g_propagate_error(error, g_error_copy(second));
        return FALSE;
    }
    if (!vmp_part_put_back(vmp_json_get_array(step->args, "parts"), error))
        return FALSE;
    change->taken_back = TRUE;
    return vmp_fail(
        error, VMP_ERROR_DAMAGED,
        "the RAM could not be loaded (%s%s%s): the domain is off, with the disks that it "
        "had",
        first ? first->message : "", first ? "; in a new process: " : "", second->message);
}

static gboolean
load_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autoptr(GError) first = NULL;
    g_autoptr(GError) second = NULL;

    if (vmp_machine_is_on(change->machine)) {
        if (load(step, change, &first) && vmp_fault("memory-loaded", &first))
            return TRUE;
        if (!change->recovering && vmp_internal_is_untouched(first)) {
            g_propagate_error(error, g_steal_pointer(&first));
            return FALSE;
        }
        if (vmp_machine_get_row(change->machine)->qmp_path)
            return give_up_attached(change, g_steal_pointer(&first), error);
        vmp_operation_note(change->operation, "loading again, into a new process: %s",
                           first->message);
    }
    return load_into_new_process(step, change, &second) ||
           give_up(step, change, first, second, error);
}

static VmpProbe
probe_layers(const VmpStep *step, GError **error)
{
    g_auto(GStrv) layers = vmp_json_get_strv(step->args, "layers");
    gboolean written = FALSE;

    for (char **layer = layers; layer && *layer && !written; layer++)
        if (!vmp_image_is_written(*layer, &written, NULL, error))
            return VMP_PROBE_UNKNOWN;
    return written ? VMP_PROBE_DONE : VMP_PROBE_BEGUN;
}

static VmpProbe
load_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpState state = VMP_STATE_NOSTATE;

    if (!change->commit_begun)
        return VMP_PROBE_NOT_DONE;
    /* Only a new process that has loaded takes the place of the one before. */
    if (vmp_machine_get_row(change->machine)->active ==
        vmp_json_get_int(step->args, "definition", 0))
        return VMP_PROBE_DONE;
    if (vmp_machine_is_on(change->machine)) {
        if (!vmp_machine_query_state(change->machine, &state, NULL, error))
            return VMP_PROBE_UNKNOWN;
        if (state == VMP_STATE_RUNNING)
            return VMP_PROBE_DONE;
    }
    return probe_layers(step, error);
}

static char *
load_describe(const VmpStep *step)
{
    return g_strdup_printf("load the RAM of '%s'", vmp_json_get_string(step->args, "file"));
}

static void
load_commands(const VmpStep *step, GPtrArray *commands)
{
    g_ptr_array_add(commands, load_command(step));
}

const VmpStepKind vmp_step_load_memory = {
    .name = "load-memory",
    .apply = load_apply,
    .probe = load_probe,
    .describe = load_describe,
    .commands = load_commands,
};
