#!/bin/bash
# Checks what confines the programs: parses the AppArmor profiles, and compiles the SELinux policy module with the reference
# policy that is installed here (selinux-policy-dev; on Fedora and its clones selinux-policy-devel). Prints the path of the
# module, target/packages/twinlock.pp. Root is not needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$target/packages"
work=$(mktemp -d "$target/policies.XXXXXX")
trap 'rm -rf "$work"' EXIT
fail() { cat "$work/log" >&2; exit 1; }

# The kernel need not have AppArmor: it says so, and parses.
for profile in packaging/apparmor/*; do
    apparmor_parser --skip-kernel-load --skip-cache "$profile" >"$work/log" 2>&1 || fail
done

cp packaging/selinux/* "$work"
# make talks even where all is well; a warning is a fault.
make -C "$work" -f /usr/share/selinux/devel/Makefile twinlock.pp >"$work/log" 2>&1 || fail
! grep -qi 'warning' "$work/log" || fail
cp "$work/twinlock.pp" "$target/packages/"
echo "$target/packages/twinlock.pp"
