/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libzstd, loaded when the first definition is packed or unpacked.  See base/lazy.h. */

#include <zstd.h>

#define LAZY_LIBRARY "libzstd.so.1"

#include "base/lazy.h"

FUNCTION(unsigned, ZSTD_isError, (size_t code), (code))
FUNCTION(const char *, ZSTD_getErrorName, (size_t code), (code))
FUNCTION(size_t, ZSTD_compressBound, (size_t size), (size))

FUNCTION(ZSTD_CCtx *, ZSTD_createCCtx, (void), ())
FUNCTION(size_t, ZSTD_freeCCtx, (ZSTD_CCtx * context), (context))
FUNCTION(size_t, ZSTD_CCtx_reset, (ZSTD_CCtx * context, ZSTD_ResetDirective what),
         (context, what))
FUNCTION(size_t, ZSTD_CCtx_setParameter,
         (ZSTD_CCtx * context, ZSTD_cParameter name, int value), (context, name, value))
FUNCTION(size_t, ZSTD_CCtx_refPrefix, (ZSTD_CCtx * context, const void *prefix, size_t size),
         (context, prefix, size))
FUNCTION(size_t, ZSTD_compress2,
         (ZSTD_CCtx * context, void *to, size_t room, const void *from, size_t size),
         (context, to, room, from, size))

FUNCTION(ZSTD_DCtx *, ZSTD_createDCtx, (void), ())
FUNCTION(size_t, ZSTD_freeDCtx, (ZSTD_DCtx * context), (context))
FUNCTION(size_t, ZSTD_DCtx_reset, (ZSTD_DCtx * context, ZSTD_ResetDirective what),
         (context, what))
FUNCTION(size_t, ZSTD_DCtx_refPrefix, (ZSTD_DCtx * context, const void *prefix, size_t size),
         (context, prefix, size))
FUNCTION(size_t, ZSTD_decompressDCtx,
         (ZSTD_DCtx * context, void *to, size_t room, const void *from, size_t size),
         (context, to, room, from, size))
