#!/bin/bash
# A throw-away Debian system for testing with the real programs (sshd, login, su, sudo), without touching the host.
#
#   box.sh build             make the base tree, or reuse it (cached by suite and package list)
#   box.sh run COMMAND...    run COMMAND as root inside a fresh copy of it
#
# A fresh copy is an overlayfs over the base tree whose upper layer is a tmpfs, entered with mount, pid, uts, ipc and
# network namespaces of its own: what is written there is gone when COMMAND ends, and so is every process. The
# workspace and the build folder are seen at their own paths, read-only.
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
# What would bloat the base tree, or is not in its suite, has a tree of its own: seen at /NAME, entered with chroot.
# A telephone exchange and a telephone are in no stable suite.
phones_packages=asterisk,asterisk-core-sounds-en-gsm,baresip-core,libsox-fmt-all,sox
phones=$cache/phones-sid-$(echo "$phones_packages" | sha256sum | cut -c1-12)
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
    tree "$browser" "$suite" "$browser_packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*'
}

# A further tree, seen at /NAME in the box, whose devices and processes it has.
further() {
    local m=$1 name=$2 tree=$3
    mkdir "$m/root/$name" "$m/$name-up" "$m/$name-work"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$m/$name-up,workdir=$m/$name-work" "$m/root/$name"
    mount -t proc -o nosuid,nodev,noexec proc "$m/root/$name/proc"
    mount --rbind "$m/root/dev" "$m/root/$name/dev"
}

# The second half of "run", inside the new namespaces.
inside() {
    local m r node
    m=$cache/mnt # the same for all: each has its own mount namespace
    mkdir -p "$m"
    mount -t tmpfs -o size=512m,mode=755 box "$m"
    mkdir "$m/up" "$m/work" "$m/root"
    r=$m/root
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$m/up,workdir=$m/work" "$r"
    mount -t proc -o nosuid,nodev,noexec proc "$r/proc"
    mount -t sysfs -o ro,nosuid,nodev,noexec sys "$r/sys" 2>/dev/null || true
    mount -t tmpfs -o mode=755,nosuid dev "$r/dev"
    for node in null zero full random urandom tty; do
        touch "$r/dev/$node"
        mount --bind "/dev/$node" "$r/dev/$node"
    done
    mkdir "$r/dev/pts" "$r/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 pts "$r/dev/pts"
    ln -s pts/ptmx "$r/dev/ptmx"
    ln -s /proc/self/fd "$r/dev/fd"
    mount -t tmpfs -o mode=1777 shm "$r/dev/shm"
    mount -t tmpfs -o mode=755 run "$r/run"
    mkdir -p "$r/run/sshd" "$r/run/lock" "$r/run/user"
    : >"$r/run/utmp"
    : >"$r/var/log/wtmp"
    : >"$r/var/log/btmp"
    local shared
    for shared in "$workspace" "${CARGO_TARGET_DIR:-$workspace/target}"; do
        mkdir -p "$r$shared"
        mount --bind -o ro "$shared" "$r$shared"
    done
    if [ "${TWINLOCK_DISK:-}" ]; then # /var/lib on the real disk, for what measures durable writes
        rm -rf "$cache/disk" && cp -a "$r/var/lib" "$cache/disk"
        mount --bind "$cache/disk" "$r/var/lib"
    fi
    further "$m" phones "$phones"
    mkdir -p "$r/phones/run/asterisk"
    further "$m" browser "$browser"
    if [ "${TWINLOCK_KEEP:-}" ]; then
        mkdir "$r/keep"
        mount --bind "$TWINLOCK_KEEP" "$r/keep"
    fi
    : >"$r/etc/twinlock-box" # the tests refuse to run without it
    hostname box
    ip link set lo up
    echo '127.0.0.1 localhost box' >"$r/etc/hosts"
    local keep=() name
    while IFS='=' read -r name _; do
        [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || continue # CARGO_BIN_EXE_some-name
        case $name in NEXTEST* | CARGO_* | TWINLOCK_* | RUST_BACKTRACE) keep+=("$name=${!name}") ;; esac
    done < <(env)
    cd "$r"
    exec chroot "$r" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm LANG=C.UTF-8 \
        "${keep[@]}" "$@"
}

case ${1:-} in
build) build ;;
run)
    shift
    [ $# -gt 0 ] || die "no command"
    build
    exec unshare --mount --propagation private --pid --fork --kill-child --uts --ipc --net --mount-proc \
        "$0" inside "$@" ;;
inside) shift; inside "$@" ;;
*) die "usage: box.sh build | run COMMAND..." ;;
esac
