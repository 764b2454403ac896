#!/usr/bin/env bash
# perf/operate.sh MILLRACE [GIB]    what watching a broker costs, and how fast one looks: /metrics with 10,000 partitions, messages of a topic
#                                   of GIB GiB (10) by offset and by time, and producing beside ten open pages and a scrape each second
set -euo pipefail
. "$(dirname "$0")/node.sh"
millrace=$(realpath "$1") gib=${2:-10}
command -v jq > /dev/null || { echo "jq is missing: apt install jq" >&2; exit 1; }
dir=$(mktemp -d -p "${TMPDIR:-/var/tmp}") port=${PORT:-19492} viewers=()
http=127.0.0.1:$((port + 2))
page=http://$http/c/millrace api=http://$http/api/c/millrace
trap 'stop_broker "${viewers[@]}"; rm -rf "$dir"' EXIT
start_millrace "$millrace" "$port" "$dir" "millrace.http.listener=$http"
tool() { local name=$1; shift; "$millrace" "$name" --bootstrap-server "127.0.0.1:$port" "$@"; }
# The median of some times of a page, ms.
median() { sort -n | awk '{ all[NR] = $1 } END { printf "%.1f", all[int((NR + 1) / 2)] }'; }
took() { curl -sf -o "$dir/answer" -w '%{time_total}\n' "$1" | awk '{ print $1 * 1000 }'; }
resident() { awk '/VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$broker/status"; }

# First, for what thousands of partitions leave to be deleted would disturb it.
# An open overview asks for what is live each second; so does whoever scrapes. One program each: to start one costs more than a page does.
view() { exec curl -sf --rate 1/s -o /dev/null "$1?[1-100000]"; }
load() {
  "$millrace" bench --bootstrap-server "127.0.0.1:$port" --rate 20k --duration 8s --no-floors --output "$dir/$1" > "$dir/bench" 2>&1 || true
  jq '.runs[0].latency.p99' "$dir/$1/results.json"
}
for round in 1 2 3; do
  alone+=("$(load "alone-$round")")
  viewers=()
  for _ in $(seq 10); do view "$page/live" & viewers+=($!); done
  view "http://$http/metrics" & viewers+=($!)
  watched+=("$(load "watched-$round")")
  kill "${viewers[@]}"
done
alone=$(printf "%s\n" "${alone[@]}" | median) watched=$(printf '%s\n' "${watched[@]}" | median)
echo "produce p99 at 20,000 records/s: alone $alone ms, beside ten pages and a scrape $watched ms: $(awk "BEGIN { printf \"%.2f\", $watched / $alone }")   (wanted: 1.1)"

for topic in a b; do tool kafka-topics --create --topic "wide-$topic" --partitions 5000 > /dev/null; done
sleep 3
before=$(resident)
metrics=$(for _ in $(seq 20); do took "http://$http/metrics"; done | median)
echo "/metrics with 10,000 partitions: $metrics ms, $(($(stat -c %s "$dir/answer") / 1024)) KiB, resident memory $before -> $(resident) MiB   (wanted: 200 ms, 20 MiB)"

tool kafka-topics --create --topic deep --partitions 1 > /dev/null
count=$((gib * 1048576))
tool kafka-producer-perf-test --topic deep --record-size 1000 --num-records $count --throughput -1 \
  --command-property batch.size=262144 linger.ms=5 acks=1 > /dev/null
at() { curl -sf "$api/topic/deep/messages?from=offset&offset=$1&limit=1" | jq '.messages[0].timestamp'; }
first=$(at 0) last=$(at $((count - 1)))
offsets=$(for nth in $(seq 15); do took "$api/topic/deep/messages?from=offset&offset=$((count * nth / 16))&limit=1"; done | median)
times=$(for nth in $(seq 15); do took "$api/topic/deep/messages?from=time&time=$((first + (last - first) * nth / 16))&limit=1"; done | median)
echo "a message in $gib GiB: by offset $offsets ms, by time $times ms   (wanted: 50 ms, 200 ms)"
