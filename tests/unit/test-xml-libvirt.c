/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libvirt itself as the judge of our documents: its client's built-in test driver
 * redefines what we wrote and has to dump the same bytes, up to the domain, which
 * libvirt writes in its own words. */

#include <glib/gstdio.h>
#include <vmpoint/checkpoint-record.h>
#include <vmpoint/snapshot-record.h>

#include "test-xml-fixture.h"

static const char domain[] =
    "<domain type='test'>\n"
    "  <name>judge</name>\n"
    "  <uuid>c797a770-a2ce-4364-b2a3-1c450ad69915</uuid>\n"
    "  <memory>65536</memory>\n"
    "  <os><type>hvm</type></os>\n"
    "  <devices>\n"
    "    <disk type='file'><driver type='qcow2'/><source file='/a'/><target "
    "dev='vda'/></disk>\n"
    "    <disk type='block'><source dev='/dev/b'/><target dev='vdb'/></disk>\n"
    "    <disk type='file'><source file='/c'/><target dev='vdc'/></disk>\n"
    "    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>\n"
    "  </devices>\n"
    "</domain>";

static gboolean
have_virsh(void)
{
    g_autofree char *virsh = g_find_program_in_path("virsh");

    if (!virsh)
        g_test_skip("virsh is not installed");
    return virsh != NULL;
}

static char *
write_file(const char *dir, const char *name, const char *text)
{
    char *path = g_build_filename(dir, name, NULL);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, text, -1, &error);
    g_assert_no_error(error);
    return path;
}

/* What virsh says to @commands after defining the domain; the driver forgets all when
 * the connection closes, so that one run has to do. */
static char *
run_virsh(const char *document, const char *create, const char *dump)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmpoint-virsh-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *domain_path = write_file(dir, "domain.xml", domain);
    g_autofree char *document_path = write_file(dir, "document.xml", document);
    g_autofree char *script =
        g_strdup_printf("define %s; start judge; %s judge %s --redefine; "
                        "%s judge one",
                        domain_path, create, document_path, dump);
    const char *arguments[] = { "virsh", "-q", "-c", "test:///default", script, NULL };
    g_autofree char *complaints = NULL;
    char *output = NULL;
    int status = -1;

    g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output,
                 &complaints, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(complaints, ==, "");
    g_assert_cmpint(status, ==, 0);
    g_unlink(domain_path);
    g_unlink(document_path);
    g_rmdir(dir);
    return output;
}

static void
assert_same_up_to(const char *ours, const char *theirs, const char *mark)
{
    const char *end = strstr(ours, mark);
    const char *their_end = strstr(theirs, mark);

    g_assert_nonnull(end);
    g_assert_nonnull(their_end);
    g_autofree char *one = g_strndup(ours, (gsize)(end - ours));
    g_autofree char *two = g_strndup(theirs, (gsize)(their_end - theirs));
    g_assert_cmpstr(one, ==, two);
}

static VmpSnapshotDisk *
disk_of(const char *name, VmpLocation location, const char *source, const char *driver)
{
    VmpSnapshotDisk *disk = vmp_snapshot_disk_new(name);

    disk->location = location;
    disk->source = g_strdup(source);
    disk->driver = g_strdup(driver);
    return disk;
}

static VmpSnapshot *
make_snapshot(void)
{
    VmpSnapshot *snapshot = vmp_snapshot_new();

    snapshot->name = g_strdup("one");
    snapshot->description = g_strdup("it's <one> & \"all\"\nof it");
    snapshot->creation_time = 1795446411;
    snapshot->domain_xml = g_strdup(domain);
    return snapshot;
}

static void
check_snapshot(const VmpSnapshot *snapshot)
{
    g_autofree char *ours = vmp_snapshot_format(snapshot, VMP_SNAPSHOT_FORMAT_SECURE);
    g_autofree char *theirs = run_virsh(ours, "snapshot-create", "snapshot-dumpxml");

    assert_same_up_to(ours, theirs, "  <domain type=");
}

static void
test_external_snapshot(void)
{
    g_autoptr(VmpSnapshot) snapshot = make_snapshot();
    VmpSnapshotDisk *vda = disk_of("vda", VMP_LOCATION_EXTERNAL, "/n'w", "qcow2");
    VmpSnapshotDisk *vdb = disk_of("vdb", VMP_LOCATION_EXTERNAL, "/dev/n", "qcow2");

    if (!have_virsh())
        return;
    vda->metadata_cache_size = 2 << 20;
    vda->source_extra_xml = g_strdup("<seclabel model='dac' relabel='no'/>");
    vdb->type = VMP_STORAGE_BLOCK;
    snapshot->state = VMP_STATE_RUNNING;
    snapshot->memory = VMP_LOCATION_EXTERNAL;
    snapshot->memory_file = g_strdup("/m&m");
    g_ptr_array_add(snapshot->disks, vda);
    g_ptr_array_add(snapshot->disks, vdb);
    g_ptr_array_add(snapshot->disks, disk_of("vdc", VMP_LOCATION_MANUAL, NULL, NULL));
    g_ptr_array_add(snapshot->disks, disk_of("sda", VMP_LOCATION_NO, NULL, NULL));
    check_snapshot(snapshot);
}

static void
test_internal_snapshot(void)
{
    g_autoptr(VmpSnapshot) snapshot = make_snapshot();

    if (!have_virsh())
        return;
    snapshot->state = VMP_STATE_PAUSED;
    snapshot->memory = VMP_LOCATION_INTERNAL;
    g_ptr_array_add(snapshot->disks, disk_of("vda", VMP_LOCATION_INTERNAL, NULL, NULL));
    g_ptr_array_add(snapshot->disks, disk_of("vdb", VMP_LOCATION_INTERNAL, NULL, NULL));
    g_ptr_array_add(snapshot->disks, disk_of("vdc", VMP_LOCATION_INTERNAL, NULL, NULL));
    g_ptr_array_add(snapshot->disks, disk_of("sda", VMP_LOCATION_NO, NULL, NULL));
    check_snapshot(snapshot);
}

static void
test_checkpoint(void)
{
    g_autoptr(VmpCheckpoint) checkpoint = vmp_checkpoint_new();
    static const char *const names[] = { "vda", "vdb", "vdc", "sda" };

    if (!have_virsh())
        return;
    checkpoint->name = g_strdup("one");
    checkpoint->description = g_strdup("it's <one> & \"all\"\nof it");
    checkpoint->creation_time = 1795446411;
    checkpoint->domain_xml = g_strdup(domain);
    checkpoint->disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_disk_free);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        VmpCheckpointDisk *disk = vmp_checkpoint_disk_new(names[i]);

        disk->bitmap_set = TRUE;
        disk->wanted = i == 0;
        disk->bitmap = disk->wanted ? g_strdup("one") : NULL;
        g_ptr_array_add(checkpoint->disks, disk);
    }

    g_autofree char *ours = vmp_checkpoint_format(checkpoint, VMP_CHECKPOINT_FORMAT_SECURE);
    g_autofree char *theirs = run_virsh(ours, "checkpoint-create", "checkpoint-dumpxml");
    assert_same_up_to(ours, theirs, "  <domain type=");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/libvirt/dumps-our-external-snapshot-as-we-do",
                    test_external_snapshot);
    g_test_add_func("/xml/libvirt/dumps-our-internal-snapshot-as-we-do",
                    test_internal_snapshot);
    g_test_add_func("/xml/libvirt/dumps-our-checkpoint-as-we-do", test_checkpoint);
    return g_test_run();
}
