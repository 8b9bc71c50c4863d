/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A library that is loaded when one of its functions is first called.
 *
 * A file that stands in for one defines LAZY_LIBRARY, includes the library's headers and this
 * one, and has a FUNCTION or PROCEDURE for each function that we call: what is linked to it
 * calls these in place of the library's.  A library that is missing then is what it is to the
 * dynamic linker at the start: the end.
 *
 * The library's headers declare what is defined so: a function that came to differ does not
 * compile, one that is missing does not link.
 */

#include <dlfcn.h>
#include <glib.h>

static inline gpointer
lazy_load(gpointer unused G_GNUC_UNUSED)
{
    return dlopen(LAZY_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
}

static inline gpointer
lazy_find(const char *name)
{
    static GOnce once = G_ONCE_INIT;
    gpointer library = g_once(&once, lazy_load, NULL);
    gpointer found = library ? dlsym(library, name) : NULL;

    if (!found)
        g_error("cannot load " LAZY_LIBRARY ": %s", dlerror());
    return found;
}

/* The real function @name; found again by another thread, it is the same one. */
#define REAL(name)                                         \
    ({                                                     \
        static typeof(name) *real;                         \
        typeof(name) *known = g_atomic_pointer_get(&real); \
        if (!known) {                                      \
            known = (typeof(name) *)lazy_find(#name);      \
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
