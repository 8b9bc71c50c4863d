/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A domain becomes again what it was at a restore point.
 *
 *   stage     firmware variables and TPM, copied beside the present ones
 *   restore   the disks, as new images
 *   put       these parts take the place of the present ones (the commit, if there are any)
 *   settle    the store has the definition of the point, with the new images; layers that
 *             nobody needs any more go
 *
 * Nothing that is there is written to: before the commit the domain is as it was.
 */

#include "backup/restore-point.h"
#include "base/error.h"
#include "plan/executor.h"
#include "plan/sweep.h"
#include "point/definition.h"
#include "point/part.h"
#include "point/snapshot.h"
#include "store/edit.h"

typedef struct {
    VmpMachine *machine;
    VmpRepository *repository;
    const VmpManifest *manifest;
    const char *folder;    /* of the new images; NULL: that of the present one */
    VmpDomain *definition; /* what the domain becomes */
    VmpJson *disks;        /* as of restore-disks */
    guint64 mark;
} Return;

static void
return_clear(Return *way)
{
    g_clear_pointer(&way->repository, vmp_repository_free);
    g_clear_pointer(&way->definition, vmp_domain_free);
    g_clear_pointer(&way->disks, json_object_put);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Return, return_clear)

/* ---- looking ---- */

static gboolean
check_domain(const Return *way, gboolean overwrite, GError **error)
{
    const VmpManifest *manifest = way->manifest;

    if (!g_str_equal(manifest->uuid, vmp_machine_get_uuid(way->machine)))
        return vmp_fail(
            error, VMP_ERROR_INVALID,
            "point '%s' is of domain '%s' with uuid %s; a new domain can be defined "
            "of it",
            manifest->name, manifest->domain, manifest->uuid);
    if (!vmp_machine_get_row(way->machine)->inactive)
        return vmp_fail(error, VMP_ERROR_INVALID, "it has no definition of its own");
    if (vmp_machine_is_on(way->machine))
        return vmp_fail(error, VMP_ERROR_BUSY, "it must be off to become what it was at '%s'",
                        manifest->name);
    return overwrite || vmp_fail(error, VMP_ERROR_RISKY,
                                 "its present state would be lost by the return to point '%s'",
                                 manifest->name);
}

static gboolean
read_definition(Return *way, GError **error)
{
    gsize length = 0;
    g_autofree char *text =
        vmp_repository_read_file(way->repository, way->manifest, "domain.xml", &length, error);

    way->definition = text ? vmp_domain_parse(text, (gssize)length, error) : NULL;
    return way->definition &&
           vmp_domain_set_name(way->definition, vmp_machine_get_name(way->machine), error);
}

/* A name that nobody has. */
static char *
choose_path(const Return *way, const char *folder, const char *target)
{
    for (guint n = 0;; n++) {
        g_autofree char *number = n > 0 ? g_strdup_printf("-%u", n) : g_strdup("");
        g_autofree char *name =
            g_strdup_printf("%s-%s.%s%s.qcow2", vmp_machine_get_name(way->machine), target,
                            way->manifest->name, number);
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *aside = g_strconcat(path, VMP_RESTORE_ASIDE, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(aside, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&path);
    }
}

static char *
choose_folder(const Return *way, const VmpDomain *present, const char *target, GError **error)
{
    const VmpDomainDisk *disk = vmp_domain_find_disk(present, target);

    if (way->folder)
        return g_canonicalize_filename(way->folder, NULL);
    if (!disk)
        disk = vmp_domain_find_disk(way->definition, target);
    if (!disk || !disk->source || disk->type != VMP_STORAGE_FILE)
        return vmp_fail_null(error, VMP_ERROR_INVALID,
                             "disk '%s' is no file now: say in which folder the new image is "
                             "to be",
                             target);
    return g_path_get_dirname(disk->source);
}

/* Everything that will be read is looked at. */
static gboolean
check_restorable(const Return *way, const char *target, const char *path, GError **error)
{
    g_autoptr(VmpOperation) looking = vmp_operation_new();
    const VmpRestoreSpec spec = { .disk = target, .to = path };

    vmp_operation_set_dry_run(looking, TRUE);
    return vmp_repository_restore(way->repository->path, way->manifest->name, &spec, looking,
                                  error);
}

static gboolean
choose_disks(Return *way, const VmpDomain *present, GError **error)
{
    way->disks = json_object_new_array();
    for (guint i = 0; i < way->manifest->disks->len; i++) {
        const VmpManifestDisk *disk = g_ptr_array_index(way->manifest->disks, i);
        g_autofree char *folder = choose_folder(way, present, disk->name, error);
        if (folder && !g_file_test(folder, G_FILE_TEST_IS_DIR))
            return vmp_fail(error, VMP_ERROR_NOT_FOUND, "'%s' is no folder", folder);
        g_autofree char *path = folder ? choose_path(way, folder, disk->name) : NULL;
        if (!path || !check_restorable(way, disk->name, path, error) ||
            !vmp_domain_set_disk_source(way->definition, disk->name, path, "qcow2", error))
            return FALSE;
        json_object_array_add(way->disks,
                              vmp_json_build("s:disk", disk->name, "s:path", path, NULL));
    }
    return TRUE;
}

/* What is not in the point is what it is now. */
static gboolean
keep_other_disks(Return *way, const VmpDomain *present, GError **error)
{
    const GPtrArray *disks = vmp_domain_get_disks(present);

    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        if (disk->source && disk->type == VMP_STORAGE_FILE &&
            !vmp_manifest_find_disk(way->manifest, disk->target) &&
            vmp_domain_find_disk(way->definition, disk->target) &&
            !vmp_domain_set_disk_source(way->definition, disk->target, disk->source,
                                        disk->driver, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- planning ---- */

static gboolean
retire_present(const Return *way, VmpPlan *plan, const VmpDomain *present, GError **error)
{
    for (guint i = 0; i < way->manifest->disks->len; i++) {
        const VmpManifestDisk *entry = g_ptr_array_index(way->manifest->disks, i);
        const VmpDomainDisk *disk = vmp_domain_find_disk(present, entry->name);
        gboolean frozen = TRUE;
        if (!disk || !disk->source)
            continue;
        if (!vmp_point_is_frozen_image(way->machine, disk->source, &frozen, error))
            return FALSE;
        if (!frozen)
            vmp_plan_retire_file(way->machine, disk->source, plan->edits);
        vmp_operation_note(vmp_machine_get_operation(way->machine),
                           "disk '%s' was '%s'; what of it vmpoint has not made stays",
                           disk->target, disk->source);
    }
    return TRUE;
}

static gboolean
plan_edits(const Return *way, VmpPlan *plan, const VmpDomain *present, GError **error)
{
    gint64 domain = vmp_machine_get_row(way->machine)->id;

    for (guint i = 0; i < vmp_json_length(way->disks); i++) {
        VmpStoreFile file = {
            .path = (char *)vmp_json_get_string(vmp_json_at(way->disks, i), "path"),
            .domain = domain,
            .role = (char *)"overlay",
        };
        vmp_store_edit_put_file(plan->edits, &file);
    }
    vmp_store_edit_set_current(plan->edits, domain, VMP_POINT_SNAPSHOT, NULL);
    return retire_present(way, plan, present, error) &&
           vmp_definition_edit(way->machine, NULL, way->definition, plan->edits, error);
}

static char *
part_path(const Return *way, const char *name)
{
    return name ? vmp_repository_path(way->repository, way->manifest->name, name) : NULL;
}

static void
plan_steps(const Return *way, VmpPlan *plan, VmpPartPast *past)
{
    g_autofree char *nvram = part_path(way, way->manifest->nvram);
    g_autofree char *tpm = part_path(way, way->manifest->tpm);

    vmp_part_plan_import(plan, way->machine, way->definition, nvram, tpm, past);
    vmp_part_plan_stage(plan, past);
    vmp_plan_add(plan, &vmp_step_restore_disks,
                 vmp_json_build("s:repository", way->repository->path, "s:point",
                                way->manifest->name, "i:mark", (gint64)way->mark, "o:disks",
                                json_object_get(way->disks), NULL));
    vmp_part_plan_put(plan, past);
}

static gboolean
check_part(const Return *way, const char *name, GError **error)
{
    gsize length = 0;
    g_autofree char *data =
        name ? vmp_repository_read_file(way->repository, way->manifest, name, &length, error)
             : NULL;

    return data || !name;
}

gboolean
vmp_restore_point_return(VmpMachine *machine, const char *path, const char *point,
                         const char *folder, gboolean overwrite, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain %s", vmp_machine_get_name(machine));
    const VmpDomain *present = vmp_machine_get_definition(machine, error);
    g_auto(Return) way = { .machine = machine, .folder = folder };
    g_auto(VmpChange)
        change = { .machine = machine, .operation = vmp_machine_get_operation(machine) };
    g_auto(VmpPartPast) past = { 0 };

    way.mark = ((guint64)g_random_int() << 32 | g_random_int()) | 1;
    way.repository = present ? vmp_repository_open(path, VMP_REPOSITORY_READ, error) : NULL;
    way.manifest = way.repository ? vmp_repository_get(way.repository, point, error) : NULL;
    if (!way.manifest || !check_domain(&way, overwrite, error) ||
        !read_definition(&way, error) || !check_part(&way, way.manifest->nvram, error) ||
        !check_part(&way, way.manifest->tpm, error) || !choose_disks(&way, present, error) ||
        !keep_other_disks(&way, present, error))
        return FALSE;

    g_autoptr(VmpPlan) plan =
        vmp_plan_new("backup-restore", vmp_machine_get_name(machine), way.manifest->name);
    plan_steps(&way, plan, &past);
    return vmp_change_begin_planning(&change, error) &&
           plan_edits(&way, plan, present, error) && vmp_plan_execute(plan, &change, error);
}
