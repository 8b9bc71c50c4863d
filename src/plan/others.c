/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/others.h"

#include <stdlib.h>
#include <vmpoint/snapshot-record.h>

#include "base/error.h"
#include "base/nbd-uri.h"
#include "storage/image.h"
#include "store/store.h"
#include "xml/domain.h"

struct _VmpOthers {
    GHashTable *paths;      /* as they are spelt */
    GHashTable *identities; /* of a file -> name of a domain */
};

typedef struct {
    VmpOthers *others;
    VmpStore *store;
    GCancellable *cancellable;
    const char *domain; /* the one that is looked at */
} Look;

void
vmp_others_free(VmpOthers *others)
{
    if (!others)
        return;
    g_hash_table_unref(others->paths);
    g_hash_table_unref(others->identities);
    g_free(others);
}

static char *
identity_of(const char *path)
{
    char *uri = vmp_nbd_uri_normalize(path);
    g_autofree char *real = realpath(path, NULL); /* freed by free(), as g_free() does */

    if (uri)
        return uri;
    return real ? g_strdup(real) : g_canonicalize_filename(path, "/");
}

/* FALSE if it is known already, and then so is what is below. */
static gboolean
add_path(const Look *look, const char *path)
{
    if (!g_hash_table_add(look->others->paths, g_strdup(path)))
        return FALSE;
    g_autofree char *identity = identity_of(path);
    if (g_hash_table_contains(look->others->identities, identity))
        return FALSE;
    g_hash_table_insert(look->others->identities, g_steal_pointer(&identity),
                        g_strdup(look->domain));
    return TRUE;
}

/* One by one: a chain that is broken further down is told as far as it goes.  What an export
 * has below it is its server's: that is not asked for somebody else's disks. */
static gboolean
look_at_chain(const Look *look, const char *path, const char *format, GError **error)
{
    g_autofree char *next = g_strdup(path);
    g_autofree char *next_format = g_strdup(format);

    while (next && (g_path_is_absolute(next) || vmp_nbd_uri_is(next)) &&
           add_path(look, next) && g_strcmp0(next_format, "raw") != 0 &&
           !vmp_nbd_uri_is(next)) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpImage) image =
            vmp_image_read(next, next_format, look->cancellable, &failure);
        if (vmp_error_is(failure, VMP_ERROR_NOT_FOUND) ||
            vmp_error_is(failure, VMP_ERROR_DAMAGED))
            return TRUE;
        if (!image) {
            g_propagate_prefixed_error(
                error, g_steal_pointer(&failure),
                "what domain '%s' stands on is not known: ", look->domain);
            return FALSE;
        }
        g_free(next);
        g_free(next_format);
        next = g_steal_pointer(&image->backing_path);
        next_format = g_steal_pointer(&image->backing_format);
    }
    return TRUE;
}

/* The definition @id; 0 = none. */
static gboolean
look_at_definition(const Look *look, gint64 id, GError **error)
{
    if (id == 0)
        return TRUE;
    g_autofree char *xml = vmp_store_get_definition(look->store, id, NULL, error);
    g_autoptr(VmpDomain) domain = xml ? vmp_domain_parse(xml, -1, error) : NULL;
    const GPtrArray *disks = domain ? vmp_domain_get_disks(domain) : NULL;

    for (guint i = 0; disks && i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && !look_at_chain(look, disk->source, disk->driver, error))
            return FALSE;
    }
    return disks != NULL;
}

static gboolean
look_at_overlays(const Look *look, const GPtrArray *disks, GError **error)
{
    for (guint i = 0; disks && i < disks->len; i++) {
        const VmpSnapshotDisk *disk = g_ptr_array_index(disks, i);
        if (disk->location == VMP_LOCATION_EXTERNAL && disk->type != VMP_STORAGE_BLOCK &&
            disk->source && !look_at_chain(look, disk->source, NULL, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
look_at_snapshots(const Look *look, gint64 domain, GError **error)
{
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(look->store, domain, VMP_POINT_SNAPSHOT, TRUE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        g_autoptr(VmpSnapshot) snapshot =
            vmp_snapshot_parse(row->body, -1, VMP_SNAPSHOT_PARSE_REDEFINE, error);
        if (!snapshot || !look_at_definition(look, row->definition, error) ||
            !look_at_overlays(look, snapshot->disks, error) ||
            !look_at_overlays(look, snapshot->revert_disks, error))
            return FALSE;
    }
    return rows != NULL;
}

static VmpOthers *
look_at_domains(VmpStore *store, gint64 except, GCancellable *cancellable, GError **error)
{
    g_autoptr(VmpOthers) others = g_new0(VmpOthers, 1);
    Look look = { .others = others, .store = store, .cancellable = cancellable };
    g_autoptr(GPtrArray) rows = vmp_store_list_domains(store, error);

    others->paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    others->identities = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStoreDomain *row = g_ptr_array_index(rows, i);
        if (row->id == except)
            continue;
        look.domain = row->name;
        if (!look_at_definition(&look, row->active, error) ||
            !look_at_definition(&look, row->inactive, error) ||
            !look_at_snapshots(&look, row->id, error))
            return NULL;
    }
    return rows ? g_steal_pointer(&others) : NULL;
}

VmpOthers *
vmp_others_look(VmpMachine *machine, GError **error)
{
    return look_at_domains(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                           vmp_operation_get_cancellable(vmp_machine_get_operation(machine)),
                           error);
}

VmpOthers *
vmp_others_look_at_all(VmpHost *host, GCancellable *cancellable, GError **error)
{
    return look_at_domains(host->store, 0, cancellable, error);
}

const char *
vmp_others_find(const VmpOthers *others, const char *path)
{
    g_autofree char *identity = identity_of(path);

    return g_hash_table_lookup(others->identities, identity);
}

GPtrArray *
vmp_others_paths(const VmpOthers *others)
{
    GPtrArray *paths = g_ptr_array_new();
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, others->paths);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        g_ptr_array_add(paths, path);
    return paths;
}
