/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Commands that only look at domains. */

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"
#include "cli/units.h"

/* libvirt numbers its running domains.  We have no daemon that could count, but the process
 * of a domain has a number, and that is worth more to whoever reads it. */
static char *
format_id(const VmpDomainInfo *info)
{
    return info->pid > 0 ? g_strdup_printf("%" G_GINT64_FORMAT, info->pid) : g_strdup("-");
}

static json_object *
domain_to_json(const VmpDomainInfo *info)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "name", vmp_json_string(info->name));
    json_object_object_add(object, "uuid", vmp_json_string(info->uuid));
    json_object_object_add(object, "state", vmp_json_string(vmp_state_name(info->state)));
    json_object_object_add(object, "pid",
                           info->pid > 0 ? json_object_new_int64(info->pid) : NULL);
    json_object_object_add(object, "persistent", json_object_new_boolean(info->persistent));
    json_object_object_add(object, "attached", json_object_new_boolean(info->attached));
    json_object_object_add(object, "os_type", vmp_json_string(info->os_type));
    json_object_object_add(object, "vcpus", json_object_new_int64(info->vcpus));
    json_object_object_add(object, "max_memory", json_object_new_uint64(info->max_memory));
    json_object_object_add(object, "used_memory", json_object_new_uint64(info->used_memory));
    json_object_object_add(object, "snapshots", json_object_new_int64(info->snapshots));
    json_object_object_add(object, "checkpoints", json_object_new_int64(info->checkpoints));
    return object;
}

/* The filters of `list`: a bit each, by groups.  A group with no bit or all bits set lets
 * everything pass. */
enum {
    PERSISTENT = 1 << 0,
    TRANSIENT = 1 << 1,
    WITH_SNAPSHOT = 1 << 2,
    WITHOUT_SNAPSHOT = 1 << 3,
    WITH_CHECKPOINT = 1 << 4,
    WITHOUT_CHECKPOINT = 1 << 5,
    STATE_RUNNING = 1 << 6,
    STATE_PAUSED = 1 << 7,
    STATE_SHUTOFF = 1 << 8,
    STATE_OTHER = 1 << 9,
    AUTOSTART = 1 << 10,
    NO_AUTOSTART = 1 << 11,
    WITH_MANAGED_SAVE = 1 << 12,
    WITHOUT_MANAGED_SAVE = 1 << 13,
};

static const guint filter_groups[] = {
    PERSISTENT | TRANSIENT,
    WITH_SNAPSHOT | WITHOUT_SNAPSHOT,
    WITH_CHECKPOINT | WITHOUT_CHECKPOINT,
    STATE_RUNNING | STATE_PAUSED | STATE_SHUTOFF | STATE_OTHER,
    AUTOSTART | NO_AUTOSTART,
    WITH_MANAGED_SAVE | WITHOUT_MANAGED_SAVE,
};

static guint
state_trait(VmpState state)
{
    switch (state) {
    case VMP_STATE_RUNNING:
        return STATE_RUNNING;
    case VMP_STATE_PAUSED:
        return STATE_PAUSED;
    case VMP_STATE_SHUTOFF:
        return STATE_SHUTOFF;
    default:
        return STATE_OTHER;
    }
}

/* The one bit of each group that is true of @info; there is no autostart and no managed
 * save here. */
static guint
traits_of(const VmpDomainInfo *info)
{
    return (info->persistent ? PERSISTENT : TRANSIENT) |
           (info->snapshots > 0 ? WITH_SNAPSHOT : WITHOUT_SNAPSHOT) |
           (info->checkpoints > 0 ? WITH_CHECKPOINT : WITHOUT_CHECKPOINT) |
           state_trait(info->state) | NO_AUTOSTART | WITHOUT_MANAGED_SAVE;
}

static gboolean
passes(const VmpDomainInfo *info, guint filters)
{
    guint traits = traits_of(info);

    for (guint i = 0; i < G_N_ELEMENTS(filter_groups); i++) {
        guint wanted = filters & filter_groups[i];

        if (wanted && !(wanted & traits))
            return FALSE;
    }
    return TRUE;
}

/* virsh asks for active domains, unless an option can only mean others as well. */
static VmpListFlags
activity_of(const VmpArguments *arguments)
{
    if (vmp_arguments_has(arguments, "all"))
        return VMP_LIST_ACTIVE | VMP_LIST_INACTIVE;
    if (vmp_arguments_has(arguments, "inactive") ||
        vmp_arguments_has(arguments, "state-shutoff"))
        return VMP_LIST_INACTIVE;
    return VMP_LIST_ACTIVE;
}

/* What runs comes first, as with virsh. */
static int
compare_domains(gconstpointer a, gconstpointer b)
{
    const VmpDomainInfo *one = *(const VmpDomainInfo *const *)a;
    const VmpDomainInfo *other = *(const VmpDomainInfo *const *)b;
    int order = (one->state == VMP_STATE_SHUTOFF) - (other->state == VMP_STATE_SHUTOFF);

    return order != 0 ? order : vmp_compare_names(one->name, other->name);
}

/* virsh --id passes over domains that have none. */
static void
print_domain_words(VmpOutput *output, const VmpArguments *arguments, const VmpDomainInfo *info)
{
    g_autofree char *id = format_id(info);
    const char *words[4] = { NULL };
    guint count = 0;

    if (vmp_arguments_has(arguments, "uuid"))
        words[count++] = info->uuid;
    if (vmp_arguments_has(arguments, "id"))
        words[count++] = id;
    if (vmp_arguments_has(arguments, "name"))
        words[count++] = info->name;
    if (count == 1 && words[0] == id && info->pid <= 0)
        return;

    g_autofree char *line = g_strjoinv(" ", (char **)words);
    vmp_output_print(output, "%s\n", line);
}

static void
print_domain_table(VmpOutput *output, const GPtrArray *domains)
{
    g_autoptr(VmpTable) table = vmp_table_new("Id", "Name", "State", NULL);

    for (guint i = 0; i < domains->len; i++) {
        const VmpDomainInfo *info = g_ptr_array_index(domains, i);
        g_autofree char *id = format_id(info);

        vmp_table_add_row(table, id, info->name, vmp_state_text(info->state), NULL);
    }
    vmp_output_print_table(output, table);
}

static void
print_domains(VmpSession *session, const VmpArguments *arguments, const GPtrArray *domains)
{
    VmpOutput *output = vmp_session_get_output(session);
    gboolean words = vmp_arguments_has(arguments, "name") ||
                     vmp_arguments_has(arguments, "uuid") ||
                     vmp_arguments_has(arguments, "id");

    if (vmp_session_wants_json(session)) {
        json_object *array = json_object_new_array();
        for (guint i = 0; i < domains->len; i++)
            json_object_array_add(array, domain_to_json(g_ptr_array_index(domains, i)));
        vmp_output_take_json(output, array);
        return;
    }
    if (!words) {
        print_domain_table(output, domains);
        return;
    }
    for (guint i = 0; i < domains->len; i++)
        print_domain_words(output, arguments, g_ptr_array_index(domains, i));
}

static gboolean
run_list(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    /* The tables show neither memory nor CPUs. */
    VmpListFlags flags = activity_of(arguments);
    if (vmp_output_is_json(vmp_session_get_output(session)))
        flags |= VMP_LIST_DETAILS;
    g_autoptr(GPtrArray) domains = vmp_domain_list(host, flags, error);
    if (!domains)
        return FALSE;

    g_autoptr(GPtrArray) chosen = g_ptr_array_new();
    for (guint i = 0; i < domains->len; i++) {
        if (passes(g_ptr_array_index(domains, i), vmp_arguments_get_bits(arguments)))
            g_ptr_array_add(chosen, g_ptr_array_index(domains, i));
    }
    g_ptr_array_sort(chosen, compare_domains);
    print_domains(session, arguments, chosen);
    return TRUE;
}

static void
print_fact(VmpOutput *output, const char *title, const char *text)
{
    vmp_output_print(output, "%-15s %s\n", title, text);
}

static void
print_domain(VmpOutput *output, const VmpDomainInfo *info)
{
    g_autofree char *id = format_id(info);

    print_fact(output, "Id:", id);
    print_fact(output, "Name:", info->name);
    print_fact(output, "UUID:", info->uuid);
    print_fact(output, "OS Type:", info->os_type ? info->os_type : "hvm");
    print_fact(output, "State:", vmp_state_text(info->state));
    vmp_output_print(output, "%-15s %u\n", "CPU(s):", info->vcpus);
    vmp_output_print(output, "%-15s %" G_GUINT64_FORMAT " KiB\n",
                     "Max memory:", info->max_memory / 1024);
    vmp_output_print(output, "%-15s %" G_GUINT64_FORMAT " KiB\n",
                     "Used memory:", info->used_memory / 1024);
    print_fact(output, "Persistent:", vmp_format_boolean(info->persistent));
    print_fact(output, "Autostart:", "disable");
    print_fact(output, "Managed save:", "no");
    print_fact(output, "Security model:", "none");
    print_fact(output, "Security DOI:", "0");
}

static gboolean
run_dominfo(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autoptr(VmpDomainInfo) info =
        vmp_domain_get_info(host, vmp_arguments_get(arguments, "domain"), error);
    if (!info)
        return FALSE;

    if (vmp_session_wants_json(session))
        vmp_output_take_json(vmp_session_get_output(session), domain_to_json(info));
    else
        print_domain(vmp_session_get_output(session), info);
    return TRUE;
}

static gboolean
run_domstate(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpOutput *output = vmp_session_get_output(session);
    VmpHost *host = vmp_session_open(session, error);
    VmpState state = VMP_STATE_NOSTATE;
    const char *reason = NULL;

    if (!host || !vmp_domain_get_state(host, vmp_arguments_get(arguments, "domain"), &state,
                                       &reason, error))
        return FALSE;

    if (vmp_session_wants_json(session)) {
        json_object *object = json_object_new_object();
        json_object_object_add(object, "state", vmp_json_string(vmp_state_name(state)));
        json_object_object_add(object, "reason", vmp_json_string(reason));
        vmp_output_take_json(output, object);
    } else if (vmp_arguments_has(arguments, "reason")) {
        vmp_output_print(output, "%s (%s)\n", vmp_state_text(state),
                         reason ? reason : "unknown");
    } else {
        vmp_output_print(output, "%s\n", vmp_state_text(state));
    }
    return TRUE;
}

static json_object *
block_to_json(const VmpDomainBlock *block, gboolean sizes)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "target", vmp_json_string(block->target));
    json_object_object_add(object, "type", vmp_json_string(block->type));
    json_object_object_add(object, "device", vmp_json_string(block->device));
    json_object_object_add(object, "source", vmp_json_string(block->source));
    json_object_object_add(object, "format", vmp_json_string(block->format));
    if (block->uri)
        json_object_object_add(object, "uri", vmp_json_string(block->uri));
    if (!sizes)
        return object;
    json_object_object_add(object, "capacity", json_object_new_uint64(block->capacity));
    json_object_object_add(object, "allocation", json_object_new_uint64(block->allocation));
    json_object_object_add(object, "physical", json_object_new_uint64(block->physical));
    json_object_object_add(object, "depth", json_object_new_int64(block->depth));
    return object;
}

static void
take_blocks_json(VmpSession *session, const GPtrArray *blocks, gboolean sizes)
{
    json_object *array = json_object_new_array();

    for (guint i = 0; i < blocks->len; i++)
        json_object_array_add(array, block_to_json(g_ptr_array_index(blocks, i), sizes));
    vmp_output_take_json(vmp_session_get_output(session), array);
}

static const char *
source_of(const VmpDomainBlock *block)
{
    return block->source ? block->source : "-";
}

static void
print_blocks(VmpOutput *output, const GPtrArray *blocks)
{
    g_autoptr(VmpTable) table = vmp_table_new("Target", "Source", NULL);

    for (guint i = 0; i < blocks->len; i++) {
        const VmpDomainBlock *block = g_ptr_array_index(blocks, i);
        vmp_table_add_row(table, block->target, source_of(block), NULL);
    }
    vmp_output_print_table(output, table);
}

static void
print_blocks_in_detail(VmpOutput *output, const GPtrArray *blocks)
{
    g_autoptr(VmpTable) table = vmp_table_new("Type", "Device", "Target", "Source", NULL);

    for (guint i = 0; i < blocks->len; i++) {
        const VmpDomainBlock *block = g_ptr_array_index(blocks, i);
        vmp_table_add_row(table, block->type, block->device, block->target, source_of(block),
                          NULL);
    }
    vmp_output_print_table(output, table);
}

static gboolean
run_domblklist(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autoptr(GPtrArray) blocks =
        vmp_domain_list_blocks(host, vmp_arguments_get(arguments, "domain"),
                               vmp_arguments_has(arguments, "inactive"), FALSE, error);
    if (!blocks)
        return FALSE;

    if (vmp_session_wants_json(session))
        take_blocks_json(session, blocks, FALSE);
    else if (vmp_arguments_has(arguments, "details"))
        print_blocks_in_detail(vmp_session_get_output(session), blocks);
    else
        print_blocks(vmp_session_get_output(session), blocks);
    return TRUE;
}

static char *
format_size(guint64 bytes, gboolean human)
{
    return human ? vmp_format_bytes(bytes) : g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
}

static void
print_sizes(VmpOutput *output, const VmpDomainBlock *block, gboolean human)
{
    g_autofree char *capacity = format_size(block->capacity, human);
    g_autofree char *allocation = format_size(block->allocation, human);
    g_autofree char *physical = format_size(block->physical, human);

    print_fact(output, "Capacity:", capacity);
    print_fact(output, "Allocation:", allocation);
    print_fact(output, "Physical:", physical);
}

static void
add_sizes_row(VmpTable *table, const VmpDomainBlock *block, gboolean human)
{
    g_autofree char *capacity = format_size(block->capacity, human);
    g_autofree char *allocation = format_size(block->allocation, human);
    g_autofree char *physical = format_size(block->physical, human);

    /* Nothing is known of a drive without a medium, nor of storage that cannot be asked. */
    if (block->capacity > 0)
        vmp_table_add_row(table, block->target, capacity, allocation, physical, NULL);
    else
        vmp_table_add_row(table, block->target, "-", "-", "-", NULL);
}

static void
print_all_sizes(VmpOutput *output, const GPtrArray *blocks, gboolean human)
{
    g_autoptr(VmpTable) table =
        vmp_table_new("Target", "Capacity", "Allocation", "Physical", NULL);

    for (guint i = 0; i < blocks->len; i++)
        add_sizes_row(table, g_ptr_array_index(blocks, i), human);
    vmp_output_print_table(output, table);
}

static const VmpDomainBlock *
find_block(const GPtrArray *blocks, const char *domain, const char *device, GError **error)
{
    for (guint i = 0; i < blocks->len; i++) {
        const VmpDomainBlock *block = g_ptr_array_index(blocks, i);

        if (g_strcmp0(block->target, device) == 0 || g_strcmp0(block->source, device) == 0)
            return block;
    }
    g_set_error(error, VMP_ERROR, VMP_ERROR_NOT_FOUND, "domain '%s' has no disk '%s'", domain,
                device);
    return NULL;
}

static gboolean
run_domblkinfo(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpOutput *output = vmp_session_get_output(session);
    const char *domain = vmp_arguments_get(arguments, "domain");
    gboolean human = vmp_arguments_has(arguments, "human");
    VmpHost *host = vmp_session_open(session, error);

    if (!host)
        return FALSE;
    g_autoptr(GPtrArray) blocks = vmp_domain_list_blocks(host, domain, FALSE, TRUE, error);
    if (!blocks)
        return FALSE;
    if (vmp_arguments_has(arguments, "all")) {
        if (vmp_session_wants_json(session))
            take_blocks_json(session, blocks, TRUE);
        else
            print_all_sizes(output, blocks, human);
        return TRUE;
    }

    const VmpDomainBlock *block =
        find_block(blocks, domain, vmp_arguments_get(arguments, "device"), error);
    if (!block)
        return FALSE;
    if (vmp_session_wants_json(session))
        vmp_output_take_json(output, block_to_json(block, TRUE));
    else
        print_sizes(output, block, human);
    return TRUE;
}

static gboolean
run_dumpxml(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    VmpHost *host = vmp_session_open(session, error);
    if (!host)
        return FALSE;
    g_autofree char *xml = vmp_domain_get_xml(host, vmp_arguments_get(arguments, "domain"),
                                              vmp_arguments_get_bits(arguments), error);

    return xml && vmp_print_xml(session, arguments, xml, error);
}

static const VmpOption list_options[] = {
    VMP_FLAG("inactive", "domains that are off"),
    VMP_FLAG("all", "domains that run and domains that are off"),
    VMP_FLAG_BIT("transient", TRANSIENT, "only those without a definition of their own"),
    VMP_FLAG_BIT("persistent", PERSISTENT, "only those with a definition of their own"),
    VMP_FLAG_BIT("with-snapshot", WITH_SNAPSHOT, "only those with snapshots"),
    VMP_FLAG_BIT("without-snapshot", WITHOUT_SNAPSHOT, "only those without snapshots"),
    VMP_FLAG_BIT("with-checkpoint", WITH_CHECKPOINT, "only those with checkpoints"),
    VMP_FLAG_BIT("without-checkpoint", WITHOUT_CHECKPOINT, "only those without checkpoints"),
    VMP_FLAG_BIT("state-running", STATE_RUNNING, "only those that run"),
    VMP_FLAG_BIT("state-paused", STATE_PAUSED, "only those that are paused"),
    VMP_FLAG_BIT("state-shutoff", STATE_SHUTOFF, "only those that are off"),
    VMP_FLAG_BIT("state-other", STATE_OTHER, "only those in another state"),
    VMP_FLAG_BIT("autostart", AUTOSTART, "accepted: no domain is started by itself"),
    VMP_FLAG_BIT("no-autostart", NO_AUTOSTART, "accepted: no domain is started by itself"),
    VMP_FLAG_BIT("with-managed-save", WITH_MANAGED_SAVE,
                 "accepted: no domain has a managed save image"),
    VMP_FLAG_BIT("without-managed-save", WITHOUT_MANAGED_SAVE,
                 "accepted: no domain has a managed save image"),
    VMP_FLAG("uuid", "print only uuids"),
    VMP_FLAG("name", "print only names"),
    VMP_FLAG("id", "print only the ids of QEMU processes"),
    VMP_FLAG("table", "print a table (the default)"),
    VMP_OPTION_END,
};

static const VmpRule list_rules[] = {
    { VMP_RULE_FIRST_EXCLUDES, "table name uuid id" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption only_domain[] = { VMP_DOMAIN_OPTION, VMP_OPTION_END };

static const VmpOption domstate_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("reason", "also why"),
    VMP_OPTION_END,
};

static const VmpOption domblklist_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG("inactive", "of the definition rather than of the running domain"),
    VMP_FLAG("details", "also what kind of source and of device"),
    VMP_OPTION_END,
};

static const VmpOption domblkinfo_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("device", 0, "disk", VMP_COMPLETE_DISK, "target or source of a disk"),
    VMP_FLAG("human", "with units"),
    VMP_FLAG("all", "all disks in a table"),
    VMP_OPTION_END,
};

static const VmpRule domblkinfo_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "all device" },
    { VMP_RULE_NONE, NULL },
};

static const VmpOption dumpxml_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_FLAG_BIT("inactive", VMP_XML_INACTIVE, "the definition rather than what runs"),
    VMP_FLAG_BIT("security-info", VMP_XML_SECURE, "with passwords"),
    VMP_XPATH_OPTIONS,
    VMP_OPTION_END,
};

const VmpCommand vmp_monitor_commands[] = {
    { .name = "domblkinfo",
      .help = "how large a disk is",
      .description =
          "Prints how large a disk is to the guest, how much of it is allocated and how "
          "large its image is, in bytes.",
      .options = domblkinfo_options,
      .rules = domblkinfo_rules,
      .run = run_domblkinfo },
    { .name = "domblklist",
      .help = "list the disks of a domain",
      .description = "Lists the disks of a domain with the images that are active at present.",
      .options = domblklist_options,
      .run = run_domblklist },
    { .name = "dominfo",
      .help = "facts about a domain",
      .description = "Prints what is known of a domain.  Its id is that of the QEMU process.",
      .options = only_domain,
      .run = run_dominfo },
    { .name = "domstate",
      .help = "state of a domain",
      .description = "Prints whether a domain runs.",
      .options = domstate_options,
      .run = run_domstate },
    { .name = "dumpxml",
      .help = "the <domain> document of a domain",
      .description = "Prints the definition of a domain, of a running one as it runs.",
      .options = dumpxml_options,
      .run = run_dumpxml },
    { .name = "list",
      .help = "list domains",
      .description =
          "Lists the domains that run or are paused.  The id of a domain is that of its "
          "QEMU process.",
      .options = list_options,
      .rules = list_rules,
      .run = run_list },
    { .name = NULL },
};
