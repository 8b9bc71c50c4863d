/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests of the point layer that need the store and no QEMU: a domain "d" that is off, with
 * the disks vda and vdb, opened for a change. */

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "machine/machine.h"
#include "store/store.h"

#define POINT_UUID "6695eb01-f6a4-8304-79aa-97f2502e193f"

typedef struct {
    char *dir;
    VmpHost *host;
    VmpMachine *machine;
    VmpOperation *operation;
} Fixture;

/* The definition whose disks stand on these images; @more goes into it. */
static inline char *
point_domain(const char *vda, const char *vdb, const char *more)
{
    return g_strdup_printf(
        "<domain type='qemu'>\n  <name>d</name>\n  <uuid>" POINT_UUID "</uuid>\n"
        "  <memory unit='MiB'>64</memory>\n"
        "  <os><type arch='x86_64' machine='q35'>hvm</type></os>\n  <devices>\n"
        "    <disk type='file'><driver name='qemu' type='qcow2'/>"
        "<source file='%s'/><target dev='vda' bus='virtio'/></disk>\n"
        "    <disk type='file'><driver name='qemu' type='qcow2'/>"
        "<source file='%s'/><target dev='vdb' bus='virtio'/></disk>\n"
        "%s  </devices>\n</domain>",
        vda, vdb, more);
}

static inline void
point_open(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    fixture->machine =
        vmp_machine_open(fixture->host, "d", VMP_MACHINE_CHANGE, fixture->operation, &error);
    g_assert_no_error(error);
}

static inline void
point_set_up(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = point_domain("/i/a.qcow2", "/i/b.qcow2", "");

    fixture->dir = g_dir_make_tmp("vmp-point-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *runtime = g_build_filename(fixture->dir, "run", NULL);
    fixture->host = vmp_host_open(fixture->dir, runtime, &error);
    g_assert_no_error(error);
    g_autofree char *name = vmp_machine_define(fixture->host, xml, -1, NULL, &error);
    g_assert_no_error(error);
    fixture->operation = vmp_operation_new();
    point_open(fixture);
}

static inline void
point_remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        point_remove_tree(child);
    }
    g_remove(path);
}

static inline void
point_tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
    vmp_machine_free(fixture->machine);
    vmp_operation_free(fixture->operation);
    vmp_host_close(fixture->host);
    point_remove_tree(fixture->dir);
    g_free(fixture->dir);
}
