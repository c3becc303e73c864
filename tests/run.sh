#!/bin/bash
# All tests, from one command on a fresh Debian 12 or 13 with Rust:
#
#   sudo tests/run.sh            installs what is needed, builds, runs everything (a few minutes when cached)
#   sudo tests/run.sh --long     adds the system tests on Debian 13, emulated machines with AppArmor and SELinux, five minutes
#                                for each fuzz target, packages from their sources, and two builds that are compared
#
# Unit and crate tests run on this machine; system tests run in private Debian systems (tests/bed/box.sh), which are
# kept in /var/cache/twinlock-tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:${HOME:-/root}/.cargo/bin"
[ "${SUDO_USER:-}" ] && PATH=$PATH:$(getent passwd "$SUDO_USER" | cut -d: -f6)/.cargo/bin
[ "$(id -u)" = 0 ] || { echo "tests/run.sh needs root (namespaces, PAM): sudo tests/run.sh" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }

long=
case ${1:-} in
'') ;;
--long) long=1 ;;
*) echo "usage: tests/run.sh [--long]" >&2; exit 2 ;;
esac

step "install what is needed"
tests/install-needed.sh test

step "build"
TWINLOCK_ARTEFACTS=$(tests/build.sh)
export TWINLOCK_ARTEFACTS

step "unit and crate tests"
cargo nextest run --locked --workspace --exclude twinlock-tests --features twinlock-proto/connect

step "the module's tests with AddressSanitizer"
# Without the two that look at symbols and memory, which are other ones then, and the one that panics: what a panic
# carries is forgotten on purpose.
TWINLOCK_ASAN=1 cargo nextest run --locked -p pam-twinlock --test stack \
    -E 'not test(only_the_entry_points) and not test(nothing_is_left_behind) and not test(a_panic_in)'

step "fuzz targets, for a while each"
tests/fuzz.sh "${long:+300}"

step "shipped files"
tests/install-needed.sh check
packaging/check.sh "$TWINLOCK_ARTEFACTS"
packaging/licences.sh

step "packages"
TWINLOCK_PACKAGES=$(tests/packages.sh)
export TWINLOCK_PACKAGES

step "system tests"
tests/nextest.sh --locked

if [ "$long" ]; then
    step "packages from their sources, without network"
    packaging/deb.sh --source --to "${CARGO_TARGET_DIR:-target}/packages-from-source"

    # What is built here must run on the other release too; what is newer than glibc's there would not.
    step "system tests on Debian 13"
    # login there hangs up its terminal and opens it again, which the tests' terminal takes for the end.
    TWINLOCK_SUITE=trixie tests/nextest.sh --locked -E 'not test(break_glass)'

    step "AppArmor and SELinux in force, each on a machine with a kernel of its own"
    tests/install-needed.sh vm
    tests/vm.sh --locked

    step "a power cut before a change of PAM was confirmed"
    tests/power-cut.sh

    step "what is linked in"
    tests/install-needed.sh sbom
    packaging/sbom.sh

    step "the same commit gives the same bytes"
    packaging/reproduce.sh "$TWINLOCK_ARTEFACTS"
fi
