//! Offsets of consumers without group management, their records, and transactions.

use super::*;
use crate::coordinator::TransactionEnd;
use crate::protocol::offset_delete::{OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use crate::protocol::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseTopics};

fn fetch(
    bench: &mut Bench,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
    stability: Stability,
) -> Vec<OffsetFetchResponseTopics> {
    let request = OffsetFetchRequestGroup { group_id: GROUP.into(), topics, ..Default::default() };
    match bench.ask(GroupRequest::Fetch(Box::new(FetchOffsets { request, stability }))) {
        GroupResponse::Offsets(response) => response.topics,
        other => panic!("{other:?}"),
    }
}

fn topic(name: &str, id: u128, partitions: &[i32]) -> OffsetFetchRequestTopics {
    OffsetFetchRequestTopics {
        name: name.into(),
        topic_id: Uuid::from_u128(id),
        partition_indexes: partitions.to_vec(),
    }
}

#[test]
fn a_commit_makes_a_simple_group_and_survives_a_restart() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit(|_| ()), Ok(vec![ErrorCode::None]));
    assert!(bench.group().is_simple());
    for mut bench in [bench.restarted(), bench] {
        assert!(bench.group().is_simple());
        let found = fetch(&mut bench, Some(vec![topic("t", 0, &[0, 1]), topic("u", 0, &[0])]), Stability::Required);
        let found: Vec<_> = found.iter().flat_map(|topic| &topic.partitions).collect();
        let seen = |nth: usize| (found[nth].committed_offset, found[nth].committed_leader_epoch, found[nth].error_code);
        assert_eq!((seen(0), seen(1), seen(2)), ((42, 3, 0), (-1, -1, 0), (-1, -1, 0)));
        assert_eq!(found[0].metadata.as_deref(), Some("m"));
        assert_eq!(fetch(&mut bench, None, Stability::Any).len(), 1);
    }
}

#[test]
fn an_unknown_group_has_no_offsets() {
    let mut bench = Bench::new();
    assert_eq!(fetch(&mut bench, None, Stability::Any), []);
    let found = fetch(&mut bench, Some(vec![topic("t", 0, &[0])]), Stability::Any);
    assert_eq!(found[0].partitions[0].committed_offset, -1);
}

#[test]
fn offsets_of_a_topic_that_was_made_again_are_not_found() {
    let mut bench = Bench::new();
    bench.commit(|_| ()).expect("the group takes it");
    let found = fetch(&mut bench, Some(vec![topic("t", 7, &[0]), topic("t", 8, &[0])]), Stability::Any);
    assert_eq!(found[0].partitions[0].committed_offset, 42);
    assert_eq!(found[1].partitions[0].committed_offset, -1);
    bench.ask(GroupRequest::TopicsDeleted(vec![("t".into(), Uuid::from_u128(8)), ("u".into(), Uuid::ZERO)]));
    assert_eq!(bench.committed("t", 0), Some(42));
    bench.ask(GroupRequest::TopicsDeleted(vec![("t".into(), Uuid::from_u128(7))]));
    assert_eq!(bench.committed("t", 0), None);
    assert_eq!(bench.restarted().committed("t", 0), None);
}

#[test]
fn long_metadata_is_refused_alone() {
    let mut bench = Bench::new();
    let outcome = bench.commit(|commit| {
        // Sixteen UTF-16 units, and one more.
        commit.offsets = vec![offset("t", 0, 1), offset("t", 1, 1), offset("t", 2, 1)];
        commit.offsets[0].metadata = Some("\u{1f600}".repeat(8).into());
        commit.offsets[1].metadata = Some("x".repeat(17).into());
    });
    assert_eq!(outcome, Ok(vec![ErrorCode::None, ErrorCode::OffsetMetadataTooLarge, ErrorCode::None]));
    assert_eq!((bench.committed("t", 1), bench.committed("t", 2)), (None, Some(1)));
}

#[test]
fn a_commit_that_no_batch_can_hold_changes_nothing() {
    let mut bench = Bench::new();
    bench.write_bytes_max = 100;
    let outcome = bench.commit(|commit| commit.offsets = (0..10).map(|index| offset("t", index, 1)).collect());
    assert_eq!(outcome, Err(ErrorCode::UnknownServerError));
    assert!(bench.log.is_empty() && bench.groups.groups.is_empty() && bench.groups.offset_count() == 0);
}

#[test]
fn a_generation_of_no_group_is_an_error_by_version() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit(|commit| commit.generation = 1), Err(ErrorCode::GroupIdNotFound));
    let old = bench.commit(|commit| {
        commit.generation = 1;
        commit.missing_group = MissingGroup::IllegalGeneration;
    });
    assert_eq!(old, Err(ErrorCode::IllegalGeneration));
}

#[test]
fn offsets_are_deleted_one_by_one() {
    let mut bench = Bench::new();
    bench.commit(|commit| commit.offsets = vec![offset("t", 0, 1), offset("t", 1, 2)]).expect("the group takes it");
    let request = |group: &str, partitions: &[i32]| {
        let partition = |index: &i32| OffsetDeleteRequestPartition { partition_index: *index };
        let partitions = partitions.iter().map(partition).collect();
        let topics = vec![OffsetDeleteRequestTopic { name: "t".into(), partitions }];
        GroupRequest::DeleteOffsets(Box::new(OffsetDeleteRequest { group_id: group.into(), topics }))
    };
    let GroupResponse::OffsetsDeleted(answer) = bench.ask(request(GROUP, &[0, 5])) else { panic!("another kind") };
    assert_eq!((answer.error_code, answer.topics[0].partitions.len()), (0, 2));
    assert!(answer.topics[0].partitions.iter().all(|partition| partition.error_code == 0));
    assert_eq!((bench.committed("t", 0), bench.committed("t", 1)), (None, Some(2)));
    assert_eq!(bench.restarted().committed("t", 0), None);
    let GroupResponse::OffsetsDeleted(answer) = bench.ask(request("other", &[0])) else { panic!("another kind") };
    assert_eq!(answer.error_code, ErrorCode::GroupIdNotFound.code());
}

#[test]
fn a_group_without_members_is_deleted_with_its_offsets() {
    let mut bench = Bench::new();
    bench.commit(|_| ()).expect("the group takes it");
    let GroupResponse::Deleted(results) =
        bench.ask(GroupRequest::Delete(vec![GROUP.into(), "other".into(), "".into()]))
    else {
        panic!("another kind")
    };
    let codes: Vec<_> = results.iter().map(|result| ErrorCode::from_code(result.error_code)).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::GroupIdNotFound, ErrorCode::GroupIdNotFound]);
    for bench in [bench.restarted(), bench] {
        assert!(bench.groups.groups.is_empty());
        assert_eq!(bench.groups.offset_count(), 0);
    }
}

#[test]
fn offsets_of_a_transaction_count_when_it_is_committed() {
    let mut bench = Bench::new();
    bench.commit(|_| ()).expect("the group takes it");
    let mut other = Bench::new();
    other.commit(|commit| commit.offsets = vec![offset("t", 0, 99), offset("t", 1, 5)]).expect("the group takes it");
    for end in [TransactionEnd::Abort, TransactionEnd::Commit] {
        let mut bench = bench.restarted();
        records(&other.log).for_each(|record| replay(&mut bench.groups, record, Some(900)));
        assert_eq!(bench.committed("t", 0), Some(42));
        let asked = || Some(vec![topic("t", 0, &[0, 1])]);
        let unstable = fetch(&mut bench, asked(), Stability::Required);
        let codes: Vec<_> = unstable[0].partitions.iter().map(|partition| partition.error_code).collect();
        assert_eq!(codes, [ErrorCode::UnstableOffsetCommit.code(); 2]);
        assert_eq!(fetch(&mut bench, asked(), Stability::Any)[0].partitions[0].committed_offset, 42);
        bench.groups.end_transaction(900, end);
        let expected = if end == TransactionEnd::Commit { (Some(99), Some(5)) } else { (Some(42), None) };
        assert_eq!((bench.committed("t", 0), bench.committed("t", 1)), expected);
        assert_eq!(fetch(&mut bench, asked(), Stability::Required)[0].partitions[0].error_code, 0);
    }
}

#[test]
fn a_later_commit_outlives_the_end_of_a_transaction() {
    let mut bench = Bench::new();
    let mut other = Bench::new();
    other.commit(|commit| commit.offsets = vec![offset("t", 0, 99)]).expect("the group takes it");
    records(&other.log).for_each(|record| replay(&mut bench.groups, record, Some(900)));
    bench.commit(|_| ()).expect("the group takes it");
    bench.groups.end_transaction(900, TransactionEnd::Commit);
    assert_eq!(bench.committed("t", 0), Some(42));
    bench.groups.end_transaction(900, TransactionEnd::Commit);
    assert_eq!(bench.groups.offset_count(), 1);
}

#[test]
fn records_of_other_groups_and_of_the_future_are_left_out() {
    let mut bench = Bench::new();
    for key in [&[0u8, 11, 0, 1, b'c'][..], &[0x7f, 0x7f], &[0], &[]] {
        let record = Replayed { offset: 0, producer_id: None, key: bytes::Bytes::copy_from_slice(key), value: None };
        assert!(bench.groups.replay(&record).is_err());
    }
    assert!(bench.groups.groups.is_empty());
}

#[test]
fn what_the_log_does_not_take_is_not_deleted() {
    let mut bench = Bench::new();
    assert_eq!(bench.commit(|_| ()), Ok(vec![ErrorCode::None]));
    bench.write_bytes_max = 10;
    let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
    let topics = vec![OffsetDeleteRequestTopic { name: "t".into(), partitions }];
    let request = OffsetDeleteRequest { group_id: GROUP.into(), topics };
    match bench.ask(GroupRequest::DeleteOffsets(Box::new(request))) {
        GroupResponse::OffsetsDeleted(answer) => {
            assert_eq!(ErrorCode::from_code(answer.error_code), ErrorCode::UnknownServerError);
        }
        other => panic!("{other:?}"),
    }
    match bench.ask(GroupRequest::Delete(vec![GROUP.into()])) {
        GroupResponse::Deleted(answer) => {
            assert_eq!(ErrorCode::from_code(answer[0].error_code), ErrorCode::UnknownServerError);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((bench.committed("t", 0), bench.restarted().committed("t", 0)), (Some(42), Some(42)));
}
