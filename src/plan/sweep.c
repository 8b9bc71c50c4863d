/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/sweep.h"

#include "base/error.h"
#include "base/file.h"
#include "plan/stamp.h"
#include "store/edit.h"

void
vmp_plan_retire_file(VmpMachine *machine, const char *path, VmpJson *edits)
{
    g_autoptr(VmpStoreFile) file =
        vmp_store_find_file(vmp_machine_get_store(machine), path, NULL);

    if (!file || file->domain != vmp_machine_get_row(machine)->id)
        return;
    g_free(file->role);
    file->role = g_strdup(VMP_FILE_RETIRED);
    vmp_store_edit_put_file(edits, file);
}

static gboolean
sweep_file(VmpMachine *machine, const VmpStoreFile *file, GError **error)
{
    if (!vmp_file_remove(file->path, error) ||
        !vmp_store_remove_file(vmp_machine_get_store(machine), file->path, error))
        return FALSE;
    vmp_stamp_forget(machine, file->path);
    return TRUE;
}

void
vmp_plan_sweep_files(VmpMachine *machine)
{
    g_autoptr(GPtrArray) files = vmp_store_list_files(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, NULL);

    for (guint i = 0; files && i < files->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(files, i);
        g_autoptr(GError) failure = NULL;
        if (g_strcmp0(file->role, VMP_FILE_RETIRED) == 0 && !sweep_file(machine, file, &failure))
            vmp_operation_note(vmp_machine_get_operation(machine), "%s", failure->message);
    }
}
