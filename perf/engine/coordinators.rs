//! The table of coordinators: commits, rebalances, transactions and what a start has to load, each beside Apache Kafka.
//!
//! Apache Kafka's acks=all waits for memory, Millrace's for the device unless `acks.all.durability=memory` is set. So Millrace
//! runs twice: the rows that don't name a setting are those of the default.

use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::die;
use crate::measure::Samples;
use crate::scenarios::{Bound, Check, Metric, Pinning, check};
use crate::systems::{self, Programs, Running, System, settle};

use Bound::{AtMost, AtMostOf, TimesAsGood};
use Metric::{AgainMs, FormCpuMs, FormMs, LoadMs, P50, P99, PerCpuSecond, ReadyMs};
use System::Apache;

/// Behind the name of a scenario: Millrace with Apache Kafka's meaning of acks=all.
const IN_MEMORY: &str = ", acks.all.durability=memory";

const LOAD: &str = "1 M offsets loaded at a clean start";

/// Every row.
pub const CHECKS: [Check; 24] = [
    check("offset commit of 1 partition", PerCpuSecond, TimesAsGood(Apache, 5.0)),
    check("offset commit of 1 partition, acks.all.durability=memory", PerCpuSecond, TimesAsGood(Apache, 5.0)),
    check("offset commit of 10 partitions", PerCpuSecond, TimesAsGood(Apache, 5.0)),
    check("offset commit of 10 partitions, acks.all.durability=memory", PerCpuSecond, TimesAsGood(Apache, 5.0)),
    check("classic group of 200, new", FormMs, AtMostOf(Apache, 1.0)),
    check("classic group of 200, new", FormCpuMs, AtMostOf(Apache, 1.0)),
    check("classic group of 200, new, acks.all.durability=memory", FormMs, AtMostOf(Apache, 1.0)),
    check("classic group of 200, new", AgainMs, AtMostOf(Apache, 1.0)),
    check("classic group of 200, new, acks.all.durability=memory", AgainMs, AtMostOf(Apache, 1.0)),
    check("consumer group of 200 on 1000 partitions", FormMs, AtMostOf(Apache, 1.0)),
    check("consumer group of 200 on 1000 partitions", FormCpuMs, AtMostOf(Apache, 1.0)),
    check("consumer group of 200 on 1000 partitions, acks.all.durability=memory", FormMs, AtMostOf(Apache, 1.0)),
    check(LOAD, ReadyMs, AtMost(1000.0)),
    check(LOAD, LoadMs, AtMost(1000.0)),
    check("transactions of one record, 64 producers", PerCpuSecond, TimesAsGood(Apache, 3.0)),
    check(
        "transactions of one record, 64 producers, acks.all.durability=memory",
        PerCpuSecond,
        TimesAsGood(Apache, 3.0),
    ),
    check("transactions of one record, 1 producer", PerCpuSecond, TimesAsGood(Apache, 3.0)),
    check("transactions of one record, 1 producer, acks.all.durability=memory", PerCpuSecond, TimesAsGood(Apache, 3.0)),
    check("read_committed, commit every 100 ms", P50, AtMostOf(Apache, 1.0)),
    check("read_committed, commit every 100 ms", P99, AtMostOf(Apache, 1.0)),
    check("read_committed, commit every 100 ms, acks.all.durability=memory", P50, AtMostOf(Apache, 1.0)),
    check("read_committed, commit every 100 ms, acks.all.durability=memory", P99, AtMostOf(Apache, 1.0)),
    check("read_committed, commit every 10 ms", P99, AtMostOf(Apache, 1.0)),
    check("read_committed, commit every 10 ms, acks.all.durability=memory", P99, AtMostOf(Apache, 1.0)),
];

/// What every broker of this table is told: no waiting for more members, no pause between assignments.
const CONFIG: &str = "offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
    transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\ngroup.consumer.assignment.interval.ms=0\n";

struct Scenario {
    name: &'static str,
    arguments: String,
    /// Is measured for so many seconds; the others end by themselves.
    timed: bool,
    pinning: Pinning,
}

fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut add = |name, arguments: &str, timed, pinning| {
        all.push(Scenario { name, arguments: arguments.to_owned(), timed, pinning });
    };
    add("offset commit of 1 partition", "--mode commits --partitions 1", true, Pinning::Split);
    add("offset commit of 10 partitions", "--mode commits --partitions 10", true, Pinning::Split);
    add("transactions of one record, 64 producers", "--mode transactions --producers 64", true, Pinning::Split);
    add("transactions of one record, 1 producer", "--mode transactions --producers 1", true, Pinning::Split);
    add("classic group of 200, new", "--mode classic", false, Pinning::Split);
    add("consumer group of 200 on 1000 partitions", "--mode consumer", false, Pinning::Split);
    add("read_committed, commit every 100 ms", "--mode latency --commit-ms 100", true, Pinning::Free);
    add("read_committed, commit every 10 ms", "--mode latency --commit-ms 10", true, Pinning::Free);
    all
}

/// Measures all of it; answers what is told behind the table.
pub fn measure(programs: &Programs, samples: &mut Samples, only: &str, rounds: usize, quick: bool) -> String {
    let programs = Programs { config_of_all: CONFIG.to_owned(), ..programs.clone() };
    for pinning in [Pinning::Split, Pinning::Free] {
        let here: Vec<Scenario> =
            all().into_iter().filter(|one| one.pinning == pinning && one.name.contains(only)).collect();
        if !here.is_empty() {
            rounds_of(&programs, pinning, &here, samples, rounds, quick);
        }
    }
    if LOAD.contains(only) {
        load(&programs, samples, rounds);
    }
    "Every broker: one node, replication factor 1, 50 partitions of each internal topic (loading: 1), no initial rebalance delay, no \
     assignment interval. Apache Kafka's acks=all waits for the page cache; Millrace's for the device, but for the rows that say \
     otherwise. Groups: members send a heartbeat 10 ms after the last answer.\n\n"
        .to_owned()
}

fn systems_of(programs: &Programs) -> Vec<System> {
    let all = [System::Millrace, System::MillraceMemory, System::Apache];
    all.into_iter().filter(|system| !programs.leaves_out(*system)).collect()
}

fn rounds_of(
    programs: &Programs,
    pinning: Pinning,
    scenarios: &[Scenario],
    samples: &mut Samples,
    rounds: usize,
    quick: bool,
) {
    let up: Vec<Running> =
        systems_of(programs).into_iter().map(|system| systems::start(programs, system, pinning)).collect();
    let seconds = if quick { "--warmup 1 --seconds 3" } else { "--warmup 2 --seconds 6" };
    // Just-in-time compilers need some rounds of everything; and files of the write-ahead log are made once.
    for running in &up {
        for scenario in scenarios {
            let arguments = format!("{} {seconds}", scenario.arguments);
            let turns = if scenario.timed { 1 } else { 3 };
            (0..turns).for_each(|turn| drop(run(programs, running, &arguments, &format!("warm-{turn}"))));
        }
    }
    settle();
    for round in 0..rounds {
        for scenario in scenarios {
            for running in &up {
                let arguments = format!("{} {seconds}", scenario.arguments);
                if let Some(value) = run(programs, running, &arguments, &format!("round-{round}")) {
                    keep(samples, scenario.name, running.system, value);
                }
                eprintln!("  {}/{rounds} {} {}: {}", round + 1, scenario.name, running.system.name(), samples.last());
                settle();
            }
        }
    }
    up.into_iter().for_each(Running::stop);
}

/// Millrace in memory is another scenario of Millrace, which has Apache Kafka as its peer as well.
fn keep(samples: &mut Samples, scenario: &str, system: System, value: Value) {
    match system {
        System::MillraceMemory => samples.add(&format!("{scenario}{IN_MEMORY}"), System::Millrace, value),
        Apache => {
            samples.add(&format!("{scenario}{IN_MEMORY}"), Apache, value.clone());
            samples.add(scenario, Apache, value);
        }
        other => samples.add(scenario, other, value),
    }
}

fn run(programs: &Programs, running: &Running, arguments: &str, name: &str) -> Option<Value> {
    let mut command = Command::new(&programs.coordinators);
    command.args(["--port", &running.system.port().to_string(), "--pid", &running.pid().to_string(), "--name", name]);
    command.args(arguments.split_whitespace());
    if running.pinning == Pinning::Split {
        command.args(["--core", "1"]);
    }
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| die(&format!("{}: {error}", programs.coordinators.display())));
    serde_json::from_slice(&output.stdout).ok()
}

/// A million offsets in one partition of the internal topic; a clean stop, and a start until one of the last is answered.
fn load(programs: &Programs, samples: &mut Samples, rounds: usize) {
    let programs = Programs { config_of_all: format!("{CONFIG}offsets.topic.num.partitions=1\n"), ..programs.clone() };
    for system in [System::Millrace, Apache].into_iter().filter(|system| !programs.leaves_out(*system)) {
        let mut running = systems::start(&programs, system, Pinning::Free);
        if run(&programs, &running, "--mode fill --groups 10000", "fill").is_none() {
            die("offsets could not be committed");
        }
        for round in 0..rounds {
            settle();
            running.end();
            settle();
            let began = Instant::now();
            running = running.start_again(&programs);
            let Some(mut value) = run(&programs, &running, "--mode wait --groups 10000", "wait") else {
                die("offsets were not loaded");
            };
            value["ready_ms"] = json!(began.elapsed().as_secs_f64() * 1e3);
            samples.add(LOAD, system, value);
            eprintln!("  {}/{rounds} {LOAD} {}: {}", round + 1, system.name(), samples.last());
        }
        running.stop();
    }
}
