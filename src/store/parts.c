/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Definitions told in parts, for those who have very many that differ little: what
 * a definition shares with its keyframe is neither copied nor compared.
 */

#include "store/definition.h"

#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "store/handle.h"

void
vmp_store_parts_clear(VmpStoreParts *parts)
{
    g_clear_pointer(&parts->middle, g_free);
}

/* As first_slot(), of the text that is the ends of @base (which may be "") and @parts' middle.
 */
static gint64
first_slot_of_parts(const char *base, gsize base_length, const VmpStoreParts *parts)
{
    XXH3_state_t *state = XXH3_createState();

    if (!state)
        g_error("no memory for a hash"); /* as g_malloc() would */
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, base, parts->first);
    XXH3_64bits_update(state, parts->middle, parts->length);
    XXH3_64bits_update(state, base + base_length - parts->last, parts->last);
    XXH64_hash_t hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return vmp_definition_slot(hash);
}

/* Decodes the row that @sql stands at; @parts->base is set and its keyframe, if any, loaded.
 */
static gboolean
decode_parts(VmpStore *store, VmpSql *sql, VmpStoreParts *parts)
{
    const char *base = parts->base != 0 ? store->keyframe.text : "";
    gsize base_length = parts->base != 0 ? store->keyframe.length : 0;
    gsize length = (gsize)vmp_sql_int(sql, 1);
    gsize size;
    gconstpointer data = vmp_sql_blob(sql, 5, &size);
    VmpDelta delta = { (gsize)vmp_sql_int(sql, 3), (gsize)vmp_sql_int(sql, 4), (char *)data,
                       size };

    parts->middle = vmp_delta_decode_middle(vmp_definition_codec(store), base, base_length,
                                            &delta, length);
    if (!parts->middle)
        return FALSE;
    parts->first = delta.prefix;
    parts->last = delta.suffix;
    parts->length = length - delta.prefix - delta.suffix;

    return vmp_definition_is_in_slots(vmp_sql_int(sql, 0),
                                      first_slot_of_parts(base, base_length, parts));
}

gboolean
vmp_store_get_definition_parts(VmpStore *store, gint64 id, VmpStoreParts *parts,
                               GError **error)
{
    g_autoptr(VmpSql) sql = vmp_sql_prepare(
        store, "SELECT " VMP_DEFINITION_COLUMNS " FROM definitions WHERE id = ?", error);

    *parts = (VmpStoreParts){ 0 };
    if (!sql)
        return FALSE;
    vmp_sql_bind_int(sql, 1, id);

    VmpSqlResult result = vmp_sql_step(sql, error);
    if (result == VMP_SQL_DONE)
        return vmp_definition_fail_absent(store, id, error);
    if (result != VMP_SQL_ROW)
        return FALSE;

    parts->base = vmp_sql_int(sql, 2);
    if (parts->base != 0 && !vmp_definition_load_keyframe(store, parts->base, error))
        return FALSE;
    if (decode_parts(store, sql, parts))
        return TRUE;
    vmp_store_parts_clear(parts);
    return vmp_definition_fail_damaged(store, id, error);
}

/* Appends the bytes @from to @to of the text that the keyframe and @parts are. */
static void
append_part(GString *text, const char *base, gsize base_length, const VmpStoreParts *parts,
            gsize from, gsize to)
{
    const struct {
        const char *at;
        gsize length;
    } pieces[] = { { base, parts->first },
                   { parts->middle, parts->length },
                   { base + base_length - parts->last, parts->last } };

    for (guint i = 0; i < G_N_ELEMENTS(pieces) && from < to; i++) {
        gsize here = MIN(to, pieces[i].length);
        if (from < here)
            g_string_append_len(text, pieces[i].at + from, (gssize)(here - from));
        from = from > pieces[i].length ? from - pieces[i].length : 0;
        to = to > pieces[i].length ? to - pieces[i].length : 0;
    }
}

/* Tells by the keyframe, which is loaded, what @parts tells by @base, a delta against it. */
static void
rest_on_keyframe(VmpStore *store, const VmpStoreParts *parts, const VmpStoreParts *base,
                 VmpStoreParts *told)
{
    const char *text = store->keyframe.text;
    gsize length = store->keyframe.length;
    gsize whole = base->first + base->length + base->last;
    GString *middle = g_string_sized_new(parts->length + base->length);

    told->base = base->base;
    told->first = MIN(parts->first, base->first);
    told->last = MIN(parts->last, base->last);
    append_part(middle, text, length, base, told->first, parts->first);
    g_string_append_len(middle, parts->middle, (gssize)parts->length);
    append_part(middle, text, length, base, whole - parts->last, whole - told->last);
    told->length = middle->len;
    told->middle = g_string_free(middle, FALSE);
}

/* Of one whole and the same with that id: a look at the parts is enough, and quicker. */
static gboolean
are_same_parts(VmpStore *store, gint64 id, const VmpStoreParts *parts)
{
    g_auto(VmpStoreParts) other = { 0 };

    return vmp_store_get_definition_parts(store, id, &other, NULL) &&
           other.base == parts->base && other.first == parts->first &&
           other.last == parts->last && other.length == parts->length &&
           memcmp(other.middle, parts->middle, parts->length) == 0;
}

/* The first definition that has one of the ids from @first on; 0 if there is none, or -1 with
 * @error. */
static gint64
find_in_slots(VmpStore *store, gint64 first, GError **error)
{
    g_autoptr(VmpSql) sql = vmp_definition_prepare_slots(store, first, error);
    VmpSqlResult result = sql ? vmp_sql_step(sql, error) : VMP_SQL_FAILED;

    if (result == VMP_SQL_FAILED)
        return -1;
    return result == VMP_SQL_ROW ? vmp_sql_int(sql, 0) : 0;
}

/* Parts that are no small change, or that may be stored already, take the long way. */
static gint64
put_whole(VmpStore *store, const VmpStoreParts *parts, GError **error)
{
    const char *base = store->keyframe.text;
    gsize base_length = store->keyframe.length;
    g_autoptr(GString) text = g_string_sized_new(parts->first + parts->length + parts->last);

    append_part(text, base, base_length, parts, 0, parts->first + parts->length + parts->last);
    return vmp_store_put_definition(store, text->str, (gssize)text->len, parts->base, error);
}

/* @parts rests on the keyframe, which is loaded. */
static gint64
put_parts(VmpStore *store, const VmpStoreParts *parts, GError **error)
{
    gsize length = parts->first + parts->length + parts->last;
    gint64 first = first_slot_of_parts(store->keyframe.text, store->keyframe.length, parts);
    gint64 known = find_in_slots(store, first, error);

    if (known < 0)
        return 0;
    if (known != 0 && are_same_parts(store, known, parts))
        return known;
    if (known != 0 && !vmp_definition_load_keyframe(store, parts->base, error))
        return 0;
    if (known != 0 || parts->length > MAX(VMP_DEFINITION_DELTA_SMALL, length / 64))
        return put_whole(store, parts, error);

    g_auto(VmpDelta) delta = { 0 };
    vmp_delta_encode_middle(vmp_definition_codec(store), store->keyframe.text,
                            store->keyframe.length, parts->first, parts->last, parts->middle,
                            parts->length, &delta);
    return vmp_definition_insert(store, first, length, parts->base, &delta, error);
}

static gboolean
check_parts(const VmpStoreParts *parts, gsize base_length, GError **error)
{
    if (parts->first > base_length || parts->last > base_length - parts->first)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "a definition's parts are longer than the %" G_GSIZE_FORMAT
                        " bytes of what it is told by",
                        base_length);
    if (parts->length > VMP_DELTA_MAX - MIN(parts->first + parts->last, VMP_DELTA_MAX))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "a definition is longer than the %" G_GSIZE_FORMAT
                        " bytes that the store takes",
                        VMP_DELTA_MAX);
    return TRUE;
}

/* Within a transaction. */
static gint64
put_told(VmpStore *store, const VmpStoreParts *parts, GError **error)
{
    g_auto(VmpStoreParts) base = { 0 };
    g_auto(VmpStoreParts) told = { 0 };
    gint64 keyframe = vmp_definition_find_keyframe(store, parts->base, error);

    if (keyframe < 0 ||
        (keyframe == 0 && !vmp_definition_fail_absent(store, parts->base, error)))
        return 0;
    if (keyframe == parts->base)
        return vmp_definition_load_keyframe(store, keyframe, error) &&
                       check_parts(parts, store->keyframe.length, error)
                   ? put_parts(store, parts, error)
                   : 0;
    if (!vmp_store_get_definition_parts(store, parts->base, &base, error) ||
        !check_parts(parts, base.first + base.length + base.last, error))
        return 0;
    rest_on_keyframe(store, parts, &base, &told);
    return put_parts(store, &told, error);
}

gint64
vmp_store_put_definition_parts(VmpStore *store, const VmpStoreParts *parts, GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };

    if (parts->base == 0)
        return vmp_store_put_definition(store, parts->middle, (gssize)parts->length, 0, error);
    if (!vmp_store_begin(store, &transaction, error))
        return 0;
    gint64 id = put_told(store, parts, error);
    return id != 0 && vmp_store_commit(&transaction, error) ? id : 0;
}
