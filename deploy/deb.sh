#!/usr/bin/env bash
# deploy/deb.sh [PROFILE]    target/debian/millrace_*.deb by cargo-deb (`cargo install cargo-deb`) from the binary of PROFILE (release), with
#                            its man pages and completions
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-release}
target=${CARGO_TARGET_DIR:-target}
folder=$([ "$profile" = dev ] && echo debug || echo "$profile")
cargo build --profile "$profile" --bin millrace
staged=target/debian-staged
rm -rf "$staged"
mkdir -p "$staged/man" "$staged/completions"
install -m 755 "$target/$folder/millrace" "$staged/millrace"
strip "$staged/millrace"
"$staged/millrace" docs man "$staged/man"
gzip -9n "$staged"/man/*.1
for shell in bash zsh fish; do "$staged/millrace" docs completions $shell > "$staged/completions/$shell"; done
cargo deb --no-build --no-strip
