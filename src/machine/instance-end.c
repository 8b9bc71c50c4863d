/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/instance-end.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"

#define KILL_TIMEOUT_MS 5000

gboolean
vmp_instance_left_in_order(const VmpInstance *instance)
{
    g_autofree char *monitor = vmp_instance_path(instance, "qmp");

    return !g_file_test(monitor, G_FILE_TEST_EXISTS);
}

static gboolean
kill_process(const VmpInstance *instance, const VmpProcess *process, int patience_ms,
             gboolean *killed)
{
    if (killed)
        *killed = FALSE;
    if (!vmp_instance_is_process_alive(instance, process))
        return TRUE;
    vmp_process_kill(process->pid, process->start_time, SIGTERM);
    if (vmp_process_wait_gone(process->pid, process->start_time, patience_ms))
        return TRUE;

    if (killed)
        *killed = TRUE;
    vmp_process_kill(process->pid, process->start_time, SIGKILL);
    return vmp_process_wait_gone(process->pid, process->start_time, KILL_TIMEOUT_MS);
}

gboolean
vmp_instance_kill(const VmpInstance *instance, int patience_ms, gboolean *killed)
{
    return kill_process(instance, &instance->process, patience_ms, killed);
}

/* It sees that its QEMU is gone, and has nothing to write any more. */
static void
end_tpm(const VmpInstance *instance)
{
    const VmpProcess *tpm = &instance->tpm;

    if (vmp_instance_is_process_alive(instance, tpm) &&
        !vmp_process_wait_gone(tpm->pid, tpm->start_time, KILL_TIMEOUT_MS))
        kill_process(instance, tpm, KILL_TIMEOUT_MS, NULL);
}

/* Unless another socket took that place since. */
static void
remove_socket(const VmpInstanceSocket *bound)
{
    struct stat info;

    if (bound->aside)
        unlink(bound->aside);
    if (bound->path && lstat(bound->path, &info) == 0 &&
        (guint64)info.st_dev == bound->device && (guint64)info.st_ino == bound->inode)
        unlink(bound->path);
}

static void
remove_own_files(const VmpInstance *instance)
{
    g_autofree char *prefix = g_strconcat(instance->id, ".", NULL);
    g_autoptr(GDir) dir = g_dir_open(instance->dir, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        if (g_str_has_prefix(name, prefix)) {
            g_autofree char *path = g_build_filename(instance->dir, name, NULL);
            unlink(path);
        }
    }
}

/* Failures here leave files that no record names; the folder goes with the domain. */
void
vmp_instance_remove_files(const VmpInstance *instance, VmpInstanceRole role)
{
    g_autofree char *record =
        g_build_filename(instance->dir, vmp_instance_record_name(role), NULL);

    end_tpm(instance);
    for (guint i = 0; i < instance->sockets->len; i++)
        remove_socket(g_ptr_array_index(instance->sockets, i));
    remove_own_files(instance);
    unlink(record);
    rmdir(instance->dir);
}

/* "<id>." of all instances that have a record. */
static GPtrArray *
list_prefixes(const VmpHost *host, const char *uuid)
{
    GPtrArray *prefixes = g_ptr_array_new_with_free_func(g_free);

    for (guint role = 0; role < VMP_INSTANCE_N_ROLES; role++) {
        g_autoptr(VmpInstance) instance = vmp_instance_read(host, uuid, role, NULL);
        if (instance)
            g_ptr_array_add(prefixes, g_strconcat(instance->id, ".", NULL));
    }
    return prefixes;
}

static gboolean
is_known(const char *name, const GPtrArray *prefixes)
{
    for (guint role = 0; role < VMP_INSTANCE_N_ROLES; role++) {
        if (g_str_equal(name, vmp_instance_record_name(role)))
            return TRUE;
    }
    for (guint i = 0; i < prefixes->len; i++) {
        if (g_str_has_prefix(name, g_ptr_array_index(prefixes, i)))
            return TRUE;
    }
    return FALSE;
}

void
vmp_instance_sweep(const VmpHost *host, const char *uuid)
{
    g_autofree char *folder = vmp_host_runtime_path(host, uuid, NULL);
    g_autoptr(GPtrArray) prefixes = list_prefixes(host, uuid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (!is_known(name, prefixes))
            unlink(path);
    }
    rmdir(folder);
}
