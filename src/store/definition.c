/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Definitions: each text once, near-duplicates as a delta.
 *
 * A definition is a keyframe (base NULL, told by itself) or a delta against a keyframe,
 * never against another delta: reading any of them is at most two steps.  What is
 * put with a delta as its like is told by that one's keyframe.  When the difference has
 * grown so far that a delta saves little, the text becomes a keyframe of its own.
 *
 * The id of a definition follows from its text: a hash, XXH3, cut to 53 bits (so that any
 * JSON reader takes it for a whole number).  That finds a text again, and it makes damage
 * show: neither another text under this id nor another id in a reference goes unnoticed.
 * XXH3 is no cryptographic hash, so texts are compared byte by byte before they are taken
 * for the same; one whose id is taken by another has one of the next SLOTS - 1 ids.
 */

#include "store/definition.h"

#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "store/handle.h"

#define SLOTS 16

gint64
vmp_definition_slot(XXH64_hash_t hash)
{
    return (gint64)(hash % (((guint64)1 << 53) - SLOTS)) + 1;
}

static gint64
first_slot(const char *text, gsize length)
{
    return vmp_definition_slot(XXH3_64bits(text, length));
}

gboolean
vmp_definition_is_in_slots(gint64 id, gint64 first)
{
    return id >= first && id < first + SLOTS;
}

VmpDeltaCodec *
vmp_definition_codec(VmpStore *store)
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

/* Decodes the row that @sql stands at. */
static char *
decode_row(VmpStore *store, VmpSql *sql, const char *base, gsize base_length, gsize *length)
{
    gsize size;
    gconstpointer data = vmp_sql_blob(sql, 5, &size);
    /* Numbers that are negative by damage become huge and are refused as such. */
    VmpDelta delta = { (gsize)vmp_sql_int(sql, 3), (gsize)vmp_sql_int(sql, 4), (char *)data,
                       size };

    *length = (gsize)vmp_sql_int(sql, 1);
    g_autofree char *text =
        vmp_delta_decode(vmp_definition_codec(store), base, base_length, &delta, *length);
    if (!text || !vmp_definition_is_in_slots(vmp_sql_int(sql, 0), first_slot(text, *length)))
        return NULL;
    return g_steal_pointer(&text);
}

gboolean
vmp_definition_fail_damaged(VmpStore *store, gint64 id, GError **error)
{
    return vmp_fail(error, VMP_ERROR_DAMAGED,
                    "store %s: definition %" G_GINT64_FORMAT " is not what was put",
                    store->path, id);
}

gboolean
vmp_definition_load_keyframe(VmpStore *store, gint64 id, GError **error)
{
    if (store->keyframe.id == id)
        return TRUE;

    g_autoptr(VmpSql) sql = vmp_sql_prepare(store,
                                            "SELECT " VMP_DEFINITION_COLUMNS
                                            " FROM definitions WHERE id = ? AND base IS NULL",
                                            error);
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result == VMP_SQL_FAILED)
        return FALSE;

    gsize length = 0;
    char *text = result == VMP_SQL_ROW ? decode_row(store, sql, "", 0, &length) : NULL;
    if (!text)
        return vmp_definition_fail_damaged(store, id, error);
    remember_keyframe(store, id, text, length);
    return TRUE;
}

static gboolean
is_referred_to(VmpStore *store, gint64 id)
{
    g_autoptr(VmpSql) sql =
        vmp_sql_prepare(store,
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

/* References are kept by foreign keys: one that leads nowhere was not written by us.  If
 * nothing refers to @id, either its reader has it from before it was collected, or from a
 * reference that is damaged; then table and index differ. */
gboolean
vmp_definition_fail_absent(VmpStore *store, gint64 id, GError **error)
{
    if (is_referred_to(store, id))
        return vmp_definition_fail_damaged(store, id, error);
    if (!vmp_store_check_database(store, error))
        return FALSE;
    return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                    "store %s: there is no definition %" G_GINT64_FORMAT, store->path, id);
}

char *
vmp_store_get_definition(VmpStore *store, gint64 id, gsize *length, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "SELECT " VMP_DEFINITION_COLUMNS " FROM definitions WHERE id = ?", error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, id);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result == VMP_SQL_DONE)
        vmp_definition_fail_absent(store, id, error);
    if (result != VMP_SQL_ROW)
        return NULL;

    /* @sql stands at its row meanwhile: nobody's collecting can come between the two. */
    gint64 base = vmp_sql_int(sql, 2);
    if (base != 0 && !vmp_definition_load_keyframe(store, base, error))
        return NULL;

    gsize size;
    char *text =
        base != 0 ? decode_row(store, sql, store->keyframe.text, store->keyframe.length, &size)
                  : decode_row(store, sql, "", 0, &size);
    if (!text)
        vmp_definition_fail_damaged(store, id, error);
    else if (length)
        *length = size;
    return text;
}

/* ---- putting ---- */

VmpSql *
vmp_definition_prepare_slots(VmpStore *store, gint64 first, GError **error)
{
    VmpSql *sql = vmp_sql_prepare(
        store, "SELECT id FROM definitions WHERE id BETWEEN ? AND ? ORDER BY id", error);
    if (!sql)
        return NULL;
    vmp_sql_bind_int(sql, 1, first);
    vmp_sql_bind_int(sql, 2, first + SLOTS - 1);
    return sql;
}

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

/* Finds the definition that is @text among those that have one of its ids: its id is then in
 * @same, else 0.  @vacant is the first id that is free for it, or 0. */
static gboolean
find_same(VmpStore *store, const char *text, gsize length, gint64 *same, gint64 *vacant,
          GError **error)
{
    gint64 first = first_slot(text, length), next = first;
    g_autoptr(VmpSql) sql = vmp_definition_prepare_slots(store, first, error);
    if (!sql)
        return FALSE;

    *same = *vacant = 0;
    VmpSqlResult result;
    while ((result = vmp_sql_step(sql, error)) == VMP_SQL_ROW) {
        gint64 id = vmp_sql_int(sql, 0);
        Comparison comparison = compare(store, id, text, length, error);
        if (comparison == SAME)
            *same = id;
        if (comparison != DIFFERENT)
            return comparison == SAME;
        if (*vacant == 0 && id > next)
            *vacant = next;
        next = id + 1;
    }
    if (*vacant == 0 && next < first + SLOTS)
        *vacant = next;
    return result == VMP_SQL_DONE;
}

gint64
vmp_definition_find_keyframe(VmpStore *store, gint64 like, GError **error)
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
    gint64 base = like != 0 ? vmp_definition_find_keyframe(store, like, error) : 0;
    if (base <= 0)
        return base;

    g_autoptr(GError) failure = NULL;
    if (vmp_definition_load_keyframe(store, base, &failure))
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
    VmpDeltaCodec *codec = vmp_definition_codec(store);

    if (base != 0)
        vmp_delta_encode(codec, store->keyframe.text, store->keyframe.length, text, length,
                         delta);
    if (base != 0 && delta->size <= MAX(VMP_DEFINITION_DELTA_SMALL, length / 64))
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

gint64
vmp_definition_insert(VmpStore *store, gint64 id, gsize length, gint64 base,
                      const VmpDelta *delta, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(store,
                                            "INSERT INTO definitions (" VMP_DEFINITION_COLUMNS
                                            ") VALUES (?, ?, ?, ?, ?, ?)",
                                            error);
    if (!sql)
        return 0;

    vmp_sql_bind_int(sql, 1, id);
    vmp_sql_bind_int(sql, 2, (gint64)length);
    vmp_sql_bind_id(sql, 3, base);
    vmp_sql_bind_int(sql, 4, (gint64)delta->prefix);
    vmp_sql_bind_int(sql, 5, (gint64)delta->suffix);
    vmp_sql_bind_blob(sql, 6, delta->data, delta->size);
    return vmp_sql_run(sql, error) ? id : 0;
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
put_new(VmpStore *store, gint64 id, const char *text, gsize length, gint64 like,
        GError **error)
{
    gint64 base = choose_base(store, like, error);
    if (base < 0)
        return 0;

    g_auto(VmpDelta) delta = { 0 };
    base = encode(store, base, text, length, &delta);
    if (vmp_definition_insert(store, id, length, base, &delta, error) == 0)
        return 0;
    if (base == 0)
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
                 "a definition of %" G_GSIZE_FORMAT
                 " bytes is longer than the %" G_GSIZE_FORMAT " that the store takes",
                 size, VMP_DELTA_MAX);
        return 0;
    }

    g_auto(VmpStoreTransaction) transaction = { 0 };
    gint64 id, vacant;
    if (!vmp_store_begin(store, &transaction, error) ||
        !find_same(store, text, size, &id, &vacant, error))
        return 0;
    if (id == 0 && vacant == 0) {
        vmp_fail(error, VMP_ERROR_FAILED, "store %s: too many definitions have the same hash",
                 store->path);
        return 0;
    }

    if (id == 0)
        id = put_new(store, vacant, text, size, like, error);
    return id > 0 && vmp_store_commit(&transaction, error) ? id : 0;
}
