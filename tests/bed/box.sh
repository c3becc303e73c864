#!/bin/bash
# A throw-away Debian system for testing with the real programs (sshd, login, su, sudo), without touching the host.
#
#   box.sh build                 make the trees, or reuse them (cached by suite and package list)
#   box.sh run COMMAND...        run COMMAND as root inside a fresh copy of the base tree
#   box.sh machine COMMAND...    the same where systemd was booted, in a tree with hardly more than a fresh host has
#   box.sh test PROGRAM...       "machine" for a PROGRAM whose name begins with machine_, else "run" (cargo's runner)
#
# A fresh copy is an overlayfs over the base tree whose upper layer is a tmpfs, entered with mount, pid, uts, ipc and
# network namespaces of its own: what is written there is gone when COMMAND ends, and so is every process. The
# workspace and the build folder are seen at their own paths, read-only. A machine has a cgroup2 tree of its own too, but
# no limits (the kernel's controllers may be elsewhere), and the kernel is this one: no AppArmor, no SELinux.
#
# Environment: TWINLOCK_CACHE  where trees are kept    (default /var/cache/twinlock-tests)
#              TWINLOCK_SUITE  Debian suite            (default: the host's own)
#              TWINLOCK_DISK   not empty: /var/lib is on the real disk
#              TWINLOCK_KEEP   a folder that is seen at /keep and can be written, for what is to stay
#              TWINLOCK_MIRROR Debian mirror           (default: the host's own)
# Needs root, mmdebstrap, util-linux, iproute2.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
workspace=$(cd "$here/../.." && pwd)
cache=${TWINLOCK_CACHE:-/var/cache/twinlock-tests}
suite=${TWINLOCK_SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
packages=$(tr '\n' ',' <"$here/packages" | sed 's/,$//')
tree=$cache/tree-$suite-$(echo "$suite $packages" | sha256sum | cut -c1-12)
machine_packages=$(tr '\n' ',' <"$here/machine-packages" | sed 's/,$//')
machine=$cache/machine-$suite-$(echo "$suite $machine_packages" | sha256sum | cut -c1-12)
# What would bloat the base tree, or is not in its suite, has a tree of its own: seen at /NAME, entered with chroot.
# A telephone exchange and a telephone are in no stable suite. What RPM packages are installed with is kept apart.
phones_packages=asterisk,asterisk-core-sounds-en-gsm,baresip-core,libsox-fmt-all,sox
phones=$cache/phones-sid-$(echo "$phones_packages" | sha256sum | cut -c1-12)
rpms_packages=binutils,createrepo-c,dnf,rpm
rpms=$cache/rpms-$suite-$(echo "$suite $rpms_packages" | sha256sum | cut -c1-12)
browser_packages=chromium,chromium-driver,fonts-dejavu-core
browser=$cache/browser-$suite-$(echo "$suite $browser_packages" | sha256sum | cut -c1-12)

die() { echo "box.sh: $*" >&2; exit 2; }

# Where this machine's own packages come from.
own_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Identifier: Packages' |
        awk '$2 !~ /security/ { print $1; exit }'
}

# One tree: of this suite, with these packages; what else mmdebstrap is to know.
tree() {
    local tree=$1 suite=$2 packages=$3
    shift 3
    [ -e "$tree/.ready" ] && return 0
    local mirror=${TWINLOCK_MIRROR:-$(own_mirror)}
    [ "$mirror" ] || { apt-get update -qq && mirror=$(own_mirror); }
    [ "$mirror" ] || die "no Debian mirror in apt's sources; set TWINLOCK_MIRROR"
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9 # one builds, the others wait for it
    [ -e "$tree/.ready" ] && return 0
    rm -rf --one-file-system "$tree"
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
        "$@" --include="$packages" "$suite" "$tree" "$mirror" >"$tree.log" 2>&1 ||
        { tail -5 "$tree.log" >&2; die "mmdebstrap failed; its log is $tree.log"; }
    touch "$tree/.ready"
    exec 9>&-
}

build() {
    tree "$tree" "$suite" "$packages"
    tree "$phones" sid "$phones_packages"
    tree "$rpms" "$suite" "$rpms_packages"
    tree "$browser" "$suite" "$browser_packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*'
    build_machine
}

build_machine() {
    tree "$machine" "$suite" "$machine_packages"
    [ ! -L "$machine/etc/systemd/system/getty.target" ] || return 0
    # There is no terminal to show a prompt on.
    ln -sf /dev/null "$machine/etc/systemd/system/getty.target"
    ln -sf /dev/null "$machine/etc/systemd/system/console-getty.service"
    : >"$machine/etc/machine-id"
}

# A further tree, seen at /NAME in the box, whose devices and processes it has.
further() {
    local m=$1 name=$2 tree=$3
    mkdir "$m/root/$name" "$m/$name-up" "$m/$name-work"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$m/$name-up,workdir=$m/$name-work" "$m/root/$name"
    mount -t proc -o nosuid,nodev,noexec proc "$m/root/$name/proc"
    mount --rbind "$m/root/dev" "$m/root/$name/dev"
}

# A fresh view of a tree, in $root: an overlay with nothing of its own to keep, and devices, processes, /run.
view() {
    local tree=$1 size=$2 node m
    m=$cache/mnt # the same for all: each has its own mount namespace
    mkdir -p "$m"
    mount -t tmpfs -o "size=$size,mode=755" box "$m"
    mkdir "$m/up" "$m/work" "$m/root"
    root=$m/root
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$m/up,workdir=$m/work" "$root"
    mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    mount -t sysfs -o ro,nosuid,nodev,noexec sys "$root/sys" 2>/dev/null || true
    mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
    for node in null zero full random urandom tty; do
        touch "$root/dev/$node"
        mount --bind "/dev/$node" "$root/dev/$node"
    done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 pts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
    mount -t tmpfs -o mode=755 run "$root/run"
    local shared
    for shared in "$workspace" "${CARGO_TARGET_DIR:-$workspace/target}"; do
        mkdir -p "$root$shared"
        mount --bind -o ro "$shared" "$root$shared"
    done
    if [ "${TWINLOCK_KEEP:-}" ]; then
        mkdir "$root/keep"
        mount --bind "$TWINLOCK_KEEP" "$root/keep"
    fi
    : >"$root/etc/twinlock-box" # the tests refuse to run without it
    hostname box
    echo box >"$root/etc/hostname"
    echo '127.0.0.1 localhost box' >"$root/etc/hosts"
    ip link set lo up
}

# What COMMAND sees of our environment, in $seen.
environment() {
    seen=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm LANG=C.UTF-8)
    local name
    while IFS='=' read -r name _; do
        [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || continue # CARGO_BIN_EXE_some-name
        case $name in NEXTEST* | CARGO_* | TWINLOCK_* | RUST_BACKTRACE) seen+=("$name=${!name}") ;; esac
    done < <(env)
}

# The second half of "run", inside the new namespaces.
inside() {
    local root seen
    view "$tree" 512m
    mkdir -p "$root/run/sshd" "$root/run/lock" "$root/run/user"
    : >"$root/run/utmp"
    : >"$root/var/log/wtmp"
    : >"$root/var/log/btmp"
    if [ "${TWINLOCK_DISK:-}" ]; then # /var/lib on the real disk, for what measures durable writes
        rm -rf "$cache/disk" && cp -a "$root/var/lib" "$cache/disk"
        mount --bind "$cache/disk" "$root/var/lib"
    fi
    further "${root%/root}" phones "$phones"
    mkdir -p "$root/phones/run/asterisk"
    further "${root%/root}" browser "$browser"
    further "${root%/root}" rpms "$rpms"
    environment
    cd "$root"
    exec chroot "$root" /usr/bin/env -i "${seen[@]}" "$@"
}

# A branch of a cgroup2 hierarchy, which must be mounted somewhere.
branch() {
    local top
    top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    if [ ! "$top" ]; then
        top=$cache/cgroup2
        mkdir -p "$top"
        mount -t cgroup2 none "$top"
    fi
    echo "$top/twinlock-$$"
}

# Boots, runs COMMAND inside, and pulls the plug.
machine() {
    local group init try seen
    group=$(branch)
    mkdir "$group"
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        # However this script ends, the machine ends with it.
        exec setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --uts --ipc \
            --net --cgroup --mount-proc "$0" init
    ) </dev/null >/dev/null &
    outer=$!
    # shellcheck disable=SC2064 # what they are now
    trap "kill -9 $outer 2>/dev/null || true; wait $outer 2>/dev/null || true; power_off '$group'" EXIT
    for try in $(seq 400); do
        [ "$try" != 400 ] && [ -d "/proc/$outer" ] || die "systemd does not boot"
        init=$(tr -d ' ' <"/proc/$outer/task/$outer/children" 2>/dev/null) || true
        [ "$init" ] && [ "$(cat "/proc/$init/comm" 2>/dev/null)" = systemd ] &&
            nsenter -t "$init" -a -- test -S /run/systemd/private 2>/dev/null && break
        read -r -t 0.05 <> <(:) || true
    done
    environment
    # Beside systemd's own processes, and where it leaves strangers alone.
    mkdir "$group/tests"
    echo $$ >"$group/tests/cgroup.procs"
    nsenter -t "$init" -a -- /usr/bin/env -i "${seen[@]}" systemctl is-system-running --wait >/dev/null || true
    nsenter -t "$init" -a -- /usr/bin/env -i "${seen[@]}" "$@"
}

# Its processes are dying; the folders of its cgroups go when they have.
power_off() {
    local group=$1 try
    echo $$ >"${group%/*}/cgroup.procs"
    for try in $(seq 100); do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && return 0
        read -r -t 0.05 <> <(:) || true
    done
}

# The second half of "machine": becomes pid 1 of it.
init() {
    local root
    view "$machine" 2g
    mount --bind "$root/proc/sys" "$root/proc/sys"
    mount -o remount,bind,ro "$root/proc/sys" # this machine's settings stay
    mount -t cgroup2 -o nosuid,nodev,noexec none "$root/sys/fs/cgroup"
    local name
    for name in stdin:0 stdout:1 stderr:2; do
        ln -s "fd/${name#*:}" "$root/dev/${name%:*}"
    done
    cd "$root"
    mkdir old
    pivot_root . old
    # Without a shared root credentials never reach the services.
    exec chroot . /bin/sh -c 'umount -l /old && rmdir /old && mount --make-rshared / &&
        exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init --log-target=journal'
}

action=${1:-}
if [ "$action" = test ]; then
    case ${2##*/} in
    machine_*) action=machine ;;
    *) action=run ;;
    esac
fi
case $action in
build) build ;;
run)
    shift
    [ $# -gt 0 ] || die "no command"
    build
    exec unshare --mount --propagation private --pid --fork --kill-child --uts --ipc --net --mount-proc \
        "$0" inside "$@" ;;
inside) shift; inside "$@" ;;
machine)
    shift
    [ $# -gt 0 ] || die "no command"
    build_machine
    machine "$@"
    ;;
init) init ;;
*) die "usage: box.sh build | run COMMAND... | machine COMMAND... | test PROGRAM..." ;;
esac
