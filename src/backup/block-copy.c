/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/block-copy.h"

#include "base/error.h"

typedef struct {
    GMutex lock; /* of @content, which one thread may use at a time */
    VmpContent *content;
} Target;

static gboolean
check_and_write(VmpBlock *blocks, guint count, const guint8 *data, gsize length,
                gpointer user_data, GError **error)
{
    Target *target = user_data;
    guint64 offset = blocks[0].first * VMP_BLOCK_SIZE, wrong = 0;

    if (!vmp_block_check(blocks, count, data, length, &wrong))
        return vmp_fail(error, VMP_ERROR_DAMAGED,
                        "what is read is not what the guest saw, at byte %" G_GUINT64_FORMAT,
                        wrong);
    g_mutex_lock(&target->lock);
    gboolean written = vmp_content_write(target->content, data, offset, length, error);
    g_mutex_unlock(&target->lock);
    return written;
}

static gboolean
write_zeroes(const Target *target, guint64 size, const GArray *blocks, GError **error)
{
    for (guint i = 0; i < blocks->len; i++) {
        const VmpBlock *block = &g_array_index(blocks, VmpBlock, i);
        guint64 offset = block->first * VMP_BLOCK_SIZE;
        if (vmp_block_is_zero(block) &&
            !vmp_content_zero(target->content, offset,
                              MIN(block->count * VMP_BLOCK_SIZE, size - offset), error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vmp_block_copy(const char *path, guint64 size, GArray *blocks, VmpContent *content,
               const char *what, VmpOperation *operation, GError **error)
{
    Target target = { .content = content };

    if (!write_zeroes(&target, size, blocks, error))
        return FALSE;
    g_mutex_init(&target.lock);
    gboolean copied =
        vmp_block_walk(path, size, blocks, check_and_write, &target, what, operation, error);
    g_mutex_clear(&target.lock);
    return copied;
}
