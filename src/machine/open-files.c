/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/open-files.h"

#include <string.h>
#include <sys/stat.h>

#define DELETED " (deleted)"

typedef struct {
    char *path;
    dev_t device;
    ino_t inode;
} File;

struct _VmpOpenFiles {
    char *cwd;        /* NULL if the kernel does not tell */
    GPtrArray *files; /* of File */
};

static void
file_free(gpointer data)
{
    File *file = data;

    g_free(file->path);
    g_free(file);
}

static void
add_file(VmpOpenFiles *files, const char *link)
{
    g_autofree char *path = g_file_read_link(link, NULL);
    struct stat info;

    if (!path || path[0] != '/' || stat(link, &info) < 0)
        return;
    if (g_str_has_suffix(path, DELETED))
        path[strlen(path) - strlen(DELETED)] = '\0';

    File *file = g_new(File, 1);
    *file = (File){ g_steal_pointer(&path), info.st_dev, info.st_ino };
    g_ptr_array_add(files->files, file);
}

VmpOpenFiles *
vmp_open_files_read(GPid pid)
{
    VmpOpenFiles *files = g_new(VmpOpenFiles, 1);
    g_autofree char *cwd = g_strdup_printf("/proc/%d/cwd", (int)pid);
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)pid);
    g_autoptr(GDir) links = g_dir_open(folder, 0, NULL);
    const char *name;

    files->cwd = g_file_read_link(cwd, NULL);
    files->files = g_ptr_array_new_with_free_func(file_free);
    while (links && (name = g_dir_read_name(links))) {
        g_autofree char *link = g_build_filename(folder, name, NULL);
        add_file(files, link);
    }
    return files;
}

void
vmp_open_files_free(VmpOpenFiles *files)
{
    if (!files)
        return;
    g_ptr_array_unref(files->files);
    g_free(files->cwd);
    g_free(files);
}

/* Is that file open?  TRUE as well for any that is there if nothing is known. */
static gboolean
has_open(const VmpOpenFiles *files, const char *path)
{
    struct stat info;

    if (stat(path, &info) < 0)
        return FALSE;
    for (guint i = 0; i < files->files->len; i++) {
        const File *file = g_ptr_array_index(files->files, i);
        if (file->device == info.st_dev && file->inode == info.st_ino)
            return TRUE;
    }
    return files->files->len == 0;
}

/* The only open file whose path ends with @end; borrowed. */
static const char *
find_ending(const VmpOpenFiles *files, const char *end)
{
    const char *found = NULL;

    for (guint i = 0; i < files->files->len; i++) {
        const File *file = g_ptr_array_index(files->files, i);

        if (!g_str_has_suffix(file->path, end) || g_strcmp0(found, file->path) == 0)
            continue;
        if (found)
            return NULL;
        found = file->path;
    }
    return found;
}

char *
vmp_open_files_find(const VmpOpenFiles *files, const char *relative)
{
    g_autofree char *here = files->cwd ? g_canonicalize_filename(relative, files->cwd) : NULL;
    if (here && has_open(files, here))
        return g_steal_pointer(&here);

    /* "/a/b" of "./a/b" and of "../a/b". */
    g_autofree char *end = g_canonicalize_filename(relative, "/");
    return g_strdup(find_ending(files, end));
}
