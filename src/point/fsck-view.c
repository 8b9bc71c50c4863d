/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/nbd-uri.h"
#include "machine/session.h"
#include "plan/executor.h"
#include "plan/others.h"
#include "point/fsck.h"
#include "point/layer.h"
#include "point/part.h"
#include "point/pulled.h"
#include "point/record.h"
#include "point/memory.h"
#include "storage/ram-file.h"
#include "storage/state-file.h"
#include "store/intent.h"

static void
image_free(VmpFsckImage *entry)
{
    vmp_image_free(entry->image);
    g_clear_error(&entry->failure);
    g_free(entry);
}

static void
snapshot_free(VmpFsckSnapshot *entry)
{
    vmp_snapshot_free(entry->snapshot);
    vmp_domain_free(entry->past);
    g_free(entry);
}

VmpFsckActive *
vmp_fsck_active_new(const char *path, const char *format)
{
    VmpFsckActive *active = g_new(VmpFsckActive, 1);

    *active = (VmpFsckActive){ g_strdup(path), g_strdup(format) };
    return active;
}

void
vmp_fsck_active_free(VmpFsckActive *active)
{
    g_free(active->path);
    g_free(active->format);
    g_free(active);
}

VmpFsckView *
vmp_fsck_view_new(const char *name)
{
    VmpFsckView *view = g_new(VmpFsckView, 1);

    *view = (VmpFsckView){
        .name = g_strdup(name),
        .snapshots = g_ptr_array_new_with_free_func((GDestroyNotify)snapshot_free),
        .checkpoints = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_checkpoint_free),
        .files = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_store_file_free),
        .images =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)image_free),
        .foreign = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .pulled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .bitmaps = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                         (GDestroyNotify)g_ptr_array_unref),
        .intents = g_ptr_array_new_with_free_func(g_free),
        .gone = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .incomplete = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .damage = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
    };
    return view;
}

void
vmp_fsck_view_free(VmpFsckView *view)
{
    if (!view)
        return;
    g_free(view->name);
    vmp_domain_free(view->present);
    g_ptr_array_unref(view->snapshots);
    g_ptr_array_unref(view->checkpoints);
    g_free(view->current_checkpoint);
    g_ptr_array_unref(view->files);
    g_hash_table_unref(view->images);
    g_hash_table_unref(view->foreign);
    g_hash_table_unref(view->pulled);
    g_clear_pointer(&view->active, g_hash_table_unref);
    g_hash_table_unref(view->nodes);
    g_hash_table_unref(view->bitmaps);
    g_ptr_array_unref(view->intents);
    g_hash_table_unref(view->gone);
    g_hash_table_unref(view->incomplete);
    g_hash_table_unref(view->damage);
    g_free(view);
}

const VmpImage *
vmp_fsck_image(const VmpFsckView *view, const char *path)
{
    const VmpFsckImage *entry = path ? g_hash_table_lookup(view->images, path) : NULL;

    return entry ? entry->image : NULL;
}

gboolean
vmp_fsck_rests_on(const VmpFsckView *view, const char *path, const char *base)
{
    /* A loop of backing links ends with the number of images. */
    for (guint left = g_hash_table_size(view->images) + 1; path && left > 0; left--) {
        if (g_str_equal(path, base))
            return TRUE;
        const VmpImage *image = vmp_fsck_image(view, path);
        path = image ? image->backing_path : NULL;
    }
    return FALSE;
}

gboolean
vmp_fsck_has_image(const VmpDomainDisk *disk)
{
    return disk && disk->source;
}

const VmpDomainDisk *
vmp_fsck_frozen_disk(const VmpFsckSnapshot *entry, const VmpSnapshotDisk *disk)
{
    const VmpDomainDisk *past =
        entry->past ? vmp_domain_find_disk(entry->past, disk->name) : NULL;

    return vmp_fsck_has_image(past) ? past : NULL;
}

const VmpFsckSnapshot *
vmp_fsck_find_snapshot(const VmpFsckView *view, const char *name)
{
    for (guint i = 0; name && i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (g_str_equal(entry->snapshot->name, name))
            return entry;
    }
    return NULL;
}

const GPtrArray *
vmp_fsck_bitmaps(const VmpFsckView *view, const VmpDomainDisk *disk)
{
    const GPtrArray *told = g_hash_table_lookup(view->bitmaps, disk->target);
    const VmpImage *image = vmp_fsck_image(view, disk->source);

    if (told)
        return told;
    return image && !view->on ? image->bitmaps : NULL;
}

/* ---- images ---- */

/* Looks at the image at @path and at all below it that are not known yet. */
static void
look_at_chain(VmpFsckView *view, const char *path, const char *format,
              GCancellable *cancellable)
{
    g_autofree char *next = g_strdup(path);
    g_autofree char *next_format = g_strdup(format);

    while (next && !g_hash_table_contains(view->images, next)) {
        VmpFsckImage *entry = g_new0(VmpFsckImage, 1);
        struct stat info;

        entry->image = vmp_image_read(next, next_format, cancellable, &entry->failure);
        entry->modified = stat(next, &info) == 0 ? info.st_mtime : 0;
        g_hash_table_insert(view->images, g_steal_pointer(&next), entry);
        g_clear_pointer(&next_format, g_free);
        if (entry->image) {
            next = g_strdup(entry->image->backing_path);
            next_format = g_strdup(entry->image->backing_format);
        }
    }
}

/* A whole chain costs one process as long as it is whole. */
static void
look_at_image(VmpFsckView *view, const char *path, const char *format,
              GCancellable *cancellable)
{
    if (g_hash_table_contains(view->images, path))
        return;

    g_autoptr(GPtrArray) chain = vmp_image_read_chain(path, format, cancellable, NULL);
    for (guint i = 0; chain && i < chain->len; i++) {
        VmpImage *image = g_ptr_array_index(chain, i);
        VmpFsckImage *entry = g_new0(VmpFsckImage, 1);
        struct stat info;

        if (g_hash_table_contains(view->images, i == 0 ? path : image->path)) {
            g_free(entry);
            continue;
        }
        g_autofree char *name = g_strdup(i == 0 ? path : image->path);
        entry->modified = stat(name, &info) == 0 ? info.st_mtime : 0;
        entry->image = image;
        chain->pdata[i] = NULL;
        g_hash_table_insert(view->images, g_steal_pointer(&name), entry);
    }
    if (!chain)
        look_at_chain(view, path, format, cancellable);
}

static void
look_at_disks(VmpFsckView *view, const VmpDomain *domain, GCancellable *cancellable)
{
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source)
            look_at_image(view, disk->source, disk->driver, cancellable);
    }
}

/* ---- the store ---- */

static gboolean
look_at_snapshots(VmpFsckView *view, VmpMachine *machine, GError **error)
{
    VmpStore *store = vmp_machine_get_store(machine);
    g_autoptr(GPtrArray) rows = vmp_store_list_points(store, vmp_machine_get_row(machine)->id,
                                                      VMP_POINT_SNAPSHOT, TRUE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        VmpFsckSnapshot *entry = g_new0(VmpFsckSnapshot, 1);

        g_ptr_array_add(view->snapshots, entry);
        entry->current = row->current;
        entry->snapshot = vmp_record_from_snapshot_row(store, row, error);
        if (!entry->snapshot)
            return FALSE;
        if (entry->snapshot->domain_xml &&
            !(entry->past = vmp_domain_parse(entry->snapshot->domain_xml, -1, error)))
            return FALSE;
    }
    return rows != NULL;
}

static gboolean
look_at_checkpoints(VmpFsckView *view, VmpMachine *machine, GError **error)
{
    VmpStore *store = vmp_machine_get_store(machine);
    g_autoptr(GPtrArray) rows = vmp_store_list_points(store, vmp_machine_get_row(machine)->id,
                                                      VMP_POINT_CHECKPOINT, TRUE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        VmpCheckpoint *checkpoint = vmp_record_from_checkpoint_row(store, row, error);

        if (!checkpoint)
            return FALSE;
        g_ptr_array_add(view->checkpoints, checkpoint);
        if (row->current)
            view->current_checkpoint = g_strdup(row->name);
    }
    return rows != NULL;
}

static gboolean
look_at_intents(VmpFsckView *view, VmpMachine *machine, GError **error)
{
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(
        vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id, error);

    for (guint i = 0; intents && i < intents->len; i++) {
        const VmpIntent *intent = g_ptr_array_index(intents, i);
        gboolean goes_on = FALSE;
        if (view->on && intent->subject &&
            !vmp_plan_has_detached(machine, intent->subject, &goes_on, error))
            return FALSE;
        if (goes_on)
            continue;
        g_ptr_array_add(view->intents,
                        intent->subject
                            ? g_strdup_printf("%s of '%s'", intent->kind, intent->subject)
                            : g_strdup(intent->kind));
    }
    return intents != NULL;
}

/* What other domains stand on must not be taken for useless here. */
static gboolean
look_at_others(VmpFsckView *view, VmpMachine *machine, GError **error)
{
    g_autoptr(VmpOthers) others = vmp_others_look(machine, error);
    g_autoptr(GPtrArray) paths = others ? vmp_others_paths(others) : NULL;

    for (guint i = 0; paths && i < paths->len; i++)
        g_hash_table_add(view->foreign, g_strdup(g_ptr_array_index(paths, i)));
    return paths != NULL;
}

static gboolean
look_at_pulled(VmpFsckView *view, VmpMachine *machine, GError **error)
{
    GHashTable *pulled = vmp_pulled_list(machine, error);

    if (!pulled)
        return FALSE;
    g_hash_table_unref(view->pulled);
    view->pulled = pulled;
    return TRUE;
}

/* ---- QEMU ---- */

static void
keep_bitmaps(VmpFsckView *view, const char *target, const VmpBlockNode *image)
{
    GPtrArray *bitmaps = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < image->bitmaps->len; i++) {
        const VmpBitmap *bitmap = g_ptr_array_index(image->bitmaps, i);
        /* In one piece with its name, which outlives the graph then. */
        gsize length = strlen(bitmap->name) + 1;
        VmpBitmap *copy = g_malloc(sizeof *copy + length);
        *copy = *bitmap;
        copy->name = memcpy((char *)(copy + 1), bitmap->name, length);
        g_ptr_array_add(bitmaps, copy);
    }
    g_hash_table_insert(view->bitmaps, g_strdup(target), bitmaps);
}

static void
keep_nodes(VmpFsckView *view, const VmpBlockGraph *graph, const VmpBlockNode *top)
{
    for (const VmpBlockNode *node = top; node; node = vmp_block_graph_backing(graph, node))
        if (node->path)
            g_hash_table_insert(view->nodes, g_strdup(node->path), g_strdup(node->name));
}

static gboolean
look_at_qemu(VmpFsckView *view, VmpMachine *machine, GError **error)
{
    g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    const GPtrArray *disks = vmp_domain_get_disks(view->present);

    if (!graph)
        return FALSE;
    view->active = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                         (GDestroyNotify)vmp_fsck_active_free);
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpBlockNode *image =
            disk->source ? vmp_block_session_image(session, graph, disk->target, NULL) : NULL;
        if (!image)
            continue;
        if (image->path)
            g_hash_table_insert(view->active, g_strdup(disk->target),
                                vmp_fsck_active_new(image->path, vmp_layer_format_of(image)));
        keep_bitmaps(view, disk->target, image);
        keep_nodes(view, graph, image);
    }
    return TRUE;
}

/* ---- the slow look ---- */

/* What QEMU writes to cannot be checked beside it. */
static gboolean
is_open(const VmpFsckView *view, const char *path)
{
    GHashTableIter iter;
    gpointer top;

    if (!view->active)
        return FALSE;
    g_hash_table_iter_init(&iter, view->active);
    while (g_hash_table_iter_next(&iter, NULL, &top))
        if (vmp_fsck_rests_on(view, ((VmpFsckActive *)top)->path, path))
            return TRUE;
    return FALSE;
}

static void
check_image(VmpFsckView *view, const char *path, const VmpImage *image,
            GCancellable *cancellable)
{
    g_autoptr(GError) failure = NULL;

    if (!g_str_equal(image->format, "qcow2") || is_open(view, path) ||
        vmp_image_check_alone(path, "qcow2", cancellable, &failure))
        return;
    if (vmp_error_is(failure, VMP_ERROR_DAMAGED))
        g_hash_table_insert(view->damage, g_strdup(path), g_strdup(failure->message));
}

/* Reads the whole of it against its checksum. */
static void
check_memory(VmpFsckView *view, VmpMachine *machine, const char *path)
{
    g_autoptr(GError) failure = NULL;

    if (!g_hash_table_contains(view->incomplete, path) &&
        !vmp_memory_check_file(machine, path, &failure))
        g_hash_table_insert(view->damage, g_strdup(path), g_strdup(failure->message));
}

/* The same of a copy of firmware variables or TPM. */
static void
check_part(VmpFsckView *view, const char *path)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *content = NULL;
    gsize length = 0;

    if (!vmp_state_file_read(path, &content, &length, &failure))
        g_hash_table_insert(view->damage, g_strdup(path), g_strdup(failure->message));
}

static void
check_parts(VmpFsckView *view)
{
    for (guint i = 0; i < view->files->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(view->files, i);
        if (vmp_part_is_copy(file) && !g_hash_table_contains(view->gone, file->path))
            check_part(view, file->path);
    }
}

static void
check_data(VmpFsckView *view, VmpMachine *machine, GCancellable *cancellable)
{
    GHashTableIter iter;
    gpointer path, entry;

    g_hash_table_iter_init(&iter, view->images);
    while (g_hash_table_iter_next(&iter, &path, &entry))
        if (((VmpFsckImage *)entry)->image)
            check_image(view, path, ((VmpFsckImage *)entry)->image, cancellable);
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *snapshot = g_ptr_array_index(view->snapshots, i);
        const char *file = snapshot->snapshot->memory_file;
        if (file && !g_hash_table_contains(view->gone, file))
            check_memory(view, machine, file);
    }
    check_parts(view);
}

/* ---- all of it ---- */

static void
look_at_active(VmpFsckView *view, GCancellable *cancellable)
{
    GHashTableIter iter;
    gpointer value;

    if (!view->active)
        return;
    g_hash_table_iter_init(&iter, view->active);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VmpFsckActive *active = value;
        look_at_image(view, active->path, active->format, cancellable);
    }
}

static void
look_at_images(VmpFsckView *view, GCancellable *cancellable)
{
    look_at_active(view, cancellable);
    look_at_disks(view, view->present, cancellable);
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (entry->past)
            look_at_disks(view, entry->past, cancellable);
    }
    for (guint i = 0; i < view->files->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(view->files, i);
        if (g_strcmp0(file->role, "overlay") == 0)
            look_at_image(view, file->path, NULL, cancellable);
    }
}

static void
look_at_memory(VmpFsckView *view)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        const char *path = entry->snapshot->memory_file;
        if (path && !g_file_test(path, G_FILE_TEST_EXISTS))
            g_hash_table_add(view->gone, g_strdup(path));
        else if (path && !vmp_ram_file_is_complete(path))
            g_hash_table_add(view->incomplete, g_strdup(path));
    }
}

static gboolean
look_at_ledger(VmpFsckView *view, VmpMachine *machine, GError **error)
{
    GPtrArray *files = vmp_store_list_files(vmp_machine_get_store(machine),
                                            vmp_machine_get_row(machine)->id, error);

    if (!files)
        return FALSE;
    g_ptr_array_unref(view->files);
    view->files = files;
    for (guint i = 0; i < files->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(files, i);
        /* An export stays where it is, whoever serves it. */
        if (!vmp_nbd_uri_is(file->path) && !g_file_test(file->path, G_FILE_TEST_EXISTS))
            g_hash_table_add(view->gone, g_strdup(file->path));
    }
    return TRUE;
}

VmpFsckView *
vmp_fsck_look(VmpMachine *machine, gboolean data, GError **error)
{
    GCancellable *cancellable =
        vmp_operation_get_cancellable(vmp_machine_get_operation(machine));
    g_autoptr(VmpFsckView) view = vmp_fsck_view_new(vmp_machine_get_name(machine));
    const VmpDomain *present = vmp_machine_get_definition(machine, error);

    if (!present)
        return NULL;
    view->present = vmp_domain_copy(present);
    view->on = vmp_machine_is_on(machine);
    if (!look_at_ledger(view, machine, error) || !look_at_snapshots(view, machine, error) ||
        !look_at_checkpoints(view, machine, error) || !look_at_intents(view, machine, error) ||
        !look_at_others(view, machine, error) || !look_at_pulled(view, machine, error) ||
        (view->on && !look_at_qemu(view, machine, error)))
        return NULL;

    look_at_images(view, cancellable);
    look_at_memory(view);
    if (data)
        check_data(view, machine, cancellable);
    if (g_cancellable_is_cancelled(cancellable))
        return vmp_fail_null(error, VMP_ERROR_INTERRUPTED, "interrupted");
    return g_steal_pointer(&view);
}
