/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/commands.h"

/* Long enough for a server that is there, short enough for a guest that waits. */
#define NBD_TIMEOUT_S 3

/* Arguments are built in QEMU's order of words; see base/json.h for the triples. */
#define COMMAND(name, ...) vmp_qmp_command_new((name), vmp_json_build(__VA_ARGS__, NULL))

/* Queries */

VmpQmpCommand *
vmp_qmp_query_status(void)
{
    return vmp_qmp_command_new("query-status", NULL);
}

VmpQmpCommand *
vmp_qmp_query_block(void)
{
    return vmp_qmp_command_new("query-block", NULL);
}

VmpQmpCommand *
vmp_qmp_query_named_block_nodes(void)
{
    return COMMAND("query-named-block-nodes", "b:flat", TRUE);
}

VmpQmpCommand *
vmp_qmp_query_block_graph(void)
{
    return vmp_qmp_command_new("x-debug-query-block-graph", NULL);
}

VmpQmpCommand *
vmp_qmp_query_jobs(void)
{
    return vmp_qmp_command_new("query-jobs", NULL);
}

VmpQmpCommand *
vmp_qmp_query_block_jobs(void)
{
    return vmp_qmp_command_new("query-block-jobs", NULL);
}

VmpQmpCommand *
vmp_qmp_query_migrate(void)
{
    return vmp_qmp_command_new("query-migrate", NULL);
}

VmpQmpCommand *
vmp_qmp_query_block_exports(void)
{
    return vmp_qmp_command_new("query-block-exports", NULL);
}

VmpQmpCommand *
vmp_qmp_query_qmp_schema(void)
{
    return vmp_qmp_command_new("query-qmp-schema", NULL);
}

VmpQmpCommand *
vmp_qmp_query_blockstats(void)
{
    return COMMAND("query-blockstats", "b:query-nodes", TRUE);
}

VmpQmpCommand *
vmp_qmp_query_name(void)
{
    return vmp_qmp_command_new("query-name", NULL);
}

VmpQmpCommand *
vmp_qmp_query_pci(void)
{
    return vmp_qmp_command_new("query-pci", NULL);
}

VmpQmpCommand *
vmp_qmp_query_uuid(void)
{
    return vmp_qmp_command_new("query-uuid", NULL);
}

VmpQmpCommand *
vmp_qmp_query_tpm(void)
{
    return vmp_qmp_command_new("query-tpm", NULL);
}

VmpQmpCommand *
vmp_qmp_qom_get(const char *path, const char *property)
{
    return COMMAND("qom-get", "s:path", path, "s:property", property);
}

VmpQmpCommand *
vmp_qmp_qom_list(const char *path)
{
    return COMMAND("qom-list", "s:path", path);
}

/* The machine */

VmpQmpCommand *
vmp_qmp_stop(void)
{
    return vmp_qmp_command_new("stop", NULL);
}

VmpQmpCommand *
vmp_qmp_cont(void)
{
    return vmp_qmp_command_new("cont", NULL);
}

VmpQmpCommand *
vmp_qmp_system_reset(void)
{
    return vmp_qmp_command_new("system_reset", NULL);
}

VmpQmpCommand *
vmp_qmp_system_powerdown(void)
{
    return vmp_qmp_command_new("system_powerdown", NULL);
}

VmpQmpCommand *
vmp_qmp_balloon(guint64 bytes)
{
    return COMMAND("balloon", "i:value", (gint64)bytes);
}

VmpQmpCommand *
vmp_qmp_quit(void)
{
    return vmp_qmp_command_new("quit", NULL);
}

VmpQmpCommand *
vmp_qmp_qom_set(const char *path, const char *property, VmpJson *value)
{
    return COMMAND("qom-set", "s:path", path, "s:property", property, "o:value", value);
}

VmpQmpCommand *
vmp_qmp_set_action(const char *shutdown, const char *reboot)
{
    return COMMAND("set-action", "S:shutdown", shutdown, "S:reboot", reboot);
}

/* Block nodes */

VmpQmpCommand *
vmp_qmp_blockdev_add(VmpJson *options)
{
    return vmp_qmp_command_new("blockdev-add", options);
}

VmpQmpCommand *
vmp_qmp_blockdev_del(const char *node)
{
    return COMMAND("blockdev-del", "s:node-name", node);
}

VmpQmpCommand *
vmp_qmp_blockdev_create(const char *job_id, VmpJson *options)
{
    return COMMAND("blockdev-create", "s:job-id", job_id, "o:options", options);
}

VmpQmpCommand *
vmp_qmp_blockdev_reopen(VmpJson *options)
{
    VmpJson *nodes = json_object_new_array_ext(1);

    json_object_array_add(nodes, options);
    return COMMAND("blockdev-reopen", "o:options", nodes);
}

VmpQmpCommand *
vmp_qmp_change_backing_file(const char *root_node, const char *node, const char *backing_file)
{
    return COMMAND("change-backing-file", "s:device", root_node, "s:image-node-name", node,
                   "s:backing-file", backing_file);
}

VmpQmpCommand *
vmp_qmp_block_resize(const char *node, guint64 size)
{
    return COMMAND("block_resize", "s:node-name", node, "i:size", (gint64)size);
}

VmpJson *
vmp_qmp_options_unnamed(const char *format, const char *storage, const char *path,
                        gboolean read_only, VmpJson *backing)
{
    VmpJson *file = vmp_json_build("s:driver", storage, "s:filename", path, NULL);

    return vmp_json_build("s:driver", format, "b:read-only", read_only, "o:file", file,
                          "O:backing", backing, NULL);
}

VmpJson *
vmp_qmp_options_vmstate(const char *node, const char *wrap, const char *stream, guint64 offset)
{
    VmpJson *below = vmp_qmp_options_unnamed("raw", "file", stream, TRUE, NULL);
    vmp_json_add(below, "i:offset", (gint64)offset, NULL);
    VmpJson *outer = vmp_qmp_options_unnamed("qcow2", "file", wrap, FALSE, below);

    return vmp_json_build("s:driver", "qcow2", "s:node-name", node, "o:file", outer, NULL);
}

VmpJson *
vmp_qmp_options_nbd(const VmpNbdUri *uri, const char *tls_creds, guint timeout_s)
{
    VmpJson *server = uri->socket
                          ? vmp_json_build("s:type", "unix", "s:path", uri->socket, NULL)
                          : vmp_json_build("s:type", "inet", "s:host", uri->host, "s:port",
                                           uri->port ? uri->port : VMP_NBD_PORT, NULL);

    /* The certificate is for a name, and a socket has none. */
    return vmp_json_build("s:driver", "nbd", "o:server", server, "s:export", uri->name,
                          "S:tls-hostname", tls_creds && uri->socket ? "localhost" : NULL,
                          "S:tls-creds", tls_creds, "i:open-timeout", (gint64)timeout_s, NULL);
}

VmpJson *
vmp_qmp_options_storage(const char *node, const char *place, gboolean host_device,
                        gboolean read_only)
{
    g_autoptr(VmpNbdUri) uri = vmp_nbd_uri_is(place) ? vmp_nbd_uri_parse(place, NULL) : NULL;

    if (uri) {
        VmpJson *options = vmp_qmp_options_nbd(uri, NULL, NBD_TIMEOUT_S);
        vmp_json_add(options, "S:node-name", node, "B:read-only", read_only, NULL);
        return options;
    }
    return vmp_json_build("s:driver", host_device ? "host_device" : "file", "S:node-name",
                          node, "s:filename", place, "B:read-only", read_only, NULL);
}

static VmpJson *
add_backing(VmpJson *options, const char *backing)
{
    if (backing && *backing == '\0')
        vmp_json_add(options, "n:backing", NULL);
    else
        vmp_json_add(options, "S:backing", backing, NULL);
    return options;
}

VmpJson *
vmp_qmp_options_format(const char *node, const char *format, const char *file,
                       const char *backing, gboolean read_only)
{
    return add_backing(vmp_json_build("s:driver", format, "s:node-name", node, "s:file", file,
                                      "B:read-only", read_only, NULL),
                       backing);
}

VmpJson *
vmp_qmp_options_whole(const char *node, const char *format, VmpJson *storage,
                      const char *backing, gboolean read_only)
{
    return add_backing(vmp_json_build("s:driver", format, "s:node-name", node, "o:file",
                                      storage, "B:read-only", read_only, NULL),
                       backing);
}

/* Jobs */

VmpQmpCommand *
vmp_qmp_job_dismiss(const char *id)
{
    return COMMAND("job-dismiss", "s:id", id);
}

VmpQmpCommand *
vmp_qmp_job_finalize(const char *id)
{
    return COMMAND("job-finalize", "s:id", id);
}

VmpQmpCommand *
vmp_qmp_job_complete(const char *id)
{
    return COMMAND("job-complete", "s:id", id);
}

VmpQmpCommand *
vmp_qmp_job_cancel(const char *id)
{
    return COMMAND("job-cancel", "s:id", id);
}

VmpQmpCommand *
vmp_qmp_yank_node(const char *node)
{
    VmpJson *instances = json_object_new_array();

    json_object_array_add(instances,
                          vmp_json_build("s:type", "block-node", "s:node-name", node, NULL));
    return COMMAND("yank", "o:instances", instances);
}

VmpQmpCommand *
vmp_qmp_block_job_end(const char *id)
{
    return COMMAND("block-job-cancel", "s:device", id, "b:force", FALSE);
}

VmpQmpCommand *
vmp_qmp_job_resume(const char *id)
{
    return COMMAND("job-resume", "s:id", id);
}

VmpQmpCommand *
vmp_qmp_block_job_set_speed(const char *id, guint64 bytes_per_second)
{
    return COMMAND("block-job-set-speed", "s:device", id, "i:speed", (gint64)bytes_per_second);
}

VmpQmpCommand *
vmp_qmp_block_commit(const char *job_id, const char *root_node, const char *top,
                     const char *base, const char *backing_file, guint64 speed)
{
    /* Nothing is above the active layer, so QEMU refuses a string for its header. */
    return COMMAND("block-commit", "s:job-id", job_id, "s:device", root_node, "S:top-node",
                   top, "S:base-node", base, "S:backing-file", top ? backing_file : NULL,
                   "I:speed", (gint64)speed, "b:auto-finalize", FALSE, "b:auto-dismiss",
                   FALSE);
}

VmpQmpCommand *
vmp_qmp_block_stream(const char *job_id, const char *node, const char *base,
                     const char *backing_file, guint64 speed)
{
    /* Without a base the whole chain is swallowed: QEMU refuses a backing file then. */
    return COMMAND("block-stream", "s:job-id", job_id, "s:device", node, "S:base-node", base,
                   "S:backing-file", base ? backing_file : NULL, "I:speed", (gint64)speed,
                   "b:auto-finalize", FALSE, "b:auto-dismiss", FALSE);
}

/* x-perf, or NULL if all of it is left to QEMU: older ones do not know it. */
static VmpJson *
backup_performance(const VmpQmpBackup *backup)
{
    if (!backup->use_copy_range && !backup->max_workers && !backup->max_chunk)
        return NULL;
    return vmp_json_build("B:use-copy-range", backup->use_copy_range, "I:max-workers",
                          (gint64)backup->max_workers, "I:max-chunk", backup->max_chunk, NULL);
}

VmpJson *
vmp_qmp_backup_arguments(const VmpQmpBackup *backup)
{
    return vmp_json_build("s:job-id", backup->job_id, "s:device", backup->node, "s:target",
                          backup->target, "s:sync", backup->sync, "S:bitmap", backup->bitmap,
                          "S:bitmap-mode", backup->bitmap_mode, "I:speed",
                          (gint64)backup->speed, "B:compress", backup->compress, "O:x-perf",
                          backup_performance(backup), "b:auto-finalize", backup->auto_finalize,
                          "b:auto-dismiss", FALSE, NULL);
}

VmpQmpCommand *
vmp_qmp_blockdev_backup(const VmpQmpBackup *backup)
{
    return vmp_qmp_command_new("blockdev-backup", vmp_qmp_backup_arguments(backup));
}

/* Bitmaps outside a transaction */

VmpQmpCommand *
vmp_qmp_bitmap_add(const char *node, const char *name, gboolean persistent, gboolean disabled,
                   guint32 granularity)
{
    return COMMAND("block-dirty-bitmap-add", "s:node", node, "s:name", name, "B:persistent",
                   persistent, "B:disabled", disabled, "I:granularity", (gint64)granularity);
}

VmpQmpCommand *
vmp_qmp_bitmap_remove(const char *node, const char *name)
{
    return COMMAND("block-dirty-bitmap-remove", "s:node", node, "s:name", name);
}

/* Internal snapshots and RAM */

VmpQmpCommand *
vmp_qmp_snapshot_save(const char *job_id, const char *tag, const char *vmstate,
                      const char *const *devices)
{
    return COMMAND("snapshot-save", "s:job-id", job_id, "s:tag", tag, "s:vmstate", vmstate,
                   "o:devices", vmp_json_strv(devices));
}

VmpQmpCommand *
vmp_qmp_snapshot_load(const char *job_id, const char *tag, const char *vmstate,
                      const char *const *devices)
{
    return COMMAND("snapshot-load", "s:job-id", job_id, "s:tag", tag, "s:vmstate", vmstate,
                   "o:devices", vmp_json_strv(devices));
}

VmpQmpCommand *
vmp_qmp_snapshot_delete(const char *job_id, const char *tag, const char *const *devices)
{
    return COMMAND("snapshot-delete", "s:job-id", job_id, "s:tag", tag, "o:devices",
                   vmp_json_strv(devices));
}

VmpQmpCommand *
vmp_qmp_migrate(const char *uri)
{
    return COMMAND("migrate", "s:uri", uri);
}

VmpQmpCommand *
vmp_qmp_migrate_cancel(void)
{
    return vmp_qmp_command_new("migrate_cancel", NULL);
}

VmpQmpCommand *
vmp_qmp_query_migrate_parameters(void)
{
    return vmp_qmp_command_new("query-migrate-parameters", NULL);
}

VmpQmpCommand *
vmp_qmp_migrate_incoming(const char *uri)
{
    return COMMAND("migrate-incoming", "s:uri", uri);
}

VmpQmpCommand *
vmp_qmp_migrate_set_capability(const char *capability, gboolean state)
{
    VmpJson *capabilities = json_object_new_array_ext(1);

    json_object_array_add(capabilities,
                          vmp_json_build("s:capability", capability, "b:state", state, NULL));
    return COMMAND("migrate-set-capabilities", "o:capabilities", capabilities);
}

VmpQmpCommand *
vmp_qmp_migrate_set_max_bandwidth(guint64 bytes_per_second)
{
    return COMMAND("migrate-set-parameters", "i:max-bandwidth", (gint64)bytes_per_second);
}

VmpQmpCommand *
vmp_qmp_getfd(const char *fdname)
{
    return COMMAND("getfd", "s:fdname", fdname);
}

VmpQmpCommand *
vmp_qmp_closefd(const char *fdname)
{
    return COMMAND("closefd", "s:fdname", fdname);
}

VmpQmpCommand *
vmp_qmp_add_fd(void)
{
    return vmp_qmp_command_new("add-fd", NULL);
}

VmpQmpCommand *
vmp_qmp_remove_fd(gint64 fdset_id)
{
    return COMMAND("remove-fd", "i:fdset-id", fdset_id);
}

/* NBD */

/* @address is consumed.  No limit of connections: who may connect is the socket's matter. */
static VmpQmpCommand *
nbd_server_start(const char *type, VmpJson *address, const char *tls_creds)
{
    return COMMAND("nbd-server-start", "o:addr",
                   vmp_json_build("s:type", type, "o:data", address, NULL), "S:tls-creds",
                   tls_creds, "i:max-connections", (gint64)0);
}

VmpQmpCommand *
vmp_qmp_nbd_server_start_unix(const char *path, const char *tls_creds)
{
    return nbd_server_start("unix", vmp_json_build("s:path", path, NULL), tls_creds);
}

VmpQmpCommand *
vmp_qmp_nbd_server_start_inet(const char *host, const char *port, const char *tls_creds)
{
    return nbd_server_start("inet", vmp_json_build("s:host", host, "s:port", port, NULL),
                            tls_creds);
}

VmpQmpCommand *
vmp_qmp_nbd_server_stop(void)
{
    return vmp_qmp_command_new("nbd-server-stop", NULL);
}

VmpQmpCommand *
vmp_qmp_nbd_export_add(const char *id, const char *node, const char *name, gboolean writable,
                       VmpJson *bitmaps)
{
    return COMMAND("block-export-add", "s:type", "nbd", "s:id", id, "s:node-name", node,
                   "S:name", name, "b:writable", writable, "O:bitmaps", bitmaps);
}

VmpQmpCommand *
vmp_qmp_block_export_del(const char *id)
{
    return COMMAND("block-export-del", "s:id", id, "s:mode", "hard");
}

static VmpQmpCommand *
tls_add(const char *id, const char *endpoint, const char *folder)
{
    return COMMAND("object-add", "s:qom-type", "tls-creds-x509", "s:id", id, "s:endpoint",
                   endpoint, "s:dir", folder, "b:verify-peer", TRUE);
}

VmpQmpCommand *
vmp_qmp_tls_server_add(const char *id, const char *folder)
{
    return tls_add(id, "server", folder);
}

VmpQmpCommand *
vmp_qmp_tls_client_add(const char *id, const char *folder)
{
    return tls_add(id, "client", folder);
}

VmpQmpCommand *
vmp_qmp_object_del(const char *id)
{
    return COMMAND("object-del", "s:id", id);
}

VmpQmpCommand *
vmp_qmp_query_iothreads(void)
{
    return vmp_qmp_command_new("query-iothreads", NULL);
}

VmpQmpCommand *
vmp_qmp_blockdev_mirror(const char *job_id, const char *node, const char *target)
{
    return COMMAND("blockdev-mirror", "s:job-id", job_id, "s:device", node, "s:target", target,
                   "s:sync", "full", "b:auto-finalize", TRUE, "b:auto-dismiss", FALSE);
}

VmpQmpCommand *
vmp_qmp_mirror(const VmpQmpMirror *mirror)
{
    return COMMAND("blockdev-mirror", "s:job-id", mirror->job_id, "s:device", mirror->node,
                   "s:target", mirror->target, "s:sync", "full", "I:speed",
                   (gint64)mirror->speed, "I:granularity", (gint64)mirror->granularity,
                   "I:buf-size", (gint64)mirror->buffer, "S:copy-mode",
                   mirror->synchronous ? "write-blocking" : NULL, "b:auto-finalize", FALSE,
                   "b:auto-dismiss", FALSE);
}

VmpJson *
vmp_qmp_options_part(const char *node, const char *of, guint64 size)
{
    return vmp_json_build("s:driver", "raw", "s:node-name", node, "b:read-only", TRUE,
                          "s:file", of, "i:offset", (gint64)0, "i:size", (gint64)size, NULL);
}

VmpJson *
vmp_qmp_options_null(const char *node, guint64 size)
{
    return vmp_json_build("s:driver", "null-co", "s:node-name", node, "i:size", (gint64)size,
                          NULL);
}

VmpJson *
vmp_qmp_options_copy_before_write(const char *node, const char *below, const char *target,
                                  guint timeout_s)
{
    return vmp_json_build("s:driver", "copy-before-write", "s:node-name", node, "s:file",
                          below, "s:target", target, "s:on-cbw-error", "break-snapshot",
                          "i:cbw-timeout", (gint64)timeout_s, NULL);
}

VmpJson *
vmp_qmp_options_snapshot_access(const char *node, const char *filter)
{
    return vmp_json_build("s:driver", "snapshot-access", "s:node-name", node, "s:file", filter,
                          NULL);
}

/* Replies */

const char *
vmp_qmp_read_status(VmpJson *reply, gboolean *running)
{
    if (running)
        *running = vmp_json_get_bool(reply, "running", FALSE);
    return vmp_json_get_string(reply, "status");
}

static VmpJson *
find_job(VmpJson *jobs, const char *id)
{
    for (guint i = 0; i < vmp_json_length(jobs); i++) {
        VmpJson *job = vmp_json_at(jobs, i);
        if (g_strcmp0(vmp_json_get_string(job, "id"), id) == 0)
            return job;
    }
    return NULL;
}

gboolean
vmp_qmp_read_job(VmpJson *reply, const char *id, VmpQmpJob *job)
{
    VmpJson *found = find_job(reply, id);

    if (!found)
        return FALSE;
    *job = (VmpQmpJob){
        .id = vmp_json_get_string(found, "id"),
        .type = vmp_json_get_string(found, "type"),
        .status = vmp_json_get_string(found, "status"),
        .error = vmp_json_get_string(found, "error"),
        .current = (guint64)vmp_json_get_int(found, "current-progress", 0),
        .total = (guint64)vmp_json_get_int(found, "total-progress", 0),
    };
    return TRUE;
}
