/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A second domain made of a restore point: with disks restored, or with overlays that stand on
 * the point itself, which is then only read.  The definition comes last: until then there are
 * files with the new domain's name, and they go if anything fails.
 */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "backup/restore-point.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/file.h"
#include "machine/firmware.h"
#include "machine/tpm.h"
#include "storage/image.h"
#include "xml/domain-twin.h"

typedef struct {
    VmpHost *host;
    VmpOperation *operation;
    VmpRepository *repository;
    const VmpManifest *manifest;
    const char *name;
    char *folder;    /* of its files */
    GPtrArray *made; /* of char *: files and folders that go, in this order, unless the domain
                      * comes to be */
    GHashTable *disks; /* target -> path */
} Definition;

static void
definition_clear(Definition *definition)
{
    for (guint i = 0; definition->made && i < definition->made->len; i++)
        remove(g_ptr_array_index(definition->made, i));
    g_clear_pointer(&definition->made, g_ptr_array_unref);
    g_clear_pointer(&definition->disks, g_hash_table_unref);
    g_clear_pointer(&definition->repository, vmp_repository_free);
    g_free(definition->folder);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Definition, definition_clear)

static char *
file_path(const Definition *definition, const char *disk, const char *extension)
{
    g_autofree char *name = g_strdup_printf("%s-%s.%s", definition->name, disk, extension);

    return g_build_filename(definition->folder, name, NULL);
}

static gboolean
check_is_free(const Definition *definition, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStoreDomain) row =
        vmp_store_find_domain(definition->host->store, definition->name, &failure);

    if (row)
        return vmp_fail(error, VMP_ERROR_EXISTS, "domain '%s' is defined already",
                        definition->name);
    if (vmp_error_is(failure, VMP_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* ---- its files ---- */

static gboolean
restore_disks(const Definition *definition, const VmpTwinSpec *spec, GError **error)
{
    const VmpRestoreSpec restore = { .to = definition->folder,
                                     .format = spec->format,
                                     .prefix = definition->name };

    if (!vmp_repository_restore(definition->repository->path, definition->manifest->name,
                                &restore, definition->operation, error))
        return FALSE;
    for (guint i = 0; i < definition->manifest->disks->len; i++) {
        const VmpManifestDisk *disk = g_ptr_array_index(definition->manifest->disks, i);
        char *path = file_path(definition, disk->name, spec->format ? spec->format : "qcow2");
        g_ptr_array_add(definition->made, path);
        g_hash_table_insert(definition->disks, g_strdup(disk->name), g_strdup(path));
    }
    return TRUE;
}

static gboolean
lay_over(const Definition *definition, const VmpManifestDisk *disk, GError **error)
{
    GCancellable *cancellable = vmp_operation_get_cancellable(definition->operation);
    char *path = file_path(definition, disk->name, "qcow2");
    g_autofree char *image =
        vmp_repository_path(definition->repository, definition->manifest->name, disk->image);
    const VmpImageSpec spec = {
        .path = path, .size = disk->size, .backing = image, .backing_format = "qcow2"
    };
    g_autoptr(GPtrArray) chain =
        vmp_repository_chain(definition->repository, definition->manifest, disk->name, error);

    g_hash_table_insert(definition->disks, g_strdup(disk->name), path);
    if (!chain ||
        !vmp_repository_check_chain(definition->repository, chain, disk->name, cancellable,
                                    error) ||
        !vmp_image_create(&spec, cancellable, error))
        return FALSE;
    g_ptr_array_add(definition->made, g_strdup(path));
    return TRUE;
}

static gboolean
lay_over_disks(const Definition *definition, GError **error)
{
    for (guint i = 0; i < definition->manifest->disks->len; i++)
        if (!lay_over(definition, g_ptr_array_index(definition->manifest->disks, i), error))
            return FALSE;
    return TRUE;
}

/* Where the firmware will look for them. */
static gboolean
put_nvram(const Definition *definition, const char *name, GError **error)
{
    g_autoptr(VmpMachine) machine = vmp_machine_open(definition->host, name, VMP_MACHINE_READ,
                                                     definition->operation, error);
    const VmpDomain *domain = machine ? vmp_machine_get_definition(machine, error) : NULL;
    gsize length = 0;
    if (!domain)
        return FALSE;

    g_autofree char *path = vmp_firmware_nvram_path(machine, domain);
    g_autofree char *folder = path ? g_path_get_dirname(path) : NULL;
    g_autofree char *data =
        vmp_repository_read_file(definition->repository, definition->manifest,
                                 definition->manifest->nvram, &length, error);
    return data && (!path || (vmp_dir_ensure(folder, 0700, error) &&
                              vmp_file_replace(path, data, (gssize)length, 0600, error)));
}

/* Before there is a definition: a machine that was started without it would have made another.
 */
static gboolean
put_tpm(const Definition *definition, const char *uuid, GError **error)
{
    g_autofree char *folder = vmp_tpm_folder(definition->host, uuid);
    char *path = g_build_filename(folder, VMP_TPM_FILE, NULL);
    gsize length = 0;

    g_ptr_array_add(definition->made, path);
    g_ptr_array_add(definition->made, g_strdup(folder));
    g_autofree char *data =
        vmp_repository_read_file(definition->repository, definition->manifest,
                                 definition->manifest->tpm, &length, error);
    return data && vmp_dir_ensure(folder, 0700, error) &&
           vmp_file_replace(path, data, (gssize)length, 0600, error);
}

/* ---- the definition ---- */

static VmpDomain *
make_twin(const Definition *definition, const VmpTwinSpec *spec, const char *format,
          GError **error)
{
    gsize length = 0;
    g_autofree char *text = vmp_repository_read_file(
        definition->repository, definition->manifest, "domain.xml", &length, error);
    g_autoptr(VmpDomain) original =
        text ? vmp_domain_parse(text, (gssize)length, error) : NULL;
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *nvram = file_path(definition, "nvram", "fd");
    g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(g_free);
    const VmpTwin twin = { definition->name, uuid,           nvram,        definition->disks,
                           format,           spec->isolated, spec->console };

    VmpDomain *made = original ? vmp_domain_make_twin(original, &twin, dropped, error) : NULL;
    for (guint i = 0; made && i < dropped->len; i++)
        vmp_operation_warn(definition->operation, "domain '%s': %s", definition->name,
                           (const char *)g_ptr_array_index(dropped, i));
    return made;
}

static gboolean
define(const Definition *definition, const VmpTwinSpec *spec, GError **error)
{
    const char *format = spec->format && !spec->overlay ? spec->format : "qcow2";
    g_autoptr(VmpDomain) twin = make_twin(definition, spec, format, error);
    g_autofree char *xml = twin ? vmp_domain_format(twin, VMP_DOMAIN_FORMAT_SECURE) : NULL;

    if (!xml ||
        (definition->manifest->tpm &&
         !put_tpm(definition, vmp_domain_get_uuid(twin), error)) ||
        !vmp_fault("before-definition", error))
        return FALSE;
    g_autofree char *name =
        vmp_machine_define(definition->host, xml, -1, definition->operation, error);
    if (!name)
        return FALSE;
    g_ptr_array_set_size(definition->made, 0);
    return !definition->manifest->nvram || put_nvram(definition, name, error);
}

gboolean
vmp_repository_make_domain(VmpHost *host, const char *path, const char *point,
                           const VmpTwinSpec *spec, VmpOperation *operation, GError **error)
{
    VMP_ERROR_CONTEXT(error, "domain '%s' from point '%s'", spec->name, point);
    g_auto(Definition)
        definition = { .host = host, .operation = operation, .name = spec->name };

    definition.made = g_ptr_array_new_with_free_func(g_free);
    definition.disks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    definition.folder = g_canonicalize_filename(spec->folder, NULL);
    definition.repository = vmp_repository_open(path, VMP_REPOSITORY_READ, error);
    definition.manifest =
        definition.repository ? vmp_repository_get(definition.repository, point, error) : NULL;
    if (!definition.manifest || !check_is_free(&definition, error))
        return FALSE;
    if (!g_file_test(definition.folder, G_FILE_TEST_IS_DIR))
        return vmp_fail(error, VMP_ERROR_NOT_FOUND, "'%s' is no folder", definition.folder);
    if (vmp_operation_get_dry_run(operation))
        return TRUE;

    gboolean filled = spec->overlay ? lay_over_disks(&definition, error)
                                    : restore_disks(&definition, spec, error);
    return filled && define(&definition, spec, error);
}
