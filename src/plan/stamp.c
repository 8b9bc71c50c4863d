/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/stamp.h"

#include <string.h>
#include <sys/stat.h>

#include "store/edit.h"

/* By domain: ids are never used again, paths are. */
static char *
key_of(VmpMachine *machine, const char *path)
{
    return g_strdup_printf("frozen:%" G_GINT64_FORMAT ":%s", vmp_machine_get_row(machine)->id,
                           path);
}

static char *
content_key_of(VmpMachine *machine, const char *path)
{
    return g_strdup_printf("content:%" G_GINT64_FORMAT ":%s", vmp_machine_get_row(machine)->id,
                           path);
}

/* NULL for what is no file. */
static char *
look(const char *path)
{
    struct stat info;

    if (stat(path, &info) < 0 || !S_ISREG(info.st_mode))
        return NULL;
    return g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld",
                           (gint64)info.st_size, (gint64)info.st_mtim.tv_sec,
                           info.st_mtim.tv_nsec);
}

static char *
recorded(VmpMachine *machine, const char *path)
{
    g_autofree char *key = key_of(machine, path);

    /* One that cannot be read is as good as none: it is fsck that says so. */
    return vmp_store_get_fact(vmp_machine_get_store(machine), key, NULL);
}

gboolean
vmp_stamp_take(VmpMachine *machine, const char *path, gboolean again, GError **error)
{
    g_autofree char *key = key_of(machine, path);
    g_autofree char *stamp = look(path);

    if (!stamp || (!again && vmp_stamp_has(machine, path)))
        return TRUE;
    return vmp_store_put_fact(vmp_machine_get_store(machine), key, stamp, error);
}

gboolean
vmp_stamp_has(VmpMachine *machine, const char *path)
{
    g_autofree char *stamp = recorded(machine, path);

    return stamp != NULL;
}

gboolean
vmp_stamp_is_broken(VmpMachine *machine, const char *path)
{
    g_autofree char *stamp = recorded(machine, path);
    g_autofree char *now = stamp ? look(path) : NULL;

    return now && !g_str_equal(now, stamp);
}

void
vmp_stamp_forget(VmpMachine *machine, const char *path)
{
    g_autofree char *key = key_of(machine, path);
    g_autofree char *content = content_key_of(machine, path);

    vmp_store_put_fact(vmp_machine_get_store(machine), key, NULL, NULL);
    vmp_store_put_fact(vmp_machine_get_store(machine), content, NULL, NULL);
}

void
vmp_stamp_keep_content(VmpMachine *machine, const char *path, const char *content,
                       VmpJson *edits)
{
    g_autofree char *key = content_key_of(machine, path);

    vmp_store_edit_put_fact(edits, key, content);
}

gboolean
vmp_stamp_is_other_content(VmpMachine *machine, const char *path, const char *content)
{
    g_autofree char *key = content_key_of(machine, path);
    g_autofree char *kept = vmp_store_get_fact(vmp_machine_get_store(machine), key, NULL);

    return kept && g_strcmp0(kept, content) != 0;
}

GPtrArray *
vmp_stamps_intact(VmpMachine *machine)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *prefix = key_of(machine, "");
    g_autoptr(GPtrArray) keys =
        vmp_store_list_facts(vmp_machine_get_store(machine), prefix, NULL);

    for (guint i = 0; keys && i < keys->len; i++) {
        const char *path = (const char *)g_ptr_array_index(keys, i) + strlen(prefix);
        if (!vmp_stamp_is_broken(machine, path))
            g_ptr_array_add(paths, g_strdup(path));
    }
    return paths;
}

gboolean
vmp_stamps_renew(VmpMachine *machine, const GPtrArray *paths, GError **error)
{
    for (guint i = 0; i < paths->len; i++) {
        const char *path = g_ptr_array_index(paths, i);
        if (vmp_stamp_is_broken(machine, path) && !vmp_stamp_take(machine, path, TRUE, error))
            return FALSE;
    }
    return TRUE;
}
