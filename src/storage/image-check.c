/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Is the structure of an image sound? */

#include "base/error.h"
#include "base/process.h"
#include "storage/image.h"
#include "storage/qemu-img.h"

/* Exit codes of "qemu-img check". */
enum {
    CHECK_FAILED = 1,
    CHECK_CORRUPT = 2,
    CHECK_LEAKS = 3,
    CHECK_UNSUPPORTED = 63,
};

/* The first lines say what kind of damage it is; there can be one a cluster. */
static char *
words_of_check(const VmpToolResult *result)
{
    const guint enough = 3;
    g_auto(GStrv) lines = g_strsplit(*result->err ? result->err : result->out, "\n", 0);

    for (guint i = 0; lines[i]; i++)
        if (i >= enough)
            g_clear_pointer(&lines[i], g_free);
    return g_strjoinv("; ", lines);
}

/* Ends @arguments and runs them. */
static gboolean
run_check(GStrvBuilder *arguments, GCancellable *cancellable, GError **error)
{
    g_auto(GStrv) argv = g_strv_builder_end(arguments);
    g_auto(VmpToolResult) result = { 0 };
    if (!vmp_tool_run((const char *const *)argv, &result, cancellable, error))
        return FALSE;

    g_autofree char *words = words_of_check(&result);
    switch (result.exit_status) {
    case 0:
    case CHECK_LEAKS:       /* space is wasted, nothing is wrong */
    case CHECK_UNSUPPORTED: /* raw has nothing to check */
        return TRUE;
    case CHECK_CORRUPT:
        return vmp_fail(error, VMP_ERROR_DAMAGED, "%s", words);
    case CHECK_FAILED:
    default:
        return vmp_qemu_img_fail(words, error);
    }
}

gboolean
vmp_image_check(const char *path, const char *format, GCancellable *cancellable,
                GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);

    g_autoptr(GStrvBuilder) arguments = vmp_qemu_img_new("check", "-U", NULL);
    vmp_qemu_img_add_image(arguments, path, format);
    return run_check(arguments, cancellable, error);
}

gboolean
vmp_image_check_alone(const char *path, const char *format, GCancellable *cancellable,
                      GError **error)
{
    VMP_ERROR_CONTEXT(error, "image '%s'", path);
    g_autofree char *name = vmp_qemu_img_name(path, format, TRUE);
    g_autoptr(GStrvBuilder) arguments = vmp_qemu_img_new("check", "-U", NULL);
    g_strv_builder_add(arguments, name);
    return run_check(arguments, cancellable, error);
}
