/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Definitions: each text once, near-duplicates as a delta.
 *
 * A definition is a keyframe (base NULL, told by itself) or a delta against a keyframe,
 * never against another delta: reading any of them is at most two steps.  What is
 * put with a delta as its like is told by that one's keyframe.  When the difference has
 * grown so far that a delta saves little, the text becomes a keyframe of its own.
 *
 * A text is found by XXH3 (128 bits) and then compared byte by byte, so two texts that
 * share a hash are merely two rows.  The same hash is checked whenever a text is read.
 */

#include "store/store.h"

#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "store/handle.h"
#include "store/sql.h"

typedef XXH128_canonical_t Hash;

/* A delta of at most so many bytes is always worth it. */
#define DELTA_SMALL 256

static Hash
hash_of(const char *text, gsize length)
{
    Hash hash;

    XXH128_canonicalFromHash(&hash, XXH3_128bits(text, length));
    return hash;
}

static VmpDeltaCodec *
codec_of(VmpStore *store)
{
    if (!store->codec)
        store->codec = vmp_delta_codec_new();
    return store->codec;
}

/* ---- the keyframe used last ---- */

void
vmp_store_forget_keyframe(VmpStore *store)
{
    g_clear_pointer(&store->keyframe.text, g_free);
    store->keyframe.length = 0;
    store->keyframe.id = 0;
}

static void
remember_keyframe(VmpStore *store, gint64 id, char *text, gsize length)
{
    vmp_store_forget_keyframe(store);
    store->keyframe.id = id;
    store->keyframe.text = text;
    store->keyframe.length = length;
}

/* ---- reading ---- */

#define COLUMNS "hash, length, base, prefix, suffix, data"

/* Decodes the row that @sql stands at. */
static char *
decode_row(VmpStore *store, VmpSql *sql, const char *base, gsize base_length, gsize *length)
{
    gsize hash_size, size;
    gconstpointer expected = vmp_sql_blob(sql, 0, &hash_size);
    gconstpointer data = vmp_sql_blob(sql, 5, &size);
    /* Numbers that are negative by damage become huge and are refused as such. */
    VmpDelta delta = { (gsize)vmp_sql_int(sql, 3), (gsize)vmp_sql_int(sql, 4), (char *)data,
                       size };

    *length = (gsize)vmp_sql_int(sql, 1);
    g_autofree char *text = vmp_delta_decode(codec_of(store), base, base_length, &delta, *length);
    if (!text || hash_size != sizeof(Hash))
        return NULL;

    Hash actual = hash_of(text, *length);
    return memcmp(&actual, expected, sizeof actual) == 0 ? g_steal_pointer(&text) : NULL;
}

static gboolean
fail_damaged(VmpStore *store, gint64 id, GError **error)
{
    return vmp_fail(error, VMP_ERROR_DAMAGED,
                    "store %s: definition %" G_GINT64_FORMAT " is not what was put", store->path,
                    id);
}

/* Makes store->keyframe the one with @id. */
static gboolean
load_keyframe(VmpStore *store, gint64 id, GError **error)
{
    if (store->keyframe.id == id)
        return TRUE;

    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "SELECT " COLUMNS " FROM definitions WHERE id = ? AND base IS NULL", error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result == VMP_SQL_FAILED)
        return FALSE;

    gsize length = 0;
    char *text = result == VMP_SQL_ROW ? decode_row(store, sql, "", 0, &length) : NULL;
    if (!text)
        return fail_damaged(store, id, error);
    remember_keyframe(store, id, text, length);
    return TRUE;
}

static gboolean
is_referred_to(VmpStore *store, gint64 id)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store,
        "SELECT EXISTS (SELECT 1 FROM points WHERE definition = ?1)"
        "    OR EXISTS (SELECT 1 FROM points WHERE inactive_definition = ?1)"
        "    OR EXISTS (SELECT 1 FROM domains WHERE inactive = ?1)"
        "    OR EXISTS (SELECT 1 FROM domains WHERE active = ?1)",
        NULL);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);
    return vmp_sql_step(sql, NULL) == VMP_SQL_ROW && vmp_sql_int(sql, 0);
}

/* References are kept by foreign keys: one that leads nowhere was not written by us. */
static gboolean
fail_absent(VmpStore *store, gint64 id, GError **error)
{
    if (is_referred_to(store, id))
        return fail_damaged(store, id, error);
    return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                    "store %s: there is no definition %" G_GINT64_FORMAT, store->path, id);
}

char *
vmp_store_get_definition(VmpStore *store, gint64 id, gsize *length, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "SELECT " COLUMNS " FROM definitions WHERE id = ?", error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, id);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result == VMP_SQL_DONE)
        fail_absent(store, id, error);
    if (result != VMP_SQL_ROW)
        return NULL;

    /* @sql stands at its row meanwhile: nobody's collecting can come between the two. */
    gint64 base = vmp_sql_int(sql, 2);
    if (base != 0 && !load_keyframe(store, base, error))
        return NULL;

    gsize size;
    char *text = base != 0 ? decode_row(store, sql, store->keyframe.text,
                                        store->keyframe.length, &size)
                           : decode_row(store, sql, "", 0, &size);
    if (!text)
        fail_damaged(store, id, error);
    else if (length)
        *length = size;
    return text;
}

/* ---- putting ---- */

typedef enum { SAME, DIFFERENT, UNREADABLE } Comparison;

static Comparison
compare(VmpStore *store, gint64 id, const char *text, gsize length, GError **error)
{
    g_autoptr(GError) failure = NULL;
    gsize other_length;
    g_autofree char *other = vmp_store_get_definition(store, id, &other_length, &failure);

    if (other)
        return other_length == length && memcmp(other, text, length) == 0 ? SAME : DIFFERENT;
    /* A damaged twin is no reason to refuse the text: it is stored anew. */
    if (vmp_error_is(failure, VMP_ERROR_DAMAGED))
        return DIFFERENT;
    g_propagate_error(error, g_steal_pointer(&failure));
    return UNREADABLE;
}

/* The id of the definition that is @text; 0 if there is none, or -1 with @error. */
static gint64
find_same(VmpStore *store, const Hash *hash, const char *text, gsize length, GError **error)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store, "SELECT id FROM definitions WHERE hash = ? ORDER BY id", error);
    if (!sql)
        return -1;
    vmp_sql_bind_blob(sql, 1, hash, sizeof *hash);

    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW) {
        gint64 id = vmp_sql_int(sql, 0);
        Comparison comparison = compare(store, id, text, length, error);
        if (comparison != DIFFERENT)
            return comparison == SAME ? id : -1;
    }
    return result == VMP_SQL_DONE ? 0 : -1;
}

/* The keyframe of @like; 0 if there is no such definition, or -1 with @error. */
static gint64
keyframe_of(VmpStore *store, gint64 like, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "SELECT coalesce(base, id) FROM definitions WHERE id = ?", error);
    if (!sql)
        return -1;
    vmp_sql_bind_int(sql, 1, like);

    switch (vmp_sql_step(sql, error)) {
    case VMP_SQL_ROW:
        return vmp_sql_int(sql, 0);
    case VMP_SQL_DONE:
        return 0;
    default:
        return -1;
    }
}

/* The keyframe to tell a text by that is like @like, loaded; 0 if none can serve. */
static gint64
choose_base(VmpStore *store, gint64 like, GError **error)
{
    gint64 base = like != 0 ? keyframe_of(store, like, error) : 0;
    if (base <= 0)
        return base;

    g_autoptr(GError) failure = NULL;
    if (load_keyframe(store, base, &failure))
        return base;
    if (vmp_error_is(failure, VMP_ERROR_DAMAGED))
        return 0; /* do without it */
    g_propagate_error(error, g_steal_pointer(&failure));
    return -1;
}

/* Encodes @text against the keyframe @base, which is loaded, or by itself.  Returns the base
 * that was used in the end. */
static gint64
encode(VmpStore *store, gint64 base, const char *text, gsize length, VmpDelta *delta)
{
    VmpDeltaCodec *codec = codec_of(store);

    if (base != 0)
        vmp_delta_encode(codec, store->keyframe.text, store->keyframe.length, text, length, delta);
    if (base != 0 && delta->size <= MAX(DELTA_SMALL, length / 64))
        return base;

    /* A keyframe serves those to come as well: worth up to twice the space. */
    g_auto(VmpDelta) whole = { 0 };
    vmp_delta_encode(codec, "", 0, text, length, &whole);
    if (base != 0 && whole.size / 2 > delta->size)
        return base;

    vmp_delta_clear(delta);
    *delta = whole;
    whole = (VmpDelta){ 0 };
    return 0;
}

static gint64
insert(VmpStore *store, const Hash *hash, gsize length, gint64 base, const VmpDelta *delta,
       GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "INSERT INTO definitions (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)", error);
    if (!sql)
        return 0;

    vmp_sql_bind_blob(sql, 1, hash, sizeof *hash);
    vmp_sql_bind_int(sql, 2, (gint64)length);
    vmp_sql_bind_id(sql, 3, base);
    vmp_sql_bind_int(sql, 4, (gint64)delta->prefix);
    vmp_sql_bind_int(sql, 5, (gint64)delta->suffix);
    vmp_sql_bind_blob(sql, 6, delta->data, delta->size);
    return vmp_sql_run(sql, error) ? sqlite3_last_insert_rowid(store->db) : 0;
}

/* Never NULL, even of nothing. */
static char *
copy_of(const char *text, gsize length)
{
    char *copy = g_malloc(length + 1);

    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

static gint64
put_new(VmpStore *store, const Hash *hash, const char *text, gsize length, gint64 like,
        GError **error)
{
    gint64 base = choose_base(store, like, error);
    if (base < 0)
        return 0;

    g_auto(VmpDelta) delta = { 0 };
    base = encode(store, base, text, length, &delta);
    gint64 id = insert(store, hash, length, base, &delta, error);
    if (id != 0 && base == 0)
        remember_keyframe(store, id, copy_of(text, length), length);
    return id;
}

gint64
vmp_store_put_definition(VmpStore *store, const char *text, gssize length, gint64 like,
                         GError **error)
{
    gsize size = length < 0 ? strlen(text) : (gsize)length;
    if (size > VMP_DELTA_MAX) {
        vmp_fail(error, VMP_ERROR_INVALID,
                 "a definition of %" G_GSIZE_FORMAT " bytes is longer than the %" G_GSIZE_FORMAT
                 " that the store takes",
                 size, VMP_DELTA_MAX);
        return 0;
    }

    Hash hash = hash_of(text, size);
    g_auto(VmpStoreTransaction) transaction = { 0 };
    if (!vmp_store_begin(store, &transaction, error))
        return 0;

    gint64 id = find_same(store, &hash, text, size, error);
    if (id == 0)
        id = put_new(store, &hash, text, size, like, error);
    return id > 0 && vmp_store_commit(&transaction, error) ? id : 0;
}

/* ---- collecting ---- */

static gint64
delete_some(VmpStore *store, const char *text, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store, text, error);
    return sql && vmp_sql_run(sql, error) ? sqlite3_changes64(store->db) : -1;
}

#define NOBODY_REFERS                                                                           \
    " NOT EXISTS (SELECT 1 FROM points WHERE definition = definitions.id)"                      \
    " AND NOT EXISTS (SELECT 1 FROM points WHERE inactive_definition = definitions.id)"         \
    " AND NOT EXISTS (SELECT 1 FROM domains WHERE inactive = definitions.id)"                   \
    " AND NOT EXISTS (SELECT 1 FROM domains WHERE active = definitions.id)"                     \
    /* An open intent may name definitions that no record refers to yet. */                     \
    " AND NOT EXISTS (SELECT 1 FROM intents)"

gint64
vmp_store_collect_definitions(VmpStore *store, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    if (!vmp_store_begin(store, &transaction, error))
        return -1;

    gint64 deltas = delete_some(
        store, "DELETE FROM definitions WHERE base IS NOT NULL AND" NOBODY_REFERS, error);
    if (deltas < 0)
        return -1;
    gint64 keyframes = delete_some(
        store,
        "DELETE FROM definitions WHERE base IS NULL AND" NOBODY_REFERS
        " AND NOT EXISTS (SELECT 1 FROM definitions AS d WHERE d.base = definitions.id)",
        error);
    if (keyframes < 0 || !vmp_store_commit(&transaction, error))
        return -1;
    return deltas + keyframes;
}
