#!/bin/bash
# SHA256SUMS of everything in target/packages, and with a key its signature: what a release is checked by (SECURITY.md).
#   packaging/sums.sh [OPENPGP-KEY]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cd "${CARGO_TARGET_DIR:-target}/packages"
rm -f SHA256SUMS SHA256SUMS.asc
find . -type f ! -name "SHA256SUMS*" -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS.new
mv SHA256SUMS.new SHA256SUMS
if [ "${1:-}" ]; then
    gpg --batch --local-user "$1" --armor --detach-sign SHA256SUMS
    gpg --batch --quiet --verify SHA256SUMS.asc SHA256SUMS
fi
sha256sum --check --quiet SHA256SUMS
echo "$PWD/SHA256SUMS: $(wc -l <SHA256SUMS) files${1:+, signed}"
