/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpStore: what vmpoint remembers: domains, points in time, definitions, files it
 * made, backup jobs, and (store/intent.h) what it is about to do.
 *
 * One SQLite database, <state dir>/vmpoint.db: WAL, synchronous=FULL, foreign keys
 * on, one schema version with migrations.  Several processes may use it at once;
 * a writer waits up to a few seconds for another (VMP_ERROR_BUSY after that).
 * A database of a newer vmpoint is refused (VMP_ERROR_UNSUPPORTED); one that is
 * damaged is reported (VMP_ERROR_DAMAGED) and kept.
 *
 * The store knows nothing of XML or QEMU: texts are bytes to it.
 */

#include <glib.h>

#include "base/json.h"

typedef struct _VmpStore VmpStore;

/* Opens or makes it; @dir is made with mode 0700, files 0600. */
VmpStore *vmp_store_open(const char *dir, GError **error);
void vmp_store_close(VmpStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpStore, vmp_store_close)

/* ---- transactions ----
 *
 * Every function below is atomic by itself; between begin and commit they form one
 * transaction.  They nest: an inner one that is not committed takes back its own part.
 * The guard rolls back when it goes out of scope uncommitted. */
typedef struct {
    VmpStore *store; /* NULL once committed */
} VmpStoreTransaction;

gboolean vmp_store_begin(VmpStore *store, VmpStoreTransaction *transaction, GError **error);
/* For reading only: until the guard goes, what is read is of one moment, and no writer waits.
 */
gboolean vmp_store_begin_reading(VmpStore *store, VmpStoreTransaction *transaction,
                                 GError **error);
gboolean vmp_store_commit(VmpStoreTransaction *transaction, GError **error);
void vmp_store_transaction_clear(VmpStoreTransaction *transaction);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpStoreTransaction, vmp_store_transaction_clear)

/* ---- definitions: domain XML, each stored once ----
 *
 * Found again by content (a hash, then byte by byte).  A text that differs little from
 * @like (a hint; 0 = none) costs little: it is kept as a delta, and no delta rests
 * on another.  At most 64 MiB.
 *
 * Nothing refers to a definition that was just put.  Put it in one transaction with
 * the record or the intent that names it, or a collector may come between. */
gint64 vmp_store_put_definition(VmpStore *store, const char *text, gssize length, gint64 like,
                                GError **error); /* id, or 0 with @error */
/* Byte-identical to what was put, or VMP_ERROR_DAMAGED; free with g_free().  @length
 * optional (a NUL follows and does not count). */
char *vmp_store_get_definition(VmpStore *store, gint64 id, gsize *length, GError **error);
/* A definition told by another one: the first @first bytes of that, then @middle, then its
 * last
 * @last bytes. */
typedef struct {
    gint64 base; /* its id; 0 = there is none, @middle is all */
    gsize first, last;
    char *middle; /* ended by a NUL that does not count */
    gsize length; /* of @middle */
} VmpStoreParts;

void vmp_store_parts_clear(VmpStoreParts *parts);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpStoreParts, vmp_store_parts_clear)

/* As the store keeps it: its base has none.  Checked as vmp_store_get_definition() does,
 * without putting the text together. */
gboolean vmp_store_get_definition_parts(VmpStore *store, gint64 id, VmpStoreParts *parts,
                                        GError **error);
/* The same as to put the whole text, and as quick as @middle is short.  VMP_ERROR_INVALID if
 * the base is shorter than its parts. */
gint64 vmp_store_put_definition_parts(VmpStore *store, const VmpStoreParts *parts,
                                      GError **error);
/* Drops definitions nobody refers to; returns how many, or -1.  Drops none while any
 * intent is open, for its plan may name them. */
gint64 vmp_store_collect_definitions(VmpStore *store, GError **error);

/* ---- domains ---- */
typedef struct {
    gint64 id;           /* 0 until stored */
    char *name;          /* unique */
    char *uuid;          /* unique, lower case; NULL = has none */
    gboolean persistent; /* FALSE: attached without definition, or gone when it stops */
    gint64 inactive;     /* definition id of the persistent config; 0 = none */
    gint64 active;  /* definition id of the running machine; 0 = not running as far as known */
    char *qmp_path; /* attached: somebody else's monitor; else NULL */
    char *agent_path; /* attached: guest agent; else NULL */
    char *extra;      /* JSON text of the machine layer (pid, start time, ...); or NULL */
} VmpStoreDomain;

void vmp_store_domain_free(VmpStoreDomain *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpStoreDomain, vmp_store_domain_free)

/* By name or uuid.  VMP_ERROR_NOT_FOUND names it. */
VmpStoreDomain *vmp_store_find_domain(VmpStore *store, const char *name_or_uuid,
                                      GError **error);
/* Sorted by name. */
GPtrArray *vmp_store_list_domains(VmpStore *store, GError **error);
/* Inserts (id 0, which it sets) or replaces.  VMP_ERROR_EXISTS if name or uuid belongs to
 * another. */
gboolean vmp_store_put_domain(VmpStore *store, VmpStoreDomain *domain, GError **error);
/* With all its points, files and jobs.  VMP_ERROR_BUSY while it has an open intent. */
gboolean vmp_store_remove_domain(VmpStore *store, gint64 id, GError **error);

/* ---- points: snapshots and checkpoints ---- */
typedef enum {
    VMP_POINT_SNAPSHOT,
    VMP_POINT_CHECKPOINT,
} VmpPointKind;

typedef struct {
    gint64 id;     /* 0 until stored */
    gint64 domain; /* id of the domain */
    VmpPointKind kind;
    char *name;           /* unique within domain and kind */
    char *parent;         /* name; NULL = root */
    gint64 creation_time; /* epoch seconds */
    char *state;          /* snapshots: libvirt's word; or NULL */
    int location;         /* snapshots: VmpLocation for the list filters */
    gboolean current;
    guint children;    /* filled when listed; not stored */
    char *body;        /* the document without its domains; NULL when listed without */
    gint64 definition; /* id; 0 = none ("no-domain") */
    gint64 inactive_definition; /* id; 0 = none */
    char *extra; /* JSON text of the point layer (nodes, digests, ...); or NULL */
} VmpStorePoint;

void vmp_store_point_free(VmpStorePoint *point);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpStorePoint, vmp_store_point_free)

/* With body.  VMP_ERROR_NOT_FOUND names kind and point. */
VmpStorePoint *vmp_store_find_point(VmpStore *store, gint64 domain, VmpPointKind kind,
                                    const char *name, GError **error);
/* The current one, or NULL without @error if there is none. */
VmpStorePoint *vmp_store_find_current_point(VmpStore *store, gint64 domain, VmpPointKind kind,
                                            GError **error);
/* All points of the domain, parents before children, otherwise in order of making. */
GPtrArray *vmp_store_list_points(VmpStore *store, gint64 domain, VmpPointKind kind,
                                 gboolean with_body, GError **error);
/* How many there are, or -1: from an index, without reading them. */
gint64 vmp_store_count_points(VmpStore *store, gint64 domain, VmpPointKind kind,
                              GError **error);
/* Inserts or replaces (by domain, kind, name; children keep their link).  If @point->current,
 * no other one is afterwards.  VMP_ERROR_NOT_FOUND for an unknown parent. */
gboolean vmp_store_put_point(VmpStore *store, VmpStorePoint *point, GError **error);
/* Its children move to its parent; if it was current, its parent becomes so. */
gboolean vmp_store_remove_point(VmpStore *store, gint64 domain, VmpPointKind kind,
                                const char *name, GError **error);
/* @name NULL: none is current. */
gboolean vmp_store_set_current_point(VmpStore *store, gint64 domain, VmpPointKind kind,
                                     const char *name, GError **error);
/* Children keep their link; files made for a snapshot follow it in the ledger. */
gboolean vmp_store_rename_point(VmpStore *store, gint64 domain, VmpPointKind kind,
                                const char *from, const char *to, GError **error);

/* ---- the ledger of files that vmpoint made ----
 *
 * Only what stands here may ever be unlinked. */
typedef struct {
    char *path; /* absolute */
    gint64 domain;
    char *role;  /* "overlay", "memory", "target", "scratch", "nvram" */
    char *point; /* name of the point it was made for; or NULL */
} VmpStoreFile;

void vmp_store_file_free(VmpStoreFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpStoreFile, vmp_store_file_free)
/* Inserts or replaces.  VMP_ERROR_EXISTS if it was made for another domain. */
gboolean vmp_store_put_file(VmpStore *store, const VmpStoreFile *file, GError **error);
/* That it does not stand there is success. */
gboolean vmp_store_remove_file(VmpStore *store, const char *path, GError **error);
/* NULL without @error if vmpoint did not make @path. */
VmpStoreFile *vmp_store_find_file(VmpStore *store, const char *path, GError **error);
GPtrArray *vmp_store_list_files(VmpStore *store, gint64 domain, GError **error);

/* ---- backup jobs ---- */
typedef struct {
    gint64 id; /* 0 until stored */
    gint64 domain;
    char *state;           /* "running", "completed", "failed", "cancelled" */
    gint64 started, ended; /* epoch milliseconds; ended 0 while running */
    char *body;            /* the <domainbackup> document as aligned */
    char *detail;          /* JSON text of the backup layer: nodes, jobs, totals, error */
} VmpStoreBackup;

void vmp_store_backup_free(VmpStoreBackup *backup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpStoreBackup, vmp_store_backup_free)
/* Inserts (id 0, which it sets) or replaces. */
gboolean vmp_store_put_backup(VmpStore *store, VmpStoreBackup *backup, GError **error);
/* The newest in @state (NULL = any that has ended), or NULL without @error. */
VmpStoreBackup *vmp_store_find_backup(VmpStore *store, gint64 domain, const char *state,
                                      GError **error);
gboolean vmp_store_remove_backup(VmpStore *store, gint64 id, GError **error);

/* ---- small facts worth keeping between processes (schema digests and the like) ---- */
/* NULL without @error if there is none.  Free with g_free(). */
char *vmp_store_get_fact(VmpStore *store, const char *key, GError **error);
/* The keys (char *) that begin with @prefix. */
GPtrArray *vmp_store_list_facts(VmpStore *store, const char *prefix, GError **error);
/* @value NULL: there is none afterwards. */
gboolean vmp_store_put_fact(VmpStore *store, const char *key, const char *value,
                            GError **error);

/* ---- fsck ---- */
/* Reads everything there is; VMP_ERROR_DAMAGED says what is not as it was written. */
gboolean vmp_store_verify(VmpStore *store, GError **error);
