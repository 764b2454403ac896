//! The storage on a simulated machine: many short runs, each decided by a seed, in which brokers are killed and lose their power at
//! any step, and the next one must find what was promised.
//!
//! A run has a few partitions in one to three log directories, used by producers (some with an id, which send again what was not
//! answered), readers, followers that cut their log, and housekeeping (retention, DeleteRecords, compaction, checkpoints). It goes
//! through several lives of the broker, each with another number of shards. After each start every log is read and held against the
//! model of what was sent:
//! - what was acknowledged at its level is there (acks=1 after kill -9, acks=all after power loss, too), in order and once;
//! - nothing is there that was not sent, and no offset was given to another batch once it was promised;
//! - what consumers saw of acks=all stays;
//! - producers and leader epochs are what the batches say.
//!
//! | file | what |
//! |---|---|
//! | `plan.rs` | what the seed decides |
//! | `life.rs` | one life of the broker |
//! | `actors.rs` | who uses the partitions |
//! | `model.rs` | what was sent and acknowledged |
//! | `checker.rs` | what was found, against the model |
//!
//! `cargo test simulation` runs a few hundred seeds. `MILLRACE_SIM_SEEDS=100000 cargo test --release --lib simulation` runs as many as
//! wanted, from `MILLRACE_SIM_FIRST` on; `MILLRACE_SIM_SEED=7 cargo test --lib simulation` runs one; a failed one prints its history. `MILLRACE_SIM_GO_ON=1` lists all failures
//! instead of stopping at the first, `MILLRACE_SIM_BREAK=skip-sync|ack-early|replay-order` breaks the code first.

mod actors;
mod checker;
mod life;
mod model;
mod plan;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

use self::life::{Run, Stopped, live, log_dirs};
use self::model::Model;
use self::plan::{Ending, LifePlan, Plan};
use crate::log::{MetaProperties, PartitionId};
use crate::rt::sim::{Chance, Sabotage, Stop, World};
use crate::wire::Uuid;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 200;

/// What a run left.
struct Outcome {
    violation: Option<String>,
    history: Vec<String>,
    fingerprint: u64,
    lives: u64,
    steps: u64,
}

fn setup(seed: u64, world: &Rc<World>) -> Rc<Run> {
    let plan = Plan::draw(&mut Chance::new(seed));
    for dir in log_dirs(&plan) {
        crate::rt::directory::create_all(dir).expect("an empty disk takes it");
        let directory_id = Some(Uuid::from_bytes(crate::rt::random::bytes16()));
        let meta = MetaProperties { cluster_id: "simulated".to_owned(), node_id: 1, directory_id };
        meta.write(dir).expect("an empty disk takes it");
    }
    world.create_volatile(Path::new("/sim/tail"));
    world.sync_everything(Path::new("/sim")).expect("nothing fails yet");
    let model = |(index, plan): (usize, &plan::PartitionPlan)| {
        let topic_id = Uuid::from_bytes([index as u8 + 1; 16]);
        let id = PartitionId { topic: format!("t{index}").into(), topic_id, partition: 0 };
        Model::new(id, index, plan.idempotent)
    };
    let models = plan.partitions.iter().enumerate().map(model).collect();
    Rc::new(Run { world: Rc::clone(world), plan, models: RefCell::new(models), next_id: Cell::new(1) })
}

/// Lives one life and lets its end happen.
fn one_life(run: &Rc<Run>, draw: &mut Chance, is_last: bool) {
    let world = &run.world;
    world.begin_process();
    let mut life = LifePlan::draw(draw, &run.plan, world.steps());
    if is_last {
        // The last start only looks at what is there.
        life = LifePlan { ending: Ending::Kill, steps: u64::MAX, faults: Vec::new(), ..life };
    }
    world.note(|| format!("LIFE {life:?}"));
    world.set_faults(life.faults.clone());
    world.set_latency(life.latency);
    world.crash_after(life.steps);
    let ending = life.ending;
    let lived = world.run(live(Rc::clone(run), life));
    if let Err(Stop::Stuck(why)) = &lived {
        panic!("the broker is stuck: {why}");
    }
    world.note(|| format!("END {lived:?}"));
    world.end_process();
    let is_clean = lived == Ok(Stopped::Cleanly);
    let power = match ending {
        Ending::Power(unsynced) => Some(unsynced),
        Ending::CleanThenPower(unsynced) => Some(unsynced),
        Ending::Clean | Ending::Kill => None,
    };
    let loses = power.is_some() || run.plan.tail_dir.is_none();
    for model in run.models.borrow_mut().iter_mut() {
        model.crashed(loses && !is_clean);
    }
    if let Some(unsynced) = power {
        world.power_loss(unsynced, run.plan.entries);
    }
}

fn run_seed(seed: u64, keep_history: bool, sabotage: Option<Sabotage>) -> Outcome {
    let world = World::new(seed);
    world.sabotage(sabotage);
    if keep_history {
        world.keep_history();
    }
    let active = world.activate();
    let lives = Cell::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let run = setup(seed, &world);
        world.note(|| format!("{:#?}", run.plan));
        let mut draw = Chance::new(!seed);
        for life in 0..=run.plan.lives {
            one_life(&run, &mut draw, life == run.plan.lives);
            lives.set(life + 1);
        }
    }));
    let violation = outcome.err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    });
    drop(active);
    Outcome {
        violation,
        history: world.take_history(),
        fingerprint: world.fingerprint(),
        lives: lives.get(),
        steps: world.steps(),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `MILLRACE_SIM_BREAK`.
fn sabotage_asked() -> Option<Sabotage> {
    let name = std::env::var("MILLRACE_SIM_BREAK").ok()?;
    SABOTAGES.iter().find(|(known, _)| *known == name).map(|(_, sabotage)| *sabotage)
}

/// What can be broken, by name.
const SABOTAGES: [(&str, Sabotage); 3] =
    [("skip-sync", Sabotage::SkipSync), ("ack-early", Sabotage::AckEarly), ("replay-order", Sabotage::ReplayOrder)];

/// Runs a seed again with its history, for people.
fn explain(seed: u64) -> String {
    let outcome = run_seed(seed, true, sabotage_asked());
    let violation = outcome.violation.unwrap_or_else(|| "no violation this time".to_owned());
    let history = outcome.history.join("\n");
    format!("{history}\nseed {seed}: {violation}\nMILLRACE_SIM_SEED={seed} runs it again")
}

#[test]
fn simulation_keeps_every_promise() {
    if let Some(seed) = number("MILLRACE_SIM_SEED") {
        let outcome = run_seed(seed, false, sabotage_asked());
        assert!(outcome.violation.is_none(), "{}", explain(seed));
        return;
    }
    let first = number("MILLRACE_SIM_FIRST").unwrap_or(1);
    let count = number("MILLRACE_SIM_SEEDS").unwrap_or(SEEDS);
    let go_on = std::env::var("MILLRACE_SIM_GO_ON").is_ok();
    let (mut lives, mut steps) = (0, 0);
    let mut violations = Vec::new();
    for seed in first..first + count {
        let outcome = run_seed(seed, false, sabotage_asked());
        lives += outcome.lives;
        steps += outcome.steps;
        if let Some(violation) = outcome.violation {
            assert!(go_on, "{}", explain(seed));
            violations.push(format!("seed {seed}: {violation}"));
        }
    }
    tracing::info!(count, lives, steps, "simulated");
    assert!(
        violations.is_empty(),
        "{} of {count} seeds, {lives} lives, {steps} steps\n{}",
        violations.len(),
        violations.join("\n")
    );
}

#[test]
fn same_seed_is_the_same_run() {
    for seed in [3, 14, 15] {
        let (first, second) = (run_seed(seed, false, None), run_seed(seed, false, None));
        assert_eq!((first.fingerprint, first.steps), (second.fingerprint, second.steps), "seed {seed}");
    }
}

#[test]
fn broken_code_is_caught() {
    for (name, sabotage) in SABOTAGES {
        let caught = (1..=SEEDS).find(|seed| run_seed(*seed, false, Some(sabotage)).violation.is_some());
        assert!(caught.is_some(), "{name} is not noticed within {SEEDS} seeds");
    }
}
