/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a domain definition to QEMU's command line.  Pure: nothing is started or opened.
 *
 * What the XML asks for and vmpoint cannot give is refused by name; a device is never
 * dropped silently.  The line is built in two halves: what the guest sees (machine, CPU,
 * memory, devices and their addresses) and what the host provides (paths, sockets,
 * block nodes).  Two definitions have the same guest ABI if the first halves are equal.
 *
 * Names given: device id = target dev ("vda"), block nodes "<dev>-format" and
 * "<dev>-storage"; backing images are opened by QEMU from the headers.
 */

#include <glib.h>

#include "xml/domain.h"

typedef struct {
    const char *prefix; /* path and first letters of files of ours; or NULL */
    int monitor_fd;     /* listening sockets that QEMU inherits; -1 = leave out */
    int query_fd;
    int tpm_fd;              /* a connection to the TPM's process; 0 = leave out */
    const char *agent_path;  /* where an agent channel without path is to listen; or NULL */
    const char *loader_path; /* the firmware that <os firmware='efi'> stands for; or NULL */
    const char *loader_format;
    const char *nvram_path; /* its variables are there; NULL: where the definition says */
    const char *nvram_format;
    const char *password_path; /* a file with the password of the screen; or NULL */
    GHashTable *sockets; /* char * -> GINT_TO_POINTER(fd): sockets that listen at a path of
                          * vmp_launch_socket_paths() already; or NULL: QEMU makes them */
    gboolean incoming;   /* -incoming defer */
    gboolean new_genid;  /* a VM generation id of its own instead of the definition's */
} VmpLaunchHost;

/* The argument vector, [0] is the emulator; free with g_strfreev().
 * VMP_ERROR_UNSUPPORTED names line and element of what cannot be given. */
char **vmp_launch_command(const VmpDomain *domain, const VmpLaunchHost *host, GError **error);

/* Where QEMU will listen for character devices; array of char *. */
GPtrArray *vmp_launch_socket_paths(const VmpDomain *domain, const VmpLaunchHost *host);

/* The guest-visible half, for comparison and for tests. */
char **vmp_launch_guest_abi(const VmpDomain *domain, GError **error);
/* TRUE if both show the guest the same machine; else *difference (optional, free with
 * g_free()) is a sentence about the first thing that differs. */
gboolean vmp_launch_same_abi(const VmpDomain *a, const VmpDomain *b, char **difference);

/* qdev id of the disk with that target in a machine that we launched. */
const char *vmp_launch_disk_id(const VmpDomainDisk *disk);
