#!/bin/bash
# Builds the last commit twice, in folders of different names and lengths, and compares what is shipped byte by byte.
#   packaging/reproduce.sh [FOLDER]    takes twice as long as a release build, and 3 GB in TMPDIR
# With a folder it compares with what somebody else built, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
shipped=(twinlockd twinlock twinlock-web libpam_twinlock.so)
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT

# build WHERE RESULT
build() {
    local artefacts
    git clone --quiet --no-hardlinks . "$1"
    artefacts=$(cd "$1" && env -u CARGO_TARGET_DIR tests/build.sh)
    mkdir "$2"
    (cd "$artefacts" && cp "${shipped[@]}" "$2")
    rm -rf --one-file-system "$1"
}

first=$scratch/first
second=$scratch/second
build "$scratch/a" "$first"
build "$scratch/another-folder/of-another-length/twinlock" "$second"
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
