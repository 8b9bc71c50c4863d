/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libvirt's own schemas as an independent judge of documents. */

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#define SCHEMA_DIR "/usr/share/libvirt/schemas"

/* FALSE after skipping the test aloud: no xmllint, or no schemas. */
static inline gboolean
have_schema(const char *schema)
{
    g_autofree char *xmllint = g_find_program_in_path("xmllint");
    g_autofree char *path = g_build_filename(SCHEMA_DIR, schema, NULL);

    if (xmllint && g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    g_test_skip(xmllint ? "libvirt's schemas are not installed in " SCHEMA_DIR
                        : "xmllint is not installed");
    return FALSE;
}

/* What xmllint says to all of @files, in one run since compiling the schema is slow. */
static inline char *
run_xmllint(const char *schema, const GPtrArray *files)
{
    g_autofree char *path = g_build_filename(SCHEMA_DIR, schema, NULL);
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    char *output = NULL;

    g_ptr_array_add(arguments, (char *)"xmllint");
    g_ptr_array_add(arguments, (char *)"--noout");
    g_ptr_array_add(arguments, (char *)"--relaxng");
    g_ptr_array_add(arguments, path);
    for (guint i = 0; i < files->len; i++)
        g_ptr_array_add(arguments, g_ptr_array_index(files, i));
    g_ptr_array_add(arguments, NULL);

    g_spawn_sync(NULL, (char **)arguments->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                 &output, NULL, &error);
    g_assert_no_error(error);
    return output;
}

/* Whether @schema accepts each of @documents; free with g_array_unref(). */
static inline GArray *
judge_documents(const char *schema, const GPtrArray *documents)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmpoint-schema-XXXXXX", &error);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    GArray *verdicts = g_array_new(FALSE, FALSE, sizeof(gboolean));

    g_assert_no_error(error);
    for (guint i = 0; i < documents->len; i++) {
        char *file = g_strdup_printf("%s/%u.xml", dir, i);

        g_ptr_array_add(files, file);
        g_file_set_contents(file, g_ptr_array_index(documents, i), -1, &error);
        g_assert_no_error(error);
    }

    g_autofree char *output = run_xmllint(schema, files);
    for (guint i = 0; i < files->len; i++) {
        g_autofree char *line = g_strconcat(g_ptr_array_index(files, i), " validates\n", NULL);
        gboolean valid = strstr(output, line) != NULL;

        g_array_append_val(verdicts, valid);
        g_unlink(g_ptr_array_index(files, i));
    }
    g_rmdir(dir);
    return verdicts;
}

/* Fails unless @schema accepts each of @documents (of char *), or with @valid FALSE refuses
 * it. */
static inline void
assert_schema_judges(const char *schema, const GPtrArray *documents, gboolean valid)
{
    g_autoptr(GArray) verdicts = judge_documents(schema, documents);

    for (guint i = 0; i < documents->len; i++)
        if (g_array_index(verdicts, gboolean, i) != valid)
            g_error("the schema %s %s", valid ? "refuses" : "accepts",
                    (const char *)g_ptr_array_index(documents, i));
}
