//! Tests of the module above.

use super::*;
use crate::record::{BatchBuilder, Batches, EndTxnMarker, end_txn_marker};

const NOW: i64 = 1_000_000;
const RETENTION: i64 = 5_000;

fn knowledge() -> Knowledge {
    Knowledge { now_ms: NOW, delete_retention_ms: RETENTION, upper_bound: 1_000, ..Knowledge::default() }
}

/// A batch at `base` with these keys and values.
fn batch(base: i64, records: &[(Option<&str>, Option<&str>)]) -> Vec<u8> {
    finish(BatchBuilder::new(), base, records)
}

fn finish(mut builder: BatchBuilder, base: i64, records: &[(Option<&str>, Option<&str>)]) -> Vec<u8> {
    for (key, value) in records {
        builder = builder.append(1, key.map(str::as_bytes), value.map(str::as_bytes), &[]);
    }
    let mut bytes = builder.build().to_vec();
    crate::record::assign_offset(&mut bytes, base, 0);
    bytes
}

fn first(bytes: &[u8]) -> Batch<'_> {
    Batches::new(bytes).next().expect("one").expect("valid")
}

fn map(entries: &[(&str, i64)]) -> OffsetMap {
    let mut map = OffsetMap::new(1 << 20);
    for (key, offset) in entries {
        assert!(map.put(key.as_bytes(), *offset));
    }
    map
}

fn offsets(kept: &Kept) -> Vec<i64> {
    let Kept::Rewritten(bytes) = kept else { panic!("rewritten, not {kept:?}") };
    let batch = first(bytes);
    let mut decompressor = Decompressor::default();
    let records = decode_records(&batch, &mut decompressor, 1 << 20).expect("valid");
    records.map(|record| record.expect("valid").offset).collect()
}

#[test]
fn the_newest_of_each_key_and_what_lies_beyond_the_map_stays() {
    let map = map(&[("a", 12), ("b", 10)]);
    let knowledge = knowledge();
    let mut retainer = Retainer::new(&map, 13, &knowledge, HashSet::new());
    let one = batch(
        10,
        &[(Some("b"), Some("1")), (Some("a"), Some("old")), (Some("a"), Some("new")), (Some("a"), Some("2"))],
    );
    assert_eq!(offsets(&retainer.decide(&first(&one)).expect("valid")), [10, 12, 13]);
    let unkeyed = batch(5, &[(None, Some("gone"))]);
    assert_eq!(retainer.decide(&first(&unkeyed)).expect("valid"), Kept::Nothing);
    let untouched = batch(6, &[(Some("z"), Some("not in the map"))]);
    assert_eq!(retainer.decide(&first(&untouched)).expect("valid"), Kept::Unchanged);
}

#[test]
fn tombstones_get_a_horizon_and_go_behind_it() {
    let map = map(&[("a", 1)]);
    let knowledge = knowledge();
    let deleted = batch(0, &[(Some("a"), Some("v")), (Some("a"), None)]);
    let Kept::Rewritten(noted) =
        Retainer::new(&map, 2, &knowledge, HashSet::new()).decide(&first(&deleted)).expect("valid")
    else {
        panic!("the horizon is noted")
    };
    assert_eq!(first(&noted).header.delete_horizon_ms(), Some(NOW + RETENTION));
    let mut retainer = Retainer::new(&map, 2, &knowledge, HashSet::new());
    assert_eq!(retainer.decide(&first(&noted)).expect("valid"), Kept::Unchanged);
    let later = Knowledge { now_ms: NOW + RETENTION, ..knowledge };
    assert_eq!(Retainer::new(&map, 2, &later, HashSet::new()).decide(&first(&noted)).expect("valid"), Kept::Nothing);
}

#[test]
fn the_last_batch_of_a_producer_and_of_the_compacted_part_stay_without_records() {
    let map = map(&[("a", 50)]);
    let mut knowledge = knowledge();
    knowledge.producers.insert(9, LastBatch { last_offset: Some(20), epoch: 0 });
    knowledge.upper_bound = 31;
    let mut retainer = Retainer::new(&map, 60, &knowledge, HashSet::new());
    let last = finish(BatchBuilder::new().producer(9, 0, 3), 20, &[(Some("a"), Some("v"))]);
    let kept = retainer.decide(&first(&last)).expect("valid");
    let Kept::Rewritten(bytes) = &kept else { panic!("{kept:?}") };
    let header = first(bytes).header;
    assert_eq!((header.producer_id, header.base_sequence, header.last_offset(), header.records_count), (9, 3, 20, 0));
    assert_eq!(retainer.decide(&first(bytes)).expect("valid"), Kept::Unchanged);
    let earlier = finish(BatchBuilder::new().producer(9, 0, 2), 19, &[(Some("a"), Some("v"))]);
    assert_eq!(retainer.decide(&first(&earlier)).expect("valid"), Kept::Nothing);
    let end = batch(30, &[(Some("a"), Some("v"))]);
    assert_eq!(offsets(&retainer.decide(&first(&end)).expect("valid")), [0; 0]);
}

#[test]
fn aborted_data_goes_first_and_its_marker_later() {
    let map = map(&[("a", 10)]);
    let mut knowledge = knowledge();
    knowledge.aborted.push(AbortedRange { producer_id: 9, first_offset: 10, last_offset: 11 });
    let data = finish(BatchBuilder::new().producer(9, 0, 0).transactional(), 10, &[(Some("a"), Some("v"))]);
    let marker = EndTxnMarker { control_type: ControlRecordType::Abort, coordinator_epoch: 0 };
    let mut marker = end_txn_marker(marker, 9, 0, 1).to_vec();
    crate::record::assign_offset(&mut marker, 11, 0);
    let mut retainer = Retainer::new(&map, 12, &knowledge, HashSet::new());
    assert_eq!(retainer.decide(&first(&data)).expect("valid"), Kept::Nothing);
    assert_eq!(retainer.decide(&first(&marker)).expect("valid"), Kept::Unchanged);
    let mut retainer = Retainer::new(&map, 12, &knowledge, HashSet::new());
    let Kept::Rewritten(noted) = retainer.decide(&first(&marker)).expect("valid") else {
        panic!("the horizon is noted once nothing of the transaction is left")
    };
    assert_eq!(first(&noted).header.delete_horizon_ms(), Some(NOW + RETENTION));
    assert!(first(&noted).header.is_control());
    let told = Knowledge { now_ms: NOW + RETENTION, ..knowledge };
    assert_eq!(Retainer::new(&map, 12, &told, HashSet::new()).decide(&first(&noted)).expect("valid"), Kept::Unchanged);
    let later = Knowledge { aborted: Vec::new(), ..told };
    assert_eq!(Retainer::new(&map, 12, &later, HashSet::new()).decide(&first(&noted)).expect("valid"), Kept::Nothing);
}
