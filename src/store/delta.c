/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/delta.h"

#include <string.h>
#include <zstd.h>

#define LEVEL 3
#define DISTANT (512 << 10)
#define COMPARE_BLOCK 4096

struct _VmpDeltaCodec {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
};

void
vmp_delta_clear(VmpDelta *delta)
{
    g_clear_pointer(&delta->data, g_free);
    *delta = (VmpDelta){ 0 };
}

VmpDeltaCodec *
vmp_delta_codec_new(void)
{
    VmpDeltaCodec *codec = g_new0(VmpDeltaCodec, 1);

    codec->compressor = ZSTD_createCCtx();
    codec->decompressor = ZSTD_createDCtx();
    if (!codec->compressor || !codec->decompressor)
        g_error("no memory for zstd"); /* as g_malloc() would */
    return codec;
}

void
vmp_delta_codec_free(VmpDeltaCodec *codec)
{
    if (!codec)
        return;
    ZSTD_freeCCtx(codec->compressor);
    ZSTD_freeDCtx(codec->decompressor);
    g_free(codec);
}

/* memcmp() is many times quicker than a loop of our own, but does not say where. */
static gsize
common_prefix(const char *a, const char *b, gsize length)
{
    gsize same = 0;

    while (length - same >= COMPARE_BLOCK && memcmp(a + same, b + same, COMPARE_BLOCK) == 0)
        same += COMPARE_BLOCK;
    while (same < length && a[same] == b[same])
        same++;
    return same;
}

/* @a and @b point behind the last byte. */
static gsize
common_suffix(const char *a, const char *b, gsize length)
{
    gsize same = 0;

    while (length - same >= COMPARE_BLOCK &&
           memcmp(a - same - COMPARE_BLOCK, b - same - COMPARE_BLOCK, COMPARE_BLOCK) == 0)
        same += COMPARE_BLOCK;
    while (same < length && a[-1 - (gssize)same] == b[-1 - (gssize)same])
        same++;
    return same;
}

static int
window_log(gsize bytes)
{
    int log = 10; /* zstd's least */

    while (((gsize)1 << log) < bytes)
        log++;
    return log;
}

/* The parameters are all within their bounds, and compressing in memory into a buffer of
 * ZSTD_compressBound() bytes has no way to fail but for a bug. */
static void
must_succeed(size_t result)
{
    if (ZSTD_isError(result))
        g_error("zstd: %s", ZSTD_getErrorName(result));
}

static void
compress(ZSTD_CCtx *compressor, const char *prefix, gsize prefix_length, const char *text,
         gsize length, VmpDelta *delta)
{
    gsize bound = ZSTD_compressBound(length);

    ZSTD_CCtx_reset(compressor, ZSTD_reset_session_and_parameters);
    must_succeed(ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, LEVEL));
    must_succeed(ZSTD_CCtx_setParameter(compressor, ZSTD_c_windowLog,
                                        window_log(prefix_length + length)));
    /* The tables of this level forget what is further back than this. */
    if (prefix_length + length > DISTANT)
        must_succeed(ZSTD_CCtx_setParameter(compressor, ZSTD_c_enableLongDistanceMatching, 1));
    must_succeed(ZSTD_CCtx_refPrefix(compressor, prefix, prefix_length));

    delta->data = g_malloc(bound);
    delta->size = ZSTD_compress2(compressor, delta->data, bound, text, length);
    must_succeed(delta->size);
    delta->data = g_realloc(delta->data, delta->size);
}

void
vmp_delta_encode_middle(VmpDeltaCodec *codec, const char *base, gsize base_length,
                        gsize prefix, gsize suffix, const char *middle, gsize length,
                        VmpDelta *delta)
{
    vmp_delta_clear(delta);
    delta->prefix = prefix;
    delta->suffix = suffix;
    compress(codec->compressor, base + prefix, base_length - prefix - suffix, middle, length,
             delta);
}

void
vmp_delta_encode(VmpDeltaCodec *codec, const char *base, gsize base_length, const char *text,
                 gsize length, VmpDelta *delta)
{
    gsize most = MIN(base_length, length);
    gsize prefix = common_prefix(base, text, most);
    gsize suffix = common_suffix(base + base_length, text + length, most - prefix);

    vmp_delta_encode_middle(codec, base, base_length, prefix, suffix, text + prefix,
                            length - prefix - suffix, delta);
}

static gboolean
decompress(ZSTD_DCtx *decompressor, const char *prefix, gsize prefix_length,
           const VmpDelta *delta, char *text, gsize length)
{
    ZSTD_DCtx_reset(decompressor, ZSTD_reset_session_and_parameters);
    must_succeed(ZSTD_DCtx_refPrefix(decompressor, prefix, prefix_length));
    return ZSTD_decompressDCtx(decompressor, text, length, delta->data, delta->size) == length;
}

char *
vmp_delta_decode(VmpDeltaCodec *codec, const char *base, gsize base_length,
                 const VmpDelta *delta, gsize length)
{
    gsize most = MIN(base_length, length);
    if (length > VMP_DELTA_MAX || delta->prefix > most || delta->suffix > most - delta->prefix)
        return NULL;

    gsize around = delta->prefix + delta->suffix;
    g_autofree char *text = g_malloc(length + 1);
    memcpy(text, base, delta->prefix);
    memcpy(text + length - delta->suffix, base + base_length - delta->suffix, delta->suffix);
    text[length] = '\0';
    if (!decompress(codec->decompressor, base + delta->prefix, base_length - around, delta,
                    text + delta->prefix, length - around))
        return NULL;
    return g_steal_pointer(&text);
}

char *
vmp_delta_decode_middle(VmpDeltaCodec *codec, const char *base, gsize base_length,
                        const VmpDelta *delta, gsize length)
{
    gsize most = MIN(base_length, length);
    if (length > VMP_DELTA_MAX || delta->prefix > most || delta->suffix > most - delta->prefix)
        return NULL;

    gsize around = delta->prefix + delta->suffix;
    g_autofree char *middle = g_malloc(length - around + 1);
    middle[length - around] = '\0';
    if (!decompress(codec->decompressor, base + delta->prefix, base_length - around, delta,
                    middle, length - around))
        return NULL;
    return g_steal_pointer(&middle);
}
