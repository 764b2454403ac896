//! What the coordinators hold and what the logs say, against each other and against what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::broker::{DATA_TOPIC, READ_TOPIC, Run};
use super::ledger::Outcomes;
use super::network::Line;
use super::{committers, members, producers};
use crate::coordinator::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, TransactionEnd};
use crate::record::{Batches, Compression, ControlRecordType, EndTxnMarker, RecordIter};
use crate::rt;
use crate::simulation::checker::read_all;

/// How often the machines are held against their logs.
const PAUSE_MS: u64 = 5000;
/// So long everything may take to come to rest.
const REST: Duration = Duration::from_secs(240);
/// How often one looks whether it did.
const LOOK: Duration = Duration::from_millis(1000);

/// Holds machines against their logs as long as the broker lives.
pub async fn watch(run: Rc<Run>) {
    loop {
        let ms = run.world.draw(|chance| chance.magnitude(1, PAUSE_MS));
        rt::sleep(Duration::from_millis(ms)).await;
        compare(&run).await;
    }
}

/// How often one asks for offsets that must be stable.
const LOOKS: usize = 5;

/// A machine that reads the log is the machine that wrote it. How many were compared.
pub async fn compare(run: &Rc<Run>) -> usize {
    let mut compared = 0;
    for partition in run.partitions_of(OFFSETS_TOPIC) {
        let Some(runner) = run.shard_of(&partition).group_runner(&partition) else { continue };
        let Some((live, read)) = runner.look_twice(|groups| (groups.durable(), groups.unsettled())).await else {
            continue;
        };
        compared += 1;
        let is_settled = |name: &str| !live.1.iter().any(|id| name == format!("group {id}"));
        differ(run, &format!("{OFFSETS_TOPIC}-{}", partition.index), &live.0, &read.0, is_settled);
    }
    for partition in run.partitions_of(TRANSACTIONS_TOPIC) {
        let Some(runner) = run.shard_of(&partition).transaction_runner(&partition) else { continue };
        let Some((live, read)) = runner.look_twice(crate::coordinator::txn::Transactions::durable).await else {
            continue;
        };
        compared += 1;
        differ(run, &format!("{TRANSACTIONS_TOPIC}-{}", partition.index), &live, &read, |_| true);
    }
    compared
}

fn differ(
    run: &Run,
    of: &str,
    live: &BTreeMap<String, String>,
    read: &BTreeMap<String, String>,
    counts: impl Fn(&str) -> bool,
) {
    let names: BTreeSet<&String> = live.keys().chain(read.keys()).collect();
    for name in names.into_iter().filter(|name| counts(name)) {
        let (live, read) = (live.get(name), read.get(name));
        if live != read {
            run.violated(&format!("{of}: {name} is\n  {live:?}, but its log says\n  {read:?}"));
        }
    }
}

/// Everybody looks at all offsets.
pub async fn look_at_offsets(run: &Rc<Run>) {
    let line = Rc::new(Line::default());
    let groups: BTreeSet<String> = run.offsets.borrow().keys().into_iter().map(|(group, _)| group).collect();
    for group in groups {
        committers::look(run, &line, &group).await;
    }
    for at in 0..run.plan.producers.len() {
        producers::look(run, &line, at).await;
    }
}

/// There is peace: groups come to rest with all partitions read, transactions end; then everybody leaves, and nothing is left.
pub async fn rests(run: &Rc<Run>) {
    if !comes_to(run, "rest", unrest).await {
        return;
    }
    compare(run).await;
    look_at_offsets(run).await;
    check_transactions(run).await;
    run.is_over.set(true);
    if !comes_to(run, "emptiness", remains).await {
        return;
    }
    compare(run).await;
    look_at_offsets(run).await;
}

/// Waits for a state that nothing is in the way of. False: it doesn't come, which is a violation.
async fn comes_to(run: &Rc<Run>, state: &str, in_the_way: impl Fn(&Rc<Run>) -> Option<String>) -> bool {
    let mut waited = Duration::ZERO;
    while let Some(reason) = in_the_way(run) {
        if waited > REST {
            run.violated(&format!("no {state} after {REST:?}: {reason}"));
            return false;
        }
        rt::sleep(LOOK).await;
        waited += LOOK;
    }
    run.world.note(|| format!("{} after {waited:?}", state.to_uppercase()));
    true
}

/// Why there is no rest yet.
fn unrest(run: &Rc<Run>) -> Option<String> {
    let all: BTreeSet<i32> = (0..run.partition_count(READ_TOPIC)).collect();
    let groups: BTreeSet<&String> = run.plan.members.iter().map(|member| &member.group).collect();
    for group in groups {
        let partition = run.any_shard().partition_of_group(group)?;
        let state = run.shard_of(&partition).look_at_groups(&partition, |groups| groups.state_of(group)).flatten();
        let mine = || run.members.iter().filter(|member| member.borrow().plan.group == *group);
        let held: BTreeSet<i32> = mine().flat_map(|member| member.borrow().holds.clone()).collect();
        let is_settled = mine().all(|member| {
            let member = member.borrow();
            member.generation > 0 && member.holds == member.told
        });
        if state != Some("Stable") || held != all || !is_settled {
            let members: Vec<_> = mine().map(|member| format!("{:?}", member.borrow())).collect();
            let seen = members::membership(run, group);
            return Some(format!(
                "{group} is {state:?}, {held:?} of {all:?} is read\n{}\n{seen:?}\n{:?}",
                members.join("\n"),
                run.shard_of(&partition).look_at_groups(&partition, |groups| groups.durable())
            ));
        }
    }
    for (nth, producer) in run.ledger.borrow().producers.iter().enumerate() {
        if producer.open.is_some() {
            return Some(format!("producer {nth} is in a transaction: {producer:?}"));
        }
    }
    for partition in run.partitions_of(OFFSETS_TOPIC) {
        let runner = run.shard_of(&partition).group_runner(&partition);
        if runner.and_then(|runner| runner.look(|_| ())).is_none() {
            return Some(format!("{OFFSETS_TOPIC}-{} is not loaded", partition.index));
        }
    }
    for partition in run.partitions_of(TRANSACTIONS_TOPIC) {
        let runner = run.shard_of(&partition).transaction_runner(&partition);
        let open = runner.and_then(|runner| runner.look(|all| all.open_count()));
        if open != Some(0) {
            return Some(format!("transactions of partition {} are open: {open:?}", partition.index));
        }
    }
    for topic in [OFFSETS_TOPIC, DATA_TOPIC] {
        for partition in run.partitions_of(topic) {
            let found = run.shard_of(&partition).partition(&partition)?;
            let (stable, end) = (found.last_stable_offset(), found.log_end_offset());
            if stable != end {
                return Some(format!("{topic}-{} is stable up to {stable} of {end}", partition.index));
            }
        }
    }
    None
}

/// What is left though everybody has left.
fn remains(run: &Rc<Run>) -> Option<String> {
    for partition in run.partitions_of(OFFSETS_TOPIC) {
        let runner = run.shard_of(&partition).group_runner(&partition)?;
        let Some(left) = runner.look(|groups| groups.leftovers()) else { return Some("it is loading".to_owned()) };
        let may_stay = !run.plan.expires;
        let is_empty = (may_stay || (left.groups, left.offsets) == (0, 0)) && left.transactions == 0;
        // The search for what is expired goes on.
        if !is_empty || left.timers > 1 || runner.waiting_count() > 0 {
            return Some(format!("{OFFSETS_TOPIC}-{}: {left:?}, {} wait", partition.index, runner.waiting_count()));
        }
    }
    for partition in run.partitions_of(TRANSACTIONS_TOPIC) {
        let runner = run.shard_of(&partition).transaction_runner(&partition)?;
        let ids = runner.look(|all| all.id_count());
        if ids != Some(0) && run.plan.expires {
            return Some(format!("{TRANSACTIONS_TOPIC}-{}: {ids:?} ids", partition.index));
        }
        // Who writes markers waits for the next transaction.
        if runner.waiting_count() > 1 {
            return Some(format!("{TRANSACTIONS_TOPIC}-{}: {} wait", partition.index, runner.waiting_count()));
        }
    }
    None
}

/// What the data partitions say of all transactions.
async fn check_transactions(run: &Rc<Run>) {
    let mut outcomes = Outcomes::new();
    for partition in run.partitions_of(DATA_TOPIC) {
        let Some(found) = run.shard_of(&partition).partition(&partition) else { continue };
        let log = read_all(found.log()).await;
        if let Some(problem) = log.problem {
            run.violated(&problem);
        }
        let mut open: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        let mut epochs: BTreeMap<i64, i16> = BTreeMap::new();
        for batch in &log.batches {
            let producer_id = batch.header.producer_id;
            let known = epochs.entry(producer_id).or_default();
            if batch.header.producer_epoch < *known {
                run.violated(&format!(
                    "producer {producer_id} wrote in epoch {} behind {known}",
                    batch.header.producer_epoch
                ));
            }
            *known = batch.header.producer_epoch;
            let parsed = Batches::new(&batch.bytes).next().and_then(Result::ok).expect("it was read");
            for record in RecordIter::new(&parsed.header, parsed.records()) {
                let record = record.expect("it is not compressed");
                if !batch.header.is_control() {
                    assert_eq!(batch.header.codec(), Ok(Compression::None));
                    let id = u64::from_be_bytes(record.value.expect("a value").try_into().expect("eight bytes"));
                    open.entry(producer_id).or_default().push(id);
                    continue;
                }
                let marker = EndTxnMarker::parse(record.key.expect("a key"), record.value.expect("a value"));
                let is_commit = marker.is_some_and(|marker| marker.control_type == ControlRecordType::Commit);
                let end = if is_commit { TransactionEnd::Commit } else { TransactionEnd::Abort };
                for id in open.remove(&producer_id).unwrap_or_default() {
                    if outcomes.insert(id, end).is_some() {
                        run.violated(&format!("batch {id} is there twice"));
                    }
                }
            }
        }
        if let Some((producer_id, left)) = open.first_key_value() {
            run.violated(&format!("batches {left:?} of producer {producer_id} are in no transaction that ended"));
        }
    }
    let checked = run.ledger.borrow().check(&outcomes);
    if let Err(problem) = checked {
        run.violated(&problem);
    }
    let line = Rc::new(Line::default());
    for at in 0..run.plan.producers.len() {
        let mut found = None;
        for _ in 0..LOOKS {
            found = producers::look(run, &line, at).await;
            if found.is_some() {
                break;
            }
            // It may be loading once more.
            rt::sleep(LOOK).await;
        }
        let Some(found) = found else {
            run.violated(&format!("the offsets of producer {at} are not stable"));
            continue;
        };
        for (partition, offset) in found {
            let candidates = run.ledger.borrow().candidates(at, partition, &outcomes);
            let has_expired = run.plan.expires && offset == super::offsets::NOTHING;
            if !candidates.contains(&offset) && !has_expired {
                run.violated(&format!(
                    "offset {offset} of producer {at}, partition {partition} is none of {candidates:?}"
                ));
            }
        }
    }
}
