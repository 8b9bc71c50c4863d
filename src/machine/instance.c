/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/instance.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "machine/listen.h"

#define RECORD_MAX (1 << 20)
#define DEFINITION_MAX ((gsize)64 << 20)

static const char *const record_names[] = {
    [VMP_INSTANCE_MACHINE] = "pid",
    [VMP_INSTANCE_SPARE] = "spare",
    [VMP_INSTANCE_DAEMON] = "daemon",
    [VMP_INSTANCE_SERVER] = "server",
};

static void
free_socket(gpointer data)
{
    VmpInstanceSocket *bound = data;

    g_free(bound->path);
    g_free(bound->aside);
    g_free(bound);
}

void
vmp_instance_free(VmpInstance *instance)
{
    if (!instance)
        return;
    g_free(instance->id);
    g_free(instance->boot_id);
    g_free(instance->dir);
    g_clear_pointer(&instance->sockets, g_ptr_array_unref);
    g_free(instance);
}

static VmpInstance *
new_instance(const VmpHost *host, const char *uuid)
{
    VmpInstance *instance = g_new0(VmpInstance, 1);

    instance->dir = vmp_host_runtime_path(host, uuid, NULL);
    instance->sockets = g_ptr_array_new_with_free_func(free_socket);
    return instance;
}

char *
vmp_instance_path(const VmpInstance *instance, const char *suffix)
{
    return g_strdup_printf("%s/%s.%s", instance->dir, instance->id, suffix);
}

const char *
vmp_instance_record_name(VmpInstanceRole role)
{
    return record_names[role];
}

static gpointer
read_boot_id(gpointer unused)
{
    char *id = vmp_file_read("/proc/sys/kernel/random/boot_id", 256, NULL, NULL);

    return id ? g_strchomp(id) : g_strdup("");
}

/* A pid and its start time come again after the host was booted anew. */
static const char *
get_boot_id(void)
{
    static GOnce once = G_ONCE_INIT;

    return g_once(&once, read_boot_id, NULL);
}

VmpInstance *
vmp_instance_new(const VmpHost *host, const char *uuid, GError **error)
{
    g_autoptr(VmpInstance) instance = new_instance(host, uuid);

    if (!vmp_dir_ensure(instance->dir, 0700, error))
        return NULL;
    instance->id = g_strdup_printf("%06x", g_random_int() & 0xffffff);
    instance->boot_id = g_strdup(get_boot_id());
    return g_steal_pointer(&instance);
}

static VmpJson *
sockets_to_json(const VmpInstance *instance)
{
    VmpJson *sockets = json_object_new_array();

    for (guint i = 0; i < instance->sockets->len; i++) {
        const VmpInstanceSocket *bound = g_ptr_array_index(instance->sockets, i);
        json_object_array_add(sockets,
                              vmp_json_build("s:path", bound->path, "S:aside", bound->aside,
                                             "i:device", (gint64)bound->device, "i:inode",
                                             (gint64)bound->inode, NULL));
    }
    return sockets;
}

/* NULL if there is none. */
static VmpJson *
tpm_to_json(const VmpProcess *tpm)
{
    return tpm->pid ? vmp_json_build("i:pid", (gint64)tpm->pid, "i:start-time",
                                     (gint64)tpm->start_time, NULL)
                    : NULL;
}

gboolean
vmp_instance_write(const VmpInstance *instance, VmpInstanceRole role, GError **error)
{
    g_autoptr(VmpJson) record = vmp_json_build(
        "s:id", instance->id, "i:pid", (gint64)instance->process.pid, "i:start-time",
        (gint64)instance->process.start_time, "s:boot-id", instance->boot_id, "O:tpm",
        tpm_to_json(&instance->tpm), "o:sockets", sockets_to_json(instance), "B:starting",
        instance->starting, "B:chosen", instance->chosen, NULL);
    g_autofree char *text = vmp_json_to_text(record);
    g_autofree char *path = g_build_filename(instance->dir, record_names[role], NULL);

    /* It is about a process of this boot. */
    return vmp_file_replace_volatile(path, text, -1, 0600, error);
}

static VmpProcess
read_process(VmpJson *from)
{
    return (VmpProcess){ (GPid)vmp_json_get_int(from, "pid", 0),
                         (guint64)vmp_json_get_int(from, "start-time", 0) };
}

static void
read_sockets(VmpInstance *instance, VmpJson *sockets)
{
    for (guint i = 0; i < vmp_json_length(sockets); i++) {
        VmpJson *from = vmp_json_at(sockets, i);
        VmpInstanceSocket *bound = g_new0(VmpInstanceSocket, 1);

        bound->path = g_strdup(vmp_json_get_string(from, "path"));
        bound->aside = g_strdup(vmp_json_get_string(from, "aside"));
        bound->device = (guint64)vmp_json_get_int(from, "device", 0);
        bound->inode = (guint64)vmp_json_get_int(from, "inode", 0);
        g_ptr_array_add(instance->sockets, bound);
    }
}

VmpInstance *
vmp_instance_read(const VmpHost *host, const char *uuid, VmpInstanceRole role, GError **error)
{
    g_autofree char *path = vmp_host_runtime_path(host, uuid, record_names[role]);
    g_autoptr(GError) failure = NULL;

    /* Most have none, and a list asks for many: without the work of an error that nobody
     * reads. */
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return NULL;

    g_autofree char *text = vmp_file_read(path, RECORD_MAX, NULL, &failure);
    if (!text) {
        if (!vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
            g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }

    g_autoptr(VmpJson) record = vmp_json_parse(text, -1, NULL);
    const char *id = vmp_json_get_string(record, "id");
    if (!id || strchr(id, '/'))
        return vmp_fail_null(error, VMP_ERROR_DAMAGED,
                             "cannot understand '%s', the record of "
                             "a running QEMU; move it away if none runs",
                             path);

    g_autoptr(VmpInstance) instance = new_instance(host, uuid);
    instance->id = g_strdup(id);
    instance->process = read_process(record);
    instance->tpm = read_process(vmp_json_get_object(record, "tpm"));
    instance->boot_id = g_strdup(vmp_json_get_string(record, "boot-id"));
    instance->starting = vmp_json_get_bool(record, "starting", FALSE);
    instance->chosen = vmp_json_get_bool(record, "chosen", FALSE);
    read_sockets(instance, vmp_json_get_array(record, "sockets"));
    return g_steal_pointer(&instance);
}

gboolean
vmp_instance_note_started(VmpInstance *instance, VmpInstanceRole role, GError **error)
{
    instance->starting = FALSE;
    return vmp_instance_write(instance, role, error);
}

gboolean
vmp_instance_choose(VmpInstance *instance, GError **error)
{
    instance->chosen = TRUE;
    return vmp_instance_write(instance, VMP_INSTANCE_SPARE, error);
}

gboolean
vmp_instance_publish_sockets(VmpInstance *instance, GError **error)
{
    for (guint i = 0; i < instance->sockets->len; i++) {
        VmpInstanceSocket *bound = g_ptr_array_index(instance->sockets, i);

        /* One that is not there has been published before a crash. */
        if (bound->aside && g_file_test(bound->aside, G_FILE_TEST_EXISTS) &&
            !vmp_listen_publish(bound->aside, bound->path, error))
            return FALSE;
        g_clear_pointer(&bound->aside, g_free);
    }
    return TRUE;
}

gboolean
vmp_instance_promote(VmpInstance *instance, GError **error)
{
    if (!vmp_instance_publish_sockets(instance, error))
        return FALSE;
    instance->chosen = FALSE;
    if (!vmp_instance_write(instance, VMP_INSTANCE_SPARE, error))
        return FALSE;

    g_autofree char *from =
        g_build_filename(instance->dir, record_names[VMP_INSTANCE_SPARE], NULL);
    g_autofree char *to =
        g_build_filename(instance->dir, record_names[VMP_INSTANCE_MACHINE], NULL);

    if (rename(from, to) < 0)
        return vmp_fail_errno(error, errno, "cannot rename '%s'", from);
    return vmp_dir_sync(instance->dir, error);
}

char *
vmp_instance_read_definition(const VmpInstance *instance, GError **error)
{
    g_autofree char *path = vmp_instance_path(instance, "xml");

    return vmp_file_read(path, DEFINITION_MAX, NULL, error);
}
gboolean
vmp_instance_is_process_alive(const VmpInstance *instance, const VmpProcess *process)
{
    return g_strcmp0(instance->boot_id, get_boot_id()) == 0 &&
           vmp_process_is_alive(process->pid, process->start_time);
}

gboolean
vmp_instance_is_alive(const VmpInstance *instance)
{
    return vmp_instance_is_process_alive(instance, &instance->process);
}
