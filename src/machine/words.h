/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What QEMU's own words about an image or a start mean for a program.
 *
 * QEMU has one error class for nearly everything; only its sentence tells a lock held by
 * somebody from a file that is not there.
 */

#include <glib.h>
#include <vmpoint/error.h>

/* @fallback for words that say none of what we know. */
VmpErrorCode vmp_words_code(const char *words, VmpErrorCode fallback);
