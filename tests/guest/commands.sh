# SPDX-License-Identifier: LGPL-2.1-or-later
# What the host can ask of the test guest, as functions of its shell.
#
# Offsets and lengths are in bytes and multiples of 512; a device is a path
# such as /dev/vda (a file will do).

# --- Names -------------------------------------------------------------------

# Linux looks at SCSI and ATA disks side by side and names them sda, sdb as they
# come.  /dev/disk/0, /dev/disk/1 are the same disks in the order of the bus.
name_disks()
{
    mkdir -p /dev/disk
    index=0
    for address in $(ls /sys/class/scsi_disk | sort -t : -k 1,1n -k 2,2n -k 3,3n -k 4,4n); do
        disk=/dev/$(ls "/sys/class/scsi_disk/$address/device/block" 2>/dev/null)
        [ -b "$disk" ] || continue
        ln -snf "$disk" "/dev/disk/$index"
        index=$((index + 1))
    done
}

# disks_named COUNT: whether there are that many; USB takes its time.
disks_named()
{
    name_disks
    [ "$index" -ge "$1" ]
}

# --- Content that two sides can compute --------------------------------------

# pattern SEED OFFSET LENGTH: on stdout what belongs at OFFSET of a disk that
# carries SEED.  Each sector of 512 bytes is one line of 64 bytes, eight
# times, that spells the seed and the sector's own offset: content that has
# moved, is stale or is another disk's can not pass for the right one.
pattern()
{
    awk -v seed="$1" -v first="$2" -v length_="$3" 'BEGIN {
        for (offset = first + 0; offset < first + length_; offset += 512) {
            line = sprintf("vmpoint %-24s %030.0f\n", seed, offset)
            printf "%s", line line line line line line line line
        }
    }'
}

# write_pattern DEVICE OFFSET LENGTH SEED: is on the disk when it returns.
write_pattern()
{
    pattern "$4" "$2" "$3" | overwrite "$1" "$2" "$3"
}

# wreck DEVICE OFFSET LENGTH: noise in place of whatever was there.
wreck()
{
    overwrite "$1" "$2" "$3" </dev/urandom
}

# overwrite DEVICE OFFSET LENGTH: the range is stdin's first LENGTH bytes.
overwrite()
{
    dd of="$1" bs="$(block_size "$2" "$3")" seek="$2" count="$3" status=none \
        iflag=fullblock,count_bytes oflag=seek_bytes conv=notrunc,fsync
}

# read_range DEVICE OFFSET LENGTH: what the disk holds, not what the cache does.
read_range()
{
    drop_caches
    dd if="$1" bs="$(block_size "$2" "$3")" skip="$2" count="$3" status=none \
        iflag=skip_bytes,count_bytes
}

# digest DEVICE OFFSET LENGTH: its sha256 in hexadecimal.
digest()
{
    sha256_of read_range "$@"
}

# check_pattern DEVICE OFFSET LENGTH SEED: prints the digest of what is there;
# fails and says where the first difference is unless it is the pattern.
check_pattern()
{
    found=$(digest "$1" "$2" "$3")
    wanted=$(sha256_of pattern "$4" "$2" "$3")
    echo "$found"
    [ "$found" = "$wanted" ] && return 0

    mkfifo "/tmp/wanted.$$"
    pattern "$4" "$2" "$3" >"/tmp/wanted.$$" &
    read_range "$1" "$2" "$3" | cmp - "/tmp/wanted.$$"
    rm -f "/tmp/wanted.$$"
    return 1
}

sha256_of()
{
    "$@" | sha256sum | cut -d ' ' -f 1
}

drop_caches()
{
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

# The largest block that OFFSET and LENGTH are multiples of.
block_size()
{
    for size in 65536 4096 512; do
        [ $(($1 % size + $2 % size)) -eq 0 ] && break
    done
    echo "$size"
}

# --- Witnesses in RAM --------------------------------------------------------

# hold NAME VALUE; held NAME: a value that is nowhere but in RAM.
hold()
{
    printf '%s' "$2" >"/ram/held.$1"
}

held()
{
    cat "/ram/held.$1"
}

# A counter that grows ten times a second as long as the CPU runs.  It is
# overwritten in place, so that no reader finds it empty.
heartbeat_start()
{
    mkfifo /ram/never
    exec 9<>/ram/never
    printf '%012d\n' 0 >/ram/heartbeat
    heartbeat_loop &
}

heartbeat_loop()
{
    beat=0
    while :; do
        read -r -t 0.1 -u 9 _
        beat=$((beat + 1))
        printf '%012d\n' "$beat" 1<>/ram/heartbeat
    done
}

heartbeat()
{
    cat /ram/heartbeat
}

# heartbeat_reached COUNT: whether it has beaten that often.
heartbeat_reached()
{
    [ "$(heartbeat | number)" -ge "$1" ]
}

# wait_until COMMAND...: looks ten times a second; the host minds the time.
wait_until()
{
    until "$@"; do
        read -r -t 0.1 -u 9 _
    done
    return 0
}

# --- One instant -------------------------------------------------------------

# writer_start FILES OFFSET DEVICE...: a process that goes from generation to
# generation: writes the number of the generation to that many files in RAM,
# one after the other, then to each device, and only then begins the next.  At
# any instant the files therefore are k times g and the rest g-1, and the disks
# are at g-1 or g.
#
# A disk keeps the last 64 generations, one a sector in a ring at OFFSET.  Right
# before the writer adds one it reads the ring back, past the cache, and counts
# the disk as torn unless it holds exactly what RAM knows to have been written.
# Nor does it overwrite a file without having read the generation before in it.
# So a machine that was brought back with pages of RAM or disks of different
# instants, older or newer, convicts itself within two generations.
writer_start()
{
    files=$1 offset=$2
    shift 2
    rm -rf /ram/writer
    mkdir -p /ram/writer/files
    mkfifo /ram/writer/ended
    echo 0 >/ram/writer/torn
    for device; do
        yes "$(printf '%-511s' none)" | head -n 64 | overwrite "$device" "$offset" 32768
    done
    writer_generation 0 "$@"
    writer_loop "$@" &
}

writer_loop()
{
    generation=0
    until [ -e /ram/writer/stop ]; do
        generation=$((generation + 1))
        writer_generation "$generation" "$@"
    done
    echo ended >/ram/writer/ended
}

writer_generation()
{
    generation=$1
    shift
    before=$(printf '%012d' $((generation - 1)))
    i=0
    while [ "$i" -lt "$files" ]; do
        if [ "$generation" -gt 0 ]; then
            read -r found <"/ram/writer/files/$i"
            [ "$found" = "$before" ] || writer_torn "file $i in RAM: $found"
        fi
        printf '%012d\n' "$generation" 1<>"/ram/writer/files/$i"
        i=$((i + 1))
    done
    for device; do
        writer_compare "$device" $((generation - 1))
        printf '%-511s\n' "generation $generation" |
            dd of="$device" bs=512 seek=$((offset + generation % 64 * 512)) count=1 status=none \
                iflag=fullblock oflag=seek_bytes,direct conv=notrunc,fsync
    done
    printf '%012d\n' "$generation" 1<>/ram/writer/generation
}

# writer_compare DEVICE LAST: the ring must end with generation LAST.
writer_compare()
{
    dd if="$1" bs=32768 skip="$offset" count=1 status=none iflag=skip_bytes,direct |
        awk -v last="$2" '
            {
                slot = NR - 1
                wanted = last - (last - slot + 64) % 64
                wanted = wanted < 0 ? "none" : "generation " wanted
                sub(/ *$/, "")
                if ($0 != wanted && !wrong++)
                    print "slot " slot " has " $0 " and not " wanted
            }
            END { exit wrong > 0 || NR != 64 }' >/tmp/compared ||
        writer_torn "$1: $(cat /tmp/compared)"
}

writer_torn()
{
    echo "before generation $generation: $1" >>/ram/writer/why
    read -r torn </ram/writer/torn
    echo $((torn + 1)) >/ram/writer/torn
}

# writer_state: "generation G oldest A newest B torn T", and each disagreement.
# G is the last that is complete; A and B are of the files, where a writer that
# goes on may be further by the time of the last.
writer_state()
{
    cat /ram/writer/files/* | sort -u >/tmp/generations
    printf 'generation %d oldest %d newest %d torn %d\n' \
        "$(number </ram/writer/generation)" \
        "$(sed -n 1p /tmp/generations | number)" \
        "$(sed -n '$p' /tmp/generations | number)" \
        "$(number </ram/writer/torn)"
    [ ! -e /ram/writer/why ] || cat /ram/writer/why
}

# Without the leading zeros, which would make it octal.
number()
{
    sed 's/^0*\([0-9]\)/\1/'
}

# writer_reached GENERATION: whether that many are complete.
writer_reached()
{
    [ "$(number </ram/writer/generation)" -ge "$1" ]
}

# writer_stop: returns when the generation under way is complete.
writer_stop()
{
    : >/ram/writer/stop
    read -r _ </ram/writer/ended
}

# --- All of RAM --------------------------------------------------------------

# dirty_start KEEP: from now on all of RAM but KEEP MiB is written to again and again, and is never
# zeroes.
dirty_start()
{
    mount -o remount,size=100% /ram
    yes "$(cat /proc/sys/kernel/random/uuid)" | head -c 8388608 >/ram/block
    blocks=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo) / 8192 - $1 / 8))
    pieces=
    while [ "$blocks" -gt 0 ]; do
        pieces="$pieces /ram/block"
        blocks=$((blocks - 1))
    done
    dirty_pass
    dirty_loop &
}

dirty_pass()
{
    # shellcheck disable=SC2086 # there are several
    cat $pieces 1<>/ram/dirty
}

dirty_loop()
{
    passes=0
    while :; do
        dirty_pass
        passes=$((passes + 1))
        printf '%012d\n' "$passes" 1<>/ram/passes
    done
}

# dirty_passed COUNT: whether all of it was written that often since.
dirty_passed()
{
    [ -e /ram/passes ] && [ "$(number </ram/passes)" -ge "$1" ]
}

# --- Power, agent ------------------------------------------------------------

# The power button switches the machine off, unless it is told to be ignored.
power_button_start()
{
    for name in /sys/class/input/event*/device/name; do
        grep -qs 'Power Button' "$name" || continue
        event=${name#/sys/class/input/}
        # Opened here, not in the background: a press is kept for those only
        # who have opened the device before it.
        exec 8<"/dev/input/${event%%/*}"
        power_button_wait <&8 8<&- &
        exec 8<&-
    done
}

power_button_wait()
{
    # One press is four events of 24 bytes; the first read returns with it.
    while dd bs=96 count=1 status=none >/dev/null; do
        echo pressed >>/ram/power-button
        [ -e /ram/power-button-ignored ] && continue
        sync
        poweroff -f
    done
}

power_button_ignore()
{
    : >/ram/power-button-ignored
}

# The guest agent, where the machine has a channel for it.
agent_start()
{
    for name in /sys/class/virtio-ports/*/name; do
        grep -qsx org.qemu.guest_agent.0 "$name" || continue
        port=${name#/sys/class/virtio-ports/}
        mkdir -p /var/run
        qemu-ga -m virtio-serial -p "/dev/${port%%/*}" -t /var/run -f /var/run/qga.pid \
            >/tmp/qemu-ga.log 2>&1 &
    done
}
