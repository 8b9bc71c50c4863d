/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Taking a domain's definition into the store, and letting go of it. */

#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "machine/firmware.h"
#include "machine/machine-private.h"
#include "machine/tpm.h"
#include "xml/name.h"

#define NAME_MAX_BYTES 255

/* The name becomes part of file names. */
gboolean
vmp_machine_check_name(const char *name, GError **error)
{
    gboolean is_fine = name[0] != '\0' && name[0] != '.' && strlen(name) <= NAME_MAX_BYTES &&
                       g_utf8_validate(name, -1, NULL);

    for (const char *at = name; is_fine && *at; at = g_utf8_next_char(at))
        is_fine = *at != '/' && !g_unichar_iscntrl(g_utf8_get_char(at));
    if (is_fine)
        return TRUE;

    g_autofree char *quoted = vmp_name_quote(name);
    return vmp_fail(error, VMP_ERROR_INVALID,
                    "%s cannot be a domain's name: it must have 1 to "
                    "%d bytes, no '/', no control character and no '.' in front",
                    quoted, NAME_MAX_BYTES);
}

static gboolean
complete_identity(VmpDomain *definition, GError **error)
{
    if (!vmp_machine_check_name(vmp_domain_get_name(definition), error))
        return FALSE;
    if (vmp_domain_get_uuid(definition))
        return TRUE;

    g_autofree char *uuid = g_uuid_string_random();
    return vmp_domain_set_uuid(definition, uuid, error);
}

/* The row of the domain that @definition is of; a new one (id 0) if it is not known. */
static VmpStoreDomain *
find_or_make_row(VmpStore *store, const VmpDomain *definition, GError **error)
{
    g_autoptr(GError) failure = NULL;
    VmpStoreDomain *row =
        vmp_store_find_domain(store, vmp_domain_get_uuid(definition), &failure);

    if (row || !vmp_error_is(failure, VMP_ERROR_NOT_FOUND)) {
        if (!row)
            g_propagate_error(error, g_steal_pointer(&failure));
        return row;
    }
    row = g_new0(VmpStoreDomain, 1);
    row->name = g_strdup(vmp_domain_get_name(definition));
    row->uuid = g_strdup(vmp_domain_get_uuid(definition));
    return row;
}

/* For when it ends; 0 = it has a definition (again). */
static void
note_flags(VmpStoreDomain *row, VmpUndefineFlags flags)
{
    g_autoptr(VmpJson) extra = row->extra ? vmp_json_parse(row->extra, -1, NULL) : NULL;
    if (!extra)
        extra = json_object_new_object();

    json_object_object_del(extra, VMP_EXTRA_UNDEFINE);
    vmp_json_add(extra, "I:" VMP_EXTRA_UNDEFINE, (gint64)flags, NULL);
    g_free(row->extra);
    row->extra = json_object_object_length(extra) > 0 ? vmp_json_to_text(extra) : NULL;
}

static gboolean
put_definition(VmpStore *store, const VmpDomain *definition, VmpStoreDomain *row,
               GError **error)
{
    g_auto(VmpStoreTransaction) transaction = { 0 };
    g_autofree char *text = vmp_domain_format(definition, VMP_DOMAIN_FORMAT_SECURE);

    if (!vmp_store_begin(store, &transaction, error))
        return FALSE;
    row->inactive = vmp_store_put_definition(store, text, -1, row->inactive, error);
    row->persistent = TRUE;
    note_flags(row, 0);
    return row->inactive != 0 && vmp_store_put_domain(store, row, error) &&
           vmp_store_commit(&transaction, error);
}

char *
vmp_machine_define(VmpHost *host, const char *xml, gssize length, VmpOperation *operation,
                   GError **error)
{
    g_autoptr(VmpDomain) definition = vmp_domain_parse(xml, length, error);
    if (!definition || !complete_identity(definition, error))
        return NULL;

    const char *name = vmp_domain_get_name(definition);
    const char *uuid = vmp_domain_get_uuid(definition);
    /* Before the row is read: whoever has the lock may be about to change it. */
    g_autoptr(VmpLock) lock =
        vmp_lock_take(host, uuid, name, vmp_operation_get_cancellable(operation), error);
    g_autoptr(VmpStoreDomain) row =
        lock ? find_or_make_row(host->store, definition, error) : NULL;
    if (!row)
        return NULL;

    if (!g_str_equal(row->name, name))
        return vmp_fail_null(error, VMP_ERROR_EXISTS,
                             "domain '%s' is already defined with uuid "
                             "%s",
                             row->name, row->uuid);
    if (!vmp_operation_get_dry_run(operation) &&
        !put_definition(host->store, definition, row, error)) {
        if (row->id == 0)
            vmp_lock_remove(host, uuid);
        return NULL;
    }
    return g_strdup(name);
}

/* ---- undefining ---- */

static gboolean
check_points(VmpMachine *machine, VmpPointKind kind, const char *what, gboolean allowed,
             GError **error)
{
    g_autoptr(GPtrArray) points =
        vmp_store_list_points(machine->host->store, machine->row->id, kind, FALSE, error);

    if (!points)
        return FALSE;
    if (points->len == 0 || allowed)
        return TRUE;
    return vmp_fail(error, VMP_ERROR_BUSY,
                    "domain %s is inactive and has %u %s%s; undefining it "
                    "would forget them",
                    machine->row->name, points->len, what, points->len == 1 ? "" : "s");
}

/* NULL without @error if there is no such file. */
static char *
find_nvram(VmpMachine *machine)
{
    const VmpDomain *definition = vmp_machine_get_inactive(machine, NULL);
    g_autofree char *path = definition ? vmp_firmware_nvram_path(machine, definition) : NULL;

    return path && g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}

static gboolean
remove_nvram(VmpMachine *machine, const char *path, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(VmpStoreFile) made = vmp_store_find_file(machine->host->store, path, &failure);

    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (!made) {
        vmp_operation_warn(machine->operation, "'%s' was not made by vmpoint and is kept",
                           path);
        return TRUE;
    }
    return vmp_file_remove(path, error);
}

static gboolean
settle_nvram(VmpMachine *machine, VmpUndefineFlags flags, GError **error)
{
    g_autofree char *nvram = find_nvram(machine);

    if (!nvram || flags & VMP_UNDEFINE_KEEP_NVRAM)
        return TRUE;
    if (flags & VMP_UNDEFINE_NVRAM)
        return remove_nvram(machine, nvram, error);
    return vmp_fail(error, VMP_ERROR_INVALID,
                    "domain %s has firmware variables in '%s': say "
                    "whether they shall go or be kept",
                    machine->row->name, nvram);
}

/* As in libvirt a TPM's memory goes with the definition unless that says otherwise.  Where the
 * present definition has no TPM (any more) there may be one all the same. */
gboolean
vmp_machine_settle_tpm(VmpMachine *machine, const VmpDomain *definition,
                       VmpUndefineFlags flags, GError **error)
{
    const VmpDomainTpm *tpm = definition ? vmp_domain_get_tpm(definition) : NULL;
    gboolean keep = (flags & VMP_UNDEFINE_KEEP_TPM) || (tpm && tpm->is_kept);
    g_autofree char *folder = vmp_tpm_folder(machine->host, machine->row->uuid);

    return (keep && !(flags & VMP_UNDEFINE_TPM)) || vmp_dir_remove(folder, error);
}

/* Snapshots are found in the store alone: without it nobody could tell whose their copies of
 * firmware variables and TPM are. */
static gboolean
remove_copies(VmpMachine *machine, GError **error)
{
    g_autofree char *folder = g_build_filename(machine->host->state_dir, VMP_HOST_PARTS, NULL);
    g_autofree char *prefix = g_strconcat(machine->row->uuid, "-", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_str_has_prefix(name, prefix) && !vmp_file_remove(path, error))
            return FALSE;
    }
    return TRUE;
}

/* One that runs goes on, and is forgotten when it ends. */
static gboolean
make_transient(VmpMachine *machine, VmpUndefineFlags flags, GError **error)
{
    note_flags(machine->row, flags);
    machine->row->persistent = FALSE;
    machine->row->inactive = 0;
    return vmp_store_put_domain(machine->host->store, machine->row, error);
}

gboolean
vmp_machine_undefine(VmpMachine *machine, VmpUndefineFlags flags, GError **error)
{
    if ((flags & VMP_UNDEFINE_NVRAM) && (flags & VMP_UNDEFINE_KEEP_NVRAM))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "firmware variables can go or be kept, not both");
    if ((flags & VMP_UNDEFINE_TPM) && (flags & VMP_UNDEFINE_KEEP_TPM))
        return vmp_fail(error, VMP_ERROR_INVALID,
                        "the TPM's memory can go or be kept, not both");
    if (vmp_machine_is_on(machine))
        return make_transient(machine, flags, error);

    if (!check_points(machine, VMP_POINT_SNAPSHOT, "snapshot",
                      flags & VMP_UNDEFINE_SNAPSHOTS_METADATA, error) ||
        !check_points(machine, VMP_POINT_CHECKPOINT, "checkpoint",
                      flags & VMP_UNDEFINE_CHECKPOINTS_METADATA, error) ||
        !settle_nvram(machine, flags, error))
        return FALSE;
    const VmpDomain *definition = vmp_machine_get_inactive(machine, NULL);
    if (!vmp_store_remove_domain(machine->host->store, machine->row->id, error))
        return FALSE;
    machine->row->id = 0;
    if (!vmp_machine_settle_tpm(machine, definition, flags, error) ||
        !remove_copies(machine, error))
        return FALSE;
    vmp_lock_remove(machine->host, machine->row->uuid);
    return TRUE;
}
