/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a change of disks does to the domain's definitions. */

#include "machine/machine.h"

/* One disk gets another image. */
typedef struct {
    char *target;
    char *path;
    char *format;
} VmpSourceChange;

/* The texts are copied. */
VmpSourceChange *vmp_source_change_new(const char *target, const char *path,
                                       const char *format);
void vmp_source_change_free(VmpSourceChange *change);

/* Adds to @edits that the domain's active definition (when on) has the new sources, and the
 * persistent one too for each disk whose image was the same in both, as libvirt does.
 * @changes: of VmpSourceChange. */
gboolean vmp_definition_edit_sources(VmpMachine *machine, const GPtrArray *changes,
                                     VmpJson *edits, GError **error);
/* Adds to @edits that the domain has these definitions (NULL = none). */
gboolean vmp_definition_edit(VmpMachine *machine, const VmpDomain *active,
                             const VmpDomain *inactive, VmpJson *edits, GError **error);

/* Text of a definition as points capture it; free with g_free(). */
char *vmp_definition_capture(const VmpDomain *domain);
