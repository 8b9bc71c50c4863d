/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/memory-lost.h"

#include <sys/stat.h>

#include <vmpoint/snapshot-record.h>

#include "base/error.h"
#include "machine/uffd-rescue.h"
#include "plan/sweep.h"
#include "point/migration.h"
#include "point/steps.h"
#include "storage/ram-file.h"
#include "store/edit.h"
#include "store/intent.h"

/* A save that goes on writes something in that time, and a sleeper gets its page. */
#define LOOK_INTERVAL_US (50 * 1000)
#define LOOKS 60

gboolean
vmp_memory_is_lost(const GError *failure)
{
    return vmp_error_is(failure, VMP_ERROR_REFUSED) ||
           vmp_error_is(failure, VMP_ERROR_DAMAGED) ||
           vmp_error_is(failure, VMP_ERROR_INCONSISTENT) ||
           vmp_error_is(failure, VMP_ERROR_NOT_FOUND);
}

/* ---- the guest ---- */

static void
wake(VmpMachine *machine)
{
    VmpOperation *operation = vmp_machine_get_operation(machine);
    GPid pid = vmp_machine_get_pid(machine);
    g_autoptr(GError) failure = NULL;
    guint ranges = 0;

    if (pid == 0)
        vmp_operation_warn(operation, "whether the guest hangs is not known: its QEMU was not "
                                      "started by vmpoint");
    else if (!vmp_rescue_wake(pid, &ranges, &failure))
        vmp_operation_warn(operation, "the guest may hang: %s", failure->message);
    else if (ranges > 0)
        vmp_operation_note(operation, "the guest had been left asleep by QEMU and was woken");
}

void
vmp_memory_give_up(VmpMachine *machine, const char *path)
{
    /* First: a QEMU that still saves would write what is no instant any more.  One that cannot
     * be marked is not there, or no file of ours. */
    vmp_ram_file_spoil(path, NULL);
    if (vmp_machine_is_on(machine))
        wake(machine);
}

static guint64
size_of(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? (guint64)info.st_size : 0;
}

gboolean
vmp_memory_is_hung(VmpMachine *machine, const char *path)
{
    GPid pid = vmp_machine_get_pid(machine);
    guint64 size = size_of(path);

    for (guint i = 0; i < LOOKS; i++) {
        if (pid == 0 || !vmp_rescue_is_asleep(pid) || size_of(path) != size)
            return FALSE;
        g_usleep(LOOK_INTERVAL_US);
    }
    return TRUE;
}

static const char *
find_live_save(VmpJson *plan)
{
    VmpJson *steps = vmp_json_get_array(plan, "steps");

    for (guint i = 0; i < vmp_json_length(steps); i++) {
        VmpJson *step = vmp_json_at(steps, i);
        if (g_strcmp0(vmp_json_get_string(step, "kind"), vmp_step_save_live.name) == 0)
            return vmp_json_get_string(vmp_json_get_object(step, "args"), "path");
    }
    return NULL;
}

/* FALSE if QEMU does not answer in time. */
static gboolean
ask_in_time(VmpMachine *machine, gboolean *lost)
{
    VmpQmpClient *client = vmp_machine_get_monitor(machine, NULL);
    if (!client)
        return FALSE;

    G_GNUC_UNUSED g_auto(VmpQmpTimeout) timeout =
        vmp_qmp_timeout_begin(client, VMP_MEMORY_ANSWER_TIMEOUT_MS);
    return vmp_migration_wait_begun(client, lost, NULL);
}

/* A guest that does not sleep yet will, as soon as it writes to a page that nobody saves any
 * more; often that is QEMU's main loop, and then no command is answered.  So it is QEMU's word
 * that counts, as long as it has one. */
static gboolean
is_lost(VmpMachine *machine, const char *path)
{
    for (guint left = VMP_MEMORY_PATIENCE; left > 0; left--) {
        gboolean lost = FALSE;

        if (ask_in_time(machine, &lost))
            return lost && vmp_ram_file_is_begun(path);
        vmp_machine_forget_monitor(machine);
        if (vmp_memory_is_hung(machine, path))
            return TRUE;
    }
    return FALSE;
}

void
vmp_memory_free_hung(VmpMachine *machine)
{
    g_autoptr(GPtrArray) intents =
        vmp_machine_get_pid(machine) != 0
            ? vmp_store_list_intents(vmp_machine_get_store(machine),
                                     vmp_machine_get_row(machine)->id, NULL)
            : NULL;

    for (guint i = 0; intents && i < intents->len; i++) {
        const VmpIntent *intent = g_ptr_array_index(intents, i);
        g_autoptr(VmpJson) plan = vmp_json_parse(intent->plan, -1, NULL);
        const char *path = plan ? find_live_save(plan) : NULL;
        if (path && is_lost(machine, path))
            vmp_memory_give_up(machine, path);
    }
}

/* ---- the snapshot ---- */

static void
demote_point(VmpStorePoint *point)
{
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(point->body, -1, VMP_SNAPSHOT_PARSE_REDEFINE, NULL);
    if (!snapshot)
        return;

    snapshot->memory = VMP_LOCATION_NO;
    g_clear_pointer(&snapshot->memory_file, g_free);
    snapshot->state = VMP_STATE_DISK_SNAPSHOT;
    g_free(point->state);
    point->state = g_strdup(vmp_state_name(snapshot->state));
    point->location = (int)vmp_snapshot_get_location(snapshot);
    g_free(point->body);
    point->body = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_NO_DOMAIN);
}

void
vmp_memory_demote(VmpChange *change, const char *path)
{
    g_autoptr(VmpStorePoint) point = vmp_store_edit_find_point(change->edits);
    VmpStoreFile file = {
        .path = (char *)path,
        .domain = vmp_machine_get_row(change->machine)->id,
        .role = (char *)VMP_FILE_RETIRED,
    };

    /* Later edits replace earlier ones. */
    if (point) {
        demote_point(point);
        vmp_store_edit_put_point(change->edits, point);
    }
    vmp_store_edit_put_file(change->edits, &file);
}
