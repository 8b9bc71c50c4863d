/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keep-parts  { "stops", "parts": [ {
 *     "part": "nvram", "from": "/x/vm_VARS.fd", "to": "/state/parts/<uuid>-<mark>.nvram",
 *     "mark" } ] }
 * drop-parts  { "parts" }
 * seal-parts  { "parts" }
 * clone-parts { "parts" }: "from" is another snapshot's copy
 * stage-parts { "files": [ {
 *     "part": "nvram", "copy": "/state/parts/...", "path": "/x/vm_VARS.fd",
 *     "staged": "/x/vm_VARS.fd.vmp-...", "inside": name of a file or absent } ] }
 * check-parts { "files" }
 * put-parts   { "files" }
 *
 * What is put back is laid ready first, durably, beside the place where it belongs; taking
 * that place is then one rename a file.  A file that was not there in the past has nothing
 * laid ready, and its place is emptied.
 *
 * With "inside" the path is that of a folder with that file.  One is laid ready in any case,
 * for a process may want it; "copy" may be absent, and then it is that process which fills it.
 * A folder cannot be renamed over another one: the present one steps aside ("<staged>.old")
 * first, and goes last.
 */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "point/part.h"
#include "point/steps.h"
#include "storage/state-file.h"

static VmpJson *
parts_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "parts");
}

static VmpJson *
files_of(const VmpStep *step)
{
    return vmp_json_get_array(step->args, "files");
}

/* "firmware variables of '/x', ..." */
static char *
describe_all(const char *verb, VmpJson *list, const char *path_key)
{
    GString *text = g_string_new(verb);

    for (guint i = 0; i < vmp_json_length(list); i++) {
        VmpJson *item = vmp_json_at(list, i);
        g_string_append_printf(text, "%s %s '%s'", i > 0 ? "," : "",
                               vmp_json_get_string(item, "part"),
                               vmp_json_get_string(item, path_key));
    }
    return g_string_free(text, FALSE);
}

/* ---- keep-parts ---- */

static guint64
mark_of(VmpJson *part)
{
    return (guint64)vmp_json_get_int(part, "mark", 0);
}

static gboolean
keep_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(parts_of(step)); i++) {
        VmpJson *part = vmp_json_at(parts_of(step), i);
        const char *to = vmp_json_get_string(part, "to");
        g_autofree char *folder = g_path_get_dirname(to);

        if (!vmp_dir_ensure(folder, 0700, error) ||
            !vmp_state_file_keep(vmp_json_get_string(part, "from"), to, mark_of(part), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
keep_undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(parts_of(step)); i++) {
        VmpJson *part = vmp_json_at(parts_of(step), i);
        if (!vmp_state_file_remove(vmp_json_get_string(part, "to"), mark_of(part), error))
            return FALSE;
    }
    return TRUE;
}

static char *
keep_describe(const VmpStep *step)
{
    return describe_all("copy", parts_of(step), "from");
}

const VmpStepKind vmp_step_keep_parts = {
    .name = "keep-parts",
    .apply = keep_apply,
    .undo = keep_undo,
    .describe = keep_describe,
};

static gboolean
put_back(VmpJson *part, GError **error)
{
    const char *from = vmp_json_get_string(part, "from");
    g_autofree char *content = NULL;
    gsize length = 0;

    if (!vmp_state_file_read(vmp_json_get_string(part, "to"), &content, &length, error))
        return FALSE;
    return content ? vmp_file_replace(from, content, (gssize)length, 0600, error)
                   : vmp_file_remove(from, error);
}

gboolean
vmp_part_put_back(VmpJson *parts, GError **error)
{
    for (guint i = 0; i < vmp_json_length(parts); i++)
        if (!put_back(vmp_json_at(parts, i), error))
            return FALSE;
    return TRUE;
}

/* ---- drop-parts ---- */

static char *
drop_describe(const VmpStep *step)
{
    return describe_all("remove the copy of", parts_of(step), "from");
}

const VmpStepKind vmp_step_drop_parts = {
    .name = "drop-parts",
    .apply = keep_undo,
    .describe = drop_describe,
};

/* ---- seal-parts ---- */

static gboolean
seal_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(parts_of(step)); i++) {
        if (!vmp_state_file_seal(vmp_json_get_string(vmp_json_at(parts_of(step), i), "to"),
                                 error))
            return FALSE;
    }
    return TRUE;
}

static char *
seal_describe(const VmpStep *step)
{
    return describe_all("flush the copy of", parts_of(step), "from");
}

const VmpStepKind vmp_step_seal_parts = {
    .name = "seal-parts",
    .apply = seal_apply,
    .describe = seal_describe,
};

/* ---- clone-parts ---- */

static gboolean
clone_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(parts_of(step)); i++) {
        VmpJson *part = vmp_json_at(parts_of(step), i);
        const char *to = vmp_json_get_string(part, "to");

        if (!vmp_state_file_clone(vmp_json_get_string(part, "from"), to, mark_of(part),
                                  error) ||
            !vmp_state_file_seal(to, error))
            return FALSE;
    }
    return TRUE;
}

const VmpStepKind vmp_step_clone_parts = {
    .name = "clone-parts",
    .apply = clone_apply,
    .undo = keep_undo,
    .describe = keep_describe,
};

/* ---- stage-parts ---- */

/* Whoever may use the file now may use the one in its place. */
static gboolean
take_over_owner(const char *present, const char *staged, GError **error)
{
    struct stat info;

    if (stat(present, &info) < 0)
        return TRUE;
    if (chown(staged, info.st_uid, info.st_gid) == 0 &&
        chmod(staged, info.st_mode & 07777) == 0)
        return TRUE;
    return vmp_fail_errno(error, errno, "cannot give '%s' the owner of '%s'", staged, present);
}

static const char *
inside_of(VmpJson *file)
{
    return vmp_json_get_string(file, "inside");
}

/* *content NULL: there was no such file. */
static gboolean
read_copy(VmpJson *file, char **content, gsize *length, GError **error)
{
    const char *copy = vmp_json_get_string(file, "copy");

    return !copy || vmp_state_file_read(copy, content, length, error);
}

static gboolean
stage_folder(const char *staged, const char *inside, const char *content, gsize length,
             GError **error)
{
    g_autofree char *path = g_build_filename(staged, inside, NULL);

    return vmp_dir_ensure(staged, 0700, error) &&
           (!content || vmp_file_replace(path, content, (gssize)length, 0600, error));
}

static gboolean
unstage(VmpJson *file, GError **error)
{
    const char *staged = vmp_json_get_string(file, "staged");

    return inside_of(file) ? vmp_dir_remove(staged, error) : vmp_file_remove(staged, error);
}

static gboolean
stage(VmpJson *file, GError **error)
{
    const char *path = vmp_json_get_string(file, "path");
    const char *staged = vmp_json_get_string(file, "staged");
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *content = NULL;
    gsize length = 0;

    if (!read_copy(file, &content, &length, error))
        return FALSE;
    if (inside_of(file))
        return stage_folder(staged, inside_of(file), content, length, error) &&
               vmp_dir_sync(folder, error);
    return !content || (vmp_dir_ensure(folder, 0700, error) &&
                        vmp_file_replace(staged, content, (gssize)length, 0600, error) &&
                        take_over_owner(path, staged, error));
}

static gboolean
stage_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(files_of(step)); i++)
        if (!stage(vmp_json_at(files_of(step), i), error))
            return FALSE;
    return TRUE;
}

static gboolean
stage_undo(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(files_of(step)); i++)
        if (!unstage(vmp_json_at(files_of(step), i), error))
            return FALSE;
    return TRUE;
}

static char *
stage_describe(const VmpStep *step)
{
    return describe_all("lay ready what the snapshot has of", files_of(step), "path");
}

const VmpStepKind vmp_step_stage_parts = {
    .name = "stage-parts",
    .apply = stage_apply,
    .undo = stage_undo,
    .describe = stage_describe,
};

/* ---- check-parts ---- */

static gboolean
check_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(files_of(step)); i++) {
        VmpJson *file = vmp_json_at(files_of(step), i);
        g_autofree char *path = vmp_part_content_path(file);
        gboolean same = FALSE;

        if (!vmp_part_is_as_kept(file, &same, error))
            return FALSE;
        if (!same)
            return vmp_fail(error, VMP_ERROR_BUSY,
                            "the guest has changed '%s' in this moment; try again", path);
    }
    return TRUE;
}

static char *
check_describe(const VmpStep *step)
{
    return describe_all("make sure that the guest has not changed", files_of(step), "path");
}

const VmpStepKind vmp_step_check_parts = {
    .name = "check-parts",
    .apply = check_apply,
    .describe = check_describe,
};

/* ---- put-parts ---- */

static char *
aside_of(VmpJson *file)
{
    return g_strconcat(vmp_json_get_string(file, "staged"), ".old", NULL);
}

static gboolean
put_folder(const char *path, const char *staged, const char *aside, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);

    if (g_file_test(staged, G_FILE_TEST_EXISTS)) {
        if (rename(path, aside) < 0 && errno != ENOENT)
            return vmp_fail_errno(error, errno, "cannot rename '%s'", path);
        if (!vmp_fault("part-aside", error))
            return FALSE;
        if (rename(staged, path) < 0)
            return vmp_fail_errno(error, errno, "cannot rename '%s'", staged);
    }
    return vmp_dir_sync(folder, error) && vmp_fault("part-put", error) &&
           vmp_dir_remove(aside, error);
}

/* It is there already if nothing is laid ready any more. */
static gboolean
put(VmpJson *file, GError **error)
{
    const char *path = vmp_json_get_string(file, "path");
    const char *staged = vmp_json_get_string(file, "staged");
    g_autofree char *aside = aside_of(file);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *content = NULL;
    gsize length = 0;

    if (inside_of(file))
        return put_folder(path, staged, aside, error);
    if (rename(staged, path) == 0)
        return vmp_dir_sync(folder, error);
    if (errno != ENOENT)
        return vmp_fail_errno(error, errno, "cannot rename '%s'", staged);
    if (!read_copy(file, &content, &length, error))
        return FALSE;
    return content || vmp_file_remove(path, error);
}

static gboolean
put_apply(const VmpStep *step, VmpChange *change G_GNUC_UNUSED, GError **error)
{
    for (guint i = 0; i < vmp_json_length(files_of(step)); i++)
        if (!put(vmp_json_at(files_of(step), i), error))
            return FALSE;
    return TRUE;
}

/* Is it put, or on the way?  Asked only once all before it has been done: see below. */
static gboolean
is_begun(VmpJson *file)
{
    g_autofree char *aside = aside_of(file);

    return !g_file_test(vmp_json_get_string(file, "staged"), G_FILE_TEST_EXISTS) ||
           g_file_test(aside, G_FILE_TEST_EXISTS);
}

/* What the snapshot has may be what there is anyway, so the files alone do not tell. */
static VmpProbe
put_probe(const VmpStep *step, VmpChange *change, GError **error G_GNUC_UNUSED)
{
    guint length = vmp_json_length(files_of(step)), begun = 0;

    if (!change->commit_begun)
        return VMP_PROBE_NOT_DONE;
    for (guint i = 0; i < length; i++)
        begun += is_begun(vmp_json_at(files_of(step), i));
    return begun == 0 ? VMP_PROBE_NOT_DONE : VMP_PROBE_BEGUN;
}

gboolean
vmp_part_put_now(VmpJson *files, GError **error)
{
    for (guint i = 0; i < vmp_json_length(files); i++) {
        VmpJson *file = vmp_json_at(files, i);
        g_autofree char *path = vmp_part_content_path(file);
        g_autofree char *folder = g_path_get_dirname(path);
        g_autofree char *content = NULL;
        gsize length = 0;

        if (!read_copy(file, &content, &length, error) ||
            (content && !(vmp_dir_ensure(folder, 0700, error) &&
                          vmp_file_replace(path, content, (gssize)length, 0600, error))))
            return FALSE;
    }
    return TRUE;
}

static char *
put_describe(const VmpStep *step)
{
    return describe_all("put back what the snapshot has of", files_of(step), "path");
}

const VmpStepKind vmp_step_put_parts = {
    .name = "put-parts",
    .apply = put_apply,
    .probe = put_probe,
    .describe = put_describe,
};
