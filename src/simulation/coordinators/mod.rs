//! The coordinators on a simulated machine: whole brokers with groups and transactions, used by clients that the network lets down,
//! through many lives, each decided by a seed.
//!
//! What runs is what runs in production: requests are frames that [`crate::server::api`] accepts, on shards with their runners, logs,
//! write-ahead log, compaction and housekeeping. Classic members (eager, cooperative, static), members of KIP-848, groups that change
//! over between the protocols, consumers without group management, administrators, and producers of transactions (of both versions,
//! with zombies) send them. Requests and answers are lost, come late and twice; the broker is killed, loses its power or is stopped;
//! internal partitions are led elsewhere for a while, or refuse writes; their logs are compacted all the time. Then:
//! - no partition is with two members that the coordinator counts on, and no commit is taken of one that another has by then;
//! - a member's epoch never goes back;
//! - OffsetFetch answers what was acknowledged last, and never what was refused;
//! - a machine that reads the (compacted) log is the machine that wrote it;
//! - a transaction ends once, everywhere in the same way and as its client was told; what it committed is there once, and what it
//!   did not is not; its offsets show exactly then; a producer that was fenced writes nothing;
//! - in peace groups come to rest with all partitions read, and transactions end in time;
//! - when everybody has left, nothing is left.
//!
//! | file | what |
//! |---|---|
//! | `plan.rs` | what the seed decides |
//! | `broker.rs` | the broker, and what happens to it |
//! | `network.rs` | how requests come to it |
//! | `members.rs`, `classic.rs`, `consumer.rs` | members of groups |
//! | `committers.rs`, `offsets.rs` | offsets, and what may be found of them |
//! | `producers.rs`, `ledger.rs` | transactions, and how they may end |
//! | `checker.rs` | machines, logs and rest |
//!
//! `cargo test simulation::coordinators` runs some hundred seeds. The variables are those of the storage, with `MILLRACE_COSIM_` in
//! front.

mod broker;
mod checker;
mod classic;
mod committers;
mod consumer;
mod ledger;
mod members;
mod network;
mod offsets;
mod plan;
mod producers;

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use self::broker::{DIR, Run};
use self::plan::{Ending, LifePlan, Plan};
use super::seeds::Simulator;
use crate::log::MetaProperties;
use crate::rt;
use crate::rt::sim::{Chance, Sabotage, Stop, World};
use crate::wire::Uuid;

const SIMULATOR: Simulator = Simulator {
    prefix: "MILLRACE_COSIM",
    test: "coordinators_keep",
    seeds: 60,
    open: &OPEN,
    sabotages: &SABOTAGES,
    lives,
};

fn setup(seed: u64, world: &Rc<World>) -> Rc<Run> {
    let plan = Plan::draw(&mut Chance::new(seed));
    rt::directory::create_all(Path::new(DIR)).expect("an empty disk takes it");
    let directory = Uuid::from_bytes(rt::random::bytes16());
    let meta =
        MetaProperties { cluster_id: "simulated".to_owned(), node_id: broker::NODE, directory_id: Some(directory) };
    meta.write(Path::new(DIR)).expect("an empty disk takes it");
    world.create_volatile(Path::new("/sim/tail"));
    world.sync_everything(Path::new("/sim")).expect("nothing fails yet");
    Rc::new(Run::new(Rc::clone(world), plan, directory))
}

async fn live(run: Rc<Run>, life: LifePlan, is_last: bool) {
    run.start().await;
    if run.plan.exhausts && run.is_first_life() {
        run.use_up_epochs().await;
    }
    for at in 0..run.plan.members.len() {
        rt::spawn_local(members::work(Rc::clone(&run), at));
    }
    for at in 0..run.plan.committers {
        rt::spawn_local(committers::work(Rc::clone(&run), at));
    }
    for at in 0..run.plan.producers.len() {
        rt::spawn_local(producers::work(Rc::clone(&run), at));
    }
    rt::spawn_local(checker::watch(Rc::clone(&run)));
    rt::spawn_local(Rc::clone(&run).disturb(life.clone()));
    rt::sleep(life.time).await;
    if is_last {
        run.world.note(|| "PEACE".to_owned());
        run.is_calm.set(true);
        checker::rests(&run).await;
    } else if life.ending == Ending::Clean {
        run.stop().await;
    }
}

fn one_life(run: &Rc<Run>, draw: &mut Chance, is_last: bool) {
    let world = &run.world;
    world.begin_process();
    run.mend_metadata();
    let life = LifePlan::draw(draw);
    world.note(|| format!("LIFE {life:?}"));
    world.set_latency(life.latency);
    world.crash_after(u64::MAX);
    let lived = world.run(live(Rc::clone(run), life.clone(), is_last));
    if let Err(Stop::Stuck(why)) = &lived {
        panic!("the broker is stuck: {why}");
    }
    world.note(|| format!("END {lived:?}"));
    let now = run.tick();
    run.offsets.borrow_mut().crashed(now);
    run.forget_process();
    world.end_process();
    if let Ending::Power(unsynced) = life.ending {
        world.power_loss(unsynced, run.plan.entries);
    }
}

fn lives(seed: u64, world: &Rc<World>, lives: &Cell<u64>) {
    let run = setup(seed, world);
    world.note(|| format!("{:#?}", run.plan));
    let mut draw = Chance::new(!seed);
    for life in 1..=run.plan.lives {
        one_life(&run, &mut draw, life == run.plan.lives);
        lives.set(lives.get() + 1);
    }
}

#[test]
fn coordinators_keep_every_promise() {
    SIMULATOR.keeps_every_promise();
}

/// Seeds of the ordinary run that break a promise as the code is; long runs have them.
const OPEN: [u64; 0] = [];

/// Seeds that once broke a promise, by what was mended: in the coordinators first, then in what was asked of them.
const KNOWN: [(&str, &[u64]); 10] = [
    ("a static member's new id was refused by the log, and stayed", &[228]),
    ("a group was empty before its record was", &[20206]),
    ("an assignor was given partitions that are not there", &[2821]),
    ("a member was told the epoch of who joins", &[1283]),
    ("a shard that stops made its partitions anew", &[6591]),
    ("who loads slowly is waited for", &[5077]),
    ("a late deletion of a group takes partitions that are new by then", &[53, 1514, 2150]),
    ("a client that sends twice tells all again", &[212, 1660, 2101]),
    ("a client that dies while it leaves has left", &[1580, 2311]),
    ("a name that a session outlived is that of another member", &[1906, 1973, 2094, 2154]),
];

#[test]
fn known_seeds_stay_mended() {
    SIMULATOR.stay_mended(&KNOWN);
}

/// What can be broken, by name.
const SABOTAGES: [(&str, Sabotage); 3] = [
    ("answer-early", Sabotage::AnswerEarly),
    ("leave-records-out", Sabotage::LeaveRecordsOut),
    ("forget-markers", Sabotage::ForgetMarkers),
];

#[test]
fn same_seed_is_the_same_run() {
    SIMULATOR.are_the_same_again(&[3, 14, 15]);
}

#[test]
fn broken_coordinators_are_caught() {
    SIMULATOR.catches_broken_code();
}
