/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/filesystems.h"

static VmpJson *
parse(const char *text)
{
    g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
    g_autoptr(GError) error = NULL;
    VmpJson *json = vmp_json_parse(quoted, -1, &error);

    g_assert_no_error(error);
    return json;
}

static GPtrArray *
read_with(const char *answer, const char *pci)
{
    g_autoptr(VmpJson) one = parse(answer);
    g_autoptr(VmpJson) other = pci ? parse(pci) : NULL;
    g_autoptr(GHashTable) targets = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_insert(targets, (gpointer) "vda", (gpointer) "vda");
    g_hash_table_insert(targets, (gpointer) "drive-7", (gpointer) "vdb");
    return vmp_filesystems_read(one, other, targets);
}

/* A disk on the root bus, one behind a bridge, and one that has no name. */
#define PCI                                                                      \
    "[{'bus': 0, 'devices': ["                                                   \
    "  {'bus': 0, 'slot': 3, 'function': 0, 'qdev_id': 'vda'},"                  \
    "  {'bus': 0, 'slot': 4, 'function': 0, 'qdev_id': ''},"                     \
    "  {'bus': 0, 'slot': 2, 'function': 1, 'qdev_id': 'pci.1', 'pci_bridge': {" \
    "     'bus': {'number': 0, 'secondary': 1}, 'devices': ["                    \
    "       {'bus': 1, 'slot': 0, 'function': 0, 'qdev_id': 'drive-7'}]}}]}]"

#define ON(bus, slot)                                                                        \
    "{'bus-type': 'virtio', 'pci-controller': {'domain': 0, 'bus': " #bus ", 'slot': " #slot \
    ", 'function': 0}}"

static void
disks_are_named_by_their_pci_address(void)
{
    g_autoptr(GPtrArray) list = read_with(
        "[{'name': 'dm-0', 'mountpoint': '/', 'type': 'xfs', 'total-bytes': 100,"
        "  'used-bytes': 60, 'disk': [" ON(1, 0) ", " ON(0, 3) ", " ON(
            0, 3) "]},"
                  " {'name': 'vdc', 'mountpoint': '/srv', 'type': 'ext4', 'disk': [" ON(
                      0, 4) "]}]",
        PCI);
    const VmpFilesystem *root = g_ptr_array_index(list, 0);
    const VmpFilesystem *other = g_ptr_array_index(list, 1);
    g_autofree char *targets = g_strjoinv(",", root->targets);

    g_assert_cmpuint(list->len, ==, 2);
    g_assert_cmpstr(root->mountpoint, ==, "/");
    g_assert_cmpstr(root->name, ==, "dm-0");
    g_assert_cmpstr(root->type, ==, "xfs");
    g_assert_cmpuint(root->total, ==, 100);
    g_assert_cmpuint(root->used, ==, 60);
    g_assert_cmpstr(targets, ==, "vdb,vda");
    g_assert_null(other->targets[0]);
    g_assert_cmpuint(other->total, ==, 0);
}

static void
without_pci_disks_have_no_name(void)
{
    g_autoptr(GPtrArray) list = read_with(
        "[{'name': 'vda', 'mountpoint': '/', 'type': 'ext4', 'disk': [" ON(0, 3) "]}]", NULL);

    g_assert_null(((const VmpFilesystem *)g_ptr_array_index(list, 0))->targets[0]);
}

static void
what_a_guest_makes_up_does_no_harm(void)
{
    g_autoptr(GPtrArray) list =
        read_with("[{}, 7, null, {'name': 3, 'disk': 5, 'total-bytes': -1},"
                  " {'disk': [1, {'pci-controller': []}]}]",
                  "[3, {'devices': [null, {'pci_bridge': 1}]}]");

    g_assert_cmpuint(list->len, ==, 5);
    for (guint i = 0; i < list->len; i++) {
        const VmpFilesystem *filesystem = g_ptr_array_index(list, i);
        g_assert_null(filesystem->targets[0]);
        g_assert_cmpuint(filesystem->total, ==, 0);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/filesystems/disks-are-named-by-their-pci-address",
                    disks_are_named_by_their_pci_address);
    g_test_add_func("/machine/filesystems/without-pci-disks-have-no-name",
                    without_pci_disks_have_no_name);
    g_test_add_func("/machine/filesystems/what-a-guest-makes-up-does-no-harm",
                    what_a_guest_makes_up_does_no_harm);
    return g_test_run();
}
