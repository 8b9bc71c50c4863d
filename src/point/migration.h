/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QEMU's migrations, which carry RAM to a file and back: what they are asked for with, and how
 * one waits for what becomes of them. */

#include "qmp/client.h"

#include <vmpoint/operation.h>

/* The name by which QEMU is given the file's descriptor, and the address that means it. */
#define VMP_MIGRATION_FD "vmp-memory"
#define VMP_MIGRATION_URI "fd:" VMP_MIGRATION_FD
/* The capability to save while the guest runs. */
#define VMP_MIGRATION_BACKGROUND "background-snapshot"
#define VMP_MIGRATION_NO_LIMIT ((guint64)1 << 40) /* bytes per second */

/* Carries out @command (taken).  A @client that is NULL has set @error. */
VmpJson *vmp_migration_ask(VmpQmpClient *client, VmpQmpCommand *command, GError **error);
/* Gives QEMU @fd, which stays the caller's, as VMP_MIGRATION_FD. */
gboolean vmp_migration_give(VmpQmpClient *client, int fd, GError **error);

/* From the reply to query-migrate. */
gboolean vmp_migration_is_under_way(VmpJson *reply);
/* Waits until it is past its setup, whatever comes of it.  @lost (or NULL): it has failed or
 * was cancelled. */
gboolean vmp_migration_wait_begun(VmpQmpClient *client, gboolean *lost, GError **error);
/* Waits for its end; REFUSED, with QEMU's words, unless it is completed. */
gboolean vmp_migration_finish(VmpQmpClient *client, VmpOperation *operation,
                              GCancellable *cancellable, GError **error);
/* QEMU says that a migration is completed before it can be told to run. */
gboolean vmp_migration_settle(VmpQmpClient *client, GError **error);
/* The guest as it was before it was stopped. */
gboolean vmp_migration_wake(VmpQmpClient *client, gboolean was_running, GError **error);
