/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is behind a VmpStore.  For the modules of this layer only. */

#include <sqlite3.h>

#include "store/delta.h"
#include "store/store.h"

/* "vmpt": tells our database from any other in its header. */
#define VMP_STORE_APPLICATION_ID 0x766d7074
#define VMP_STORE_PAGE_SIZE 4096

struct _VmpStore {
    sqlite3 *db;
    char *path;
    int patience;           /* milliseconds to wait for another writer */
    int log_frames;         /* the log is emptied into the database when it has so many */
    guint depth;            /* transactions begun and not ended, the nested ones counted */
    GHashTable *statements; /* SQL text (the literal's address) -> VmpSql */
    VmpDeltaCodec *codec;   /* NULL until a definition is put or read */
    struct {
        gint64 id; /* 0 = none */
        char *text;
        gsize length;
    } keyframe; /* the one used last */
};

/* Opens the database that is at @path, without a look at what is in it. */
VmpStore *vmp_store_open_handle(const char *path, GError **error);
/* VMP_ERROR_DAMAGED if the database contradicts itself.  Reads all of it. */
gboolean vmp_store_check_database(VmpStore *store, GError **error);
/* Forgets the cached keyframe: its id may have been rolled back. */
void vmp_store_forget_keyframe(VmpStore *store);
