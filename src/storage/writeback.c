/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/writeback.h"

#include <fcntl.h>
#include <unistd.h>

#include "storage/overlay.h"

/* Often enough for the disk never to run dry, seldom enough to cost nothing. */
#define PERIOD_US (10 * G_TIME_SPAN_MILLISECOND)

struct _VmpWriteback {
    GArray *fds; /* of int */
    GThread *thread;
    GMutex mutex;
    GCond ended;
    gboolean is_ending; /* under the mutex */
};

static gpointer
write_back(gpointer data)
{
    VmpWriteback *writeback = data;

    g_mutex_lock(&writeback->mutex);
    while (!writeback->is_ending) {
        gint64 next = g_get_monotonic_time() + PERIOD_US;

        g_mutex_unlock(&writeback->mutex);
        for (guint i = 0; i < writeback->fds->len; i++)
            sync_file_range(g_array_index(writeback->fds, int, i), 0, 0,
                            SYNC_FILE_RANGE_WRITE);
        g_mutex_lock(&writeback->mutex);
        while (!writeback->is_ending &&
               g_cond_wait_until(&writeback->ended, &writeback->mutex, next))
            ;
    }
    g_mutex_unlock(&writeback->mutex);
    return NULL;
}

VmpWriteback *
vmp_writeback_begin(const GPtrArray *images)
{
    VmpWriteback *writeback = g_new0(VmpWriteback, 1);

    writeback->fds = g_array_new(FALSE, FALSE, sizeof(int));
    for (guint i = 0; i < images->len; i++) {
        const VmpNewImage *image = g_ptr_array_index(images, i);
        int fd = image->block_device || image->network
                     ? -1
                     : open(image->path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            g_array_append_val(writeback->fds, fd);
    }
    g_mutex_init(&writeback->mutex);
    g_cond_init(&writeback->ended);
    writeback->thread = g_thread_new("writeback", write_back, writeback);
    return writeback;
}

void
vmp_writeback_end(VmpWriteback *writeback)
{
    if (!writeback)
        return;

    g_mutex_lock(&writeback->mutex);
    writeback->is_ending = TRUE;
    g_cond_signal(&writeback->ended);
    g_mutex_unlock(&writeback->mutex);
    g_thread_join(writeback->thread);

    for (guint i = 0; i < writeback->fds->len; i++)
        close(g_array_index(writeback->fds, int, i));
    g_array_unref(writeback->fds);
    g_mutex_clear(&writeback->mutex);
    g_cond_clear(&writeback->ended);
    g_free(writeback);
}
