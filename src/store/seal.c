/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/seal.h"

#include <glib.h>
#include <sqlite3.h>
#include <string.h>
#include <xxhash.h>

/* The wrapped file lies behind. */
typedef struct {
    sqlite3_file base;
    sqlite3_file *inner;
} SealedFile;

static sqlite3_vfs *inner_vfs;

#define INNER(file) (((SealedFile *)(file))->inner)
#define METHODS(file) (INNER(file)->pMethods)

/* ---- the seal ---- */

static void
compute_seal(const guint8 *page, sqlite3_int64 offset, guint8 seal[VMP_SEAL_RESERVE])
{
    gsize size = VMP_SEAL_PAGE_SIZE - VMP_SEAL_RESERVE;
    XXH64_canonical_t hash;

    G_STATIC_ASSERT(sizeof hash == VMP_SEAL_RESERVE);
    XXH64_canonicalFromHash(&hash, XXH3_64bits_withSeed(page, size, (XXH64_hash_t)offset));
    memcpy(seal, &hash, sizeof hash);
}

static gboolean
is_page(int size, sqlite3_int64 offset)
{
    return size == VMP_SEAL_PAGE_SIZE && offset % VMP_SEAL_PAGE_SIZE == 0;
}

static int
read_sealed(sqlite3_file *file, void *buffer, int size, sqlite3_int64 offset)
{
    int status = METHODS(file)->xRead(INNER(file), buffer, size, offset);
    guint8 seal[VMP_SEAL_RESERVE];

    /* SQLite also reads the header of the first page before the page; no page size is smaller
     * than 512. */
    if (size < 512)
        return status;
    /* It takes what is missing at the end of the file for zeros. */
    if (status == SQLITE_IOERR_SHORT_READ)
        return SQLITE_IOERR_DATA;
    if (status != SQLITE_OK)
        return status;
    if (!is_page(size, offset))
        return SQLITE_IOERR_DATA;

    const guint8 *page = buffer;
    compute_seal(page, offset, seal);
    if (memcmp(page + VMP_SEAL_PAGE_SIZE - VMP_SEAL_RESERVE, seal, sizeof seal) != 0)
        return SQLITE_IOERR_DATA;
    return SQLITE_OK;
}

static int
write_sealed(sqlite3_file *file, const void *buffer, int size, sqlite3_int64 offset)
{
    if (!is_page(size, offset))
        return METHODS(file)->xWrite(INNER(file), buffer, size, offset);

    guint8 page[VMP_SEAL_PAGE_SIZE];
    memcpy(page, buffer, sizeof page);
    compute_seal(page, offset, page + VMP_SEAL_PAGE_SIZE - VMP_SEAL_RESERVE);
    return METHODS(file)->xWrite(INNER(file), page, size, offset);
}

/* ---- all else is handed on ---- */

static int
seal_close(sqlite3_file *file)
{
    return METHODS(file)->xClose(INNER(file));
}

static int
seal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return METHODS(file)->xTruncate(INNER(file), size);
}

static int
seal_sync(sqlite3_file *file, int flags)
{
    return METHODS(file)->xSync(INNER(file), flags);
}

static int
seal_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return METHODS(file)->xFileSize(INNER(file), size);
}

static int
seal_lock(sqlite3_file *file, int level)
{
    return METHODS(file)->xLock(INNER(file), level);
}

static int
seal_unlock(sqlite3_file *file, int level)
{
    return METHODS(file)->xUnlock(INNER(file), level);
}

static int
seal_check_reserved_lock(sqlite3_file *file, int *reserved)
{
    return METHODS(file)->xCheckReservedLock(INNER(file), reserved);
}

static int
seal_file_control(sqlite3_file *file, int operation, void *argument)
{
    return METHODS(file)->xFileControl(INNER(file), operation, argument);
}

static int
seal_sector_size(sqlite3_file *file)
{
    return METHODS(file)->xSectorSize(INNER(file));
}

static int
seal_device_characteristics(sqlite3_file *file)
{
    return METHODS(file)->xDeviceCharacteristics(INNER(file));
}

static int
seal_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    return METHODS(file)->xShmMap(INNER(file), page, size, extend, memory);
}

static int
seal_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return METHODS(file)->xShmLock(INNER(file), offset, count, flags);
}

static void
seal_shm_barrier(sqlite3_file *file)
{
    METHODS(file)->xShmBarrier(INNER(file));
}

static int
seal_shm_unmap(sqlite3_file *file, int delete)
{
    return METHODS(file)->xShmUnmap(INNER(file), delete);
}

/* Version 2: without xFetch no page can be mapped past us. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = seal_close,
    .xRead = read_sealed,
    .xWrite = write_sealed,
    .xTruncate = seal_truncate,
    .xSync = seal_sync,
    .xFileSize = seal_file_size,
    .xLock = seal_lock,
    .xUnlock = seal_unlock,
    .xCheckReservedLock = seal_check_reserved_lock,
    .xFileControl = seal_file_control,
    .xSectorSize = seal_sector_size,
    .xDeviceCharacteristics = seal_device_characteristics,
    .xShmMap = seal_shm_map,
    .xShmLock = seal_shm_lock,
    .xShmBarrier = seal_shm_barrier,
    .xShmUnmap = seal_shm_unmap,
};

/* Logs and journals have checksums of their own. */
static int
seal_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return inner_vfs->xOpen(inner_vfs, name, file, flags, out_flags);

    SealedFile *sealed = (SealedFile *)file;
    sealed->base.pMethods = NULL;
    sealed->inner = (sqlite3_file *)(sealed + 1);
    sealed->inner->pMethods = NULL;

    int status = inner_vfs->xOpen(inner_vfs, name, sealed->inner, flags, out_flags);
    if (sealed->inner->pMethods) /* also after a failure: SQLite closes it then */
        sealed->base.pMethods = &methods;
    return status;
}

const char *
vmp_seal_vfs(void)
{
    static sqlite3_vfs vfs;
    static gsize registered;

    if (g_once_init_enter(&registered)) {
        /* What we do not override, the inner VFS does as ever. */
        inner_vfs = sqlite3_vfs_find(NULL);
        vfs = *inner_vfs;
        vfs.zName = "vmpoint-sealed";
        vfs.szOsFile = (int)sizeof(SealedFile) + inner_vfs->szOsFile;
        vfs.xOpen = seal_open;
        vfs.pNext = NULL;
        if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
            g_error("SQLite takes no further VFS");
        g_once_init_leave(&registered, 1);
    }
    return vfs.zName;
}
