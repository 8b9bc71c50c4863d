/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* UEFI firmware: which file it is, and where its variables are.
 *
 * <os firmware='efi'> names none: it is chosen as QEMU's firmware descriptors say (folders
 * /usr/share/qemu/firmware and /etc/qemu/firmware, QEMU's docs/interop/firmware.json).  A
 * domain's own variables begin as a copy of the firmware's template.
 */

#include "base/json.h"
#include "machine/machine.h"

typedef struct {
    char *loader, *loader_format;          /* NULL when the definition names it */
    char *nvram, *nvram_format;            /* the domain's variables; NULL = it has none */
    char *template_path, *template_format; /* or NULL */
} VmpFirmware;

void vmp_firmware_clear(VmpFirmware *firmware);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmpFirmware, vmp_firmware_clear)

/* Finds the firmware of @definition and makes its variables where there are none;
 * @reset: also where there are. */
gboolean vmp_firmware_prepare(VmpMachine *machine, const VmpDomain *definition, gboolean reset,
                              VmpFirmware *firmware, GError **error);

/* Where the variables of @definition are or would be; NULL if it has none.  Free with
 * g_free(). */
char *vmp_firmware_nvram_path(VmpMachine *machine, const VmpDomain *definition);

/* Does the descriptor describe what @os asks for?  For tests and for the above. */
gboolean vmp_firmware_fits(VmpJson *descriptor, const VmpDomainOs *os);
