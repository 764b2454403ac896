//! Members join, share, leave, are fenced, and come back.

use super::*;

fn errors(response: &ConsumerGroupHeartbeatResponse) -> ErrorCode {
    ErrorCode::from_code(response.error_code)
}

#[test]
fn a_second_member_gets_its_share_when_the_first_has_given_it_up() {
    let mut bench = Bench::new();
    bench.world.put("t", 4);
    let mut one = bench.joins("one", |_| ());
    assert_eq!((one.epoch, &one.owned), (2, &set(&[0, 1, 2, 3])));
    let mut two = bench.joins("two", |_| ());
    assert_eq!((two.epoch, &two.owned), (3, &set(&[])));
    assert_eq!(bench.state_of(&two), MemberState::UnreleasedPartitions);
    // The first hears that it has less; until it says so nobody else gets it.
    let before = one.owned.clone();
    let response = bench.reports(&mut one);
    assert_eq!((response.member_epoch, one.owned.len()), (2, 2));
    assert_eq!(bench.state_of(&one), MemberState::UnrevokedPartitions);
    bench.reports(&mut two);
    assert!(two.owned.is_empty());
    bench.reports(&mut one);
    assert_eq!((one.epoch, bench.state_of(&one)), (3, MemberState::Stable));
    bench.reports(&mut two);
    assert_eq!(two.owned, before.difference(&one.owned).copied().collect());
    assert_eq!(bench.consumers().state().name(), "Stable");
    let writes = bench.log.len();
    bench.settle(&mut [&mut one, &mut two]);
    assert_eq!(bench.log.len(), writes, "who has all writes nothing");
    bench.check_replay();
}

#[test]
fn a_restart_keeps_epochs_and_assignments() {
    let mut bench = Bench::new();
    bench.world.put("t", 3);
    let (mut one, mut two) = (bench.joins("one", |_| ()), bench.joins("two", |_| ()));
    bench.settle(&mut [&mut one, &mut two]);
    bench.check_replay();
    let mut bench = bench.restarted();
    let (first, second) = (one.clone(), two.clone());
    bench.settle(&mut [&mut one, &mut two]);
    assert_eq!((one.epoch, two.epoch), (first.epoch, second.epoch));
    assert_eq!((one.owned, two.owned), (first.owned, second.owned));
}

#[test]
fn a_silent_member_is_fenced_when_the_log_takes_that() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    bench.joins("one", |_| ());
    bench.write_bytes_max = 10;
    bench.pass(i64::from(CONSUMER_SESSION_MS) + 1);
    assert_eq!(bench.consumers().members.len(), 1);
    bench.write_bytes_max = 1 << 20;
    bench.pass(i64::from(CONSUMER_SESSION_MS) + 1);
    assert_eq!(bench.consumers().members.len(), 0);
    bench.check_replay();
}

#[test]
fn a_silent_member_is_fenced_and_its_partitions_go_to_others() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let (mut one, mut two) = (bench.joins("one", |_| ()), bench.joins("two", |_| ()));
    bench.settle(&mut [&mut one, &mut two]);
    for _ in 0..10 {
        bench.pass(i64::from(HEARTBEAT_MS));
        bench.reports(&mut one);
    }
    assert_eq!(bench.consumers().members.len(), 1);
    assert_eq!(one.owned, set(&[0, 1]));
    assert_eq!(errors(&bench.reports(&mut two)), ErrorCode::UnknownMemberId);
    bench.check_replay();
    bench.pass(i64::from(CONSUMER_SESSION_MS) + 1);
    assert!(bench.consumers().is_empty());
    bench.check_replay();
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_fenced() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let mut one = bench.joins("one", |_| ());
    let mut two = bench.joins("two", |_| ());
    let stubborn = one.clone();
    bench.reports(&mut one);
    assert_eq!(bench.state_of(&one), MemberState::UnrevokedPartitions);
    for _ in 0..7 {
        bench.pass(i64::from(HEARTBEAT_MS));
        let mut again = stubborn.clone();
        bench.reports(&mut again);
        bench.reports(&mut two);
    }
    assert!(!bench.consumers().members.contains_key("one"));
    bench.reports(&mut two);
    assert_eq!(two.owned, set(&[0, 1]));
}

#[test]
fn members_leave_for_good() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let (mut one, mut two) = (bench.joins("one", |_| ()), bench.joins("two", |_| ()));
    bench.settle(&mut [&mut one, &mut two]);
    let response = bench.leaves(&one, LEAVING_EPOCH);
    assert_eq!((response.error_code, response.member_epoch), (0, LEAVING_EPOCH));
    bench.reports(&mut two);
    assert_eq!(two.owned, set(&[0, 1]));
    assert_eq!(errors(&bench.leaves(&one, LEAVING_EPOCH)), ErrorCode::UnknownMemberId);
    bench.check_replay();
}

#[test]
fn a_static_member_that_comes_back_has_what_it_had() {
    let mut bench = Bench::new();
    bench.world.put("t", 4);
    let instance = |request: &mut Request| request.instance_id = Some("i".into());
    let mut one = bench.joins("one", instance);
    one.instance_id = Some("i".into());
    let mut two = bench.joins("two", |_| ());
    bench.settle(&mut [&mut one, &mut two]);
    // Somebody else with its name.
    let refused = bench.beat(|request| {
        request.member_id = "three".into();
        request.rebalance_timeout_ms = REVOCATION_MS;
        request.subscribed_topic_names = Some(vec!["t".into()]);
        request.topic_partitions = Some(Vec::new());
        instance(request);
    });
    assert_eq!(errors(&refused), ErrorCode::UnreleasedInstanceId);
    assert_eq!(bench.leaves(&one, AWAY_EPOCH).error_code, 0);
    bench.check_replay();
    let epoch = bench.consumers().epoch;
    let back = bench.joins("three", instance);
    assert_eq!((&back.owned, bench.consumers().epoch), (&one.owned, epoch), "nobody else noticed");
    assert_eq!(errors(&bench.reports(&mut one)), ErrorCode::FencedInstanceId);
    bench.reports(&mut two);
    assert_eq!(two.epoch, epoch);
    bench.check_replay();
    let mut gone = Client { instance_id: Some("nobody".into()), ..back };
    assert_eq!(errors(&bench.reports(&mut gone)), ErrorCode::UnknownMemberId);
}

#[test]
fn a_static_member_that_comes_back_with_its_id_has_a_session() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let instance = |request: &mut Request| request.instance_id = Some("i".into());
    let mut one = bench.joins("one", instance);
    one.instance_id = Some("i".into());
    bench.leaves(&one, AWAY_EPOCH);
    let back = bench.joins("one", instance);
    assert_eq!(back.owned, one.owned);
    bench.check_replay();
    bench.pass(i64::from(CONSUMER_SESSION_MS) + 1);
    assert!(bench.consumers().is_empty(), "it was silent for too long");
}

#[test]
fn a_static_member_that_stays_away_is_fenced() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let mut one = bench.joins("one", |request| request.instance_id = Some("i".into()));
    one.instance_id = Some("i".into());
    bench.leaves(&one, AWAY_EPOCH);
    bench.pass(i64::from(CONSUMER_SESSION_MS) + 1);
    assert!(bench.consumers().is_empty());
    bench.check_replay();
}

#[test]
fn wrong_epochs_are_fenced_and_a_lost_answer_is_not() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let mut one = bench.joins("one", |_| ());
    let mut ahead = Client { epoch: 9, ..one.clone() };
    assert_eq!(errors(&bench.reports(&mut ahead)), ErrorCode::FencedMemberEpoch);
    bench.world.put("t", 3);
    let before = one.clone();
    bench.reports(&mut one);
    assert_eq!((one.epoch, &one.owned), (3, &set(&[0, 1, 2])), "new partitions are a new epoch");
    let mut again = before.clone();
    assert_eq!(bench.reports(&mut again).member_epoch, 3);
    let mut behind = Client { epoch: 1, ..before };
    assert_eq!(errors(&bench.reports(&mut behind)), ErrorCode::FencedMemberEpoch);
    // Epoch 0 joins again, and hears all.
    let mut rejoined = bench.joins("one", |_| ());
    assert_eq!((rejoined.epoch, &rejoined.owned), (3, &one.owned));
    bench.settle(&mut [&mut rejoined]);
}

#[test]
fn topics_come_and_go() {
    let mut bench = Bench::new();
    let mut one = bench.joins("one", |_| ());
    assert_eq!((one.epoch, &one.owned), (2, &set(&[])), "the topic is not there yet");
    bench.world.put("t", 2);
    bench.reports(&mut one);
    assert_eq!((one.epoch, &one.owned), (3, &set(&[0, 1])));
    bench.world.put("unrelated", 2);
    let writes = bench.log.len();
    bench.reports(&mut one);
    assert_eq!(bench.log.len(), writes);
    bench.world.remove("t");
    bench.reports(&mut one);
    bench.settle(&mut [&mut one]);
    assert_eq!((one.epoch, &one.owned), (4, &set(&[])));
    bench.check_replay();
}

#[test]
fn targets_are_not_computed_more_often_than_set() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    bench.world.assign_every(1_000);
    let mut one = bench.joins("one", |_| ());
    let mut two = bench.joins("two", |_| ());
    assert_eq!((bench.consumers().epoch, bench.consumers().assignment_epoch), (3, 2));
    assert_eq!(bench.consumers().state().name(), "Assigning");
    assert_eq!(two.epoch, 2, "it is in the epoch of the targets there are");
    bench.pass(1_000);
    bench.settle(&mut [&mut one, &mut two]);
    assert_eq!((one.epoch, two.epoch), (3, 3));
    assert_eq!((one.owned.len(), two.owned.len()), (1, 1));
}

#[test]
fn a_clock_that_was_set_back_holds_no_targets_up() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    bench.world.assign_every(1_000);
    bench.now_ms += 3_600_000;
    let mut one = bench.joins("one", |_| ());
    bench.now_ms -= 3_600_000;
    let mut two = bench.joins("two", |_| ());
    bench.settle(&mut [&mut one, &mut two]);
    assert_eq!((one.owned.len(), two.owned.len()), (1, 1));
    bench.check_replay();
}

#[test]
fn a_group_that_is_full_takes_nobody() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let mut one = bench.joins("one", |_| ());
    bench.joins("two", |_| ());
    bench.joins("three", |_| ());
    let refused = bench.beat(|request| {
        request.member_id = "four".into();
        request.rebalance_timeout_ms = REVOCATION_MS;
        request.subscribed_topic_names = Some(vec!["t".into()]);
        request.topic_partitions = Some(Vec::new());
    });
    assert_eq!(errors(&refused), ErrorCode::GroupMaxSizeReached);
    assert_eq!(
        refused.error_message.as_deref(),
        Some("The consumer group has reached its maximum capacity of 3 members.")
    );
    assert_eq!(bench.reports(&mut one).error_code, 0);
}

#[test]
fn the_assignor_that_most_members_want_is_used() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    bench.world.put("u", 2);
    let subscribe = |request: &mut Request| {
        request.subscribed_topic_names = Some(vec!["t".into(), "u".into()]);
        request.server_assignor = Some("range".into());
    };
    bench.joins("one", subscribe);
    let GroupResponse::ConsumersDescribed(groups) = bench.ask(GroupRequest::DescribeConsumers(vec![GROUP.into()]))
    else {
        panic!("another answer");
    };
    assert_eq!(groups[0].assignor_name, "range");
    assert_eq!((groups[0].group_epoch, groups[0].assignment_epoch), (2, 2));
    assert_eq!(groups[0].members[0].assignment.topic_partitions.len(), 2);
    assert_eq!(groups[0].members[0].member_type, 1);
}

#[test]
fn an_empty_group_is_listed_deleted_and_gone() {
    let mut bench = Bench::new();
    bench.world.put("t", 2);
    let one = bench.joins("one", |_| ());
    let GroupResponse::Deleted(results) = bench.ask(GroupRequest::Delete(vec![GROUP.into()])) else { panic!() };
    assert_eq!(ErrorCode::from_code(results[0].error_code), ErrorCode::NonEmptyGroup);
    bench.leaves(&one, LEAVING_EPOCH);
    let list = GroupRequest::List { states: vec!["empty".into()], types: vec!["Consumer".into()] };
    let GroupResponse::Listed(listed) = bench.ask(list) else { panic!() };
    assert_eq!((listed[0].group_state.as_str(), listed[0].group_type.as_str()), ("Empty", "consumer"));
    let GroupResponse::Deleted(results) = bench.ask(GroupRequest::Delete(vec![GROUP.into()])) else { panic!() };
    assert_eq!(results[0].error_code, 0);
    assert!(bench.restarted().groups.groups.is_empty());
}

#[test]
fn a_large_group_shares_many_partitions() {
    let limits = ConsumerLimits { size_max: 200, ..settings().consumer };
    let mut bench = Bench::with(GroupSettings { consumer: limits, ..settings() });
    bench.world.put("t", 400);
    bench.world.assign_every(1_000);
    let mut clients: Vec<Client> = (0..100).map(|nth| bench.joins(&format!("m{nth:03}"), |_| ())).collect();
    bench.pass(1_000);
    bench.settle(&mut clients.iter_mut().collect::<Vec<_>>());
    assert!(clients.iter().all(|client| client.owned.len() == 4));
    let owned: BTreeSet<i32> = clients.iter().flat_map(|client| &client.owned).copied().collect();
    assert_eq!(owned.len(), 400);
    bench.check_replay();
}
