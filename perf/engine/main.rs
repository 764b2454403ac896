//! Measures the engine against its floors and against Apache Kafka, and holds the ratios against their thresholds.
//!
//! Rounds are interleaved (every system once per scenario and round) and medians are compared, because writeback and memory
//! reclaim of one run slow the next one. See perf/README.md for what is pinned where.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a measuring program talks to its user")]

#[path = "../common/args.rs"]
#[allow(dead_code, reason = "shared with programs that read more")]
mod args;
mod coordinators;
#[path = "../common/cpu.rs"]
#[allow(dead_code, reason = "shared with programs that pin")]
mod cpu;
mod device;
mod disturbed;
mod durable;
mod measure;
mod once;
mod report;
mod scenarios;
mod systems;

use std::path::PathBuf;

use measure::Samples;
use scenarios::{Check, Pinning, Scenario};
use systems::{Programs, System};

/// Says what is wrong and ends the program.
pub fn die(message: &str) -> ! {
    eprintln!("engine: {message}");
    std::process::exit(1);
}

fn main() {
    let known = [
        "table",
        "io",
        "millrace",
        "floor",
        "load",
        "coordinators",
        "apache",
        "dir",
        "quick",
        "only",
        "rounds",
        "without",
        "recovery-bytes",
    ];
    let args = args::Args::parse(&known);
    let path =
        |key: &str| PathBuf::from(args.text(key).unwrap_or_else(|| die(&format!("--{key} is needed; use perf/run"))));
    let io = args.text("io");
    if let Some(io) = io.filter(|io| !["auto", "uring", "epoll"].contains(io)) {
        die(&format!("--io {io}: auto, uring or epoll"));
    }
    let programs = Programs {
        millrace: path("millrace"),
        floor: path("floor"),
        load: path("load"),
        coordinators: PathBuf::from(args.text("coordinators").unwrap_or_default()),
        apache: path("apache"),
        dir: PathBuf::from(args.text("dir").unwrap_or("target/perf")),
        config: io.map(|io| format!("millrace.io={io}\n")).unwrap_or_default(),
        config_of_all: String::new(),
        without: args.text("without").unwrap_or("").to_owned(),
    };
    let quick: bool = args.get("quick", false);
    let only = args.text("only").unwrap_or("");
    let rounds: usize = args.get("rounds", if quick { 1 } else { 3 });
    let name = args.text("table").unwrap_or("engine");
    let (all, checks): (Vec<Scenario>, &[Check]) = match name {
        "engine" => (scenarios::all(quick), &scenarios::CHECKS),
        "durability" => (durable::all(quick), &durable::CHECKS),
        "coordinators" => (Vec::new(), &coordinators::CHECKS),
        other => die(&format!("--table {other}: engine, durability or coordinators")),
    };
    let mut scenarios: Vec<Scenario> = all.into_iter().filter(|scenario| scenario.name.contains(only)).collect();
    let (title, checks) = match (io, name) {
        (Some("epoll"), "engine") => (format!("{name} --io epoll"), beside_uring(&mut scenarios, &scenarios::PRICE)),
        (Some("epoll"), "durability") => (format!("{name} --io epoll"), beside_uring(&mut scenarios, &durable::PRICE)),
        (Some(io), _) => (format!("{name} --io {io}"), checks),
        (None, _) => (name.to_owned(), checks),
    };
    let mut samples = Samples::default();
    let load_before = report::load_average();
    let mut more = String::new();
    if name == "durability" {
        more = disturbed::measure(
            &programs,
            &mut samples,
            &disturbed::Wish {
                only: only.to_owned(),
                rounds,
                recovery_bytes: args.bytes("recovery-bytes", if quick { 1 << 30 } else { 10 << 30 }),
                quick,
            },
        );
    } else if name == "coordinators" {
        more = coordinators::measure(&programs, &mut samples, only, rounds, quick);
    } else if scenarios::ONCE.iter().any(|name| name.contains(only)) {
        once::measure(&programs, &mut samples, quick);
    }
    for pinning in [Pinning::Split, Pinning::Free] {
        let here: Vec<&Scenario> = scenarios.iter().filter(|scenario| scenario.pinning == pinning).collect();
        if !here.is_empty() {
            rounds_of(&programs, pinning, &here, rounds, &mut samples);
        }
    }
    report::print_and_write(&samples, &report::Table { title, checks, more, rounds, load_before });
    systems::remove(&programs.dir);
}

/// Millrace on io_uring runs whatever Millrace on epoll runs.
fn beside_uring(scenarios: &mut [Scenario], price: &'static [Check]) -> &'static [Check] {
    for scenario in scenarios.iter_mut().filter(|scenario| scenario.systems.contains(&System::Millrace)) {
        scenario.systems.push(System::MillraceUring);
    }
    price
}

/// Runs the scenarios of one pinning; Millrace and Apache Kafka stay up, the floors are started for each run.
fn rounds_of(programs: &Programs, pinning: Pinning, scenarios: &[&Scenario], rounds: usize, samples: &mut Samples) {
    let needs =
        |system: System| scenarios.iter().any(|scenario| scenario.systems.iter().any(|other| other.broker() == system));
    let mut up: Vec<systems::Running> = [System::Millrace, System::MillraceUring, System::Apache]
        .into_iter()
        .filter(|system| needs(*system) && !programs.leaves_out(*system))
        .map(|system| systems::start(programs, system, pinning))
        .collect();
    for running in &up {
        measure::prepare(programs, running, scenarios);
    }
    for round in 0..rounds {
        for scenario in scenarios {
            for system in &scenario.systems {
                if programs.leaves_out(system.broker()) {
                    continue;
                }
                match up.iter().find(|running| running.system == system.broker()) {
                    Some(running) => measure::run(programs, running, *system, scenario, samples),
                    None if *system == System::FloorSync => measure::run_sync(programs, scenario, samples),
                    None => {
                        let floor = systems::start(programs, *system, pinning);
                        measure::run(programs, &floor, *system, scenario, samples);
                        floor.stop();
                    }
                }
                eprintln!("  {}/{rounds} {} {}: {}", round + 1, scenario.name, system.name(), samples.last());
            }
        }
    }
    for running in up.drain(..) {
        running.stop();
    }
}
