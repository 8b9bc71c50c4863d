/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "machine/session.h"
#include "plan/executor.h"
#include "point/record.h"
#include "point/redefine.h"
#include "point/tree.h"
#include "storage/bitmap.h"
#include "store/edit.h"
#include "xml/name.h"

gboolean
vmp_redefine_check_checkpoint_flags(VmpCheckpointCreateFlags flags, GError **error)
{
    return !(flags & VMP_CHECKPOINT_CREATE_QUIESCE) ||
           vmp_fail(error, VMP_ERROR_INVALID, "redefine and quiesce exclude each other");
}

static gboolean
check_domain(VmpMachine *machine, const VmpCheckpoint *checkpoint, const VmpDomain *domain,
             VmpCheckpointCreateFlags flags, GError **error)
{
    const char *uuid = domain ? vmp_domain_get_uuid(domain) : checkpoint->domain_uuid;

    if (!domain && !(flags & VMP_CHECKPOINT_CREATE_REDEFINE_VALIDATE))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "checkpoint '%s' has no <domain>: it was dumped with --no-domain; "
                        "`checkpoint-dumpxml %s %s` makes a complete document, or "
                        "--redefine-validate lets the bitmaps in the images prove it",
                        checkpoint->name, vmp_machine_get_name(machine), checkpoint->name);
    return vmp_record_check_uuid(machine, uuid, error);
}

/* Names of disks become targets, as the checkpoint's own domain has them. */
static gboolean
align_disk(VmpCheckpointDisk *entry, const VmpDomain *domain, GHashTable *seen, GError **error)
{
    const VmpDomainDisk *disk = vmp_domain_find_disk(domain, entry->name);

    if (!disk)
        return vmp_fail(error, VMP_ERROR_INVALID, "its <domain> has no disk '%s'",
                        entry->name);
    if (!g_hash_table_add(seen, (gpointer)disk))
        return vmp_fail(error, VMP_ERROR_INVALID, "disk '%s' is listed twice", disk->target);
    g_free(entry->name);
    entry->name = g_strdup(disk->target);
    return TRUE;
}

static gboolean
align(VmpCheckpoint *checkpoint, const VmpDomain *domain, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    if (!checkpoint->disks)
        return !domain || vmp_fail(error, VMP_ERROR_INVALID, "checkpoint '%s' lists no disks",
                                   checkpoint->name);
    for (guint i = 0; i < checkpoint->disks->len; i++) {
        VmpCheckpointDisk *entry = g_ptr_array_index(checkpoint->disks, i);

        if (domain && !align_disk(entry, domain, seen, error))
            return FALSE;
        if (entry->wanted && !entry->bitmap)
            entry->bitmap = g_strdup(checkpoint->name);
    }
    return TRUE;
}

gboolean
vmp_redefine_check_checkpoint(VmpMachine *machine, VmpCheckpoint *checkpoint,
                              const VmpDomain *domain, VmpCheckpointCreateFlags flags,
                              GError **error)
{
    return vmp_checkpoint_name_check(checkpoint->name, error) &&
           check_domain(machine, checkpoint, domain, flags, error) &&
           align(checkpoint, domain, error);
}

gboolean
vmp_redefine_check_bitmaps(VmpBlockSession *session, const VmpBlockGraph *graph,
                           const VmpCheckpoint *checkpoint, GError **error)
{
    for (guint i = 0; checkpoint->disks && i < checkpoint->disks->len; i++) {
        const VmpCheckpointDisk *disk = g_ptr_array_index(checkpoint->disks, i);
        const VmpBlockNode *image =
            disk->wanted ? vmp_block_session_image(session, graph, disk->name, NULL) : NULL;
        g_autoptr(GError) failure = NULL;
        g_autoptr(VmpBitmapChain) chain =
            image ? vmp_bitmap_chain_find(graph, image, disk->bitmap, NULL, &failure) : NULL;
        if (image && !chain)
            return vmp_fail(error, VMP_ERROR_INCONSISTENT,
                            "checkpoint '%s' is not borne out by disk '%s': %s",
                            checkpoint->name, disk->name, failure->message);
    }
    return TRUE;
}

/* ---- one ---- */

static gboolean
check_bitmaps(VmpMachine *machine, const VmpCheckpoint *checkpoint, GError **error)
{
    g_autoptr(VmpBlockSession) session = vmp_block_session_open(machine, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;

    return graph && vmp_redefine_check_bitmaps(session, graph, checkpoint, error);
}

static gboolean
check(VmpMachine *machine, const GPtrArray *rows, VmpCheckpoint *checkpoint,
      VmpCheckpointCreateFlags flags, GError **error)
{
    g_autoptr(VmpDomain) domain =
        checkpoint->domain_xml ? vmp_domain_parse(checkpoint->domain_xml, -1, error) : NULL;

    if (checkpoint->domain_xml && !domain)
        return FALSE;
    if (!vmp_redefine_check_checkpoint(machine, checkpoint, domain, flags, error) ||
        !vmp_tree_check_parent(rows, checkpoint->name, checkpoint->parent, error))
        return FALSE;
    return !(flags & VMP_CHECKPOINT_CREATE_REDEFINE_VALIDATE) ||
           check_bitmaps(machine, checkpoint, error);
}

/* It becomes current if its parent is, or if none is; libvirt has no flag for it. */
static gboolean
becomes_current(const GPtrArray *rows, const VmpCheckpoint *checkpoint)
{
    const VmpStorePoint *current = NULL;

    for (guint i = 0; i < rows->len && !current; i++) {
        const VmpStorePoint *row = g_ptr_array_index(rows, i);
        current = row->current ? row : NULL;
    }
    return !current || g_strcmp0(current->name, checkpoint->parent) == 0 ||
           g_strcmp0(current->name, checkpoint->name) == 0;
}

static gboolean
write_row(VmpMachine *machine, const VmpCheckpoint *checkpoint, const VmpStorePoint *known,
          gboolean current, GError **error)
{
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("checkpoint-redefine", vmp_machine_get_name(machine), checkpoint->name);
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };

    if (!vmp_change_begin_planning(&change, error))
        return FALSE;
    g_autoptr(VmpStorePoint) row =
        vmp_record_to_checkpoint_row(machine, checkpoint, current, error);
    if (!row)
        return FALSE;
    row->extra = g_strdup(known ? known->extra : NULL);
    vmp_store_edit_put_point(plan->edits, row);
    return vmp_plan_execute(plan, &change, error);
}

char *
vmp_point_redefine_checkpoint(VmpMachine *machine, const char *xml,
                              VmpCheckpointCreateFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));

    g_autoptr(VmpCheckpoint) checkpoint =
        xml ? vmp_checkpoint_parse(xml, -1, VMP_CHECKPOINT_PARSE_REDEFINE, error)
            : vmp_fail_null(error, VMP_ERROR_INVALID,
                            "redefining needs the document of a dump");
    g_autoptr(GPtrArray) rows =
        vmp_store_list_points(vmp_machine_get_store(machine), vmp_machine_get_row(machine)->id,
                              VMP_POINT_CHECKPOINT, FALSE, checkpoint ? error : NULL);

    if (!checkpoint || !rows || !vmp_redefine_check_checkpoint_flags(flags, error) ||
        !check(machine, rows, checkpoint, flags, error) ||
        !write_row(machine, checkpoint, vmp_tree_find(rows, checkpoint->name),
                   becomes_current(rows, checkpoint), error))
        return NULL;
    return g_steal_pointer(&checkpoint->name);
}
