# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the functional tests are made of.

guest      the test guest, through its serial console
domain     libvirt <domain> XML for a machine of this guest
documents  documents of backups, in the words of libvirt
cli        the vmpoint program, in folders of its own
cuts       a command that is cut off at each of its fault points
vm         a domain that vmpoint runs, with its guest
pull       a pull backup, as its clients see it
bare       the same guest under a QEMU that vmpoint never hears of
libvirtd   another implementation of the same words
network    disks behind somebody's NBD server
tpm        a TPM 2.0 by its raw commands
pattern    disk content that guest and host both can compute
images     the judge of images: qemu-img, qemu-nbd, libnbd
qmp        the judge of machines: a QMP client that shares no code with vmpoint
world      all that a command could change, to be compared before and after it
story      the main job, told once; demo shows it on a terminal
pids       every process of a test, ended by its pid
waiting    for a file descriptor, with a deadline
workdir    a short folder on a real file system
"""
