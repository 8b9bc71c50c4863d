/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a failing disk and a power cut leave behind.
 *
 * A script of changes runs on a disk of our own making (a VFS beneath the store's), which
 * remembers what was written since the last sync of each file.  The script is run
 * again and again, and at each operation in turn the disk fails, or the power does.
 * After a power cut, of what was not synced any part may be there and any part not.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "store/edit.h"
#include "store/intent.h"
#include "test-store-fixture.h"

/* ---- the disk ---- */

#define SECTOR 512

typedef struct {
    gint64 offset;
    GBytes *bytes; /* NULL: the file is cut at @offset */
} Change;

typedef struct {
    GByteArray *durable;
    GPtrArray *pending; /* of Change */
} DiskFile;

static struct {
    GHashTable *files; /* path -> DiskFile; NULL while the disk is just a disk */
    guint operations;  /* writes, cuts and syncs */
    guint syncs;
    guint fail_at;     /* number of the operation that fails; 0 = none */
    gboolean full;     /* fails for want of space, not of health */
    guint power_until; /* number of the last operation with power; 0 = no cut */
} disk;

static void
change_free(gpointer data)
{
    Change *change = data;

    g_clear_pointer(&change->bytes, g_bytes_unref);
    g_free(change);
}

static void
disk_file_free(gpointer data)
{
    DiskFile *file = data;

    g_byte_array_unref(file->durable);
    g_ptr_array_unref(file->pending);
    g_free(file);
}

/* What is there when the disk is first told of a file is durable. */
static DiskFile *
disk_file(const char *path)
{
    if (!disk.files)
        return NULL;

    DiskFile *file = g_hash_table_lookup(disk.files, path);
    if (!file) {
        char *content = NULL;
        gsize length = 0;
        g_file_get_contents(path, &content, &length, NULL);
        file = g_new0(DiskFile, 1);
        file->durable = g_byte_array_new_take((guint8 *)content, length);
        file->pending = g_ptr_array_new_with_free_func(change_free);
        g_hash_table_insert(disk.files, g_strdup(path), file);
    }
    return file;
}

static void
apply_bytes(GByteArray *content, gint64 offset, const guint8 *bytes, gsize length)
{
    guint before = content->len;

    if (content->len < (gsize)offset + length) {
        g_byte_array_set_size(content, (guint)((gsize)offset + length));
        memset(content->data + before, 0, content->len - before);
    }
    memcpy(content->data + offset, bytes, length);
}

static void
apply_change(GByteArray *content, const Change *change)
{
    if (!change->bytes) {
        g_byte_array_set_size(content, (guint)MIN(content->len, change->offset));
        return;
    }
    gsize length;
    const guint8 *bytes = g_bytes_get_data(change->bytes, &length);
    apply_bytes(content, change->offset, bytes, length);
}

static void
disk_sync(DiskFile *file)
{
    for (guint i = 0; i < file->pending->len; i++)
        apply_change(file->durable, g_ptr_array_index(file->pending, i));
    g_ptr_array_set_size(file->pending, 0);
}

/* Sectors of what was not synced, each there or not as a coin says. */
static void
apply_some_sectors(GByteArray *content, const Change *change)
{
    if (!change->bytes) {
        if (g_test_rand_bit())
            apply_change(content, change);
        return;
    }
    gsize length;
    const guint8 *bytes = g_bytes_get_data(change->bytes, &length);
    gboolean all = g_test_rand_bit();
    for (gsize done = 0; done < length; done += SECTOR)
        if (all || g_test_rand_bit())
            apply_bytes(content, change->offset + (gint64)done, bytes + done,
                        MIN(SECTOR, length - done));
}

static void
start_disk(void)
{
    memset(&disk, 0, sizeof disk);
    disk.files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, disk_file_free);
}

static void
stop_disk(void)
{
    g_clear_pointer(&disk.files, g_hash_table_unref);
    memset(&disk, 0, sizeof disk);
}

/* Writes what is left after the power cut into @dir, under the names of before. */
static void
write_remains(const char *dir)
{
    GHashTableIter iter;
    gpointer path, value;

    g_hash_table_iter_init(&iter, disk.files);
    while (g_hash_table_iter_next(&iter, &path, &value)) {
        DiskFile *file = value;
        g_autofree char *name = g_path_get_basename(path);
        g_autofree char *copy = g_build_filename(dir, name, NULL);
        for (guint i = 0; i < file->pending->len; i++)
            apply_some_sectors(file->durable, g_ptr_array_index(file->pending, i));
        write_file(copy, (const char *)file->durable->data, file->durable->len);
    }
}

/* ---- the VFS that sits on it ---- */

typedef struct {
    sqlite3_file base;
    sqlite3_file *inner;
    const char *path; /* NULL: a temporary file */
    sqlite3_io_methods methods;
} VfsFile;

static sqlite3_vfs *plain_vfs;

#define INNER(file) (((VfsFile *)(file))->inner)

/* SQLITE_OK if the operation can be done. */
static int
begin_operation(int failure)
{
    disk.operations++;
    if (disk.power_until != 0 && disk.operations > disk.power_until)
        return SQLITE_IOERR;
    if (disk.operations == disk.fail_at)
        return disk.full && failure == SQLITE_IOERR_WRITE ? SQLITE_FULL : failure;
    return SQLITE_OK;
}

static void
note_change(sqlite3_file *file, gint64 offset, const void *bytes, gsize length)
{
    const char *path = ((VfsFile *)file)->path;
    DiskFile *on_disk = path ? disk_file(path) : NULL;

    if (!on_disk)
        return;
    Change *change = g_new0(Change, 1);
    change->offset = offset;
    change->bytes = bytes ? g_bytes_new(bytes, length) : NULL;
    g_ptr_array_add(on_disk->pending, change);
}

static int
vfs_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset)
{
    int status = begin_operation(SQLITE_IOERR_WRITE);
    if (status != SQLITE_OK)
        return status;
    note_change(file, offset, bytes, (gsize)length);
    return INNER(file)->pMethods->xWrite(INNER(file), bytes, length, offset);
}

static int
vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int status = begin_operation(SQLITE_IOERR_TRUNCATE);
    if (status != SQLITE_OK)
        return status;
    note_change(file, size, NULL, 0);
    return INNER(file)->pMethods->xTruncate(INNER(file), size);
}

static int
vfs_sync(sqlite3_file *file, int flags)
{
    const char *path = ((VfsFile *)file)->path;
    int status = begin_operation(SQLITE_IOERR_FSYNC);
    if (status != SQLITE_OK)
        return status;

    disk.syncs++;
    DiskFile *on_disk = path ? disk_file(path) : NULL;
    if (on_disk)
        disk_sync(on_disk);
    return SQLITE_OK; /* the real disk would only take its time */
}

#define HAND_ON(name, parameters, arguments)             \
    static int vfs_##name parameters                     \
    {                                                    \
        return INNER(file)->pMethods->x##name arguments; \
    }

HAND_ON(Close, (sqlite3_file * file), (INNER(file)))
HAND_ON(Read, (sqlite3_file * file, void *buffer, int length, sqlite3_int64 offset),
        (INNER(file), buffer, length, offset))
HAND_ON(FileSize, (sqlite3_file * file, sqlite3_int64 *size), (INNER(file), size))
HAND_ON(Lock, (sqlite3_file * file, int level), (INNER(file), level))
HAND_ON(Unlock, (sqlite3_file * file, int level), (INNER(file), level))
HAND_ON(CheckReservedLock, (sqlite3_file * file, int *reserved), (INNER(file), reserved))
HAND_ON(FileControl, (sqlite3_file * file, int what, void *value), (INNER(file), what, value))
HAND_ON(SectorSize, (sqlite3_file * file), (INNER(file)))
HAND_ON(DeviceCharacteristics, (sqlite3_file * file), (INNER(file)))
HAND_ON(ShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **memory),
        (INNER(file), page, size, extend, memory))
HAND_ON(ShmLock, (sqlite3_file * file, int offset, int count, int flags),
        (INNER(file), offset, count, flags))
HAND_ON(ShmUnmap, (sqlite3_file * file, int delete), (INNER(file), delete))

static void
vfs_shm_barrier(sqlite3_file *file)
{
    INNER(file)->pMethods->xShmBarrier(INNER(file));
}

static int
vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = vfs_Close,
        .xRead = vfs_Read,
        .xWrite = vfs_write,
        .xTruncate = vfs_truncate,
        .xSync = vfs_sync,
        .xFileSize = vfs_FileSize,
        .xLock = vfs_Lock,
        .xUnlock = vfs_Unlock,
        .xCheckReservedLock = vfs_CheckReservedLock,
        .xFileControl = vfs_FileControl,
        .xSectorSize = vfs_SectorSize,
        .xDeviceCharacteristics = vfs_DeviceCharacteristics,
        .xShmMap = vfs_ShmMap,
        .xShmLock = vfs_ShmLock,
        .xShmBarrier = vfs_shm_barrier,
        .xShmUnmap = vfs_ShmUnmap,
    };
    VfsFile *wrapped = (VfsFile *)file;

    wrapped->base.pMethods = NULL;
    wrapped->inner = (sqlite3_file *)(wrapped + 1);
    wrapped->inner->pMethods = NULL;
    wrapped->path = name; /* SQLite keeps it while the file is open */
    if (name)
        disk_file(name);
    int status = plain_vfs->xOpen(plain_vfs, name, wrapped->inner, flags, out_flags);
    if (wrapped->inner->pMethods)
        wrapped->base.pMethods = &methods;
    return status;
}

static void
register_disk(void)
{
    static sqlite3_vfs vfs;

    plain_vfs = sqlite3_vfs_find(NULL);
    vfs = *plain_vfs;
    vfs.zName = "disk";
    vfs.szOsFile = (int)sizeof(VfsFile) + plain_vfs->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.pNext = NULL;
    g_assert_cmpint(sqlite3_vfs_register(&vfs, 1), ==, SQLITE_OK);
}

/* ---- the script ---- */

/* @like 0: the first. */
static gint64
put_text(VmpStore *store, int number, gint64 like, GError **error)
{
    g_autoptr(GString) text = g_string_new("<domain>\n");

    for (int i = 0; i < 100; i++)
        g_string_append_printf(text, "  <device number='%d'/>\n", i == 50 ? number : i * i);
    return vmp_store_put_definition(store, text->str, (gssize)text->len, like, error);
}

static gboolean
put_domain(VmpStore *store, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    VmpStoreDomain domain = { .name = (char *)"d" };

    if (!vmp_store_begin(store, &transaction, error))
        return FALSE;
    domain.inactive = put_text(store, 1, 0, error);
    return domain.inactive && vmp_store_put_domain(store, &domain, error) &&
           vmp_store_commit(&transaction, error);
}

static gboolean
declare_something(VmpStore *store, GError **error)
{
    g_autoptr(VmpIntent) intent =
        vmp_store_declare(store, 1, "snapshot-create", "s", "{}", error);
    return intent != NULL;
}

static VmpIntent *
first_intent(VmpStore *store, GError **error)
{
    g_autoptr(GPtrArray) intents = vmp_store_list_intents(store, 0, error);
    if (!intents || intents->len == 0)
        return NULL;
    return g_ptr_array_steal_index(intents, 0);
}

static gboolean
mark(VmpStore *store, GError **error)
{
    g_autoptr(VmpIntent) intent = first_intent(store, error);
    return intent && vmp_store_mark_past_commit(store, intent, error);
}

static gboolean
drop(VmpStore *store, GError **error)
{
    g_autoptr(VmpIntent) intent = first_intent(store, error);
    return intent && vmp_store_drop_intent(store, intent, error);
}

static gboolean
settle(VmpStore *store, GError **error)
{
    g_autoptr(VmpIntent) intent = first_intent(store, error);
    g_autoptr(VmpJson) edits = json_object_new_array();
    VmpStorePoint point = point_of(1, "s", NULL);
    VmpStoreFile file = { (char *)"/overlay", 1, (char *)"overlay", (char *)"s" };

    point.current = TRUE;
    point.body = (char *)"<domainsnapshot/>";
    vmp_store_edit_put_point(edits, &point);
    vmp_store_edit_put_file(edits, &file);
    return intent && vmp_store_settle(store, intent, edits, error);
}

static gboolean
put_points(VmpStore *store, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    g_autoptr(VmpStoreDomain) domain = vmp_store_find_domain(store, "d", error);
    if (!domain || !vmp_store_begin(store, &transaction, error))
        return FALSE;

    for (int i = 2; i < 6; i++) {
        g_autofree char *name = g_strdup_printf("s%d", i);
        VmpStorePoint point = point_of(1, name, "s");
        point.definition = put_text(store, i, domain->inactive, error);
        if (!point.definition || !vmp_store_put_point(store, &point, error))
            return FALSE;
    }
    return vmp_store_commit(&transaction, error);
}

static gboolean
remove_points(VmpStore *store, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };

    return vmp_store_begin(store, &transaction, error) &&
           vmp_store_remove_point(store, 1, VMP_POINT_SNAPSHOT, "s", error) &&
           vmp_store_rename_point(store, 1, VMP_POINT_SNAPSHOT, "s2", "t", error) &&
           vmp_store_remove_point(store, 1, VMP_POINT_SNAPSHOT, "s3", error) &&
           vmp_store_collect_definitions(store, error) >= 0 &&
           vmp_store_commit(&transaction, error);
}

/* Long enough to have the log emptied. */
static gboolean
put_large(VmpStore *store, GError **error)
{
    g_autofree char *value = g_strnfill(16000, 'm');
    return vmp_store_put_fact(store, "large", value, error);
}

static gboolean
put_huge(VmpStore *store, GError **error)
{
    g_autofree char *value = g_strnfill(60000, 'c');
    return vmp_store_put_fact(store, "huge", value, error);
}

typedef gboolean (*Step)(VmpStore *store, GError **error);

static const Step script[] = {
    put_domain,    declare_something, mark, settle, put_points,
    put_large,     declare_something, mark, drop,   put_huge,
    remove_points, put_large,
};
#define STEPS G_N_ELEMENTS(script)

/* All that is in the store, but for the time when an intent was declared. */
static char *
describe(VmpStore *store)
{
    static const char *const tables[] = {
        "definitions",
        "domains",
        "points",
        "point_bodies",
        "files",
        "facts",
        "sqlite_sequence",
        "(SELECT id, domain, kind, subject, past_commit, plan FROM intents)",
    };
    GString *all = g_string_new("");

    for (gsize i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_autofree char *text = g_strdup_printf("SELECT * FROM %s ORDER BY 1", tables[i]);
        sqlite3_stmt *statement = NULL;
        g_assert_cmpint(sqlite3_prepare_v2(store->db, text, -1, &statement, NULL), ==,
                        SQLITE_OK);
        int status;
        while ((status = sqlite3_step(statement)) == SQLITE_ROW)
            for (int j = 0; j < sqlite3_column_count(statement); j++) {
                g_autofree char *value =
                    g_base64_encode(sqlite3_column_blob(statement, j),
                                    (gsize)sqlite3_column_bytes(statement, j));
                g_string_append_printf(all, "%d:%d:%s\n", (int)i, j, value);
            }
        g_assert_cmpint(status, ==, SQLITE_DONE);
        sqlite3_finalize(statement);
    }
    return g_string_free(all, FALSE);
}

/* An empty store; its making has tests of its own. */
static char *template;
static gsize template_length;

static void
make_template(void)
{
    g_autofree char *dir = make_folder();
    g_autofree char *path = g_build_filename(dir, "vmpoint.db", NULL);

    vmp_store_close(open_store(dir));
    g_assert_true(g_file_get_contents(path, &template, &template_length, NULL));
    remove_tree(dir);
}

/* Called after start_disk(), so that the disk is told of the files. */
static VmpStore *
open_with_short_log(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "vmpoint.db", NULL);
    write_file(path, template, template_length);
    VmpStore *store = open_store(dir);

    store->log_frames = 8;
    return store;
}

/* The store after each number of steps. */
static char *states[STEPS + 1];
static guint all_operations;

static void
run_untroubled(void)
{
    g_autofree char *dir = make_folder();

    start_disk();
    VmpStore *store = open_with_short_log(dir);
    states[0] = describe(store);
    for (gsize i = 0; i < STEPS; i++) {
        assert_works(script[i](store, error));
        states[i + 1] = describe(store);
    }
    all_operations = disk.operations;
    g_assert_cmpuint(all_operations, >, 100);
    vmp_store_close(store);
    stop_disk();
    remove_tree(dir);
}

/* Runs the script until a step fails; returns how many succeeded. */
static gsize
run_script(VmpStore *store, GError **error)
{
    gsize done = 0;

    while (done < STEPS && script[done](store, error))
        done++;
    return done;
}

static void
assert_state(VmpStore *store, gsize least, gsize most)
{
    g_autofree char *state = describe(store);

    for (gsize i = least; i <= MIN(most, STEPS); i++)
        if (g_str_equal(state, states[i]))
            return;
    g_test_message("after %d steps the store is:\n%s", (int)least, state);
    g_assert_not_reached();
}

/* ---- the power fails ---- */

static void
cut_power_after(guint operation)
{
    g_autofree char *dir = make_folder();
    g_autofree char *remains = make_folder();

    start_disk();
    VmpStore *store = open_with_short_log(dir);
    disk.power_until = operation;
    gsize done = run_script(store, NULL);
    write_remains(remains);
    stop_disk();
    vmp_store_close(store);

    store = open_store(remains);
    assert_state(store, done, done + 1);
    assert_works(vmp_store_verify(store, error));
    assert_works(vmp_store_put_fact(store, "goes on", "yes", error));
    vmp_store_close(store);
    remove_tree(remains);
    remove_tree(dir);
}

static void
test_power_cut(void)
{
    for (guint operation = 1; operation <= all_operations; operation++)
        for (int i = 0; i < (g_test_thorough() ? 20 : 2); i++)
            cut_power_after(operation);
}

/* ---- the disk fails ---- */

static void
fail_operation(guint operation, gboolean full)
{
    g_autofree char *dir = make_folder();
    g_autoptr(GError) failure = NULL;

    start_disk();
    VmpStore *store = open_with_short_log(dir);
    disk.fail_at = operation;
    disk.full = full;
    gsize done = run_script(store, &failure);
    if (done < STEPS) {
        g_assert_error(failure, VMP_ERROR, VMP_ERROR_IO);
        assert_state(store, done, done);
    }

    /* The disk is well again, and so is the store: in this process, */
    for (gsize i = done; i < STEPS; i++)
        assert_works(script[i](store, error));
    assert_state(store, STEPS, STEPS);
    vmp_store_close(store);
    stop_disk();

    /* and in the next. */
    store = open_store(dir);
    assert_state(store, STEPS, STEPS);
    assert_works(vmp_store_verify(store, error));
    vmp_store_close(store);
    remove_tree(dir);
}

static void
test_write_fails(void)
{
    for (guint operation = 1; operation <= all_operations; operation++)
        fail_operation(operation, FALSE);
}

static void
test_disk_full(void)
{
    for (guint operation = 1; operation <= all_operations; operation++)
        fail_operation(operation, TRUE);
}

/* ---- what costs a sync, and what does not ---- */

static void
test_syncs(Fixture *fixture, gconstpointer data)
{
    gint64 domain = add_domain(fixture->store, "d");
    add_point(fixture->store, domain, "s", NULL);
    gint64 definition = put_definition(fixture->store, "<domain/>", 0);
    assert_works(vmp_store_put_fact(fixture->store, "k", "v", error));
    fixture_reopen(fixture);
    VmpStore *store = fixture->store;

    disk.operations = disk.syncs = 0;
    g_autoptr(VmpIntent) intent = vmp_store_declare(store, domain, "k", "s", "{}", NULL);
    g_assert_cmpuint(disk.syncs, ==, 1);
    assert_works(vmp_store_mark_past_commit(store, intent, error));
    g_assert_cmpuint(disk.syncs, ==, 2);
    g_autoptr(VmpJson) edits = json_object_new_array();
    vmp_store_edit_set_current(edits, domain, VMP_POINT_SNAPSHOT, "s");
    assert_works(vmp_store_settle(store, intent, edits, error));
    g_assert_cmpuint(disk.syncs, ==, 3);

    disk.operations = 0;
    fixture_reopen(fixture);
    store = fixture->store;
    g_autoptr(VmpStoreDomain) found = vmp_store_find_domain(store, "d", NULL);
    g_autoptr(GPtrArray) domains = vmp_store_list_domains(store, NULL);
    g_autoptr(GPtrArray) points =
        vmp_store_list_points(store, domain, VMP_POINT_SNAPSHOT, TRUE, NULL);
    g_autofree char *text = vmp_store_get_definition(store, definition, NULL, NULL);
    g_autofree char *fact = vmp_store_get_fact(store, "k", NULL);
    g_assert_nonnull(found);
    g_assert_cmpuint(domains->len + points->len, ==, 2);
    g_assert_cmpstr(text, ==, "<domain/>");
    g_assert_cmpstr(fact, ==, "v");
    fixture_reopen(fixture);
    g_assert_cmpuint(disk.operations, ==, 0);
}

/* ---- real limits ---- */

/* In a child: fills the store until it is told that there is no room.  0 if that was an
 * answer of the right kind and nothing was lost. */
static int
fill_until_full(const char *dir)
{
    g_autoptr(VmpStore) store = vmp_store_open(dir, NULL);
    g_autoptr(GError) error = NULL;
    int count = 0;

    if (!store)
        return 1;
    for (;; count++) {
        g_autofree char *key = g_strdup_printf("key%d", count);
        g_autofree char *value = g_strnfill(50000, 'v');
        if (!vmp_store_put_fact(store, key, value, &error))
            break;
    }
    if (count == 0 || !vmp_error_is(error, VMP_ERROR_IO) || !vmp_store_verify(store, NULL))
        return 2;

    vmp_store_close(g_steal_pointer(&store));
    store = vmp_store_open(dir, NULL);
    return store && count_rows(store, "facts") == count ? 0 : 3;
}

static int
status_of_child(pid_t child)
{
    int status;

    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
test_file_size_limit(void)
{
    g_autofree char *dir = make_folder();
    pid_t child = fork();

    if (child == 0) {
        const struct rlimit limit = { 3 << 20, 3 << 20 };
        signal(SIGXFSZ, SIG_IGN);
        _exit(setrlimit(RLIMIT_FSIZE, &limit) == 0 ? fill_until_full(dir) : 9);
    }
    g_assert_cmpint(status_of_child(child), ==, 0);
    remove_tree(dir);
}

/* In a child: as the name says, on a mount that only it sees. */
#define NO_MOUNT 77
static int
fill_small_disk(const char *dir)
{
    if ((unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=3m") < 0)
        return NO_MOUNT;
    return fill_until_full(dir);
}

/* In a child: 0 if the store could not be made, and was said to for want of room. */
static int
begin_without_room(const char *dir)
{
    const struct rlimit limit = { 10000, 10000 };
    g_autoptr(GError) error = NULL;

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return 1;
    g_autoptr(VmpStore) store = vmp_store_open(dir, &error);
    return !store && vmp_error_is(error, VMP_ERROR_IO) ? 0 : 2;
}

static void
test_small_disk(void)
{
    g_autofree char *dir = make_folder();
    pid_t child = fork();

    if (child == 0)
        _exit(fill_small_disk(dir));

    int status = status_of_child(child);
    if (status == NO_MOUNT)
        g_test_skip("no small disk: neither root nor user namespaces");
    else
        g_assert_cmpint(status, ==, 0);
    remove_tree(dir);
}

static void
test_no_room_to_begin(void)
{
    g_autofree char *dir = make_folder();
    pid_t child = fork();

    if (child == 0)
        _exit(begin_without_room(dir));
    g_assert_cmpint(status_of_child(child), ==, 0);
    g_autoptr(VmpStore) store = open_store(dir); /* what was begun is no obstacle */
    assert_works(vmp_store_verify(store, error));
    remove_tree(dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    register_disk();
    make_template();
    run_untroubled();
    g_test_message("the script is %u operations of the disk", all_operations);
    g_test_add_func("/store/durability/a-power-cut-leaves-what-was-committed", test_power_cut);
    g_test_add_func("/store/durability/a-write-that-fails-changes-nothing", test_write_fails);
    g_test_add_func("/store/durability/a-full-disk-changes-nothing", test_disk_full);
    add_test("/store/durability/a-commit-is-one-sync-and-reading-none", test_syncs);
    g_test_add_func("/store/durability/a-limit-on-file-size-loses-nothing",
                    test_file_size_limit);
    g_test_add_func("/store/durability/a-small-disk-loses-nothing", test_small_disk);
    g_test_add_func("/store/durability/a-store-that-could-not-be-made-can-be-made-later",
                    test_no_room_to_begin);
    int status = g_test_run();
    for (gsize i = 0; i <= STEPS; i++)
        g_free(states[i]);
    g_free(template);
    return status;
}
