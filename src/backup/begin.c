/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "backup/backup.h"
#include "backup/fleece.h"
#include "backup/iothread.h"
#include "backup/running.h"
#include "backup/serve.h"
#include "base/error.h"
#include "machine/freeze.h"
#include "plan/executor.h"
#include "point/align.h"
#include "point/checkpoint.h"
#include "point/record.h"
#include "point/steps.h"
#include "storage/nbd-peer.h"
#include "storage/overlay.h"
#include "storage/tls.h"
#include "store/edit.h"

typedef struct {
    VmpMachine *machine;
    VmpBackupBeginFlags flags;
    const VmpBackupTuning *tuning;
    GHashTable *links;         /* see VmpBackupPart; or NULL */
    VmpBackup *backup;         /* aligned */
    VmpCheckpoint *checkpoint; /* aligned; NULL = none asked for */
    VmpBlockSession *session;
    VmpBlockGraph *graph;
    gboolean copy_range;  /* this QEMU can have the kernel copy */
    GHashTable *insisted; /* targets for which the document itself says incremental */
    VmpJson *server;      /* of a pull backup; else NULL */
    gboolean running;     /* the guest runs */
    gboolean quiesces;    /* its file systems are frozen at the instant */
    gboolean fleeces;     /* a push whose targets the guest never waits for */
    char *suffix;         /* of names that are made up */
} Begin;

static void
begin_clear(Begin *begin)
{
    g_clear_pointer(&begin->backup, vmp_backup_free);
    g_clear_pointer(&begin->checkpoint, vmp_checkpoint_free);
    g_clear_pointer(&begin->graph, vmp_block_graph_free);
    g_clear_pointer(&begin->insisted, g_hash_table_unref);
    g_clear_pointer(&begin->server, json_object_put);
    g_clear_pointer(&begin->suffix, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Begin, begin_clear)

/* ---- the request ---- */

static gboolean
is_pull(const Begin *begin)
{
    return begin->backup->mode == VMP_BACKUP_MODE_PULL;
}

/* Whoever names a checkpoint for one disk means that disk; a checkpoint for all of them is a
 * wish. */
static GHashTable *
find_insisted(const VmpBackup *backup)
{
    GHashTable *insisted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; backup->disks && i < backup->disks->len; i++) {
        const VmpBackupDisk *disk = g_ptr_array_index(backup->disks, i);
        if (disk->incremental || disk->mode == VMP_BACKUP_DISK_INCREMENTAL)
            g_hash_table_add(insisted, g_strdup(disk->name));
    }
    return insisted;
}

static gboolean
check_tuning(const Begin *begin, GError **error)
{
    const VmpBackupTuning *tuning = begin->tuning;
    const char *folder = tuning->fleece_folder;

    if (is_pull(begin) && (begin->flags & VMP_BACKUP_BEGIN_WAIT))
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "a pull backup ends when it is asked to, by domjobabort: there is nothing "
            "to wait for");
    if (is_pull(begin) && (tuning->bandwidth || tuning->compress || tuning->fleece))
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "a pull backup copies nothing by itself that could be limited, compressed "
            "or kept from the guest; its document says where <scratch> is");
    return !folder || g_path_is_absolute(folder) ||
           vmp_fail(error, VMP_ERROR_INVALID, "'%s' is not an absolute path", folder);
}

static gboolean
read_request(Begin *begin, const char *backup_xml, const char *checkpoint_xml, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(begin->machine, error);

    begin->backup = vmp_backup_parse(backup_xml ? backup_xml : "<domainbackup/>", -1, error);
    if (!definition || !begin->backup)
        return FALSE;
    begin->insisted = find_insisted(begin->backup);
    if (!check_tuning(begin, error))
        return FALSE;
    if (checkpoint_xml) {
        begin->checkpoint =
            vmp_point_prepare_checkpoint(begin->machine, checkpoint_xml, error);
        if (!begin->checkpoint)
            return FALSE;
    }

    begin->suffix = begin->checkpoint
                        ? g_strdup(begin->checkpoint->name)
                        : g_strdup_printf("%" G_GINT64_FORMAT, (gint64)time(NULL));
    return vmp_align_backup(begin->backup, definition, begin->suffix, error);
}

static gboolean
check_idle(VmpMachine *machine, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStoreBackup) running = vmp_store_find_backup(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, "running", &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    return !running || vmp_fail(error, VMP_ERROR_BUSY,
                                "a backup is running already; wait for it or abort it");
}

/* A pull backup of a domain that is off: no guest writes, and another process serves. */
static gboolean
is_served(const Begin *begin)
{
    return is_pull(begin) && !vmp_machine_is_on(begin->machine);
}

static gboolean
look_for_pull(Begin *begin, GError **error)
{
    begin->server = vmp_pull_server(begin->backup, error);
    return begin->server != NULL;
}

/* A server that stalls would hold the guest's writes for as long, and one that breaks would
 * fail them: the guest never waits for one. */
static gboolean
has_network_target(const VmpBackup *backup)
{
    for (guint i = 0; i < backup->disks->len; i++) {
        const VmpBackupDisk *disk = g_ptr_array_index(backup->disks, i);
        if (disk->wanted && disk->type == VMP_STORAGE_NETWORK)
            return TRUE;
    }
    return FALSE;
}

/* Nobody writes to the disks of a domain that is off. */
static gboolean
look_at_guest(Begin *begin, GError **error)
{
    VmpState state = VMP_STATE_NOSTATE;

    if (!vmp_machine_is_on(begin->machine))
        return TRUE;
    if (!vmp_machine_query_state(begin->machine, &state, NULL, error))
        return FALSE;
    begin->running = state == VMP_STATE_RUNNING;
    begin->fleeces =
        !is_pull(begin) && (begin->tuning->fleece || has_network_target(begin->backup));
    begin->quiesces = begin->tuning->quiesce;
    return !begin->quiesces || vmp_machine_check_can_freeze(begin->machine, error);
}

static gboolean
look(Begin *begin, VmpChange *change, GError **error)
{
    begin->session = vmp_change_get_session(change, error);
    begin->graph = begin->session ? vmp_block_session_read_graph(begin->session, error) : NULL;
    if (!begin->graph || (is_pull(begin) && !look_for_pull(begin, error)) ||
        !look_at_guest(begin, error))
        return FALSE;
    return vmp_block_session_has(begin->session, "blockdev-backup", "x-perf/use-copy-range",
                                 &begin->copy_range, error);
}

/* ---- the plan ---- */

/* Where the previous backup of that checkpoint put this disk, if it is known and there. */
static char *
previous_target(const Begin *begin, const VmpBackupDisk *disk)
{
    g_autoptr(VmpStorePoint) point = vmp_store_find_point(
        vmp_machine_get_store(begin->machine), vmp_machine_get_row(begin->machine)->id,
        VMP_POINT_CHECKPOINT, disk->incremental, NULL);
    g_autoptr(VmpJson) extra =
        point && point->extra ? vmp_json_parse(point->extra, -1, NULL) : NULL;
    const char *path = vmp_json_get_string(vmp_json_get_object(extra, "targets"), disk->name);

    return path && g_file_test(path, G_FILE_TEST_IS_REGULAR) ? g_strdup(path) : NULL;
}

/* An increment names what it is laid over, so that it opens by itself; without that name it
 * would pass for a whole disk. */
static void
name_backing(const Begin *begin, const VmpBackupDisk *disk, VmpNewImage *image)
{
    const char *link = begin->links ? g_hash_table_lookup(begin->links, disk->name) : NULL;

    if (disk->mode != VMP_BACKUP_DISK_INCREMENTAL)
        return;
    image->backing_path = link ? g_strdup(link) : previous_target(begin, disk);
    image->backing_format = image->backing_path ? g_strdup("qcow2") : NULL;
    image->relative = link != NULL;
}

static VmpNewImage *
plan_image(const Begin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
           const char *what, GHashTable *taken)
{
    VmpNewImage *image = g_new0(VmpNewImage, 1);
    g_autofree char *stem = g_strdup_printf("%s-%s", disk->name, what);

    image->size = source->size;
    image->node = vmp_block_graph_new_name(begin->graph, stem, taken);
    /* QEMU would sync the target again and again while it writes; settling does it once,
     * before the backup is called complete.  Scratch images are worth nothing after a power
     * cut. */
    image->no_flush = TRUE;
    return image;
}

/* NULL if its server is talked to without TLS. */
static const char *
get_tls_dir(const VmpBackupDisk *disk)
{
    return disk->type == VMP_STORAGE_NETWORK && g_str_has_prefix(disk->target, "nbds")
               ? vmp_tls_folder()
               : NULL;
}

/* Where the document says: the target of a push disk, the scratch image of a pull disk. */
static VmpNewImage *
plan_target(const Begin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
            GHashTable *taken)
{
    VmpNewImage *image =
        plan_image(begin, disk, source, is_pull(begin) ? "scratch" : "backup", taken);

    image->path = g_strdup(disk->target);
    image->format = g_strdup(disk->driver);
    image->reuse = (begin->flags & VMP_BACKUP_BEGIN_REUSE_EXTERNAL) != 0;
    image->block_device = disk->type == VMP_STORAGE_BLOCK;
    image->network = disk->type == VMP_STORAGE_NETWORK;
    image->tls_dir = g_strdup(get_tls_dir(disk));
    image->reuse |= image->network;
    image->no_flush = !image->network;
    if (!is_pull(begin) && !image->network && g_str_equal(disk->driver, "qcow2"))
        name_backing(begin, disk, image);
    return image;
}

/* What keeps what the guest overwrites while a push copies from behind it. */
static VmpNewImage *
plan_scratch(const Begin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
             GHashTable *taken, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(begin->machine, error);
    const VmpDomainDisk *described =
        definition ? vmp_domain_find_disk(definition, disk->name) : NULL;
    const char *folder = begin->tuning->fleece_folder;

    if (!described)
        return NULL;
    if (!folder && described->type != VMP_STORAGE_FILE)
        return vmp_fail_null(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s' is no file that a scratch image could stand beside: name "
            "a folder for it (--fleece)",
            disk->name);

    VmpNewImage *image = plan_image(begin, disk, source, "scratch", taken);
    image->path = folder ? g_strdup_printf("%s/%s-%s.%s.scratch", folder,
                                           vmp_machine_get_name(begin->machine), disk->name,
                                           begin->suffix)
                         : g_strdup_printf("%s.%s.scratch", described->source, begin->suffix);
    return image;
}

/* The bitmaps that say what changed, for an incremental disk.  Where they do not say it any
 * more that disk alone becomes a full one, in the same job; @chain is then NULL. */
static gboolean
find_changes(const Begin *begin, VmpBackupDisk *disk, const VmpBlockNode *source,
             VmpBitmapChain **chain, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (disk->mode != VMP_BACKUP_DISK_INCREMENTAL)
        return TRUE;
    *chain = vmp_point_checkpoint_chain(begin->machine, begin->graph, source, disk->name,
                                        disk->incremental, &failure);
    if (*chain)
        return TRUE;
    if (!vmp_error_is(failure, VMP_ERROR_INCONSISTENT) ||
        g_hash_table_contains(begin->insisted, disk->name)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    vmp_operation_warn(vmp_machine_get_operation(begin->machine),
                       "domain %s: %s; a full backup of it is made",
                       vmp_machine_get_name(begin->machine), failure->message);
    disk->mode = VMP_BACKUP_DISK_FULL;
    g_clear_pointer(&disk->incremental, g_free);
    g_clear_pointer(&disk->export_bitmap, g_free);
    return TRUE;
}

static void
add_bitmap(VmpJson *entry, const VmpBackupDisk *disk, const VmpBitmapChain *chain)
{
    /* The name that clients see, if there are any. */
    g_autofree char *bitmap = disk->export_bitmap ? g_strdup(disk->export_bitmap)
                                                  : g_strdup_printf(".backup-%s", disk->name);

    vmp_json_add(entry, "s:bitmap", bitmap, "i:granularity", (gint64)chain->granularity,
                 "s:checkpoint", disk->incremental, NULL);
}

/* What an incremental job needs beside. */
static void
add_increment(VmpJson *entry, const VmpBackupDisk *disk, const VmpBitmapChain *chain)
{
    VmpJson *layers = json_object_new_array();

    for (guint i = 0; i < chain->nodes->len; i++) {
        const VmpBlockNode *layer = g_ptr_array_index(chain->nodes, i);
        json_object_array_add(layers, json_object_new_string(layer->name));
    }
    add_bitmap(entry, disk, chain);
    vmp_json_add(entry, "o:layers", layers, NULL);
}

typedef struct {
    GHashTable *taken;
    VmpJson *images, *scratch, *disks, *fleece, *exports;
    VmpJson *checkpoint; /* the bitmaps of the new one, a reference of its own; or NULL */
} BeginSteps;

static void
steps_clear(BeginSteps *steps)
{
    g_clear_pointer(&steps->taken, g_hash_table_unref);
    g_clear_pointer(&steps->images, json_object_put);
    g_clear_pointer(&steps->scratch, json_object_put);
    g_clear_pointer(&steps->disks, json_object_put);
    g_clear_pointer(&steps->fleece, json_object_put);
    g_clear_pointer(&steps->exports, json_object_put);
    g_clear_pointer(&steps->checkpoint, json_object_put);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BeginSteps, steps_clear)

static void
steps_init(BeginSteps *steps)
{
    steps->taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    steps->images = json_object_new_array();
    steps->scratch = json_object_new_array();
    steps->disks = json_object_new_array();
    steps->fleece = json_object_new_array();
    steps->exports = json_object_new_array();
}

/* The node of the disk as it will be at the instant; @image (taken) keeps what is overwritten.
 */
static const char *
plan_fleece(const Begin *begin, const VmpBackupDisk *disk, VmpNewImage *image,
            BeginSteps *steps, GError **error)
{
    g_autoptr(VmpNewImage) owned = image;
    VmpJson *fleece = owned ? vmp_fleece_plan(begin->machine, begin->graph, steps->taken,
                                              disk->name, owned->node, owned->path, error)
                            : NULL;

    if (!fleece)
        return NULL;
    json_object_array_add(steps->scratch, vmp_new_image_to_json(owned));
    json_object_array_add(steps->fleece, fleece);
    return vmp_json_get_string(fleece, "snapshot");
}

/* The kernel copies from file to file, but not from what is kept of them. */
static gboolean
can_copy_range(const Begin *begin, const VmpNewImage *image)
{
    return begin->copy_range && !image->block_device && !image->network &&
           !begin->tuning->compress && !begin->fleeces;
}

/* Before anything is done, and before QEMU connects. */
static gboolean
check_export(const VmpBackupDisk *disk, const VmpBlockNode *source, GError **error)
{
    VMP_ERROR_CONTEXT(error, "disk '%s'", disk->name);
    VmpNbdExport found = { 0 };

    const char *tls_dir = get_tls_dir(disk);
    if ((tls_dir && !vmp_tls_check_client(tls_dir, error)) ||
        !vmp_nbd_peer_look(disk->target, tls_dir, &found, error))
        return FALSE;
    if (found.read_only)
        return vmp_fail(error, VMP_ERROR_IO, "'%s' is read-only", disk->target);
    return found.size >= source->size ||
           vmp_fail(error, VMP_ERROR_IO,
                    "'%s' has %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT " are needed",
                    disk->target, found.size, source->size);
}

static gboolean
plan_push(const Begin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
          const VmpBitmapChain *chain, BeginSteps *steps, GError **error)
{
    if (begin->tuning->compress && !g_str_equal(disk->driver, "qcow2"))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': only a qcow2 target can be compressed, and this one is %s",
                        disk->name, disk->driver);

    if (disk->type == VMP_STORAGE_NETWORK && !check_export(disk, source, error))
        return FALSE;

    g_autoptr(VmpNewImage) image = plan_target(begin, disk, source, steps->taken);
    g_autofree char *job = g_strdup_printf("vmp-backup-%s", disk->name);
    const char *node =
        begin->fleeces
            ? plan_fleece(begin, disk, plan_scratch(begin, disk, source, steps->taken, error),
                          steps, error)
            : source->name;
    if (!node)
        return FALSE;

    g_autoptr(VmpJson) entry = vmp_json_build(
        "s:disk", disk->name, "s:node", node, "s:job", job, "s:target", image->node,
        "B:copy-range", can_copy_range(begin, image), "B:compress", begin->tuning->compress,
        "I:speed", (gint64)begin->tuning->bandwidth, NULL);
    if (chain)
        add_increment(entry, disk, chain);
    json_object_array_add(steps->images, vmp_new_image_to_json(image));
    json_object_array_add(steps->disks, g_steal_pointer(&entry));
    return TRUE;
}

static void
plan_export(const VmpBackupDisk *disk, VmpJson *entry, BeginSteps *steps)
{
    g_autofree char *id = g_strdup_printf("vmp-backup-%s", disk->name);

    json_object_array_add(steps->exports,
                          vmp_json_build("s:id", id, "s:node",
                                         vmp_json_get_string(entry, "node"), "s:name",
                                         disk->export_name, "S:bitmap",
                                         vmp_json_get_string(entry, "bitmap"), NULL));
}

static gboolean
plan_served(const Begin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
            const VmpBitmapChain *chain, BeginSteps *steps, GError **error)
{
    g_autoptr(VmpJson) entry = vmp_serve_plan(begin->graph, disk->name, source, chain, error);
    if (!entry)
        return FALSE;
    if (chain)
        add_bitmap(entry, disk, chain);

    plan_export(disk, entry, steps);
    json_object_array_add(steps->disks, g_steal_pointer(&entry));
    return TRUE;
}

static gboolean
check_iothread(const Begin *begin, const VmpBackupDisk *disk, const BeginSteps *steps,
               GError **error)
{
    VmpJson *fleece = vmp_json_at(steps->fleece, vmp_json_length(steps->fleece) - 1);

    return vmp_iothread_check_none(vmp_block_session_get_client(begin->session), disk->name,
                                   vmp_json_get_string(fleece, "qom"), error);
}

static gboolean
plan_pull(const Begin *begin, const VmpBackupDisk *disk, const VmpBlockNode *source,
          const VmpBitmapChain *chain, BeginSteps *steps, GError **error)
{
    const char *node =
        plan_fleece(begin, disk, plan_target(begin, disk, source, steps->taken), steps, error);
    if (!node || !check_iothread(begin, disk, steps, error))
        return FALSE;

    g_autoptr(VmpJson) entry = vmp_json_build("s:disk", disk->name, "s:node", node, NULL);
    if (chain)
        add_increment(entry, disk, chain);
    plan_export(disk, entry, steps);
    json_object_array_add(steps->disks, g_steal_pointer(&entry));
    return TRUE;
}

static gboolean
plan_disk(const Begin *begin, VmpBackupDisk *disk, BeginSteps *steps, GError **error)
{
    const VmpBlockNode *source =
        vmp_block_session_image(begin->session, begin->graph, disk->name, error);
    g_autoptr(VmpBitmapChain) chain = NULL;
    if (!source || !find_changes(begin, disk, source, &chain, error))
        return FALSE;
    if (is_served(begin))
        return plan_served(begin, disk, source, chain, steps, error);
    return is_pull(begin) ? plan_pull(begin, disk, source, chain, steps, error)
                          : plan_push(begin, disk, source, chain, steps, error);
}

/* Both lists, for one step that makes all. */
static VmpJson *
all_images(const BeginSteps *steps)
{
    VmpJson *all = json_object_new_array();

    for (guint i = 0; i < vmp_json_length(steps->images); i++)
        json_object_array_add(all, json_object_get(vmp_json_at(steps->images, i)));
    for (guint i = 0; i < vmp_json_length(steps->scratch); i++)
        json_object_array_add(all, json_object_get(vmp_json_at(steps->scratch, i)));
    return all;
}

static VmpJson *
fleece_args(const BeginSteps *steps)
{
    return vmp_json_build("o:disks", json_object_get(steps->fleece), NULL);
}

static void
add_freeze(VmpPlan *plan, const Begin *begin)
{
    if (begin->quiesces)
        vmp_plan_add(plan, &vmp_step_freeze_guest, NULL);
}

static void
add_thaw(VmpPlan *plan, const Begin *begin)
{
    if (begin->quiesces)
        vmp_plan_add_cleanup(plan, &vmp_step_thaw_guest, NULL);
}

/* The guest is held while its disks get their filters and the checkpoint begins: that is the
 * instant.  What uses them comes last, when all of it is there; a crash before takes all of it
 * back. */
static void
add_instant_steps(VmpPlan *plan, const Begin *begin, const BeginSteps *steps, VmpJson *start)
{
    vmp_plan_add(plan, &vmp_step_open_filters, fleece_args(steps));
    if (begin->running)
        vmp_plan_add(plan, &vmp_step_pause, vmp_json_build("b:was-running", TRUE, NULL));
    vmp_plan_add(plan, &vmp_step_insert_filters, fleece_args(steps));
    vmp_plan_add(plan, &vmp_step_start_backup, start);
    if (begin->running)
        vmp_plan_add(plan, &vmp_step_resume, NULL);
}

static void
add_pull_steps(VmpPlan *plan, const Begin *begin, const BeginSteps *steps, VmpJson *start)
{
    vmp_plan_add(plan, &vmp_step_start_server,
                 vmp_json_build("o:server", json_object_get(begin->server), NULL));
    add_freeze(plan, begin);
    add_instant_steps(plan, begin, steps, start);
    vmp_plan_add_commit(plan, &vmp_step_add_exports,
                        vmp_json_build("o:exports", json_object_get(steps->exports), NULL));
    add_thaw(plan, begin);
}

/* No guest writes between the checkpoint and the first read.  Nothing can be cleared up beside
 * who serves. */
static void
add_serve_steps(VmpPlan *plan, const Begin *begin, const BeginSteps *steps)
{
    if (steps->checkpoint)
        vmp_plan_add(plan, &vmp_step_start_backup,
                     vmp_json_build("o:disks", json_object_new_array(), "o:checkpoint",
                                    json_object_get(steps->checkpoint), NULL));
    vmp_plan_add_commit(plan, &vmp_step_serve_disks,
                        vmp_json_build("o:disks", json_object_get(steps->disks), "o:server",
                                       json_object_get(begin->server), "o:exports",
                                       json_object_get(steps->exports), NULL));
}

static void
add_push_steps(VmpPlan *plan, const Begin *begin, const BeginSteps *steps, VmpJson *start)
{
    add_freeze(plan, begin);
    if (begin->fleeces) {
        vmp_json_add(start, "b:only-freeze", TRUE, NULL);
        add_instant_steps(plan, begin, steps, start);
        vmp_plan_add_commit(plan, &vmp_step_start_copies,
                            vmp_json_build("o:disks", json_object_get(steps->disks), NULL));
    } else {
        vmp_plan_add_commit(plan, &vmp_step_start_backup, start);
    }
    add_thaw(plan, begin);
}

static gboolean
plan_steps(VmpPlan *plan, const Begin *begin, BeginSteps *steps, GError **error)
{
    for (guint i = 0; i < begin->backup->disks->len; i++) {
        VmpBackupDisk *disk = g_ptr_array_index(begin->backup->disks, i);
        if (disk->wanted && !plan_disk(begin, disk, steps, error))
            return FALSE;
    }

    if (begin->checkpoint) {
        steps->checkpoint = vmp_point_checkpoint_bitmaps(begin->session, begin->graph,
                                                         begin->checkpoint, error);
        if (!steps->checkpoint)
            return FALSE;
    }
    if (is_served(begin)) {
        add_serve_steps(plan, begin, steps);
        return TRUE;
    }
    VmpJson *start = vmp_json_build("o:disks", json_object_get(steps->disks), "O:checkpoint",
                                    json_object_get(steps->checkpoint), NULL);
    vmp_plan_add(plan, &vmp_step_create_images,
                 vmp_json_build("o:images", all_images(steps), NULL));
    if (is_pull(begin))
        add_pull_steps(plan, begin, steps, start);
    else
        add_push_steps(plan, begin, steps, start);
    return vmp_point_plan_clearing(plan, begin->machine, begin->session, begin->graph, error);
}

static gboolean
plan_edits(VmpPlan *plan, const Begin *begin, const BeginSteps *steps, GError **error)
{
    gint64 domain = vmp_machine_get_row(begin->machine)->id;
    g_autofree char *body = vmp_backup_format(begin->backup);
    g_autoptr(VmpJson) detail = vmp_json_build(
        "o:images", json_object_get(steps->images), "o:scratch",
        json_object_get(steps->scratch), "o:disks", json_object_get(steps->disks),
        "S:checkpoint", begin->checkpoint ? begin->checkpoint->name : NULL, "o:fleece",
        json_object_get(steps->fleece), "O:server", json_object_get(begin->server),
        "o:exports", json_object_get(steps->exports), "B:offline", is_served(begin), NULL);
    g_autofree char *text = vmp_json_to_text(detail);
    VmpStoreBackup row = { .domain = domain,
                           .state = (char *)"running",
                           .started = g_get_real_time() / 1000,
                           .body = body,
                           .detail = text };

    vmp_store_edit_put_backup(plan->edits, &row);
    return !begin->checkpoint ||
           vmp_point_checkpoint_edits(begin->machine, begin->checkpoint, steps->checkpoint,
                                      plan->edits, error);
}

gboolean
vmp_backup_begin_on(VmpMachine *machine, VmpBackupPart *part, const char *backup_xml,
                    const char *checkpoint_xml, VmpBackupBeginFlags flags,
                    const VmpBackupTuning *tuning, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    VmpOperation *operation = vmp_machine_get_operation(machine);
    g_auto(Begin) begin = { .machine = machine,
                            .flags = flags,
                            .tuning = tuning,
                            .links = part ? part->links : NULL };
    g_auto(VmpChange) change = { .machine = machine,
                                 .operation = operation,
                                 .session = part ? g_steal_pointer(&part->session) : NULL };

    if (!check_idle(machine, error) ||
        !read_request(&begin, backup_xml, checkpoint_xml, error) ||
        !look(&begin, &change, error))
        return FALSE;

    g_auto(BeginSteps) steps = { 0 };
    steps_init(&steps);
    g_autoptr(VmpPlan) plan = vmp_plan_new("backup-begin", vmp_machine_get_name(machine),
                                           begin.checkpoint ? begin.checkpoint->name : NULL);
    /* A storage daemon ends with this process, and its jobs with it: then wait for them. */
    gboolean offline = vmp_block_session_is_offline(begin.session);
    change.keep_session = offline;
    if (!plan_steps(plan, &begin, &steps, error) ||
        !vmp_change_begin_planning(&change, error) ||
        !plan_edits(plan, &begin, &steps, error) || !vmp_plan_execute(plan, &change, error))
        return FALSE;
    if (!vmp_operation_get_dry_run(operation) && !is_pull(&begin) &&
        (offline || (flags & VMP_BACKUP_BEGIN_WAIT)) &&
        !vmp_backup_finish(&change, part, error))
        return FALSE;
    if (part)
        part->session = g_steal_pointer(&change.session);
    return TRUE;
}
