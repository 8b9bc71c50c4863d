/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/backup-record.h>

#include "fuzz.h"

/* More seeds are in tests/data/xml/corpus. */
const char *const fuzz_seeds[] = {
    "<domainbackup mode='pull'><server transport='unix' socket='/s'/><disks><disk"
    " name='vda'/></disks></domainbackup>",
    NULL,
};

/* Whatever is read can be written, and what is written reads to the same. */

typedef VmpBackup *(*Parse)(const char *xml, gssize length, GError **error);

static void
check(const uint8_t *data, size_t size, Parse parse)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpBackup) backup = parse((const char *)data, (gssize)size, &error);

    g_assert(!backup == !!error);
    if (!backup) {
        g_assert(g_utf8_validate(error->message, -1, NULL));
        return;
    }
    g_autoptr(VmpBackup) copy = vmp_backup_copy(backup);
    g_autofree char *text = vmp_backup_format(copy);
    g_autoptr(VmpBackup) again = parse(text, -1, &error);
    g_assert(again);
    g_autofree char *same = vmp_backup_format(again);
    g_assert(g_str_equal(text, same));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, vmp_backup_parse);
    check(data, size, vmp_backup_parse_status);
    return 0;
}
