#!/bin/bash
# Builds the packages that tests install, for Debian and of RPM: target/packages, and Debian's as a later build in
# target/packages-later. Builds the first twice and compares: what is handed out can be made again by anybody.
#   tests/packages.sh            prints the folder
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
TWINLOCK_ARTEFACTS=${TWINLOCK_ARTEFACTS:-$(tests/build.sh)}
export TWINLOCK_ARTEFACTS
again=$(mktemp -d)
trap 'rm -rf "$again"' EXIT

packaging/deb.sh --to "$again" >/dev/null &
packaging/deb.sh >/dev/null
wait $!
packaging/rpm.sh --to "$again" >/dev/null &
packaging/rpm.sh >/dev/null
wait $!
for package in "$target"/packages/*.deb "$target"/packages/*.rpm; do
    cmp "$package" "$again/${package##*/}" >&2
done
# What a distribution builds by itself: made and looked at, not built here.
packaging/rpm.sh --source --to "$again" >/dev/null
packaging/deb.sh --draft --revision 2 --to "$target/packages-later" >/dev/null
packaging/sums.sh >&2
echo "$target/packages"
