//! Torture: real `millrace` processes under the load of real producers are killed, stopped, robbed of power, of room and of their
//! device; then an independent consumer reads everything back, and each record is held against what its acks level promises.
//!
//! ```sh
//! cargo test --release --test torture -- --rounds 200 [--seed N] [--only kill,power,stop,enospc,eio,clock] [--io epoll] [--keep]
//! cargo test --release --test torture -- --seeds 100000 [--seed FIRST]
//! ```
//! The second runs seeds of the simulator (src/simulation) instead. Without `--rounds` (as in a plain `cargo test`) it is three short rounds. Exit code 1: a promise was broken; 2: a kind that
//! `--only` asks for is not possible on this machine. See tests/torture/README.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person who runs it")]

mod device;
mod faults;
mod flags;
mod judge;
mod ledger;
mod report;
mod series;
mod simulator;
#[path = "../support/mod.rs"]
mod support;
mod writers;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use faults::{Fault, KINDS, Make};
use flags::Flags;
use judge::Verdict;
use report::Summary;
use series::Load;

/// A variant of a kind that can be run here.
struct Turn {
    kind: &'static str,
    variant: &'static str,
    make: Make,
}

impl Turn {
    fn name(&self) -> String {
        if self.variant.is_empty() { self.kind.to_owned() } else { format!("{} ({})", self.kind, self.variant) }
    }
}

fn main() -> ExitCode {
    let flags = match Flags::parse(std::env::args().skip(1)) {
        Ok(Some(flags)) => flags,
        Ok(None) => return ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("torture: {problem}");
            return ExitCode::from(2);
        }
    };
    if let Some(count) = flags.simulated {
        return match simulator::run(flags.seed, count) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(problem) => {
                eprintln!("torture: {problem}");
                ExitCode::from(2)
            }
        };
    }
    // A broker that doesn't come back panics in the rig; the round says so.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(io) = &flags.io {
        // SAFETY: this is the only thread so far. Every broker of the rig is started with it.
        unsafe { std::env::set_var("MILLRACE_IO", io) };
    }
    let mounts = device::own_mounts();
    let mut summary = Summary::default();
    let turns = turns(&flags, &mounts, &mut summary);
    println!("torture: {} rounds, --seed {}", flags.rounds, flags.seed);
    if !turns.is_empty() {
        rounds(&flags, &turns, &mut summary);
    }
    println!("\n{}", summary.table());
    if summary.bad_rounds() > 0 {
        return ExitCode::FAILURE;
    }
    if flags.names_kinds && summary.lacks() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

/// Kinds take turns; the variants of a kind take turns when it is its turn.
fn turns(flags: &Flags, mounts: &Result<(), String>, summary: &mut Summary) -> Vec<Vec<Turn>> {
    let mut turns = Vec::new();
    for kind in KINDS.iter().filter(|kind| flags.kinds.iter().any(|name| name == kind.name)) {
        let mut possible = Vec::new();
        for (variant, make, needs) in kind.variants {
            let turn = Turn { kind: kind.name, variant, make: *make };
            let missing = match (needs, mounts) {
                (faults::Needs::Disk(_), Err(why)) => Some(why.clone()),
                _ => needs.missing(),
            };
            match missing {
                None => possible.push(turn),
                Some(why) => summary.not_possible(turn.name(), why),
            }
        }
        if !possible.is_empty() {
            turns.push(possible);
        }
    }
    turns
}

fn rounds(flags: &Flags, turns: &[Vec<Turn>], summary: &mut Summary) {
    let load = match flags.smoke {
        true => Load { bytes_max: 2 << 20, acknowledged_max: 1500 },
        false => Load { bytes_max: 12 << 20, acknowledged_max: 20_000 },
    };
    let mut brokers: HashMap<String, Box<dyn Fault>> = HashMap::new();
    for round in 0..flags.rounds {
        let kind = &turns[round % turns.len()];
        let turn = &kind[(round / turns.len()) % kind.len()];
        let name = turn.name();
        let seed = flags.seed.wrapping_add((round as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (how, verdict, recovery, is_spent) = match brokers.get_mut(&name) {
            Some(broker) => one_round(broker.as_mut(), load),
            None => match catch_unwind(|| (turn.make)(seed)) {
                Ok(Ok(broker)) => one_round(brokers.entry(name.clone()).or_insert(broker).as_mut(), load),
                Ok(Err(why)) => {
                    println!("{round:>4} {name}: could not be prepared: {why}");
                    summary.not_possible(name, why);
                    continue;
                }
                Err(_) => broken("the broker did not start at first".to_owned()),
            },
        };
        println!("{}", report::line(round, &name, &how, recovery, &verdict));
        summary.add(turn.kind, recovery, &verdict);
        if verdict.is_bad() || is_spent {
            let broker = brokers.remove(&name);
            if let Some(broker) = broker.filter(|_| verdict.is_bad() && flags.keep)
                && let Some(path) = broker.series().keep_evidence(&format!("seed-{}-round-{round}", flags.seed))
            {
                println!("       kept in {path}");
            }
        }
    }
}

/// Runs a round; a panic (the broker doesn't come back, for one) is a broken promise.
fn one_round(broker: &mut dyn Fault, load: Load) -> (String, Verdict, Duration, bool) {
    match catch_unwind(AssertUnwindSafe(|| broker.round(load))) {
        Ok((how, verdict)) => (how, verdict, broker.series().recovery, broker.is_spent()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            broken(format!("{text}\n{}", broker.series().node.log_tail()))
        }
    }
}

fn broken(text: String) -> (String, Verdict, Duration, bool) {
    let mut verdict = Verdict::default();
    verdict.complain(text);
    ("broke off".to_owned(), verdict, Duration::ZERO, true)
}
