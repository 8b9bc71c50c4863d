/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/iothread.h"

#include <string.h>

#include "base/error.h"
#include "qmp/commands.h"

static VmpJson *
ask(VmpQmpClient *client, VmpQmpCommand *command /* taken */, GError **error)
{
    g_autoptr(VmpQmpCommand) owned = command;

    return vmp_qmp_client_execute(client, owned, NULL, error);
}

static const char *
text_of(VmpJson *reply)
{
    const char *text = json_object_get_string(reply);

    return text ? text : "";
}

/* Who may have the disk's iothread: the virtio controller of its bus, which is named
 * ".../virtio-backend/BUS", or a virtio-blk device itself.  NULL if nobody, or with @error. */
static char *
find_owner(VmpQmpClient *client, const char *qom_path, GError **error)
{
    g_autoptr(VmpJson) bus = ask(client, vmp_qmp_qom_get(qom_path, "parent_bus"), error);
    const char *part = strstr(text_of(bus), "/virtio-backend/");

    if (part)
        return g_strndup(text_of(bus),
                         (gsize)(part - text_of(bus)) + strlen("/virtio-backend"));
    g_autoptr(VmpJson) type =
        bus ? ask(client, vmp_qmp_qom_get(qom_path, "type"), error) : NULL;
    return g_str_has_prefix(text_of(type), "virtio-blk") ? g_strdup(qom_path) : NULL;
}

/* The iothread's path, "" if there is none; NULL with @error. */
static char *
find_iothread(VmpQmpClient *client, const char *qom_path, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *owner = find_owner(client, qom_path, &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    g_autoptr(VmpJson) iothread =
        owner ? ask(client, vmp_qmp_qom_get(owner, "iothread"), error) : NULL;
    return owner && !iothread ? NULL : g_strdup(text_of(iothread));
}

gboolean
vmp_iothread_check_none(VmpQmpClient *client, const char *disk, const char *qom_path,
                        GError **error)
{
    g_autoptr(VmpJson) all = ask(client, vmp_qmp_query_iothreads(), error);

    if (!all || vmp_json_length(all) == 0)
        return all != NULL;
    g_autofree char *found = find_iothread(client, qom_path, error);
    return found &&
           (*found == '\0' ||
            vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                     "disk '%s' has an iothread, and QEMU can crash when a client leaves an "
                     "export of such a disk: use a push backup",
                     disk));
}
