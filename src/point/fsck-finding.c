/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "point/fsck.h"

#include <stdarg.h>

void
vmp_finding_free(VmpFinding *finding)
{
    if (!finding)
        return;
    g_free(finding->code);
    g_free(finding->message);
    g_free(finding->disk);
    g_free(finding->point);
    g_free(finding->path);
    g_free(finding);
}

VmpFinding *
vmp_finding_new(const char *code, VmpCure cure, const char *disk, const char *point,
                const char *path, const char *format, ...)
{
    VmpFinding *finding = g_new(VmpFinding, 1);
    va_list arguments;

    va_start(arguments, format);
    *finding = (VmpFinding){
        .code = g_strdup(code),
        .message = g_strdup_vprintf(format, arguments),
        .disk = g_strdup(disk),
        .point = g_strdup(point),
        .path = g_strdup(path),
        .cure = cure,
    };
    va_end(arguments);
    return finding;
}
