/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/words.h"

#include <string.h>

static const struct {
    const char *words;
    VmpErrorCode code;
} meanings[] = {
    { "Failed to get \"write\" lock", VMP_ERROR_BUSY },
    { "Failed to get shared \"write\" lock", VMP_ERROR_BUSY },
    { "Failed to get \"consistent read\" lock", VMP_ERROR_BUSY },
    { "Failed to lock byte", VMP_ERROR_BUSY },
    { "Address already in use", VMP_ERROR_BUSY },
    { "Device or resource busy", VMP_ERROR_BUSY },
    { "Failed to connect to ", VMP_ERROR_IO }, /* whatever errno says: no image is missing */
    { "No such file or directory", VMP_ERROR_NOT_FOUND },
    { "not in qcow2 format", VMP_ERROR_DAMAGED },
    { "is not in the expected format", VMP_ERROR_DAMAGED },
    { "image is corrupt", VMP_ERROR_DAMAGED },
    { "Image is corrupt", VMP_ERROR_DAMAGED },
    { "Could not read qcow2 header", VMP_ERROR_DAMAGED },
    { "Could not read L1 table", VMP_ERROR_DAMAGED },
    { "Permission denied", VMP_ERROR_IO },
    { "No space left on device", VMP_ERROR_IO },
    { "Input/output error", VMP_ERROR_IO },
    { "Read-only file system", VMP_ERROR_IO },
    { "Cannot allocate memory", VMP_ERROR_IO },
    { "cannot set up guest memory", VMP_ERROR_IO },
    { "is not a valid device model name", VMP_ERROR_UNSUPPORTED },
    { "unsupported machine type", VMP_ERROR_UNSUPPORTED },
    { "Unknown driver", VMP_ERROR_UNSUPPORTED },
    { "invalid accelerator", VMP_ERROR_UNSUPPORTED },
};

VmpErrorCode
vmp_words_code(const char *words, VmpErrorCode fallback)
{
    for (guint i = 0; words && i < G_N_ELEMENTS(meanings); i++) {
        if (strstr(words, meanings[i].words))
            return meanings[i].code;
    }
    return fallback;
}
