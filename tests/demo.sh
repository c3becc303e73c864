#!/bin/bash
# Twinlock's main job, live: a real sshd on 127.0.0.1 that asks for a password and then for a code.
#
#   sudo tests/demo.sh           sets it up, shows what to type, waits
#   sudo tests/demo.sh --auto    logs in by itself and prints the transcript
#
# On a fresh Debian 12 or 13 with Rust: installs what it needs, builds, and runs everything in a mount namespace whose
# /etc, /home, /run, /var/log and /var/mail are in memory. The machine's own accounts, PAM and ssh are untouched.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
user=demo password='correct horse'

case ${1:-} in
'' | --auto) ;;
--inside) ;;
*) echo "usage: sudo tests/demo.sh [--auto]" >&2; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "tests/demo.sh needs root (namespaces, PAM): sudo tests/demo.sh" >&2; exit 1; }

if [ "${1:-}" != --inside ]; then
    export PATH="$PATH:${HOME:-/root}/.cargo/bin"
    [ "${SUDO_USER:-}" ] && PATH="$PATH:$(getent passwd "$SUDO_USER" | cut -d: -f6)/.cargo/bin"
    "$here/install-needed.sh" demo
    echo "building (the first time takes some minutes) ..."
    artefacts=$("$here/build.sh")
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
        "$here/demo.sh" --inside "$artefacts" "${1:-}"
fi

# Inside the namespace from here on.
artefacts=$2 mode=$3

# A copy of /etc and of the places that would be written.
work=${TWINLOCK_CACHE:-/var/cache/twinlock-tests}/demo # a mount point; what is in it is gone with the namespace
mkdir -p "$work"
mount -t tmpfs -o mode=0755 demo "$work"
cp -a /etc "$work/etc"
mkdir -p "$work/home"
mount --bind "$work/etc" /etc
mount --bind "$work/home" /home
for folder in /var/log /var/mail; do
    mount -t tmpfs -o mode=0755 demo "$folder"
done
mount -t tmpfs -o mode=0755 run /run
mkdir -p /run/sshd /run/lock
rm -f /etc/nologin

module=$(dirname "$(find /usr/lib /lib -name pam_unix.so -print -quit)")
userdel "$user" 2>/dev/null || true
useradd --create-home --shell /bin/bash "$user"
echo "$user:$password" | chpasswd
echo "auth required pam_unix.so
account required pam_unix.so" >/etc/pam.d/twinlock-password
cat >/etc/pam.d/sshd <<STACK
auth     requisite  $module/pam_unix.so nodelay
auth     required   $artefacts/libpam_twinlock.so after_first_factor
account  required   $module/pam_unix.so
session  required   $module/pam_permit.so
STACK

port=$(for port in $(shuf -i 20000-29999 -n 50); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; break; }
done)
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/demo_host_key
cat >/etc/ssh/demo_config <<CONFIG
ListenAddress 127.0.0.1
Port $port
HostKey /etc/ssh/demo_host_key
PidFile none
UsePAM yes
KbdInteractiveAuthentication yes
PasswordAuthentication no
AuthenticationMethods keyboard-interactive:pam
PrintMotd no
PrintLastLog no
CONFIG

mkdir -m 0700 /run/twinlock-state
"$artefacts/twinlockd" --state-dir /run/twinlock-state --log-to stderr --log-level warn &
daemon=$!
$(command -v sshd || echo /usr/sbin/sshd) -D -f /etc/ssh/demo_config -E /run/sshd.log &
sshd=$!
trap 'kill $daemon $sshd 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    [ -S /run/twinlock/admin.sock ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    read -r -t 0.1 <> <(:) || true
done

twinlock=$artefacts/twinlock
ssh="ssh -p $port -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR $user@127.0.0.1"

if [ "$mode" = --auto ]; then
    # The person: enrolls at the terminal, logs in with password and code, tries the code again.
    cat >/run/person.exp <<'PERSON'
set timeout 20
proc die {what} { puts "\n### failed: $what"; exit 1 }
proc code {key offset} {
    set at [expr {[clock seconds] + $offset * 30}]
    return [exec oathtool --totp -b -N "@$at" $key]
}
lassign $argv user password twinlock ssh
puts "### $user enrolls an authenticator app: twinlock enroll totp"
spawn runuser -u $user -- $twinlock enroll totp --label phone --qr ascii
expect "Login password of $user: " { send "$password\r" } timeout { die "no password prompt" }
expect -re {Key:  ([A-Z2-7 ]+)} { set key [string map {" " ""} $expect_out(1,string)] } timeout { die "no key" }
expect "code it shows: " { send "[code $key -1]\r" } timeout { die "no code prompt" }
expect "saved them: " { send "\r" } timeout { die "no recovery codes" }
expect "counts from now on" {} timeout { die "not enrolled" }
expect eof
puts "\n### a login by ssh: password, then a code of the app"
set good [code $key 0]
spawn {*}$ssh id
expect "Password: " { send "$password\r" } timeout { die "no password prompt" }
expect "Verification code: " { send "$good\r" } timeout { die "no code prompt" }
expect -re "uid=\[0-9]+\\($user\\)" {} timeout { die "not logged in" } "Wrong code" { die "refused" }
expect eof
puts "\n### the same code again: refused"
spawn {*}$ssh id
expect "Password: " { send "$password\r" } timeout { die "no password prompt" }
expect "Verification code: " { send "$good\r" } timeout { die "no code prompt" }
expect "That code was used; wait for the next. Verification code: " {} timeout { die "accepted twice" }
close
wait
puts "\n### done: password and code let in, a used code does not"
PERSON
    expect /run/person.exp "$user" "$password" "$twinlock" "$ssh"
    exit
fi

offer=$("$twinlock" user enroll "$user" totp --activate --json)
key=$(echo "$offer" | sed -n 's/.*"secret": "\(.*\)".*/\1/p')
"$twinlock" policy explain "$user" --service sshd
cat <<TEXT

A real sshd waits on 127.0.0.1:$port. In another terminal:

    $ssh

    Password:           $password
    Verification code:  of an authenticator app with the key $key,
                        or:  oathtool --totp -b $key

Wrong and used codes are refused; the audit trail is printed here. Enter or Ctrl-C ends the demo.

TEXT
"$twinlock" audit --follow &
read -r _ || true
