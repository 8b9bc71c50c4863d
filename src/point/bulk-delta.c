/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/bulk-delta.h"

#include <string.h>

#include "base/error.h"
#include "point/bulk.h"
#include "xml/domain.h"
#include "xml/sources.h"

/* A text in up to three pieces, none of which is copied. */
typedef struct {
    struct {
        const char *at;
        gsize length;
    } pieces[3];
    gsize length;
} Rope;

/* A definition that was written as a whole. */
typedef struct {
    gint64 id;
    guint64 number;
    VmpStoreParts parts; /* as the store has it; without the middle */
    char *text;          /* as it was written */
    gsize length;
    VmpDomainSources *plain, *masked; /* of the texts with and without secrets; or NULL */
} Key;

/* The last ones of a kind, newest first. */
typedef struct {
    Key keys[VMP_BULK_KEYS];
    guint length;
} Keys;

struct _VmpBulkDelta {
    VmpStore *store;
    gboolean secure;
    Keys domains, inactive_domains;
    gint64 base; /* definition whose text is in base_text; 0 = none */
    char *base_text;
    gsize base_length;
    gboolean base_has_secrets;
    GString *middle;
};

static void
key_clear(Key *key)
{
    g_free(key->text);
    vmp_domain_sources_free(key->plain);
    vmp_domain_sources_free(key->masked);
    *key = (Key){ 0 };
}

VmpBulkDelta *
vmp_bulk_delta_new(VmpStore *store, gboolean secure)
{
    VmpBulkDelta *delta = g_new0(VmpBulkDelta, 1);

    delta->store = store;
    delta->secure = secure;
    delta->middle = g_string_new(NULL);
    return delta;
}

void
vmp_bulk_delta_free(VmpBulkDelta *delta)
{
    if (!delta)
        return;
    for (guint i = 0; i < VMP_BULK_KEYS; i++) {
        key_clear(&delta->domains.keys[i]);
        key_clear(&delta->inactive_domains.keys[i]);
    }
    g_free(delta->base_text);
    g_string_free(delta->middle, TRUE);
    g_free(delta);
}

/* ---- ropes ---- */

static Rope
rope_of_text(const char *text, gsize length)
{
    return (Rope){ .pieces = { { text, length } }, .length = length };
}

static Rope
rope_of_parts(const VmpBulkDelta *delta, const VmpStoreParts *parts)
{
    if (parts->base == 0)
        return rope_of_text(parts->middle, parts->length);
    return (Rope){ .pieces = { { delta->base_text, parts->first },
                               { parts->middle, parts->length },
                               { delta->base_text + delta->base_length - parts->last,
                                 parts->last } },
                   .length = parts->first + parts->length + parts->last };
}

static void
rope_append(const Rope *rope, gsize from, gsize to, GString *text)
{
    for (guint i = 0; i < G_N_ELEMENTS(rope->pieces) && from < to; i++) {
        gsize length = rope->pieces[i].length;
        gsize here = MIN(to, length);
        if (from < here)
            g_string_append_len(text, rope->pieces[i].at + from, (gssize)(here - from));
        from -= MIN(from, length);
        to -= MIN(to, length);
    }
}

#define BLOCK 4096

/* How many bytes @a and @b have in common, at least @same of which it is known. */
static gsize
common_first(const Rope *a, const char *b, gsize most, gsize same)
{
    gsize begin = 0;

    for (guint i = 0; i < G_N_ELEMENTS(a->pieces) && same < most; i++) {
        gsize end = MIN(begin + a->pieces[i].length, most);
        const char *at = a->pieces[i].at - begin;

        while (same < end && end - same >= BLOCK && memcmp(at + same, b + same, BLOCK) == 0)
            same += BLOCK;
        while (same < end && at[same] == b[same])
            same++;
        if (same < end)
            return same;
        begin += a->pieces[i].length;
    }
    return same;
}

/* The same from the end; @b points behind its last byte. */
static gsize
common_last(const Rope *a, const char *b, gsize most, gsize same)
{
    gsize behind = 0;

    for (guint i = G_N_ELEMENTS(a->pieces); i > 0 && same < most; i--) {
        gsize end = MIN(behind + a->pieces[i - 1].length, most);
        const char *at = a->pieces[i - 1].at + a->pieces[i - 1].length + behind;

        while (same < end && end - same >= BLOCK &&
               memcmp(at - same - BLOCK, b - same - BLOCK, BLOCK) == 0)
            same += BLOCK;
        while (same < end && *(at - same - 1) == *(b - same - 1))
            same++;
        if (same < end)
            return same;
        behind += a->pieces[i - 1].length;
    }
    return same;
}

static char
rope_byte(const Rope *rope, gsize at)
{
    guint i = 0;

    for (; at >= rope->pieces[i].length; i++)
        at -= rope->pieces[i].length;
    return rope->pieces[i].at[at];
}

static gboolean
is_inside_character(const Rope *rope, gsize at)
{
    return at < rope->length && ((guchar)rope_byte(rope, at) & 0xc0) == 0x80;
}

/* ---- telling by a key ---- */

typedef struct {
    gsize first, last;
} Common;

static Common
compare(const Key *key, const Rope *rope, Common known)
{
    gsize most = MIN(key->length, rope->length);
    Common common = { .first = common_first(rope, key->text, most, MIN(known.first, most)) };

    most -= common.first;
    common.last = common_last(rope, key->text + key->length, most, MIN(known.last, most));
    while (common.first > 0 && is_inside_character(rope, common.first))
        common.first--;
    while (common.last > 0 && is_inside_character(rope, rope->length - common.last))
        common.last--;
    return common;
}

/* What the store knows of it already. */
static Common
known_of(const Key *key, gint64 id, const VmpStoreParts *parts)
{
    if (parts->base == 0)
        return key->parts.base == id ? (Common){ key->parts.first, key->parts.last }
                                     : (Common){ 0 };
    if (parts->base == key->id)
        return (Common){ parts->first, parts->last };
    if (parts->base == key->parts.base)
        return (Common){ MIN(parts->first, key->parts.first),
                         MIN(parts->last, key->parts.last) };
    return (Common){ 0 };
}

/* @parts: as the store has the text, if nothing of it is masked; else NULL. */
static const Key *
choose(const Keys *keys, gint64 id, const Rope *rope, const VmpStoreParts *parts,
       Common *common)
{
    const Key *best = NULL;

    for (guint i = 0; i < keys->length; i++) {
        const Key *key = &keys->keys[i];
        Common found = compare(key, rope, parts ? known_of(key, id, parts) : (Common){ 0 });
        if (best && found.first + found.last <= common->first + common->last)
            continue;
        best = key;
        *common = found;
    }
    return best && common->first + common->last >= rope->length / 2 ? best : NULL;
}

static Key *
add_key(Keys *keys, gint64 id, guint64 number)
{
    if (keys->length == VMP_BULK_KEYS)
        key_clear(&keys->keys[--keys->length]);
    memmove(&keys->keys[1], &keys->keys[0], keys->length++ * sizeof(Key));
    keys->keys[0] = (Key){ .id = id, .number = number };
    return &keys->keys[0];
}

/* ---- secrets ---- */

/* vmp_domain_mask() leaves out what is called so.  A name cannot be written in another way. */
static gboolean
names_a_secret(const char *text)
{
    return strstr(text, "passwd") || strstr(text, "cookies");
}

/* TRUE where that would be long to tell. */
static gboolean
may_have_secrets(const VmpBulkDelta *delta, const VmpStoreParts *parts, const Rope *rope)
{
    gsize before = parts->first - MIN(parts->first, 8);
    gsize behind = MIN(parts->first + parts->length + 8, rope->length);

    if (parts->base == 0)
        return names_a_secret(parts->middle);
    if (delta->base_has_secrets)
        return TRUE;
    g_autoptr(GString) around = g_string_new(NULL);
    rope_append(rope, before, behind, around);
    return names_a_secret(around->str);
}

/* Masks by what is known of @key: a text that differs from it in sources alone has its secrets
 * in the same places. */
static char *
mask_like(const Key *key, const Rope *rope)
{
    gsize length;

    if (!key->plain || !key->masked)
        return NULL;
    const char *text = vmp_domain_sources_get_text(key->plain, &length);
    gsize first = common_first(rope, text, MIN(length, rope->length), 0);
    gsize last = common_last(rope, text + length, MIN(length, rope->length) - first, 0);
    g_autoptr(GString) middle = g_string_new(NULL);
    rope_append(rope, first, rope->length - last, middle);
    g_autoptr(GPtrArray) values =
        vmp_domain_sources_match(key->plain, first, last, middle->str, middle->len);

    return values ? vmp_domain_sources_fill(key->masked, values) : NULL;
}

static char *
mask(const Keys *keys, const Rope *rope)
{
    for (guint i = 0; i < keys->length; i++) {
        char *masked = mask_like(&keys->keys[i], rope);
        if (masked)
            return masked;
    }
    g_autoptr(GString) text = g_string_new(NULL);
    rope_append(rope, 0, rope->length, text);
    return vmp_domain_mask(text->str);
}

/* ---- */

static gboolean
load_base(VmpBulkDelta *delta, gint64 id, GError **error)
{
    if (id == 0 || delta->base == id)
        return TRUE;
    g_clear_pointer(&delta->base_text, g_free);
    delta->base = 0;
    delta->base_text = vmp_store_get_definition(delta->store, id, &delta->base_length, error);
    if (!delta->base_text)
        return FALSE;
    delta->base = id;
    delta->base_has_secrets = names_a_secret(delta->base_text);
    return TRUE;
}

/* Remembers what is written as a whole. */
static void
keep(Keys *keys, gint64 id, guint64 number, const VmpStoreParts *parts, const Rope *plain,
     const Rope *written, gboolean masked)
{
    Key *key = add_key(keys, id, number);
    g_autoptr(GString) text = g_string_sized_new(written->length);

    rope_append(written, 0, written->length, text);
    if (masked) {
        g_autoptr(GString) secret = g_string_sized_new(plain->length);
        rope_append(plain, 0, plain->length, secret);
        key->plain = vmp_domain_sources_new(secret->str, secret->len);
        key->masked = vmp_domain_sources_new(text->str, text->len);
    } else {
        key->parts = *parts;
        key->parts.middle = NULL;
    }
    if (masked)
        key->id = 0; /* the store's deltas say nothing of this text */
    key->length = text->len;
    key->text = g_string_free(g_steal_pointer(&text), FALSE);
}

gboolean
vmp_bulk_delta_next(VmpBulkDelta *delta, gint64 id, guint64 number, VmpBulkPart *part,
                    GError **error)
{
    g_auto(VmpStoreParts) parts = { 0 };

    if (!vmp_store_get_definition_parts(delta->store, id, &parts, error) ||
        !load_base(delta, parts.base, error))
        return FALSE;

    Rope plain = rope_of_parts(delta, &parts);
    Keys *keys = plain.length > 1 && rope_byte(&plain, 1) == 'i' ? &delta->inactive_domains
                                                                 : &delta->domains;
    g_autofree char *masked =
        !delta->secure && may_have_secrets(delta, &parts, &plain) ? mask(keys, &plain) : NULL;
    gboolean is_masked = masked && strlen(masked) != plain.length;
    Rope rope = is_masked ? rope_of_text(masked, strlen(masked)) : plain;
    Common common = { 0 };
    const Key *key = choose(keys, id, &rope, is_masked ? NULL : &parts, &common);

    g_string_truncate(delta->middle, 0);
    rope_append(&rope, common.first, rope.length - common.last, delta->middle);
    *part = (VmpBulkPart){ .masked = is_masked };
    if (key) {
        part->like = key->number;
        part->first = common.first;
        part->last = common.last;
    } else {
        g_string_truncate(delta->middle, 0);
        rope_append(&rope, 0, rope.length, delta->middle);
        keep(keys, id, number, &parts, &plain, &rope, is_masked);
    }
    part->middle = delta->middle->str;
    return TRUE;
}
