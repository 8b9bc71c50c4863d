/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/firmware.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "storage/image.h"

#define DESCRIPTOR_MAX (1 << 20)
#define VARIABLES_MAX ((gsize)64 << 20)

void
vmp_firmware_clear(VmpFirmware *firmware)
{
    g_clear_pointer(&firmware->loader, g_free);
    g_clear_pointer(&firmware->loader_format, g_free);
    g_clear_pointer(&firmware->nvram, g_free);
    g_clear_pointer(&firmware->nvram_format, g_free);
    g_clear_pointer(&firmware->template_path, g_free);
    g_clear_pointer(&firmware->template_format, g_free);
}

/* ---- descriptors ---- */

static gboolean
has_word(VmpJson *object, const char *key, const char *word)
{
    g_auto(GStrv) words = vmp_json_get_strv(object, key);

    return g_strv_contains((const char *const *)words, word);
}

/* Descriptors speak of versioned machine types ("pc-q35-*"). */
static gboolean
fits_machine(VmpJson *target, const char *machine)
{
    g_autofree char *full = g_str_equal(machine, "q35")  ? g_strdup("pc-q35-7.2")
                            : g_str_equal(machine, "pc") ? g_strdup("pc-i440fx-7.2")
                                                         : g_strdup(machine);
    g_auto(GStrv) patterns = vmp_json_get_strv(target, "machines");

    for (guint i = 0; patterns[i]; i++) {
        if (g_pattern_match_simple(patterns[i], full))
            return TRUE;
    }
    return FALSE;
}

gboolean
vmp_firmware_fits(VmpJson *descriptor, const VmpDomainOs *os)
{
    VmpJson *mapping = vmp_json_get_object(descriptor, "mapping");
    VmpJson *targets = vmp_json_get_array(descriptor, "targets");
    gboolean is_secure = has_word(descriptor, "features", "secure-boot");

    if (!has_word(descriptor, "interface-types", "uefi") ||
        g_strcmp0(vmp_json_get_string(mapping, "device"), "flash") != 0 ||
        is_secure != os->loader_secure)
        return FALSE;
    for (guint i = 0; i < vmp_json_length(targets); i++) {
        VmpJson *target = vmp_json_at(targets, i);
        if (g_strcmp0(vmp_json_get_string(target, "architecture"),
                      os->arch ? os->arch : "x86_64") == 0 &&
            fits_machine(target, os->machine ? os->machine : "pc"))
            return TRUE;
    }
    return FALSE;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the descriptors in the order of their precedence. */
static GPtrArray *
list_descriptors(const char *folder)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name = dir ? g_dir_read_name(dir) : NULL; name;
         name = g_dir_read_name(dir)) {
        if (g_str_has_suffix(name, ".json"))
            g_ptr_array_add(names, g_build_filename(folder, name, NULL));
    }
    g_ptr_array_sort(names, compare_names);
    return names;
}

static void
take_descriptor(VmpFirmware *firmware, VmpJson *descriptor)
{
    VmpJson *mapping = vmp_json_get_object(descriptor, "mapping");
    VmpJson *executable = vmp_json_get_object(mapping, "executable");
    VmpJson *variables = vmp_json_get_object(mapping, "nvram-template");

    firmware->loader = g_strdup(vmp_json_get_string(executable, "filename"));
    firmware->loader_format = g_strdup(vmp_json_get_string(executable, "format"));
    firmware->template_path = g_strdup(vmp_json_get_string(variables, "filename"));
    firmware->template_format = g_strdup(vmp_json_get_string(variables, "format"));
}

/* The first descriptor that fits, or that is of the loader which the definition names. */
static void
find_descriptor(VmpFirmware *firmware, const VmpDomainOs *os)
{
    static const char *const folders[] = { "/etc/qemu/firmware", "/usr/share/qemu/firmware" };

    for (guint f = 0; f < G_N_ELEMENTS(folders); f++) {
        g_autoptr(GPtrArray) names = list_descriptors(folders[f]);
        for (guint i = 0; i < names->len; i++) {
            g_autofree char *text =
                vmp_file_read(g_ptr_array_index(names, i), DESCRIPTOR_MAX, NULL, NULL);
            g_autoptr(VmpJson) descriptor = text ? vmp_json_parse(text, -1, NULL) : NULL;
            g_auto(VmpFirmware) found = { 0 };

            take_descriptor(&found, descriptor);
            if (!found.loader || (os->loader ? g_strcmp0(found.loader, os->loader) != 0
                                             : !vmp_firmware_fits(descriptor, os)))
                continue;
            *firmware = found;
            found = (VmpFirmware){ 0 };
            return;
        }
    }
}

/* ---- the domain's variables ---- */

static gboolean
write_variables(const VmpFirmware *firmware, GCancellable *cancellable, GError **error)
{
    const char *template_format =
        firmware->template_format ? firmware->template_format : "raw";

    if (g_strcmp0(template_format, firmware->nvram_format) != 0) {
        VmpImageSpec target = { .path = firmware->nvram, .format = firmware->nvram_format };
        return vmp_file_remove(firmware->nvram, error) &&
               vmp_image_convert(firmware->template_path, template_format, &target,
                                 cancellable, error);
    }

    gsize length = 0;
    g_autofree char *content =
        vmp_file_read(firmware->template_path, VARIABLES_MAX, &length, error);
    return content && vmp_file_replace(firmware->nvram, content, (gssize)length, 0600, error);
}

static gboolean
make_variables(VmpMachine *machine, const VmpFirmware *firmware, gboolean reset,
               GError **error)
{
    gboolean exists = g_file_test(firmware->nvram, G_FILE_TEST_EXISTS);
    if (exists && !reset)
        return TRUE;
    if (!firmware->template_path)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "there is no template to make the firmware "
                        "variables '%s' from: name one in <nvram template=>",
                        firmware->nvram);

    g_autofree char *folder = g_path_get_dirname(firmware->nvram);
    if (!vmp_dir_ensure(folder, 0700, error) ||
        !write_variables(firmware,
                         vmp_operation_get_cancellable(vmp_machine_get_operation(machine)),
                         error))
        return FALSE;
    if (exists)
        return TRUE;

    VmpStoreFile file = {
        .path = firmware->nvram,
        .domain = vmp_machine_get_row(machine)->id,
        .role = (char *)"nvram",
    };
    return vmp_store_put_file(vmp_machine_get_store(machine), &file, error);
}

static char *
default_nvram(VmpMachine *machine)
{
    g_autofree char *name = g_strconcat(vmp_machine_get_name(machine), "_VARS.fd", NULL);

    return g_build_filename(vmp_machine_get_host(machine)->state_dir, "nvram", name, NULL);
}

static void
replace(char **place, const char *value)
{
    if (!value)
        return;
    g_free(*place);
    *place = g_strdup(value);
}

static gboolean
is_flash(const VmpDomainOs *os)
{
    return g_strcmp0(os->firmware, "efi") == 0 || g_strcmp0(os->loader_type, "pflash") == 0;
}

char *
vmp_firmware_nvram_path(VmpMachine *machine, const VmpDomain *definition)
{
    const VmpDomainOs *os = vmp_domain_get_os(definition);

    if (!is_flash(os))
        return NULL;
    return os->nvram ? g_strdup(os->nvram) : default_nvram(machine);
}

gboolean
vmp_firmware_prepare(VmpMachine *machine, const VmpDomain *definition, gboolean reset,
                     VmpFirmware *firmware, GError **error)
{
    const VmpDomainOs *os = vmp_domain_get_os(definition);

    if (!is_flash(os))
        return TRUE;
    find_descriptor(firmware, os);
    if (os->firmware && !os->loader && !firmware->loader)
        return vmp_fail(error, VMP_ERROR_UNSUPPORTED,
                        "<os firmware='efi'>: none of QEMU's "
                        "firmware descriptors fits; is package ovmf installed?");

    replace(&firmware->template_path, os->nvram_template);
    /* Without either, the firmware is one that keeps its variables in itself, or none. */
    if (!os->nvram && !firmware->template_path)
        return TRUE;
    firmware->nvram = os->nvram ? g_strdup(os->nvram) : default_nvram(machine);
    firmware->nvram_format = g_strdup(os->nvram_format            ? os->nvram_format
                                      : firmware->template_format ? firmware->template_format
                                                                  : "raw");
    return make_variables(machine, firmware, reset, error);
}
