#!/bin/bash
# Runs every fuzz target for a while; what it finds is kept in fuzz/artifacts, what it learned in the cache.
#   sudo tests/fuzz.sh [SECONDS]     for each target (default 10)
# Root, because the module talks only to sockets of root's. One target at length: cargo fuzz run TARGET (with
# RUSTC_BOOTSTRAP=1 on a stable toolchain, whose sanitizers are there but not offered).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:${HOME:-/root}/.cargo/bin"
seconds=${1:-}
seconds=${seconds:-10}
tests/install-needed.sh fuzz
export ASAN_OPTIONS=detect_odr_violation=0 # SQLite is in each program once, and counted twice
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
corpus=${TWINLOCK_CACHE:-/var/cache/twinlock-tests}/corpus
target=$(rustc -vV | sed -n 's/^host: //p')
cargo fuzz build --target "$target"
for name in $(cargo fuzz list); do
    mkdir -p "$corpus/$name" "fuzz/artifacts/$name"
    seeds=()
    [ -d "fuzz/seeds/$name" ] && seeds=("fuzz/seeds/$name")
    [ "$name" = configuration ] && seeds+=(packaging/config)
    log=$(mktemp)
    if ! "$CARGO_TARGET_DIR/$target/release/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -len_control=10 \
        -artifact_prefix="fuzz/artifacts/$name/" "$corpus/$name" "${seeds[@]}" >"$log" 2>&1; then
        tail -60 "$log"
        echo "fuzz: $name failed; the input is in fuzz/artifacts/$name" >&2
        exit 1
    fi
    echo "$name: $(grep -E '^Done [0-9]+ runs' "$log")"
    rm "$log"
done
