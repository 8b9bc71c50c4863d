/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* restore-disks { "repository": path, "point", "mark", "disks": [ { "disk", "path" } ] }
 *
 * New images, each known by the mark in its header.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "backup/restore-point.h"
#include "base/error.h"
#include "base/file.h"
#include "storage/qcow2.h"

static VmpJson *
disks_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "disks");
}

static guint64
mark_of(const VmpStep *step)
{
    return (guint64)vmp_json_get_int(step->args, "mark", 0);
}

static gboolean
restore_apply(const VmpStep *step, VmpChange *change, GError **error)
{
    for (guint i = 0; i < vmp_json_length(disks_of(step)); i++) {
        VmpJson *disk = vmp_json_at(disks_of(step), i);
        const VmpRestoreSpec spec = { .disk = vmp_json_get_string(disk, "disk"),
                                      .to = vmp_json_get_string(disk, "path"),
                                      .mark = mark_of(step) };
        if (!vmp_repository_restore(vmp_json_get_string(step->args, "repository"),
                                    vmp_json_get_string(step->args, "point"), &spec,
                                    change->operation, error))
            return FALSE;
    }
    return TRUE;
}

/* One that was cut off at once is still empty. */
static gboolean
is_ours(const char *path, guint64 mark)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat info;

    return fd >= 0 && (vmp_qcow2_read_mark(fd) == mark ||
                       (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0));
}

static gboolean
restore_undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(disks_of(step)); i++) {
        const char *path = vmp_json_get_string(vmp_json_at(disks_of(step), i), "path");
        g_autofree char *aside = g_strconcat(path, VMP_RESTORE_ASIDE, NULL);
        if ((is_ours(path, mark_of(step)) && !vmp_file_remove(path, error)) ||
            (is_ours(aside, mark_of(step)) && !vmp_file_remove(aside, error)))
            return FALSE;
    }
    return TRUE;
}

static char *
restore_describe(const VmpStep *step)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "restore from point '%s' disk",
                           vmp_json_get_string(step->args, "point"));
    for (guint i = 0; i < vmp_json_length(disks_of(step)); i++) {
        VmpJson *disk = vmp_json_at(disks_of(step), i);
        g_string_append_printf(text, "%s %s to '%s'", i > 0 ? "," : "",
                               vmp_json_get_string(disk, "disk"),
                               vmp_json_get_string(disk, "path"));
    }
    return g_string_free(text, FALSE);
}

const VmpStepKind vmp_step_restore_disks = {
    .name = "restore-disks",
    .apply = restore_apply,
    .undo = restore_undo,
    .describe = restore_describe,
};
