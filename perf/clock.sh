#!/usr/bin/env bash
# perf/clock.sh MILLRACE [ROUNDS] [OTHER]    how late the bench makes its records: 100,000 a second at constant distances, without and with a consumer,
#                                            by MILLRACE and by OTHER in turn
set -euo pipefail
millrace=$(realpath "$1") rounds=${2:-3} other=${3:+$(realpath "$3")}
command -v jq > /dev/null || { echo "jq is missing: apt install jq" >&2; exit 1; }
dir=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
trap 'rm -rf "$dir"' EXIT
print='.runs[0] | .clock_error as $late | "p50 \($late.p50 * 1000 | round) us, p99 \($late.p99 * 1000 | round) us, p99.9 \($late.p999 * 1000 | round) us, latency p99 \(.latency.p99 * 1000 | round) us, \(.client_cpu_s * 10 | round / 10) s of the clients'"'"' processor time"'
for round in $(seq "$rounds"); do
  for consumers in 0 1; do
    for binary in "$millrace" ${other:+"$other"}; do
      "$binary" bench --rate 100k --arrival constant --record-size 100 --consumers $consumers --duration 6s --warmup 2s --no-floors \
        --output "$dir/out" > "$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
      echo "round $round, ${binary##*/}, consumers $consumers: $(jq -r "$print" "$dir/out/results.json")"
      rm -rf "$dir/out"
    done
  done
done
