//! Compaction by the clock: each shard compacts the dirtiest of its partitions, one at a time, as long as
//! `log.cleaner.threads` of the whole broker allow.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::{Hosted, Shard};
use crate::log::{Compacted, CompactionBudget};
use crate::partition::Dirt;
use crate::rt;

/// How long a shard waits for another one's compaction to end.
const BUSY_WAIT: Duration = Duration::from_millis(200);
/// Longest sleep without a look at whether the broker stops.
const SLEEP_MAX: Duration = Duration::from_millis(250);

/// The compactions of all shards that run now.
#[derive(Debug, Default)]
pub struct Compactions {
    running: AtomicUsize,
}

/// One of them.
struct Permit<'a>(&'a Compactions);

impl Compactions {
    fn begin(&self, max: usize) -> Option<Permit<'_>> {
        let more = |running| (running < max).then_some(running + 1);
        self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Permit(self))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts the shard's compaction task, unless `log.cleaner.enable=false`.
pub fn start(shard: &Rc<Shard>) {
    if !shard.config().log_cleaner_enable {
        return;
    }
    let shard = Rc::clone(shard);
    rt::spawn_local(async move {
        while !shard.is_stopping() {
            match compact_dirtiest(&shard).await {
                Round::Worked => {}
                Round::Busy => rt::sleep(BUSY_WAIT).await,
                Round::Nothing => back_off(&shard).await,
            }
        }
    });
}

enum Round {
    Worked,
    /// Others use all threads.
    Busy,
    Nothing,
}

async fn compact_dirtiest(shard: &Rc<Shard>) -> Round {
    let Some((partition, dirt)) = dirtiest(shard) else { return Round::Nothing };
    let threads = usize::try_from(shard.config().log_cleaner_threads).unwrap_or(1).max(1);
    let Some(_permit) = shard.broker.compactions.begin(threads) else { return Round::Busy };
    let stop = Arc::new(AtomicBool::new(false));
    let outcome = partition.compact(dirt, budget(shard, threads, Arc::clone(&stop)));
    let mut outcome = Box::pin(outcome);
    // A broker that stops, or a topic that goes, doesn't wait for the end.
    let outcome = loop {
        if let Some(outcome) = rt::timeout(SLEEP_MAX, outcome.as_mut()).await {
            break outcome;
        }
        if shard.is_stopping() || partition.is_gone() {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let id = partition.id();
    match outcome {
        Ok(Some(done)) => {
            note(shard, &partition, &done);
            Round::Worked
        }
        Ok(None) => Round::Nothing,
        Err(error) => {
            shard.metrics().counters.compactions_failed.increment();
            partition.set_uncompactable();
            tracing::error!(
                topic = %id.topic, partition = id.partition, %error,
                "the partition is not compacted any more until the broker is restarted; everything else goes on"
            );
            Round::Nothing
        }
    }
}

/// The partition with the largest share of uncompacted bytes among those that are due.
fn dirtiest(shard: &Shard) -> Option<(Rc<Hosted>, Dirt)> {
    let now_ms = rt::clock::now_ms();
    let partitions = shard.partitions.borrow();
    let candidates = partitions.values().filter(|partition| !partition.is_uncompactable() && !partition.is_offline());
    let due = candidates.filter_map(|partition| Some((partition, partition.dirt(now_ms).filter(|dirt| dirt.is_due)?)));
    let dirtiest = due.max_by(|(_, one), (_, other)| one.ratio.total_cmp(&other.ratio));
    dirtiest.map(|(partition, dirt)| (Rc::clone(partition), dirt))
}

fn budget(shard: &Shard, threads: usize, stop: Arc<AtomicBool>) -> CompactionBudget {
    let config = shard.config();
    let memory = config.log_cleaner_dedupe_buffer_size as f64 * config.log_cleaner_io_buffer_load_factor;
    CompactionBudget {
        map_bytes: memory as usize / threads,
        bytes_per_second: config.log_cleaner_io_max_bytes_per_second,
        stop,
    }
}

fn note(shard: &Shard, partition: &Hosted, done: &Compacted) {
    let id = partition.id();
    let counters = &shard.metrics().counters;
    counters.compactions.increment();
    counters.compaction_bytes_read.add(done.bytes_before);
    counters.compaction_bytes_written.add(done.bytes_after);
    tracing::info!(
        topic = %id.topic, partition = id.partition, from = done.first_dirty_offset, to = done.end_offset,
        bytes_before = done.bytes_before, bytes_after = done.bytes_after, keys = done.keys, took_ms = done.took_ms,
        "compacted"
    );
}

async fn back_off(shard: &Shard) {
    let mut left = Duration::from_millis(u64::try_from(shard.config().log_cleaner_backoff_ms).unwrap_or(0))
        .max(Duration::from_millis(10));
    while !shard.is_stopping() && !left.is_zero() {
        let some = left.min(SLEEP_MAX);
        rt::sleep(some).await;
        left -= some;
    }
}
