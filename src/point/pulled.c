/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/pulled.h"

#include <string.h>

#include "store/edit.h"

/* "pulled/<id of the domain>/<path>" */
static char *
prefix_of(VmpMachine *machine)
{
    return g_strdup_printf("pulled/%" G_GINT64_FORMAT "/", vmp_machine_get_row(machine)->id);
}

void
vmp_pulled_edit(VmpMachine *machine, const char *path, VmpJson *edits)
{
    g_autofree char *prefix = prefix_of(machine);
    g_autofree char *key = g_strconcat(prefix, path, NULL);

    vmp_store_edit_put_fact(edits, key, "yes");
}

GHashTable *
vmp_pulled_list(VmpMachine *machine, GError **error)
{
    g_autofree char *prefix = prefix_of(machine);
    g_autoptr(GPtrArray) keys =
        vmp_store_list_facts(vmp_machine_get_store(machine), prefix, error);
    g_autoptr(GHashTable) paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; keys && i < keys->len; i++) {
        const char *key = g_ptr_array_index(keys, i);
        g_hash_table_add(paths, g_strdup(key + strlen(prefix)));
    }
    return keys ? g_steal_pointer(&paths) : NULL;
}
