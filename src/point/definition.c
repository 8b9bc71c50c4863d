/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/definition.h"

#include "base/error.h"
#include "store/edit.h"

VmpSourceChange *
vmp_source_change_new(const char *target, const char *path, const char *format)
{
    VmpSourceChange *change = g_new0(VmpSourceChange, 1);

    change->target = g_strdup(target);
    change->path = g_strdup(path);
    change->format = g_strdup(format);
    return change;
}

void
vmp_source_change_free(VmpSourceChange *change)
{
    g_free(change->target);
    g_free(change->path);
    g_free(change->format);
    g_free(change);
}

char *
vmp_definition_capture(const VmpDomain *domain)
{
    return vmp_domain_format(domain, VMP_DOMAIN_FORMAT_SECURE);
}

static gboolean
put(VmpMachine *machine, const VmpDomain *domain, gint64 like, gint64 *id, GError **error)
{
    *id = 0;
    if (!domain)
        return TRUE;

    g_autofree char *text = vmp_definition_capture(domain);
    *id = vmp_store_put_definition(vmp_machine_get_store(machine), text, -1, like, error);
    return *id != 0;
}

gboolean
vmp_definition_edit(VmpMachine *machine, const VmpDomain *active, const VmpDomain *inactive,
                    VmpJson *edits, GError **error)
{
    VmpStoreDomain row = *vmp_machine_get_row(machine);
    gint64 like = row.active ? row.active : row.inactive;

    if (!put(machine, active, like, &row.active, error) ||
        !put(machine, inactive, like, &row.inactive, error))
        return FALSE;
    vmp_store_edit_put_domain(edits, &row);
    return TRUE;
}

/* A copy of @definition with @changes, but for disks whose image is not the one of @model. */
static VmpDomain *
change_sources(const VmpDomain *definition, const VmpDomain *model, const GPtrArray *changes,
               GError **error)
{
    g_autoptr(VmpDomain) changed = vmp_domain_copy(definition);

    for (guint i = 0; i < changes->len; i++) {
        const VmpSourceChange *change = g_ptr_array_index(changes, i);
        const VmpDomainDisk *disk = vmp_domain_find_disk(definition, change->target);
        const VmpDomainDisk *live = vmp_domain_find_disk(model, change->target);

        if (!disk || !live || g_strcmp0(disk->source, live->source) != 0)
            continue;
        if (!vmp_domain_set_disk_source(changed, change->target, change->path, change->format,
                                        error))
            return NULL;
    }
    return g_steal_pointer(&changed);
}

gboolean
vmp_definition_edit_sources(VmpMachine *machine, const GPtrArray *changes, VmpJson *edits,
                            GError **error)
{
    const VmpStoreDomain *row = vmp_machine_get_row(machine);
    g_autoptr(VmpDomain) new_active = NULL;
    g_autoptr(VmpDomain) new_inactive = NULL;
    const VmpDomain *live = vmp_machine_get_definition(machine, error);

    if (!live)
        return FALSE;
    if (vmp_machine_is_on(machine)) {
        new_active = change_sources(live, live, changes, error);
        if (!new_active)
            return FALSE;
    }
    if (row->inactive) {
        const VmpDomain *inactive = vmp_machine_get_inactive(machine, error);
        new_inactive = inactive ? change_sources(inactive, live, changes, error) : NULL;
        if (!new_inactive)
            return FALSE;
    }
    return vmp_definition_edit(machine, new_active, new_inactive, edits, error);
}
