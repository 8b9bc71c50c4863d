/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SHA-256: whether bytes are the ones that were written, even to somebody who means harm.
 *
 * libgcrypt's, for it uses the processor's instructions: GLib's own takes four times as long.
 */

#include <gio/gio.h>

#define VMP_DIGEST_SIZE 32

typedef struct {
    guint8 bytes[VMP_DIGEST_SIZE];
} VmpDigest;

void vmp_digest_compute(const void *data, gsize length, VmpDigest *digest);
gboolean vmp_digest_equal(const VmpDigest *one, const VmpDigest *other);
/* As sha256sum prints it; free with g_free(). */
char *vmp_digest_to_text(const VmpDigest *digest);

/* The digest of something that comes in parts. */
typedef struct _VmpDigester VmpDigester;

VmpDigester *vmp_digester_new(void);
void vmp_digester_free(VmpDigester *digester);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDigester, vmp_digester_free)
void vmp_digester_add(VmpDigester *digester, const void *data, gsize length);
/* What was added so far; nothing can be added any more. */
void vmp_digester_end(VmpDigester *digester, VmpDigest *digest);

/* Of a file as a whole.  @sums (or NULL) gets a quick 64-bit sum of each @piece bytes, which
 * tells where a file was damaged, not whether. */
gboolean vmp_digest_file(const char *path, gsize piece, GArray *sums, VmpDigest *digest,
                         guint64 *size, GCancellable *cancellable, GError **error);
