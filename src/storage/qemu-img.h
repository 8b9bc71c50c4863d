/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Running qemu-img: names that it cannot take for anything else, and what its words say about
 * the cause of a failure.  What it is asked to do is in image*.c.
 */

#include <gio/gio.h>

#include "base/error.h"
#include "base/json.h"

/* "qemu-img @command", and the words that follow; free with g_strv_builder_unref(). */
GStrvBuilder *vmp_qemu_img_new(const char *command, ...) G_GNUC_NULL_TERMINATED;
/* Nothing if @value is NULL. */
void vmp_qemu_img_add_option(GStrvBuilder *arguments, const char *option, const char *value);
/* An export is opened with a limit of time, which a URI does not say. */
void vmp_qemu_img_add_image(GStrvBuilder *arguments, const char *path, const char *format);

/* Never a name that qemu-img could take for an option or a protocol; free with g_free(). */
char *vmp_qemu_img_path(const char *path);
/* A name by which qemu-img opens an image as @format (NULL = it looks) where it takes no -f
 * and would guess.  @alone: without what is below, which may be open elsewhere, and be written
 * to.  Free with g_free(). */
char *vmp_qemu_img_name(const char *path, const char *format, gboolean alone);

/* Ends @arguments, runs them and waits; *out (optional) is what was printed.  A failure has
 * qemu-img's words, and the code that they say. */
gboolean vmp_qemu_img_run(const GStrvBuilder *arguments, char **out, GCancellable *cancellable,
                          GError **error);
/* Fails with those words; always FALSE. */
gboolean vmp_qemu_img_fail(const char *words, GError **error);
