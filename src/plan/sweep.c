/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/sweep.h"

#include "base/error.h"
#include "base/file.h"
#include "base/nbd-uri.h"
#include "plan/others.h"
#include "plan/stamp.h"
#include "storage/overlay-export.h"
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

/* An export is nobody's to unlink: it is free again, and stays where it is. */
static gboolean
remove_image(VmpMachine *machine, const char *place, GError **error)
{
    if (!vmp_nbd_uri_is(place))
        return vmp_file_remove(place, error);
    if (!vmp_new_export_clear(place, 0, error)) {
        g_prefix_error(error, "an image that is not needed any more stays for now: ");
        return FALSE;
    }
    vmp_operation_note(vmp_machine_get_operation(machine),
                       "the export '%s' stays, and is free again", place);
    return TRUE;
}

static gboolean
sweep_file(VmpMachine *machine, const VmpOthers *others, const VmpStoreFile *file,
           GError **error)
{
    const char *outsider = vmp_others_find(others, file->path);

    if (outsider)
        return vmp_fail(error, VMP_ERROR_BUSY,
                        "'%s' is not needed any more; it stays while domain '%s' stands on it",
                        file->path, outsider);
    if (!remove_image(machine, file->path, error) ||
        !vmp_store_remove_file(vmp_machine_get_store(machine), file->path, error))
        return FALSE;
    vmp_stamp_forget(machine, file->path);
    return TRUE;
}

/* Of VmpStoreFile; NULL if there is none. */
static GPtrArray *
list_retired(VmpMachine *machine)
{
    g_autoptr(GPtrArray) files = vmp_store_list_files(vmp_machine_get_store(machine),
                                                      vmp_machine_get_row(machine)->id, NULL);

    for (guint i = files ? files->len : 0; i > 0; i--) {
        const VmpStoreFile *file = g_ptr_array_index(files, i - 1);
        if (g_strcmp0(file->role, VMP_FILE_RETIRED) != 0)
            g_ptr_array_remove_index(files, i - 1);
    }
    return files && files->len > 0 ? g_steal_pointer(&files) : NULL;
}

void
vmp_plan_sweep_files(VmpMachine *machine)
{
    g_autoptr(GPtrArray) files = list_retired(machine);
    g_autoptr(GError) blind = NULL;
    g_autoptr(VmpOthers) others = files ? vmp_others_look(machine, &blind) : NULL;

    if (blind)
        vmp_operation_note(vmp_machine_get_operation(machine),
                           "what is not needed any more stays for now: %s", blind->message);
    for (guint i = 0; others && i < files->len; i++) {
        g_autoptr(GError) failure = NULL;
        if (!sweep_file(machine, others, g_ptr_array_index(files, i), &failure))
            vmp_operation_note(vmp_machine_get_operation(machine), "%s", failure->message);
    }
}
