/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each check is a function from the view to findings; none asks the world.
 *
 * Codes, in the order of the checks:
 *   no-definition      (fsck.c) nothing but points is left of the domain: there is no view
 *   unsettled          a command was cut short and nothing has come after it
 *   image-missing, image-unreadable, image-damaged
 *   definition-differs QEMU writes to another image than the definition says
 *   backing-lost       an overlay names a backing image that is not there
 *   tree-differs       an image does not rest on the one that its parent snapshot froze
 *   internal-missing, internal-unknown
 *   chain-unknown      a layer that looks like an external snapshot's, and is none of ours
 *   memory-missing, memory-incomplete, memory-damaged
 *   part-missing, part-damaged
 *   bitmap-missing, bitmap-inconsistent, bitmap-unknown
 *   file-forgotten     the ledger has a file that is gone
 *   file-orphaned      a file that vmpoint made and nothing refers to
 */

#include "point/fsck-compare.h"

/* ---- unsettled ---- */

static void
compare_intents(const VmpFsckView *view, GPtrArray *findings)
{
    for (guint i = 0; i < view->intents->len; i++)
        g_ptr_array_add(findings,
                        vmp_finding_new("unsettled", VMP_CURE_REPAIR, NULL, NULL, NULL,
                                        "the %s was cut short and is not settled yet",
                                        (char *)g_ptr_array_index(view->intents, i)));
}

/* ---- QEMU and the definition ---- */

static void
compare_active(const VmpFsckView *view, GPtrArray *findings)
{
    const GPtrArray *disks = vmp_domain_get_disks(view->present);

    for (guint i = 0; view->active && i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        const VmpFsckActive *open = g_hash_table_lookup(view->active, disk->target);
        if (open && vmp_fsck_has_image(disk) && !g_str_equal(open->path, disk->source))
            g_ptr_array_add(
                findings,
                vmp_finding_new("definition-differs", VMP_CURE_REPAIR, disk->target, NULL,
                                open->path,
                                "disk '%s': QEMU writes to '%s', the definition says "
                                "'%s'",
                                disk->target, open->path, disk->source));
    }
}

GPtrArray *
vmp_fsck_compare(const VmpFsckView *view)
{
    GPtrArray *findings = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_finding_free);
    g_auto(VmpFsckAdoption) adoption = { NULL };

    vmp_fsck_adopt(view, 0, &adoption);
    compare_intents(view, findings);
    vmp_fsck_compare_images(view, findings);
    vmp_fsck_compare_damage(view, findings);
    compare_active(view, findings);
    vmp_fsck_compare_backing(view, findings);
    vmp_fsck_compare_tree(view, findings);
    vmp_fsck_compare_held(view, findings);
    vmp_fsck_compare_unknown_held(view, &adoption, findings);
    vmp_fsck_compare_unknown_layers(&adoption, findings);
    vmp_fsck_compare_memory(view, findings);
    vmp_fsck_compare_parts(view, findings);
    for (guint i = 0; i < view->checkpoints->len; i++)
        vmp_fsck_compare_checkpoint(view, g_ptr_array_index(view->checkpoints, i), findings);
    vmp_fsck_compare_unknown_bitmaps(view, &adoption, findings);
    vmp_fsck_compare_ledger(view, findings);
    return findings;
}
