/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpInstance: one QEMU process (or storage daemon) of a domain, by its record, and what it
 * has in the runtime folder.  machine/instance-start.h starts one, machine/instance-end.h ends
 * it.
 *
 *   <uuid>/<id>.qmp, <id>.query   its two monitors
 *   <uuid>/<id>.log               what it said
 *   <uuid>/<id>.tpm-log           what the process of its TPM said
 *   <uuid>/<id>.xml               the definition it was started with
 *   <uuid>/<id>.agent, ...        sockets that the definition left to us
 *   <uuid>/pid                    the record of the instance that is the domain's machine
 *   <uuid>/spare                  the record of one that is being prepared to follow it
 *   <uuid>/daemon                 the record of a storage daemon that stands in for QEMU
 *   <uuid>/server                 the record of one that serves to others (machine/server.h)
 *
 * A record is a JSON object: "id", "pid", "start-time", "boot-id", "tpm" ("pid" and
 * "start-time" of the process that plays the TPM, if there is one), "sockets" (those at
 * paths that the definition names: "path", "aside", "device", "inode"), "starting", "chosen".
 * It is written before the process runs, so that no process is ever without one; it is valid
 * while that process lives.  Each instance has files of its own, so that two can stand side by
 * side, and the change from one to the other is one rename of a record.
 */

#include "machine/host.h"
#include "machine/spawn.h"

typedef struct {
    char *id;
    VmpProcess process;
    VmpProcess tpm; /* pid 0: it has none */
    char *boot_id;
    GPtrArray *sockets; /* of VmpInstanceSocket */
    gboolean starting;  /* its guest is to run, and may not have been told so yet; of a server:
                         * it may not have been told all that it serves */
    gboolean chosen;    /* a spare that shall follow, whatever happens to us */
    char *dir;          /* <runtime dir>/<uuid> */
} VmpInstance;

/* A socket at a path that the definition names. */
typedef struct {
    char *path;
    char *aside; /* where it is instead, until it is published; or NULL */
    guint64 device, inode;
} VmpInstanceSocket;

typedef enum {
    VMP_INSTANCE_MACHINE,
    VMP_INSTANCE_SPARE,
    VMP_INSTANCE_DAEMON,
    VMP_INSTANCE_SERVER,
    VMP_INSTANCE_N_ROLES,
} VmpInstanceRole;

/* One that has no process and no record yet; its folder is there. */
VmpInstance *vmp_instance_new(const VmpHost *host, const char *uuid, GError **error);
/* From its record; NULL without @error if there is none. */
VmpInstance *vmp_instance_read(const VmpHost *host, const char *uuid, VmpInstanceRole role,
                               GError **error);
void vmp_instance_free(VmpInstance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpInstance, vmp_instance_free)

gboolean vmp_instance_is_alive(const VmpInstance *instance);
/* The same of one of its processes: its own, or that of its TPM. */
gboolean vmp_instance_is_process_alive(const VmpInstance *instance, const VmpProcess *process);
/* The file in the domain's runtime folder. */
const char *vmp_instance_record_name(VmpInstanceRole role);
/* <uuid>/<id>.<suffix>; free with g_free(). */
char *vmp_instance_path(const VmpInstance *instance, const char *suffix);
/* The definition it was started with; free with g_free(). */
char *vmp_instance_read_definition(const VmpInstance *instance, GError **error);

/* Writes the record, durably. */
gboolean vmp_instance_write(const VmpInstance *instance, VmpInstanceRole role, GError **error);
/* Writes the record again: it was told what it was started for. */
gboolean vmp_instance_note_started(VmpInstance *instance, VmpInstanceRole role,
                                   GError **error);
/* Writes the record again, as chosen. */
gboolean vmp_instance_choose(VmpInstance *instance, GError **error);
/* Moves its sockets from aside to where the definition says; the record is not written. */
gboolean vmp_instance_publish_sockets(VmpInstance *instance, GError **error);
/* A spare becomes the machine: its sockets are where the definition says, and the record of
 * the one before is no more.  May be repeated after a crash. */
gboolean vmp_instance_promote(VmpInstance *instance, GError **error);
