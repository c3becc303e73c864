#!/bin/bash
# Builds what is shipped. The module on its own: a workspace build would unify features of the others into it.
#   tests/build.sh [--debug]     prints the folder with the artefacts
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=(--release)
folder=release
[ "${1:-}" = --debug ] && { profile=(); folder=debug; }
target=${CARGO_TARGET_DIR:-$PWD/target}
if [ "$folder" = release ]; then
    # Nothing of the machine that built it is in it: who builds the same commit gets the same bytes
    # (packaging/reproduce.sh). The last prefix that fits counts.
    cargo=${CARGO_HOME:-${HOME:-/root}/.cargo}
    export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$cargo/registry/src=/crates --remap-path-prefix=$PWD=/twinlock --remap-path-prefix=$target=/target"
    export CFLAGS="${CFLAGS:-} -ffile-prefix-map=$cargo/registry/src=/crates -ffile-prefix-map=$PWD=/twinlock -ffile-prefix-map=$target=/target"
    . packaging/sources.sh
fi
cargo build --quiet --locked "${profile[@]}" -p twinlockd -p twinlock -p twinlock-web
if [ "$folder" = release ]; then
    cargo build --quiet --locked --profile module -p pam-twinlock
    cp "$target/module/libpam_twinlock.so" "$target/release/"
else
    cargo build --quiet --locked -p pam-twinlock
fi
echo "$target/$folder"
