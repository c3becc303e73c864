#!/bin/bash
# Runs the system tests, each in a box of its own (machine_*: in one where systemd was booted): tests/nextest.sh [NEXTEST-ARGUMENTS...]
# Build first (tests/run.sh does).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
triple=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(echo "$triple" | tr 'a-z-' 'A-Z_')_RUNNER
tests/bed/box.sh build
export "$runner=$PWD/tests/bed/box.sh test"
exec cargo nextest run -p twinlock-tests "$@"
