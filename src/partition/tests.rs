//! The partition on a real log, inside an executor.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures_lite::future::poll_once;

use super::*;
use crate::log::testing::{format_dir, start_storage};
use crate::log::{LogConfig, ReadSlice};
use crate::record::{
    BatchBuilder, Batches, Compression, ControlRecordType, EndTxnMarker, TargetCompression, end_txn_marker,
};
use crate::rt::executor::run_local;
use crate::wal::WalSettings;
use crate::wire::Uuid;

/// A log directory and a tail directory that outlive "processes".
struct Machine {
    dir: tempfile::TempDir,
    tail: tempfile::TempDir,
}

/// One "process": log directories and the storage of one shard.
struct Process {
    dirs: Arc<LogDirs>,
    storage: Storage,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine {
            dir: tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir"),
            tail: tempfile::tempdir_in("/dev/shm").expect("tempdir"),
        };
        format_dir(machine.dir.path());
        machine
    }

    fn start(&self) -> Process {
        let started = start_storage(self.dir.path(), self.tail.path(), 64 << 20, 1000, WalSettings::default());
        let (dirs, storage) = started.expect("open");
        Process { dirs, storage }
    }
}

impl Process {
    async fn create(&self, config: PartitionConfig) -> Partition {
        let id = PartitionId { topic: "t".into(), topic_id: Uuid::from_bytes([3; 16]), partition: 0 };
        let partition = Partition::create(&self.storage, &self.dirs.dirs()[0], id, config).await.expect("create");
        partition.lead(5);
        partition
    }

    async fn open(&self) -> Partition {
        let found = self.dirs.found();
        let opened = Partition::open(&self.storage, &self.dirs, &found[0], config()).await.expect("open");
        self.dirs.loaded();
        opened
    }

    async fn stop(self, partition: Partition) {
        partition.close().await.expect("close");
        drop(partition);
        self.storage.stop().await;
        drop(self.storage);
        rt::blocking(move || self.dirs.close_clean(1)).await.expect("marker");
    }
}

fn run(test: impl AsyncFnOnce(Machine) + 'static) {
    run_local(async move { test(Machine::new()).await }).expect("executor");
}

fn config() -> PartitionConfig {
    PartitionConfig { producer_id_expiration_ms: i64::MAX, ..PartitionConfig::default() }
}

/// A batch of records with these timestamps.
fn records(timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for timestamp in timestamps {
        builder.push(*timestamp, Some(b"key"), Some(b"value"), std::iter::empty());
    }
    builder.build()
}

fn from_producer(sequence: i32, count: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(77, 0, sequence);
    for _ in 0..count {
        builder.push(1000, None, Some(b"value"), std::iter::empty());
    }
    builder.build()
}

fn op(records: Bytes, acks: Acks) -> AppendOp {
    AppendOp {
        records,
        acks,
        origin: Origin::Client,
        transactional: false,
        verification: Verification::NotNeeded,
        transaction_version: 0,
    }
}

fn fetch_op(offset: i64) -> FetchOp {
    FetchOp {
        offset,
        max_bytes: 1 << 20,
        min_one_batch: true,
        isolation: Isolation::ReadUncommitted,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn bytes_of(outcome: &FetchOutcome) -> Vec<u8> {
    let mut bytes = Vec::new();
    for slice in &outcome.slices {
        match slice {
            ReadSlice::Memory(memory) => bytes.extend_from_slice(memory),
            ReadSlice::File(_) => panic!("the tail is in memory"),
        }
    }
    assert_eq!(bytes.len(), outcome.len);
    bytes
}

#[test]
fn what_was_appended_is_fetched_with_its_offsets_and_epoch() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        for (base_offset, timestamps) in [(0, &[10, 20][..]), (2, &[30]), (3, &[25, 5])] {
            let outcome = partition.append(op(records(timestamps), Acks::Leader)).await.expect("appended");
            assert_eq!(outcome.base_offset, base_offset);
            assert_eq!((outcome.log_append_time_ms, outcome.log_start_offset), (-1, 0));
        }
        assert_eq!((partition.high_watermark(), partition.log_end_offset()), (5, 5));
        let outcome = partition.fetch(fetch_op(2)).await.expect("fetched");
        let bytes = bytes_of(&outcome);
        let batches: Vec<_> = Batches::new(&bytes).map(|batch| batch.expect("valid")).collect();
        assert_eq!(batches.iter().map(|batch| batch.header.base_offset).collect::<Vec<_>>(), [2, 3]);
        assert!(batches.iter().all(|batch| batch.crc_matches() && batch.header.partition_leader_epoch == 5));
        assert_eq!(outcome.aborted, None);
        assert_eq!(partition.fetch(fetch_op(5)).await.expect("at the end").len, 0);
        assert!(matches!(partition.fetch(fetch_op(6)).await, Err(FetchError::OffsetOutOfRange)));
        assert!(partition.available_bytes(3, Isolation::ReadUncommitted) > 0);
        assert_eq!(partition.available_bytes(5, Isolation::ReadUncommitted), 0);
        process.stop(partition).await;
    });
}

#[test]
fn a_batch_for_all_is_invisible_until_it_is_on_the_device() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        partition.append(op(records(&[1]), Acks::Leader)).await.expect("appended");
        let outcome = partition.append(op(records(&[2, 3]), Acks::All)).await.expect("appended");
        partition.append(op(records(&[4]), Acks::Leader)).await.expect("appended");
        assert_eq!((partition.high_watermark(), partition.log_end_offset()), (1, 4));
        let more = partition.changed(Isolation::ReadUncommitted, 1);
        partition.committed(outcome.last_offset).await.expect("committed");
        assert_eq!(partition.high_watermark(), 4);
        assert!(partition.log().durable_offset() >= 3);
        more.await;
        partition.committed(0).await.expect("long since");
        process.stop(partition).await;
    });
}

#[test]
fn the_high_watermark_moves_even_if_the_producer_is_gone() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        partition.append(op(records(&[2, 3]), Acks::All)).await.expect("appended");
        partition.changed(Isolation::ReadCommitted, 1).await;
        assert_eq!(partition.last_stable_offset(), 2);
        // And with memory durability, at once.
        partition.set_config(PartitionConfig { durability: Durability::Memory, ..config() });
        partition.append(op(records(&[4]), Acks::All)).await.expect("appended");
        assert_eq!(partition.high_watermark(), 3);
        // With flush.messages even a batch for the leader is on the device before its answer.
        partition.set_config(PartitionConfig { flush_messages: 1, ..config() });
        partition.append(op(records(&[5]), Acks::Leader)).await.expect("appended");
        assert!(partition.log().durable_offset() >= 4);
        process.stop(partition).await;
    });
}

#[test]
fn duplicates_get_their_old_offsets_also_after_a_restart() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        for sequence in [0, 2, 4] {
            partition.append(op(from_producer(sequence, 2), Acks::Leader)).await.expect("in sequence");
        }
        let again = partition.append(op(from_producer(2, 2), Acks::Leader)).await.expect("duplicate");
        assert_eq!((again.base_offset, again.last_offset, again.bytes), (2, 3, 0));
        assert_eq!(again.log_append_time_ms, 1000);
        let gap = partition.append(op(from_producer(9, 1), Acks::Leader)).await;
        assert!(matches!(gap, Err(AppendError::Producer(ProducerError::SequenceGap { last: 5, found: 9, .. }))));
        assert_eq!(partition.log_end_offset(), 6);
        process.stop(partition).await;

        let process = machine.start();
        let partition = process.open().await;
        partition.lead(6);
        assert_eq!(partition.high_watermark(), 6);
        let again = partition.append(op(from_producer(4, 2), Acks::Leader)).await.expect("duplicate");
        assert_eq!((again.base_offset, again.last_offset), (4, 5));
        let next = partition.append(op(from_producer(6, 1), Acks::Leader)).await.expect("in sequence");
        assert_eq!(next.base_offset, 6);
        let producers = partition.producers();
        assert_eq!(producers.len(), 1);
        assert_eq!((producers[0].producer_id, producers[0].last_sequence), (77, 6));
        process.stop(partition).await;
    });
}

#[test]
fn snapshots_between_rolls_bound_the_replay_and_replace_each_other() {
    run(async |machine| {
        let process = machine.start();
        let batch_bytes = from_producer(0, 1).len() as u64;
        let config = PartitionConfig { producer_snapshot_bytes: 10 * batch_bytes, ..config() };
        let partition = process.create(config).await;
        for sequence in 0..35 {
            partition.append(op(from_producer(sequence, 1), Acks::Leader)).await.expect("in sequence");
        }
        assert_eq!(partition.0.log.producer_snapshots(), [30]);
        process.stop(partition).await;
        let process = machine.start();
        let partition = process.open().await;
        let entry = partition.0.state.borrow().producers.get(77).cloned().expect("known");
        assert_eq!(entry.last_sequence(), 34);
        process.stop(partition).await;
    });
}

#[test]
fn producers_come_back_by_replay_when_there_is_no_snapshot() {
    run(async |machine| {
        let process = machine.start();
        let config = PartitionConfig { log: LogConfig { segment_bytes: 2000, ..LogConfig::default() }, ..config() };
        let partition = process.create(config).await;
        for sequence in 0..60 {
            partition.append(op(from_producer(sequence, 1), Acks::Leader)).await.expect("in sequence");
        }
        assert!(partition.segments_count() > 1);
        process.stop(partition).await;
        for entry in std::fs::read_dir(machine.dir.path().join("t-0")).expect("dir") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|extension| extension == "snapshot") {
                std::fs::write(path, b"garbage").expect("write");
            }
        }
        let process = machine.start();
        let partition = process.open().await;
        partition.lead(6);
        let entry = partition.0.state.borrow().producers.get(77).cloned().expect("replayed");
        assert_eq!((entry.last_sequence(), entry.batches().len()), (59, 5));
        process.stop(partition).await;
    });
}

#[test]
fn offsets_are_found_by_time_and_by_name() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        let find = |spec| partition.find_offset(spec, Isolation::ReadUncommitted, -1);
        let none = FoundOffset { timestamp: -1, offset: 0, leader_epoch: 5 };
        assert_eq!(find(OffsetSpec::Earliest).await, Ok(Some(none)));
        assert_eq!(find(OffsetSpec::Latest).await, Ok(Some(none)));
        assert_eq!(find(OffsetSpec::MaxTimestamp).await, Ok(None));
        assert_eq!(find(OffsetSpec::AtTimestamp(0)).await, Ok(None));
        for timestamps in [&[10, 20][..], &[50, 30], &[40]] {
            partition.append(op(records(timestamps), Acks::Leader)).await.expect("appended");
        }
        let at = |timestamp, offset| Ok(Some(FoundOffset { timestamp, offset, leader_epoch: 5 }));
        assert_eq!(find(OffsetSpec::Latest).await, at(-1, 5));
        assert_eq!(find(OffsetSpec::MaxTimestamp).await, at(50, 2));
        assert_eq!(find(OffsetSpec::AtTimestamp(0)).await, at(10, 0));
        assert_eq!(find(OffsetSpec::AtTimestamp(11)).await, at(20, 1));
        assert_eq!(find(OffsetSpec::AtTimestamp(21)).await, at(50, 2));
        assert_eq!(find(OffsetSpec::AtTimestamp(51)).await, Ok(None));
        let nothing = Ok(Some(FoundOffset { timestamp: -1, offset: -1, leader_epoch: -1 }));
        assert_eq!(find(OffsetSpec::LatestTiered).await, nothing);
        // The log start inside of a batch: its earlier records don't count, and the search goes on behind it.
        assert_eq!(partition.delete_records(3).await, Ok(3));
        assert_eq!(find(OffsetSpec::Earliest).await, at(-1, 3));
        assert_eq!(find(OffsetSpec::AtTimestamp(21)).await, at(30, 3));
        assert_eq!(find(OffsetSpec::AtTimestamp(35)).await, at(40, 4));
        assert_eq!(
            partition.find_offset(OffsetSpec::Latest, Isolation::ReadUncommitted, 4).await,
            Err(FetchError::FencedLeaderEpoch)
        );
        process.stop(partition).await;
    });
}

#[test]
fn epochs_tell_where_a_log_has_diverged() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        partition.append(op(records(&[1, 2, 3]), Acks::Leader)).await.expect("appended");
        partition.lead(8);
        partition.append(op(records(&[4]), Acks::Leader)).await.expect("appended");
        assert_eq!(partition.end_of_epoch(5, -1), Ok((5, 3)));
        assert_eq!(partition.end_of_epoch(7, 8), Ok((5, 3)));
        assert_eq!(partition.end_of_epoch(8, -1), Ok((8, 4)));
        assert_eq!(partition.end_of_epoch(9, -1), Ok((-1, -1)));
        assert_eq!(partition.end_of_epoch(5, 9), Err(FetchError::UnknownLeaderEpoch));
        assert_eq!(partition.end_of_epoch(5, 7), Err(FetchError::FencedLeaderEpoch));
        let fetch = |offset, last_fetched_epoch| partition.fetch(FetchOp { last_fetched_epoch, ..fetch_op(offset) });
        assert_eq!(fetch(3, 5).await.expect("no divergence").diverging, None);
        assert_eq!(fetch(4, 5).await.expect("diverged").diverging, Some((5, 3)));
        assert_eq!(fetch(4, 7).await.expect("diverged").diverging, Some((5, 3)));
        assert_eq!(fetch(9, 8).await.expect("diverged").diverging, Some((8, 4)));
        assert!(matches!(fetch(4, 9).await, Err(FetchError::OffsetOutOfRange)));
        process.stop(partition).await;
    });
}

#[test]
fn deleted_records_are_out_of_range() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        for at in 0..10 {
            partition.append(op(records(&[at]), Acks::Leader)).await.expect("appended");
        }
        assert_eq!(partition.delete_records(11).await, Err(FetchError::OffsetOutOfRange));
        assert_eq!(partition.delete_records(-2).await, Err(FetchError::OffsetOutOfRange));
        let waits = partition.clone();
        let mut change = Box::pin(waits.changed(Isolation::ReadUncommitted, 10));
        assert!(poll_once(&mut change).await.is_none());
        assert_eq!(partition.delete_records(4).await, Ok(4));
        change.await;
        assert_eq!(partition.delete_records(2).await, Ok(4));
        assert!(matches!(partition.fetch(fetch_op(3)).await, Err(FetchError::OffsetOutOfRange)));
        assert_eq!(partition.fetch(fetch_op(4)).await.expect("fetched").log_start_offset, 4);
        assert_eq!(partition.delete_records(-1).await, Ok(10));
        process.stop(partition).await;
    });
}

#[test]
fn a_transaction_is_hidden_from_read_committed_until_it_ends() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        let batch = BatchBuilder::new().producer(9, 0, 0).transactional().append(1, None, Some(b"v"), &[]).build();
        let refused = partition.append(op(batch.clone(), Acks::Leader)).await;
        assert_eq!(refused, Err(AppendError::NoTransactionalId));
        let transactional = AppendOp { transactional: true, ..op(batch, Acks::Leader) };
        partition.append(transactional).await.expect("appended");
        partition.append(op(records(&[2]), Acks::Leader)).await.expect("appended");
        assert_eq!((partition.last_stable_offset(), partition.high_watermark()), (0, 2));
        let committed = FetchOp { isolation: Isolation::ReadCommitted, ..fetch_op(0) };
        let outcome = partition.fetch(committed).await.expect("fetched");
        assert_eq!((outcome.len, outcome.aborted), (0, Some(vec![])));
        let marker = EndTxnMarker { control_type: ControlRecordType::Abort, coordinator_epoch: 1 };
        let marker = end_txn_marker(marker, 9, 0, 3);
        let as_client = AppendOp { transactional: true, ..op(marker.clone(), Acks::Leader) };
        assert!(matches!(partition.append(as_client).await, Err(AppendError::Batch(_))));
        let marker = AppendOp { origin: Origin::Coordinator, ..op(marker, Acks::All) };
        let ended = partition.append(marker).await.expect("appended");
        assert_eq!(partition.last_stable_offset(), 0);
        partition.committed(ended.last_offset).await.expect("committed");
        assert_eq!(partition.last_stable_offset(), 3);
        let outcome = partition.fetch(committed).await.expect("fetched");
        assert_eq!(outcome.aborted, Some(vec![(9, 0)]));
        assert!(outcome.len > 0);
        process.stop(partition).await;
    });
}

/// One record of producer 9 in a transaction that is aborted.
async fn abort_one(partition: &Partition, sequence: i32) {
    let batch = BatchBuilder::new().producer(9, 0, sequence).transactional().append(1, None, Some(b"v"), &[]).build();
    let sent = partition.append(AppendOp { transactional: true, ..op(batch, Acks::Leader) }).await;
    sent.expect("appended");
    let marker = EndTxnMarker { control_type: ControlRecordType::Abort, coordinator_epoch: 1 };
    let marker = end_txn_marker(marker, 9, 0, 3);
    let ended = partition.append(AppendOp { origin: Origin::Coordinator, ..op(marker, Acks::All) }).await;
    partition.committed(ended.expect("appended").last_offset).await.expect("committed");
}

async fn aborted_since_the_start(partition: &Partition) -> Option<Vec<(i64, i64)>> {
    let committed = FetchOp { isolation: Isolation::ReadCommitted, ..fetch_op(0) };
    partition.fetch(committed).await.expect("fetched").aborted
}

#[test]
fn an_abort_is_known_though_a_crash_came_before_its_index() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        abort_one(&partition, 0).await;
        partition.0.roll();
        abort_one(&partition, 1).await;
        process.stop(partition).await;
        // As if it had been killed between the roll and what is written in background behind it.
        for entry in std::fs::read_dir(machine.dir.path().join("t-0")).expect("listed") {
            let path = entry.expect("listed").path();
            if path.extension().is_some_and(|extension| extension == "snapshot" || extension == "txnindex") {
                std::fs::remove_file(path).expect("removed");
            }
        }
        for _ in 0..2 {
            let process = machine.start();
            let partition = process.open().await;
            partition.lead(6);
            assert_eq!(aborted_since_the_start(&partition).await, Some(vec![(9, 0), (9, 2)]));
            partition.append(op(records(&[1]), Acks::Leader)).await.expect("appended");
            process.stop(partition).await;
        }
    });
}

#[test]
fn topic_rules_apply_and_refused_batches_leave_nothing() {
    run(async |machine| {
        let process = machine.start();
        let mut config = config();
        config.rules.target = TargetCompression::Codec { codec: Compression::Zstd, level: 3 };
        config.rules.compacted = true;
        config.log.segment_bytes = 1000;
        let partition = process.create(config).await;
        partition.append(op(records(&[1]), Acks::Leader)).await.expect("has keys");
        let no_key = partition.append(op(from_producer(0, 1), Acks::Leader)).await;
        assert!(matches!(no_key, Err(AppendError::Batch(crate::record::BatchError::Rejected(_)))));
        let noise: Vec<u8> = (0..250).flat_map(|_| rt::random::bytes16()).collect();
        let large = BatchBuilder::new().append(1, Some(b"k"), Some(&noise), &[]).build();
        let large = partition.append(op(large, Acks::Leader)).await;
        assert!(matches!(large, Err(AppendError::LargerThanSegment { size_max: 1000, .. })));
        assert_eq!(partition.log_end_offset(), 1);
        let bytes = bytes_of(&partition.fetch(fetch_op(0)).await.expect("fetched"));
        let batch = Batches::new(&bytes).next().expect("one").expect("valid");
        assert_eq!(batch.header.codec(), Ok(Compression::Zstd));
        process.stop(partition).await;
    });
}

#[test]
fn codec_work_does_not_change_the_order() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        let mut large = BatchBuilder::new().codec(Compression::Gzip, 1).producer(77, 0, 0);
        while large.size_in_bytes() < 400_000 {
            large.push(1, None, Some(&rt::random::bytes16()), std::iter::empty());
        }
        let count = large.records_count() as i32;
        let first = partition.append(op(large.build(), Acks::Leader));
        let second = partition.append(op(from_producer(count, 1), Acks::Leader));
        let (first, second) = futures_lite::future::zip(first, second).await;
        assert_eq!(first.expect("in the pool").base_offset, 0);
        assert_eq!(second.expect("in sequence").base_offset, i64::from(count));
        process.stop(partition).await;
    });
}

#[test]
fn retention_deletes_old_segments_and_rolls_the_active_one() {
    run(async |machine| {
        let process = machine.start();
        let mut config = config();
        config.log.segment_bytes = 200;
        config.retention = Retention { deletes: true, ms: 100, bytes: -1 };
        let partition = process.create(config).await;
        for at in 0..10 {
            partition.append(op(records(&[1000 + at]), Acks::Leader)).await.expect("appended");
        }
        partition.flush_now().await.expect("flushed");
        assert!(partition.segments_count() > 2);
        assert_eq!(partition.apply_retention(1050).await, Ok(0));
        let start = partition.apply_retention(1105).await.expect("retention");
        assert!(start > 0 && start < 10);
        assert_eq!(partition.apply_retention(5000).await, Ok(10));
        assert_eq!(partition.log_end_offset(), 10);
        let next = partition.append(op(records(&[1]), Acks::Leader)).await.expect("appended");
        assert_eq!(next.base_offset, 10);
        process.stop(partition).await;
    });
}

#[test]
fn waiters_end_with_the_partition() {
    run(async |machine| {
        let process = machine.start();
        let partition = process.create(config()).await;
        let (one, other) = (partition.clone(), partition.clone());
        let mut fetch = Box::pin(one.changed(Isolation::ReadUncommitted, 0));
        let mut append = Box::pin(other.committed(0));
        assert!(poll_once(&mut fetch).await.is_none());
        assert!(poll_once(&mut append).await.is_none());
        partition.delete().await.expect("deleted");
        fetch.await;
        assert_eq!(append.await, Err(AppendError::Gone));
        assert_eq!(partition.append(op(records(&[1]), Acks::Leader)).await, Err(AppendError::Gone));
        assert!(partition.0.committed.count() + partition.0.stable.count() == 0);
        assert_eq!(Rc::strong_count(&partition.0), 3);
        process.storage.stop().await;
    });
}
