#!/bin/bash
# Builds the last commit twice, in folders of different names and lengths, and compares what is shipped byte by byte.
#   packaging/reproduce.sh       takes twice as long as a release build; needs 5 GB in TMPDIR
# With the folder of a build of somebody else's behind it, compares with that one too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
shipped=(twinlockd twinlock twinlock-web libpam_twinlock.so)
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT

build() {
    git clone --quiet --no-hardlinks . "$1"
    (cd "$1" && env -u CARGO_TARGET_DIR tests/build.sh) # prints the folder
}

first=$(build "$scratch/a")
second=$(build "$scratch/another-folder/of-another-length/twinlock")
differ=0
for other in "$second" "$@"; do
    for file in "${shipped[@]}"; do
        if cmp -s "$first/$file" "$other/$file"; then
            echo "$file: the same, $(sha256sum "$first/$file" | cut -d' ' -f1)"
        else
            differ=1
            echo "$file: differs in $(cmp -l "$first/$file" "$other/$file" 2>/dev/null | wc -l) bytes ($other)" >&2
        fi
    done
done
[ "$differ" = 0 ] || { trap - EXIT; echo "both are kept in $scratch: diffoscope shows where they differ" >&2; exit 1; }
