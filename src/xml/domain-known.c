/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "xml/domain-private.h"
#include "xml/name.h"

/* What of a domain document vmpoint understands, or may leave alone.
 *
 * The rule for a row: either the view has it, or the guest cannot see whether it was
 * honoured (libvirt's bookkeeping, placement on the host, labels).  Everything else is
 * unknown, elements and attributes alike, so that a new libvirt's new device is refused
 * by name instead of forgotten.
 *
 * A path in brackets fits elements whose type= is that word only; without such a row
 * the plain path is used.  Attributes are listed with blanks between; "name=a|b" allows
 * these values only.
 */

typedef enum {
    ONCE = 0,      /* a second one is unknown: the view has room for one */
    MANY = 1 << 0, /* any number */
    ANY = 1 << 1,  /* whatever is in it */
} Rule;

typedef struct {
    const char *path;
    const char *attributes;
    Rule rule;
} Known;

#define MAX_UNKNOWN 1000 /* nobody reads more */

/* clang-format off */
#define ADDRESS "type domain bus slot function multifunction controller target unit port"
#define DEVICE(path)                                                                          \
    { path "/alias", "name", ONCE }, { path "/address", ADDRESS, ONCE }
#define ON_OFF "state=on|off"

static const Known table[] = {
    { "", "type id", ONCE },
    { "/name", "", ONCE },
    { "/uuid", "", ONCE },
    { "/genid", "", ONCE },
    { "/title", "", ONCE },
    { "/description", "", ONCE },
    { "/metadata", "", ANY },
    { "/memory", "unit dumpCore", ONCE },
    { "/currentMemory", "unit", ONCE },
    { "/vcpu", "placement cpuset current", ONCE },
    { "/iothreads", "", ONCE },
    { "/iothreadids", "", ONCE },
    { "/iothreadids/iothread", "id", MANY },
    { "/cputune", "", ANY },
    { "/memtune", "", ANY },
    { "/blkiotune", "", ANY },
    { "/resource", "", ANY },
    { "/perf", "", ANY },
    { "/seclabel", "", ANY | MANY },

    { "/os", "firmware=efi|bios", ONCE },
    { "/os/type", "arch machine", ONCE },
    { "/os/loader", "readonly secure type stateless=no format", ONCE },
    { "/os/nvram", "template format type=file", ONCE },
    { "/os/nvram/source", "file", ONCE },
    { "/os/kernel", "", ONCE },
    { "/os/initrd", "", ONCE },
    { "/os/cmdline", "", ONCE },
    { "/os/dtb", "", ONCE },
    { "/os/boot", "dev", MANY },
    { "/os/bootmenu", "enable", ONCE },
    { "/os/bios", "useserial=no", ONCE },
    { "/os/smbios", "mode=emulate", ONCE },

    { "/features", "", ONCE },
    { "/features/acpi", "", ONCE },
    { "/features/apic", "", ONCE },
    { "/features/pae", "", ONCE },
    { "/features/hap", ON_OFF, ONCE },
    { "/features/pmu", ON_OFF, ONCE },
    { "/features/smm", ON_OFF, ONCE },
    { "/features/vmcoreinfo", ON_OFF, ONCE },
    { "/features/vmport", ON_OFF, ONCE },

    { "/cpu", "mode match=exact check migratable=on", ONCE },
    { "/cpu/model", "fallback", ONCE },
    { "/cpu/vendor", "", ONCE },
    { "/cpu/topology", "sockets dies clusters=1 cores threads", ONCE },
    { "/cpu/feature", "name policy=force|require|disable|forbid", MANY },

    { "/clock", "offset=utc|localtime adjustment=0|reset", ONCE },
    { "/clock/timer", "name present tickpolicy track", MANY },
    { "/on_poweroff", "", ONCE },
    { "/on_reboot", "", ONCE },
    { "/on_crash", "", ONCE },
    { "/on_lockfailure", "", ONCE },
    { "/pm", "", ONCE },
    { "/pm/suspend-to-mem", "enabled", ONCE },
    { "/pm/suspend-to-disk", "enabled", ONCE },

    { "/devices", "", ONCE },
    { "/devices/emulator", "", ONCE },

    { "/devices/disk", "device snapshot", MANY },
    { "/devices/disk[file]", "type device snapshot", MANY },
    { "/devices/disk[block]", "type device snapshot", MANY },
    { "/devices/disk[network]", "type device snapshot", MANY },
    { "/devices/disk/driver", "name=qemu type cache io discard detect_zeroes error_policy "
                              "rerror_policy iothread queues", ONCE },
    { "/devices/disk/source", "file dev protocol=nbd name tls=no startupPolicy index", ONCE },
    { "/devices/disk/source/host", "name port transport=tcp|unix socket", ONCE },
    { "/devices/disk/source/seclabel", "", ANY | MANY },
    { "/devices/disk/source/privateData", "", ANY },
    { "/devices/disk/backingStore", "", ANY },
    { "/devices/disk/mirror", "", ANY },
    { "/devices/disk/target", "dev bus=virtio|scsi|sata|ide|usb|fdc removable "
                              "tray=open|closed", ONCE },
    { "/devices/disk/blockio", "logical_block_size physical_block_size", ONCE },
    { "/devices/disk/boot", "order", ONCE },
    { "/devices/disk/serial", "", ONCE },
    { "/devices/disk/wwn", "", ONCE },
    { "/devices/disk/vendor", "", ONCE },
    { "/devices/disk/product", "", ONCE },
    { "/devices/disk/readonly", "", ONCE },
    { "/devices/disk/shareable", "", ONCE },
    { "/devices/disk/transient", "", ONCE },
    DEVICE("/devices/disk"),

    { "/devices/controller[pci]", "type index model", MANY },
    { "/devices/controller[scsi]", "type index model", MANY },
    { "/devices/controller[ide]", "type index model", MANY },
    { "/devices/controller[sata]", "type index model", MANY },
    { "/devices/controller[fdc]", "type index", MANY },
    { "/devices/controller[usb]", "type index model ports", MANY },
    { "/devices/controller[virtio-serial]", "type index model ports vectors", MANY },
    { "/devices/controller/driver", "iothread", ONCE },
    { "/devices/controller/master", "startport", ONCE },
    { "/devices/controller/model", "name", ONCE },
    { "/devices/controller/target", "chassis chassisNr port busNr hotplug=on", ONCE },
    DEVICE("/devices/controller"),

    { "/devices/interface[user]", "type", MANY },
    { "/devices/interface/mac", "address type=generated|static", ONCE },
    { "/devices/interface/model", "type", ONCE },
    { "/devices/interface/target", "dev", ONCE },
    { "/devices/interface/boot", "order", ONCE },
    { "/devices/interface/link", "state=up", ONCE },
    { "/devices/interface/portForward", "proto address", MANY },
    { "/devices/interface/portForward/range", "start end to exclude=no", MANY },
    DEVICE("/devices/interface"),

#define CHARDEV(kind, targets)                                                                \
    { "/devices/" kind, "", MANY },                                                           \
    { "/devices/" kind "[pty]", "type tty", MANY },                                           \
    { "/devices/" kind "[unix]", "type", MANY },                                              \
    { "/devices/" kind "[file]", "type", MANY },                                              \
    { "/devices/" kind "[null]", "type", MANY },                                              \
    { "/devices/" kind "[tcp]", "type", MANY },                                               \
    { "/devices/" kind "[stdio]", "type", MANY },                                             \
    { "/devices/" kind "/source", "mode path host service append tls=no", ONCE },             \
    { "/devices/" kind "/source/seclabel", "", ANY | MANY },                                  \
    { "/devices/" kind "/protocol", "type=raw", ONCE },                                       \
    { "/devices/" kind "/target", "type=" targets " name port state", ONCE },                 \
    DEVICE("/devices/" kind)

    CHARDEV("serial", "isa-serial"),
    { "/devices/serial/target/model", "name=isa-serial", ONCE },
    CHARDEV("parallel", ""),
    CHARDEV("console", "serial|virtio"),
    CHARDEV("channel", "virtio"),

    { "/devices/input[mouse]", "type bus=ps2|usb|virtio", MANY },
    { "/devices/input[keyboard]", "type bus=ps2|usb|virtio", MANY },
    { "/devices/input[tablet]", "type bus=usb|virtio", MANY },
    DEVICE("/devices/input"),

    { "/devices/graphics[vnc]", "type port autoport listen socket passwd", MANY },
    { "/devices/graphics/listen[address]", "type address", ONCE },
    { "/devices/graphics/listen[socket]", "type socket", ONCE },
    { "/devices/graphics/listen[none]", "type", ONCE },
    { "/devices/graphics/audio", "id", ONCE },
    { "/devices/audio[none]", "id type", MANY },

    /* Sizes are those that QEMU takes by itself. */
    { "/devices/video", "", MANY },
    { "/devices/video/model[vga]", "type vram=16384 heads=1 primary", ONCE },
    { "/devices/video/model[cirrus]", "type vram=16384 heads=1 primary", ONCE },
    { "/devices/video/model[bochs]", "type vram=16384 heads=1 primary", ONCE },
    { "/devices/video/model[qxl]", "type ram=65536 vram=65536 vgamem=16384 heads=1 primary",
      ONCE },
    { "/devices/video/model[virtio]", "type heads=1 primary", ONCE },
    { "/devices/video/model[ramfb]", "type heads=1 primary", ONCE },
    { "/devices/video/model[none]", "type", ONCE },
    { "/devices/video/model/acceleration", "accel2d=no accel3d=no", ONCE },
    DEVICE("/devices/video"),

    { "/devices/rng", "model=virtio", MANY },
    { "/devices/rng/backend", "model=random", ONCE },
    DEVICE("/devices/rng"),

    { "/devices/memballoon", "model=virtio|none autodeflate=off freePageReporting=off", ONCE },
    { "/devices/memballoon/stats", "period", ONCE },
    DEVICE("/devices/memballoon"),
    { "/devices/watchdog", "model action", ONCE },
    DEVICE("/devices/watchdog"),

    { "/devices/tpm", "model=tpm-tis|tpm-crb", ONCE },
    { "/devices/tpm/backend", "", ONCE },
    { "/devices/tpm/backend[emulator]", "type version=2.0 persistent_state=yes|no", ONCE },
    { "/devices/tpm/alias", "name", ONCE },

    { "/qemu:commandline", "", ONCE },
    { "/qemu:commandline/qemu:arg", "value", MANY },
    { "/qemu:commandline/qemu:env", "name value", MANY },
    { "/qemu:deprecation", "behavior", ONCE },
};
/* clang-format on */

typedef struct {
    GHashTable *rows; /* path -> Known */
    GPtrArray *unknown;
} Search;

static GHashTable *
index_table(void)
{
    static GHashTable *rows = NULL;

    if (g_once_init_enter(&rows)) {
        GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; i < G_N_ELEMENTS(table); i++)
            g_hash_table_insert(index, (char *)table[i].path, (Known *)&table[i]);
        g_once_init_leave(&rows, index);
    }
    return rows;
}

/* "disk", "qemu:arg"; what is of another namespace has a name that no row has. */
static char *
name_of(const xmlNode *node)
{
    const char *name = (const char *)node->name;

    if (!node->ns)
        return g_strdup(name);
    if (vmp_xml_is(node, VMP_QEMU_NAMESPACE, name))
        return g_strconcat("qemu:", name, NULL);
    return g_strdup_printf("{%s}%s", (const char *)node->ns->href, name);
}

static const Known *
find_row(const Search *search, const char *path, const char *type)
{
    g_autofree char *typed = type ? g_strdup_printf("%s[%s]", path, type) : NULL;
    const Known *row = typed ? g_hash_table_lookup(search->rows, typed) : NULL;

    return row ? row : g_hash_table_lookup(search->rows, path);
}

static gboolean
is_full(const Search *search)
{
    return search->unknown->len >= MAX_UNKNOWN;
}

/* "line 12: <disk type='network'>", "line 13: <driver queues='4'> in <interface>" */
static void
report(Search *search, const xmlNode *node, const char *attribute, const char *value)
{
    if (is_full(search))
        return;

    g_autofree char *name = name_of(node);
    GString *text = g_string_new(NULL);
    const xmlNode *parent = node->parent;

    g_string_append_printf(text, "line %u: <%.60s", vmp_xml_line(node), name);
    if (attribute) {
        g_autofree char *quoted = vmp_name_quote(value);
        g_string_append_printf(text, " %.60s=%s", attribute, quoted);
    }
    g_string_append_c(text, '>');
    if (parent->type == XML_ELEMENT_NODE && !vmp_xml_is(parent, NULL, "devices") &&
        parent->parent->type == XML_ELEMENT_NODE)
        g_string_append_printf(text, " in <%.60s>", (const char *)parent->name);

    g_ptr_array_add(search->unknown, g_utf8_make_valid(text->str, -1));
    g_string_free(text, TRUE);
}

/* "name" or "name=a|b" in the row's list allows it. */
static gboolean
is_allowed(const char *attributes, const char *name, const char *value)
{
    for (const char *at = attributes; *at; at += strspn(at, " ")) {
        gsize length = strcspn(at, " =");
        gboolean is_it = strlen(name) == length && memcmp(at, name, length) == 0;

        at += length;
        if (*at != '=' && is_it)
            return TRUE;
        while (*at == '=' || *at == '|') {
            gsize word = strcspn(++at, " |");

            if (is_it && strlen(value) == word && memcmp(at, value, word) == 0)
                return TRUE;
            at += word;
        }
        if (is_it)
            return FALSE;
    }
    return FALSE;
}

static void
check_attributes(Search *search, const xmlNode *node, const Known *row)
{
    for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next) {
        const char *name = (const char *)attribute->name;
        g_autofree char *value = vmp_xml_attribute(node, name);

        if (attribute->ns || !is_allowed(row->attributes, name, value))
            report(search, node, name, value ? value : "");
    }
}

static void check_children(Search *search, const xmlNode *node, GString *path);

static void
check_element(Search *search, const xmlNode *node, GString *path, GHashTable *seen)
{
    g_autofree char *type = vmp_xml_attribute(node, "type");
    const Known *row = find_row(search, path->str, type);

    /* An unknown kind of a known device: the kind is what to name. */
    if (!row) {
        report(search, node, type ? "type" : NULL, type);
        return;
    }
    if (!g_hash_table_add(seen, (char *)node->name) && !(row->rule & MANY)) {
        report(search, node, NULL, NULL);
        return;
    }
    if (row->rule & ANY)
        return;

    /* Nor is the rest of an unknown kind worth a line each. */
    if (type && !is_allowed(row->attributes, "type", type)) {
        report(search, node, "type", type);
        return;
    }
    check_attributes(search, node, row);
    check_children(search, node, path);
}

static void
check_children(Search *search, const xmlNode *node, GString *path)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    gsize length = path->len;

    for (xmlNode *child = vmp_xml_child(node, NULL); child && !is_full(search);
         child = vmp_xml_next(child, NULL)) {
        g_autofree char *name = name_of(child);

        g_string_append_printf(path, "/%s", name);
        check_element(search, child, path, seen);
        g_string_truncate(path, length);
    }
}

/* A bus that libvirt guesses from the target's name, and that QEMU has not. */
static gboolean
has_foreign_bus(const VmpDomainDisk *disk)
{
    return g_str_equal(disk->bus, "xen") || g_str_equal(disk->bus, "uml");
}

static void
mark_disks(Search *search, VmpDomainView *view, const xmlNode *devices)
{
    g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);
    Search of_disks = { search->rows, unknown };
    guint index = 0;

    for (xmlNode *node = vmp_xml_child(devices, "disk"); node;
         node = vmp_xml_next(node, "disk")) {
        g_autoptr(GString) path = g_string_new("/devices/disk");
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        VmpDomainDisk *disk = g_ptr_array_index(view->disks, index++);

        g_ptr_array_set_size(unknown, 0);
        check_element(&of_disks, node, path, seen);
        disk->unsupported = unknown->len > 0 || has_foreign_bus(disk);
        if (has_foreign_bus(disk) && unknown->len == 0)
            report(search, vmp_xml_child(node, "target"), "dev", disk->target);
    }
}

/* Ids other than 1..n would name other threads than the view counts. */
static void
check_iothread_ids(Search *search, const VmpDomainView *view, const xmlNode *root)
{
    const xmlNode *ids = vmp_xml_child(root, "iothreadids");

    for (xmlNode *node = vmp_xml_child(ids, "iothread"); node;
         node = vmp_xml_next(node, "iothread")) {
        g_autofree char *id = vmp_xml_attribute(node, "id");
        guint64 value = 0;

        if (!id || !vmp_xml_parse_uint(id, &value) || value == 0 || value > view->iothreads)
            report(search, node, "id", id ? id : "");
    }
}

void
vmp_domain_find_unknown(VmpDomainView *view, const xmlNode *root)
{
    Search search = { index_table(), g_ptr_array_new_with_free_func(g_free) };
    g_autoptr(GString) path = g_string_new(NULL);

    view->unknown = search.unknown;
    check_attributes(&search, root, find_row(&search, "", NULL));
    check_children(&search, root, path);
    check_iothread_ids(&search, view, root);
    mark_disks(&search, view, vmp_xml_child(root, "devices"));
}
