/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/commands.h"

const VmpCommandGroup vmp_command_groups[] = {
    { "domain", "Domains", vmp_domain_commands },
    { "monitor", "Looking at domains", vmp_monitor_commands },
    { "filesystem", "File systems of a guest", vmp_filesystem_commands },
    { "snapshot", "Snapshots", vmp_snapshot_commands },
    { "checkpoint", "Checkpoints", vmp_checkpoint_commands },
    { "backup", "Backups", vmp_backup_commands },
    { "block", "Disks", vmp_block_commands },
    { "check", "Checking", vmp_fsck_commands },
    { "picture", "Pictures", vmp_graph_commands },
    { "repository", "Restore points", vmp_repository_commands },
    { "host", "vmpoint itself", vmp_host_commands },
    { NULL, NULL, NULL },
};
