/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/layer.h"

/* NULL where the definition leaves it to QEMU. */
static const char *
said(const char *value)
{
    return g_strcmp0(value, "default") == 0 ? NULL : value;
}

VmpLayerOptions
vmp_layer_options_of(const VmpDomainDisk *disk, const VmpBlockNode *replaced)
{
    VmpLayerOptions options = { .direct = replaced->direct };

    if (!disk)
        return options;
    options.unmap = g_strcmp0(disk->discard, "unmap") == 0;
    options.detect_zeroes = said(disk->detect_zeroes);
    options.aio = said(disk->io);
    /* QEMU refuses Linux' own asynchronous I/O through the cache; a storage daemon uses that.
     */
    if (!options.direct && g_strcmp0(options.aio, "native") == 0)
        options.aio = NULL;
    return options;
}

const char *
vmp_layer_format_of(const VmpBlockNode *node)
{
    gboolean is_protocol =
        g_str_equal(node->driver, "file") || g_str_equal(node->driver, "host_device");

    return is_protocol ? "raw" : node->driver;
}
