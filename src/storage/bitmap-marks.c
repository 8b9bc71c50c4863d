/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Of qcow2 (docs/interop/qcow2.txt of QEMU), all numbers big-endian:
 *
 *   header, bytes 88..95     autoclear features; bit 0: the bitmaps are consistent
 *   extension 0x23852875     u32 bitmaps, u32 0, u64 size and u64 offset of their directory
 *   directory, for each      u64, u32, u32 flags (bit 0: in use), u8, u8, u16 length of the
 * name, u32 length of extra data, both of these; padded to 8 bytes
 *
 * QEMU rewrites the directory where it is to set the marks.
 */

#include "storage/bitmap-marks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "storage/qcow2-bytes.h"
#include "storage/qcow2.h"

#define EXTENSION_BITMAPS 0x23852875u
#define IN_USE 1u

/* An entry without its name. */
#define ENTRY_LENGTH 24
#define ENTRY_FLAGS 12

/* Of a directory; thousands of bitmaps. */
#define MAX_DIRECTORY (1024 * 1024)

/* What QEMU locks of an image that it has open. */
#define LOCK_START 100
#define LOCK_LENGTH 200

typedef struct {
    char *path;
    guint64 offset;
    GByteArray *directory;
} Image;

struct _VmpBitmapMarks {
    GPtrArray *images; /* of Image */
};

static void
image_free(Image *image)
{
    g_clear_pointer(&image->directory, g_byte_array_unref);
    g_free(image->path);
    g_free(image);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)

/* ---- the directory ---- */

/* FALSE: there are no bitmaps, or none that are worth anything. */
static gboolean
find_directory(int fd, guint64 *offset, guint64 *size)
{
    guint8 extension[24];
    guint64 autoclear = 0;

    if (!vmp_qcow2_read_extension(fd, EXTENSION_BITMAPS, extension, sizeof extension,
                                  &autoclear) ||
        !(autoclear & 1))
        return FALSE;
    *size = vmp_qcow2_get64(extension + 8);
    *offset = vmp_qcow2_get64(extension + 16);
    return *size > 0 && *size <= MAX_DIRECTORY;
}

static Image *
read_image(int fd, const char *path)
{
    g_autoptr(Image) image = g_new0(Image, 1);
    guint64 size = 0;

    if (!find_directory(fd, &image->offset, &size))
        return NULL;
    image->path = g_strdup(path);
    image->directory = g_byte_array_new();
    g_byte_array_set_size(image->directory, (guint)size);
    if (TEMP_FAILURE_RETRY(pread(fd, image->directory->data, size, (off_t)image->offset)) !=
        (gssize)size)
        return NULL;
    return g_steal_pointer(&image);
}

/* Where the entry at @at ends; 0 if it is none. */
static guint64
end_of_entry(const GByteArray *directory, guint64 at)
{
    if (at + ENTRY_LENGTH > directory->len)
        return 0;

    const guint8 *entry = directory->data + at;
    guint64 name = (guint64)entry[18] << 8 | entry[19];
    guint64 length = ENTRY_LENGTH + name + vmp_qcow2_get32(entry + 20);
    guint64 end = at + (length + 7) / 8 * 8;
    return end <= directory->len ? end : 0;
}

/* ---- putting back ---- */

/* The same list, with marks in @now that @before has not? */
static gboolean
differs_in_marks_alone(const GByteArray *before, const GByteArray *now)
{
    g_autoptr(GByteArray) marked = NULL;
    guint64 at = 0, end = 0;

    if (before->len != now->len)
        return FALSE;
    marked = g_byte_array_new();
    g_byte_array_append(marked, before->data, before->len);
    for (; at < before->len; at = end) {
        end = end_of_entry(before, at);
        if (end == 0)
            return FALSE;
        /* The lowest bit of a big-endian number. */
        marked->data[at + ENTRY_FLAGS + 3] |= now->data[at + ENTRY_FLAGS + 3] & IN_USE;
    }
    return memcmp(marked->data, now->data, now->len) == 0 &&
           memcmp(before->data, now->data, now->len) != 0;
}

/* Until @fd is closed no QEMU opens the image. */
static gboolean
lock(int fd)
{
    struct flock all = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_START, .l_len = LOCK_LENGTH
    };

    return fcntl(fd, F_OFD_SETLK, &all) == 0;
}

static void
restore_image(const Image *before)
{
    g_auto(VmpFd) fd = open(before->path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || !lock(fd))
        return;

    g_autoptr(Image) now = read_image(fd, before->path);
    if (!now || now->offset != before->offset ||
        !differs_in_marks_alone(before->directory, now->directory))
        return;
    g_autoptr(GError) failure = NULL;
    if (!vmp_file_write_at(fd, before->directory->data, before->directory->len, before->offset,
                           &failure) ||
        fdatasync(fd) < 0)
        g_debug("cannot take the marks of bitmaps back: %s",
                failure ? failure->message : g_strerror(errno));
}

/* ---- for others ---- */

VmpBitmapMarks *
vmp_bitmap_marks_new(const GPtrArray *paths)
{
    VmpBitmapMarks *marks = g_new0(VmpBitmapMarks, 1);

    marks->images = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
    for (guint i = 0; i < paths->len; i++) {
        const char *path = g_ptr_array_index(paths, i);
        g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC);
        Image *image = fd >= 0 ? read_image(fd, path) : NULL;
        if (image)
            g_ptr_array_add(marks->images, image);
    }
    return marks;
}

void
vmp_bitmap_marks_free(VmpBitmapMarks *marks)
{
    if (!marks)
        return;
    g_ptr_array_unref(marks->images);
    g_free(marks);
}

void
vmp_bitmap_marks_restore(const VmpBitmapMarks *marks)
{
    for (guint i = 0; i < marks->images->len; i++)
        restore_image(g_ptr_array_index(marks->images, i));
}
