#!/bin/bash
# Tests for which the host's kernel will not do, each in an emulated machine (tests/bed/vm.sh): AppArmor, SELinux enforcing.
# Build first, and the packages (tests/run.sh --long does).
#   tests/vm.sh [NEXTEST-ARGUMENTS...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
triple=$(rustc -vV | sed -n 's/^host: //p')
runner=CARGO_TARGET_$(echo "$triple" | tr 'a-z-' 'A-Z_')_RUNNER
tests/bed/vm.sh build
packaging/policies.sh
export "$runner=$PWD/tests/bed/vm.sh test"
exec cargo nextest run -p twinlock-tests --profile vm "$@"
