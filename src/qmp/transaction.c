/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp/transaction.h"

#include "qmp/commands.h"

struct _VmpQmpTransaction {
    VmpJson *actions;
};

VmpQmpTransaction *
vmp_qmp_transaction_new(void)
{
    VmpQmpTransaction *transaction = g_new0(VmpQmpTransaction, 1);

    transaction->actions = json_object_new_array();
    return transaction;
}

void
vmp_qmp_transaction_free(VmpQmpTransaction *transaction)
{
    json_object_put(transaction->actions);
    g_free(transaction);
}

guint
vmp_qmp_transaction_get_length(const VmpQmpTransaction *transaction)
{
    return vmp_json_length(transaction->actions);
}

/* @data is consumed. */
static void
add_action(VmpQmpTransaction *transaction, const char *type, VmpJson *data)
{
    json_object_array_add(transaction->actions,
                          vmp_json_build("s:type", type, "o:data", data, NULL));
}

/* Most bitmap actions name a bitmap and no more. */
static void
add_bitmap_action(VmpQmpTransaction *transaction, const char *type, const char *node,
                  const char *name)
{
    add_action(transaction, type, vmp_json_build("s:node", node, "s:name", name, NULL));
}

void
vmp_qmp_transaction_snapshot(VmpQmpTransaction *transaction, const char *node,
                             const char *overlay)
{
    add_action(transaction, "blockdev-snapshot",
               vmp_json_build("s:node", node, "s:overlay", overlay, NULL));
}

void
vmp_qmp_transaction_bitmap_add(VmpQmpTransaction *transaction, const char *node,
                               const char *name, VmpBitmapFlags flags, guint32 granularity)
{
    g_autoptr(VmpQmpCommand) command =
        vmp_qmp_bitmap_add(node, name, (flags & VMP_BITMAP_PERSISTENT) != 0,
                           (flags & VMP_BITMAP_DISABLED) != 0, granularity);

    add_action(transaction, vmp_qmp_command_get_name(command),
               json_object_get(vmp_qmp_command_get_arguments(command)));
}

void
vmp_qmp_transaction_bitmap_remove(VmpQmpTransaction *transaction, const char *node,
                                  const char *name)
{
    add_bitmap_action(transaction, "block-dirty-bitmap-remove", node, name);
}

void
vmp_qmp_transaction_bitmap_clear(VmpQmpTransaction *transaction, const char *node,
                                 const char *name)
{
    add_bitmap_action(transaction, "block-dirty-bitmap-clear", node, name);
}

void
vmp_qmp_transaction_bitmap_enable(VmpQmpTransaction *transaction, const char *node,
                                  const char *name)
{
    add_bitmap_action(transaction, "block-dirty-bitmap-enable", node, name);
}

void
vmp_qmp_transaction_bitmap_disable(VmpQmpTransaction *transaction, const char *node,
                                   const char *name)
{
    add_bitmap_action(transaction, "block-dirty-bitmap-disable", node, name);
}

void
vmp_qmp_transaction_bitmap_merge(VmpQmpTransaction *transaction, const char *target_node,
                                 const char *target_name, const char *source_node,
                                 const char *source_name)
{
    VmpJson *sources = json_object_new_array_ext(1);

    json_object_array_add(sources,
                          vmp_json_build("s:node", source_node, "s:name", source_name, NULL));
    add_action(transaction, "block-dirty-bitmap-merge",
               vmp_json_build("s:node", target_node, "s:target", target_name, "o:bitmaps",
                              sources, NULL));
}

void
vmp_qmp_transaction_backup(VmpQmpTransaction *transaction, const VmpQmpBackup *backup)
{
    add_action(transaction, "blockdev-backup", vmp_qmp_backup_arguments(backup));
}

/* A copy of the list, so that a transaction that goes on growing does not change a
 * command that was made of it.  The actions themselves never change. */
static VmpJson *
copy_list(VmpJson *list)
{
    VmpJson *copy = json_object_new_array();

    for (guint i = 0; i < vmp_json_length(list); i++)
        json_object_array_add(copy, json_object_get(vmp_json_at(list, i)));
    return copy;
}

VmpQmpCommand *
vmp_qmp_transaction_to_command(const VmpQmpTransaction *transaction)
{
    return vmp_qmp_command_new(
        "transaction", vmp_json_build("o:actions", copy_list(transaction->actions), NULL));
}

gboolean
vmp_qmp_transaction_run(const VmpQmpTransaction *transaction, VmpQmpClient *client,
                        GError **error)
{
    return vmp_qmp_transaction_get_length(transaction) == 0 ||
           vmp_qmp_client_run(client, vmp_qmp_transaction_to_command(transaction), NULL,
                              error);
}
