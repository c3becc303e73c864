# Sourced by what builds and packs this work tree, in its top folder: its version, its time, its files.

# shellcheck disable=SC2034 # for whoever sources this
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)

# Whoever owns it: root builds in others' checkouts too.
of_git() { git -c safe.directory='*' "$@"; }

# When the commit was made; without git, when Cargo.lock was written.
if [ ! "${SOURCE_DATE_EPOCH:-}" ]; then
    if [ -e .git ]; then SOURCE_DATE_EPOCH=$(of_git log -1 --format=%ct); else SOURCE_DATE_EPOCH=$(stat -c %Y Cargo.lock); fi
fi
export SOURCE_DATE_EPOCH

# Every file that git knows or would add; without git, all but what was built.
sources() {
    if [ -e .git ]; then
        of_git ls-files -z --cached --others --exclude-standard
    else
        find . -type f -not -path './target/*' -not -path './fuzz/target/*' -printf '%P\0'
    fi
}
