/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A store of its own for each test, in a folder that goes away with it. */

#include <ftw.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/error.h"
#include "store/handle.h"
#include "store/store.h"

typedef struct {
    char *dir;
    char *path; /* of the database */
    VmpStore *store;
} Fixture;

static inline int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline void
remove_tree(const char *dir)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline char *
make_folder(void)
{
    g_autoptr(GError) error = NULL;
    char *dir = g_dir_make_tmp("vmpoint-store-XXXXXX", &error);

    g_assert_no_error(error);
    return dir;
}

/* Without a sync: a test has no power cut to fear. */
static inline void
write_file(const char *path, const char *content, gsize length)
{
    g_autoptr(GError) error = NULL;

    g_unlink(path); /* GLib 2.74 would leave the end of a longer file in place */
    g_file_set_contents_full(path, content, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0600,
                             &error);
    g_assert_no_error(error);
}

static inline VmpStore *
open_store(const char *dir)
{
    g_autoptr(GError) error = NULL;
    VmpStore *store = vmp_store_open(dir, &error);

    g_assert_no_error(error);
    g_assert_nonnull(store);
    return store;
}

static inline void
fixture_set_up(Fixture *fixture, gconstpointer data)
{
    fixture->dir = make_folder();
    fixture->path = g_build_filename(fixture->dir, "vmpoint.db", NULL);
    fixture->store = open_store(fixture->dir);
}

static inline void
fixture_tear_down(Fixture *fixture, gconstpointer data)
{
    vmp_store_close(fixture->store);
    remove_tree(fixture->dir);
    g_free(fixture->path);
    g_free(fixture->dir);
}

static inline void
fixture_reopen(Fixture *fixture)
{
    vmp_store_close(fixture->store);
    fixture->store = open_store(fixture->dir);
}

#define add_test(name, function) \
    g_test_add(name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

#define assert_fails(expression, code)                  \
    do {                                                \
        g_autoptr(GError) error_ = NULL;                \
        GError **error = &error_;                       \
        g_assert_false(expression);                     \
        g_assert_error(error_, VMP_ERROR, (int)(code)); \
    } while (0)

#define assert_works(expression)                        \
    do {                                                \
        g_autoptr(GError) error_ = NULL;                \
        GError **error = &error_;                       \
        gboolean worked_ = (expression) ? TRUE : FALSE; \
        g_assert_no_error(error_);                      \
        g_assert_true(worked_);                         \
    } while (0)

/* NULL, and no error either. */
#define assert_absent(expression)        \
    do {                                 \
        g_autoptr(GError) error_ = NULL; \
        GError **error = &error_;        \
        g_assert_null(expression);       \
        g_assert_no_error(error_);       \
    } while (0)

/* ---- records with little in them ---- */

static inline gint64
add_domain(VmpStore *store, const char *name)
{
    g_autofree char *uuid = g_uuid_string_random();
    VmpStoreDomain domain = { .name = (char *)name, .uuid = uuid, .persistent = TRUE };

    assert_works(vmp_store_put_domain(store, &domain, error));
    g_assert_cmpint(domain.id, >, 0);
    return domain.id;
}

static inline VmpStorePoint
point_of(gint64 domain, const char *name, const char *parent)
{
    return (VmpStorePoint){ .domain = domain,
                            .kind = VMP_POINT_SNAPSHOT,
                            .name = (char *)name,
                            .parent = (char *)parent };
}

static inline void
add_point(VmpStore *store, gint64 domain, const char *name, const char *parent)
{
    VmpStorePoint point = point_of(domain, name, parent);

    assert_works(vmp_store_put_point(store, &point, error));
}

static inline gint64
put_definition(VmpStore *store, const char *text, gint64 like)
{
    g_autoptr(GError) error = NULL;
    gint64 id = vmp_store_put_definition(store, text, -1, like, &error);

    g_assert_no_error(error);
    g_assert_cmpint(id, >, 0);
    return id;
}

static inline gint64
count_rows(VmpStore *store, const char *table)
{
    g_autofree char *text = g_strdup_printf("SELECT count(*) FROM %s", table);
    sqlite3_stmt *statement = NULL;

    g_assert_cmpint(sqlite3_prepare_v2(store->db, text, -1, &statement, NULL), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
    gint64 count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}
