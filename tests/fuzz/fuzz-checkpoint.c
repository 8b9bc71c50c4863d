/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/checkpoint-record.h>

#include "fuzz.h"

/* More seeds are in tests/data/xml/corpus. */
const char *const fuzz_seeds[] = {
    "<domaincheckpoint><name>a</name><creationTime>1</creationTime><disks><disk n"
    "ame='vda' bitmap='a'/></disks></domaincheckpoint>",
    NULL,
};

/* Whatever is read can be written, and what is written reads to the same. */

static void
check(const uint8_t *data, size_t size, VmpCheckpointParseFlags flags)
{
    static const VmpCheckpointFormatFlags all =
        VMP_CHECKPOINT_FORMAT_SECURE | VMP_CHECKPOINT_FORMAT_SIZE;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_checkpoint_parse((const char *)data, (gssize)size, flags, &error);

    g_assert(!checkpoint == !!error);
    if (!checkpoint) {
        g_assert(g_utf8_validate(error->message, -1, NULL));
        return;
    }
    g_autoptr(VmpCheckpoint) copy = vmp_checkpoint_copy(checkpoint);
    g_autofree char *text = vmp_checkpoint_format(copy, all);
    g_autoptr(VmpCheckpoint) again = vmp_checkpoint_parse(text, -1, flags, &error);
    g_assert(again);
    g_autofree char *same = vmp_checkpoint_format(again, all);
    g_assert(g_str_equal(text, same));
    g_autofree char *masked = vmp_checkpoint_format(again, VMP_CHECKPOINT_FORMAT_DEFAULT);
    g_assert(masked);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, VMP_CHECKPOINT_PARSE_CREATE);
    check(data, size, VMP_CHECKPOINT_PARSE_REDEFINE);
    return 0;
}
