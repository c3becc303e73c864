#!/bin/bash
# Builds what is shipped. The module on its own: a workspace build would unify features of the others into it.
#   tests/build.sh [--debug]     prints the folder with the artefacts
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=(--release)
folder=release
[ "${1:-}" = --debug ] && { profile=(); folder=debug; }
cargo build --quiet --locked "${profile[@]}" -p twinlockd -p twinlock -p twinlock-web
target=${CARGO_TARGET_DIR:-$PWD/target}
if [ "$folder" = release ]; then
    cargo build --quiet --locked --profile module -p pam-twinlock
    cp "$target/module/libpam_twinlock.so" "$target/release/"
else
    cargo build --quiet --locked -p pam-twinlock
fi
echo "$target/$folder"
