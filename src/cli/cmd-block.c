/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* block*: one disk of a domain. */

#include "cli/commands.h"
#include "cli/session.h"
#include "cli/units.h"

/* What virsh takes a number without a unit for. */
#define SIZE_UNIT 1024

static gboolean
run_resize(VmpSession *session, const VmpArguments *arguments, GError **error)
{
    const char *domain = vmp_arguments_get(arguments, "domain");
    const char *path = vmp_arguments_get(arguments, "path");
    const char *text = vmp_arguments_get(arguments, "size");
    guint64 size = 0;

    if (text && !vmp_parse_bytes(text, SIZE_UNIT, &size)) {
        g_set_error(error, VMP_ERROR, VMP_ERROR_INVALID, "'%s' is no size", text);
        return FALSE;
    }
    VmpHost *host = vmp_session_open(session, error);
    if (!host || !vmp_block_resize(host, domain, path, size, vmp_arguments_get_bits(arguments),
                                   vmp_session_get_operation(session), error))
        return FALSE;
    vmp_session_finish(session, vmp_result_new(domain, NULL), "Block device '%s' is resized\n",
                       path);
    return TRUE;
}

static const VmpOption resize_options[] = {
    VMP_DOMAIN_OPTION,
    VMP_POSITION("path", VMP_OPTION_REQUIRED, "disk", VMP_COMPLETE_DISK,
                 "target of the disk, or path of its image"),
    VMP_POSITION("size", 0, "size", VMP_COMPLETE_NOTHING,
                 "what it is to have: 3G or 512MiB, for instance; KiB without a unit"),
    VMP_FLAG_BIT("capacity", VMP_BLOCK_RESIZE_CAPACITY,
                 "a raw block device: as large as that has become"),
    VMP_FLAG_BIT("extend", VMP_BLOCK_RESIZE_EXTEND, "never make it smaller"),
    VMP_FLAG_BIT("force", VMP_BLOCK_RESIZE_FORCE, "make it smaller, whatever is lost"),
    VMP_OPTION_END,
};

static const VmpRule resize_rules[] = {
    { VMP_RULE_EXACTLY_ONE, "size capacity" },
    { VMP_RULE_AT_MOST_ONE, "extend force" },
    { VMP_RULE_NONE, NULL },
};

const VmpCommand vmp_block_commands[] = {
    { .name = "blockresize",
      .help = "give a disk another size",
      .description =
          "Makes a disk larger, or with --force smaller, while the domain runs or is "
          "off.  Its snapshots keep the size that they have.",
      .options = resize_options,
      .rules = resize_rules,
      .changes = TRUE,
      .run = run_resize },
    { .name = NULL },
};
