/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All commands: one table a group, one file a table. */

#include "cli/parser.h"

extern const VmpCommandGroup vmp_command_groups[];

extern const VmpCommand vmp_domain_commands[];
extern const VmpCommand vmp_monitor_commands[];
extern const VmpCommand vmp_filesystem_commands[];
extern const VmpCommand vmp_snapshot_commands[];
extern const VmpCommand vmp_checkpoint_commands[];
extern const VmpCommand vmp_backup_commands[];
extern const VmpCommand vmp_block_commands[];
extern const VmpCommand vmp_fsck_commands[];
extern const VmpCommand vmp_graph_commands[];
extern const VmpCommand vmp_repository_commands[];
extern const VmpCommand vmp_host_commands[];

/* What --help and --version do as well; @about is a command, a group or NULL. */
gboolean vmp_run_help(VmpSession *session, const char *about, GError **error);
gboolean vmp_run_version(VmpSession *session, const VmpArguments *arguments, GError **error);

/* Rows that many option tables share. */
#define VMP_POSITION(text, needed, names, kind, says)                                     \
    {                                                                                     \
        .name = text, .type = VMP_OPTION_STRING, .use = VMP_OPTION_POSITIONAL | (needed), \
        .help = says, .value = names, .completes = kind                                   \
    }
#define VMP_DOMAIN_OPTION                                                    \
    VMP_POSITION("domain", VMP_OPTION_REQUIRED, "name", VMP_COMPLETE_DOMAIN, \
                 "domain name or uuid")
#define VMP_FLAG(text, says)                                \
    {                                                       \
        .name = text, .type = VMP_OPTION_FLAG, .help = says \
    }
/* A flag that is handed to the library as it is. */
#define VMP_FLAG_BIT(text, flag, says)                                   \
    {                                                                    \
        .name = text, .type = VMP_OPTION_FLAG, .help = says, .bit = flag \
    }
#define VMP_VALUE(text, names, kind, says)                                     \
    {                                                                          \
        .name = text, .type = VMP_OPTION_STRING, .help = says, .value = names, \
        .completes = kind                                                      \
    }
#define VMP_FLEECE_OPTION                                                                   \
    {                                                                                       \
        .name = "fleece", .type = VMP_OPTION_OPTIONAL,                                      \
        .help = "the guest never waits for a target: what it overwrites meanwhile is kept " \
                "in scratch images, in this folder or beside the disks",                    \
        .value = "folder", .completes = VMP_COMPLETE_FILE                                   \
    }
#define VMP_XPATH_OPTIONS                                  \
    VMP_VALUE("xpath", "expression", VMP_COMPLETE_NOTHING, \
              "print only the nodes that it selects"),     \
        VMP_FLAG("wrap", "with --xpath, put the nodes into one root element")
