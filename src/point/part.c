/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/part.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "machine/firmware.h"
#include "machine/tpm.h"
#include "plan/sweep.h"
#include "point/steps.h"
#include "storage/state-file.h"
#include "store/edit.h"

/* One file of the machine. */
typedef struct {
    const char *part, *words; /* "the firmware's variables are" */
    char *path;               /* what takes its place; or NULL: it cannot be had */
    const char *inside;       /* its file if that is a folder; else NULL */
    const char *obstacle;     /* why it cannot be had; or NULL */
} Part;

static void
part_free(gpointer data)
{
    Part *part = data;

    g_free(part->path);
    g_free(part);
}

static gboolean
is_foreign(VmpMachine *machine)
{
    return vmp_machine_get_row(machine)->qmp_path != NULL;
}

/* A link is followed, for its target is what is written. */
static void
add_nvram(GPtrArray *parts, char *path /* taken */)
{
    Part *part = g_new0(Part, 1);
    char real[PATH_MAX];

    *part = (Part){ .part = VMP_PART_NVRAM,
                    .words = "the firmware's variables are",
                    .path = g_strdup(realpath(path, real) ? real : path) };
    g_ptr_array_add(parts, part);
    g_free(path);
}

static void
add_tpm(GPtrArray *parts, VmpMachine *machine, const VmpDomainTpm *tpm)
{
    Part *part = g_new0(Part, 1);

    *part = (Part){ .part = VMP_PART_TPM,
                    .words = "what the TPM remembers is",
                    .path = vmp_tpm_folder(vmp_machine_get_host(machine),
                                           vmp_machine_get_uuid(machine)),
                    .inside = VMP_TPM_FILE };
    if (!g_str_equal(tpm->backend, "emulator"))
        part->obstacle = "it is no emulated one, but the host's";
    else if (is_foreign(machine))
        part->obstacle = "it was not started by vmpoint, which does not know where that is";
    g_ptr_array_add(parts, part);
}

/* What @definition's machine has. */
static GPtrArray *
list_parts(VmpMachine *machine, const VmpDomain *definition, VmpPartFlags flags)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(part_free);
    const VmpDomainTpm *tpm = vmp_domain_get_tpm(definition);
    char *nvram =
        flags & VMP_PARTS_NOT_NVRAM ? NULL : vmp_firmware_nvram_path(machine, definition);

    if (nvram)
        add_nvram(parts, nvram);
    if (tpm)
        add_tpm(parts, machine, tpm);
    return parts;
}

static char *
content_path(const char *path, const char *inside)
{
    return inside ? g_build_filename(path, inside, NULL) : g_strdup(path);
}

static guint64
new_mark(void)
{
    return ((guint64)g_random_int() << 32) | g_random_int();
}

gboolean
vmp_part_is_copy(const VmpStoreFile *file)
{
    return file->point &&
           (g_str_equal(file->role, VMP_PART_NVRAM) || g_str_equal(file->role, VMP_PART_TPM));
}

/* The ledger's copies for @snapshot, of VmpStoreFile. */
static GPtrArray *
list_copies(VmpMachine *machine, const char *snapshot, GError **error)
{
    g_autoptr(GPtrArray) files = vmp_store_list_files(vmp_machine_get_store(machine),
                                                      vmp_machine_get_row(machine)->id, error);
    if (!files)
        return NULL;

    for (guint i = files->len; i > 0; i--) {
        const VmpStoreFile *file = g_ptr_array_index(files, i - 1);
        if (!vmp_part_is_copy(file) || g_strcmp0(file->point, snapshot) != 0)
            g_ptr_array_remove_index(files, i - 1);
    }
    return g_steal_pointer(&files);
}

/* ---- making a snapshot ---- */

/* Why it cannot be copied; NULL if it can. */
static char *
find_obstacle(VmpMachine *machine, const Part *part)
{
    g_autofree char *path = content_path(part->path, part->inside);
    struct stat info;

    if (part->obstacle)
        return g_strdup(part->obstacle);
    if (stat(path, &info) == 0)
        return S_ISREG(info.st_mode) ? NULL : g_strdup_printf("'%s' is no file", path);
    /* What our own machine has not made yet it has not. */
    return is_foreign(machine)
               ? g_strdup_printf("it is not known where they are ('%s' is not there)", path)
               : NULL;
}

/* Adds it to @parts; where the copy is going to be, free with g_free(). */
static char *
add_copy(VmpJson *parts, VmpMachine *machine, const Part *part)
{
    guint64 mark = new_mark();
    g_autofree char *name = g_strdup_printf("%s-%016" G_GINT64_MODIFIER "x.%s",
                                            vmp_machine_get_uuid(machine), mark, part->part);
    g_autofree char *from = content_path(part->path, part->inside);
    char *to =
        g_build_filename(vmp_machine_get_host(machine)->state_dir, VMP_HOST_PARTS, name, NULL);

    json_object_array_add(parts, vmp_json_build("s:part", part->part, "s:from", from, "s:to",
                                                to, "i:mark", (gint64)mark, NULL));
    return to;
}

static void
plan_copy(VmpPlan *plan, VmpMachine *machine, const char *snapshot, const Part *part,
          VmpJson *parts)
{
    g_autofree char *path = add_copy(parts, machine, part);
    VmpStoreFile file = {
        .path = path,
        .domain = vmp_machine_get_row(machine)->id,
        .role = (char *)part->part,
        .point = (char *)snapshot,
    };

    vmp_store_edit_put_file(plan->edits, &file);
}

/* Stops the guest unless the plan or somebody else has done so. */
static gboolean
plan_stop(VmpPlan *plan, VmpMachine *machine, gboolean stopped, gboolean *stops,
          GError **error)
{
    VmpState state = VMP_STATE_SHUTOFF;

    if (!stopped && vmp_machine_is_on(machine) &&
        !vmp_machine_query_state(machine, &state, NULL, error))
        return FALSE;
    *stops = !stopped && state == VMP_STATE_RUNNING;
    if (*stops)
        vmp_plan_add(plan, &vmp_step_stop_for_memory,
                     vmp_json_build("b:was-running", TRUE, NULL));
    return TRUE;
}

gboolean
vmp_part_plan_keep(VmpPlan *plan, VmpMachine *machine, const char *snapshot,
                   VmpPartFlags flags, GError **error)
{
    const VmpDomain *definition = vmp_machine_get_definition(machine, error);
    gboolean forgotten = (flags & VMP_PARTS_FORGOTTEN) != 0;
    /* A snapshot of that name whose metadata alone was deleted may have left some. */
    if (!definition || (!forgotten && !vmp_part_plan_retire(plan, machine, snapshot, error)))
        return FALSE;

    g_autoptr(GPtrArray) parts = list_parts(machine, definition, flags);
    g_autoptr(VmpJson) copies = json_object_new_array();
    gboolean stops = FALSE;
    for (guint i = 0; i < parts->len; i++) {
        const Part *part = g_ptr_array_index(parts, i);
        g_autofree char *obstacle = forgotten
                                        ? g_strdup("without metadata nothing knows of a copy")
                                        : find_obstacle(machine, part);
        if (!obstacle)
            plan_copy(plan, machine, snapshot, part, copies);
        else if (!part->inside || !(flags & VMP_PARTS_IN_RAM))
            vmp_operation_warn(vmp_machine_get_operation(machine),
                               "%s not part of the snapshot: %s", part->words, obstacle);
    }
    if (vmp_json_length(copies) == 0)
        return TRUE;
    if (!plan_stop(plan, machine, (flags & VMP_PARTS_STOPPED) != 0, &stops, error))
        return FALSE;
    vmp_plan_add(plan, &vmp_step_keep_parts,
                 vmp_json_build("b:stops", stops, "o:parts", json_object_get(copies), NULL));
    return TRUE;
}

void
vmp_part_plan_seal(VmpPlan *plan)
{
    const VmpStep *keep = vmp_plan_find(plan, &vmp_step_keep_parts);

    if (!keep)
        return;
    const VmpStep *commit = g_ptr_array_index(plan->steps, (guint)plan->commit);
    json_object_object_add(commit->args, "parts",
                           json_object_get(vmp_json_get_array(keep->args, "parts")));
    if (vmp_json_get_bool(keep->args, "stops", FALSE))
        vmp_plan_add(plan, &vmp_step_wake, vmp_json_build("b:was-running", TRUE, NULL));
    vmp_plan_add_cleanup(
        plan, &vmp_step_seal_parts,
        vmp_json_build("o:parts", json_object_get(vmp_json_get_array(keep->args, "parts")),
                       NULL));
}

gboolean
vmp_part_are_kept(VmpJson *parts)
{
    for (guint i = 0; i < vmp_json_length(parts); i++) {
        g_autofree char *content = NULL;
        gsize length = 0;
        if (!vmp_state_file_read(vmp_json_get_string(vmp_json_at(parts, i), "to"), &content,
                                 &length, NULL))
            return FALSE;
    }
    return TRUE;
}

char **
vmp_part_names(VmpMachine *machine, const char *snapshot, GError **error)
{
    g_autoptr(GPtrArray) copies = list_copies(machine, snapshot, error);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();

    for (guint i = 0; copies && i < copies->len; i++)
        g_strv_builder_add(names, ((const VmpStoreFile *)g_ptr_array_index(copies, i))->role);
    return copies ? g_strv_builder_end(names) : NULL;
}

gboolean
vmp_part_plan_clone(VmpPlan *plan, VmpMachine *machine, const char *snapshot,
                    const char *clone, GError **error)
{
    g_autoptr(GPtrArray) copies = list_copies(machine, snapshot, error);
    g_autoptr(VmpJson) parts = json_object_new_array();
    if (!copies || !vmp_part_plan_retire(plan, machine, clone, error))
        return FALSE;

    for (guint i = 0; i < copies->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(copies, i);
        Part part = { .part = file->role, .path = file->path };
        plan_copy(plan, machine, clone, &part, parts);
    }
    if (copies->len > 0)
        vmp_plan_add(plan, &vmp_step_clone_parts,
                     vmp_json_build("o:parts", json_object_get(parts), NULL));
    return TRUE;
}

/* ---- deleting one ---- */

gboolean
vmp_part_plan_retire(VmpPlan *plan, VmpMachine *machine, const char *snapshot, GError **error)
{
    g_autoptr(GPtrArray) copies = list_copies(machine, snapshot, error);

    for (guint i = 0; copies && i < copies->len; i++)
        vmp_plan_retire_file(
            machine, ((const VmpStoreFile *)g_ptr_array_index(copies, i))->path, plan->edits);
    return copies != NULL;
}

/* ---- reverting to one ---- */

void
vmp_part_past_clear(VmpPartPast *past)
{
    g_clear_pointer(&past->files, json_object_put);
}

static const VmpStoreFile *
find_copy(const GPtrArray *copies, const char *part)
{
    for (guint i = 0; i < copies->len; i++) {
        const VmpStoreFile *file = g_ptr_array_index(copies, i);
        if (g_str_equal(file->role, part))
            return file;
    }
    return NULL;
}

char *
vmp_part_content_path(VmpJson *file)
{
    return content_path(vmp_json_get_string(file, "path"),
                        vmp_json_get_string(file, "inside"));
}

gboolean
vmp_part_is_as_kept(VmpJson *file, gboolean *same, GError **error)
{
    const char *copy = vmp_json_get_string(file, "copy");
    g_autofree char *path = vmp_part_content_path(file);
    g_autofree char *past = NULL;
    gsize past_length = 0, present_length = 0;
    if (copy && !vmp_state_file_read(copy, &past, &past_length, error))
        return FALSE;

    g_autofree char *present = vmp_file_read(path, VMP_STATE_FILE_MAX, &present_length, NULL);
    *same = past && present
                ? past_length == present_length && memcmp(past, present, past_length) == 0
                : !past && !g_file_test(path, G_FILE_TEST_EXISTS);
    return TRUE;
}

static VmpJson *
past_file(const Part *part, const char *copy)
{
    g_autofree char *staged =
        g_strdup_printf("%s.vmp-%016" G_GINT64_MODIFIER "x", part->path, new_mark());

    return vmp_json_build("s:part", part->part, "S:copy", copy, "s:path", part->path,
                          "S:inside", part->inside, "s:staged", staged, NULL);
}

/* @copy NULL: there is none, and none is needed. */
static gboolean
look_at(const Part *part, const char *copy, VmpPartPast *past, GError **error)
{
    VmpJson *file = past_file(part, copy);
    gboolean same = FALSE;

    json_object_array_add(past->files, file);
    if (!vmp_part_is_as_kept(file, &same, error))
        return FALSE;
    past->differ |= !same;
    return TRUE;
}

/* Has it to be put back at all? */
static gboolean
is_wanted(VmpMachine *machine, const Part *part, const char *snapshot, gboolean has_copy,
          gboolean in_ram)
{
    /* A second process must not find the folder of the first, but makes the file by itself. */
    gboolean wanted = !part->obstacle && (has_copy || (in_ram && part->inside));

    if (wanted || in_ram)
        return wanted;
    if (has_copy)
        vmp_operation_warn(vmp_machine_get_operation(machine), "%s not put back: %s",
                           part->words, part->obstacle);
    else
        vmp_operation_warn(vmp_machine_get_operation(machine),
                           "snapshot '%s' was made without a part of the machine: %s what it "
                           "was before",
                           snapshot, part->words);
    return FALSE;
}

gboolean
vmp_part_look(VmpMachine *machine, const VmpDomain *definition, const char *snapshot,
              VmpPartFlags flags, VmpPartPast *past, GError **error)
{
    g_autoptr(GPtrArray) copies = list_copies(machine, snapshot, error);
    g_autoptr(GPtrArray) parts = list_parts(machine, definition, flags);
    if (!copies)
        return FALSE;

    past->files = json_object_new_array();
    for (guint i = 0; i < parts->len; i++) {
        const Part *part = g_ptr_array_index(parts, i);
        const VmpStoreFile *copy = find_copy(copies, part->part);
        if (is_wanted(machine, part, snapshot, copy != NULL,
                      (flags & VMP_PARTS_IN_RAM) != 0) &&
            !look_at(part, copy ? copy->path : NULL, past, error))
            return FALSE;
    }
    return TRUE;
}

static void
plan_import(VmpPlan *plan, VmpMachine *machine, const Part *part, const char *from,
            VmpPartPast *past)
{
    Part source = { .part = part->part, .path = (char *)from };
    VmpJson *copies = json_object_new_array();
    g_autofree char *copy = add_copy(copies, machine, &source);
    VmpStoreFile file = { .path = copy,
                          .domain = vmp_machine_get_row(machine)->id,
                          .role = (char *)VMP_FILE_RETIRED };

    vmp_plan_add(plan, &vmp_step_keep_parts, vmp_json_build("o:parts", copies, NULL));
    json_object_array_add(past->files, past_file(part, copy));
    vmp_store_edit_put_file(plan->edits, &file);
}

void
vmp_part_plan_import(VmpPlan *plan, VmpMachine *machine, const VmpDomain *definition,
                     const char *nvram, const char *tpm, VmpPartPast *past)
{
    g_autoptr(GPtrArray) parts = list_parts(machine, definition, 0);

    past->files = json_object_new_array();
    for (guint i = 0; i < parts->len; i++) {
        const Part *part = g_ptr_array_index(parts, i);
        const char *from = g_str_equal(part->part, VMP_PART_NVRAM) ? nvram : tpm;
        if (from && !part->obstacle)
            plan_import(plan, machine, part, from, past);
        else
            vmp_operation_warn(vmp_machine_get_operation(machine),
                               "%s not part of the restore point: that stays what it is now",
                               part->words);
    }
}

static VmpJson *
past_to_json(const VmpPartPast *past)
{
    return vmp_json_build("o:files", json_object_get(past->files), NULL);
}

void
vmp_part_plan_stage(VmpPlan *plan, const VmpPartPast *past)
{
    if (vmp_json_length(past->files) > 0)
        vmp_plan_add(plan, &vmp_step_stage_parts, past_to_json(past));
}

void
vmp_part_plan_check(VmpPlan *plan, const VmpPartPast *past)
{
    if (vmp_json_length(past->files) > 0)
        vmp_plan_add(plan, &vmp_step_check_parts, past_to_json(past));
}

void
vmp_part_plan_put(VmpPlan *plan, const VmpPartPast *past)
{
    if (vmp_json_length(past->files) == 0)
        return;
    if (plan->commit >= 0) {
        vmp_plan_add(plan, &vmp_step_put_parts, past_to_json(past));
        return;
    }
    vmp_plan_add_commit(plan, &vmp_step_put_parts, past_to_json(past));
    plan->mark_commit = TRUE;
}

const char *
vmp_part_staged_path(const VmpPartPast *past, const char *part)
{
    for (guint i = 0; i < vmp_json_length(past->files); i++) {
        VmpJson *file = vmp_json_at(past->files, i);
        if (g_strcmp0(vmp_json_get_string(file, "part"), part) == 0)
            return vmp_json_get_string(file, "staged");
    }
    return NULL;
}

/* ---- the present, while the past is loaded ---- */

VmpJson *
vmp_part_plan_guard(VmpPlan *plan, VmpMachine *machine, const VmpDomain *definition)
{
    g_autoptr(GPtrArray) list = list_parts(machine, definition, VMP_PARTS_NOT_NVRAM);
    g_autoptr(VmpJson) parts = json_object_new_array();

    for (guint i = 0; i < list->len; i++) {
        const Part *part = g_ptr_array_index(list, i);
        if (!part->obstacle)
            g_free(add_copy(parts, machine, part));
    }
    if (vmp_json_length(parts) == 0)
        return NULL;
    vmp_plan_add(plan, &vmp_step_keep_parts,
                 vmp_json_build("b:stops", FALSE, "o:parts", json_object_get(parts), NULL));
    return g_steal_pointer(&parts);
}

void
vmp_part_plan_drop(VmpPlan *plan, VmpJson *parts)
{
    if (parts)
        vmp_plan_add_cleanup(plan, &vmp_step_drop_parts,
                             vmp_json_build("o:parts", json_object_get(parts), NULL));
}
