#!/bin/bash
# Measures logins: pam_permit, pam_google_authenticator with DISALLOW_REUSE, pam_oath, ours, all in the same run in the
# same private system. Prints a table of medians and ratios, and JSON with --json.
#   sudo tests/bench.sh [--json]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests/install-needed.sh test
TWINLOCK_ARTEFACTS=$(tests/build.sh)
export TWINLOCK_ARTEFACTS
cargo build --quiet --locked --release -p twinlock-tests --bin twinlock-bench
tests/bed/box.sh build
export TWINLOCK_DISK=1 # every login durable on disk, ours and the peers'
exec tests/bed/box.sh run "${CARGO_TARGET_DIR:-$PWD/target}/release/twinlock-bench" "$@"
