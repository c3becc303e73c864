#!/bin/bash
# Builds the Debian packages from this work tree as it is, into target/packages; lintian has the last word.
#
#   packaging/deb.sh [--revision N] [--to FOLDER] [--source] [--draft]
#
# Without --source: from what tests/build.sh built, or what is in $TWINLOCK_ARTEFACTS. With --source: the source package
# with all crates beside it, and from that one the packages, without network, as a distribution does. --draft is for tests: made
# in seconds, for they are hardly compressed and lintian does not see them.
# The same commit gives the same bytes (SOURCE_DATE_EPOCH: the commit's time, unless it is set). Root is not needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
die() { echo "deb.sh: $*" >&2; exit 2; }

target=${CARGO_TARGET_DIR:-$PWD/target}
revision=1 from=artefacts draft="" to=$target/packages
while [ $# -gt 0 ]; do
    case $1 in
    --revision) revision=${2:?"--revision N"} && shift 2 ;;
    --to) to=$(realpath -m "${2:?"--to FOLDER"}") && shift 2 ;;
    --source) from=source && shift ;;
    --draft) draft=1 && shift ;;
    *) die "usage: packaging/deb.sh [--revision N] [--to FOLDER] [--source] [--draft]" ;;
    esac
done
shopt -s nullglob
for tool in dh dpkg-buildpackage lintian; do
    command -v "$tool" >/dev/null || die "$tool is missing: run tests/install-needed.sh packages"
done

# shellcheck source=packaging/sources.sh
. packaging/sources.sh
export TZ=UTC LC_ALL=C.UTF-8

mkdir -p "$target" "$to"
work=$(mktemp -d "$target/deb.XXXXXX")
end() {
    local code=$?
    [ "$code" = 0 ] || { cat "$work/log" && echo "deb.sh: no packages were built"; } >&2
    rm -rf "$work"
}
trap end EXIT
: >"$work/log"
tree=$work/twinlock-$version

# Packs what is named on standard input, the same way wherever and whenever.
pack() {
    LC_ALL=C sort -z | tar --create --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode=u+rw,go=rX --ignore-failed-read "$@" --no-recursion --null --files-from=-
}

# Says which version this is: Cargo.toml is where that stands.
changelog() {
    cat <<END
twinlock ($version-$revision) unstable; urgency=medium

  * What is new stands in /usr/share/doc/twinlock/changelog.gz.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
}

# From what is built already.
from_artefacts() {
    local artefacts
    artefacts=${TWINLOCK_ARTEFACTS:-$(tests/build.sh)}
    mkdir -p "$tree/target/release"
    cp "$artefacts"/{twinlockd,twinlock,twinlock-web,libpam_twinlock.so} "$tree/target/release/"
    (cd "$tree" && dpkg-buildpackage --no-sign --build=binary --build-profiles=pkg.twinlock.prebuilt)
}

# Makes the source package, with the crates as a second tarball, and builds what that unpacks to, where no network is.
from_source() {
    local alone=(unshare --net)
    [ "$(id -u)" = 0 ] || alone+=(--map-root-user)
    pack --directory "$tree" --transform "s,^,twinlock-$version/," <"$work/list" | gzip -9n >"$work/twinlock_$version.orig.tar.gz"
    (cd "$tree" && cargo vendor --quiet --locked --versioned-dirs vendor >/dev/null)
    (cd "$tree" && find vendor -type f -print0 | pack) | gzip -9n >"$work/twinlock_$version.orig-vendor.tar.gz"
    (cd "$work" && dpkg-source --build "$tree" && mkdir build && dpkg-source --extract ./*.dsc "build/${tree##*/}")
    # Rust may have come without dpkg: what is missing says so itself.
    (cd "$work/build/${tree##*/}" && RUSTUP_HOME=${RUSTUP_HOME:-${HOME:-/root}/.rustup} \
        "${alone[@]}" dpkg-buildpackage --no-sign --build=binary --no-check-builddeps)
    mv "$work"/build/*.{deb,changes,buildinfo} "$work/"
    mkdir -p "$to/source"
    cp "$work"/*.dsc "$work"/*.tar.* "$to/source/"
}

mkdir "$tree"
sources >"$work/list"
pack <"$work/list" | tar --extract -C "$tree"
mv "$(CARGO_TARGET_DIR=$work packaging/licences.sh)" "$tree/"
printf '%s\0' THIRD-PARTY-LICENSES >>"$work/list"
cp -r "$tree/packaging/debian" "$tree/debian"
changelog >"$tree/debian/changelog"

[ ! "$draft" ] || export TWINLOCK_COMPRESSION="-Zgzip -z1"
"from_$from" >"$work/log" 2>&1
: >"$work/log"
[ "$draft" ] || lintian --allow-root --fail-on error,warning "$work"/*.{changes,dsc} >&2
rm -f "$to"/*.deb
cp "$work"/*.deb "$to/"
ls "$to"/*.deb
