/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Alignment as tables: a domain, a document, and what must come of it.  The names of the cases
 * are the rules of libvirt's contract. */

#include <string.h>

#include "base/error.h"
#include "point/align.h"

#define DISK(target, attributes, source, more)                                                \
    "<disk type='file' device='disk'" attributes "><driver name='qemu' type='qcow2'/>" source \
    "<target dev='" target "' bus='virtio'/>" more "</disk>"
#define EXPORT(source)                                                                   \
    "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source " source \
    "><host "                                                                            \
    "name='h'/></source><target dev='vda' bus='virtio'/></disk>"
#define DOMAIN(disks)                                                      \
    "<domain type='qemu'><name>d</name><memory unit='MiB'>64</memory>"     \
    "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>" disks \
    "</devices></domain>"
#define TWO_DISKS                                             \
    DOMAIN(DISK("vda", "", "<source file='/x/a.qcow2'/>", "") \
               DISK("vdb", "", "<source file='/x/b.img'/>", ""))

typedef struct {
    const char *name;
    const char *domain;
    const char *document;
    gboolean active;
    VmpSnapshotCreateFlags flags;
    int code;             /* 0 = must succeed */
    const char *expected; /* "memory vda=mode:path vdb=..." */
} SnapshotCase;

#define ONLY VMP_SNAPSHOT_CREATE_DISK_ONLY

static const SnapshotCase snapshot_cases[] = {
    { "disk-only makes every disk external, named by the rule of the last dot", TWO_DISKS,
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, ONLY, 0,
      "no vda=external:/x/a.s1 vdb=external:/x/b.s1" },
    { "a running domain without flags gets everything internal", TWO_DISKS,
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, 0, 0,
      "internal vda=internal:- vdb=internal:-" },
    { "an off domain without flags gets internal disks and no memory", TWO_DISKS,
      "<domainsnapshot><name>s1</name></domainsnapshot>", FALSE, 0, 0,
      "no vda=internal:- vdb=internal:-" },
    { "external memory makes the disks external", TWO_DISKS,
      "<domainsnapshot><name>s1</name><memory snapshot='external' "
      "file='/x/m'/></domainsnapshot>",
      TRUE, 0, 0, "external vda=external:/x/a.s1 vdb=external:/x/b.s1" },
    { "a memory file alone means external memory", TWO_DISKS,
      "<domainsnapshot><name>s1</name><memory file='/x/m'/></domainsnapshot>", TRUE, 0, 0,
      "external vda=external:/x/a.s1 vdb=external:/x/b.s1" },
    { "memory-only: all disks may be left out with external memory", TWO_DISKS,
      "<domainsnapshot><name>s1</name><memory snapshot='external' file='/x/m'/><disks>"
      "<disk name='vda' snapshot='no'/><disk name='vdb' "
      "snapshot='no'/></disks></domainsnapshot>",
      TRUE, 0, 0, "external vda=no:- vdb=no:-" },
    { "a disk may be listed by its source path", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='/x/b.img' snapshot='no'/></disks>"
      "</domainsnapshot>",
      TRUE, ONLY, 0, "no vda=external:/x/a.s1 vdb=no:-" },
    { "a given overlay path is kept", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='vda'><source "
      "file='/y/o'/></disk></disks>"
      "</domainsnapshot>",
      TRUE, ONLY, 0, "no vda=external:/y/o vdb=external:/x/b.s1" },
    { "a read-only disk is left out by default",
      DOMAIN(DISK("vda", "", "<source file='/x/a.qcow2'/>", "")
                 DISK("vdb", "", "<source file='/x/b.img'/>", "<readonly/>")),
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, ONLY, 0,
      "no vda=external:/x/a.s1 vdb=no:-" },
    { "an empty drive is left out by default",
      DOMAIN(DISK("vda", "", "<source file='/x/a.qcow2'/>",
                  "") "<disk type='file' device='cdrom'><target dev='sda' "
                      "bus='sata'/><readonly/></disk>"),
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, ONLY, 0,
      "no vda=external:/x/a.s1 sda=no:-" },
    { "the domain's own default for a disk counts for disk-only",
      DOMAIN(DISK("vda", "", "<source file='/x/a.qcow2'/>", "")
                 DISK("vdb", " snapshot='no'", "<source file='/x/b.img'/>", "")),
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, ONLY, 0,
      "no vda=external:/x/a.s1 vdb=no:-" },
    { "manual alone is something", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='vda' snapshot='manual'/>"
      "<disk name='vdb' snapshot='no'/></disks></domainsnapshot>",
      TRUE, ONLY, 0, "no vda=manual:- vdb=no:-" },

    { "memory with disk-only is refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><memory snapshot='internal'/></domainsnapshot>", TRUE,
      ONLY, VMP_ERROR_INVALID, NULL },
    { "memory of an off domain is refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><memory snapshot='external' "
      "file='/x/m'/></domainsnapshot>",
      FALSE, 0, VMP_ERROR_INVALID, NULL },
    { "no memory of a running domain without disk-only is refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><memory snapshot='no'/></domainsnapshot>", TRUE, 0,
      VMP_ERROR_UNSUPPORTED, NULL },
    { "live without external memory is refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, VMP_SNAPSHOT_CREATE_LIVE,
      VMP_ERROR_INVALID, NULL },
    { "an unknown disk is refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='vdz'/></disks></domainsnapshot>",
      TRUE, ONLY, VMP_ERROR_NOT_FOUND, NULL },
    { "a disk listed twice, by target and by path, is refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='vda'/><disk "
      "name='/x/a.qcow2'/></disks>"
      "</domainsnapshot>",
      TRUE, ONLY, VMP_ERROR_INVALID, NULL },
    { "two disks with one overlay are refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='vda'><source file='/o'/></disk>"
      "<disk name='vdb'><source file='/o'/></disk></disks></domainsnapshot>",
      TRUE, ONLY, VMP_ERROR_INVALID, NULL },
    { "generated names that collide are refused",
      DOMAIN(DISK("vda", "", "<source file='/x/a.qcow2'/>", "")
                 DISK("vdb", "", "<source file='/x/a.img'/>", "")),
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, ONLY, VMP_ERROR_INVALID,
      NULL },
    { "internal and external disks together are refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='vda' snapshot='internal'/></disks>"
      "</domainsnapshot>",
      TRUE, ONLY, VMP_ERROR_UNSUPPORTED, NULL },
    { "an internal snapshot that leaves a writable disk out is refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='vda' snapshot='no'/></disks>"
      "</domainsnapshot>",
      FALSE, 0, VMP_ERROR_UNSUPPORTED, NULL },
    { "nothing selected is refused", TWO_DISKS,
      "<domainsnapshot><name>s1</name><disks><disk name='vda' snapshot='no'/>"
      "<disk name='vdb' snapshot='no'/></disks></domainsnapshot>",
      TRUE, ONLY, VMP_ERROR_UNSUPPORTED, NULL },
    { "a shareable disk cannot get an overlay",
      DOMAIN(DISK("vda", "", "<source file='/x/a.qcow2'/>", "<shareable/>")),
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, ONLY, VMP_ERROR_UNSUPPORTED,
      NULL },
    { "an internal snapshot of a raw image is refused",
      DOMAIN("<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
             "<source file='/x/a.raw'/><target dev='vda' bus='virtio'/></disk>"),
      "<domainsnapshot><name>s1</name></domainsnapshot>", FALSE, 0, VMP_ERROR_UNSUPPORTED,
      NULL },
    { "an overlay name is not made up for an export",
      DOMAIN(EXPORT("protocol='nbd' name='e'")),
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, ONLY, VMP_ERROR_UNSUPPORTED,
      NULL },
    { "an overlay cannot name an export behind TLS",
      DOMAIN(EXPORT("protocol='nbd' name='e' tls='yes'")),
      "<domainsnapshot><name>s1</name><disks><disk name='vda' snapshot='external'>"
      "<source file='/x/o'/></disk></disks></domainsnapshot>",
      TRUE, ONLY, VMP_ERROR_UNSUPPORTED, NULL },
    { "an internal snapshot of a raw export is refused",
      DOMAIN(EXPORT("protocol='nbd' name='e'")),
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, 0, VMP_ERROR_UNSUPPORTED,
      NULL },
    { "an overlay name is not made up for a block device",
      DOMAIN("<disk type='block' device='disk'><driver name='qemu' type='raw'/>"
             "<source dev='/dev/vg/a'/><target dev='vda' bus='virtio'/></disk>"),
      "<domainsnapshot><name>s1</name></domainsnapshot>", TRUE, ONLY, VMP_ERROR_UNSUPPORTED,
      NULL },
};

static char *
describe_snapshot(const VmpSnapshot *snapshot)
{
    GString *text = g_string_new(vmp_location_name(snapshot->memory));

    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);
        g_string_append_printf(text, " %s=%s:%s", disk->name,
                               vmp_location_name(disk->location),
                               disk->source ? disk->source : "-");
        /* What libvirt writes out although nobody has said it. */
        gboolean has_format = g_strcmp0(disk->driver, "qcow2") == 0;
        g_assert_cmpint(has_format, ==, disk->location == VMP_LOCATION_EXTERNAL);
    }
    return g_string_free(text, FALSE);
}

static void
align_snapshot(gconstpointer data)
{
    const SnapshotCase *test = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) domain = vmp_domain_parse(test->domain, -1, &error);
    g_assert_no_error(error);
    g_autoptr(VmpSnapshot) snapshot =
        vmp_snapshot_parse(test->document, -1, VMP_SNAPSHOT_PARSE_CREATE, &error);
    g_assert_no_error(error);

    gboolean aligned = vmp_align_snapshot(snapshot, domain, test->active, test->flags, &error);
    if (test->code) {
        g_assert_false(aligned);
        g_assert_error(error, VMP_ERROR, test->code);
        return;
    }
    g_assert_no_error(error);
    g_autofree char *text = describe_snapshot(snapshot);
    g_assert_cmpstr(text, ==, test->expected);
}

/* ---- checkpoints ---- */

typedef struct {
    const char *name, *domain, *document;
    int code;
    const char *expected; /* "vda=bitmap:c1 vdb=no" */
} CheckpointCase;

static const CheckpointCase checkpoint_cases[] = {
    { "no list means every writable disk", TWO_DISKS,
      "<domaincheckpoint><name>c1</name></domaincheckpoint>", 0, "vda=c1 vdb=c1" },
    { "with a list, what is not listed is left out", TWO_DISKS,
      "<domaincheckpoint><name>c1</name><disks><disk name='vdb'/></disks></domaincheckpoint>",
      0, "vda=no vdb=c1" },
    { "a read-only disk is left out",
      DOMAIN(DISK("vda", "", "<source file='/x/a.qcow2'/>", "")
                 DISK("vdb", "", "<source file='/x/b.img'/>", "<readonly/>")),
      "<domaincheckpoint><name>c1</name></domaincheckpoint>", 0, "vda=c1 vdb=no" },
    { "a listed read-only disk is refused",
      DOMAIN(DISK("vda", "", "<source file='/x/a.qcow2'/>", "<readonly/>")),
      "<domaincheckpoint><name>c1</name><disks><disk name='vda'/></disks></domaincheckpoint>",
      VMP_ERROR_UNSUPPORTED, NULL },
    { "a raw disk is tracked as long as QEMU lives",
      DOMAIN("<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
             "<source file='/x/a.raw'/><target dev='vda' bus='virtio'/></disk>"),
      "<domaincheckpoint><name>c1</name></domaincheckpoint>", 0, "vda=c1" },
    { "another bitmap name than the checkpoint's is refused", TWO_DISKS,
      "<domaincheckpoint><name>c1</name><disks><disk name='vda' checkpoint='bitmap' "
      "bitmap='x'/>"
      "</disks></domaincheckpoint>",
      VMP_ERROR_UNSUPPORTED, NULL },
    { "an unknown disk is refused", TWO_DISKS,
      "<domaincheckpoint><name>c1</name><disks><disk name='vdz'/></disks></domaincheckpoint>",
      VMP_ERROR_NOT_FOUND, NULL },
    { "a domain without disks is refused", DOMAIN(""),
      "<domaincheckpoint><name>c1</name></domaincheckpoint>", VMP_ERROR_UNSUPPORTED, NULL },
    { "nothing to track is refused", TWO_DISKS,
      "<domaincheckpoint><name>c1</name><disks><disk name='vda' checkpoint='no'/></disks>"
      "</domaincheckpoint>",
      VMP_ERROR_INVALID, NULL },
};

static void
align_checkpoint(gconstpointer data)
{
    const CheckpointCase *test = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) domain = vmp_domain_parse(test->domain, -1, &error);
    g_assert_no_error(error);
    g_autoptr(VmpCheckpoint) checkpoint =
        vmp_checkpoint_parse(test->document, -1, VMP_CHECKPOINT_PARSE_CREATE, &error);
    g_assert_no_error(error);

    gboolean aligned = vmp_align_checkpoint(checkpoint, domain, &error);
    if (test->code) {
        g_assert_false(aligned);
        g_assert_error(error, VMP_ERROR, test->code);
        return;
    }
    g_assert_no_error(error);

    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < checkpoint->disks->len; i++) {
        const VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);
        g_string_append_printf(text, "%s%s=%s", i ? " " : "", disk->name,
                               disk->wanted ? disk->bitmap : "no");
        g_assert_cmpint(disk->bitmap_set, ==, disk->wanted);
    }
    g_assert_cmpstr(text->str, ==, test->expected);
}

/* ---- backups ---- */

typedef struct {
    const char *name, *domain, *document;
    int code;
    const char *expected; /* "vda=full:qcow2:/path vdb=no" */
} BackupCase;

static const BackupCase backup_cases[] = {
    { "no list means all writable disks, extension kept", TWO_DISKS, "<domainbackup/>", 0,
      "vda=full:qcow2:/x/a.qcow2.sfx vdb=full:qcow2:/x/b.img.sfx" },
    { "a checkpoint to start from makes it incremental", TWO_DISKS,
      "<domainbackup><incremental>c1</incremental></domainbackup>", 0,
      "vda=c1:qcow2:/x/a.qcow2.sfx vdb=c1:qcow2:/x/b.img.sfx" },
    { "only listed disks take part; target and format are kept", TWO_DISKS,
      "<domainbackup><disks><disk name='vda' type='file'><target file='/b/a'/>"
      "<driver type='raw'/></disk><disk name='vdb' backup='no'/></disks></domainbackup>",
      0, "vda=full:raw:/b/a vdb=no" },
    { "a disk that is not listed is written out", TWO_DISKS,
      "<domainbackup><disks><disk name='vdb' type='file'/></disks></domainbackup>", 0,
      "vdb=full:qcow2:/x/b.img.sfx vda=no" },
    { "one disk may be full within an incremental backup", TWO_DISKS,
      "<domainbackup><incremental>c1</incremental><disks>"
      "<disk name='vda' type='file' backupmode='full'/><disk name='vdb' type='file'/></disks>"
      "</domainbackup>",
      0, "vda=full:qcow2:/x/a.qcow2.sfx vdb=c1:qcow2:/x/b.img.sfx" },
    { "incremental mode without a checkpoint is refused", TWO_DISKS,
      "<domainbackup><disks><disk name='vda' type='file' backupmode='incremental'/></disks>"
      "</domainbackup>",
      VMP_ERROR_INVALID, NULL },
    { "an unknown disk is refused", TWO_DISKS,
      "<domainbackup><disks><disk name='vdz' type='file'/></disks></domainbackup>",
      VMP_ERROR_NOT_FOUND, NULL },
    { "two disks with one target are refused", TWO_DISKS,
      "<domainbackup><disks><disk name='vda' type='file'><target file='/b/a'/></disk>"
      "<disk name='vdb' type='file'><target file='/b/a'/></disk></disks></domainbackup>",
      VMP_ERROR_INVALID, NULL },
    { "nothing left to back up is refused", TWO_DISKS,
      "<domainbackup><disks><disk name='vda' backup='no'/></disks></domainbackup>",
      VMP_ERROR_INVALID, NULL },
};

static void
align_backup(gconstpointer data)
{
    const BackupCase *test = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpDomain) domain = vmp_domain_parse(test->domain, -1, &error);
    g_assert_no_error(error);
    g_autoptr(VmpBackup) backup = vmp_backup_parse(test->document, -1, &error);
    g_assert_no_error(error);

    gboolean aligned = vmp_align_backup(backup, domain, "sfx", &error);
    if (test->code) {
        g_assert_false(aligned);
        g_assert_error(error, VMP_ERROR, test->code);
        return;
    }
    g_assert_no_error(error);

    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < backup->disks->len; i++) {
        const VmpBackupDisk *disk = g_ptr_array_index(backup->disks, i);
        const char *from = disk->mode == VMP_BACKUP_DISK_FULL ? "full" : disk->incremental;

        g_string_append_printf(text, "%s%s=", i > 0 ? " " : "", disk->name);
        if (disk->wanted)
            g_string_append_printf(text, "%s:%s:%s", from, disk->driver, disk->target);
        else
            g_string_append(text, "no");
    }
    g_assert_cmpstr(text->str, ==, test->expected);
}

/* A case's sentence as a path. */
static void
add_case(const char *group, const char *name, gconstpointer test, GTestDataFunc func)
{
    g_autofree char *sentence = g_strdelimit(g_strdup(name), " ", '-');
    g_autofree char *path = g_strdup_printf("/point/align/%s/%s", group, sentence);

    g_test_add_data_func(path, test, func);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(snapshot_cases); i++)
        add_case("snapshot", snapshot_cases[i].name, &snapshot_cases[i], align_snapshot);
    for (guint i = 0; i < G_N_ELEMENTS(checkpoint_cases); i++)
        add_case("checkpoint", checkpoint_cases[i].name, &checkpoint_cases[i],
                 align_checkpoint);
    for (guint i = 0; i < G_N_ELEMENTS(backup_cases); i++)
        add_case("backup", backup_cases[i].name, &backup_cases[i], align_backup);
    return g_test_run();
}
