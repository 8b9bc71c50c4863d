/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/snapshot-record.h>

#include "fuzz.h"

/* More seeds are in tests/data/xml/corpus. */
const char *const fuzz_seeds[] = {
    "<domainsnapshot><name>a</name><memory file='/m'/><disks><disk name='vda'/></"
    "disks></domainsnapshot>",
    NULL,
};

/* Whatever is read can be written, and what is written reads to the same. */

static void
check(const uint8_t *data, size_t size, VmpSnapshotParseFlags flags)
{
    static const VmpSnapshotFormatFlags all =
        VMP_SNAPSHOT_FORMAT_SECURE | VMP_SNAPSHOT_FORMAT_INTERNAL;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse((const char *)data, (gssize)size, flags, &error);

    g_assert(!snapshot == !!error);
    if (!snapshot) {
        g_assert(g_utf8_validate(error->message, -1, NULL));
        return;
    }
    g_autoptr(VmpSnapshot) copy = vmp_snapshot_copy(snapshot);
    g_autofree char *text = vmp_snapshot_format(copy, all);
    g_autoptr(VmpSnapshot) again = vmp_snapshot_parse(text, -1, flags, &error);
    g_assert(again);
    g_autofree char *same = vmp_snapshot_format(again, all);
    g_assert(g_str_equal(text, same));
    g_autofree char *masked = vmp_snapshot_format(again, VMP_SNAPSHOT_FORMAT_DEFAULT);
    g_assert(masked);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, VMP_SNAPSHOT_PARSE_CREATE);
    check(data, size, VMP_SNAPSHOT_PARSE_REDEFINE | VMP_SNAPSHOT_PARSE_INTERNAL);
    return 0;
}
