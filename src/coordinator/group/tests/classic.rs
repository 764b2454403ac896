//! Classic groups: every way from one state to the next, and every refusal.

use super::*;

#[test]
fn members_join_sync_and_commit() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let generation = bench.generation();
    assert_eq!(generation, 1);
    let ticket = bench.sync(&members[1], &[]);
    let synced = bench.synced(ticket).expect("the group is stable");
    assert_eq!(synced.assignment, members[1].clone().into_bytes());
    assert_eq!((synced.protocol_type.as_deref(), synced.protocol_name.as_deref()), (Some("consumer"), Some("range")));
    let outcome = bench.commit(|commit| {
        commit.generation = generation;
        commit.member_id = members[0].clone();
    });
    assert_eq!(outcome, Ok(vec![ErrorCode::None]));
    let restarted = bench.restarted();
    assert_eq!(restarted.state(), ClassicState::Stable);
    assert_eq!((restarted.generation(), restarted.group().members.len()), (1, 2));
    assert!(restarted.group().is_leader(&members[0]));
    assert_eq!(restarted.committed("t", 0), Some(42));
}

#[test]
fn a_restarted_group_goes_on() {
    let mut before = Bench::new();
    let members = before.stable(2);
    let mut bench = before.restarted();
    assert_eq!(bench.heartbeat(&members[0], 1), ErrorCode::None);
    let ticket = bench.sync(&members[1], &[]);
    assert_eq!(bench.synced(ticket).expect("the group is stable").assignment, members[1].clone().into_bytes());
    let ticket = bench.start(join(&members[1], |request| request.protocols.truncate(1)));
    assert_eq!(bench.joined(ticket).expect("nothing is new for the record knows one protocol").generation_id, 1);
    bench.pass(i64::from(SESSION_MS) + 1);
    assert_eq!(bench.state(), ClassicState::Empty, "nobody gave a sign of life");
}

#[test]
fn the_first_rebalance_waits_for_more() {
    let mut bench = Bench::new();
    let (_, first) = bench.joins_anew();
    bench.pass(DELAY_MS - 1);
    let (_, second) = bench.joins_anew();
    bench.pass(DELAY_MS);
    assert_eq!(bench.state(), ClassicState::PreparingRebalance, "a member came, so it waits once more");
    bench.pass(DELAY_MS);
    let (first, second) = (bench.joined(first).expect("joined"), bench.joined(second).expect("joined"));
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
    let leader = [&first, &second].into_iter().find(|joined| joined.member_id == joined.leader).expect("one leads");
    assert_eq!(leader.members.len(), 2);
    assert_eq!(leader.protocol_name.as_deref(), Some("range"));
}

#[test]
fn the_first_rebalance_ends_with_the_rebalance_timeout() {
    let mut bench = Bench::with(GroupSettings { size_max: 100, ..settings() });
    for _ in 0..REBALANCE_MS as i64 / (DELAY_MS - 500) {
        bench.joins_anew();
        bench.pass(DELAY_MS - 500);
    }
    bench.pass(DELAY_MS);
    assert_eq!(bench.state(), ClassicState::CompletingRebalance);
}

#[test]
fn a_new_member_makes_a_rebalance() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let (third, joining) = bench.joins_anew();
    assert_eq!(bench.state(), ClassicState::PreparingRebalance);
    for member in &members {
        assert_eq!(bench.heartbeat(member, 1), ErrorCode::RebalanceInProgress);
    }
    let ticket = bench.sync(&members[0], &[]);
    assert_eq!(bench.synced(ticket).expect("refused").error_code, ErrorCode::RebalanceInProgress.code());
    let tickets: Vec<_> = members.iter().map(|member| bench.start(join(member, |_| ()))).collect();
    for ticket in tickets.into_iter().chain([joining]) {
        assert_eq!(bench.joined(ticket).expect("all have joined").generation_id, 2);
    }
    let ticket = bench.sync(&third, &[]);
    assert_eq!(bench.synced(ticket), None, "the leader has not assigned");
    bench.sync(&members[0], std::slice::from_ref(&third));
    assert_eq!(bench.synced(ticket).expect("assigned").assignment, third.into_bytes());
    let ticket = bench.sync(&members[1], &[]);
    assert!(bench.synced(ticket).expect("assigned").assignment.is_empty(), "the leader left it out");
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let ticket = bench.start(join(&members[0], |_| ()));
    for _ in 0..REBALANCE_MS / (SESSION_MS / 2) {
        bench.pass(i64::from(SESSION_MS / 2));
        bench.heartbeat(&members[1], 1);
    }
    let joined = bench.joined(ticket).expect("the join phase has ended");
    assert_eq!((joined.generation_id, joined.members.len()), (2, 1));
    assert_eq!(bench.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_leader_that_does_not_join_again_is_replaced() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let ticket = bench.start(join(&members[1], |request| request.protocols.truncate(1)));
    bench.pass(i64::from(REBALANCE_MS) + 1);
    let joined = bench.joined(ticket).expect("the join phase has ended");
    assert_eq!((&joined.leader, joined.members.len()), (&members[1], 1));
}

#[test]
fn a_record_that_names_a_stranger_as_leader_makes_no_group_stuck() {
    let mut before = Bench::new();
    let members = before.stable(2);
    before.groups.classic_mut(GROUP).expect("it is there").leader = Some("stranger".into());
    let record = before.group().to_record();
    before.log.push(Write { producer: None, records: vec![record], marker: None });
    let mut bench = before.restarted();
    assert!(bench.group().is_leader("stranger"));
    let tickets: Vec<_> = members
        .iter()
        .map(|member| bench.start(join(member, |request| request.protocols = vec![protocol("range", &["u"])])))
        .collect();
    let joined: Vec<_> = tickets.into_iter().filter_map(|ticket| bench.joined(ticket)).collect();
    assert_eq!(joined.len(), 2);
    assert!(members.contains(&joined[0].leader));
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let tickets: Vec<_> = members.iter().map(|member| bench.start(join(member, |_| ()))).collect();
    tickets.into_iter().for_each(|ticket| drop(bench.joined(ticket)));
    let syncing = bench.sync(&members[0], &members);
    assert_eq!(bench.synced(syncing).expect("the leader assigned").error_code, 0);
    for _ in 0..REBALANCE_MS / (SESSION_MS / 2) + 1 {
        bench.pass(i64::from(SESSION_MS / 2));
        for member in &members {
            bench.heartbeat(member, 2);
        }
    }
    assert_eq!(bench.heartbeat(&members[1], 2), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat(&members[0], 2), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_silent_member_is_out() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    bench.pass(i64::from(SESSION_MS) - 1);
    assert_eq!(bench.heartbeat(&members[0], 1), ErrorCode::None);
    bench.pass(2);
    assert_eq!(bench.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
    assert_eq!(bench.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn commits_keep_a_session_alive() {
    let mut bench = Bench::new();
    let members = bench.stable(1);
    for _ in 0..10 {
        bench.pass(i64::from(SESSION_MS) - 1);
        let outcome = bench.commit(|commit| {
            commit.generation = 1;
            commit.member_id = members[0].clone();
        });
        assert_eq!(outcome, Ok(vec![ErrorCode::None]));
    }
}

#[test]
fn the_last_member_leaves_an_empty_group() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let named: Vec<_> = members.iter().map(|member| (member.as_str(), None)).collect();
    assert_eq!(bench.leave(&named), [ErrorCode::None; 2]);
    assert_eq!((bench.state(), bench.generation()), (ClassicState::Empty, 2));
    let restarted = bench.restarted();
    assert_eq!((restarted.state(), restarted.generation()), (ClassicState::Empty, 2));
    assert_eq!(bench.leave(&[(&members[0], None)]), [ErrorCode::UnknownMemberId]);
    assert_eq!(bench.heartbeat(&members[0], 2), ErrorCode::UnknownMemberId);
    assert_eq!(bench.commit(|_| ()), Ok(vec![ErrorCode::None]), "a tool may set its offsets");
}

#[test]
fn leaving_while_joining_ends_the_wait() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let first = bench.start(join(&members[0], |_| ()));
    assert_eq!(bench.leave(&[(&members[0], None), (&members[1], None)]), [ErrorCode::None; 2]);
    assert_eq!(bench.joined(first).expect("told").error_code, ErrorCode::UnknownMemberId.code());
    assert_eq!(bench.state(), ClassicState::Empty);
}

#[test]
fn a_pending_member_may_leave_and_is_forgotten_by_time() {
    let mut bench = Bench::new();
    let members = bench.stable(1);
    let pending: Vec<_> = (0..2).map(|_| bench.ask(join("", |_| ()))).collect();
    let id = |answer: &GroupResponse| match answer {
        GroupResponse::Joined(joined) => joined.member_id.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bench.group().pending_members.len(), 2);
    assert_eq!(bench.leave(&[(&id(&pending[0]), None)]), [ErrorCode::None]);
    for _ in 0..3 {
        bench.pass(i64::from(SESSION_MS / 2));
        bench.heartbeat(&members[0], 1);
    }
    assert!(bench.group().pending_members.is_empty());
    let late = bench.ask(join(&id(&pending[1]), |_| ()));
    let GroupResponse::Joined(late) = late else { panic!("another kind") };
    assert_eq!(late.error_code, ErrorCode::UnknownMemberId.code());
}

#[test]
fn a_join_phase_waits_for_pending_members() {
    let mut bench = Bench::new();
    let members = bench.stable(1);
    bench.ask(join("", |_| ()));
    let ticket = bench.start(join(&members[0], |_| ()));
    assert_eq!(bench.joined(ticket), None);
    bench.pass(i64::from(SESSION_MS) + 1);
    assert_eq!(bench.joined(ticket).expect("the pending member is forgotten").generation_id, 2);
}

#[test]
fn a_new_member_that_waits_for_five_minutes_is_gone() {
    let mut bench = Bench::with(GroupSettings { initial_rebalance_delay_ms: 3_600_000, ..settings() });
    let (_, ticket) = bench.joins_anew();
    bench.pass(300_001);
    assert_eq!(bench.joined(ticket).expect("told").error_code, ErrorCode::UnknownMemberId.code());
}

#[test]
fn old_clients_join_at_once() {
    let mut bench = Bench::new();
    let GroupRequest::Join(mut old) = join("", |_| ()) else { panic!("another kind") };
    old.member_id_required = false;
    let ticket = bench.start(GroupRequest::Join(old));
    bench.pass(DELAY_MS);
    assert_eq!(bench.joined(ticket).expect("joined").generation_id, 1);
}

#[test]
fn a_join_is_refused_for_what_is_wrong_with_it() {
    let mut bench = Bench::new();
    let mut refused = |request: GroupRequest| match bench.ask(request) {
        GroupResponse::Joined(joined) => ErrorCode::from_code(joined.error_code),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(join("", |request| request.group_id = "".into())), ErrorCode::InvalidGroupId);
    for session_timeout_ms in [0, -1, 5_999, 300_001] {
        let request = join("", |request| request.session_timeout_ms = session_timeout_ms);
        assert_eq!(refused(request), ErrorCode::InvalidSessionTimeout);
    }
    assert_eq!(refused(join("nobody", |_| ())), ErrorCode::UnknownMemberId);
    assert_eq!(refused(join("", |request| request.protocols.clear())), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(refused(join("", |request| request.protocol_type = "".into())), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(refused(join("nobody", |_| ())), ErrorCode::UnknownMemberId);
    bench.stable(1);
    let mut refused = |request: GroupRequest| match bench.ask(request) {
        GroupResponse::Joined(joined) => ErrorCode::from_code(joined.error_code),
        other => panic!("{other:?}"),
    };
    let other_type = join("", |request| request.protocol_type = "connect".into());
    assert_eq!(refused(other_type), ErrorCode::InconsistentGroupProtocol);
    let other_protocol = join("", |request| request.protocols = vec![protocol("sticky", &["t"])]);
    assert_eq!(refused(other_protocol), ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn a_sync_is_refused_for_what_is_wrong_with_it() {
    let mut bench = Bench::new();
    let members = bench.stable(1);
    let mut refused = |change: fn(&mut SyncGroupRequest)| {
        let mut request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: 1,
            member_id: members[0].clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            ..Default::default()
        };
        change(&mut request);
        match bench.ask(GroupRequest::Sync(Box::new(request))) {
            GroupResponse::Synced(response) => ErrorCode::from_code(response.error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|_| ()), ErrorCode::None);
    assert_eq!(refused(|request| request.group_id = "".into()), ErrorCode::InvalidGroupId);
    assert_eq!(refused(|request| request.group_id = "other".into()), ErrorCode::UnknownMemberId);
    assert_eq!(refused(|request| request.member_id = "nobody".into()), ErrorCode::UnknownMemberId);
    assert_eq!(refused(|request| request.generation_id = 2), ErrorCode::IllegalGeneration);
    assert_eq!(refused(|request| request.generation_id = -1), ErrorCode::IllegalGeneration);
    assert_eq!(refused(|request| request.group_instance_id = Some("i".into())), ErrorCode::UnknownMemberId);
    let inconsistent = ErrorCode::InconsistentGroupProtocol;
    assert_eq!(refused(|request| request.protocol_type = Some("connect".into())), inconsistent);
    assert_eq!(refused(|request| request.protocol_name = Some("roundrobin".into())), inconsistent);
    assert_eq!(refused(|request| request.protocol_name = None), ErrorCode::None);
}

#[test]
fn a_commit_is_refused_for_what_is_wrong_with_it() {
    let mut bench = Bench::new();
    let members = bench.stable(1);
    let member = members[0].clone();
    let mut commit = |generation: i32, member_id: &str, instance: Option<&str>| {
        bench.commit(|commit| {
            commit.generation = generation;
            commit.member_id = member_id.into();
            commit.group_instance_id = instance.map(Into::into);
        })
    };
    assert_eq!(commit(-1, "", None), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit(1, "", None), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit(1, "nobody", None), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit(0, &member, None), Err(ErrorCode::IllegalGeneration));
    assert_eq!(commit(-1, &member, None), Err(ErrorCode::IllegalGeneration));
    assert_eq!(commit(1, &member, Some("i")), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit(1, &member, None), Ok(vec![ErrorCode::None]));
    let ticket = bench.start(join(&member, |_| ()));
    assert_eq!(bench.joined(ticket).expect("it is alone").generation_id, 2);
    let between = bench.commit(|commit| {
        commit.generation = 2;
        commit.member_id = member.clone();
    });
    assert_eq!(between, Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn a_full_group_takes_nobody() {
    let mut bench = Bench::new();
    let members = bench.stable(3);
    let GroupResponse::Joined(refused) = bench.ask(join("", |_| ())) else { panic!("another kind") };
    assert_eq!(refused.error_code, ErrorCode::GroupMaxSizeReached.code());
    let ticket = bench.start(join(&members[0], |_| ()));
    assert_eq!(bench.joined(ticket), None, "a member may join again");
}

#[test]
fn a_group_over_a_lowered_limit_shrinks() {
    let mut before = Bench::new();
    let members = before.stable(3);
    before.groups.settings.size_max = 2;
    let mut bench = before.restarted();
    assert_eq!(bench.state(), ClassicState::PreparingRebalance);
    let tickets: Vec<_> = members
        .iter()
        .map(|member| {
            bench.start(join(member, |request| {
                request.protocols.truncate(1);
            }))
        })
        .collect();
    let refused = bench.joined(tickets[2]).expect("there is no room");
    assert_eq!(refused.error_code, ErrorCode::GroupMaxSizeReached.code());
    assert_eq!(bench.joined(tickets[0]).map(|joined| joined.error_code), Some(0));
}

#[test]
fn an_assignment_that_no_batch_can_hold_is_not_given_out() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let tickets: Vec<_> = members.iter().map(|member| bench.start(join(member, |_| ()))).collect();
    tickets.into_iter().for_each(|ticket| drop(bench.joined(ticket)));
    bench.write_bytes_max = 100;
    let waiting = bench.sync(&members[1], &[]);
    let leading = bench.sync(&members[0], &members);
    for ticket in [waiting, leading] {
        assert_eq!(bench.synced(ticket).expect("told").error_code, ErrorCode::UnknownServerError.code());
    }
    assert_eq!(bench.state(), ClassicState::PreparingRebalance);
}

#[test]
fn a_group_is_empty_when_its_record_is() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let before = bench.groups.durable();
    bench.write_bytes_max = 10;
    assert_eq!(bench.leave(&[(&members[0], None), (&members[1], None)]), [ErrorCode::None; 2]);
    assert_eq!((bench.state(), bench.generation()), (ClassicState::PreparingRebalance, 1), "the log knows two members");
    assert_eq!(bench.restarted().groups.durable(), before);
    assert!(matches!(bench.ask(GroupRequest::Delete(vec![GROUP.into()])),
        GroupResponse::Deleted(results) if results[0].error_code == ErrorCode::NonEmptyGroup.code()));
    bench.pass(60_000);
    assert_eq!(bench.state(), ClassicState::PreparingRebalance);
    bench.write_bytes_max = 1 << 20;
    bench.pass(60_000);
    assert_eq!((bench.state(), bench.generation()), (ClassicState::Empty, 2));
    assert_eq!(bench.restarted().groups.durable(), bench.groups.durable());
    assert_eq!(bench.groups.timers.count(), 1, "the search for expired offsets");
}

#[test]
fn a_group_between_members_is_joined() {
    let mut bench = Bench::new();
    let members = bench.stable(1);
    bench.write_bytes_max = 10;
    assert_eq!(bench.leave(&[(&members[0], None)]), [ErrorCode::None]);
    let (member, ticket) = bench.joins_anew();
    let joined = bench.joined(ticket).expect("nobody else is waited for");
    assert_eq!((joined.error_code, joined.generation_id, joined.leader), (0, 2, member.clone()));
    bench.write_bytes_max = 1 << 20;
    let ticket = bench.sync(&member, std::slice::from_ref(&member));
    assert_eq!(bench.synced(ticket).expect("it leads").error_code, 0);
    assert_eq!(bench.restarted().groups.durable(), bench.groups.durable());
}

#[test]
fn a_request_that_is_sent_again_takes_the_place_of_the_first() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let first = bench.start(join(&members[0], |_| ()));
    let second = bench.start(join(&members[0], |_| ()));
    assert_eq!(bench.joined(first).expect("told").error_code, ErrorCode::RebalanceInProgress.code());
    let other = bench.start(join(&members[1], |_| ()));
    assert_eq!(bench.joined(second).expect("joined").generation_id, 2);
    assert_eq!(bench.joined(other).expect("joined").generation_id, 2);
    let first = bench.sync(&members[1], &[]);
    let second = bench.sync(&members[1], &[]);
    assert_eq!(bench.synced(first).expect("told").error_code, ErrorCode::RebalanceInProgress.code());
    let again = bench.start(join(&members[0], |_| ()));
    assert_eq!(bench.joined(again).expect("the same generation").generation_id, 2);
    bench.sync(&members[0], &members);
    assert_eq!(bench.synced(second).expect("assigned").error_code, 0);
}

#[test]
fn groups_are_listed_and_described() {
    let mut bench = Bench::new();
    let members = bench.stable(2);
    let listed = |bench: &mut Bench, states: &[&str], types: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
        match bench.ask(GroupRequest::List { states: texts(states), types: texts(types) }) {
            GroupResponse::Listed(groups) => groups,
            other => panic!("{other:?}"),
        }
    };
    let all = listed(&mut bench, &[], &[]);
    assert_eq!((all[0].group_id.as_str(), all[0].group_state.as_str()), (GROUP, "Stable"));
    assert_eq!(listed(&mut bench, &["sTable ", "Empty"], &["Classic"]), all);
    assert!(listed(&mut bench, &["Empty"], &[]).is_empty());
    assert!(listed(&mut bench, &[], &["consumer"]).is_empty());
    let GroupResponse::Described(groups) = bench.ask(GroupRequest::Describe(vec![GROUP.into(), "other".into()])) else {
        panic!("another kind")
    };
    assert_eq!((groups[0].group_state.as_str(), groups[0].protocol_data.as_str()), ("Stable", "range"));
    assert_eq!(groups[0].members.len(), 2);
    let leader = groups[0].members.iter().find(|member| member.member_id == members[0]).expect("described");
    assert_eq!(leader.member_assignment, members[0].clone().into_bytes());
    assert_eq!((leader.client_id.as_str(), leader.client_host.as_str()), ("client", "/127.0.0.1"));
    assert_eq!(groups[1].group_state.as_str(), "Dead");
    assert_eq!(groups[1].error_code, ErrorCode::GroupIdNotFound.code());
    let GroupResponse::Deleted(results) = bench.ask(GroupRequest::Delete(vec![GROUP.into()])) else {
        panic!("another kind")
    };
    assert_eq!(results[0].error_code, ErrorCode::NonEmptyGroup.code());
}

#[test]
fn subscribed_topics_keep_their_offsets() {
    use crate::protocol::offset_delete::*;
    let mut bench = Bench::new();
    bench.stable(1);
    let topic = |name: &str| OffsetDeleteRequestTopic {
        name: name.into(),
        partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
    };
    let request = OffsetDeleteRequest { group_id: GROUP.into(), topics: vec![topic("t"), topic("u")] };
    let GroupResponse::OffsetsDeleted(answer) = bench.ask(GroupRequest::DeleteOffsets(Box::new(request))) else {
        panic!("another kind")
    };
    let codes: Vec<_> = answer.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
    assert_eq!(codes, [ErrorCode::GroupSubscribedToTopic.code(), 0]);
}

/// Members do anything at any time: the group never gets into a state that it does not know, every request is answered once,
/// and what the log holds is what the group was when it wrote.
#[test]
fn anything_may_happen() {
    for seed in 0..200u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut bench = Bench::new();
        let mut known: Vec<KafkaString> = Vec::new();
        for _ in 0..120 {
            let member = known.get(draw(8) as usize).cloned().unwrap_or_default();
            let generation = bench.groups.classic(GROUP).map_or(0, |group| group.generation);
            match draw(8) {
                0 | 1 => {
                    let instance = (draw(3) == 0).then(|| KafkaString::from(format!("i{}", draw(2))));
                    let shorter = draw(3) == 0;
                    bench.start(join(&member, |request| {
                        request.group_instance_id = instance;
                        if shorter {
                            request.protocols.truncate(1);
                        }
                    }));
                }
                2 | 3 if bench.groups.groups.contains_key(GROUP) => {
                    bench.sync(&member, &known);
                }
                4 => {
                    bench.heartbeat(&member, generation);
                }
                5 => drop(bench.leave(&[(&member, None)])),
                6 => drop(bench.commit(|commit| {
                    commit.generation = generation;
                    commit.member_id = member.clone();
                })),
                _ => bench.pass(draw(20_000) as i64),
            }
            for answer in std::mem::take(&mut bench.answers).into_values() {
                if let GroupResponse::Joined(joined) = answer
                    && !joined.member_id.is_empty()
                    && !known.contains(&joined.member_id)
                {
                    known.insert(0, joined.member_id);
                    known.truncate(8);
                }
            }
            let Some(group) = bench.groups.classic(GROUP) else { continue };
            let joining = group.members.values().filter(|member| member.joining.is_some()).count();
            assert_eq!(joining, group.joining_count(), "seed {seed}");
            assert!(group.pending_sync.iter().all(|member| group.members.contains_key(member)), "seed {seed}");
            assert_eq!(group.members.is_empty(), group.leader.is_none(), "seed {seed}");
            bench.restarted();
        }
    }
}
