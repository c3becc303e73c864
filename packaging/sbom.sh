#!/bin/bash
# What is in each program that is shipped, as CycloneDX 1.5 (JSON): writes NAME.cdx.json into target/packages/sbom.
#   packaging/sbom.sh        needs cargo-cyclonedx and jq (tests/install-needed.sh sbom)
# cargo-cyclonedx takes every feature that any crate of the workspace asks for; what cargo does not link into the program
# is taken out again. The same commit gives the same bytes, wherever it is checked out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${CARGO_TARGET_DIR:-$PWD/target}/packages/sbom
mkdir -p "$folder"
. packaging/sources.sh
trap 'rm -f ./*/*.cdx.json' EXIT # it writes them beside each Cargo.toml
cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --no-build-deps

# sbom PACKAGE WRITTEN
sbom() {
    local linked
    linked=$(cargo tree --quiet --locked -p "$1" --edges normal,no-proc-macro --prefix none --format '{p}' |
        awk '{ sub(/^v/, "", $2); print $1 "@" $2 }' | sort -u)
    jq --sort-keys --arg linked "$linked" '
        ($linked | split("\n")) as $linked
        | def place: gsub("path\\+file://[^#]*#"; "") | sub("[?]download_url=file:.*"; "");
          def known: (split("#") | last) as $crate | ($linked | index($crate)) != null;
        del(.serialNumber)
        | .components |= map(select("\(.name)@\(.version)" as $crate | $linked | index($crate)))
        | .dependencies |= map(select(.ref | known) | if .dependsOn then .dependsOn |= map(select(known)) else . end)
        | walk(if type == "string" then place else . end)' "$2" >"$folder/$1.cdx.json"
    # Everything that is linked in, but for the program itself.
    local listed
    listed=$(jq '.components | length' "$folder/$1.cdx.json")
    [ "$listed" = "$(($(wc -l <<<"$linked") - 1))" ] || { echo "sbom.sh: $1: $listed components of $linked" >&2; exit 1; }
    jq --exit-status '.bomFormat == "CycloneDX" and .specVersion == "1.5"' "$folder/$1.cdx.json" >/dev/null
    echo "$folder/$1.cdx.json: $listed components"
}

sbom twinlockd daemon/twinlockd_bin.cdx.json
sbom twinlock cli/twinlock_bin.cdx.json
sbom twinlock-web web/twinlock-web_bin.cdx.json
sbom pam-twinlock pam-module/pam_twinlock_cdylib.cdx.json
