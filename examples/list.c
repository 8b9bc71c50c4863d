/* SPDX-License-Identifier: 0BSD
 *
 * Lists the domains that a store knows, with their snapshots.
 *
 *   cc list.c $(pkg-config --cflags --libs vmpoint) -o list && ./list
 */
#include <stdio.h>
#include <vmpoint/vmpoint.h>

static int
fail(const GError *error)
{
    fprintf(stderr, "error: %s\n", error->message);
    return error->code; /* codes are exit statuses */
}

int
main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmpHost) host = vmp_host_open(NULL, NULL, &error);
    g_autoptr(GPtrArray) domains = host ? vmp_domain_list(host, 0, &error) : NULL;

    if (!domains)
        return fail(error);
    for (guint i = 0; i < domains->len; i++) {
        const VmpDomainInfo *domain = g_ptr_array_index(domains, i);
        g_autoptr(GPtrArray) snapshots =
            vmp_snapshot_list(host, domain->uuid, NULL, VMP_SNAPSHOT_LIST_TOPOLOGICAL, &error);

        if (!snapshots)
            return fail(error);
        printf("%s: %s\n", domain->name, vmp_state_name(domain->state));
        for (guint j = 0; j < snapshots->len; j++) {
            const VmpSnapshotInfo *snapshot = g_ptr_array_index(snapshots, j);
            printf("  %s%s (%s)\n", snapshot->name, snapshot->current ? " *" : "",
                   vmp_state_name(snapshot->state));
        }
    }
    return 0;
}
