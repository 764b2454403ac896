#!/usr/bin/env bash
# perf/client/run.sh MILLRACE CLIENT [ROUNDS]    records per second of processor time: the bench's own clients beside Kafka's perf tool and
#                                               librdkafka, on the same broker (Millrace), closed loop
set -euo pipefail
cd "$(dirname "$0")/../.."
. perf/node.sh
millrace=$1 client=$2 rounds=${3:-3}
dir=$(mktemp -d) port=${PORT:-19392}
trap 'stop_broker; rm -rf "$dir"' EXIT
start_millrace "$millrace" "$port" "$dir" log.retention.bytes=200000000 log.segment.bytes=100000000 log.retention.check.interval.ms=2000
jars=$(perf/apache-kafka.sh --fetch)

# measured NAME RECORDS COMMAND...: seconds of processor time, of all its threads
measured() {
  local name=$1 records=$2; shift 2
  local times
  times=$( { TIMEFORMAT='%U %S'; time "$@" > "$dir/out" 2> "$dir/err"; } 2>&1 ) || { cat "$dir/out" "$dir/err"; exit 1; }
  awk -v name="$name" -v records="$records" -v times="$times" -v line="$(tail -1 "$dir/out" | cut -d, -f2)" \
    'BEGIN { split(times, t, " "); cpu = t[1] + t[2]; printf "%-44s %9d records %8.2f CPU s %12.0f records per CPU s  %s\n", name, records, cpu, records / cpu, line }'
}
java=(java -Xmx512M -cp "$jars/*" org.apache.kafka.tools.ProducerPerformance)
ours=("$millrace" kafka-producer-perf-test)
batched=(--bootstrap-server 127.0.0.1:$port --topic batched --record-size 100 --throughput -1 --command-property batch.size=65536 linger.ms=5 acks=1)
single=(--bootstrap-server 127.0.0.1:$port --topic single --record-size 100 --throughput -1 --command-property batch.size=1 linger.ms=0 acks=1)
for _ in $(seq "$rounds"); do
  measured "64 KiB batches, Kafka's perf tool" 10000000 "${java[@]}" "${batched[@]}" --num-records 10000000
  measured "64 KiB batches, start of Kafka's perf tool" 1000 "${java[@]}" "${batched[@]}" --num-records 1000
  measured "64 KiB batches, own clients" 10000000 "${ours[@]}" "${batched[@]}" --num-records 10000000
  # 5 as Kafka's client has it, a million as librdkafka has it, and with it rdkafka_performance
  for in_flight in 5 1000000; do
    measured "single records, $in_flight in flight, librdkafka" 300000 "$client" --port $port --topic single --records 300000 --record-bytes 100 \
      --config "batch.num.messages=1,linger.ms=0,acks=1,max.in.flight.requests.per.connection=$in_flight"
    measured "single records, $in_flight in flight, own clients" 300000 "${ours[@]}" "${single[@]}" max.in.flight.requests.per.connection=$in_flight \
      --num-records 300000
  done
done
