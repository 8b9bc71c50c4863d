/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/qemu-img.h"

#include <string.h>

#include "base/nbd-uri.h"
#include "base/process.h"
#include "qmp/commands.h"

#define QEMU_IMG "qemu-img"

/* ---- qemu-img's answers ---- */

/* What qemu-img's words say about the cause.  It prints them untranslated. */
static VmpErrorCode
code_of_words(const char *words)
{
    static const struct {
        const char *words;
        VmpErrorCode code;
    } table[] = {
        { "No such file or directory", VMP_ERROR_NOT_FOUND },
        { "Permission denied", VMP_ERROR_IO },
        { "Failed to get ", VMP_ERROR_BUSY }, /* ... "write" lock */
        { "Failed to lock", VMP_ERROR_BUSY },
        { "Image is not in", VMP_ERROR_DAMAGED },
        { "header too short", VMP_ERROR_DAMAGED },
        { "infinite loop", VMP_ERROR_DAMAGED },
        { "corrupt", VMP_ERROR_DAMAGED },
        { "too large", VMP_ERROR_DAMAGED },
        { "invalid", VMP_ERROR_DAMAGED },
        { "Unsupported", VMP_ERROR_UNSUPPORTED },
        { "Unknown driver", VMP_ERROR_UNSUPPORTED },
        { "Unknown file format", VMP_ERROR_UNSUPPORTED },
        { "must be", VMP_ERROR_INVALID },
        { "regular file", VMP_ERROR_INVALID },
    };

    /* Whatever errno it adds: no image is missing. */
    if (strstr(words, "Failed to connect to "))
        return VMP_ERROR_IO;
    /* A file's name is not qemu-img's word: what follows the last quoted one counts. */
    const char *quote = strrchr(words, '\'');
    const char *said = quote && quote[1] ? quote + 1 : words;
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++)
        if (strstr(said, table[i].words))
            return table[i].code;
    return VMP_ERROR_IO;
}

gboolean
vmp_qemu_img_fail(const char *words, GError **error)
{
    const char *said =
        g_str_has_prefix(words, QEMU_IMG ": ") ? words + strlen(QEMU_IMG ": ") : words;

    return vmp_fail(error, code_of_words(said), "%s",
                    *said ? said : QEMU_IMG " failed without a word");
}

gboolean
vmp_qemu_img_run(const GStrvBuilder *arguments, char **out, GCancellable *cancellable,
                 GError **error)
{
    g_auto(GStrv) argv = g_strv_builder_end((GStrvBuilder *)arguments);
    g_auto(VmpToolResult) result = { 0 };

    if (!vmp_tool_run((const char *const *)argv, &result, cancellable, error))
        return FALSE;
    if (result.exit_status != 0)
        return vmp_qemu_img_fail(result.err, error);
    if (out)
        *out = g_steal_pointer(&result.out);
    return TRUE;
}

GStrvBuilder *
vmp_qemu_img_new(const char *command, ...)
{
    GStrvBuilder *arguments = g_strv_builder_new();
    va_list more;

    g_strv_builder_add_many(arguments, QEMU_IMG, command, NULL);
    va_start(more, command);
    for (const char *word; (word = va_arg(more, const char *));)
        g_strv_builder_add(arguments, word);
    va_end(more);
    return arguments;
}

void
vmp_qemu_img_add_option(GStrvBuilder *arguments, const char *option, const char *value)
{
    if (value)
        g_strv_builder_add_many(arguments, option, value, NULL);
}

char *
vmp_qemu_img_path(const char *path)
{
    return g_path_is_absolute(path) || vmp_nbd_uri_is(path)
               ? g_strdup(path)
               : g_canonicalize_filename(path, NULL);
}

char *
vmp_qemu_img_name(const char *path, const char *format, gboolean alone)
{
    g_autofree char *full = vmp_qemu_img_path(path);
    /* Without a driver QEMU looks whether the file is a device. */
    VmpJson *storage = vmp_nbd_uri_is(full) ? vmp_qmp_options_storage(NULL, full, FALSE, FALSE)
                                            : vmp_json_build("s:filename", full, NULL);
    g_autoptr(VmpJson) options = vmp_json_build("S:driver", format, "o:file", storage, NULL);

    if (alone)
        vmp_json_add(options, "n:backing", NULL);
    g_autofree char *text = vmp_json_to_text(options);
    return g_strconcat("json:", text, NULL);
}

void
vmp_qemu_img_add_image(GStrvBuilder *arguments, const char *path, const char *format)
{
    g_autofree char *name = vmp_nbd_uri_is(path) ? vmp_qemu_img_name(path, format, FALSE)
                                                 : vmp_qemu_img_path(path);

    if (!vmp_nbd_uri_is(path))
        vmp_qemu_img_add_option(arguments, "-f", format);
    g_strv_builder_add(arguments, name);
}
