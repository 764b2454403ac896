#!/usr/bin/env bash
# deploy/deb.sh [BINARY [OUT [FLAG..]]]    the Debian package in OUT (target/debian), by cargo-deb (`cargo install cargo-deb --locked`)
#                                          with these flags of it: what [package.metadata.deb] in Cargo.toml says, around BINARY (by
#                                          default a release build) without its symbols
set -euo pipefail
binary=${1:+$(realpath "$1")} out=$(realpath -m "${2:-$(dirname "$0")/../target/debian}") flags=("${@:3}")
cd "$(dirname "$0")/.."
cargo deb --version > /dev/null 2>&1 || { echo "cargo-deb is missing: cargo install cargo-deb --locked" >&2; exit 1; }
package=$(cargo metadata --format-version 1 --no-deps)
field() { printf %s "$package" | grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d'"' -f4; }
if [ -z "$binary" ]; then
  cargo build --release --bin millrace
  binary=$(field target_directory)/release/millrace
fi

# The places that Cargo.toml names.
staged=target/debian-staged
rm -rf "$staged"
mkdir -p "$staged/man" "$staged/completions" "$out"
strip --strip-all --remove-section=.comment --remove-section=.note -o "$staged/millrace" "$binary"
chmod 755 "$staged/millrace"
"$staged/millrace" docs man "$staged/man"
gzip -9n "$staged"/man/*.1
for shell in bash zsh fish; do "$staged/millrace" docs completions $shell > "$staged/completions/$shell"; done
# Debian wants a changelog of its own form; ours is for people. The date is the commit's, so that the same commit gives the same package.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2> /dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
cat > "$staged/changelog" << EOF
millrace ($(field version)-1) unstable; urgency=medium

  * What is new is told in /usr/share/doc/millrace/CHANGELOG.md.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF
cargo deb --no-build --no-strip --output "$out" "${flags[@]}"
