//! Offsets of consumer groups: whose epoch is good.

use super::*;

fn fetched(bench: &mut Bench, member: Option<&str>, epoch: i32) -> ErrorCode {
    let request = crate::protocol::offset_fetch::OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        member_id: member.map(Into::into),
        member_epoch: epoch,
        topics: None,
    };
    let fetch = FetchOffsets { request, stability: Stability::Any };
    match bench.ask(GroupRequest::Fetch(Box::new(fetch))) {
        GroupResponse::Offsets(response) => ErrorCode::from_code(response.error_code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_commit_and_fetch_in_their_epoch() {
    let mut bench = Bench::new();
    let topic_id = bench.world.put("t", 1);
    let mut one = bench.joins("one", |_| ());
    let commit = |bench: &mut Bench, member: &str, epoch: i32, missing_group: MissingGroup| {
        bench.commit(|commit| {
            commit.member_id = member.into();
            commit.generation = epoch;
            commit.missing_group = missing_group;
            commit.offsets[0].topic_id = topic_id;
        })
    };
    let new = MissingGroup::NotFound;
    assert_eq!(commit(&mut bench, "one", 2, new), Ok(vec![ErrorCode::None]));
    assert_eq!(commit(&mut bench, "one", 3, new), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(commit(&mut bench, "one", 1, new), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(commit(&mut bench, "two", 2, new), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit(&mut bench, "", -1, new), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit(&mut bench, "one", 2, MissingGroup::IllegalGeneration), Err(ErrorCode::UnsupportedVersion));
    // In the next epoch it may still commit, in the last one, what it had already.
    bench.world.put("t", 2);
    bench.reports(&mut one);
    assert_eq!(one.epoch, 3);
    assert_eq!(commit(&mut bench, "one", 2, new), Ok(vec![ErrorCode::None]));
    assert_eq!(fetched(&mut bench, None, -1), ErrorCode::None);
    assert_eq!(fetched(&mut bench, Some("one"), 3), ErrorCode::None);
    assert_eq!(fetched(&mut bench, Some("one"), 2), ErrorCode::StaleMemberEpoch);
    assert_eq!(fetched(&mut bench, Some("two"), 3), ErrorCode::UnknownMemberId);
    bench.leaves(&one, LEAVING_EPOCH);
    assert_eq!(commit(&mut bench, "", -1, new), Ok(vec![ErrorCode::None]));
    bench.check_replay();
}

#[test]
fn transactions_commit_in_the_epoch_of_a_member_or_of_nobody() {
    let mut bench = Bench::new();
    let topic_id = bench.world.put("t", 1);
    bench.joins("one", |_| ());
    let mut commit = |member: &str, epoch: i32| {
        let request = CommitInTransaction {
            producer: (7, 0),
            verification: crate::record::Verification::NotNeeded,
            commit: CommitOffsets {
                group_id: GROUP.into(),
                generation: epoch,
                member_id: member.into(),
                group_instance_id: None,
                retention_time_ms: -1,
                missing_group: MissingGroup::IllegalGeneration,
                offsets: vec![NewOffset { topic_id, ..offset("t", 0, 1) }],
            },
        };
        match bench.ask(GroupRequest::CommitInTransaction(Box::new(request))) {
            GroupResponse::Committed(outcome) => outcome.map(|_| ()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(commit("", -1), Ok(()));
    assert_eq!(commit("one", 2), Ok(()));
    assert_eq!(commit("one", 1), Err(ErrorCode::IllegalGeneration));
    assert_eq!(commit("one", 3), Err(ErrorCode::IllegalGeneration));
    assert_eq!(commit("two", 2), Err(ErrorCode::UnknownMemberId));
}
