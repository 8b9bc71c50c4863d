/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Random records: what is written is read back to the same record, and written to the
 * same text; and libvirt's schemas accept it.  The seed is printed by the harness; run a
 * failure again with --seed. */

#include <vmpoint/backup-record.h>
#include <vmpoint/checkpoint-record.h>
#include <vmpoint/snapshot-record.h>

#include "test-xml-fixture.h"
#include "test-xml-schema.h"

#define ROUNDS 300

static gboolean
chance(int percent)
{
    return g_test_rand_int_range(0, 100) < percent;
}

static guint
below(guint limit)
{
    return (guint)g_test_rand_int_range(0, (gint32)limit);
}

/* Anything that XML can hold, and now and then only what is hard. */
static char *
random_text(void)
{
    static const char *const pieces[] = {
        "a",  "Z",  " ",   "<",    ">",  "&",  "'",        "\"",           "\n",
        "\t", "\r", "]]>", "&lt;", "%s", "--", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa7"
    };
    GString *text = g_string_new("x");

    for (guint length = below(12); length > 0; length--)
        g_string_append(text, pieces[below(G_N_ELEMENTS(pieces))]);
    return g_string_free(text, FALSE);
}

static char *
random_path(void)
{
    g_autofree char *text = random_text();

    return g_strconcat("/", g_strdelimit(text, "\n\t\r", '_'), NULL);
}

static char *
random_name(void)
{
    return g_strdup_printf("c_%u.%u-x", below(1000), below(1000));
}

static char *
random_domain(const char *root)
{
    g_autofree char *title = random_text();
    g_autofree char *escaped = g_markup_escape_text(title, -1);

    return g_strdup_printf("<%s type='%s'>%s<name>d</name>\n"
                           "<uuid>c797a770-a2ce-4364-b2a3-%012u</uuid>\n\t<memory>%u</memory>"
                           "<os><type>hvm</type></os><description>%s</description></%s>",
                           root, chance(50) ? "kvm" : "qemu", chance(50) ? "<!-- c -->" : "",
                           below(1000000), 1024 + below(100000), escaped, root);
}

/* Snapshots. */

static VmpSnapshotDisk *
random_snapshot_disk(guint index)
{
    static const char *const drivers[] = { "qcow2", "qed", NULL };
    g_autofree char *name = chance(80) ? g_strdup_printf("vd%c", 'a' + (int)index)
                                       : g_strdup_printf("/images/%u", index);
    VmpSnapshotDisk *disk = vmp_snapshot_disk_new(name);

    disk->location = (VmpLocation)below(VMP_LOCATION_MANUAL + 1);
    if (disk->location != VMP_LOCATION_EXTERNAL)
        return disk;
    disk->type = chance(70) ? VMP_STORAGE_FILE : VMP_STORAGE_BLOCK;
    disk->driver = g_strdup(drivers[below(G_N_ELEMENTS(drivers))]);
    disk->source = chance(70) ? random_path() : NULL;
    if (disk->source && chance(20))
        disk->source_extra_xml = g_strdup("<seclabel model='dac' relabel='no'/>");
    if (disk->driver && chance(20))
        disk->metadata_cache_size = 1 + below(1 << 30);
    return disk;
}

static VmpSnapshot *
random_snapshot(void)
{
    VmpSnapshot *snapshot = vmp_snapshot_new();

    snapshot->name = random_text();
    snapshot->description = chance(50) ? random_text() : NULL;
    do
        snapshot->state = (VmpState)(1 + below(VMP_STATE_DISK_SNAPSHOT));
    while (snapshot->state == VMP_STATE_PMSUSPENDED); /* libvirt's schema has not this one */
    snapshot->parent = chance(50) ? random_text() : NULL;
    snapshot->creation_time = (gint64)below(G_MAXINT32) * below(1000);
    snapshot->memory = (VmpLocation)(VMP_LOCATION_NO + (int)below(3));
    if (snapshot->memory == VMP_LOCATION_EXTERNAL)
        snapshot->memory_file = random_path();
    for (guint i = below(6); i > 0; i--)
        g_ptr_array_add(snapshot->disks, random_snapshot_disk(i));
    snapshot->domain_xml = chance(80) ? random_domain("domain") : NULL;
    snapshot->inactive_domain_xml = chance(30) ? random_domain("inactiveDomain") : NULL;
    if (!snapshot->domain_xml && chance(50))
        snapshot->domain_uuid = g_strdup("c797a770-a2ce-4364-b2a3-1c450ad69915");
    if (chance(50) && snapshot->state == VMP_STATE_RUNNING)
        snapshot->cookie_xml = g_strdup("<cookie>\n<x:y xmlns:x='urn:x'  a=\"1\"/></cookie>");
    return snapshot;
}

static void
test_snapshots(void)
{
    g_autoptr(GPtrArray) documents = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < ROUNDS; i++) {
        g_autoptr(VmpSnapshot) snapshot = random_snapshot();
        g_autofree char *text = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_SECURE);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpSnapshot) again =
            vmp_snapshot_parse(text, -1, VMP_SNAPSHOT_PARSE_REDEFINE, &error);
        g_assert_no_error(error);

        g_assert_cmpstr(again->name, ==, snapshot->name);
        g_assert_cmpstr(again->description, ==, snapshot->description);
        g_assert_cmpint(again->state, ==, snapshot->state);
        g_assert_cmpstr(again->parent, ==, snapshot->parent);
        g_assert_cmpint(again->creation_time, ==, snapshot->creation_time);
        g_assert_cmpint(again->memory, ==, snapshot->memory);
        g_assert_cmpstr(again->memory_file, ==, snapshot->memory_file);
        g_assert_cmpstr(again->domain_xml, ==, snapshot->domain_xml);
        g_assert_cmpstr(again->inactive_domain_xml, ==, snapshot->inactive_domain_xml);
        g_assert_cmpstr(again->cookie_xml, ==, snapshot->cookie_xml);
        g_assert_cmpuint(again->disks->len, ==, snapshot->disks->len);
        for (guint n = 0; n < again->disks->len; n++) {
            const VmpSnapshotDisk *one = g_ptr_array_index(snapshot->disks, n);
            const VmpSnapshotDisk *two = g_ptr_array_index(again->disks, n);

            g_assert_cmpstr(two->name, ==, one->name);
            g_assert_cmpint(two->location, ==, one->location);
            g_assert_cmpint(two->type, ==, one->type);
            g_assert_cmpstr(two->source, ==, one->source);
            g_assert_cmpstr(two->driver, ==, one->driver);
            g_assert_cmpstr(two->source_extra_xml, ==, one->source_extra_xml);
            g_assert_cmpuint(two->metadata_cache_size, ==, one->metadata_cache_size);
        }
        g_autofree char *same = vmp_snapshot_format(again, VMP_SNAPSHOT_FORMAT_SECURE);
        g_assert_cmpstr(same, ==, text);
        g_ptr_array_add(documents, g_steal_pointer(&text));
    }

    if (have_schema("domainsnapshot.rng"))
        assert_schema_judges("domainsnapshot.rng", documents, TRUE);
}

/* Checkpoints. */

static VmpCheckpointDisk *
random_checkpoint_disk(guint index)
{
    g_autofree char *name = g_strdup_printf("sd%c", 'a' + (int)index);
    VmpCheckpointDisk *disk = vmp_checkpoint_disk_new(name);

    disk->bitmap_set = chance(70);
    disk->wanted = !disk->bitmap_set || chance(50);
    disk->bitmap = disk->wanted && chance(50) ? random_text() : NULL;
    return disk;
}

static VmpCheckpoint *
random_checkpoint(void)
{
    VmpCheckpoint *checkpoint = vmp_checkpoint_new();

    checkpoint->name = random_name();
    checkpoint->description = chance(50) ? random_text() : NULL;
    checkpoint->parent = chance(50) ? random_name() : NULL;
    checkpoint->creation_time = (gint64)below(G_MAXINT32) * below(1000);
    if (chance(70)) {
        checkpoint->disks =
            g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_free);
        for (guint i = 1 + below(5); i > 0; i--)
            g_ptr_array_add(checkpoint->disks, random_checkpoint_disk(i));
    }
    checkpoint->domain_xml = chance(80) ? random_domain("domain") : NULL;
    return checkpoint;
}

static void
test_checkpoints(void)
{
    g_autoptr(GPtrArray) documents = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < ROUNDS; i++) {
        g_autoptr(VmpCheckpoint) checkpoint = random_checkpoint();
        g_autofree char *text =
            vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_SECURE);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpCheckpoint) again =
            vmp_checkpoint_parse(text, -1, VMP_CHECKPOINT_PARSE_REDEFINE, &error);
        g_assert_no_error(error);

        g_assert_cmpstr(again->name, ==, checkpoint->name);
        g_assert_cmpstr(again->description, ==, checkpoint->description);
        g_assert_cmpstr(again->parent, ==, checkpoint->parent);
        g_assert_cmpint(again->creation_time, ==, checkpoint->creation_time);
        g_assert_cmpstr(again->domain_xml, ==, checkpoint->domain_xml);
        g_assert_cmpint(again->disks != NULL, ==, checkpoint->disks != NULL);
        for (guint n = 0; again->disks && n < again->disks->len; n++) {
            const VmpCheckpointDisk *one = g_ptr_array_index(checkpoint->disks, n);
            const VmpCheckpointDisk *two = g_ptr_array_index(again->disks, n);

            g_assert_cmpstr(two->name, ==, one->name);
            g_assert_cmpint(two->wanted, ==, one->wanted);
            g_assert_cmpint(two->bitmap_set, ==, one->bitmap_set);
            g_assert_cmpstr(two->bitmap, ==, one->bitmap);
        }
        g_autofree char *same = vmp_checkpoint_format(again, VMP_CHECKPOINT_FORMAT_SECURE);
        g_assert_cmpstr(same, ==, text);
        g_ptr_array_add(documents, g_steal_pointer(&text));
    }

    if (have_schema("domaincheckpoint.rng"))
        assert_schema_judges("domaincheckpoint.rng", documents, TRUE);
}

/* Backups. */

static VmpBackupDisk *
random_backup_disk(guint index, VmpBackupMode mode)
{
    g_autofree char *name = g_strdup_printf("hd%c", 'a' + (int)index);
    VmpBackupDisk *disk = vmp_backup_disk_new(name);
    gboolean is_pull = mode == VMP_BACKUP_MODE_PULL;

    disk->wanted = chance(80);
    if (!disk->wanted)
        return disk;
    disk->mode = (VmpBackupDiskMode)below(3);
    if (disk->mode != VMP_BACKUP_DISK_FULL && chance(50))
        disk->incremental = random_name();
    disk->type = chance(50) ? VMP_STORAGE_FILE : VMP_STORAGE_BLOCK;
    if (is_pull && chance(30))
        disk->type = VMP_STORAGE_NONE;
    if (chance(50) || (is_pull && disk->type == VMP_STORAGE_BLOCK)) {
        disk->target = random_path();
        disk->driver = chance(50) ? g_strdup(is_pull ? "qcow2" : "raw") : NULL;
        disk->extra_xml = chance(30) ? g_strdup("<seclabel model='dac' relabel='no'/>") : NULL;
    }
    disk->export_name = is_pull && chance(50) ? random_text() : NULL;
    disk->export_bitmap = is_pull && chance(50) ? random_text() : NULL;
    return disk;
}

static VmpBackupServer *
random_server(void)
{
    VmpBackupServer *server = g_new0(VmpBackupServer, 1);

    server->tls = chance(50);
    if (chance(50)) {
        server->transport = g_strdup("unix");
        server->socket = random_path();
    } else {
        server->transport = g_strdup("tcp");
        server->name = g_strdup(chance(50) ? "host-1.example" : "::1");
        server->port = (int)below(65536);
    }
    return server;
}

static VmpBackup *
random_backup(void)
{
    VmpBackup *backup = vmp_backup_new();

    backup->mode = chance(50) ? VMP_BACKUP_MODE_PUSH : VMP_BACKUP_MODE_PULL;
    backup->server = backup->mode == VMP_BACKUP_MODE_PULL ? random_server() : NULL;
    backup->incremental = chance(50) ? random_name() : NULL;
    if (chance(80)) {
        backup->disks = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_backup_disk_free);
        for (guint i = 1 + below(5); i > 0; i--)
            g_ptr_array_add(backup->disks, random_backup_disk(i, backup->mode));
    }
    return backup;
}

static void
test_backups(void)
{
    g_autoptr(GPtrArray) documents = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < ROUNDS; i++) {
        g_autoptr(VmpBackup) backup = random_backup();
        g_autofree char *text = vmp_backup_format(backup);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmpBackup) again = vmp_backup_parse(text, -1, &error);
        g_assert_no_error(error);

        g_assert_cmpint(again->mode, ==, backup->mode);
        g_assert_cmpstr(again->incremental, ==, backup->incremental);
        g_assert_cmpint(again->server != NULL, ==, backup->server != NULL);
        g_assert_cmpint(again->disks != NULL, ==, backup->disks != NULL);
        for (guint n = 0; again->disks && n < again->disks->len; n++) {
            const VmpBackupDisk *one = g_ptr_array_index(backup->disks, n);
            const VmpBackupDisk *two = g_ptr_array_index(again->disks, n);

            g_assert_cmpstr(two->name, ==, one->name);
            g_assert_cmpint(two->wanted, ==, one->wanted);
            g_assert_cmpint(two->mode, ==, one->mode);
            g_assert_cmpint(two->type, ==, one->type);
            g_assert_cmpstr(two->incremental, ==, one->incremental);
            g_assert_cmpstr(two->target, ==, one->target);
            g_assert_cmpstr(two->driver, ==, one->driver);
            g_assert_cmpstr(two->export_name, ==, one->export_name);
            g_assert_cmpstr(two->export_bitmap, ==, one->export_bitmap);
            g_assert_cmpstr(two->extra_xml, ==, one->extra_xml);
        }
        g_autofree char *same = vmp_backup_format(again);
        g_assert_cmpstr(same, ==, text);
        g_ptr_array_add(documents, g_steal_pointer(&text));
    }

    if (have_schema("domainbackup.rng"))
        assert_schema_judges("domainbackup.rng", documents, TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/round-trip/random-snapshots-come-back", test_snapshots);
    g_test_add_func("/xml/round-trip/random-checkpoints-come-back", test_checkpoints);
    g_test_add_func("/xml/round-trip/random-backups-come-back", test_backups);
    return g_test_run();
}
