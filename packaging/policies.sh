#!/bin/bash
# Checks what confines the programs: compiles the SELinux policy module with the reference policy that is installed here, and
# parses the AppArmor profiles. Prints the path of the module, target/packages/twinlock.pp.
#
# On Fedora and its clones: the same, with that system's policy (selinux-policy-devel). Root is not needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$target/packages"
work=$(mktemp -d "$target/selinux.XXXXXX")
trap 'rm -rf "$work"' EXIT

cp packaging/selinux/* "$work"
# What make says is of no use but where it fails, and a warning of ours is an error.
if ! make -C "$work" -f /usr/share/selinux/devel/Makefile twinlock.pp >"$work/log" 2>&1 || grep -i "warning" "$work/log"; then
    cat "$work/log" >&2
    exit 1
fi
cp "$work/twinlock.pp" "$target/packages/"
for profile in packaging/apparmor/*; do
    apparmor_parser --skip-kernel-load --skip-cache "$profile" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
done
echo "$target/packages/twinlock.pp"
