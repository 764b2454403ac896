//! Housekeeping: checkpoints, retention, DeleteRecords, compaction, flushes; and topics that are deleted.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::actors::{self, Work, rest};
use super::life::{Open, Process, Run};
use super::model::Existence;
use crate::log::CompactionBudget;
use crate::partition::Partition;
use crate::rt::{self, blocking};

/// Keeps house until the broker stops.
pub async fn keep_house(run: Rc<Run>, work: Rc<Work>, process: Rc<Process>) {
    let pause_us = run.world.draw(|chance| chance.magnitude(1000, 500_000));
    while !work.stop.get() {
        rest(&run, pause_us).await;
        let count = process.open.borrow().len() as u64;
        let (index, what) = run.world.draw(|chance| (chance.below(count) as usize, chance.below(10)));
        let is_checked = run.with_model(index, |model| model.is_checked);
        let Some(open) = process.open(index).filter(|_| is_checked) else { continue };
        match (what, open) {
            (0, _) => {
                let dirs = process.dirs.clone();
                blocking(move || dirs.write_checkpoints()).await;
            }
            (1, open) if run.plan.deletes => delete(&run, &work, &process, index, open).await,
            (_, Open::Led(partition)) if !partition.is_gone() => visit(&run, &process, index, &partition, what).await,
            _ => {}
        }
    }
}

async fn visit(run: &Run, process: &Process, index: usize, partition: &Partition, what: u64) {
    match what {
        2 => partition.note_high_watermark(),
        3 => retain(run, index, partition).await,
        4 => delete_records(run, index, partition, process).await,
        5..=7 => compact(run, index, partition).await,
        8 => drop(partition.log().flush()),
        _ => partition.flush_if_due(i64::MAX),
    }
}

/// Deletes the topic, as a shard that follows the metadata does it, and makes another one of its name now or later.
async fn delete(run: &Rc<Run>, work: &Rc<Work>, process: &Rc<Process>, index: usize, open: Open) {
    run.world.note(|| format!("DELETE {index}"));
    let id = run.with_model(index, |model| {
        model.existence = Existence::Deleting;
        model.id.clone()
    });
    process.open.borrow_mut()[index] = None;
    let deleted = match open {
        Open::Led(partition) => partition.delete().await,
        Open::Followed(log) => log.delete().await,
    };
    if let Err(error) = &deleted {
        run.excuse(format!("partition {index} is not deleted: {error}"), run.may_fail(index)).await;
    }
    let dirs = process.dirs.clone();
    blocking(move || dirs.forget_offsets(&[id])).await;
    let next = run.succeed(index);
    if deleted.is_err() {
        return;
    }
    run.world.note(|| format!("DELETED {index}"));
    run.with_model(index, |model| model.existence = Existence::Deleted);
    if run.world.draw(|chance| chance.one_in(4)) {
        return;
    }
    process.create(run, next).await;
    actors::start_one(run, process, work, next);
}

async fn retain(run: &Run, index: usize, partition: &Partition) {
    let before = run.with_model(index, |model| {
        let before = model.start_max;
        model.start_max = before.max(partition.high_watermark());
        before
    });
    if let Ok(start) = partition.apply_retention(rt::clock::now_ms()).await {
        run.world.note(|| format!("RETAINED {index}: from {start}"));
        run.with_model(index, |model| model.start_max = before.max(start));
    }
}

async fn delete_records(run: &Run, index: usize, partition: &Partition, process: &Process) {
    let (low, high) = (partition.log_start_offset(), partition.high_watermark());
    let offset = run.world.draw(|chance| match chance.one_in(6) {
        true => high,
        false => low + chance.below((high - low) as u64 / 2 + 1) as i64,
    });
    run.with_model(index, |model| model.start_max = model.start_max.max(offset));
    let Ok(start) = partition.delete_records(offset).await else { return };
    let dirs = process.dirs.clone();
    blocking(move || dirs.write_checkpoints()).await;
    run.world.note(|| format!("DELETED {index}: below {start}"));
    if !partition.is_offline() {
        run.with_model(index, |model| model.start_min = model.start_min.max(start));
    }
}

async fn compact(run: &Run, index: usize, partition: &Partition) {
    let Some(dirt) = partition.dirt(rt::clock::now_ms()) else { return };
    run.with_model(index, |model| model.compacted = true);
    let budget = CompactionBudget {
        map_bytes: run.world.draw(|chance| chance.pick(&[400, 1 << 20])),
        bytes_per_second: f64::MAX,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let done = partition.compact(dirt, budget).await;
    run.world.note(|| format!("COMPACTED {index}: {done:?}"));
    if let Err(error) = done
        && !run.may_fail(index)
        && !partition.is_gone()
    {
        run.violated(format!("partition {index}: compaction: {error}")).await;
    }
}
