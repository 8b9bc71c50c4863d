/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/running.h"

#include "base/error.h"
#include "storage/overlay.h"

void
vmp_running_clear(VmpRunning *running)
{
    g_clear_pointer(&running->row, vmp_store_backup_free);
    g_clear_pointer(&running->detail, json_object_put);
    g_clear_pointer(&running->images, g_ptr_array_unref);
    g_clear_pointer(&running->scratch, g_ptr_array_unref);
    g_clear_pointer(&running->ids, g_strfreev);
}

/* ---- reading ---- */

static gboolean
take_apart(VmpRunning *running, GError **error)
{
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();

    running->detail = vmp_json_parse(running->row->detail, -1, error);
    if (!running->detail)
        return FALSE;
    running->images =
        vmp_new_images_from_json(vmp_json_get_array(running->detail, "images"), error);
    if (!running->images)
        return FALSE;
    running->scratch =
        vmp_new_images_from_json(vmp_json_get_array(running->detail, "scratch"), error);
    if (!running->scratch)
        return FALSE;

    VmpJson *disks = vmp_json_get_array(running->detail, "disks");
    for (guint i = 0; i < vmp_json_length(disks); i++) {
        const char *job = vmp_json_get_string(vmp_json_at(disks, i), "job");
        if (job)
            g_strv_builder_add(ids, job);
    }
    running->ids = g_strv_builder_end(ids);
    return TRUE;
}

gboolean
vmp_running_find(VmpMachine *machine, VmpRunning *running, GError **error)
{
    g_autoptr(GError) failure = NULL;

    running->row = vmp_store_find_backup(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, "running", &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return !running->row || take_apart(running, error);
}

gboolean
vmp_running_is_pull(const VmpRunning *running)
{
    return vmp_json_get_object(running->detail, "server") != NULL;
}

gboolean
vmp_running_is_offline(const VmpRunning *running)
{
    return vmp_json_get_bool(running->detail, "offline", FALSE);
}

/* ---- writing ---- */

static gboolean
put_row(VmpRunning *running, VmpMachine *machine, GError **error)
{
    g_free(running->row->detail);
    running->row->detail = vmp_json_to_text(running->detail);
    return vmp_store_put_backup(vmp_machine_get_store(machine), running->row, error);
}

gboolean
vmp_running_note_end(VmpRunning *running, VmpMachine *machine, const char *state,
                     const char *failure, GError **error)
{
    vmp_json_add(running->detail, "s:ending", state, "S:error", failure, NULL);
    return put_row(running, machine, error);
}

/* Notes at the checkpoint where this backup put each disk: the next increment is laid over it.
 */
static gboolean
remember_targets(const VmpRunning *running, VmpMachine *machine, GError **error)
{
    const char *checkpoint = vmp_json_get_string(running->detail, "checkpoint");
    VmpJson *disks = vmp_json_get_array(running->detail, "disks");
    if (!checkpoint || running->images->len == 0)
        return TRUE;

    g_autoptr(VmpStorePoint) point =
        vmp_store_find_point(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                             VMP_POINT_CHECKPOINT, checkpoint, NULL);
    if (!point)
        return TRUE; /* deleted while the backup ran */

    g_autoptr(VmpJson) extra =
        point->extra ? vmp_json_parse(point->extra, -1, NULL) : json_object_new_object();
    VmpJson *targets = json_object_new_object();
    for (guint i = 0; i < running->images->len; i++) {
        const VmpNewImage *image = g_ptr_array_index(running->images, i);
        json_object_object_add(targets, vmp_json_get_string(vmp_json_at(disks, i), "disk"),
                               json_object_new_string(image->path));
    }
    vmp_json_add(extra, "o:targets", targets, NULL);
    g_free(point->extra);
    point->extra = vmp_json_to_text(extra);
    return vmp_store_put_point(vmp_machine_get_store(machine), point, error);
}

gboolean
vmp_running_close(VmpRunning *running, VmpMachine *machine, const char *state,
                  const char *failure, GError **error)
{
    gboolean completed = g_str_equal(state, "completed");

    if (completed && !remember_targets(running, machine, error))
        return FALSE;
    if (!completed && !vmp_new_images_remove(running->images, error))
        return FALSE;
    if (!vmp_new_images_remove(running->scratch, error))
        return FALSE;

    vmp_json_add(running->detail, "S:error", failure, NULL);
    g_free(running->row->state);
    running->row->state = g_strdup(state);
    running->row->ended = g_get_real_time() / 1000;
    return put_row(running, machine, error);
}
