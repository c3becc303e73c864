#!/bin/bash
# Installs what building and testing need: Debian packages, and tools of Rust's that are cached by version.
#   tests/install-needed.sh build|demo|packages|test|check|sbom|vm|fuzz|ci
set -euo pipefail

need() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    [ "$(id -u)" = 0 ] || { echo "run this as root: it has to install ${missing[*]}" >&2; exit 1; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# tool NAME VERSION: from the registry, unless that version is here.
tool() {
    cargo "${1#cargo-}" --version 2>/dev/null | grep -qF "$2" || cargo install --quiet --locked "$1@$2"
}

command -v cargo >/dev/null || {
    [ -x "${HOME:-/root}/.cargo/bin/cargo" ] || { echo "Rust is missing: install it with rustup, then run this again" >&2; exit 1; }
}

build=(gcc libc6-dev libpam0g-dev binutils)
# The tools that look at what is shipped (packaging/check.sh).
check=(apparmor checkpolicy dash fish groff-base jq make man-db mandoc selinux-policy-dev semodule-utils shellcheck systemd zsh)
packages=(debhelper dh-apparmor dpkg-dev jq lintian pkg-config rpm rpmlint)
# Where units go is said by systemd.pc, which has a package of its own from Debian 13 on.
if [ "$(. /etc/os-release && echo "${VERSION_ID:-99}")" -lt 13 ]; then packages+=(systemd); else packages+=(systemd-dev); fi
case ${1:-} in
build) need "${build[@]}" ;;
packages) need "${build[@]}" "${packages[@]}" ;;
demo) need "${build[@]}" openssh-server openssh-client oathtool expect iproute2 util-linux ;;
test) need "${build[@]}" "${packages[@]}" mmdebstrap util-linux iproute2 && { cargo nextest --version >/dev/null 2>&1 || tool cargo-nextest 0.9.143; } ;;
check) need "${check[@]}" binutils ;;
sbom) need jq && tool cargo-cyclonedx 0.5.9 ;;
vm) need mmdebstrap openssh-client qemu-system-x86 qemu-utils ;;
fuzz) need "${build[@]}" g++ && tool cargo-fuzz 0.13.2 ;;
ci) need "${build[@]}" "${packages[@]}" mmdebstrap util-linux iproute2 && { cargo nextest --version >/dev/null 2>&1 || tool cargo-nextest 0.9.143; } && tool cargo-deny 0.20.2 ;;
*) echo "usage: tests/install-needed.sh build|demo|packages|test|check|sbom|vm|fuzz|ci" >&2; exit 2 ;;
esac
