# To be sourced by the scripts here that run a broker of one node.

# node_properties PORT DIR [LINE...]    its server.properties: the controller listens on PORT + 1, data is under DIR; more lines follow
node_properties() {
  local port=$1 dir=$2; shift 2
  cat <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$dir/data
offsets.topic.replication.factor=1
P
  printf '%s\n' "$@"
}

# start_millrace PROGRAM PORT DIR [LINE...]    starts a Millrace and waits until it answers; its process is $broker, its log DIR/log
start_millrace() {
  local program=$1 port=$2 dir=$3
  node_properties "${@:2}" > "$dir/server.properties"
  "$program" server "$dir/server.properties" > "$dir/log" 2>&1 &
  broker=$!
  for _ in $(seq 100); do
    "$program" kafka-topics --bootstrap-server "127.0.0.1:$port" --list > /dev/null 2>&1 && return
    sleep 0.1
  done
  echo "the broker does not answer on port $port; its log ends with:" >&2
  tail -5 "$dir/log" >&2
  return 1
}

# stop_broker [PID...]    ends it and what else this shell has started, and waits
stop_broker() {
  [ -z "${broker:-}" ] || kill "$broker" "$@" 2> /dev/null || true
  wait
}
