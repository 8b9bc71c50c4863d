/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage/tls.h"

#include <errno.h>
#include <unistd.h>

#include "base/error.h"

#define BACKUP_FOLDER "/etc/pki/libvirt-backup"
#define DEFAULT_FOLDER "/etc/pki/qemu"

const char *
vmp_tls_folder(void)
{
    const char *said = g_getenv("VMPOINT_TLS_DIR");

    if (said && *said)
        return said;
    return g_file_test(BACKUP_FOLDER, G_FILE_TEST_IS_DIR) ? BACKUP_FOLDER : DEFAULT_FOLDER;
}

static gboolean
check(const char *folder, const char *const *names, GError **error)
{
    for (; *names; names++) {
        g_autofree char *path = g_build_filename(folder, *names, NULL);
        if (access(path, R_OK) < 0)
            return vmp_fail(error, VMP_ERROR_NOT_FOUND,
                            "TLS needs '%s': %s (VMPOINT_TLS_DIR says which folder has the "
                            "certificates)",
                            path, g_strerror(errno));
    }
    return TRUE;
}

gboolean
vmp_tls_check_server(const char *folder, GError **error)
{
    return check(
        folder,
        (const char *const[]){ "ca-cert.pem", "server-cert.pem", "server-key.pem", NULL },
        error);
}

gboolean
vmp_tls_check_client(const char *folder, GError **error)
{
    return check(folder, (const char *const[]){ "ca-cert.pem", NULL }, error);
}
