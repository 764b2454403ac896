#!/usr/bin/env bash
# Apache Kafka 4.3.1 as a single combined node in the foreground: the peer of perf/run.
#   perf/apache-kafka.sh --fetch               only fetches it, and prints the folder of its jars
#   perf/apache-kafka.sh PORT DIR [LINES]      data and config under DIR, more lines of configuration; the controller listens on PORT + 1
# The jars come from Maven Central, once, into target/ (the clients tests use the same place).
set -euo pipefail
. "$(dirname "$0")/node.sh"
version=4.3.1
home=${CARGO_TARGET_DIR:-$(cd "$(dirname "$0")/.." && pwd)/target}/clients/apache-kafka-$version
libs=$home/libs
if [ ! -e "$libs/kafka_2.13-$version.jar" ]; then
  command -v mvn >/dev/null || { echo "mvn is missing: apt install maven" >&2; exit 1; }
  mkdir -p "$home"
  {
    echo '<project><modelVersion>4.0.0</modelVersion><groupId>millrace</groupId><artifactId>peer</artifactId><version>1</version><dependencies>'
    for artifact in kafka_2.13 kafka-tools; do
      echo "<dependency><groupId>org.apache.kafka</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
    done
    echo '<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency></dependencies></project>'
  } > "$home/perf-pom.xml"
  mvn -q -B -f "$home/perf-pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs" >&2
fi
if [ "${1:-}" = --fetch ]; then echo "$libs"; exit; fi
port=$1 dir=$2
mkdir -p "$dir"
cat > "$dir/log4j2.yaml" <<'Y'
Configuration:
  status: ERROR
  Appenders:
    Console: {name: OUT, target: SYSTEM_ERR, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: OUT}}
Y
node_properties "$port" "$dir" transaction.state.log.replication.factor=1 transaction.state.log.min.isr=1 log.segment.delete.delay.ms=500 "${3:-}" \
  > "$dir/server.properties"
storage() { java -Dlog4j2.configurationFile="$dir/log4j2.yaml" -cp "$libs/*" kafka.tools.StorageTool "$@"; }
[ -e "$dir/data/meta.properties" ] || storage format -t "$(storage random-uuid)" -c "$dir/server.properties" >/dev/null
# The flags of kafka-server-start.sh.
exec java -Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
  -XX:+ExplicitGCInvokesConcurrent -Dlog4j2.configurationFile="$dir/log4j2.yaml" -cp "$libs/*" kafka.Kafka "$dir/server.properties"
