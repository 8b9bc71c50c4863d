/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a layer is opened that takes the place of another: as that one was. */

#include "storage/block-graph.h"
#include "xml/domain.h"

typedef struct {
    gboolean direct;           /* past the host's cache */
    gboolean unmap;            /* the guest's discards reach the file */
    const char *aio;           /* NULL = QEMU's default */
    const char *detect_zeroes; /* NULL = off */
} VmpLayerOptions;

/* From @disk of the definition (NULL = not known) and the image that stands there now. */
VmpLayerOptions vmp_layer_options_of(const VmpDomainDisk *disk, const VmpBlockNode *replaced);
/* "raw" for an image without a format node. */
const char *vmp_layer_format_of(const VmpBlockNode *node);
