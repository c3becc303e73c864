#!/bin/bash
# Builds the RPM packages into target/packages, or FOLDER, from this work tree as it is; rpmlint has the last word.
#
#   packaging/rpm.sh [--revision N] [--source] [--to FOLDER]
#
# Without --source: from what tests/build.sh built, or what is in $TWINLOCK_ARTEFACTS, on any machine with rpmbuild. The C library
# that they ask for is that of the machine where they were built. With --source: the source package, with all crates beside
# it, which Fedora's mock, or rpmbuild --rebuild, builds as a distribution does.
# The same commit gives the same bytes (SOURCE_DATE_EPOCH: the commit's time, unless it is set). Root is not needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
die() { echo "rpm.sh: $*" >&2; exit 2; }

target=${CARGO_TARGET_DIR:-$PWD/target}
revision=1 from=artefacts to=$target/packages
while [ $# -gt 0 ]; do
    case $1 in
    --revision) revision=${2:?"--revision N"} && shift 2 ;;
    --source) from=source && shift ;;
    --to) to=${2:?"--to FOLDER"} && shift 2 ;;
    *) die "usage: packaging/rpm.sh [--revision N] [--source] [--to FOLDER]" ;;
    esac
done
for tool in rpmbuild rpmlint; do
    command -v "$tool" >/dev/null || die "$tool is missing: run tests/install-needed.sh packages"
done

spec=packaging/rpm/twinlock.spec
# shellcheck source=packaging/sources.sh
. packaging/sources.sh
grep -qx "Version: *$version" "$spec" || die "the version in $spec is not $version"
export TZ=UTC LC_ALL=C.UTF-8

mkdir -p "$target" "$to"
work=$(mktemp -d "$target/rpm.XXXXXX")
trap 'rm -rf "$work"' EXIT

# pack FILE FOLDER: the whole of it, the same way wherever and whenever.
pack() {
    tar --create --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode=u+rw,go=rX -C "$(dirname "$2")" "$(basename "$2")" | gzip -n >"$1"
}

mkdir "$work/sources" "$work/twinlock-$version"
sources | tar --create --ignore-failed-read --no-recursion --null --files-from=- | tar --extract -C "$work/twinlock-$version"
mv "$(CARGO_TARGET_DIR=$work packaging/licences.sh)" "$work/twinlock-$version/"
pack "$work/sources/twinlock-$version.tar.gz" "$work/twinlock-$version"
build=(rpmbuild --define "_topdir $work" --define "_sourcedir $work/sources" --define "revision $revision"
    --define "_buildhost localhost" --define "use_source_date_epoch_as_buildtime 1"
    --define "clamp_mtime_to_source_date_epoch 1" --define "source_date_epoch_from_changelog 0")

if [ "$from" = source ]; then
    cargo vendor --locked --quiet "$work/vendor" >/dev/null
    pack "$work/sources/twinlock-$version-vendor.tar.gz" "$work/vendor"
    # What it needs is Fedora's, and is asked for when it is built.
    build+=(-bs --nodeps)
else
    artefacts=$(realpath "${TWINLOCK_ARTEFACTS:-$(tests/build.sh)}")
    build+=(-bb --with prebuilt --define "artefacts $artefacts")
fi
"${build[@]}" "$spec" >"$work/log" 2>&1 || { cat "$work/log" >&2; die "not built"; }
find "$work" -name '*.rpm' -exec mv -t "$work" {} +
rpmlint --config packaging/rpm/rpmlint.toml --strict "$work"/*.rpm >"$work/lint" 2>&1 || { cat "$work/lint" >&2; die "rpmlint"; }
# What is there of an earlier build would be taken for this one.
if [ "$from" = source ]; then rm -f "$to"/*.src.rpm; else find "$to" -maxdepth 1 -name '*.rpm' ! -name '*.src.rpm' -delete; fi
mv "$work"/*.rpm "$to/"
ls "$to"/*.rpm
