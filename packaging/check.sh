#!/bin/bash
# Looks at every shipped file with the tool of its kind, and at what was built. A file that no line below knows is a fault.
#   packaging/check.sh ARTEFACTS      the folder that tests/build.sh prints; as root; needs tests/install-needed.sh check
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
if [ ! -x "${1:-}/twinlockd" ]; then
    echo "usage: packaging/check.sh ARTEFACTS" >&2
    exit 2
fi
artefacts=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
faults=0
export LC_ALL=C.UTF-8

fault() {
    faults=$((faults + 1))
    printf '%s\n' "$*" >&2
}

# passes WHAT COMMAND...
passes() {
    local what=$1 said
    shift
    said=$("$@" 2>&1) || fault "$what: $*: $said"
}

# silent WHAT COMMAND...: it says nothing either.
silent() {
    local what=$1 said
    shift
    if ! said=$("$@" 2>&1) || [ "$said" ]; then
        fault "$what: $*: $said"
    fi
}

# The exposure that systemd-analyze may find, in tenths.
threshold() {
    case $1 in
    twinlockd.service | twinlock-web.service) echo 20 ;;
    # What needs privileges that the daemon gave up: sendmail, and modules of PAM.
    twinlock-sendmail@.service | twinlock-password@.service) echo 35 ;;
    # Puts PAM stacks back by the distribution's own tools, once, at boot.
    twinlock-pam-undo.service) echo 96 ;;
    *) echo 20 ;;
    esac
}

# settings PATH [WHAT]
settings() {
    install -m 0640 "$1" "$scratch/etc/settings.toml"
    silent "${2:-$1}" "$artefacts/twinlockd" --check --config "$scratch/etc/settings.toml"
}

# A provider of this preset, with everything that it asks for, is a good configuration.
preset() {
    local values
    values=$(awk '/^\[/ { here = $0 == "[values]" } here && / = / && !/default/ {
        value = $1 == "program" ? "/usr/bin/true" : $1 ~ /^(base|url)$/ ? "https://example.com" : "x"
        printf "%s = \"%s\", ", $1, value }' "$1")
    {
        grep -q '^\[sms\.' "$1" && printf '[sms]\nregions = ["DE"]\n'
        grep -q '^\[call\.' "$1" && printf '[call]\nregions = ["DE"]\n'
        printf '[[provider]]\nname = "x"\npreset = "%s"\nfrom = "+4915112345678"\n' "$(basename "$1" .toml)"
        printf 'user = "x"\nsecret = "x"\nvalues = { %s }\n' "${values%, }"
    } >"$scratch/provider.toml"
    settings "$scratch/provider.toml" "$1"
}

unit() {
    local name limit
    name=$(basename "$1")
    silent "$1" systemd-analyze verify --recursive-errors=no "$scratch/units/$name"
    case $name in *.service) ;; *) return ;; esac
    limit=$(threshold "$name")
    systemd-analyze security --no-pager --offline=true --threshold="$limit" "$1" >"$scratch/exposure" 2>&1 ||
        fault "$1: over $limit: $(tail -1 "$scratch/exposure")"
}

page() {
    man --warnings -E UTF-8 -l -Tutf8 -Z "$1" 2>"$scratch/warnings" >/dev/null
    [ -s "$scratch/warnings" ] && fault "$1: $(cat "$scratch/warnings")"
    # Without a date, so that a page is the same whenever it was built.
    mandoc -T lint -W warning "$1" 2>&1 | grep -v 'missing date' >"$scratch/lint" && fault "$(cat "$scratch/lint")"
}

# script PATH [SHELL]
script() {
    [ "${2:-}" = sh ] && silent "$1" dash -n "$1"
    silent "$1" shellcheck --external-sources --severity=warning --shell="${2:-bash}" "$1"
}

# A stack that pam-auth-update makes of it must ask, and must not be passed by an error; and nobody is asked unasked.
profile() {
    grep -qx 'Default: no' "$1" || fault "$1: on by default"
    grep -q '^.required.pam_twinlock.so' "$1" || fault "$1: not required"
    grep -nE 'sufficient|optional|default=ignore|success=[0-9]' "$1" && fault "$1: a line that can be passed"
}

# SELinux's and AppArmor's rules, all at once.
policies() {
    [ -e "$scratch/policies" ] && return
    : >"$scratch/policies"
    passes "$1" packaging/policies.sh
}

# elsewhere PATH TEST: the check of this file is a test, which has its name in it.
elsewhere() {
    grep -qF "$(basename "$1")" "$2" || fault "$1: $2 does not know it"
}

# What dh reads by its name, one of a package each.
of_debhelper() {
    local name=${1#packaging/debian/}
    case $name in
    cargo/config.toml | control | copyright | rules | source/format) return ;;
    esac
    local package=${name%.*}
    grep -qx "Package: $package" packaging/debian/control || fault "$1: of no package"
    case ${name##*.} in
    dirs | docs | examples | install | lintian-overrides | manpages) ;;
    *) fault "$1: debhelper reads no such file" ;;
    esac
}

mkdir "$scratch/etc" "$scratch/units"
cp -r packaging/providers "$scratch/etc/providers.d"
chmod 0644 "$scratch"/etc/providers.d/*
for file in packaging/systemd/*; do
    sed -E "s,/usr/s?bin/twinlock,$artefacts/twinlock," "$file" >"$scratch/units/$(basename "$file")"
done
export SYSTEMD_UNIT_PATH=$scratch/units:
# So that `Documentation=man:` is looked for among ours.
for file in packaging/man/*; do
    mkdir -p "$scratch/man/man${file##*.}"
    cp "$file" "$scratch/man/man${file##*.}/"
done
export MANPATH=$scratch/man:

while read -r file; do
    case $file in
    packaging/config/*.toml) settings "$file" ;;
    packaging/providers/*.toml) preset "$file" ;;
    packaging/systemd/*) unit "$file" ;;
    packaging/sysusers/*.conf) passes "$file" systemd-sysusers --dry-run --root="$scratch" "$PWD/$file" ;;
    packaging/tmpfiles/*.conf) passes "$file" systemd-tmpfiles --create --root="$scratch" "$PWD/$file" ;;
    packaging/man/*) page "$file" ;;
    packaging/pam/twinlock) profile "$file" ;;
    packaging/pam/twinlock-password) elsewhere "$file" tests/src/world.rs ;;
    packaging/apparmor/* | packaging/selinux/*) policies "$file" ;;
    packaging/debian/*.postinst | packaging/debian/*.prerm | packaging/debian/*.postrm | packaging/debian/*.preinst) script "$file" sh ;;
    packaging/debian/*.sh) script "$file" sh ;;
    packaging/*.sh) script "$file" ;;
    # The packages that come of it: lintian, and tests that install them.
    packaging/debian/*) of_debhelper "$file" ;;
    # rpmlint, and a test that reads and runs what came of it.
    packaging/rpm/rpmlint.toml | packaging/rpm/twinlock.spec) elsewhere "$file" packaging/rpm.sh ;;
    packaging/rpm/*) elsewhere "$file" tests/tests/rpm.rs ;;
    packaging/fail2ban/*) elsewhere "$file" tests/tests/fail2ban.rs ;;
    packaging/examples/asterisk/*) elsewhere "$file" tests/src/telephone.rs ;;
    packaging/README.md) ;;
    *) fault "$file: nothing checks it; see packaging/check.sh" ;;
    esac
done < <(find packaging -type f | sort)

for shell in bash zsh fish; do
    "$artefacts/twinlock" completions "$shell" >"$scratch/completions" || fault "no completions of $shell"
    silent "completions of $shell" "$shell" -n "$scratch/completions"
done
for file in tests/*.sh tests/bed/*.sh .ci/run; do
    script "$file"
done

# What was built.
for name in twinlockd twinlock twinlock-web libpam_twinlock.so; do
    file=$artefacts/$name
    readelf -W -l -d "$file" >"$scratch/elf"
    grep -q 'GNU_RELRO' "$scratch/elf" || fault "$name: no RELRO"
    grep -q 'BIND_NOW\|FLAGS_1.*NOW' "$scratch/elf" || fault "$name: symbols are bound late"
    grep -q 'GNU_STACK.*RWE' "$scratch/elf" && fault "$name: a stack that can be run"
    grep -qE 'RPATH|RUNPATH' "$scratch/elf" && fault "$name: looks for libraries in a folder of its own"
    readelf -h "$file" >"$scratch/head"
    grep -q 'Type: *DYN' "$scratch/head" || fault "$name: not position independent"
    strings "$file" | grep -F 'grpc.reflection' >/dev/null && fault "$name: gRPC reflection"
    readelf -W -S "$file" >"$scratch/sections"
    grep -qF .debug_info "$scratch/sections" && continue # a debug build says where it was built
    strings "$file" | grep -F -e "$PWD/" -e "${CARGO_HOME:-${HOME:-/root}/.cargo}/" -e "$artefacts/" >"$scratch/places" &&
        fault "$name: says where it was built: $(head -3 "$scratch/places")"
done
symbols=$(nm -D --defined-only "$artefacts/libpam_twinlock.so" | awk '{ print $3 }')
grep -qx pam_sm_authenticate <<<"$symbols" || fault "libpam_twinlock.so does not export pam_sm_authenticate"
exported=$(grep -v '^pam_sm_' <<<"$symbols")
[ -z "$exported" ] || fault "libpam_twinlock.so exports $exported"

[ "$faults" = 0 ] || { echo "$faults faults in what is shipped" >&2; exit 1; }
echo "what is shipped: good"
