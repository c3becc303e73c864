#!/bin/bash
# Builds the packages that tests install: target/packages, and the same as a later build in target/packages-later. Builds
# the first twice and compares: what is handed out can be made again by anybody.
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
for package in "$target"/packages/*.deb; do
    cmp "$package" "$again/${package##*/}" >&2
done
packaging/deb.sh --draft --revision 2 --to "$target/packages-later" >/dev/null
echo "$target/packages"
