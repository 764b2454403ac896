#!/usr/bin/env bash
# perf/delete.sh MILLRACE LOAD [PARTITIONS]    what it costs producers that two topics of PARTITIONS partitions each (5000) are made, deleted, and
#                                              removed: latency of 4,000 requests of 1 KiB a second, acks=1, in windows of 3 s
set -euo pipefail
. "$(dirname "$0")/node.sh"
millrace=$(realpath "$1") load=$(realpath "$2") partitions=${3:-5000}
command -v jq > /dev/null || { echo "jq is missing: apt install jq" >&2; exit 1; }
dir=$(mktemp -d -p "${TMPDIR:-/var/tmp}") port=${PORT:-19592}
trap 'stop_broker; rm -rf "$dir"' EXIT
start_millrace "$millrace" "$port" "$dir" millrace.http.listener= log.segment.delete.delay.ms=10000
topics() { "$millrace" kafka-topics --bootstrap-server "127.0.0.1:$port" "$@" > /dev/null; }
topics --create --topic load --partitions 4
ticks() { awk '{ print $14 + $15 }' "/proc/$broker/stat"; }
directories() { ls "$dir/data" | awk '!/^wide/ { next } { all++ } /-delete$/ { leaving++ } END { printf "%d directories, %d of them leaving", all, leaving }'; }
window() {
  local before; before=$(ticks)
  "$load" --port "$port" --topic load --partitions 4 --connections 4 --batch-bytes 0 --rate 4000 --bytes $((4000 * 1100 * 3)) --setup false > "$dir/window"
  jq -r --arg what "$1" --arg cpu "$(($(ticks) - before))" --arg more "$(directories)" \
    '"\($what): p50 \(.p50_us) p99 \(.p99_us) p99.9 \(.p999_us) us, broker \($cpu) ticks of processor time; \($more)"' "$dir/window"
}
both() { local began; began=$(date +%s%N); for topic in a b; do topics "$1" --topic "wide-$topic" "${@:2}"; done; echo "$1 took $((($(date +%s%N) - began) / 1000000)) ms"; }
window "the first one"
for _ in 1 2 3; do window alone; done
both --create --partitions "$partitions" & change=$!
while kill -0 $change 2> /dev/null; do window creating; done
window created; window created
both --delete & change=$!
while kill -0 $change 2> /dev/null; do window deleting; done
until [ "$(directories)" = "0 directories, 0 of them leaving" ]; do window removing; done
for _ in 1 2 3; do window afterwards; done
