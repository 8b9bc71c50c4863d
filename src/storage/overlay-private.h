/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What overlay.c and overlay-file.c share. */

#include "storage/overlay.h"

/* A random one, unless it has one. */
void vmp_new_image_give_mark(VmpNewImage *image);
/* "qcow2" when not said; borrowed. */
const char *vmp_new_image_get_format(const VmpNewImage *image);
gboolean vmp_new_image_is_raw(const VmpNewImage *image);
/* Lays down the empty qcow2 image that it begins as. */
gboolean vmp_new_image_write_qcow2(int fd, const VmpNewImage *image, GError **error);
