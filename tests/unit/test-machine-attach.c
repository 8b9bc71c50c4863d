/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <unistd.h>

#include "machine/disk-device.h"
#include "qmp-peer.h"
#include "test-machine-fixture.h"

/* ---- a QEMU that somebody else started: tests/data/replies ---- */

static VmpJson *
read_replies(const char *name)
{
    g_autofree char *file = g_strconcat(name, ".json", NULL);
    g_autofree char *path =
        g_build_filename(g_getenv("VMPOINT_TEST_DATA"), "replies", file, NULL);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return vmp_json_parse(text, -1, NULL);
}

static void
answer_from(QmpPeer *peer, const char *command, VmpJson *replies, const char *key)
{
    g_autofree char *text = vmp_json_to_text(vmp_json_get(replies, key));

    qmp_peer_answer(peer, command, text);
}

/* The type of a device follows from its path, as far as these machines need it. */
static VmpJson *
qom_get(VmpJson *arguments, gpointer data)
{
    const char *path = vmp_json_get_string(arguments, "path");
    const char *property = vmp_json_get_string(arguments, "property");
    (void)data;

    if (g_str_equal(property, "memory"))
        return vmp_json_build("i:size", (gint64)256 << 20, NULL);
    if (g_str_equal(property, "smp"))
        return vmp_json_build("i:cpus", (gint64)2, NULL);
    if (g_str_has_suffix(path, "virtio-backend"))
        return json_object_new_string("virtio-blk-device");
    if (strstr(path, "cd"))
        return json_object_new_string("ide-cd");
    return json_object_new_string("scsi-hd");
}

static QmpPeer *
make_peer(const char *name, const char *uuid)
{
    QmpPeer *peer = qmp_peer_new();
    g_autoptr(VmpJson) replies = read_replies(name);
    g_autofree char *said = g_strdup_printf("{'UUID': '%s'}", uuid);

    qmp_peer_answer(peer, "query-uuid", said);
    answer_from(peer, "query-block", replies, "block");
    answer_from(peer, "query-named-block-nodes", replies, "named-nodes");
    answer_from(peer, "x-debug-query-block-graph", replies, "graph");
    qmp_peer_answer(peer, "query-tpm",
                    "[{'id': 't', 'model': 'tpm-crb', 'options': {'type': 'emulator', "
                    "'data': {'chardev': 'c'}}}]");
    qmp_peer_answer(peer, "query-status",
                    "{'running': true, 'singlestep': false, 'status': 'running'}");
    qmp_peer_answer_with(peer, "qom-get", qom_get, NULL);
    return peer;
}

static gboolean
attach(const Fixture *fixture, QmpPeer *peer, const char *xml, GError **error)
{
    return vmp_machine_attach(fixture->host, "vm", qmp_peer_get_path(peer), "/agent", xml,
                              fixture->operation, error);
}

#define NO_UUID "00000000-0000-0000-0000-000000000000"

/* Every image that a device of the machine has is that of a disk, found by its target. */
static void
check_disks(const Fixture *fixture, guint least)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
    VmpQmpClient *client = vmp_machine_get_monitor(machine, &error);
    g_assert_no_error(error);
    g_autoptr(VmpBlockGraph) graph = vmp_machine_read_graph(machine, client, &error);
    g_assert_no_error(error);

    const GPtrArray *disks = vmp_domain_get_disks(vmp_machine_get_active(machine, NULL));
    g_assert_cmpuint(disks->len, >=, least);
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpBlockDevice *device =
            vmp_machine_disk_device(machine, graph, disk->target, &error);
        g_assert_no_error(error);
        g_assert_nonnull(device);
        if (!disk->source)
            continue;
        g_assert_cmpstr(vmp_block_graph_active_image(graph, device->node)->path, ==,
                        disk->source);
        g_autofree char *path =
            vmp_machine_disk_qom_path(machine, graph, disk->target, &error);
        g_assert_no_error(error);
        g_assert_true(g_str_has_prefix(path, "/machine/"));
    }
}

static void
without_xml_the_domain_is_described_from_qmp(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = make_peer(data, FIXTURE_UUID);

    g_assert_true(attach(fixture, peer, NULL, &error));
    g_assert_no_error(error);
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
        const VmpDomain *definition = vmp_machine_get_active(machine, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(vmp_domain_get_name(definition), ==, "vm");
        g_assert_cmpstr(vmp_domain_get_uuid(definition), ==, FIXTURE_UUID);
        g_assert_cmpuint(vmp_domain_get_memory(definition), ==, (guint64)256 << 20);
        g_assert_cmpuint(vmp_domain_get_vcpus(definition), ==, 2);
        g_assert_cmpstr(vmp_domain_get_tpm(definition)->model, ==, "tpm-crb");
        g_assert_cmpstr(vmp_domain_get_tpm(definition)->backend, ==, "emulator");
        g_assert_false(vmp_machine_get_row(machine)->persistent);
        g_autofree char *agent = vmp_machine_get_agent_path(machine, NULL);
        g_assert_cmpstr(agent, ==, "/agent");
    }
    check_disks(fixture, 1);
    qmp_peer_finish(peer);
}

static const char *const images[] = { "base.qcow2", "disk.raw", "ext.qcow2", "middle.qcow2",
                                      "top.qcow2" };

/* As QEMU has them open: in the fixture's folder, by us. */
static void
open_images(const Fixture *fixture, int *fds)
{
    for (guint i = 0; i < G_N_ELEMENTS(images); i++) {
        g_autofree char *path = fixture_path(fixture, images[i]);

        fds[i] = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        g_assert_cmpint(fds[i], >=, 0);
    }
}

/* Like a QEMU that was started by hand, in the folder of its images, and may have left it. */
static void
relative_paths_are_those_of_open_files(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = make_peer("drive-machine", FIXTURE_UUID);
    g_autoptr(VmpJson) replies = read_replies("drive-machine");
    g_autofree char *nodes = vmp_json_to_text(vmp_json_get(replies, "named-nodes"));
    g_auto(GStrv) parts = g_strsplit(nodes, "/tmp/vmp/", -1);
    g_autofree char *relative = g_strjoinv("", parts);
    g_autofree char *expected = fixture_path(fixture, "top.qcow2");
    int fds[G_N_ELEMENTS(images)];
    (void)data;

    g_assert_cmpuint(g_strv_length(parts), >, 1);
    open_images(fixture, fds);
    qmp_peer_answer(peer, "query-named-block-nodes", relative);
    g_assert_true(attach(fixture, peer, NULL, &error));
    g_assert_no_error(error);
    check_disks(fixture, 1);
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
        const VmpDomain *definition = vmp_machine_get_active(machine, NULL);
        g_assert_nonnull(vmp_domain_find_disk(definition, expected));
    }
    for (guint i = 0; i < G_N_ELEMENTS(images); i++)
        close(fds[i]);
    qmp_peer_finish(peer);
}

static void
a_machine_without_uuid_gets_one_and_keeps_it(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = make_peer("drive-machine", NO_UUID);
    g_autofree char *uuid = NULL;
    VmpStorePoint point = {
        .kind = VMP_POINT_CHECKPOINT,
        .name = (char *)"c",
        .body = (char *)"<x/>",
    };
    (void)data;

    g_assert_true(attach(fixture, peer, NULL, &error));
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        uuid = g_strdup(vmp_machine_get_uuid(machine));
        g_assert_true(g_uuid_string_is_valid(uuid));
        /* With a point it is remembered. */
        point.domain = vmp_machine_get_row(machine)->id;
        g_assert_true(vmp_store_put_point(fixture->host->store, &point, NULL));
        g_assert_true(vmp_machine_detach(machine, &error));
        g_assert_no_error(error);
        g_assert_false(vmp_machine_is_on(machine));
    }
    g_assert_true(attach(fixture, peer, NULL, &error));
    g_assert_no_error(error);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
    g_assert_cmpstr(vmp_machine_get_uuid(machine), ==, uuid);
    qmp_peer_finish(peer);
}

static void
detached_without_points_it_is_forgotten(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = make_peer("drive-machine", FIXTURE_UUID);
    (void)data;

    g_assert_true(attach(fixture, peer, NULL, &error));
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
        g_assert_true(vmp_machine_detach(machine, &error));
        g_assert_no_error(error);
    }
    g_assert_null(vmp_machine_open(fixture->host, "vm", VMP_MACHINE_READ, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
    qmp_peer_finish(peer);
}

static void
what_is_attached_is_not_attached_again(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = make_peer("drive-machine", FIXTURE_UUID);
    (void)data;

    g_assert_true(attach(fixture, peer, NULL, &error));
    g_assert_false(attach(fixture, peer, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_EXISTS);
    qmp_peer_finish(peer);
}

static void
a_domain_whose_qemu_has_gone_is_off(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = make_peer("drive-machine", FIXTURE_UUID);
    VmpState state;
    (void)data;

    g_assert_true(attach(fixture, peer, NULL, &error));
    qmp_peer_finish(peer);
    {
        g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
        g_assert_false(vmp_machine_is_on(machine));
        g_assert_true(vmp_machine_query_state(machine, &state, NULL, &error));
        g_assert_cmpint(state, ==, VMP_STATE_SHUTOFF);
    }
    g_assert_null(vmp_machine_open(fixture->host, "vm", VMP_MACHINE_CHANGE, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND);
}

/* ---- with XML ---- */

static char *
xml_for(VmpJson *replies, const char *name, const char *uuid, const char *file)
{
    VmpJson *inserted =
        vmp_json_get_object(vmp_json_at(vmp_json_get_array(replies, "block"), 0), "inserted");
    const char *path = file ? file : vmp_json_get_string(inserted, "file");

    return g_strdup_printf(
        "<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>256</memory>"
        "<os><type>hvm</type></os><devices><disk type='file' device='disk'>"
        "<driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vdq' bus='virtio'/>"
        "</disk></devices></domain>",
        name, uuid, path);
}

static void
the_disks_of_a_definition_are_found_by_their_files(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = make_peer(data, NO_UUID);
    g_autoptr(VmpJson) replies = read_replies(data);
    g_autofree char *xml = xml_for(replies, "vm", FIXTURE_UUID, NULL);

    g_assert_true(attach(fixture, peer, xml, &error));
    g_assert_no_error(error);
    check_disks(fixture, 1);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_READ);
    g_assert_cmpstr(vmp_machine_get_uuid(machine), ==, FIXTURE_UUID);
    g_assert_true(vmp_machine_get_row(machine)->persistent);
    g_assert_nonnull(vmp_domain_find_disk(vmp_machine_get_inactive(machine, NULL), "vdq"));
    qmp_peer_finish(peer);
}

static void
a_definition_of_something_else_is_refused(Fixture *fixture, gconstpointer data)
{
    QmpPeer *peer = make_peer("drive-machine", FIXTURE_UUID);
    g_autoptr(VmpJson) replies = read_replies("drive-machine");
    const struct {
        const char *name, *uuid, *file;
        VmpErrorCode code;
    } cases[] = {
        { "other", FIXTURE_UUID, NULL, VMP_ERROR_INVALID },
        { "vm", "7695eb01-f6a4-8304-79aa-97f2502e193f", NULL, VMP_ERROR_INVALID },
        { "vm", FIXTURE_UUID, "/no/such/disk", VMP_ERROR_NOT_FOUND },
    };
    (void)data;

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *xml = xml_for(replies, cases[i].name, cases[i].uuid, cases[i].file);
        g_assert_false(attach(fixture, peer, xml, &error));
        g_assert_error(error, VMP_ERROR, (int)cases[i].code);
    }
    g_autoptr(GPtrArray) rows = vmp_store_list_domains(fixture->host->store, NULL);
    g_assert_cmpuint(rows->len, ==, 0);
    qmp_peer_finish(peer);
}

/* ---- no QMP to be had ---- */

static void
a_busy_monitor_is_said_to_be_busy(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = make_peer("drive-machine", FIXTURE_UUID);
    g_autoptr(VmpQmpClient) other = qmp_peer_connect(peer);
    (void)data;

    vmp_host_set_timeout(fixture->host, 100);
    g_assert_false(attach(fixture, peer, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_BUSY);
    g_clear_pointer(&other, vmp_qmp_client_unref);
    qmp_peer_finish(peer);
}

static void
what_does_not_speak_qmp_is_invalid(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    QmpPeer *peer = qmp_peer_new_raw();
    (void)data;

    qmp_peer_raw(peer, "SSH-2.0-OpenSSH_9.2\r\n", -1);
    g_assert_false(attach(fixture, peer, NULL, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
    qmp_peer_finish(peer);
}

static void
one_that_vmpoint_runs_cannot_be_detached(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = fixture_xml(fixture, "well");
    (void)data;

    fixture_define(fixture, xml);
    g_autoptr(VmpMachine) machine = fixture_open(fixture, VMP_MACHINE_CHANGE);
    g_assert_false(vmp_machine_detach(machine, &error));
    g_assert_error(error, VMP_ERROR, VMP_ERROR_INVALID);
}

static void
add_for_both(const char *path, void (*func)(Fixture *, gconstpointer))
{
    static const char *const machines[] = { "drive-machine", "blockdev-machine" };

    for (guint i = 0; i < G_N_ELEMENTS(machines); i++) {
        g_autofree char *full = g_strdup_printf("%s/%s", path, machines[i]);
        g_test_add(full, Fixture, machines[i], fixture_set_up, func, fixture_tear_down);
    }
}

int
main(int argc, char **argv)
{
    fixture_init(&argc, &argv);
    add_for_both("/machine/attach/without-xml-the-domain-is-described-from-qmp",
                 without_xml_the_domain_is_described_from_qmp);
    add_for_both("/machine/attach/the-disks-of-a-definition-are-found-by-their-files",
                 the_disks_of_a_definition_are_found_by_their_files);
    FIXTURE_TEST("/machine/attach/a-machine-without-uuid-gets-one-and-keeps-it",
                 a_machine_without_uuid_gets_one_and_keeps_it);
    FIXTURE_TEST("/machine/attach/relative-paths-are-those-of-open-files",
                 relative_paths_are_those_of_open_files);
    FIXTURE_TEST("/machine/attach/detached-without-points-it-is-forgotten",
                 detached_without_points_it_is_forgotten);
    FIXTURE_TEST("/machine/attach/what-is-attached-is-not-attached-again",
                 what_is_attached_is_not_attached_again);
    FIXTURE_TEST("/machine/attach/a-domain-whose-qemu-has-gone-is-off",
                 a_domain_whose_qemu_has_gone_is_off);
    FIXTURE_TEST("/machine/attach/a-definition-of-something-else-is-refused",
                 a_definition_of_something_else_is_refused);
    FIXTURE_TEST("/machine/attach/a-busy-monitor-is-said-to-be-busy",
                 a_busy_monitor_is_said_to_be_busy);
    FIXTURE_TEST("/machine/attach/what-does-not-speak-qmp-is-invalid",
                 what_does_not_speak_qmp_is_invalid);
    FIXTURE_TEST("/machine/detach/one-that-vmpoint-runs-cannot-be-detached",
                 one_that_vmpoint_runs_cannot_be_detached);
    return g_test_run();
}
