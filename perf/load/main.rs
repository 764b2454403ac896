//! A saturating client that costs little processor time: frames are built once and sent unchanged,
//! answers are checked (error code, base offset) and their records dropped in the kernel.
//!
//! Prints one line of JSON: throughput, request rate, latency, and what the broker's process used.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a measuring program talks to its user")]

#[path = "../common/args.rs"]
mod args;
mod connection;
mod control;
#[path = "../common/cpu.rs"]
mod cpu;
#[path = "../common/frames.rs"]
mod frames;
mod plan;
mod run;
#[path = "../common/wire.rs"]
mod wire;

use std::time::Duration;

use plan::{Mode, Plan};

/// Says what is wrong and ends the program.
pub fn die(message: &str) -> ! {
    eprintln!("load: {message}");
    std::process::exit(1);
}

const HELP: &str = "load --port P --mode produce|fetch|create|delete|ready|serves|hold --topic T
  --partitions 1 --connections 1 --in-flight 5      one frame carries one batch of one partition
  --batch-bytes 64k --record-bytes 1024 --acks 1 --keyed false   (--batch-bytes 0: one record)
  --config key=value,...                            configuration of the topic that is made
  --max-bytes 64k --region-bytes 0 --from start|end --max-wait-ms 500      (fetch)
  --bytes 1g --warmup-bytes 0 --rate 0              bytes of batches; requests a second (0: closed loop)
  --pid 0 --core -1 --setup true --seconds 0        whose processor time; --setup false for the floors";

fn main() {
    let known = [
        "port",
        "mode",
        "topic",
        "partitions",
        "connections",
        "in-flight",
        "batch-bytes",
        "record-bytes",
        "acks",
        "config",
        "keyed",
        "max-bytes",
        "region-bytes",
        "from",
        "max-wait-ms",
        "bytes",
        "warmup-bytes",
        "rate",
        "pid",
        "core",
        "setup",
        "seconds",
        "help",
    ];
    let args = args::Args::parse(&known);
    if args.text("help").is_some() {
        println!("{HELP}");
        return;
    }
    let port: u16 = args.get("port", 9092);
    let topic = args.text("topic").unwrap_or("load").to_owned();
    let partitions: i32 = args.get("partitions", 1);
    let setup: bool = args.get("setup", true);
    cpu::pin(args.get("core", -1));
    let mode = match args.text("mode").unwrap_or("produce") {
        "produce" => Mode::Produce,
        "fetch" => Mode::Fetch,
        "ready" => return control::Control::connect(port, Duration::from_secs(60)).api_versions(),
        "create" => return create(port, &topic, partitions, args.text("config")),
        "serves" => {
            control::Control::connect(port, Duration::from_secs(60)).wait_for_partitions(&topic, partitions);
            return;
        }
        "delete" => return control::Control::connect(port, Duration::from_secs(5)).delete_topic(&topic),
        "hold" => Mode::Hold,
        other => die(&format!("--mode {other}: unknown; see --help")),
    };
    if setup && mode == Mode::Produce {
        create(port, &topic, partitions, args.text("config"));
    }
    let keys = if args.get("keyed", false) { frames::Keys::Numbered } else { frames::Keys::None };
    let plan = Plan {
        mode,
        topic,
        partitions,
        connections: args.get("connections", 1),
        in_flight: args.get("in-flight", 5),
        batch: frames::batch(
            args.bytes("batch-bytes", 65_536) as usize,
            args.bytes("record-bytes", 1024) as usize,
            keys,
        ),
        acks: args.get("acks", 1),
        max_bytes: args.bytes("max-bytes", 65_536) as i32,
        region_bytes: args.bytes("region-bytes", 0),
        from_end: args.text("from") == Some("end"),
        max_wait_ms: args.get("max-wait-ms", 500),
        bytes: args.bytes("bytes", 1 << 30),
        warmup_bytes: args.bytes("warmup-bytes", 0),
        rate: args.get("rate", 0.0),
        pid: args.get("pid", 0),
        seconds: args.get("seconds", 0),
    };
    let ends = (mode == Mode::Fetch).then(|| control::log_end_offsets(port, &plan));
    println!("{}", run::run(port, &plan, ends).to_json());
}

fn create(port: u16, topic: &str, partitions: i32, config: Option<&str>) {
    let mut control = control::Control::connect(port, Duration::from_secs(60));
    let config: Vec<(&str, &str)> =
        config.unwrap_or_default().split(',').filter_map(|pair| pair.split_once('=')).collect();
    control.create_topic(topic, partitions, &config);
    control.wait_for_leaders(topic, partitions);
    control.wait_for_partitions(topic, partitions);
}
