/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/file.h"

/* Before anything else is asked of it; that initializes it. */
static void
initialize(void)
{
    static gsize done = 0;

    if (!g_once_init_enter(&done))
        return;
    gcry_check_version(NULL);
    g_once_init_leave(&done, 1);
}

void
vmp_digest_compute(const void *data, gsize length, VmpDigest *digest)
{
    initialize();
    gcry_md_hash_buffer(GCRY_MD_SHA256, digest->bytes, data, length);
}

gboolean
vmp_digest_equal(const VmpDigest *one, const VmpDigest *other)
{
    return memcmp(one->bytes, other->bytes, VMP_DIGEST_SIZE) == 0;
}

char *
vmp_digest_to_text(const VmpDigest *digest)
{
    GString *text = g_string_sized_new(2 * VMP_DIGEST_SIZE);

    for (guint i = 0; i < VMP_DIGEST_SIZE; i++)
        g_string_append_printf(text, "%02x", digest->bytes[i]);
    return g_string_free(text, FALSE);
}

struct _VmpDigester {
    gcry_md_hd_t handle;
};

VmpDigester *
vmp_digester_new(void)
{
    VmpDigester *digester = g_new0(VmpDigester, 1);

    initialize();
    /* Fails where the algorithm is forbidden or memory has gone; then nothing can be proved.
     */
    if (gcry_md_open(&digester->handle, GCRY_MD_SHA256, 0) != 0)
        g_error("libgcrypt has no SHA-256");
    return digester;
}

void
vmp_digester_free(VmpDigester *digester)
{
    if (!digester)
        return;
    gcry_md_close(digester->handle);
    g_free(digester);
}

void
vmp_digester_add(VmpDigester *digester, const void *data, gsize length)
{
    gcry_md_write(digester->handle, data, length);
}

void
vmp_digester_end(VmpDigester *digester, VmpDigest *digest)
{
    memcpy(digest->bytes, gcry_md_read(digester->handle, GCRY_MD_SHA256), VMP_DIGEST_SIZE);
}

/* Up to @length bytes; fewer only at the end of the file; -1 with errno. */
static gssize
read_piece(int fd, guint8 *buffer, gsize length)
{
    gsize filled = 0;

    while (filled < length) {
        gssize got = TEMP_FAILURE_RETRY(read(fd, buffer + filled, length - filled));
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        filled += (gsize)got;
    }
    return (gssize)filled;
}

gboolean
vmp_digest_file(const char *path, gsize piece, GArray *sums, VmpDigest *digest, guint64 *size,
                GCancellable *cancellable, GError **error)
{
    g_auto(VmpFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    g_autofree guint8 *buffer = g_malloc(piece);
    g_autoptr(VmpDigester) digester = vmp_digester_new();
    guint64 total = 0;

    if (fd < 0)
        return vmp_fail_errno(error, errno, "cannot open '%s'", path);
    for (;;) {
        if (g_cancellable_is_cancelled(cancellable))
            return vmp_fail(error, VMP_ERROR_INTERRUPTED, "interrupted while reading '%s'",
                            path);
        gssize got = read_piece(fd, buffer, piece);
        if (got < 0)
            return vmp_fail_errno(error, errno, "cannot read '%s' at byte %" G_GUINT64_FORMAT,
                                  path, total);
        if (got == 0)
            break;
        guint64 sum = sums ? XXH3_64bits(buffer, (gsize)got) : 0;
        if (sums)
            g_array_append_val(sums, sum);
        vmp_digester_add(digester, buffer, (gsize)got);
        total += (guint64)got;
    }
    vmp_digester_end(digester, digest);
    *size = total;
    return TRUE;
}
