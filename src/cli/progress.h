/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How far an operation has come.
 *
 * A terminal gets one line that is written over and over; other files get lines: with
 * --json objects {"progress":{"what":...,"done":N,"total":N}}, on a descriptor of the
 * caller's (--progress=FD) "N/100" as nbdcopy prints it, else "what: N%".  Only what
 * differs from the last line is written, and not more often than people can read.
 */

#include <glib.h>

typedef enum {
    VMP_PROGRESS_BAR,
    VMP_PROGRESS_LINES,
    VMP_PROGRESS_HUNDREDTHS,
    VMP_PROGRESS_JSON,
} VmpProgressStyle;

typedef struct _VmpProgress VmpProgress;

/* Does not own @fd. */
VmpProgress *vmp_progress_new(int fd, VmpProgressStyle style);
/* Leaves the terminal's line empty. */
void vmp_progress_free(VmpProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmpProgress, vmp_progress_free)

/* A VmpProgressFunc; @progress is a VmpProgress. */
void vmp_progress_report(const char *what, guint64 done, guint64 total, gpointer progress);
/* Takes the bar away, so that something else can be written. */
void vmp_progress_hide(VmpProgress *progress);
