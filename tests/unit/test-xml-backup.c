/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <vmpoint/backup-record.h>

#include "test-xml-fixture.h"
#include "test-xml-schema.h"

#define PUSH(disks) "<domainbackup><disks>" disks "</disks></domainbackup>"
#define SERVER "<server transport='unix' socket='/s'/>"
#define PULL(disks) \
    "<domainbackup mode='pull'>" SERVER "<disks>" disks "</disks></domainbackup>"
#define PULL_WITH(server) "<domainbackup mode='pull'>" server "</domainbackup>"

#define PUSH_OUT(disks) \
    "<domainbackup mode='push'>\n  <disks>\n" disks "  </disks>\n</domainbackup>\n"
#define SERVER_OUT "  <server transport='unix' socket='/s'/>\n"
#define PULL_OUT(disks)                                           \
    "<domainbackup mode='pull'>\n" SERVER_OUT "  <disks>\n" disks \
    "  </disks>\n</domainbackup>\n"
#define PULL_WITH_OUT(server) "<domainbackup mode='pull'>\n  " server "\n</domainbackup>\n"

static VmpBackup *
parse(const char *xml)
{
    g_autoptr(GError) error = NULL;
    VmpBackup *backup = vmp_backup_parse(xml, -1, &error);

    g_assert_no_error(error);
    g_assert_nonnull(backup);
    return backup;
}

typedef struct {
    const char *row, *xml, *output;
} Reading;

static const Reading readings[] = {
    { "mode-defaults-to-push", "<domainbackup/>", "<domainbackup mode='push'/>\n" },
    { "mode-push", "<domainbackup mode='push'/>", "<domainbackup mode='push'/>\n" },
    { "mode-pull-with-a-server", PULL_WITH(SERVER),
      PULL_WITH_OUT("<server transport='unix' socket='/s'/>") },
    { "incremental-names-a-checkpoint",
      "<domainbackup><incremental>c1</incremental></domainbackup>",
      "<domainbackup mode='push'>\n  <incremental>c1</incremental>\n</domainbackup>\n" },
    { "an-empty-incremental-is-none", "<domainbackup><incremental/></domainbackup>",
      "<domainbackup mode='push'/>\n" },

    { "transport-defaults-to-tcp", PULL_WITH("<server name='localhost' port='10809'/>"),
      PULL_WITH_OUT("<server transport='tcp' name='localhost' port='10809'/>") },
    { "tcp-without-a-port", PULL_WITH("<server transport='tcp' name='h-1.example'/>"),
      PULL_WITH_OUT("<server transport='tcp' name='h-1.example'/>") },
    { "tcp-with-an-ipv6-address", PULL_WITH("<server name='::1' port='1'/>"),
      PULL_WITH_OUT("<server transport='tcp' name='::1' port='1'/>") },
    { "tls-yes", PULL_WITH("<server tls='yes' name='h'/>"),
      PULL_WITH_OUT("<server transport='tcp' tls='yes' name='h'/>") },
    { "tls-no-is-the-default", PULL_WITH("<server tls='no' transport='unix' socket='/s'/>"),
      PULL_WITH_OUT("<server transport='unix' socket='/s'/>") },
    { "fd-with-a-group", PULL_WITH("<server transport='fd' fdgroup='nbd'/>"),
      PULL_WITH_OUT("<server transport='fd' fdgroup='nbd'/>") },

    { "push-to-a-file", PUSH("<disk name='vda' type='file'><target file='/b'/></disk>"),
      PUSH_OUT("    <disk name='vda' backup='yes' type='file'>\n      <target file='/b'/>\n"
               "    </disk>\n") },
    { "push-to-a-generated-file", PUSH("<disk name='vda' backup='yes' type='file'/>"),
      PUSH_OUT("    <disk name='vda' backup='yes' type='file'/>\n") },
    { "push-to-a-block-device",
      PUSH("<disk name='vda' type='block'><driver type='raw'/><target dev='/dev/x'/></disk>"),
      PUSH_OUT("    <disk name='vda' backup='yes' type='block'>\n      <driver type='raw'/>\n"
               "      <target dev='/dev/x'/>\n    </disk>\n") },
    { "push-to-an-export",
      PUSH("<disk name='vda' type='network'><target protocol='nbd' name='a b/c'>"
           "<host name='::1' port='10810'/></target></disk>"),
      PUSH_OUT("    <disk name='vda' backup='yes' type='network'>\n"
               "      <target protocol='nbd' name='a b/c'>\n"
               "        <host name='::1' port='10810'/>\n      </target>\n    </disk>\n") },
    { "push-to-an-export-at-a-socket",
      PUSH("<disk name='vda' type='network'><driver type='qcow2'/><target>"
           "<source protocol='nbd' tls='yes'><host transport='unix' socket='/a?b'/></source>"
           "</target></disk>"),
      PUSH_OUT(
          "    <disk name='vda' backup='yes' type='network'>\n"
          "      <driver type='qcow2'/>\n"
          "      <target protocol='nbd' name='' tls='yes'>\n"
          "        <host transport='unix' socket='/a?b'/>\n      </target>\n    </disk>\n") },
    { "labels-and-encryption-of-a-target-are-kept",
      PUSH(
          "<disk name='vda' type='file'><target file='/b'><seclabel model='dac' relabel='no'/>"
          "<encryption format='luks' engine='qemu'><secret type='passphrase' usage='x'/>"
          "</encryption></target></disk>"),
      PUSH_OUT("    <disk name='vda' backup='yes' type='file'>\n      <target file='/b'>\n"
               "        <seclabel model='dac' relabel='no'/>\n"
               "        <encryption format='luks' engine='qemu'>"
               "<secret type='passphrase' usage='x'/></encryption>\n"
               "      </target>\n    </disk>\n") },
    { "backup-no-keeps-nothing-else", PUSH("<disk name='vda' backup='no' backupmode='full'/>"),
      PUSH_OUT("    <disk name='vda' backup='no'/>\n") },
    { "backupmode-full", PUSH("<disk name='vda' type='file' backupmode='full'/>"),
      PUSH_OUT("    <disk name='vda' backup='yes' type='file' backupmode='full'/>\n") },
    { "backupmode-incremental-with-a-checkpoint",
      PUSH("<disk name='vda' type='file' backupmode='incremental' incremental='c'/>"),
      PUSH_OUT("    <disk name='vda' backup='yes' type='file' backupmode='incremental' "
               "incremental='c'/>\n") },
    { "a-checkpoint-without-backupmode",
      PUSH("<disk name='vda' type='file' incremental='c'/>"),
      PUSH_OUT("    <disk name='vda' backup='yes' type='file' incremental='c'/>\n") },

    { "pull-without-type-and-backup", PULL("<disk name='vda'/>"),
      PULL_OUT("    <disk name='vda'/>\n") },
    { "pull-without-type-may-name-a-scratch",
      PULL("<disk name='vda'><scratch file='/s1'/></disk>"),
      PULL_OUT("    <disk name='vda'>\n      <scratch file='/s1'/>\n    </disk>\n") },
    { "pull-with-a-scratch-and-a-driver",
      PULL("<disk name='vda' backup='yes' type='file'><driver type='qcow2'/>"
           "<scratch file='/s1'/></disk>"),
      PULL_OUT("    <disk name='vda' backup='yes' type='file'>\n      <driver type='qcow2'/>\n"
               "      <scratch file='/s1'/>\n    </disk>\n") },
    { "pull-with-a-block-scratch",
      PULL("<disk name='vda' type='block'><scratch dev='/d'/></disk>"),
      PULL_OUT("    <disk name='vda' backup='yes' type='block'>\n      <scratch dev='/d'/>\n"
               "    </disk>\n") },
    { "export-names", PULL("<disk name='vda' type='file' exportname='a b' exportbitmap='c'/>"),
      PULL_OUT("    <disk name='vda' backup='yes' type='file' exportname='a b' "
               "exportbitmap='c'/>\n") },
};

static void
test_reading(gconstpointer data)
{
    const Reading *reading = data;
    g_autoptr(VmpBackup) backup = parse(reading->xml);
    g_autofree char *text = vmp_backup_format(backup);
    g_assert_cmpstr(text, ==, reading->output);

    g_autoptr(VmpBackup) again = parse(text);
    g_autoptr(VmpBackup) copy = vmp_backup_copy(again);
    g_clear_pointer(&again, vmp_backup_free);
    g_autofree char *same = vmp_backup_format(copy);
    g_assert_cmpstr(same, ==, text);
}

typedef struct {
    const char *row, *xml, *part;
} Refusal;

static const Refusal refusals[] = {
    { "another-document", "<domaincheckpoint/>", "the root element is" },
    { "another-mode", "<domainbackup mode='throw'/>",
      "mode='throw' is not one of: push pull" },
    { "attributes-of-status-files", "<domainbackup state='x'/>", "attribute 'state'" },
    { "elements-of-status-files", "<domainbackup><privateData/></domainbackup>",
      "<privateData>: is not allowed" },
    { "unknown-elements", "<domainbackup>\n<frob/></domainbackup>",
      "line 2: <frob>: is not allowed in <domainbackup>" },
    { "text-between-elements", "<domainbackup>x</domainbackup>", "text is not allowed" },
    { "pull-without-a-server", "<domainbackup mode='pull'/>", "requires <server>" },
    { "a-server-for-push", "<domainbackup>" SERVER "</domainbackup>",
      "<server>: is not allowed in <domainbackup>" },
    { "rdma", PULL_WITH("<server transport='rdma' name='h'/>"),
      "transport='rdma' is not one of: tcp unix fd" },
    { "tcp-without-a-name", PULL_WITH("<server port='1'/>"), "requires name=" },
    { "tcp-with-a-bad-name", PULL_WITH("<server name='a b'/>"), "is neither a host name" },
    { "tcp-with-an-empty-name", PULL_WITH("<server name=''/>"), "is neither a host name" },
    { "tcp-with-a-socket", PULL_WITH("<server name='h' socket='/s'/>"), "attribute 'socket'" },
    { "a-port-too-large", PULL_WITH("<server name='h' port='65536'/>"), "is too large" },
    { "unix-without-a-socket", PULL_WITH("<server transport='unix'/>"), "requires socket=" },
    { "unix-with-a-relative-socket", PULL_WITH("<server transport='unix' socket='s'/>"),
      "socket='s' is not an absolute path" },
    { "unix-with-a-name", PULL_WITH("<server transport='unix' socket='/s' name='h'/>"),
      "attribute 'name'" },
    { "fd-without-a-group", PULL_WITH("<server transport='fd'/>"), "requires fdgroup=" },
    { "fd-with-an-empty-group", PULL_WITH("<server transport='fd' fdgroup=''/>"),
      "requires fdgroup=" },
    { "tls-words", PULL_WITH("<server name='h' tls='maybe'/>"), "tls='maybe' is neither" },
    { "an-empty-disk-list", "<domainbackup><disks/></domainbackup>", "an empty list" },
    { "a-disk-without-a-name", PUSH("<disk type='file'/>"), "name is missing" },
    { "a-disk-named-by-path", PUSH("<disk name='/images/a' type='file'/>"),
      "a path cannot be used here" },
    { "a-disk-given-twice",
      PUSH("<disk name='vda' type='file'/>\n<disk name='vda' type='file'/>"),
      "line 2: <disk>: name='vda' is given twice" },
    { "backup-words", PUSH("<disk name='vda' backup='maybe'/>"), "backup='maybe' is neither" },
    { "backup-no-with-a-type", PUSH("<disk name='vda' backup='no' type='file'/>"),
      "attribute 'type' is not allowed" },
    { "backup-no-with-a-target",
      PUSH("<disk name='vda' backup='no'><target file='/a'/></disk>"),
      "<target>: is not allowed" },
    { "push-without-a-type", PUSH("<disk name='vda'><target file='/a'/></disk>"),
      "type= is missing: 'file' or 'block' (libvirt's schema demands it" },
    { "push-with-backup-yes-without-a-type", PUSH("<disk name='vda' backup='yes'/>"),
      "type= is missing" },
    { "push-to-nowhere", PUSH("<disk name='vda' type='network'/>"), "requires <target>" },
    { "push-to-another-protocol",
      PUSH("<disk name='vda' type='network'><target protocol='rbd' name='x'><host name='h'/>"
           "</target></disk>"),
      "is not one of: nbd" },
    { "push-without-a-protocol",
      PUSH(
          "<disk name='vda' type='network'><target name='x'><host name='h'/></target></disk>"),
      "protocol='nbd' is missing" },
    { "push-without-a-host",
      PUSH("<disk name='vda' type='network'><target protocol='nbd' name='x'/></disk>"),
      "<host> is missing" },
    { "push-to-a-host-without-a-name",
      PUSH("<disk name='vda' type='network'><target protocol='nbd'><host port='1'/></target>"
           "</disk>"),
      "name= is missing" },
    { "push-to-a-socket-without-a-path",
      PUSH("<disk name='vda' type='network'><target protocol='nbd'><host transport='unix'/>"
           "</target></disk>"),
      "requires socket=" },
    { "push-to-a-file-over-the-network",
      PUSH("<disk name='vda' type='network'><target file='/a'/></disk>"), "attribute 'file'" },
    { "pull-to-the-network",
      PULL("<disk name='vda' type='network'><scratch protocol='nbd'><host name='h'/></scratch>"
           "</disk>"),
      "is not one of: file block" },
    { "push-with-a-scratch", PUSH("<disk name='vda' type='file'><scratch file='/a'/></disk>"),
      "<scratch>: is not allowed in <disk>" },
    { "push-to-a-relative-file",
      PUSH("<disk name='vda' type='file'><target file='a'/></disk>"),
      "file='a' is not an absolute path" },
    { "push-to-the-root", PUSH("<disk name='vda' type='file'><target file='/'/></disk>"),
      "file= with a path is missing" },
    { "a-file-target-with-dev", PUSH("<disk name='vda' type='file'><target dev='/a'/></disk>"),
      "attribute 'dev'" },
    { "a-target-without-a-path", PUSH("<disk name='vda' type='block'><target/></disk>"),
      "dev= with a path is missing" },
    { "an-unknown-element-in-a-target",
      PUSH("<disk name='vda' type='file'><target file='/a'><slices/></target></disk>"),
      "<slices>: is not allowed in <target>" },
    { "encryption-that-is-not-luks",
      PUSH(
          "<disk name='vda' type='file'><target file='/a'><encryption format='qcow'/></target>"
          "</disk>"),
      "format='qcow' is not one of: luks" },
    { "encryption-by-another-engine",
      PUSH("<disk name='vda' type='file'><target file='/a'><encryption format='luks' "
           "engine='librbd'/></target></disk>"),
      "engine='librbd'" },
    { "an-unknown-format", PUSH("<disk name='vda' type='file'><driver type='zip'/></disk>"),
      "type='zip' is not one of" },
    { "a-driver-without-a-type", PUSH("<disk name='vda' type='file'><driver/></disk>"),
      "<driver>: type is missing" },
    { "backupmode-words", PUSH("<disk name='vda' type='file' backupmode='half'/>"),
      "backupmode='half'" },
    { "full-with-a-checkpoint",
      PUSH("<disk name='vda' type='file' backupmode='full' incremental='c'/>"),
      "allows no incremental=" },
    { "export-names-for-push", PUSH("<disk name='vda' type='file' exportname='e'/>"),
      "are for pull backups" },
    { "index-on-input", PULL("<disk name='vda' type='file' index='1'/>"),
      "attribute 'index'" },
    { "pull-with-backup-yes-without-a-type", PULL("<disk name='vda' backup='yes'/>"),
      "give both or none" },
    { "pull-with-a-target", PULL("<disk name='vda' type='file'><target file='/a'/></disk>"),
      "<target>: is not allowed in <disk>" },
    { "pull-with-a-raw-scratch",
      PULL("<disk name='vda' type='file'><driver type='raw'/><scratch file='/a'/></disk>"),
      "type='raw' is not one of: qcow2" },
    { "pull-with-a-driver-and-no-scratch",
      PULL("<disk name='vda' type='file'><driver type='qcow2'/></disk>"),
      "next to <scratch> only" },
    { "pull-with-a-block-type-and-no-scratch", PULL("<disk name='vda' type='block'/>"),
      "requires <scratch dev=...>" },
};

static void
test_refusal(gconstpointer data)
{
    const Refusal *refusal = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpBackup) backup = vmp_backup_parse(refusal->xml, -1, &error);

    g_assert_null(backup);
    assert_invalid(error, refusal->part);
    g_assert_nonnull(strstr(error->message, "XML: line "));
}

static void
test_fields(void)
{
    g_autoptr(VmpBackup) backup = parse(
        "<domainbackup mode='pull'><incremental>c1</incremental>"
        "<server name='localhost' port='10809' tls='yes'/><disks>"
        "<disk name='vda' type='file' exportname='e' exportbitmap='b'>"
        "<scratch file='/s'/></disk><disk name='vdb' backup='no'/></disks></domainbackup>");
    const VmpBackupDisk *vda = vmp_backup_find_disk(backup, "vda");
    const VmpBackupDisk *vdb = vmp_backup_find_disk(backup, "vdb");

    g_assert_cmpint(backup->mode, ==, VMP_BACKUP_MODE_PULL);
    g_assert_cmpstr(backup->incremental, ==, "c1");
    g_assert_cmpstr(backup->server->transport, ==, "tcp");
    g_assert_cmpint(backup->server->port, ==, 10809);
    g_assert_true(backup->server->tls);
    g_assert_true(vda->wanted);
    g_assert_cmpint(vda->mode, ==, VMP_BACKUP_DISK_UNSET);
    g_assert_cmpint(vda->type, ==, VMP_STORAGE_FILE);
    g_assert_cmpstr(vda->target, ==, "/s");
    g_assert_cmpstr(vda->export_name, ==, "e");
    g_assert_cmpstr(vda->export_bitmap, ==, "b");
    g_assert_false(vdb->wanted);
    g_assert_cmpint(vdb->type, ==, VMP_STORAGE_NONE);
    g_assert_null(vmp_backup_find_disk(backup, "vd"));

    g_autoptr(VmpBackup) empty = parse("<domainbackup/>");
    g_assert_null(empty->disks);
    g_assert_null(vmp_backup_find_disk(empty, "vda"));
}

static void
test_status(void)
{
    g_autoptr(VmpBackup) backup = parse(PULL("<disk name='vda' type='file'/>"));
    g_autoptr(GError) error = NULL;

    vmp_backup_find_disk(backup, "vda")->index = 7;
    g_autofree char *text = vmp_backup_format(backup);
    g_assert_nonnull(strstr(text, " index='7'"));

    g_assert_null(vmp_backup_parse(text, -1, &error));
    assert_invalid(error, "attribute 'index'");
    g_clear_error(&error);
    g_autoptr(VmpBackup) again = vmp_backup_parse_status(text, -1, &error);
    g_assert_no_error(error);
    g_assert_cmpint(vmp_backup_find_disk(again, "vda")->index, ==, 7);
}

static void
test_long_names(void)
{
    g_autofree char *name = repeat("n", 10000);
    g_autofree char *push = replace(PUSH("<disk name='@' type='file'/>"), "@", name);
    g_autofree char *pull = replace(PULL("<disk name='vda' exportname='@'/>"), "@", name);
    g_autoptr(GError) error = NULL;

    g_assert_null(vmp_backup_parse(push, -1, &error));
    assert_invalid(error, "is not a disk target");
    g_autoptr(VmpBackup) backup = parse(pull);
    g_assert_cmpstr(vmp_backup_find_disk(backup, "vda")->export_name, ==, name);
}

static char *
format(const char *xml)
{
    g_autoptr(VmpBackup) backup = parse(xml);

    return vmp_backup_format(backup);
}

/* Rows that are newer than the schema, and rows that the schema would let pass. */
static const char *const newer[] = { "fd-with-a-group", "push-to-an-export",
                                     "push-to-an-export-at-a-socket", NULL };
static const char *const ours[] = { "a-port-too-large", "a-disk-given-twice", NULL };

/* What we read the schema accepts, before and after; what we refuse it refuses. */
static void
test_schema_agrees(void)
{
    g_autoptr(GPtrArray) accepted = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) refused = g_ptr_array_new_with_free_func(g_free);

    if (!have_schema("domainbackup.rng"))
        return;
    for (guint i = 0; i < G_N_ELEMENTS(readings); i++) {
        GPtrArray *judged = g_strv_contains(newer, readings[i].row) ? refused : accepted;
        g_ptr_array_add(judged, g_strdup(readings[i].xml));
        g_ptr_array_add(judged, format(readings[i].xml));
    }
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        GPtrArray *judged = g_strv_contains(ours, refusals[i].row) ? accepted : refused;
        g_ptr_array_add(judged, g_strdup(refusals[i].xml));
    }
    assert_schema_judges("domainbackup.rng", accepted, TRUE);
    assert_schema_judges("domainbackup.rng", refused, FALSE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(readings); i++) {
        g_autofree char *path = g_strconcat("/xml/backup/reads/", readings[i].row, NULL);
        g_test_add_data_func(path, &readings[i], test_reading);
    }
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strconcat("/xml/backup/refuses/", refusals[i].row, NULL);
        g_test_add_data_func(path, &refusals[i], test_refusal);
    }
    g_test_add_func("/xml/backup/fields-hold-what-was-said", test_fields);
    g_test_add_func("/xml/backup/a-status-document-has-indexes", test_status);
    g_test_add_func("/xml/backup/the-schema-agrees", test_schema_agrees);
    g_test_add_func("/xml/backup/names-of-10000-bytes", test_long_names);
    return g_test_run();
}
