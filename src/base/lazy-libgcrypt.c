/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libgcrypt, loaded when it is first needed: only backups in a repository have digests.
 * See src/xml/lazy-libxml2.c.
 */

#include <dlfcn.h>
#include <gcrypt.h>
#include <glib.h>

#define LIBRARY "libgcrypt.so.20"

static gpointer
load_library(gpointer unused)
{
    return dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
}

static gpointer
find(const char *name)
{
    static GOnce once = G_ONCE_INIT;
    gpointer library = g_once(&once, load_library, NULL);
    gpointer found = library ? dlsym(library, name) : NULL;

    if (!found)
        g_error("cannot load " LIBRARY ": %s", dlerror());
    return found;
}

/* The real function @name; found again by another thread, it is the same one. */
#define REAL(name)                                         \
    ({                                                     \
        static typeof(name) *real;                         \
        typeof(name) *known = g_atomic_pointer_get(&real); \
        if (!known) {                                      \
            known = (typeof(name) *)find(#name);           \
            g_atomic_pointer_set(&real, known);            \
        }                                                  \
        known;                                             \
    })

#define FUNCTION(type, name, parameters, arguments) \
    type name parameters                            \
    {                                               \
        return REAL(name) arguments;                \
    }
#define PROCEDURE(name, parameters, arguments) \
    void name parameters                       \
    {                                          \
        REAL(name) arguments;                  \
    }

FUNCTION(const char *, gcry_check_version, (const char *version), (version))
FUNCTION(gcry_error_t, gcry_md_open, (gcry_md_hd_t * handle, int algorithm, unsigned flags),
         (handle, algorithm, flags))
PROCEDURE(gcry_md_close, (gcry_md_hd_t handle), (handle))
PROCEDURE(gcry_md_write, (gcry_md_hd_t handle, const void *data, size_t length),
          (handle, data, length))
FUNCTION(unsigned char *, gcry_md_read, (gcry_md_hd_t handle, int algorithm),
         (handle, algorithm))
PROCEDURE(gcry_md_hash_buffer, (int algorithm, void *digest, const void *data, size_t length),
          (algorithm, digest, data, length))
