/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/create.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "store/handle.h"
#include "store/schema.h"
#include "store/sql.h"

/* A lock on the directory itself: nothing is left over when its holder dies. */
static int
lock_directory(const char *dir, GError **error)
{
    g_auto(VmpFd) fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        vmp_fail_errno(error, errno, "cannot open state directory %s", dir);
        return -1;
    }

    while (flock(fd, LOCK_EX) < 0) {
        if (errno == EINTR)
            continue;
        vmp_fail_errno(error, errno, "cannot lock state directory %s", dir);
        return -1;
    }

    int locked = fd;
    fd = -1;
    return locked;
}

/* SQLite would play a log that was left behind into whatever database it finds beside it. */
static gboolean
check_no_log(const char *path, GError **error)
{
    g_autofree char *log = g_strconcat(path, "-wal", NULL);
    struct stat status;

    if (stat(log, &status) < 0 || status.st_size == 0)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_DAMAGED,
                    "store %s is missing, but its log %s is there: put the database back, "
                    "or move the log away to begin with an empty store",
                    path, log);
}

static gboolean
make_empty_file(const char *path, GError **error)
{
    g_auto(VmpFd) fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    /* fchmod: the umask has no say.  SQLite gives the log the mode of the database. */
    if (fd < 0 || fchmod(fd, 0600) < 0)
        return vmp_fail_errno(error, errno, "cannot make store %s", path);
    return TRUE;
}

static gboolean
fill_database(const char *path, GError **error)
{
    g_autoptr(VmpStore) store = vmp_store_open_handle(path, error);
    if (!store)
        return FALSE;

    /* The ordinary close moves everything from the log to the database, durably. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    g_autofree char *header = g_strdup_printf("PRAGMA page_size = %d;"
                                              "PRAGMA journal_mode = WAL;"
                                              "PRAGMA application_id = %d;",
                                              VMP_STORE_PAGE_SIZE, VMP_STORE_APPLICATION_ID);
    return vmp_sql_exec(store, header, error) &&
           vmp_schema_migrate(store, vmp_schema_steps, error);
}

static gboolean
remove_leftovers(const char *aside, GError **error)
{
    static const char *const endings[] = { "", "-wal", "-shm", "-journal" };

    for (gsize i = 0; i < G_N_ELEMENTS(endings); i++) {
        g_autofree char *path = g_strconcat(aside, endings[i], NULL);
        if (!vmp_file_remove(path, error))
            return FALSE;
    }
    return TRUE;
}

/* A new directory is durable once the one above it is synced. */
static gboolean
ensure_directory(const char *dir, GError **error)
{
    if (access(dir, F_OK) == 0)
        return TRUE;

    g_autofree char *above = g_path_get_dirname(dir);
    if (!ensure_directory(above, error) || !vmp_dir_ensure(dir, 0700, error))
        return FALSE;
    /* The umask has no say. */
    if (chmod(dir, 0700) < 0)
        return vmp_fail_errno(error, errno, "cannot make state directory %s", dir);
    return vmp_dir_sync(above, error);
}

gboolean
vmp_store_ensure_database(const char *dir, const char *path, GError **error)
{
    if (access(path, F_OK) == 0)
        return TRUE;
    if (!ensure_directory(dir, error))
        return FALSE;

    g_auto(VmpFd) lock = lock_directory(dir, error);
    if (lock < 0)
        return FALSE;
    if (access(path, F_OK) == 0)
        return TRUE; /* another process was quicker */

    g_autofree char *aside = g_strconcat(path, ".new", NULL);
    if (!check_no_log(path, error) || !remove_leftovers(aside, error) ||
        !make_empty_file(aside, error) || !fill_database(aside, error))
        return FALSE;

    if (rename(aside, path) < 0)
        return vmp_fail_errno(error, errno, "cannot rename %s to %s", aside, path);
    return vmp_dir_sync(dir, error);
}
