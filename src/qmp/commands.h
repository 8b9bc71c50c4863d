/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The only place that spells QMP commands.
 *
 * One constructor a command; each returns a new VmpQmpCommand.  Below them, typed
 * readers for the replies that the layers above look at.
 */

#include <glib.h>

#include "base/json.h"
#include "base/nbd-uri.h"
#include "qmp/client.h"

/* Queries */
VmpQmpCommand *vmp_qmp_query_status(void);
VmpQmpCommand *vmp_qmp_query_block(void);
VmpQmpCommand *vmp_qmp_query_named_block_nodes(void); /* flat: the other form is quadratic */
VmpQmpCommand *vmp_qmp_query_block_graph(void);       /* x-debug-query-block-graph */
VmpQmpCommand *vmp_qmp_query_jobs(void);
VmpQmpCommand *vmp_qmp_query_block_jobs(void);
VmpQmpCommand *vmp_qmp_query_migrate(void);
VmpQmpCommand *vmp_qmp_query_block_exports(void);
VmpQmpCommand *vmp_qmp_query_qmp_schema(void);
VmpQmpCommand *vmp_qmp_query_blockstats(void); /* of all nodes, by their names */
VmpQmpCommand *vmp_qmp_query_name(void);
VmpQmpCommand *vmp_qmp_query_uuid(void);
/* [ { "id", "model", "options": { "type": "emulator", ... } } ] */
VmpQmpCommand *vmp_qmp_query_tpm(void);
VmpQmpCommand *vmp_qmp_query_pci(void);
VmpQmpCommand *vmp_qmp_query_iothreads(void);
VmpQmpCommand *vmp_qmp_qom_get(const char *path, const char *property);
VmpQmpCommand *vmp_qmp_qom_list(const char *path);

/* The machine */
VmpQmpCommand *vmp_qmp_stop(void);
VmpQmpCommand *vmp_qmp_cont(void);
VmpQmpCommand *vmp_qmp_system_reset(void);
VmpQmpCommand *vmp_qmp_system_powerdown(void);
VmpQmpCommand *vmp_qmp_balloon(guint64 bytes);
VmpQmpCommand *vmp_qmp_quit(void);
VmpQmpCommand *vmp_qmp_qom_set(const char *path, const char *property, VmpJson *value);
VmpQmpCommand *vmp_qmp_set_action(const char *shutdown, const char *reboot); /* NULL = leave */

/* Block nodes; @options is consumed. */
VmpQmpCommand *vmp_qmp_blockdev_add(VmpJson *options);
VmpQmpCommand *vmp_qmp_blockdev_del(const char *node);
VmpQmpCommand *vmp_qmp_blockdev_create(const char *job_id, VmpJson *options);
VmpQmpCommand *vmp_qmp_blockdev_reopen(VmpJson *options); /* of one node */
VmpQmpCommand *vmp_qmp_change_backing_file(const char *root_node, const char *node,
                                           const char *backing_file);
VmpQmpCommand *vmp_qmp_block_resize(const char *node, guint64 size);

/* Options for blockdev-add, as QEMU names them; consumed by the constructor above. */
/* protocol node over a file, a host device or an NBD export (@place is a path or a URI, see
 * base/nbd-uri.h); @node: NULL = QEMU finds one */
VmpJson *vmp_qmp_options_storage(const char *node, const char *place, gboolean host_device,
                                 gboolean read_only);
/* format node over protocol node @file; @backing: NULL = what the header says,
 * "" = none (JSON null), else a node name */
VmpJson *vmp_qmp_options_format(const char *node, const char *format, const char *file,
                                const char *backing, gboolean read_only);
/* The same over a protocol node @storage (options, consumed) that comes and goes with it. */
VmpJson *vmp_qmp_options_whole(const char *node, const char *format, VmpJson *storage,
                               const char *backing, gboolean read_only);
/* The same without names, for what a node is laid over: an image at @path, over @backing
 * (consumed; NULL = none is said). */
VmpJson *vmp_qmp_options_unnamed(const char *format, const char *storage, const char *path,
                                 gboolean read_only, VmpJson *backing);
/* The image @node whose internal snapshot has RAM that is in another file, @stream, at
 * @offset;
 * @wrap has the rest (storage/vmstate.h). */
VmpJson *vmp_qmp_options_vmstate(const char *node, const char *wrap, const char *stream,
                                 guint64 offset);

/* protocol node over somebody's NBD export, without a name; QEMU holds its guest while it
 * connects, @timeout_s at most */
VmpJson *vmp_qmp_options_nbd(const VmpNbdUri *uri, const char *tls_creds /* id; or NULL */,
                             guint timeout_s);

/* A filter over @below: what is about to be overwritten is copied to @target first.  When that
 * fails, or takes longer than @timeout_s, the guest's write goes on and the copy is broken. */
VmpJson *vmp_qmp_options_copy_before_write(const char *node, const char *below,
                                           const char *target, guint timeout_s);
/* What was below @filter, such a one, when it was put there; read-only. */
VmpJson *vmp_qmp_options_snapshot_access(const char *node, const char *filter);
/* The first @size bytes of the node @of; read-only. */
VmpJson *vmp_qmp_options_part(const char *node, const char *of, guint64 size);
/* Takes all and keeps nothing. */
VmpJson *vmp_qmp_options_null(const char *node, guint64 size);

/* Jobs */
typedef struct {
    const char *job_id, *node, *target;
    guint64 speed;               /* bytes per second; 0 = no limit */
    guint64 granularity, buffer; /* bytes; 0 = QEMU's own */
    gboolean synchronous;        /* what is written meanwhile is written twice at once */
} VmpQmpMirror;                  /* auto-finalize and auto-dismiss are off */

VmpQmpCommand *vmp_qmp_mirror(const VmpQmpMirror *mirror);
VmpQmpCommand *vmp_qmp_blockdev_mirror(const char *job_id, const char *node,
                                       const char *target);
VmpQmpCommand *vmp_qmp_job_dismiss(const char *id);
VmpQmpCommand *vmp_qmp_job_finalize(const char *id);
VmpQmpCommand *vmp_qmp_job_complete(const char *id);
VmpQmpCommand *vmp_qmp_job_cancel(const char *id);
/* The connection of the node to its server is cut: what it waits for fails. */
VmpQmpCommand *vmp_qmp_yank_node(const char *node);
/* Of a mirror that is ready: it ends well, with a copy of that moment.  job-cancel breaks it
 * off. */
VmpQmpCommand *vmp_qmp_block_job_end(const char *id);
VmpQmpCommand *vmp_qmp_job_resume(const char *id);
VmpQmpCommand *vmp_qmp_block_job_set_speed(const char *id, guint64 bytes_per_second);

/* auto-finalize and auto-dismiss are off: nothing ends unseen. @top NULL = active layer.
 * @backing_file: string for the header of the layer above @top; always pass it.
 * @speed: bytes per second; 0 = no limit. */
VmpQmpCommand *vmp_qmp_block_commit(const char *job_id, const char *root_node, const char *top,
                                    const char *base, const char *backing_file, guint64 speed);
VmpQmpCommand *vmp_qmp_block_stream(const char *job_id, const char *node, const char *base,
                                    const char *backing_file, guint64 speed);

typedef struct _VmpQmpBackup {
    const char *job_id, *node, *target;
    const char *sync;        /* "full", "incremental", "none", "bitmap" */
    const char *bitmap;      /* or NULL */
    const char *bitmap_mode; /* or NULL; "on-success", "never", "always" */
    guint64 speed;           /* bytes per second; 0 = unlimited */
    gboolean compress;
    gboolean use_copy_range; /* x-perf; only where the schema has it */
    guint max_workers;       /* x-perf; 0 = default */
    gint64 max_chunk;        /* x-perf, bytes; 0 = default */
    gboolean auto_finalize;  /* FALSE: stays pending until job-finalize */
} VmpQmpBackup;              /* auto-dismiss is always off */

VmpQmpCommand *vmp_qmp_blockdev_backup(const VmpQmpBackup *backup);
/* The arguments alone, for a transaction. */
VmpJson *vmp_qmp_backup_arguments(const VmpQmpBackup *backup);

/* Bitmaps outside a transaction */
VmpQmpCommand *vmp_qmp_bitmap_add(const char *node, const char *name, gboolean persistent,
                                  gboolean disabled, guint32 granularity);
VmpQmpCommand *vmp_qmp_bitmap_remove(const char *node, const char *name);

/* Internal snapshots and RAM */
VmpQmpCommand *vmp_qmp_snapshot_save(const char *job_id, const char *tag, const char *vmstate,
                                     const char *const *devices);
VmpQmpCommand *vmp_qmp_snapshot_load(const char *job_id, const char *tag, const char *vmstate,
                                     const char *const *devices);
VmpQmpCommand *vmp_qmp_snapshot_delete(const char *job_id, const char *tag,
                                       const char *const *devices);
VmpQmpCommand *vmp_qmp_migrate(const char *uri);
VmpQmpCommand *vmp_qmp_migrate_cancel(void);
VmpQmpCommand *vmp_qmp_query_migrate_parameters(void);
VmpQmpCommand *vmp_qmp_migrate_incoming(const char *uri);
VmpQmpCommand *vmp_qmp_migrate_set_capability(const char *capability, gboolean state);
VmpQmpCommand *vmp_qmp_migrate_set_max_bandwidth(guint64 bytes_per_second);
VmpQmpCommand *vmp_qmp_getfd(const char *fdname);
VmpQmpCommand *vmp_qmp_closefd(const char *fdname);
/* A descriptor that is sent along becomes a file that can be opened, at /dev/fdset/<the
 * reply's fdset-id>, until it is removed; what is open by then stays so. */
VmpQmpCommand *vmp_qmp_add_fd(void);
VmpQmpCommand *vmp_qmp_remove_fd(gint64 fdset_id);

/* NBD */
VmpQmpCommand *vmp_qmp_nbd_server_start_unix(const char *path, const char *tls_creds);
VmpQmpCommand *vmp_qmp_nbd_server_start_inet(const char *host, const char *port,
                                             const char *tls_creds);
VmpQmpCommand *vmp_qmp_nbd_server_stop(void);
VmpQmpCommand *vmp_qmp_nbd_export_add(const char *id, const char *node, const char *name,
                                      gboolean writable,
                                      VmpJson *bitmaps /* consumed; or NULL */);
/* "hard": clients that are connected are let go. */
VmpQmpCommand *vmp_qmp_block_export_del(const char *id);
/* The certificates in @folder; clients must show one of the same authority. */
VmpQmpCommand *vmp_qmp_tls_server_add(const char *id, const char *folder);
/* The server's must be of the authority in @folder, and of its name; ours is shown to one that
 * asks. */
VmpQmpCommand *vmp_qmp_tls_client_add(const char *id, const char *folder);
VmpQmpCommand *vmp_qmp_object_del(const char *id);

/* ---- replies ---- */

/* query-status: @status is QEMU's word ("running", "paused", "shutdown", "prelaunch", ...).
 * Borrowed from @reply. */
const char *vmp_qmp_read_status(VmpJson *reply, gboolean *running);

/* One element of query-jobs.  Strings are borrowed from the reply. */
typedef struct {
    const char *id, *type, *status, *error; /* @error NULL unless the job failed */
    guint64 current, total;                 /* bytes for block jobs */
} VmpQmpJob;
/* FALSE if there is no job @id. */
gboolean vmp_qmp_read_job(VmpJson *reply, const char *id, VmpQmpJob *job);
