#!/bin/bash
# A throw-away Debian machine with a kernel of its own (qemu's software emulation), for what the host's kernel cannot show:
# AppArmor, SELinux in enforcing mode, a power cut.
#
#   vm.sh build                  make disk, kernel and key, or reuse them (cached by suite and package list)
#   vm.sh boot NAME POLICY       start a fresh one, or one that was cut; POLICY: apparmor | selinux
#   vm.sh exec NAME COMMAND...   run COMMAND in it, as root
#   vm.sh put NAME FILE... FOLDER
#   vm.sh cut NAME               pull the plug; what was on its disk stays
#   vm.sh stop NAME              pull the plug and forget it
#   vm.sh test PROGRAM...        boot, run PROGRAM with the packages beside it, stop (cargo's runner, tests/vm.sh)
#
# Its network is one port of the host's loopback, to its sshd: it reaches nothing.
#
# Environment: TWINLOCK_CACHE      where disks are kept      (default /var/cache/twinlock-tests)
#              TWINLOCK_SUITE      Debian suite              (default: the host's own)
#              TWINLOCK_MIRROR     Debian mirror             (default: the host's own)
#              TWINLOCK_PACKAGES   what "test" takes along   (default target/packages)
#              TWINLOCK_VMS        where machines live       (default: vms in the cache)
# Needs root, mmdebstrap, qemu-system-x86, qemu-utils, openssh-client.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
workspace=$(cd "$here/../.." && pwd)
cache=${TWINLOCK_CACHE:-/var/cache/twinlock-tests}
machines=${TWINLOCK_VMS:-$cache/vms}
suite=${TWINLOCK_SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
packages=$(tr '\n' ',' <"$here/vm-packages" | sed 's/,$//')
# With cx16 the emulator of qemu 7.2 breaks kernels from 6.12 on.
cpu=max,-cx16

die() { echo "vm.sh: $*" >&2; exit 2; }

own_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Identifier: Packages' |
        awk '$2 !~ /security/ { print $1; exit }'
}

build() {
    [ -e "$base/.ready" ] && return 0
    mkdir -p "$cache"
    exec 9>"$cache/vm.lock"
    flock 9 # one builds, the others wait for it
    [ -e "$base/.ready" ] && return 0
    local mirror=${TWINLOCK_MIRROR:-$(own_mirror)}
    [ "$mirror" ] || { apt-get update -qq && mirror=$(own_mirror); }
    [ "$mirror" ] || die "no Debian mirror in apt's sources; set TWINLOCK_MIRROR"
    rm -rf --one-file-system "$base"
    mkdir -p "$base"
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
        --include="$packages" "$suite" "$base/tree" "$mirror" >"$base/log" 2>&1 ||
        { tail -5 "$base/log" >&2; die "mmdebstrap failed; its log is $base/log"; }
    ssh-keygen -q -t ed25519 -N '' -f "$base/key"
    furnish "$base/tree"
    cp "$base/tree"/boot/vmlinuz-* "$base/vmlinuz"
    cp "$base/tree"/boot/initrd.img-* "$base/initrd"
    unshare --mount --pid --fork --mount-proc "$0" label "$base/tree" >>"$base/log" 2>&1
    truncate -s 4G "$base/disk"
    mke2fs -q -t ext4 -L root -d "$base/tree" "$base/disk"
    rm -rf --one-file-system "$base/tree"
    touch "$base/.ready"
    exec 9>&-
}

# What makes a tree a machine that we can reach.
furnish() {
    local tree=$1 unit
    install -d -m 0700 "$tree/root/.ssh"
    install -m 0600 "$base/key.pub" "$tree/root/.ssh/authorized_keys"
    : >"$tree/etc/twinlock-box" # the tests refuse to run without it
    echo box >"$tree/etc/hostname"
    echo '127.0.0.1 localhost box' >"$tree/etc/hosts"
    echo '/dev/vda / ext4 rw,relatime 0 0' >"$tree/etc/fstab"
    # We come in by a second sshd, whose PAM service is its name, so that a test may do what it likes with the first.
    ln -s sshd "$tree/usr/sbin/bed"
    cp "$tree/etc/pam.d/sshd" "$tree/etc/pam.d/bed"
    sed 's|^ExecStart.*||; s|^\[Service\]|&\nExecStart=/usr/sbin/bed -D -f /dev/null -p 2222 -o UsePAM=yes -o PidFile=none|; /^Alias/d' \
        "$tree/lib/systemd/system/ssh.service" >"$tree/etc/systemd/system/bed.service"
    echo '(portcon tcp 2222 (system_u object_r ssh_port_t ((s0) (s0))))' >"$tree/root/bed.cil"
    cat >"$tree/etc/systemd/network/10-bed.network" <<'NETWORK'
[Match]
Name=en* eth*
[Network]
DHCP=no
Address=10.0.2.15/24
LinkLocalAddressing=no
NETWORK
    mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
    ln -sf /lib/systemd/system/systemd-networkd.service /etc/systemd/system/bed.service \
        "$tree/etc/systemd/system/multi-user.target.wants/"
    for unit in systemd-networkd-wait-online.service e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer; do
        ln -sf /dev/null "$tree/etc/systemd/system/$unit"
    done
}

# SELinux's labels, written before the disk is made; sshd may be at our port. setfiles complains of dangling links and writes the others.
label() {
    mount -t proc proc "$1/proc"
    chroot "$1" semodule --noreload --install /root/bed.cil
    chroot "$1" setfiles -F -e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts / || true
    umount "$1/proc"
}

remote() {
    local machine=$machines/$1
    shift
    ssh -q -i "$base/key" -p "$(cat "$machine/port")" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ConnectTimeout=10 -o ServerAliveInterval=30 root@127.0.0.1 "$@"
}

boot() {
    local name=$1 policy=$2 machine=$machines/$1
    case $policy in
    apparmor) policy='apparmor=1 security=apparmor' ;;
    selinux) policy='security=selinux selinux=1 enforcing=1' ;;
    *) die "apparmor or selinux, not $policy" ;;
    esac
    build
    mkdir -p "$machine"
    [ -e "$machine/disk" ] || qemu-img create -q -f qcow2 -b "$base/disk" -F raw "$machine/disk"
    echo "$policy" >"$machine/policy"
    start "$name"
    up "$name"
}

start() {
    local name=$1 machine=$machines/$1
    # A port that is free now; the next who wants one finds it taken.
    [ -e "$machine/port" ] || python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' \
        >"$machine/port"
    qemu-system-x86_64 -name "$name" -M q35 -accel tcg,thread=multi -cpu "$cpu" -smp 2 -m 1024 \
        -nodefaults -display none -no-reboot -kernel "$base/vmlinuz" -initrd "$base/initrd" \
        -append "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off panic=-1 $(cat "$machine/policy")" \
        -drive "file=$machine/disk,if=virtio,cache=unsafe" \
        -netdev "user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:$(cat "$machine/port")-:2222" \
        -device virtio-net-pci,netdev=n -device virtio-rng-pci \
        -serial "file:$machine/serial" -monitor none \
        -daemonize -pidfile "$machine/pid"
}

up() {
    local name=$1 machine=$machines/$1 tries
    for tries in $(seq 300); do
        remote "$name" true 2>/dev/null && break
        running "$name" || { tail -5 "$machine/serial" >&2; die "$name stopped"; }
        [ "$tries" -lt 300 ] || { tail -5 "$machine/serial" >&2; die "$name does not answer"; }
        sleep 1
    done
    remote "$name" "date -s @$(date +%s) >/dev/null; systemctl is-system-running --wait >/dev/null || true"
}

running() { [ -e "$machines/$1/pid" ] && [ -d "/proc/$(cat "$machines/$1/pid")" ]; }

cut_off() {
    running "$1" || return 0
    kill -9 "$(cat "$machines/$1/pid")"
    while running "$1"; do sleep 0.05; done
}

put() {
    local name=$1 folder=${!#} file
    shift
    local files=("${@:1:$#-1}")
    remote "$name" "mkdir -p '$folder'"
    for file in "${files[@]}"; do
        tar -C "$(dirname "$file")" -cf - "$(basename "$file")"
    done | remote "$name" "tar -C '$folder' -xif - --no-same-owner"
}

# A test program and the packages, at the same places as here, in a machine of its own: vm_POLICY-... says under which policy.
# Listing its tests needs no machine.
test_program() {
    local program=$1 name=test-$$ argument policy
    shift
    for argument in "$@"; do
        [ "$argument" != --list ] || exec "$program" "$@"
    done
    policy=$(basename "$program" | sed -n 's/^vm_\([a-z]*\)-.*/\1/p')
    local packages=${TWINLOCK_PACKAGES:-${CARGO_TARGET_DIR:-$workspace/target}/packages}
    # shellcheck disable=SC2064 # the name is gone by then
    trap "stop '$name'" EXIT
    boot "$name" "$policy"
    put "$name" "$packages"/*.deb "$packages"/*.pp "$packages"
    strip -o "$machines/$name/program" "$program"
    put "$name" "$machines/$name/program" /root
    # Five to eight times slower than here, and here may be busy.
    remote "$name" env TERM=xterm LANG=C.UTF-8 "TWINLOCK_PACKAGES=$packages" TWINLOCK_SLOW=10 RUST_BACKTRACE=0 /root/program "${@@Q}"
}

stop() {
    cut_off "$1"
    rm -rf "${machines:?}/$1"
}

base=$cache/vm-$suite-$(echo "$suite $packages $(declare -f furnish label)" | sha256sum | cut -c1-12)
case ${1:-} in
build) build ;;
boot) boot "${2:?NAME}" "${3:?POLICY}" ;;
exec) shift; remote "$@" ;;
put) shift; put "$@" ;;
cut) cut_off "${2:?NAME}" ;;
stop) stop "${2:?NAME}" ;;
test) shift; test_program "$@" ;;
label) label "${2:?TREE}" ;;
*) die "usage: vm.sh build | boot | exec | put | cut | stop | test ..." ;;
esac
