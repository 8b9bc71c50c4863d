/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files that vmpoint made: RAM, copies of firmware variables and TPM, and all that the ledger
 * has. */

#include "point/fsck-compare.h"
#include "point/part.h"

/* ---- RAM files ---- */

void
vmp_fsck_compare_memory(const VmpFsckView *view, GPtrArray *findings)
{
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpSnapshot *snapshot =
            ((VmpFsckSnapshot *)g_ptr_array_index(view->snapshots, i))->snapshot;
        const char *file = snapshot->memory_file;
        const char *said = file ? g_hash_table_lookup(view->damage, file) : NULL;
        const char *code = NULL;

        if (!file)
            continue;
        if (g_hash_table_contains(view->gone, file))
            code = "memory-missing", said = "it is not there";
        else if (said)
            code = "memory-damaged";
        else if (g_hash_table_contains(view->incomplete, file))
            code = "memory-incomplete", said = "it has no mark that says it is complete";
        if (code)
            g_ptr_array_add(findings,
                            vmp_finding_new(code, VMP_CURE_NONE, NULL, snapshot->name, file,
                                            "snapshot '%s': its RAM file '%s': %s",
                                            snapshot->name, file, said));
    }
}

/* ---- copies of firmware variables and TPM ---- */

void
vmp_fsck_compare_parts(const VmpFsckView *view, GPtrArray *findings)
{
    for (guint i = 0; i < view->files->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(view->files, i);
        gboolean gone = g_hash_table_contains(view->gone, file->path);
        const char *said =
            gone ? "it is not there" : g_hash_table_lookup(view->damage, file->path);

        if (said && vmp_part_is_copy(file) && vmp_fsck_find_snapshot(view, file->point))
            g_ptr_array_add(findings,
                            vmp_finding_new(gone ? "part-missing" : "part-damaged",
                                            VMP_CURE_NONE, NULL, file->point, file->path,
                                            "snapshot '%s': its copy of %s, '%s': %s",
                                            file->point, file->role, file->path, said));
    }
}

/* ---- the ledger ---- */

static void
need_disks(const VmpFsckView *view, const VmpDomain *domain, GHashTable *needed)
{
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    for (guint i = 0; i < disks->len; i++) {
        const char *path = ((VmpDomainDisk *)g_ptr_array_index(disks, i))->source;
        while (path && g_hash_table_add(needed, g_strdup(path))) {
            const VmpImage *image = vmp_fsck_image(view, path);
            path = image ? image->backing_path : NULL;
        }
    }
}

/* Set of all paths that the domain, its snapshots or other domains rest on. */
static GHashTable *
needed_paths(const VmpFsckView *view)
{
    GHashTable *needed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer path;

    need_disks(view, view->present, needed);
    for (guint i = 0; i < view->snapshots->len; i++) {
        const VmpFsckSnapshot *entry = g_ptr_array_index(view->snapshots, i);
        if (entry->past)
            need_disks(view, entry->past, needed);
    }
    g_hash_table_iter_init(&iter, view->foreign);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        g_hash_table_add(needed, g_strdup(path));
    if (view->active) {
        g_hash_table_iter_init(&iter, view->active);
        while (g_hash_table_iter_next(&iter, NULL, &path))
            g_hash_table_add(needed, g_strdup(((VmpFsckActive *)path)->path));
    }
    return needed;
}

static gboolean
is_known_memory(const VmpFsckView *view, const char *path)
{
    for (guint i = 0; i < view->snapshots->len; i++)
        if (g_strcmp0(((VmpFsckSnapshot *)g_ptr_array_index(view->snapshots, i))
                          ->snapshot->memory_file,
                      path) == 0)
            return TRUE;
    return FALSE;
}

void
vmp_fsck_compare_ledger(const VmpFsckView *view, GPtrArray *findings)
{
    g_autoptr(GHashTable) needed = needed_paths(view);

    for (guint i = 0; i < view->files->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(view->files, i);
        gboolean overlay = g_strcmp0(file->role, "overlay") == 0;
        gboolean memory = g_strcmp0(file->role, "memory") == 0;
        gboolean copy = vmp_part_is_copy(file);
        if ((!overlay && !memory && !copy) || g_hash_table_contains(needed, file->path) ||
            (memory && is_known_memory(view, file->path)) ||
            (copy && vmp_fsck_find_snapshot(view, file->point)))
            continue;
        if (g_hash_table_contains(view->gone, file->path))
            g_ptr_array_add(
                findings,
                vmp_finding_new("file-forgotten", VMP_CURE_REPAIR, NULL, NULL, file->path,
                                "'%s', which vmpoint made, is gone, and nothing needs "
                                "it",
                                file->path));
        else
            g_ptr_array_add(
                findings,
                vmp_finding_new("file-orphaned", VMP_CURE_NONE, NULL, file->point, file->path,
                                "'%s' was made by vmpoint%s%s%s, and nothing refers to "
                                "it any more",
                                file->path, file->point ? " for '" : "",
                                file->point ? file->point : "", file->point ? "'" : ""));
    }
}
