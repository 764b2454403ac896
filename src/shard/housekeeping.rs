//! What a shard does by the clock: idle connections, producer expiry, and (the first shard) the checkpoint files.

use std::rc::Rc;
use std::time::Duration;

use super::{Hosted, Shard, ShardId};
use crate::rt;

const IDLE_CHECK: Duration = Duration::from_millis(500);
const GAUGES: Duration = Duration::from_secs(1);
/// How often somebody looks for coordinators' writes that the log does not take.
const LATE_WRITES: Duration = Duration::from_millis(500);
const FLUSH_CHECK: Duration = Duration::from_secs(1);
/// How often somebody looks whether checkpoints are wanted before their time.
const CHECKPOINT_CHECK: Duration = Duration::from_millis(250);

/// Starts the periodic tasks; they end with the shard.
pub fn start(shard: &Rc<Shard>) {
    repeat(shard, |_| IDLE_CHECK, Shard::close_idle_connections);
    repeat(
        shard,
        |shard| millis(shard.config().producer_id_expiration_check_interval_ms.into()),
        |shard| {
            let now_ms = rt::clock::now_ms();
            shard.partitions.borrow().values().for_each(|partition| partition.expire_producers(now_ms));
        },
    );
    repeat(shard, |_| GAUGES, Shard::refresh_gauges);
    repeat(shard, |_| LATE_WRITES, |shard| shard.coordinators.give_up_late_writes(&shard.config()));
    repeat(
        shard,
        |shard| millis(shard.config().log_retention_check_interval_ms),
        |shard| {
            let partitions: Vec<_> = {
                let partitions = shard.partitions.borrow();
                partitions.values().filter(|here| !here.is_offline()).cloned().collect()
            };
            rt::spawn_local(apply_retention(partitions));
        },
    );
    repeat(
        shard,
        |_| FLUSH_CHECK,
        |shard| {
            let now_ms = rt::clock::now_ms();
            shard.partitions.borrow().values().for_each(|partition| partition.flush_if_due(now_ms));
        },
    );
    rt::spawn_local(Rc::clone(shard).watch_groups());
    if shard.id == ShardId(0) {
        write_checkpoints(shard);
    }
}

fn repeat(shard: &Rc<Shard>, period: impl Fn(&Shard) -> Duration + 'static, work: impl Fn(&Shard) + 'static) {
    let shard = Rc::clone(shard);
    rt::spawn_local(async move {
        while !shard.is_stopping() {
            let (wanted, begun) = (period(&shard), rt::clock::monotonic());
            rt::sleep(wanted).await;
            let late = rt::clock::monotonic().saturating_duration_since(begun).saturating_sub(wanted);
            shard.metrics.counters.loop_latency.record_ns(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
            work(&shard);
        }
    });
}

fn write_checkpoints(shard: &Rc<Shard>) {
    let shard = Rc::clone(shard);
    rt::spawn_local(async move {
        while !shard.is_stopping() {
            let dirs = shard.broker.log_dirs.clone();
            let mut left = millis(shard.config().replica_high_watermark_checkpoint_interval_ms);
            while !left.is_zero() && !dirs.want_checkpoints() && !shard.is_stopping() {
                let step = left.min(CHECKPOINT_CHECK);
                rt::sleep(step).await;
                left -= step;
            }
            rt::blocking(move || dirs.write_checkpoints()).await;
        }
    });
}

async fn apply_retention(partitions: Vec<Rc<Hosted>>) {
    let now_ms = rt::clock::now_ms();
    for partition in partitions {
        if let Err(error) = partition.apply_retention(now_ms).await {
            let id = partition.id();
            tracing::warn!(topic = %id.topic, partition = id.partition, %error, "retention could not be applied");
        }
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(10))
}

impl Shard {
    fn refresh_gauges(&self) {
        let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let counters = &self.metrics.counters;
        let partitions = self.partitions.borrow();
        partitions.values().for_each(|partition| partition.refresh_gauges());
        partitions.values().for_each(|partition| partition.note_high_watermark());
        counters.partitions.set(number(partitions.len()));
        let failed = partitions.values().filter(|partition| partition.is_offline()).count();
        counters.partitions_offline.set(number(failed + self.offline.borrow().len()));
        counters.producer_ids.set(number(partitions.values().map(|partition| partition.producers_count()).sum()));
        let (coordinators, groups, offsets) = self.coordinators.counts();
        counters.groups.set(number(groups));
        counters.group_offsets.set(number(offsets));
        let (transaction_coordinators, ids, open) = self.coordinators.transaction_counts();
        counters.coordinators.set(number(coordinators + transaction_coordinators));
        counters.transactional_ids.set(number(ids));
        counters.transactions_open.set(number(open));
        counters.connections.set(number(self.connections.count()));
        let inbox = &self.broker.shards[usize::from(self.id.0)];
        counters.queue_depth.set(number(inbox.depth()));
        counters.queue_full.follow(inbox.full_count());
        let sessions = self.fetch_sessions.borrow();
        counters.fetch_sessions.set(number(sessions.len()));
        counters.fetch_session_partitions.set(number(sessions.partitions()));
        counters.fetch_sessions_evicted.follow(sessions.evicted());
        let (tail, dirty) = self.storage.tail_usage();
        counters.tail_bytes_max.set(number(tail));
        counters.tail_bytes_dirty.set(number(dirty));
        counters.tail_bytes_pinned.set(number(self.storage.tail_pinned()));
        self.count_closed();
    }

    /// Connections come by accepting them or from other shards, and go to others or are closed.
    fn count_closed(&self) {
        let counters = &self.metrics.counters;
        let came = counters.connections_accepted.get() + counters.connections_moved_in.get();
        let went_on = counters.connections_moved_out.get() + self.connections.count() as u64;
        let closed = came.saturating_sub(went_on);
        counters.connections_closed.follow(closed.max(counters.connections_closed.get()));
    }

    fn close_idle_connections(&self) {
        // A negative time means never.
        if let Ok(idle_max_ms) = u64::try_from(self.config().connections_max_idle_ms) {
            self.connections.close_idle(Duration::from_millis(idle_max_ms));
        }
    }
}
