//! Tests of the module above.

use super::*;
use crate::record::BatchBuilder;

/// The header of a batch of `count` records at `base_offset`.
fn batch(id: i64, epoch: i16, sequence: i32, base_offset: i64, count: i32) -> BatchHeader {
    let mut builder = BatchBuilder::new().producer(id, epoch, sequence).position(base_offset, 0);
    for _ in 0..count {
        builder.push(1000 + base_offset, None, Some(b"v"), std::iter::empty());
    }
    BatchHeader::parse(&builder.build()).expect("built")
}

fn transactional(header: BatchHeader) -> BatchHeader {
    BatchHeader { attributes: header.attributes | 0x10, ..header }
}

fn marker(control_type: ControlRecordType, coordinator_epoch: i32) -> EndTxnMarker {
    EndTxnMarker { control_type, coordinator_epoch }
}

/// Checks as a client and appends.
fn append(producers: &mut Producers, header: BatchHeader) -> Result<Verdict, ProducerError> {
    let verdict = producers.check(&header, Origin::Client)?;
    if verdict == Verdict::Append {
        producers.appended(&header);
    }
    Ok(verdict)
}

#[test]
fn batches_in_sequence_are_appended_and_gaps_refused() {
    let mut producers = Producers::default();
    assert_eq!(append(&mut producers, batch(1, 0, 0, 0, 3)), Ok(Verdict::Append));
    assert_eq!(append(&mut producers, batch(1, 0, 3, 3, 1)), Ok(Verdict::Append));
    assert_eq!(
        append(&mut producers, batch(1, 0, 5, 4, 1)),
        Err(ProducerError::SequenceGap { producer_id: 1, epoch: 0, last: 3, found: 5 })
    );
    assert_eq!(append(&mut producers, batch(2, 0, 0, 4, 1)), Ok(Verdict::Append));
    assert_eq!(producers.end_offset(), 5);
}

#[test]
fn the_last_five_batches_are_duplicates_and_older_ones_are_out_of_order() {
    let mut producers = Producers::default();
    for at in 0..6 {
        append(&mut producers, batch(1, 0, at * 2, i64::from(at) * 2, 2)).expect("in sequence");
    }
    for at in 1..6 {
        let Ok(Verdict::Duplicate(found)) = append(&mut producers, batch(1, 0, at * 2, 99, 2)) else {
            panic!("batch {at} is one of the last five");
        };
        assert_eq!(found.first_offset(), i64::from(at) * 2);
        assert_eq!(found.timestamp, 1000 + i64::from(at) * 2);
    }
    assert!(matches!(append(&mut producers, batch(1, 0, 0, 99, 2)), Err(ProducerError::SequenceGap { .. })));
    // Overlapping, not the same.
    assert!(matches!(append(&mut producers, batch(1, 0, 10, 99, 1)), Err(ProducerError::SequenceGap { .. })));
    assert!(matches!(append(&mut producers, batch(1, 0, 11, 99, 2)), Err(ProducerError::SequenceGap { .. })));
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    let mut producers = Producers::default();
    assert_eq!(append(&mut producers, batch(1, 4, 17, 0, 1)), Ok(Verdict::Append));
    assert_eq!(append(&mut producers, batch(1, 4, 18, 1, 1)), Ok(Verdict::Append));
}

#[test]
fn a_new_epoch_starts_at_zero_and_an_old_one_is_refused() {
    let mut producers = Producers::default();
    append(&mut producers, batch(1, 1, 0, 0, 5)).expect("new producer");
    assert_eq!(
        append(&mut producers, batch(1, 2, 5, 5, 1)),
        Err(ProducerError::NewEpochSequence { producer_id: 1, epoch: 2, current_epoch: 1, found: 5 })
    );
    assert_eq!(append(&mut producers, batch(1, 2, 0, 5, 1)), Ok(Verdict::Append));
    assert_eq!(
        append(&mut producers, batch(1, 1, 5, 6, 1)),
        Err(ProducerError::StaleEpoch { producer_id: 1, epoch: 1, current_epoch: 2 })
    );
    // A batch of the old epoch is not a duplicate any more.
    assert!(append(&mut producers, batch(1, 1, 0, 6, 5)).is_err());
    let replicated = producers.check(&batch(1, 1, 5, 6, 1), Origin::Replication);
    assert_eq!(replicated, Ok(Verdict::Append));
}

#[test]
fn sequences_wrap_to_zero() {
    let mut producers = Producers::default();
    append(&mut producers, batch(1, 0, i32::MAX - 1, 0, 2)).expect("unknown producer");
    assert_eq!(append(&mut producers, batch(1, 0, 0, 2, 1)), Ok(Verdict::Append));
    let mut producers = Producers::default();
    append(&mut producers, batch(1, 0, i32::MAX, 0, 3)).expect("unknown producer");
    let entry = producers.get(1).expect("known");
    assert_eq!((entry.last_sequence(), entry.batches()[0].first_sequence()), (1, i32::MAX));
    assert!(matches!(append(&mut producers, batch(1, 0, i32::MAX, 3, 3)), Ok(Verdict::Duplicate(_))));
    assert_eq!(append(&mut producers, batch(1, 0, 2, 3, 1)), Ok(Verdict::Append));
}

#[test]
fn idle_producers_are_forgotten_unless_a_transaction_is_open() {
    let mut producers = Producers::default();
    append(&mut producers, batch(1, 0, 0, 0, 1)).expect("new");
    append(&mut producers, transactional(batch(2, 0, 0, 1, 1))).expect("new");
    producers.expire(1000 + 59, 60);
    assert!(producers.get(1).is_some());
    producers.expire(1_000_000, 60);
    assert!(producers.get(1).is_none());
    assert!(producers.get(2).is_some());
    // Forgotten, so any sequence is fine.
    assert_eq!(append(&mut producers, batch(1, 0, 9, 2, 1)), Ok(Verdict::Append));
}

#[test]
fn a_transaction_holds_the_stable_offset_until_its_marker() {
    let mut producers = Producers::default();
    append(&mut producers, transactional(batch(1, 0, 0, 0, 2))).expect("new");
    append(&mut producers, transactional(batch(1, 0, 2, 2, 2))).expect("in sequence");
    assert_eq!(producers.transactions().first_unstable(), Some(0));
    assert_eq!(append(&mut producers, batch(1, 0, 4, 4, 1)), Err(ProducerError::OpenTransaction { producer_id: 1 }));
    let end = transactional(batch(1, 0, NO_SEQUENCE, 4, 1));
    let commit = marker(ControlRecordType::Commit, 3);
    assert_eq!(producers.check_marker((end.producer_id, end.producer_epoch), commit, 0, Origin::Coordinator), Ok(()));
    producers.marker_appended(&end, commit, 5000);
    // Decided, but the marker is not below the high watermark yet.
    assert_eq!(producers.transactions().first_unstable(), Some(0));
    producers.transactions_mut().high_watermark(5);
    assert_eq!(producers.transactions().first_unstable(), None);
    assert!(producers.transactions().aborted_between(0, 10).is_empty());
    let entry = producers.get(1).expect("known");
    assert_eq!((entry.coordinator_epoch, entry.last_timestamp, entry.last_sequence()), (3, 5000, 3));
}

#[test]
fn markers_are_fenced_by_both_epochs_and_bump_the_producers() {
    let mut producers = Producers::default();
    append(&mut producers, transactional(batch(1, 5, 0, 0, 1))).expect("new");
    let end = transactional(batch(1, 6, NO_SEQUENCE, 1, 1));
    producers.marker_appended(&end, marker(ControlRecordType::Abort, 3), 0);
    let entry = producers.get(1).expect("known");
    assert_eq!((entry.epoch, entry.last_sequence()), (6, NO_SEQUENCE));
    assert_eq!(
        producers.check_marker(
            (end.producer_id, end.producer_epoch),
            marker(ControlRecordType::Abort, 2),
            0,
            Origin::Coordinator
        ),
        Err(ProducerError::StaleCoordinator { producer_id: 1, epoch: 2, current_epoch: 3 })
    );
    let stale = transactional(batch(1, 5, NO_SEQUENCE, 2, 1));
    assert!(matches!(
        producers.check_marker(
            (stale.producer_id, stale.producer_epoch),
            marker(ControlRecordType::Abort, 3),
            0,
            Origin::Coordinator
        ),
        Err(ProducerError::StaleEpoch { .. })
    ));
    // The new epoch has no batches: the next one starts at 0.
    assert!(append(&mut producers, batch(1, 6, 1, 2, 1)).is_err());
    assert_eq!(append(&mut producers, batch(1, 6, 0, 2, 1)), Ok(Verdict::Append));
}

#[test]
fn a_late_marker_does_not_end_the_next_transaction() {
    let mut producers = Producers::default();
    append(&mut producers, transactional(batch(1, 5, 0, 0, 1))).expect("new");
    let abort = marker(ControlRecordType::Abort, 0);
    let check =
        |producers: &Producers, epoch, version| producers.check_marker((1, epoch), abort, version, Origin::Coordinator);
    let late = Err(ProducerError::StaleEpoch { producer_id: 1, epoch: 5, current_epoch: 5 });
    assert_eq!([0, 1, 2].map(|version| check(&producers, 5, version)), [Ok(()), Ok(()), late]);
    assert_eq!(check(&producers, 6, 2), Ok(()));
    let end = transactional(batch(1, 6, NO_SEQUENCE, 1, 1));
    producers.marker_appended(&end, abort, 0);
    // Once more, as nobody heard that it was written.
    assert_eq!(check(&producers, 6, 2), Ok(()));
    // The last epoch has none behind it.
    append(&mut producers, transactional(batch(1, i16::MAX, 0, 2, 1))).expect("a later epoch");
    assert_eq!(check(&producers, i16::MAX, 2), Ok(()));
}
