/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Marks the functions that libvmpoint exports; src/libvmpoint.map lists them. */
#define VMP_PUBLIC __attribute__((visibility("default")))
