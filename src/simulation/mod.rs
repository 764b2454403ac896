//! The storage on a simulated machine: many short runs, each decided by a seed, in which brokers are killed and lose their power at
//! any step, and the next one must find what was promised.
//!
//! A run has a few partitions in one to three log directories, used by producers (some with an id, which send again what was not
//! answered; some with transactions), readers of both isolation levels, followers that cut their log, and housekeeping (retention,
//! DeleteRecords, compaction, checkpoints, topics that are deleted and made again under their name). Some runs send more than the disk
//! takes, so that appends wait for room in the tail; in some the disk fails, is full for a while, or changes bytes. A run goes
//! through several lives of the broker, each with another number of shards. After each start every log is read and held against the
//! model of what was sent:
//! - what was acknowledged at its level is there (acks=1 after kill -9, acks=all after power loss, too), in order and once;
//! - nothing is there that was not sent, and no offset was given to another batch once it was promised;
//! - what consumers saw of acks=all stays;
//! - producers, open transactions and leader epochs are what the batches say;
//! - compaction leaves the newest record of each key that was not aborted, and the markers of all transactions that have records;
//! - a consumer that reads what is committed sees no record that was aborted or is not decided, and misses none that was committed;
//! - a deleted partition stays deleted (but for an empty directory that a crash left of its creation in a log directory that was offline
//!   when it was deleted: the broker says so and leaves it alone), and one that is made under its name begins empty;
//! - what the disk does to a log directory is no excuse for partitions of another one;
//! - once the disk has room again and fails no more, whatever is not offline takes durable appends, and answers every one of them;
//! - `damage.rs` says what is promised when the disk changes bytes.
//!
//! | file | what |
//! |---|---|
//! | `plan.rs` | what the seed decides |
//! | `life.rs` | one life of the broker |
//! | `actors.rs`, `transactions.rs`, `follower.rs`, `house.rs` | who uses the partitions |
//! | `damage.rs` | a disk that changes bytes |
//! | `model.rs` | what was sent and acknowledged |
//! | `checker.rs`, `compaction.rs` | what was found, against the model |
//! | `seeds.rs` | runs of seeds |
//!
//! [`coordinators`] does the same with whole brokers and their groups and transactions.
//!
//! `cargo test simulation` runs a few hundred seeds; `cargo test --release --test torture -- --seeds 100000` runs as many as wanted. A
//! seed that breaks a promise is printed with its history. Variables of `cargo test --lib simulation`:
//!
//! | variable | meaning |
//! |---|---|
//! | `MILLRACE_SIM_SEEDS`, `MILLRACE_SIM_FIRST` | how many, and the first |
//! | `MILLRACE_SIM_SEED` | this one |
//! | `MILLRACE_SIM_CALLS=1` | the history has every system call |
//! | `MILLRACE_SIM_GO_ON=1` | all seeds that break a promise are listed, without histories |
//! | `MILLRACE_SIM_BREAK` | the code is broken first, by one of the names in `SABOTAGES` |

mod actors;
mod checker;
mod compaction;
mod coordinators;
mod damage;
mod follower;
mod house;
mod life;
mod model;
mod plan;
mod seeds;
mod transactions;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use self::life::{Run, Stopped, live, log_dirs};
use self::model::Model;
use self::plan::{Ending, LifePlan, Plan};
use self::seeds::Simulator;
use crate::log::MetaProperties;
use crate::rt::sim::{Chance, Sabotage, Stop, World};
use crate::wire::Uuid;

const SIMULATOR: Simulator =
    Simulator { prefix: "MILLRACE_SIM", test: "simulation_keeps", seeds: 200, open: &[], sabotages: &SABOTAGES, lives };

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
    let model = |(slot, plan): (usize, &plan::PartitionPlan)| Model::new(slot, 0, plan);
    let models = RefCell::new(plan.partitions.iter().enumerate().map(model).collect());
    let not_yet = || Cell::new(false);
    Rc::new(Run {
        world: Rc::clone(world),
        plan,
        models,
        next_id: Cell::new(1),
        hurt: not_yet(),
        is_calm: not_yet(),
        lacks_wal: not_yet(),
    })
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
    if run.plan.damages && draw.one_in(2) {
        damage::strike(run, draw);
    }
}

fn lives(seed: u64, world: &Rc<World>, lives: &Cell<u64>) {
    let run = setup(seed, world);
    world.note(|| format!("{:#?}", run.plan));
    let mut draw = Chance::new(!seed);
    for life in 0..=run.plan.lives {
        one_life(&run, &mut draw, life == run.plan.lives);
        lives.set(life + 1);
    }
}

/// What can be broken, by name.
const SABOTAGES: [(&str, Sabotage); 7] = [
    ("ack-early", Sabotage::AckEarly),
    ("wal-sync", Sabotage::WalSync),
    ("skip-sync", Sabotage::SkipSync),
    ("directory-sync", Sabotage::DirectorySync),
    ("replay-order", Sabotage::ReplayOrder),
    ("ignore-checksum", Sabotage::IgnoreChecksum),
    ("aborted-stay", Sabotage::AbortedStay),
];

#[test]
fn simulation_keeps_every_promise() {
    SIMULATOR.keeps_every_promise();
}

/// Seeds that once broke a promise, by what was mended.
const KNOWN: [(&str, &[u64]); 33] = [
    ("a start that could not sync a directory let it be read", &[538950, 575299]),
    ("a log that a cut found damaged took its directory with it", &[406269]),
    ("pages of a sync that failed were believed to be on the device", &[203516, 211391]),
    ("an entry of the write-ahead log began within a batch", &[200550, 203314, 203586, 205010, 205783]),
    ("a segment was held to a recovery point that nobody could read", &[202363, 208269, 212904, 213172, 243616]),
    ("a producer was missed whose only marker is below the log start", &[202438, 207158, 214581]),
    ("a block of another segment was stepped over", &[200772, 236508]),
    ("a batch that reaches behind its segment was read as nothing", &[227253, 228268]),
    ("a deleted log's snapshot fenced the directory", &[212558]),
    ("segments were removed behind one that could not be", &[215137]),
    ("a stop after a failed sync removed the tail", &[215153]),
    ("a clean stop left the files of a write-ahead log that was given up", &[255222]),
    ("a crash left the beginnings of a partition in another directory", &[214961]),
    ("a snapshot was written though the index before it could not be", &[239430]),
    ("a batch begun in a chunk that was given away was cut with it", &[266810]),
    ("batches that were never seen came back with a lost log start", &[253761, 310802]),
    ("gaps of a compaction were taken for a loss without a recovery point", &[307913]),
    ("a transaction began below the log start with a batch that nobody saw", &[308451]),
    ("an epoch that a lost batch had begun hid that of the batch in its place", &[312956]),
    ("segments that were made from the tail got durable names in another order", &[332123]),
    ("a segment of which compaction left nothing was dropped, and the log start with it", &[336866]),
    ("aborted transactions below a lost log start were not known any more", &[345925]),
    ("transaction indexes went with segments that came back from the tail", &[401766]),
    ("a write-ahead log that was given up with its directory was not looked for in it", &[502923]),
    ("two directories of a partition that had something in the tail alone", &[591296]),
    ("a flush during a cut noted the recovery point from before it", &[532751]),
    ("a batch from below a lost log start hid the leader epochs of later segments", &[510419, 562647]),
    ("a producer was known whose batch nobody had seen above the log start", &[532902, 558403]),
    ("a snapshot of lost batches came back with a power loss", &[559781]),
    ("a damaged segment was taken for whole after some of it had been brought back", &[534826]),
    ("an open transaction had begun below a lost log start", &[592489]),
    ("a deleted partition had an empty directory where nobody could delete", &[525205]),
    ("the list of aborted transactions was older than the bytes", &[318196]),
];

#[test]
fn known_seeds_stay_mended() {
    SIMULATOR.stay_mended(&KNOWN);
}

#[test]
fn same_seed_is_the_same_run() {
    SIMULATOR.are_the_same_again(&[3, 14, 15]);
}

#[test]
fn broken_code_is_caught() {
    SIMULATOR.catches_broken_code();
}
