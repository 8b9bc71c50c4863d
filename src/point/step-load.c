/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start-stopped  { "definition": id }
 * load-internal  { "tag", "disks": DISKS, "vmstate": "vda", "definition": id,
 *                  "drop-bitmaps": bool, "new-process": bool, "parts": FILES,
 *                  "copies": DISKS that lose the tag once the RAM is loaded }
 * apply-internal { "tag", "disks": DISKS, "drop-bitmaps": bool }
 *
 * DISKS as in step-internal.c, FILES as in step-part.c; a definition is one of the store's.
 *
 * Loading takes disks and RAM back; the guest does not run until a later step lets it, so it
 * may be repeated, in another process too, and once it was begun that is what happens.
 * When the RAM cannot be loaded, not even into a fresh process, the domain ends off with all
 * disks and "parts" as the snapshot has them: a power cut at that moment, and nothing between
 * two states.
 *
 * QEMU takes no image back that has bitmaps: they are removed before.
 */

#include <string.h>

#include "base/error.h"
#include "point/internal-steps.h"
#include "point/part.h"
#include "point/steps.h"
#include "qmp/commands.h"
#include "qmp/transaction.h"

#define LOAD_JOB "vmp-snapshot-load"

/* ---- the process ---- */

static gint64
definition_of(const VmpStep *step)
{
    return vmp_json_get_int(step->args, "definition", 0);
}

static gboolean
start_stopped(const VmpStep *step, VmpChange *change, GError **error)
{
    g_autofree char *text = vmp_store_get_definition(vmp_machine_get_store(change->machine),
                                                     definition_of(step), NULL, error);
    g_autoptr(VmpDomain) definition = text ? vmp_domain_parse(text, -1, error) : NULL;

    return definition && vmp_change_close_session(change, error) &&
           vmp_machine_start_with(change->machine, definition, VMP_START_PAUSED, error);
}

gboolean
vmp_internal_end_process(VmpChange *change, GError **error)
{
    return vmp_change_close_session(change, error) &&
           (!vmp_machine_is_on(change->machine) ||
            vmp_machine_destroy(change->machine, 0, error));
}

/* ---- start-stopped ---- */

static gboolean
start_undo(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error)
{
    return vmp_internal_end_process(change, error);
}

static char *
start_describe(const VmpStep *step G_GNUC_UNUSED)
{
    return g_strdup("start QEMU with the snapshot's definition, stopped");
}

const VmpStepKind vmp_step_start_stopped = {
    .name = "start-stopped",
    .apply = start_stopped,
    .undo = start_undo,
    .describe = start_describe,
};

/* ---- taking disks back where no QEMU runs ---- */

static gboolean
drop_stored_bitmaps(const VmpInternalDisk *disk, GError **error)
{
    for (guint i = 0; i < disk->bitmaps->len; i++)
        if (!vmp_image_remove_bitmap(disk->path, g_ptr_array_index(disk->bitmaps, i), NULL,
                                     error))
            return FALSE;
    return TRUE;
}

static gboolean
apply_to_images(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *entries = vmp_json_get_array(step->args, "disks");
    gboolean drop = vmp_json_get_bool(step->args, "drop-bitmaps", FALSE);
    if (!vmp_internal_end_process(change, error))
        return FALSE;

    g_autoptr(GPtrArray) disks = vmp_internal_disks_look(change->machine, error);
    for (guint i = 0; disks && drop && i < vmp_json_length(entries); i++) {
        const VmpInternalDisk *disk =
            vmp_internal_disks_find_entry(disks, vmp_json_at(entries, i));
        if (disk && !drop_stored_bitmaps(disk, error))
            return FALSE;
    }
    return disks && vmp_internal_each_image(entries, disks, VMP_IMAGE_SNAPSHOT_APPLY,
                                            vmp_json_get_string(step->args, "tag"), error);
}

/* Known by the journal's note alone: an image does not say what it was taken back to. */
static VmpProbe
noted_probe(const VmpStep *step G_GNUC_UNUSED, VmpChange *change, GError **error G_GNUC_UNUSED)
{
    return change->commit_begun ? VMP_PROBE_BEGUN : VMP_PROBE_NOT_DONE;
}

static char *
take_back_describe(const char *what, const VmpStep *step)
{
    VmpJson *entries = vmp_json_get_array(step->args, "disks");
    GString *text = g_string_new(what);

    for (guint i = 0; i < vmp_json_length(entries); i++)
        g_string_append_printf(text, "%s %s", i ? "," : "",
                               vmp_json_get_string(vmp_json_at(entries, i), "disk"));
    g_string_append_printf(text, " back to internal snapshot '%s'",
                           vmp_json_get_string(step->args, "tag"));
    return g_string_free(text, FALSE);
}

static char *
apply_describe(const VmpStep *step)
{
    return take_back_describe("with the domain off, take", step);
}

const VmpStepKind vmp_step_apply_internal = {
    .name = "apply-internal",
    .apply = apply_to_images,
    .probe = noted_probe,
    .describe = apply_describe,
};

/* ---- load-internal ---- */

static gboolean
drop_bitmaps(VmpQmpClient *client, VmpJson *entries, const GPtrArray *disks, GError **error)
{
    g_autoptr(VmpQmpTransaction) transaction = vmp_qmp_transaction_new();

    for (guint i = 0; i < vmp_json_length(entries); i++) {
        const VmpInternalDisk *disk =
            vmp_internal_disks_find_entry(disks, vmp_json_at(entries, i));
        for (guint j = 0; disk && j < disk->bitmaps->len; j++)
            vmp_qmp_transaction_bitmap_remove(transaction, disk->node,
                                              g_ptr_array_index(disk->bitmaps, j));
    }
    return vmp_qmp_transaction_run(transaction, client, error);
}

/* @disks NULL: as planned. */
static VmpQmpCommand *
load_command(const VmpStep *step, const GPtrArray *disks)
{
    VmpJson *entries = vmp_json_get_array(step->args, "disks");
    const char *vmstate = vmp_json_get_string(step->args, "vmstate");
    g_auto(GStrv) nodes = vmp_internal_nodes(entries, disks);
    const char *node = NULL;

    for (guint i = 0; i < vmp_json_length(entries) && !node; i++) {
        VmpJson *entry = vmp_json_at(entries, i);
        const VmpInternalDisk *disk =
            disks ? vmp_internal_disks_find_entry(disks, entry) : NULL;
        if (g_strcmp0(vmp_json_get_string(entry, "disk"), vmstate) == 0)
            node = disk ? disk->node : vmp_json_get_string(entry, "node");
    }
    return node ? vmp_qmp_snapshot_load(LOAD_JOB, vmp_json_get_string(step->args, "tag"), node,
                                        (const char *const *)nodes)
                : NULL;
}

/* Into the process that is there. */
static gboolean
load(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpQmpClient *client = vmp_change_get_client(change, error);
    g_autoptr(GPtrArray) disks =
        client ? vmp_internal_disks_look(change->machine, error) : NULL;
    if (!disks)
        return FALSE;
    if (vmp_json_get_bool(step->args, "drop-bitmaps", FALSE) &&
        !drop_bitmaps(client, vmp_json_get_array(step->args, "disks"), disks, error))
        return FALSE;

    g_autoptr(VmpQmpCommand) command = load_command(step, disks);
    if (!command)
        return vmp_fail(error, VMP_ERROR_REFUSED,
                        "the image with the RAM is not there any more");
    return vmp_internal_run_job(change, command, LOAD_JOB, error);
}

gboolean
vmp_internal_is_untouched(const GError *failure)
{
    return vmp_error_is(failure, VMP_ERROR_REFUSED) &&
           !strstr(failure->message, "while loading VM state") &&
           !strstr(failure->message, "Could not load snapshot");
}

/* The RAM is lost; the disks are not. */
static gboolean
fall_back_to_disks(const VmpStep *step, VmpChange *change, const GError *failure,
                   GError **error)
{
    if (!apply_to_images(step, change, error) ||
        !vmp_part_put_now(vmp_json_get_array(step->args, "parts"), error))
        return FALSE;
    vmp_operation_warn(
        change->operation,
        "the RAM could not be loaded (%s): the domain is off, its disks are those "
        "of the snapshot",
        failure->message);
    return TRUE;
}

/* Of a QEMU that is not ours to start again: as after a power cut, too. */
static gboolean
reset_instead(VmpChange *change, const GError *failure, GError **error)
{
    if (!vmp_change_run(change, vmp_qmp_system_reset(), error))
        return FALSE;
    vmp_operation_warn(change->operation,
                       "the RAM could not be loaded (%s): the guest was reset, its disks are "
                       "those of the snapshot",
                       failure->message);
    return TRUE;
}

static gboolean
load_into_new_process(const VmpStep *step, VmpChange *change, GError **error)
{
    return vmp_internal_end_process(change, error) && start_stopped(step, change, error) &&
           load(step, change, error);
}

static gboolean
load_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    const VmpStoreDomain *row = vmp_machine_get_row(change->machine);
    /* The process that has the definition to be is not one that must go. */
    gboolean stays = vmp_machine_is_on(change->machine) &&
                     (!vmp_json_get_bool(step->args, "new-process", FALSE) ||
                      row->active == definition_of(step));
    g_autoptr(GError) failure = NULL;

    if (stays && load(step, change, &failure))
        return TRUE;
    if (failure && !change->recovering && vmp_internal_is_untouched(failure)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (failure && row->qmp_path)
        return reset_instead(change, failure, error);
    if (failure)
        vmp_operation_note(change->operation, "loading again, into a new process: %s",
                           failure->message);

    g_clear_error(&failure);
    return load_into_new_process(step, change, &failure) ||
           fall_back_to_disks(step, change, failure, error);
}

static char *
load_describe(const VmpStep *step)
{
    return take_back_describe("take the RAM and", step);
}

static void
load_commands(const VmpStep *step, GPtrArray *commands)
{
    VmpQmpCommand *command = load_command(step, NULL);

    if (command)
        g_ptr_array_add(commands, command);
}

/* A copy that has lost the tag was tidied after the load, which cannot be done again. */
static VmpProbe
load_probe(const VmpStep *step, VmpChange *change, GError **error)
{
    VmpJson *copies = vmp_json_get_array(step->args, "copies");
    g_autoptr(GPtrArray) disks = NULL;

    if (!change->commit_begun || vmp_json_length(copies) == 0)
        return noted_probe(step, change, error);
    disks = vmp_internal_disks_look(change->machine, error);
    for (guint i = 0; disks && i < vmp_json_length(copies); i++) {
        gboolean has = FALSE;
        if (!vmp_internal_entry_has(disks, vmp_json_at(copies, i),
                                    vmp_json_get_string(step->args, "tag"), &has, error))
            return VMP_PROBE_UNKNOWN;
        if (!has)
            return VMP_PROBE_DONE;
    }
    return disks ? VMP_PROBE_BEGUN : VMP_PROBE_UNKNOWN;
}

const VmpStepKind vmp_step_load_internal = {
    .name = "load-internal",
    .apply = load_apply,
    .probe = load_probe,
    .describe = load_describe,
    .commands = load_commands,
};
