//! The client of the coordinators' table: commits, rebalances, transactions, over few threads and with answers checked.
//!
//! Prints one line of JSON: what was done, and what the broker's process used for it.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a measuring program talks to its user")]

#[path = "../common/args.rs"]
#[allow(dead_code, reason = "shared with programs that read more")]
mod args;
mod classic;
mod commits;
mod consumer;
#[path = "../common/cpu.rs"]
#[allow(dead_code, reason = "shared with programs that read more")]
mod cpu;
mod latency;
mod offsets;
mod pool;
mod setup;
mod transactions;

use std::time::Duration;

use setup::Effort;

/// Says what is wrong and ends the program.
pub fn die(message: &str) -> ! {
    eprintln!("coordinators: {message}");
    std::process::exit(1);
}

const HELP: &str = "coordinators --port P --mode commits|classic|consumer|transactions|latency|fill|wait
  --pid 0 --core -1 --warmup 2 --seconds 5       whose processor time; seconds before and while measuring
  --groups 256 --partitions 1 --connections 32 --in-flight 8           (commits)
  --members 200 --partitions 1000 --beat-ms 10 --name g                (classic, consumer: time between heartbeats)
  --producers 64                                                       (transactions)
  --rate 1000 --commit-ms 100 --linger-ms 2                            (latency)
  --groups 10000                                                        (fill, wait: of 100 partitions each)";

fn main() {
    let args = args::Args::parse(&[
        "port",
        "mode",
        "pid",
        "core",
        "warmup",
        "seconds",
        "groups",
        "partitions",
        "connections",
        "in-flight",
        "members",
        "beat-ms",
        "name",
        "producers",
        "rate",
        "commit-ms",
        "linger-ms",
        "help",
    ]);
    if args.text("help").is_some() {
        println!("{HELP}");
        return;
    }
    let (port, pid) = (args.get("port", 9092u16), args.get("pid", 0));
    cpu::pin(args.get("core", -1));
    let seconds = |key: &str, default: f64| Duration::from_secs_f64(args.get(key, default));
    let milliseconds = |key: &str, default: f64| Duration::from_secs_f64(args.get(key, default) / 1e3);
    let effort = Effort { warmup: seconds("warmup", 2.0), time: seconds("seconds", 5.0) };
    let name = args.text("name").unwrap_or("members");
    let members = args.get("members", 200);
    let found = match args.text("mode").unwrap_or("") {
        "commits" => {
            let plan = commits::Plan {
                groups: args.get("groups", 256),
                partitions: args.get("partitions", 1),
                connections: args.get("connections", 32),
                in_flight: args.get("in-flight", 8),
            };
            commits::run(port, pid, &plan, &effort)
        }
        "classic" => classic::run(port, pid, members, milliseconds("beat-ms", 10.0), name),
        "consumer" => {
            let partitions = args.get("partitions", 1000);
            consumer::run(port, pid, members, partitions, milliseconds("beat-ms", 10.0), &format!("consumer-{name}"))
        }
        "transactions" => transactions::run(port, pid, args.get("producers", 64), &effort),
        "latency" => {
            let plan = latency::Plan {
                rate: args.get("rate", 1000.0),
                commit_interval: milliseconds("commit-ms", 100.0),
                linger: milliseconds("linger-ms", 2.0),
            };
            latency::run(port, &plan, &effort)
        }
        "fill" => offsets::fill(port, args.get("groups", 10_000)),
        "wait" => offsets::wait(port, args.get("groups", 10_000)),
        other => die(&format!("--mode {other}: unknown; see --help")),
    };
    println!("{found}");
}
