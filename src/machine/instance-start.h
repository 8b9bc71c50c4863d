/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starting a VmpInstance: the record first, then the process, then its greeting. */

#include "machine/firmware.h"
#include "machine/instance.h"
#include "qmp/client.h"
#include "xml/domain.h"

typedef struct {
    const VmpDomain *definition;
    const VmpFirmware *firmware;
    const char *tpm_folder; /* where the TPM keeps its memory, if the definition has one */
    gboolean incoming;      /* waits for the RAM of another */
    gboolean new_genid;
    gboolean starting; /* see VmpInstance */
} VmpInstanceSpec;

/* Starts QEMU, stopped, with all of its devices made and its images open; *client (optional)
 * is its monitor.  On failure nothing is left, and the error has QEMU's own words. */
VmpInstance *vmp_instance_start(const VmpHost *host, const char *uuid, VmpInstanceRole role,
                                const VmpInstanceSpec *spec, VmpQmpClient **client,
                                GCancellable *cancellable, GError **error);
/* Starts a storage daemon without any images.  It is our child and ends with us. */
VmpInstance *vmp_instance_start_daemon(const VmpHost *host, const char *uuid,
                                       VmpQmpClient **client, GCancellable *cancellable,
                                       GError **error);
/* The same as a server, which goes on when we end. */
VmpInstance *vmp_instance_start_server(const VmpHost *host, const char *uuid,
                                       VmpQmpClient **client, GCancellable *cancellable,
                                       GError **error);
