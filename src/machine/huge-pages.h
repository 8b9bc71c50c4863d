/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A guest's RAM in huge pages again, before QEMU protects all of it against writing.
 *
 * The guest stands still while QEMU reads and protects each page of its RAM.  With RAM in huge
 * pages, as QEMU asks the kernel for, that is a few milliseconds.  But the guest's first write
 * to a protected page has its huge page split, so that the next such save finds hundreds of
 * times as many; the kernel puts them together again in its own time, within minutes or hours.
 */

#include <glib.h>

/* Puts together what is there (MADV_COLLAPSE, Linux 6.1) of RAM for which @pid has asked for
 * huge pages. Only where nearly all of a huge page is in memory, which therefore hardly grows;
 * for two seconds at most, and four more for each GiB.  The process goes on meanwhile.  Where
 * it cannot be done, nothing is lost but time. */
void vmp_huge_pages_gather(GPid pid);
