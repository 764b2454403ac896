//! Static members (KIP-345): they come back without a rebalance, and fence their doubles.

use super::*;

fn join_static(member_id: &str, instance: &str) -> GroupRequest {
    join(member_id, |request| request.group_instance_id = Some(instance.into()))
}

/// A stable group of static members "a" and "b"; the first leads.
fn stable(bench: &mut Bench) -> Vec<KafkaString> {
    let tickets = ["a", "b"].map(|instance| bench.start(join_static("", instance)));
    bench.pass(DELAY_MS * 3);
    let joined = tickets.map(|ticket| bench.joined(ticket).expect("the first rebalance has ended"));
    let leader = joined[0].leader.clone();
    let mut members: Vec<_> = joined.into_iter().map(|joined| joined.member_id).collect();
    assert!(members[0].starts_with("a-") && members[1].starts_with("b-"));
    let follower = usize::from(leader == members[0]);
    let tickets = [follower, 1 - follower].map(|nth| bench.sync(&members[nth].clone(), &members));
    for ticket in tickets {
        bench.synced(ticket).expect("the leader has assigned");
    }
    members.sort_by_key(|member| *member != leader);
    members
}

#[test]
fn a_static_member_comes_back_with_its_assignment() {
    let mut bench = Bench::new();
    let members = stable(&mut bench);
    let (generation, follower) = (bench.generation(), members[1].clone());
    let instance = follower.split('-').next().expect("there is one").to_owned();
    let ticket = bench.start(join_static("", &instance));
    let joined = bench.joined(ticket).expect("no rebalance is needed");
    assert_eq!((joined.error_code, joined.generation_id), (0, generation));
    assert_ne!(joined.member_id, follower);
    assert!(!joined.skip_assignment && joined.members.is_empty());
    let ticket = bench.sync(&joined.member_id, &[]);
    assert_eq!(bench.synced(ticket).expect("the group is stable").assignment, follower.clone().into_bytes());
    assert_eq!(bench.heartbeat(&follower, generation), ErrorCode::UnknownMemberId);
    let fenced = bench.commit(|commit| {
        commit.generation = generation;
        commit.member_id = follower.clone();
        commit.group_instance_id = Some(instance.as_str().into());
    });
    assert_eq!(fenced, Err(ErrorCode::FencedInstanceId));
    assert!(bench.restarted().group().members.contains_key(&joined.member_id), "the new id is on record");
}

#[test]
fn a_leader_that_comes_back_skips_the_assignment_if_it_can() {
    let mut bench = Bench::new();
    let members = stable(&mut bench);
    let instance = members[0].split('-').next().expect("there is one").to_owned();
    let ticket = bench.start(join_static("", &instance));
    let joined = bench.joined(ticket).expect("no rebalance is needed");
    assert!(joined.skip_assignment && joined.leader == joined.member_id && joined.members.len() == 2);
    let before = joined.member_id;
    let GroupRequest::Join(mut old_client) = join_static("", &instance) else { panic!("another kind") };
    old_client.may_skip_assignment = false;
    let ticket = bench.start(GroupRequest::Join(old_client));
    let joined = bench.joined(ticket).expect("no rebalance is needed");
    assert!(!joined.skip_assignment && joined.leader == before && joined.members.is_empty());
}

#[test]
fn another_choice_of_protocols_makes_a_rebalance() {
    let mut bench = Bench::new();
    let members = stable(&mut bench);
    let instance = members[1].split('-').next().expect("there is one").to_owned();
    let ticket = bench.start(join("", |request| {
        request.group_instance_id = Some(instance.as_str().into());
        request.protocols = vec![protocol("roundrobin", &["t"])];
    }));
    assert_eq!(bench.joined(ticket), None);
    assert_eq!(bench.state(), ClassicState::PreparingRebalance);
}

#[test]
fn a_double_fences_who_waits() {
    let mut bench = Bench::new();
    let first = bench.start(join_static("", "a"));
    let second = bench.start(join_static("", "a"));
    let fenced = bench.joined(first).expect("it was fenced");
    assert_eq!((fenced.error_code, fenced.protocol_name), (ErrorCode::FencedInstanceId.code(), None));
    bench.pass(DELAY_MS * 3);
    assert_eq!(bench.joined(second).expect("the first rebalance has ended").error_code, 0);
    assert_eq!(bench.group().members.len(), 1);
}

#[test]
fn an_instance_of_another_member_is_fenced_and_an_unknown_one_unknown() {
    let mut bench = Bench::new();
    let members = stable(&mut bench);
    let ticket = bench.start(join_static(&members[0].clone(), "nobody"));
    assert_eq!(bench.joined(ticket).expect("at once").error_code, ErrorCode::UnknownMemberId.code());
    let other = members[1].split('-').next().expect("there is one").to_owned();
    let ticket = bench.start(join_static(&members[0].clone(), &other));
    assert_eq!(bench.joined(ticket).expect("at once").error_code, ErrorCode::FencedInstanceId.code());
}

#[test]
fn a_static_member_that_is_late_stays_until_its_session_ends() {
    let mut bench = Bench::new();
    let members = stable(&mut bench);
    let generation = bench.generation();
    let ticket = bench.start(join_static(&members[0].clone(), members[0].split('-').next().expect("there is one")));
    for _ in 0..REBALANCE_MS / (SESSION_MS / 2) {
        bench.pass(i64::from(SESSION_MS / 2));
        bench.heartbeat(&members[1], generation);
    }
    let joined = bench.joined(ticket).expect("the join phase has ended");
    assert_eq!((joined.generation_id, joined.members.len()), (generation + 1, 2));
    bench.pass(i64::from(SESSION_MS) + 1);
    assert!(!bench.group().members.contains_key(&members[1]));
}

#[test]
fn an_administrator_sends_a_static_member_away_by_its_instance() {
    let mut bench = Bench::new();
    let members = stable(&mut bench);
    assert_eq!(
        bench.leave(&[("", Some("a")), ("", Some("nobody")), ("", None), (&members[1], Some("nobody"))]),
        [ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::UnknownMemberId, ErrorCode::UnknownMemberId]
    );
    assert_eq!(bench.state(), ClassicState::PreparingRebalance);
}

#[test]
fn a_static_member_whose_new_id_the_log_refuses_stays_who_it_was() {
    let mut bench = Bench::new();
    let members = stable(&mut bench);
    let leader = members[0].clone();
    let instance = leader.split('-').next().expect("there is one").to_owned();
    let before = bench.groups.durable();
    bench.write_bytes_max = 10;
    let ticket = bench.start(join("", |request| {
        request.group_instance_id = Some(instance.as_str().into());
        request.protocols[0].metadata = protocol("range", &["t", "u"]).metadata;
        request.session_timeout_ms *= 2;
    }));
    let refused = bench.joined(ticket).expect("the log is asked at once");
    assert_eq!((refused.error_code, refused.member_id.as_str()), (ErrorCode::UnknownServerError.code(), ""));
    assert_eq!((bench.groups.durable(), bench.state()), (before.clone(), ClassicState::Stable));
    assert_eq!(bench.restarted().groups.durable(), before);
    assert_eq!(bench.heartbeat(&leader, bench.generation()), ErrorCode::None, "it still leads");
    assert!(bench.groups.timers.contains(&Timer::Session(GROUP.into(), leader.clone())));
    assert_eq!(bench.groups.timers.count(), 3, "two sessions, and the search for expired offsets");
    bench.write_bytes_max = 1 << 20;
    let ticket = bench.start(join_static("", &instance));
    let joined = bench.joined(ticket).expect("no rebalance is needed");
    assert!(joined.error_code == 0 && joined.member_id != leader && joined.leader == joined.member_id);
    assert_eq!(bench.restarted().groups.durable(), bench.groups.durable());
}
