/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/list.h"

#include <sys/stat.h>

#include "base/error.h"
#include "machine/disk-device.h"
#include "machine/machine-private.h"
#include "machine/state.h"
#include "qmp/ask.h"
#include "qmp/commands.h"
#include "storage/image.h"

#define ANSWER_TIMEOUT_MS 1000

void
vmp_domain_info_free(VmpDomainInfo *info)
{
    if (!info)
        return;
    g_free(info->name);
    g_free(info->uuid);
    g_free(info->os_type);
    g_free(info);
}

void
vmp_domain_block_free(VmpDomainBlock *block)
{
    if (!block)
        return;
    g_free(block->target);
    g_free(block->type);
    g_free(block->device);
    g_free(block->source);
    g_free(block->uri);
    g_free(block->format);
    g_free(block);
}

/* ---- domains ---- */

static guint
count_points(VmpMachine *machine, VmpPointKind kind)
{
    gint64 count = vmp_store_count_points(machine->host->store, machine->row->id, kind, NULL);

    return (guint)MAX(count, 0);
}

/* What only the definition tells; one that cannot be read does not hide the domain. */
static void
add_details(VmpMachine *machine, VmpDomainInfo *info)
{
    const VmpDomain *definition = vmp_machine_get_definition(machine, NULL);

    if (!definition)
        return;
    info->max_memory = vmp_domain_get_memory(definition);
    info->used_memory = vmp_domain_get_current_memory(definition);
    info->vcpus = vmp_domain_get_current_vcpus(definition);
}

/* All but the state and the details. */
static VmpDomainInfo *
describe(VmpMachine *machine, gboolean is_on)
{
    VmpDomainInfo *info = g_new0(VmpDomainInfo, 1);

    info->name = g_strdup(machine->row->name);
    info->uuid = g_strdup(machine->row->uuid);
    info->pid = is_on && machine->instance ? machine->instance->process.pid : 0;
    info->persistent = machine->row->persistent;
    info->attached = machine->row->qmp_path != NULL;
    info->snapshots = count_points(machine, VMP_POINT_SNAPSHOT);
    info->checkpoints = count_points(machine, VMP_POINT_CHECKPOINT);
    info->os_type = g_strdup("hvm");
    return info;
}

VmpDomainInfo *
vmp_machine_info(VmpMachine *machine, GError **error)
{
    VmpState state;

    if (!vmp_machine_query_state(machine, &state, NULL, error))
        return NULL;
    VmpDomainInfo *info = describe(machine, vmp_machine_is_on(machine));
    info->state = state;
    add_details(machine, info);
    return info;
}

/* A list that is being made: monitors answer while the next domain is looked at. */
typedef struct {
    VmpListFlags flags;
    GPtrArray *infos; /* of VmpDomainInfo */
    GPtrArray *asked; /* those of them that are on; borrowed */
    VmpQmpAsk *ask;
} Listing;

static void
listing_clear(Listing *listing)
{
    g_clear_pointer(&listing->infos, g_ptr_array_unref);
    g_clear_pointer(&listing->asked, g_ptr_array_unref);
    g_clear_pointer(&listing->ask, vmp_qmp_ask_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listing, listing_clear)

static Listing
begin_listing(VmpListFlags flags)
{
    g_autoptr(VmpQmpCommand) command = vmp_qmp_query_status();

    return (Listing){
        .flags = flags,
        .infos = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_domain_info_free),
        .asked = g_ptr_array_new(),
        .ask = vmp_qmp_ask_new(command),
    };
}

static void
add_machine(Listing *listing, VmpMachine *machine)
{
    const gboolean is_on = vmp_machine_is_on(machine);
    g_autofree char *monitor = is_on ? vmp_machine_monitor_path(machine) : NULL;
    if (is_on)
        vmp_qmp_ask_add(listing->ask, monitor);

    VmpDomainInfo *info = describe(machine, is_on);
    if (listing->flags & VMP_LIST_DETAILS)
        add_details(machine, info);
    info->state = VMP_STATE_SHUTOFF;
    g_ptr_array_add(listing->infos, info);
    if (is_on)
        g_ptr_array_add(listing->asked, info);
}

/* All from one moment of the store. */
static gboolean
look_at_domains(Listing *listing, VmpHost *host, GError **error)
{
    g_auto(VmpStoreTransaction) reading = { 0 };
    g_autoptr(GPtrArray) rows = vmp_store_begin_reading(host->store, &reading, error)
                                    ? vmp_store_list_domains(host->store, error)
                                    : NULL;

    for (guint i = 0; rows && i < rows->len; i++) {
        const VmpStoreDomain *row = g_ptr_array_index(rows, i);
        g_autoptr(VmpMachine) machine =
            vmp_machine_open(host, row->uuid, VMP_MACHINE_READ, NULL, NULL);
        if (machine)
            add_machine(listing, machine);
    }
    return rows != NULL;
}

static void
hear_answers(Listing *listing)
{
    g_autoptr(GPtrArray) replies = vmp_qmp_ask_wait(listing->ask, ANSWER_TIMEOUT_MS);

    for (guint i = 0; i < replies->len; i++) {
        VmpDomainInfo *info = g_ptr_array_index(listing->asked, i);
        const char *status = vmp_qmp_read_status(g_ptr_array_index(replies, i), NULL);

        info->state = status ? vmp_run_state(status, NULL) : VMP_STATE_NOSTATE;
    }
}

static gboolean
is_wanted(const VmpDomainInfo *info, VmpListFlags flags)
{
    gboolean is_on = info->state != VMP_STATE_SHUTOFF;
    VmpListFlags groups = flags & (VMP_LIST_ACTIVE | VMP_LIST_INACTIVE);

    return groups == 0 || (groups & (is_on ? VMP_LIST_ACTIVE : VMP_LIST_INACTIVE));
}

GPtrArray *
vmp_machine_list(VmpHost *host, VmpListFlags flags, GError **error)
{
    g_auto(Listing) listing = begin_listing(flags);

    if (!look_at_domains(&listing, host, error))
        return NULL;
    hear_answers(&listing);

    for (guint i = listing.infos->len; i > 0; i--) {
        if (!is_wanted(g_ptr_array_index(listing.infos, i - 1), flags))
            g_ptr_array_remove_index(listing.infos, i - 1);
    }
    return g_steal_pointer(&listing.infos);
}

/* ---- disks ---- */

static VmpDomainBlock *
describe_disk(const VmpDomainDisk *disk)
{
    VmpDomainBlock *block = g_new0(VmpDomainBlock, 1);

    block->target = g_strdup(disk->target);
    /* An empty drive is a file that is not there, to libvirt. */
    block->type =
        g_strdup(disk->type == VMP_STORAGE_NONE ? "file" : vmp_storage_type_name(disk->type));
    block->device = g_strdup(disk->device);
    block->source = g_strdup(disk->source);
    block->format = g_strdup(disk->driver);
    return block;
}

/* What QEMU has as the active image is newer than the definition: a guest ejects discs. */
static void
apply_graph(VmpMachine *machine, VmpDomainBlock *block, const VmpBlockGraph *graph,
            gboolean sizes)
{
    const VmpBlockDevice *device =
        vmp_machine_disk_device(machine, graph, block->target, NULL);
    const VmpBlockNode *image =
        device && device->node ? vmp_block_graph_active_image(graph, device->node) : NULL;

    if (device && !device->node)
        g_clear_pointer(&block->source, g_free);
    if (!image)
        return;
    if (image->path) {
        g_free(block->source);
        block->source = g_strdup(image->path);
    }
    /* Below a raw disk of somebody else's may be nothing but the file. */
    if (image->file) {
        g_free(block->format);
        block->format = g_strdup(image->driver);
    }
    if (!sizes)
        return;
    block->capacity = image->size;
    for (const VmpBlockNode *node = image; node; node = vmp_block_graph_backing(graph, node))
        block->depth++;
}

static guint64
file_size(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? (guint64)info.st_size : 0;
}

/* Of an image that cannot be read nothing is known; the list has it all the same. */
static void
apply_images(VmpDomainBlock *block)
{
    g_autoptr(GPtrArray) chain =
        block->source ? vmp_image_read_chain(block->source, block->format, NULL, NULL) : NULL;
    if (!chain || chain->len == 0)
        return;

    const VmpImage *top = g_ptr_array_index(chain, 0);
    if (block->capacity == 0)
        block->capacity = top->virtual_size;
    block->allocation = top->actual_size;
    block->physical = file_size(block->source);
    if (block->depth == 0)
        block->depth = chain->len;
}

/* As virsh tells it: by the name that it has where it is. */
static void
apply_network(VmpDomainBlock *block, const VmpDomainDisk *disk)
{
    gboolean ejected = disk->source && !block->source;

    if (disk->type != VMP_STORAGE_NETWORK)
        return;
    block->uri = g_steal_pointer(&block->source);
    if (disk->remote && *disk->remote && !ejected)
        block->source = g_strdup(disk->remote);
}

GPtrArray *
vmp_machine_list_blocks(VmpMachine *machine, gboolean inactive, gboolean sizes, GError **error)
{
    g_autoptr(VmpBlockGraph) graph = NULL;
    const VmpDomain *definition = inactive ? vmp_machine_get_inactive(machine, error)
                                           : vmp_machine_get_definition(machine, error);
    if (!definition)
        return NULL;
    if (!inactive && vmp_machine_is_on(machine)) {
        VmpQmpClient *client = vmp_machine_get_monitor(machine, error);
        graph = client ? vmp_machine_read_graph(machine, client, error) : NULL;
        if (!graph)
            return NULL;
    }

    const GPtrArray *disks = vmp_domain_get_disks(definition);
    GPtrArray *blocks = g_ptr_array_new_with_free_func((GDestroyNotify)vmp_domain_block_free);
    for (guint i = 0; i < disks->len; i++) {
        const VmpDomainDisk *disk = g_ptr_array_index(disks, i);
        VmpDomainBlock *block = describe_disk(disk);
        g_ptr_array_add(blocks, block);
        if (graph)
            apply_graph(machine, block, graph, sizes);
        if (sizes)
            apply_images(block);
        apply_network(block, disk);
    }
    return blocks;
}
