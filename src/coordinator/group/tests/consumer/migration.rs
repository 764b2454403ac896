//! From the classic protocol to the new one and back, with everybody on board.

use super::*;
use crate::protocol::describe_groups::DescribedGroup;
use crate::wire::Reader;

fn protocols(topics: &[&str]) -> Vec<JoinGroupRequestProtocol> {
    vec![super::super::protocol("range", topics)]
}

/// The partitions of an assignment of the embedded protocol.
fn assigned(bytes: &bytes::Bytes) -> BTreeSet<i32> {
    use crate::protocol::Message;
    use crate::protocol::group::ConsumerProtocolAssignment;
    let mut reader = Reader::new(bytes.clone());
    let version = reader.read_i16().expect("a version");
    let assignment = ConsumerProtocolAssignment::decode(&mut reader, version).expect("an assignment");
    assignment.assigned_partitions.iter().flat_map(|topic| &topic.partitions).copied().collect()
}

fn assignment(partitions: &[i32]) -> bytes::Bytes {
    use crate::protocol::Message;
    use crate::protocol::group::{ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition};
    let topic = ConsumerProtocolAssignmentTopicPartition { topic: "t".into(), partitions: partitions.to_vec() };
    let assignment = ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None };
    let mut writer = crate::wire::Writer::new();
    writer.write_i16(0);
    assignment.encode(&mut writer, 0);
    writer.freeze()
}

impl Bench {
    /// A classic group of one member that has all of a topic with two partitions.
    fn classic_group(&mut self) -> KafkaString {
        self.classic_group_of(&[0, 1])
    }

    /// A classic group of one member that was given so much.
    fn classic_group_of(&mut self, partitions: &[i32]) -> KafkaString {
        let (member, ticket) = self.joins_anew();
        self.pass(DELAY_MS * 2);
        let joined = self.joined(ticket).expect("the first rebalance has ended");
        let ticket = self.start(GroupRequest::Sync(Box::new(SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: joined.generation_id,
            member_id: member.clone(),
            assignments: vec![SyncGroupRequestAssignment {
                member_id: member.clone(),
                assignment: assignment(partitions),
            }],
            ..Default::default()
        })));
        assert_eq!(self.synced(ticket).expect("it leads").error_code, 0);
        member
    }

    fn joins_again(&mut self, member: &str) -> JoinGroupResponse {
        let ticket = self.start(join(member, |request| request.protocols = protocols(&["t"])));
        self.joined(ticket).expect("a consumer group lets nobody wait")
    }

    fn syncs(&mut self, member: &str, generation_id: i32) -> SyncGroupResponse {
        let ticket = self.start(GroupRequest::Sync(Box::new(SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id,
            member_id: member.into(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            ..Default::default()
        })));
        self.synced(ticket).expect("a consumer group lets nobody wait")
    }

    fn described(&mut self) -> DescribedGroup {
        match self.ask(GroupRequest::Describe(vec![GROUP.into()])) {
            GroupResponse::Described(groups) => groups.into_iter().next().expect("one was asked for"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_classic_group_is_upgraded_and_goes_back() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let classic = bench.classic_group();
    let mut new = bench.joins("new", |_| ());
    assert_eq!((new.epoch, &new.owned), (2, &set(&[])), "the classic member has everything still");
    assert_eq!(bench.described().error_message.as_deref(), Some("Group g is not a classic group."));
    bench.check_replay();
    // Its next heartbeat tells the classic member to join again; it gives up, joins again, and has its half.
    assert_eq!(bench.heartbeat(&classic, 1), ErrorCode::RebalanceInProgress);
    let joined = bench.joins_again(&classic);
    assert_eq!((joined.error_code, joined.generation_id), (0, 2));
    let synced = bench.syncs(&classic, 2);
    assert_eq!((synced.error_code, assigned(&synced.assignment)), (0, set(&[0])));
    assert_eq!(bench.heartbeat(&classic, 2), ErrorCode::None);
    bench.settle(&mut [&mut new]);
    assert_eq!(new.owned, set(&[1]));
    bench.check_replay();
    // The last member of the new protocol leaves.
    bench.leaves(&new, LEAVING_EPOCH);
    assert_eq!(bench.state(), ClassicState::PreparingRebalance);
    let restarted = bench.restarted();
    assert_eq!((restarted.state(), restarted.generation()), (ClassicState::Stable, 2));
    assert_eq!(bench.heartbeat(&classic, 2), ErrorCode::RebalanceInProgress);
    let ticket = bench.start(join(&classic, |request| request.protocols = protocols(&["t"])));
    assert_eq!(bench.joined(ticket).expect("nobody else is there").generation_id, 3);
}

#[test]
fn what_a_leader_gave_out_of_what_is_not_there_is_given_up() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let classic = bench.classic_group_of(&[0, 1, 2, 3, -1]);
    let mut new = bench.joins("new", |_| ());
    assert_eq!(bench.heartbeat(&classic, 1), ErrorCode::RebalanceInProgress);
    let joined = bench.joins_again(&classic);
    let synced = bench.syncs(&classic, joined.generation_id);
    assert_eq!((synced.error_code, assigned(&synced.assignment)), (0, set(&[0])));
    bench.settle(&mut [&mut new]);
    assert_eq!(new.owned, set(&[1]));
    bench.check_replay();
}

#[test]
fn nobody_is_told_the_epoch_of_who_joins() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let (classic, _waits) = bench.joins_anew();
    assert_eq!((bench.state(), bench.generation()), (ClassicState::PreparingRebalance, 0));
    // What its pattern matches is not known yet, so that alone begins no epoch.
    let mut new = bench.joins("new", |request| {
        request.subscribed_topic_names = None;
        request.subscribed_topic_regex = Some("t.*".into());
    });
    assert_eq!(new.epoch, 1);
    bench.pass(1);
    let joined = bench.joins_again(&classic);
    bench.syncs(&classic, joined.generation_id);
    bench.settle(&mut [&mut new]);
    assert_eq!(new.owned.len(), 1);
    bench.check_replay();
}

#[test]
fn a_classic_member_that_does_not_join_again_is_fenced() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let classic = bench.classic_group();
    let mut new = bench.joins("new", |_| ());
    for _ in 0..REBALANCE_MS / HEARTBEAT_MS + 1 {
        let heard = bench.heartbeat(&classic, 1);
        assert!(matches!(heard, ErrorCode::RebalanceInProgress | ErrorCode::UnknownMemberId), "{heard:?}");
        bench.pass(i64::from(HEARTBEAT_MS));
        bench.reports(&mut new);
    }
    assert_eq!(bench.consumers().members.len(), 1);
    bench.settle(&mut [&mut new]);
    assert_eq!(new.owned, set(&[0, 1]));
    bench.check_replay();
}

#[test]
fn groups_stay_what_they_are_when_the_policy_says_so() {
    let limits =
        ConsumerLimits { migration: super::super::super::consumer::MigrationPolicy::Disabled, ..settings().consumer };
    let mut bench = Bench::with(GroupSettings { consumer: limits, ..settings() });
    bench.world.put("t", 2);
    bench.classic_group();
    let refused = bench.beat(|request| {
        request.member_id = "new".into();
        request.rebalance_timeout_ms = REVOCATION_MS;
        request.subscribed_topic_names = Some(vec!["t".into()]);
        request.topic_partitions = Some(Vec::new());
    });
    assert_eq!(ErrorCode::from_code(refused.error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(
        refused.error_message.as_deref(),
        Some("Cannot upgrade classic group g to consumer group because online upgrade is disabled.")
    );
    assert_eq!(bench.state(), ClassicState::Stable);
}

#[test]
fn empty_groups_change_over_and_keep_their_offsets() {
    let mut bench = Bench::new();
    bench.world.put("t", 1);
    assert_eq!(bench.commit(|_| ()), Ok(vec![ErrorCode::None]));
    let one = bench.joins("one", |_| ());
    assert_eq!(bench.committed("t", 0), Some(42));
    bench.check_replay();
    bench.leaves(&one, LEAVING_EPOCH);
    let (_, ticket) = bench.joins_anew();
    bench.pass(DELAY_MS * 2);
    assert_eq!(bench.joined(ticket).expect("the first rebalance has ended").error_code, 0);
    assert_eq!(bench.committed("t", 0), Some(42));
    assert_eq!(bench.restarted().committed("t", 0), Some(42));
}

#[test]
fn classic_members_join_a_consumer_group_and_leave_it() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let mut new = bench.joins("new", |_| ());
    let told = bench.joins_again("");
    assert_eq!(ErrorCode::from_code(told.error_code), ErrorCode::MemberIdRequired);
    let joined = bench.joins_again(&told.member_id);
    assert_eq!((joined.error_code, joined.generation_id), (0, 3));
    bench.settle(&mut [&mut new]);
    assert_eq!(bench.heartbeat(&told.member_id, 3), ErrorCode::RebalanceInProgress, "its share is free by now");
    let joined = bench.joins_again(&told.member_id);
    let synced = bench.syncs(&told.member_id, joined.generation_id);
    assert_eq!(assigned(&synced.assignment).len(), 1);
    assert_eq!(bench.heartbeat(&told.member_id, 9), ErrorCode::IllegalGeneration);
    assert_eq!(bench.heartbeat("new", new.epoch), ErrorCode::UnknownMemberId, "it speaks the other protocol");
    assert_eq!(
        bench.leave(&[(&told.member_id, None), ("nobody", None)]),
        [ErrorCode::None, ErrorCode::UnknownMemberId]
    );
    bench.settle(&mut [&mut new]);
    assert_eq!(new.owned, set(&[0, 1]));
    bench.check_replay();
}

#[test]
fn a_static_member_takes_its_place_with_another_protocol() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let mut new = bench.joins("new", |request| request.instance_id = Some("i".into()));
    new.instance_id = Some("i".into());
    let ticket = bench.start(join("", |request| {
        request.protocols = protocols(&["t"]);
        request.group_instance_id = Some("i".into());
    }));
    let joined = bench.joined(ticket).expect("it is let in at once");
    assert_eq!(joined.error_code, 0);
    assert_eq!((bench.state(), bench.generation()), (ClassicState::Stable, joined.generation_id));
    let synced = bench.syncs(&joined.member_id, joined.generation_id);
    assert_eq!(assigned(&synced.assignment), set(&[0, 1]));
    bench.check_replay();
}
