/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/tpm.h"

#include <errno.h>
#include <fcntl.h>

#include "base/error.h"
#include "base/file.h"

#define PROGRAM "swtpm"

char *
vmp_tpm_folder(const VmpHost *host, const char *uuid)
{
    return g_build_filename(host->state_dir, "tpm", uuid, NULL);
}

gboolean
vmp_tpm_check(const VmpDomain *definition, GError **error)
{
    g_autofree char *program =
        vmp_domain_get_tpm(definition) ? g_find_program_in_path(PROGRAM) : g_strdup("");

    return program ||
           vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                    "there is no program '" PROGRAM "' to play the TPM: is the package of "
                    "that name installed?");
}

VmpSpawn *
vmp_tpm_spawn(const char *folder, const char *log, int connection, GError **error)
{
    if (!vmp_dir_ensure(folder, 0700, error))
        return NULL;
    g_auto(VmpFd) state = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state < 0) {
        vmp_fail_errno(error, errno, "cannot open '%s', which is the TPM's", folder);
        return NULL;
    }

    const int fds[] = { state, connection };
    g_autofree char *place = g_strdup_printf("dir=/proc/self/fd/%d,mode=0600", state);
    g_autofree char *control = g_strdup_printf("type=unixio,clientfd=%d", connection);
    const char *const argv[] = { PROGRAM,  "socket", "--tpm2",      "--tpmstate", place,
                                 "--ctrl", control,  "--terminate", NULL };
    const VmpSpawnSpec spec = {
        .argv = argv,
        .log_path = log,
        .fds = fds,
        .n_fds = G_N_ELEMENTS(fds),
        .detached = TRUE,
    };
    return vmp_spawn_new(&spec, error);
}
