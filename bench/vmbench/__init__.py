# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benchmark is made of.

clock       how long a program, or a function, takes
sides       who does the same thing: vmpoint, libvirt, bare QMP, qemu-img
monitor     what bare QMP needs more than a client: jobs, nodes
calls       of the kernel
operations  what is done, what proves that it was, how it is undone
report      the table, and the same for machines
"""
