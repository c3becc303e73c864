#!/bin/bash
# Compiles the SELinux policy module with the reference policy that is installed here (selinux-policy-dev; on Fedora and its
# clones selinux-policy-devel), and prints its path, target/packages/twinlock.pp. Root is not needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$target/packages"
work=$(mktemp -d "$target/selinux.XXXXXX")
trap 'rm -rf "$work"' EXIT

cp packaging/selinux/* "$work"
# make talks even where all is well; a warning is an error.
if ! make -C "$work" -f /usr/share/selinux/devel/Makefile twinlock.pp >"$work/log" 2>&1 || grep -i 'warning' "$work/log"; then
    cat "$work/log" >&2
    exit 1
fi
cp "$work/twinlock.pp" "$target/packages/"
echo "$target/packages/twinlock.pp"
