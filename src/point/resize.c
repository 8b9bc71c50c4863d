/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/resize.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "plan/executor.h"
#include "plan/others.h"
#include "point/mark.h"
#include "point/steps.h"

/* What QEMU can have: whole sectors. */
#define SECTOR 512

static gboolean
measure_device(const VmpDomainDisk *disk, guint64 *size, GError **error)
{
    if (disk->type != VMP_STORAGE_BLOCK || g_strcmp0(disk->driver, "raw") != 0)
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s': only a raw block device has a capacity to take",
                        disk->target);

    g_auto(VmpFd) fd = open(disk->source, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (end < 0)
        return vmp_fail_errno(error, errno, "cannot tell the size of '%s'", disk->source);
    *size = (guint64)end;
    return TRUE;
}

static const VmpDomainDisk *
find_disk(VmpMachine *machine, const char *name, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    const VmpDomainDisk *disk = definition ? vmp_domain_find_disk(definition, name) : NULL;

    if (definition && !disk)
        return vmp_fail_null(error, VMP_ERROR_NOT_FOUND, "the domain has no disk '%s'", name);
    return disk;
}

/* Whoever stands on the image would see less of it. */
static gboolean
check_cut(VmpPlan *plan, VmpMachine *machine, const char *disk, const VmpBlockNode *image,
          guint64 size, GError **error)
{
    g_autoptr(VmpOthers) others = vmp_others_look(machine, error);
    const char *outsider = others && image->path ? vmp_others_find(others, image->path) : NULL;

    if (!others)
        return FALSE;
    if (outsider)
        return vmp_fail(error, VMP_ERROR_BUSY,
                        "disk '%s': domain '%s' stands on its image '%s', which cannot be cut",
                        disk, outsider, image->path);
    vmp_plan_add_risk(plan, "cut-disk", TRUE,
                      "disk '%s' has %" G_GUINT64_FORMAT " bytes: what is behind the first "
                      "%" G_GUINT64_FORMAT " is lost, and the checkpoints of the disk with it",
                      disk, image->size, size);
    return TRUE;
}

static gboolean
plan_change(VmpPlan *plan, VmpMachine *machine, const char *disk, const VmpBlockNode *image,
            guint64 size, VmpBlockResizeFlags flags, GError **error)
{
    gboolean cut = size < image->size;

    if (image->read_only)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED, "disk '%s' is read-only", disk);
    if (cut && (flags & VMP_BLOCK_RESIZE_EXTEND))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "disk '%s' has %" G_GUINT64_FORMAT
                        " bytes already, and is only to be made larger",
                        disk, image->size);
    if (size == image->size)
        return TRUE;
    if (cut && !check_cut(plan, machine, disk, image, size, error))
        return FALSE;
    vmp_plan_add_commit(plan, &vmp_step_resize_disk,
                        vmp_json_build("s:disk", disk, "s:node", image->name, "S:path",
                                       image->path, "i:from", (gint64)image->size, "i:to",
                                       (gint64)size, NULL));
    return vmp_marks_resize(machine, disk, image->path, size, cut, plan->edits, error);
}

gboolean
vmp_point_resize_disk(VmpMachine *machine, const char *name, guint64 size,
                      VmpBlockResizeFlags flags, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    VmpOperation *operation = vmp_machine_get_operation(machine);
    g_auto(VmpChange) change = { .machine = machine, .operation = operation };
    const VmpDomainDisk *disk = find_disk(machine, name, error);
    if (!disk || ((flags & VMP_BLOCK_RESIZE_CAPACITY) && !measure_device(disk, &size, error)))
        return FALSE;
    if (size == 0 || size > G_MAXINT64 - SECTOR)
        return vmp_fail(error, VMP_ERROR_INVALID, "that is no size of a disk");

    VmpBlockSession *session = vmp_change_get_session(&change, error);
    g_autoptr(VmpBlockGraph) graph =
        session ? vmp_block_session_read_graph(session, error) : NULL;
    const VmpBlockNode *image =
        graph ? vmp_block_session_image(session, graph, disk->target, error) : NULL;
    g_autoptr(VmpPlan) plan =
        vmp_plan_new("blockresize", vmp_machine_get_name(machine), disk->target);
    if (!image || !vmp_change_begin_planning(&change, error) ||
        !plan_change(plan, machine, disk->target, image, (size + SECTOR - 1) / SECTOR * SECTOR,
                     flags, error))
        return FALSE;
    return (vmp_operation_get_dry_run(operation) ||
            vmp_plan_check_risks(plan, (flags & VMP_BLOCK_RESIZE_FORCE) != 0, error)) &&
           vmp_plan_execute(plan, &change, error);
}
