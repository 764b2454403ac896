//! Runs of seeds, as both simulators have them: one by one or many, explained, held against themselves and against broken code.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tracing::subscriber::DefaultGuard;

use crate::rt::sim::{self, Calls, Sabotage, World};

/// A simulator: what a seed runs, and how people choose seeds.
pub(super) struct Simulator {
    /// What the names of its variables begin with, `MILLRACE_SIM`.
    pub prefix: &'static str,
    /// A filter of `cargo test --lib` for its run of many seeds.
    pub test: &'static str,
    /// Seeds of an ordinary test run.
    pub seeds: u64,
    /// Those of them that break a promise as the code is. A run whose number of seeds is asked for has them.
    pub open: &'static [u64],
    /// What can be broken, by name.
    pub sabotages: &'static [(&'static str, Sabotage)],
    /// Goes through all lives of a seed, counts them, and panics where a promise is broken.
    pub lives: fn(u64, &Rc<World>, &Cell<u64>),
}

/// What the broker logs, on its way into the history.
struct IntoHistory;

impl io::Write for IntoHistory {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(world) = sim::active() {
            world.note(|| String::from_utf8_lossy(line).trim_end().to_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The history has what the broker logs, as long as this lives.
fn tell_history() -> DefaultGuard {
    let told = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
    tracing::subscriber::set_default(told.with_writer(|| IntoHistory).finish())
}

/// What a run left.
pub(super) struct Outcome {
    /// The promise that was broken.
    pub violation: Option<String>,
    /// What happened, where it was asked for.
    pub history: Vec<String>,
    /// Equal for equal runs.
    pub fingerprint: u64,
    /// Lives of the broker that came to an end.
    pub lives: u64,
    /// Steps of the machine.
    pub steps: u64,
}

impl Simulator {
    /// Runs a seed in a world of its own.
    pub fn run(&self, seed: u64, history: Option<Calls>, sabotage: Option<Sabotage>) -> Outcome {
        let world = World::new(seed);
        world.sabotage(sabotage);
        if let Some(calls) = history {
            world.keep_history(calls);
        }
        let active = world.activate();
        let _told = history.is_some().then(tell_history);
        let lives = Cell::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.lives)(seed, &world, &lives)));
        let violation = outcome.err().map(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        });
        drop(active);
        let (history, fingerprint) = (world.take_history(), world.fingerprint());
        Outcome { violation, history, fingerprint, lives: lives.get(), steps: world.steps() }
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(format!("{}_{name}", self.prefix)).ok()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.variable(name)?.parse().ok()
    }

    /// The sabotage that `…_BREAK` names.
    fn sabotage_asked(&self) -> Option<Sabotage> {
        let asked = self.variable("BREAK")?;
        let found = self.sabotages.iter().find(|(name, _)| *name == asked);
        Some(found.unwrap_or_else(|| panic!("{}_BREAK={asked} is not one of {:?}", self.prefix, self.sabotages)).1)
    }

    /// Runs a seed again with its history, for people.
    fn explain(&self, seed: u64) -> String {
        let calls = if self.variable("CALLS").is_some() { Calls::Kept } else { Calls::LeftOut };
        let outcome = self.run(seed, Some(calls), self.sabotage_asked());
        let violation = outcome.violation.unwrap_or_else(|| "no violation this time".to_owned());
        let (history, prefix, test) = (outcome.history.join("\n"), self.prefix, self.test);
        format!(
            "{history}\nseed {seed}: {violation}\n{prefix}_SEED={seed} cargo test --lib {test} runs it again, with {prefix}_CALLS=1 \
             every system call is shown"
        )
    }

    /// Runs the seeds that the variables ask for.
    pub fn keeps_every_promise(&self) {
        if let Some(seed) = self.number("SEED") {
            let outcome = self.run(seed, None, self.sabotage_asked());
            assert!(outcome.violation.is_none(), "{}", self.explain(seed));
            return;
        }
        let first = self.number("FIRST").unwrap_or(1);
        let asked = self.number("SEEDS");
        let count = asked.unwrap_or(self.seeds);
        let goes_on = self.variable("GO_ON").is_some();
        let (mut lives, mut steps) = (0, 0);
        let mut violations = Vec::new();
        for seed in (first..first + count).filter(|seed| asked.is_some() || !self.open.contains(seed)) {
            let outcome = self.run(seed, None, self.sabotage_asked());
            lives += outcome.lives;
            steps += outcome.steps;
            if let Some(violation) = outcome.violation {
                assert!(goes_on, "{}", self.explain(seed));
                violations.push(format!("seed {seed}: {violation}"));
            }
        }
        tracing::info!(count, lives, steps, "simulated");
        let (broken, list) = (violations.len(), violations.join("\n"));
        assert!(violations.is_empty(), "{broken} of {count} seeds, {lives} lives, {steps} steps\n{list}");
    }

    /// Holds seeds that once broke a promise, by what was mended, to it.
    pub fn stay_mended(&self, known: &[(&str, &[u64])]) {
        for (what, seeds) in known {
            for seed in *seeds {
                assert_eq!(self.run(*seed, None, None).violation, None, "seed {seed}: {what}");
            }
        }
    }

    /// Holds runs against themselves.
    pub fn are_the_same_again(&self, seeds: &[u64]) {
        for seed in seeds {
            let (first, second) = (self.run(*seed, None, None), self.run(*seed, None, None));
            assert_eq!((first.fingerprint, first.steps), (second.fingerprint, second.steps), "seed {seed}");
        }
    }

    /// Holds each sabotage to break a promise within the seeds of an ordinary test run.
    pub fn catches_broken_code(&self) {
        for (name, sabotage) in self.sabotages {
            let mut seeds = (1..=self.seeds).filter(|seed| !self.open.contains(seed));
            let caught = seeds.find(|seed| self.run(*seed, None, Some(*sabotage)).violation.is_some());
            assert!(caught.is_some(), "{name} is not noticed within {} seeds", self.seeds);
        }
    }
}
