/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "xml/domain.h"

/* More seeds are in tests/data/xml/corpus. */
const char *const fuzz_seeds[] = {
    "<domain type='qemu'><name>a</name><memory>1</memory><os><type>hvm</type></os"
    "><devices><disk><source file='/a'/><target dev='vda'/></disk></devices></dom"
    "ain>",
    "<!DOCTYPE a [<!ENTITY b 'c'>]><domain>&b;</domain>",
    NULL,
};

/* What was read is written as it was, and reads again; so does what was edited. */

static void
check_reads_again(VmpDomain *domain, VmpDomainFormatFlags flags)
{
    g_autofree char *text = vmp_domain_format(domain, flags);
    g_autoptr(VmpDomain) again = vmp_domain_parse(text, -1, NULL);
    g_assert(again);
    g_autofree char *same = vmp_domain_format(again, flags);

    g_assert(g_str_equal(text, same));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) domain = vmp_domain_parse((const char *)data, (gssize)size, &error);

    g_assert(!domain == !!error);
    if (!domain) {
        g_assert(g_utf8_validate(error->message, -1, NULL));
        return 0;
    }
    check_reads_again(domain, VMP_DOMAIN_FORMAT_SECURE);
    check_reads_again(domain, VMP_DOMAIN_FORMAT_INACTIVE_ROOT);

    const GPtrArray *disks = vmp_domain_get_disks(domain);
    for (guint i = 0; i < MIN(disks->len, 3); i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        g_assert(
            vmp_domain_set_disk_source(domain, disk->target, "/new <&'\">", "qcow2", NULL));
    }
    g_assert(vmp_domain_set_name(domain, "other", NULL));
    check_reads_again(domain, 0);
    return 0;
}
