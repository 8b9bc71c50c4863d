/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VmpDelta: a text, told by another one that resembles it (its base).
 *
 *     text = first @prefix bytes of the base
 *          + a zstd frame, compressed with the base's middle as its prefix
 *          + last @suffix bytes of the base
 *
 * The base's middle is what neither @prefix nor @suffix covers.  Two definitions mostly
 * differ in a line: comparing them is as quick as memory is, and what is left for
 * zstd is short.  Where they differ at both ends, zstd finds what they share between.
 *
 * A text without a base is one whose base is empty ("", 0).
 */

#include <glib.h>

/* Longest text.  Text and base then fit zstd's default window of 128 MiB. */
#define VMP_DELTA_MAX ((gsize)64 << 20)

typedef struct {
    gsize prefix;
    gsize suffix;
    char *data; /* zstd frame */
    gsize size;
} VmpDelta;

void vmp_delta_clear(VmpDelta *delta);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpDelta, vmp_delta_clear)

/* zstd's working memory, for any number of calls. */
typedef struct _VmpDeltaCodec VmpDeltaCodec;

VmpDeltaCodec *vmp_delta_codec_new(void);
void vmp_delta_codec_free(VmpDeltaCodec *codec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpDeltaCodec, vmp_delta_codec_free)

/* Neither text may be longer than VMP_DELTA_MAX bytes.  What was in @delta is dropped. */
void vmp_delta_encode(VmpDeltaCodec *codec, const char *base, gsize base_length,
                      const char *text, gsize length, VmpDelta *delta);

/* The text, ended by a NUL that does not count, or NULL if no text of @length bytes has
 * this delta.  Never trusts a number in @delta. */
char *vmp_delta_decode(VmpDeltaCodec *codec, const char *base, gsize base_length,
                       const VmpDelta *delta, gsize length);

/* The same for the middle alone: @delta->prefix and @delta->suffix are given, and need not be
 * the longest ones. */
void vmp_delta_encode_middle(VmpDeltaCodec *codec, const char *base, gsize base_length,
                             gsize prefix, gsize suffix, const char *middle, gsize length,
                             VmpDelta *delta);
/* @length is that of the whole text. */
char *vmp_delta_decode_middle(VmpDeltaCodec *codec, const char *base, gsize base_length,
                              const VmpDelta *delta, gsize length);
