/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "point/align.h"

/* A disk that a point in time can say something about. */
static gboolean
has_medium(const VmpDomainDisk *disk)
{
    return disk->type != VMP_STORAGE_NONE &&
           (disk->source || disk->type == VMP_STORAGE_NETWORK);
}

char *
vmp_align_overlay_path(const char *source, const char *snapshot)
{
    const char *slash = strrchr(source, '/');
    const char *dot = strrchr(slash ? slash : source, '.');
    int stem = dot ? (int)(dot - source) : (int)strlen(source);

    return g_strdup_printf("%.*s.%s", stem, source, snapshot);
}

/* ---- memory ---- */

static gboolean
align_memory(VmpSnapshot *snapshot, gboolean active, gboolean disk_only, GError **error)
{
    if (!active || disk_only) {
        if (snapshot->memory != VMP_LOCATION_UNSET && snapshot->memory != VMP_LOCATION_NO)
            return vmp_fail(
                error, VMP_ERROR_INVALID,
                "memory state cannot be saved with an offline or disk-only snapshot");
        snapshot->memory = VMP_LOCATION_NO;
        return TRUE;
    }

    if (snapshot->memory == VMP_LOCATION_UNSET)
        snapshot->memory = VMP_LOCATION_INTERNAL;
    if (snapshot->memory == VMP_LOCATION_NO)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "a snapshot of a running domain without its memory must be disk-only");
    return TRUE;
}

/* ---- disks ---- */

typedef struct {
    VmpLocation location; /* of disks that nothing else is said about */
    gboolean uniform;     /* internal: all or none */
} DiskDefault;

static DiskDefault
disk_default(const VmpSnapshot *snapshot, gboolean disk_only)
{
    if (disk_only || snapshot->memory == VMP_LOCATION_EXTERNAL)
        return (DiskDefault){ VMP_LOCATION_EXTERNAL, FALSE };
    return (DiskDefault){ VMP_LOCATION_INTERNAL, TRUE };
}

/* Where a disk goes that the document does not list, or lists without saying where. */
static VmpLocation
default_location(const VmpDomainDisk *disk, const DiskDefault *fallback)
{
    if (!has_medium(disk))
        return VMP_LOCATION_NO;
    if (disk->snapshot == VMP_LOCATION_NO)
        return VMP_LOCATION_NO;
    if (disk->snapshot != VMP_LOCATION_UNSET && !fallback->uniform)
        return disk->snapshot;
    return fallback->location;
}

/* Moves the entry for @disk out of @given (entries of the document), or makes one. */
static VmpSnapshotDisk *
take_entry(GPtrArray *given, const VmpDomain *domain, const VmpDomainDisk *disk)
{
    for (guint i = 0; i < given->len; i++) {
        VmpSnapshotDisk *entry = g_ptr_array_index(given, i);
        if (vmp_domain_find_disk(domain, entry->name) == disk) {
            entry = g_ptr_array_steal_index(given, i);
            g_free(entry->name);
            entry->name = g_strdup(disk->target);
            return entry;
        }
    }
    return vmp_snapshot_disk_new(disk->target);
}

/* Every entry of the document must mean exactly one disk, and each disk once. */
static gboolean
check_entries(const VmpSnapshot *snapshot, const VmpDomain *domain, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        const VmpDomainDisk *disk = vmp_domain_find_disk(domain, entry->name);

        if (!disk)
            return vmp_fail(error, VMP_ERROR_NOT_FOUND, "the domain has no disk '%s'",
                            entry->name);
        if (!g_hash_table_add(seen, (gpointer)disk))
            return vmp_fail(error, VMP_ERROR_INVALID, "disk '%s' is listed twice",
                            disk->target);
    }
    return TRUE;
}

static gboolean
align_disk(VmpSnapshotDisk *entry, const VmpDomainDisk *disk, const DiskDefault *fallback,
           GError **error)
{
    if (entry->location == VMP_LOCATION_UNSET)
        entry->location = default_location(disk, fallback);

    if (fallback->uniform && entry->location != fallback->location &&
        !(entry->location == VMP_LOCATION_NO &&
          default_location(disk, fallback) == VMP_LOCATION_NO))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s' must use snapshot mode '%s' like the memory", disk->target,
                        vmp_location_name(fallback->location));
    if (entry->location != VMP_LOCATION_NO && !has_medium(disk))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s' has no medium to take a snapshot of", disk->target);
    return TRUE;
}

static gboolean
generate_overlay(VmpSnapshotDisk *entry, const VmpDomainDisk *disk, const char *snapshot,
                 GError **error)
{
    if (entry->location != VMP_LOCATION_EXTERNAL || entry->source || entry->source_xml)
        return TRUE;
    if (entry->type != VMP_STORAGE_FILE || disk->type != VMP_STORAGE_FILE)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s': an overlay name can only be made up for a disk that is a "
                        "file; name the overlay",
                        disk->target);
    entry->source = vmp_align_overlay_path(disk->source, snapshot);
    return TRUE;
}

static gboolean
check_overlay_paths(const VmpSnapshot *snapshot, GError **error)
{
    g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        if (entry->source && !g_hash_table_add(paths, entry->source))
            return vmp_fail(error, VMP_ERROR_INVALID,
                            "two disks of the snapshot would share the overlay '%s'",
                            entry->source);
    }
    return TRUE;
}

static gboolean
align_disks(VmpSnapshot *snapshot, const VmpDomain *domain, DiskDefault fallback,
            GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(domain);

    if (!check_entries(snapshot, domain, error))
        return FALSE;

    g_autoptr(GPtrArray) given = g_steal_pointer(&snapshot->disks);
    snapshot->disks = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_snapshot_disk_free);
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        VmpSnapshotDisk *entry = take_entry(given, domain, disk);

        g_ptr_array_add(snapshot->disks, entry);
        if (!align_disk(entry, disk, &fallback, error) ||
            !generate_overlay(entry, disk, snapshot->name, error))
            return FALSE;
    }
    return check_overlay_paths(snapshot, error);
}

/* ---- what may be combined ---- */

/* -drive snapshot=on, or libvirt's <transient/>. */
static gboolean
check_remembers(const VmpDomainDisk *disk, GError **error)
{
    if (!disk->transient)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                    "disk '%s' is transient: what the guest writes is forgotten when its QEMU "
                    "ends, and a snapshot would stand on that",
                    disk->target);
}

static gboolean
check_external_disk(const VmpSnapshotDisk *entry, const VmpDomainDisk *disk, gboolean active,
                    GError **error)
{
    if (strcmp(entry->driver, "qcow2") != 0 && strcmp(entry->driver, "qed") != 0)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s': an overlay cannot have the format '%s'", disk->target,
                        entry->driver);
    if (!entry->source)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s': of network storage for an overlay vmpoint knows NBD without "
            "TLS",
            disk->target);
    if (!disk->source)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s' is on network storage that an overlay cannot name: of that "
                        "vmpoint knows NBD without TLS",
                        disk->target);
    if (active && g_strcmp0(disk->device, "lun") == 0)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s': no external snapshot of a LUN passed through to a running guest",
            disk->target);
    if (disk->shareable && !disk->readonly)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "disk '%s' is shareable, which an overlay of format '%s' cannot be",
                        disk->target, entry->driver);
    return TRUE;
}

static gboolean
check_internal_disk(const VmpSnapshotDisk *entry, const VmpDomainDisk *disk, GError **error)
{
    if (g_strcmp0(disk->driver, "qcow2") != 0)
        return vmp_fail(
            error, VMP_ERROR_UNSUPPORTED,
            "disk '%s': an internal snapshot needs a qcow2 image, this one is '%s'",
            entry->name, disk->driver ? disk->driver : "raw");
    return TRUE;
}

typedef struct {
    guint internal, external, manual, left_out; /* left_out: writable disks with a medium */
} DiskCounts;

static gboolean
count_disks(const VmpSnapshot *snapshot, const VmpDomain *domain, gboolean active,
            DiskCounts *counts, GError **error)
{
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        const VmpDomainDisk *disk = vmp_domain_find_disk(domain, entry->name);

        switch (entry->location) {
        case VMP_LOCATION_EXTERNAL:
            counts->external++;
            if (!check_remembers(disk, error) ||
                !check_external_disk(entry, disk, active, error))
                return FALSE;
            break;
        case VMP_LOCATION_INTERNAL:
            counts->internal++;
            if (!check_remembers(disk, error) || !check_internal_disk(entry, disk, error))
                return FALSE;
            break;
        case VMP_LOCATION_MANUAL:
            counts->manual++;
            break;
        case VMP_LOCATION_NO:
        case VMP_LOCATION_UNSET:
            if (has_medium(disk) && !disk->readonly)
                counts->left_out++;
            break;
        }
    }
    return TRUE;
}

static gboolean
check_combination(const VmpSnapshot *snapshot, const VmpDomain *domain, gboolean active,
                  gboolean disk_only, GError **error)
{
    DiskCounts disks = { 0 };

    if (!count_disks(snapshot, domain, active, &disks, error))
        return FALSE;

    gboolean any_internal = disks.internal || snapshot->memory == VMP_LOCATION_INTERNAL;
    gboolean any_external = disks.external || snapshot->memory == VMP_LOCATION_EXTERNAL;

    if (any_internal && any_external)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "internal and external parts cannot be mixed in one snapshot");
    if (disks.internal && active && disk_only)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "an internal snapshot of a running domain cannot be disk-only");
    if (any_internal && (disks.left_out || disks.manual))
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "an internal snapshot needs every writable disk in it");
    if (!any_internal && !any_external && !disks.manual)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "nothing is selected for the snapshot: neither a disk nor the memory");
    return TRUE;
}

/* libvirt writes down of which format the overlays are, also where nobody has said it. */
static void
settle_formats(const VmpSnapshot *snapshot)
{
    for (guint i = 0; i < snapshot->disks->len; i++) {
        VmpSnapshotDisk *entry = g_ptr_array_index(snapshot->disks, i);
        if (entry->location == VMP_LOCATION_EXTERNAL && !entry->driver)
            entry->driver = g_strdup("qcow2");
    }
}

gboolean
vmp_align_snapshot(VmpSnapshot *snapshot, const VmpDomain *domain, gboolean active,
                   VmpSnapshotCreateFlags flags, GError **error)
{
    gboolean disk_only = (flags & VMP_SNAPSHOT_CREATE_DISK_ONLY) != 0;

    if ((flags & VMP_SNAPSHOT_CREATE_LIVE) &&
        (!active || snapshot->memory != VMP_LOCATION_EXTERNAL))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "a live snapshot is one of a running domain with external memory");
    if (!align_memory(snapshot, active, disk_only, error) ||
        !align_disks(snapshot, domain, disk_default(snapshot, disk_only), error))
        return FALSE;
    settle_formats(snapshot);
    return check_combination(snapshot, domain, active, disk_only, error);
}

/* ---- redefine ---- */

gboolean
vmp_align_redefined_memory(VmpSnapshot *snapshot, GError **error)
{
    gboolean without =
        snapshot->state == VMP_STATE_SHUTOFF || snapshot->state == VMP_STATE_DISK_SNAPSHOT;

    if (snapshot->memory == VMP_LOCATION_UNSET)
        snapshot->memory = without ? VMP_LOCATION_NO : VMP_LOCATION_INTERNAL;
    if (without && snapshot->memory != VMP_LOCATION_NO)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "a snapshot with the state '%s' has no memory",
                        vmp_state_name(snapshot->state));
    return TRUE;
}

static gboolean
has_external_part(const VmpSnapshot *snapshot)
{
    if (snapshot->state == VMP_STATE_DISK_SNAPSHOT ||
        snapshot->memory == VMP_LOCATION_EXTERNAL)
        return TRUE;
    for (guint i = 0; i < snapshot->disks->len; i++)
        if (((const VmpSnapshotDisk *)g_ptr_array_index(snapshot->disks, i))->location ==
            VMP_LOCATION_EXTERNAL)
            return TRUE;
    return FALSE;
}

gboolean
vmp_align_redefined(VmpSnapshot *snapshot, const VmpDomain *domain, GError **error)
{
    DiskDefault fallback = { VMP_LOCATION_INTERNAL, TRUE };

    if (!vmp_align_redefined_memory(snapshot, error))
        return FALSE;
    if (has_external_part(snapshot))
        fallback = (DiskDefault){ VMP_LOCATION_EXTERNAL, FALSE };
    return align_disks(snapshot, domain, fallback, error);
}
