#!/bin/bash
# What others wrote and what is linked into what is shipped: crates, licences, and the texts that must go along.
#   packaging/licences.sh          writes THIRD-PARTY-LICENSES into target/packages and prints its path
#   packaging/licences.sh --list   prints name, version, licence and folder of each crate, separated by tabs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

crates() {
    local linked
    linked=$(cargo tree --quiet --locked -p twinlockd -p twinlock -p twinlock-web -p pam-twinlock \
        --edges normal --prefix none --format '{p}' | awk '{ sub(/^v/, "", $2); print $1 "@" $2 }' | sort -u)
    cargo metadata --locked --format-version 1 | jq -r --arg linked "$linked" '
        ($linked | split("\n")) as $linked | .packages[] | select(.source != null)
        | select("\(.name)@\(.version)" as $crate | $linked | index($crate))
        | [.name, .version, .license, (.manifest_path | rtrimstr("/Cargo.toml"))] | @tsv' | sort
}

# The files of a crate that have to go along. Where one may choose, MIT is chosen.
texts() {
    local all chosen
    all=$(find "$1" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'unlicense*' -o -iname copyright \) \
        ! -name '*.rs' | sort)
    chosen=$(grep -i '/[^/]*mit[^/]*$' <<<"$all" || true)
    case $2 in *AND*) chosen= ;; *MIT*) ;; *) chosen= ;; esac
    echo "${chosen:-$all}"
}

if [ "${1:-}" = --list ]; then
    crates
    exit
fi
[ $# = 0 ] || { echo "usage: packaging/licences.sh [--list]" >&2; exit 2; }

folder=${CARGO_TARGET_DIR:-$PWD/target}/packages
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$folder"
crates >"$scratch/crates"
# A text that several crates have stands once: known by what it says, not by its spaces.
mkdir "$scratch/text" "$scratch/used"
without=()
while IFS=$'\t' read -r name version licence source; do
    found=
    while read -r file; do
        [ "$file" ] || continue
        sum=$(tr -s '[:space:]' ' ' <"$file" | sha256sum | cut -c1-16)
        cp "$file" "$scratch/text/$sum"
        echo "$name $version" >>"$scratch/used/$sum"
        found=1
    done < <(texts "$source" "$licence")
    [ "$found" ] || without+=("$name $version: $licence")
done <"$scratch/crates"
{
    echo "Twinlock is under the MIT licence (LICENSE). What follows is linked into it."
    echo
    cut -f1-3 "$scratch/crates" | sed 's/\t/ /; s/\t/: /'
    echo
    echo "SQLite, in libsqlite3-sys, is in the public domain."
    echo "These came without a text; the licence is the one that they name: ${without[*]/%/;}"
    for text in "$scratch"/text/*; do
        printf '\n%s\n' "$(printf '=%.0s' {1..80})"
        sort -u "$scratch/used/${text##*/}" | paste -s -d, | sed 's/,/, /g' | fold -s -w 80
        printf '%s\n\n' "$(printf -- '-%.0s' {1..80})"
        cat "$text"
    done
} >"$folder/THIRD-PARTY-LICENSES"
echo "$folder/THIRD-PARTY-LICENSES"
