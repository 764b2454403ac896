//! Measures the engine against its floors and against Apache Kafka, and holds the ratios against their thresholds.
//!
//! Rounds are interleaved (every system once per scenario and round) and medians are compared, because writeback and memory
//! reclaim of one run slow the next one. See perf/README.md for what is pinned where.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a measuring program talks to its user")]

#[path = "../common/args.rs"]
#[allow(dead_code, reason = "shared with programs that read more")]
mod args;
#[path = "../common/cpu.rs"]
#[allow(dead_code, reason = "shared with programs that pin")]
mod cpu;
mod measure;
mod once;
mod report;
mod scenarios;
mod systems;

use std::path::PathBuf;

use measure::Samples;
use scenarios::{Pinning, Scenario};
use systems::{Programs, System};

/// Says what is wrong and ends the program.
pub fn die(message: &str) -> ! {
    eprintln!("engine: {message}");
    std::process::exit(1);
}

fn main() {
    let known = ["millrace", "floor", "load", "apache", "dir", "quick", "only", "rounds", "without"];
    let args = args::Args::parse(&known);
    let path =
        |key: &str| PathBuf::from(args.text(key).unwrap_or_else(|| die(&format!("--{key} is needed; use perf/run"))));
    let programs = Programs {
        millrace: path("millrace"),
        floor: path("floor"),
        load: path("load"),
        apache: path("apache"),
        dir: PathBuf::from(args.text("dir").unwrap_or("target/perf")),
        without: args.text("without").unwrap_or("").to_owned(),
    };
    let quick: bool = args.get("quick", false);
    let only = args.text("only").unwrap_or("");
    let rounds: usize = args.get("rounds", if quick { 1 } else { 3 });
    let scenarios: Vec<Scenario> =
        scenarios::all(quick).into_iter().filter(|scenario| scenario.name.contains(only)).collect();
    let mut samples = Samples::default();
    let load_before = report::load_average();
    if scenarios::ONCE.iter().any(|name| name.contains(only)) {
        once::measure(&programs, &mut samples, quick);
    }
    for pinning in [Pinning::Split, Pinning::Free] {
        let here: Vec<&Scenario> = scenarios.iter().filter(|scenario| scenario.pinning == pinning).collect();
        if !here.is_empty() {
            rounds_of(&programs, pinning, &here, rounds, &mut samples);
        }
    }
    report::print_and_write(&samples, rounds, &load_before);
    systems::remove(&programs.dir);
}

/// Runs the scenarios of one pinning; Millrace and Apache Kafka stay up, the floors are started for each run.
fn rounds_of(programs: &Programs, pinning: Pinning, scenarios: &[&Scenario], rounds: usize, samples: &mut Samples) {
    let needs = |system: System| scenarios.iter().any(|scenario| scenario.systems.contains(&system));
    let mut up: Vec<systems::Running> = [System::Millrace, System::Apache]
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
                if programs.leaves_out(*system) {
                    continue;
                }
                match up.iter().find(|running| running.system == *system) {
                    Some(running) => measure::run(programs, running, scenario, samples),
                    None => {
                        let floor = systems::start(programs, *system, pinning);
                        measure::run(programs, &floor, scenario, samples);
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
