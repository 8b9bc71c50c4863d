/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Merging layers of images that nobody has open: what a job does in a QEMU that runs, for
 * one that is gone.  What qemu-img has written is on stable storage when it has ended. */

#include "base/error.h"
#include "base/process.h"
#include "storage/image.h"

gboolean
vmp_image_commit(const char *top, const char *base, GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot merge '%s' into '%s'", top, base);
    const char *const argv[] = { "qemu-img", "commit", "-q", "-d", "-f",
                                 "qcow2",    "-b",     base, top,  NULL };

    return vmp_tool_check(argv, VMP_ERROR_IO, NULL, cancellable, error);
}

gboolean
vmp_image_rebase(const char *path, const char *backing, const char *backing_format,
                 GCancellable *cancellable, GError **error)
{
    VMP_ERROR_CONTEXT(error, "cannot make '%s' independent of what it stands on", path);
    const char *const argv[] = {
        "qemu-img",
        "rebase",
        "-q",
        "-f",
        "qcow2",
        "-b",
        backing ? backing : "",
        path,
        backing ? "-F" : NULL,
        backing_format,
        NULL,
    };

    return vmp_tool_check(argv, VMP_ERROR_IO, NULL, cancellable, error);
}
