#!/bin/bash
# A power cut after `twinlock pam enable`, before anybody confirmed: at the next boot the stacks are as they were before sshd
# runs. In an emulated machine (tests/bed/vm.sh); build the packages first.
#   tests/power-cut.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=${TWINLOCK_PACKAGES:-${CARGO_TARGET_DIR:-$PWD/target}/packages}
name=power-cut-$$
vm() { tests/bed/vm.sh "$1" "$name" "${@:2}"; }
trap 'vm stop' EXIT

vm boot apparmor
vm put "$packages"/{libpam-twinlock,twinlock}_*.deb /root/packages
vm exec 'bash -euxo pipefail' <<'ENABLE' 2>&1
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends /root/packages/*.deb >/dev/null
files() { find /etc/pam.d /etc/ssh -type f -exec sha256sum {} + | sort; }
files >/root/before && sync /root/before # the plug is pulled
twinlock pam enable --yes --service sshd --undo-after 12h
grep -q pam_twinlock.so /etc/pam.d/sshd
if files | cmp -s - /root/before; then exit 1; fi
ENABLE
vm cut
vm boot apparmor
vm exec 'bash -euxo pipefail' <<'JUDGE' 2>&1
find /etc/pam.d /etc/ssh -type f -exec sha256sum {} + | sort | cmp - /root/before
twinlock pam status --json | grep -q '"waiting": null'
at() { systemctl show --value --property="$2" "$1"; }
done=$(at twinlock-pam-undo.service ExecMainExitTimestampMonotonic)
[ "$done" -gt 0 ]
[ "$done" -lt "$(at ssh.service ExecMainStartTimestampMonotonic)" ]
JUDGE
echo "power cut: undone at the next boot, before sshd ran"
