/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/digest-pool.h"

#include "base/error.h"

/* How long until somebody who interrupts is heard. */
#define LOOK_INTERVAL (G_USEC_PER_SEC / 5)

typedef struct {
    char *path;
    gsize piece;
    VmpFileDigest result;
    GError *failure;
    gboolean ended;
} Entry;

struct _VmpDigestPool {
    GThreadPool *threads;
    GCancellable *given_up;
    GPtrArray *entries; /* of Entry; only whoever owns the pool looks at the list */
    GMutex lock;        /* of what entries hold until they have ended */
    GCond changed;
};

static void
entry_free(Entry *entry)
{
    g_array_unref(entry->result.sums);
    g_clear_error(&entry->failure);
    g_free(entry->path);
    g_free(entry);
}

static void
digest(gpointer data, gpointer user_data)
{
    VmpDigestPool *pool = user_data;
    Entry *entry = data;

    vmp_digest_file(entry->path, entry->piece, entry->result.sums, &entry->result.digest,
                    &entry->result.size, pool->given_up, &entry->failure);
    g_mutex_lock(&pool->lock);
    entry->ended = TRUE;
    g_cond_signal(&pool->changed);
    g_mutex_unlock(&pool->lock);
}

VmpDigestPool *
vmp_digest_pool_new(void)
{
    VmpDigestPool *pool = g_new0(VmpDigestPool, 1);

    g_mutex_init(&pool->lock);
    g_cond_init(&pool->changed);
    pool->given_up = g_cancellable_new();
    pool->entries = g_ptr_array_new_with_free_func((GDestroyNotify)entry_free);
    pool->threads = g_thread_pool_new(digest, pool, (int)g_get_num_processors(), FALSE, NULL);
    return pool;
}

void
vmp_digest_pool_free(VmpDigestPool *pool)
{
    if (!pool)
        return;
    g_cancellable_cancel(pool->given_up);
    g_thread_pool_free(pool->threads, FALSE, TRUE); /* waits */
    g_ptr_array_unref(pool->entries);
    g_object_unref(pool->given_up);
    g_mutex_clear(&pool->lock);
    g_cond_clear(&pool->changed);
    g_free(pool);
}

void
vmp_digest_pool_add(VmpDigestPool *pool, const char *path, gsize piece)
{
    Entry *entry = g_new0(Entry, 1);

    entry->path = g_strdup(path);
    entry->piece = piece;
    entry->result.sums = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_ptr_array_add(pool->entries, entry);
    g_thread_pool_push(pool->threads, entry, NULL);
}

static Entry *
find_entry(const VmpDigestPool *pool, const char *path)
{
    for (guint i = 0; i < pool->entries->len; i++) {
        Entry *entry = g_ptr_array_index(pool->entries, i);
        if (g_str_equal(entry->path, path))
            return entry;
    }
    g_assert_not_reached();
}

static gboolean
wait_for_end(VmpDigestPool *pool, const Entry *entry, GCancellable *cancellable)
{
    g_mutex_lock(&pool->lock);
    while (!entry->ended && !g_cancellable_is_cancelled(cancellable))
        g_cond_wait_until(&pool->changed, &pool->lock, g_get_monotonic_time() + LOOK_INTERVAL);
    gboolean ended = entry->ended;
    g_mutex_unlock(&pool->lock);
    return ended;
}

const VmpFileDigest *
vmp_digest_pool_wait(VmpDigestPool *pool, const char *path, GCancellable *cancellable,
                     GError **error)
{
    Entry *entry = find_entry(pool, path);

    if (!wait_for_end(pool, entry, cancellable))
        return vmp_fail_null(error, VMP_ERROR_INTERRUPTED, "interrupted while reading '%s'",
                             path);
    if (!entry->failure)
        return &entry->result;
    g_propagate_error(error, g_steal_pointer(&entry->failure));
    return NULL;
}
