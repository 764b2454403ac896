//! The flags of `millrace bench`.

use crate::cli::flags::{Flag, switch, value};

/// All of them.
pub const FLAGS: &[Flag] = &[
    // What is measured.
    switch("quick", "Less than a minute: the highest rate and the latency at half of it, for acks=all and acks=1."),
    value("bootstrap-server", "HOST:PORT,...", "Measure this Kafka instead of starting a Millrace."),
    value(
        "peer",
        "NAME",
        "Measure this broker too, in turn with the first: apache-kafka (fetched by Maven, needs Java), redis, nats or rabbitmq (their streams, if the server is installed), millrace, or NAME=HOST:PORT. May be given several times.",
    ),
    value("driver", "own|librdkafka|java", "The clients that make the load. [default: own]"),
    value(
        "command-config",
        "FILE",
        "Property file with settings of every client; those of --producer-property, --consumer-property, a sweep or a scenario win over it.",
    ),
    // The load.
    value("rate", "RECORDS/S", "Records a second over all producers (50k, 1.5M); 'closed': as fast as answers come."),
    value(
        "arrival",
        "PROCESS",
        "constant, poisson, burst:N, ramp:FROM:SECONDS, diurnal:LOW:SECONDS or trace:FILE. [default: poisson]",
    ),
    value("record-size", "BYTES", "Bytes of a value: 1000, 100-5000 or lognormal:MEDIAN:P99. [default: 1000]"),
    value("content", "KIND", "random, ratio:4 (shrinks to a quarter), weblog, json or file:PATH. [default: json]"),
    value("keys", "KIND", "none, roundrobin, uniform:COUNT, zipf:COUNT:EXPONENT or file:PATH. [default: none]"),
    value("tombstones", "SHARE", "Share of records without a value, 0 to 1."),
    value("topic", "NAME", "Use this topic and keep it, instead of a new one for every run."),
    value("topics", "COUNT", "Topics. [default: 1]"),
    value("partitions", "COUNT", "Partitions of each topic. [default: 4]"),
    value("replication-factor", "COUNT", "Replicas of each partition. [default: the broker's]"),
    value("producers", "COUNT", "Producers, each with connections of its own. [default: 1]"),
    value("consumers", "GROUPS[xMEMBERS]", "Groups of consumers; each group reads everything. [default: 1]"),
    switch("coordinated", "Consumers join real groups; otherwise partitions are dealt out to them."),
    value("producer-property", "KEY=VALUE", "A setting of the producers, by Kafka's name. May be given several times."),
    value("consumer-property", "KEY=VALUE", "A setting of the consumers. May be given several times."),
    value("topic-config", "KEY=VALUE", "A config of the topics. May be given several times."),
    value(
        "broker-property",
        "KEY=VALUE",
        "A key of the configuration of the brokers that the bench starts. May be given several times.",
    ),
    value("io", "auto|uring|epoll", "Short for millrace.io=... of the Millrace that the bench starts."),
    // Which runs.
    value(
        "sweep",
        "NAME=V,V,...",
        "Measure with each of these values: linger.ms=0,5,50. May be given several times; all combinations are measured.",
    ),
    value(
        "ask",
        "QUESTION",
        "Make the runs that answer it: acks, linger, batch, codecs, in-flight, record-size, partitions, connections or fan-out.",
    ),
    switch("one-at-a-time", "Sweeps change one setting at a time; the others keep their first value."),
    switch("load-curve", "Measure the latency at shares of the highest rate, up to saturation."),
    switch("find-max", "Search the highest rate that keeps --slo."),
    value(
        "slo",
        "PROMISE",
        "A promise: what --find-max must keep, and other runs are judged by (exit code 2): 'p99<10ms'.",
    ),
    value(
        "scenario",
        "NAME|FILE",
        "A scenario: web-log, order-events, cdc, metrics, iot, fan-out, replay, or a TOML file like those in perf/scenarios.",
    ),
    value("omb-workload", "FILE", "A workload file of the OpenMessaging Benchmark (YAML), as it is."),
    value("omb-driver", "FILE", "A Kafka driver file of the OpenMessaging Benchmark: settings of clients and topics."),
    value("replay", "SHAPE.JSON", "Traffic as 'millrace capture' saw it."),
    value("speed", "FACTOR", "Times as fast as the scenario, workload or capture says. [default: 1]"),
    value(
        "backlog",
        "BYTES",
        "Consumers are away until so much was written (2GiB), and the run tells how they catch up beside the writes.",
    ),
    // How they are made.
    value("duration", "TIME", "The measured part of a run: 10s, 500ms, 5m. [default: 8s, quick 3s]"),
    value(
        "warmup",
        "TIME",
        "The warm-up ends when the run is steady, at the latest after this. [default: 5s, quick 2s]",
    ),
    switch("warmup-fixed", "The warm-up always takes its whole time."),
    value("drain", "TIME", "How long late answers and consumers are waited for. [default: 30s]"),
    value("repetitions", "COUNT", "How often each cell is measured on each broker, in turn. [default: 1]"),
    switch(
        "verify",
        "Account for every record: lost, duplicated, reordered, corrupted. [default in quick runs, with faults, and for promises about it]",
    ),
    switch("no-verify", "Don't."),
    value(
        "fault",
        "FAULT@TIME,...",
        "Do this to the own broker while it is measured: kill9@3s, stall@5s:2s, restart@8s.",
    ),
    value(
        "cores",
        "split|shared|CORES",
        "Cores of brokers that the bench starts: half of them each (split), all for both (shared), or a list: 0-3,8. [default: split]",
    ),
    value("threads", "COUNT", "Client threads. [default: as many as there are cores for clients]"),
    value("seed", "NUMBER", "Seed of everything random. [default: 1]"),
    value("data-dir", "DIR", "Where brokers that the bench starts have their data. [default: a temporary directory]"),
    switch("no-floors", "Don't measure what device and machine can do at most."),
    // What comes of it.
    value("output", "DIR", "Directory for report.html, results.json and .hlog files. [default: millrace-bench-TIME]"),
    value(
        "tolerate",
        "KIND,...",
        "What makes no run invalid, though it is still told: other-load, cpu-stolen, client-late and so on.",
    ),
    value(
        "fail-if",
        "PROMISE",
        "Exit code 2 if this is true of a run: 'p99>5ms', 'lost>0'. May be given several times.",
    ),
    value(
        "baseline",
        "RESULTS.JSON",
        "Exit code 2 if cells are slower than their counterparts there; both need --repetitions 3 or more.",
    ),
    value("junit", "FILE", "Write a JUnit file, one test case for each run and promise."),
    value("markdown", "FILE", "Write a summary in Markdown; also to $GITHUB_STEP_SUMMARY."),
    value("omb-result", "DIR", "Write results in the form of the OpenMessaging Benchmark, one file for each run."),
];
