//! Consumer groups of the new protocol (KIP-848): members that join, report, leave; what is refused, in which words; offsets in
//! their epochs; members of the classic protocol among them.

use millrace::protocol::Message;
use millrace::protocol::consumer_group_describe::ConsumerGroupDescribeRequest;
use millrace::protocol::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, TopicPartitions};
use millrace::protocol::delete_groups::DeleteGroupsRequest;
use millrace::protocol::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use millrace::protocol::describe_groups::DescribeGroupsRequest;
use millrace::protocol::group::ConsumerProtocolSubscription;
use millrace::protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millrace::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millrace::protocol::list_groups::ListGroupsRequest;
use millrace::protocol::offset_commit::OffsetCommitRequest;
use millrace::protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use millrace::wire::{KafkaString, Writer};
use std::time::Duration;

use crate::groups::{commit, delete_offsets, heartbeat, leave, make_coordinators, sync};
use crate::peer::Peer;
use crate::support::wait::wait_for;
use crate::{Oracle, groups};

const TOPIC: &str = "assigned";
const GROUP: &str = "new-protocol";
const LIMIT: Duration = Duration::from_secs(30);
const GROUP_RESOURCE: i8 = 32;

type Beat = ConsumerGroupHeartbeatRequest;

/// A heartbeat of a member that tells nothing.
fn beat(group: &str, member: &str, epoch: i32) -> Beat {
    Beat { group_id: group.into(), member_id: member.into(), member_epoch: epoch, ..Default::default() }
}

/// A first heartbeat.
fn first(group: &str, member: &str, topics: &[&str]) -> Beat {
    Beat {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|topic| (*topic).into()).collect()),
        topic_partitions: Some(Vec::new()),
        ..beat(group, member, 0)
    }
}

fn with_pattern(group: &str, member: &str, pattern: &str) -> Beat {
    Beat { subscribed_topic_names: None, subscribed_topic_regex: Some(pattern.into()), ..first(group, member, &[]) }
}

fn owning(peer: &Peer, group: &str, member: &str, epoch: i32, partitions: &[i32]) -> Beat {
    let topic = TopicPartitions { topic_id: peer.id(TOPIC), partitions: partitions.to_vec() };
    Beat { topic_partitions: Some(vec![topic]), ..beat(group, member, epoch) }
}

fn describe(oracle: &mut Oracle, fact: &str, groups: &[&str]) {
    let names = || groups.iter().map(|group| KafkaString::from(*group)).collect::<Vec<_>>();
    for include_authorized_operations in [false, true] {
        oracle.same(fact, 0..=1, |_, _| ConsumerGroupDescribeRequest {
            group_ids: names(),
            include_authorized_operations,
        });
    }
    oracle.same(fact, 0..=6, |_, _| DescribeGroupsRequest { groups: names(), ..Default::default() });
    oracle.same(fact, 5..=5, |_, _| ListGroupsRequest { types_filter: vec!["consumer".into()], ..Default::default() });
}

/// Targets without a pause between them, so that both brokers compute them at the same heartbeats.
fn without_pause(oracle: &mut Oracle, group: &str) {
    let config = AlterableConfig {
        name: "consumer.assignment.interval.ms".into(),
        value: Some("0".into()),
        ..Default::default()
    };
    let resource =
        AlterConfigsResource { resource_type: GROUP_RESOURCE, resource_name: group.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    oracle.same("a setting of a group", [1], |_, _| request.clone());
    let asked = DescribeConfigsResource {
        resource_type: GROUP_RESOURCE,
        resource_name: group.into(),
        configuration_keys: Some(vec!["consumer.assignment.interval.ms".into()]),
    };
    let request = DescribeConfigsRequest { resources: vec![asked], ..Default::default() };
    oracle.both(|peer| {
        wait_for("the setting", LIMIT, || {
            let answer = peer.answer(&request, 4).expect("DescribeConfigs is answered");
            (answer.results[0].configs[0].value.as_deref() == Some("0")).then_some(())
        });
    });
}

/// A JoinGroup of a classic member, with a subscription of version 1 and nothing owned.
fn join(group: &str, member: &str) -> JoinGroupRequest {
    let mut metadata = Writer::new();
    metadata.write_i16(1);
    let subscription = ConsumerProtocolSubscription { topics: vec![TOPIC.into()], ..Default::default() };
    subscription.encode(&mut metadata, 1);
    JoinGroupRequest {
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: metadata.freeze() }],
        ..groups::join(group, member)
    }
}

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| peer.create(TOPIC, 3, &[]));
    make_coordinators(oracle);
    for group in [GROUP, "two", "static-new", "patterns", "mixed"] {
        without_pause(oracle, group);
    }
    refusals(oracle);
    one_member(oracle);
    two_members(oracle);
    static_members(oracle);
    patterns(oracle);
    classic_members(oracle);
}

fn refusals(oracle: &mut Oracle) {
    let mut refuse = |fact: &str, change: &dyn Fn(&mut Beat)| {
        oracle.same(fact, 0..=1, |_, _| {
            let mut request = first("refused", "m", &[TOPIC]);
            change(&mut request);
            request
        });
    };
    refuse("no group", &|request| request.group_id = "".into());
    refuse("a blank group", &|request| request.group_id = "  ".into());
    refuse("a blank instance", &|request| request.instance_id = Some(" ".into()));
    refuse("no instance", &|request| request.instance_id = Some("".into()));
    refuse("no rack", &|request| request.rack_id = Some("".into()));
    refuse("no timeout", &|request| request.rebalance_timeout_ms = -1);
    refuse("nothing about partitions", &|request| request.topic_partitions = None);
    refuse("partitions at the first heartbeat", &|request| {
        request.topic_partitions = Some(vec![TopicPartitions::default()]);
    });
    refuse("no subscription", &|request| request.subscribed_topic_names = None);
    refuse("an odd epoch", &|request| request.member_epoch = -3);
    refuse("away without an instance", &|request| request.member_epoch = -2);
    refuse("an unknown assignor", &|request| request.server_assignor = Some("sticky".into()));
    refuse("no member in the middle", &|request| {
        request.member_id = "".into();
        request.member_epoch = 1;
    });
    refuse("an epoch in no group", &|request| request.member_epoch = 1);
    refuse("leaving no group", &|request| request.member_epoch = -1);
    refuse("leaving no group for a while", &|request| {
        request.member_epoch = -2;
        request.instance_id = Some("i".into());
    });
    for pattern in ["[", "(", "a)", "*", "a{1,", "\\", "[b-a]", "(?P<n", "(?=a)", "a**", "a{2,1}", "\\8", "(?i"] {
        oracle.same(&format!("the pattern {pattern}"), [1], |_, _| with_pattern("refused", "m", pattern));
    }
    describe(oracle, "a group that was refused", &["refused", ""]);
}

fn one_member(oracle: &mut Oracle) {
    oracle.same_except("a member without an id", [0], &["member_id"], |_, _| first("random-id", "", &[TOPIC]));
    oracle.same("a member of nothing", [1], |_, _| first("nothing", "m", &[]));
    oracle.same("a topic that is not there", [1], |_, _| first("nowhere", "m", &["absent"]));
    describe(oracle, "a group of nothing", &["nothing", "nowhere"]);
    oracle.same("the first member", [1], |_, _| first(GROUP, "m1", &[TOPIC]));
    describe(oracle, "a group of one", &[GROUP]);
    oracle.same("it repeats", 0..=1, |_, _| first(GROUP, "m1", &[TOPIC]));
    oracle.same("it reports", 0..=1, |peer, _| owning(peer, GROUP, "m1", 2, &[0, 1, 2]));
    oracle.same("it says nothing", 0..=1, |_, _| beat(GROUP, "m1", 2));
    oracle.same("an epoch ahead", 0..=1, |_, _| beat(GROUP, "m1", 9));
    oracle.same("an epoch behind", 0..=1, |_, _| beat(GROUP, "m1", 1));
    oracle.same("a stranger", 0..=1, |_, _| beat(GROUP, "m9", 2));
    oracle.same("a strange instance", 0..=1, |_, _| Beat { instance_id: Some("i".into()), ..beat(GROUP, "m1", 2) });
    offsets(oracle);
    oracle.same("it wants another assignor", [1], |_, _| Beat {
        server_assignor: Some("range".into()),
        ..beat(GROUP, "m1", 2)
    });
    oracle.same("it subscribes to more", [1], |_, _| Beat {
        subscribed_topic_names: Some(vec![TOPIC.into(), "absent".into()]),
        ..beat(GROUP, "m1", 2)
    });
    describe(oracle, "a group with an assignor", &[GROUP]);
    oracle.same("its first epoch again", [1], |_, _| beat(GROUP, "m1", 2));
    oracle.same("it subscribes to nothing", [1], |_, _| Beat {
        subscribed_topic_names: Some(Vec::new()),
        ..beat(GROUP, "m1", 3)
    });
    describe(oracle, "a member that gives everything up", &[GROUP]);
    oracle.same("it has given up", [1], |_, _| Beat { topic_partitions: Some(Vec::new()), ..beat(GROUP, "m1", 3) });
    oracle.same("a group with members is deleted", 0..=2, |_, _| DeleteGroupsRequest {
        groups_names: vec![GROUP.into()],
    });
    oracle.same("it leaves", [1], |_, _| beat(GROUP, "m1", -1));
    oracle.same("it leaves again", 0..=1, |_, _| beat(GROUP, "m1", -1));
    describe(oracle, "a group that was left", &[GROUP]);
    oracle.same("it is deleted", [2], |_, _| DeleteGroupsRequest { groups_names: vec![GROUP.into()] });
    describe(oracle, "a group that was deleted", &[GROUP]);
}

fn offsets(oracle: &mut Oracle) {
    for epoch in [-1, 0, 1, 2, 3] {
        for member in ["m1", "m9", ""] {
            oracle.same(&format!("a commit of {member:?} in epoch {epoch}"), 2..=10, |peer, _| OffsetCommitRequest {
                generation_id_or_member_epoch: epoch,
                member_id: member.into(),
                ..commit(peer, GROUP, TOPIC, &[(0, 7)])
            });
            let fetch = |peer: &Peer| {
                let topic = OffsetFetchRequestTopics {
                    name: TOPIC.into(),
                    topic_id: peer.id(TOPIC),
                    partition_indexes: vec![0],
                };
                let group = OffsetFetchRequestGroup {
                    group_id: GROUP.into(),
                    member_id: (!member.is_empty()).then(|| member.into()),
                    member_epoch: epoch,
                    topics: Some(vec![topic]),
                };
                OffsetFetchRequest { groups: vec![group], ..Default::default() }
            };
            let fact = format!("a fetch of {member:?} in epoch {epoch}");
            if member.is_empty() && epoch >= 0 {
                // Apache Kafka looks for a member without a name and stumbles.
                let expected = [
                    "an answer (error_code=0, groups[0].error_code=25)",
                    "an answer (error_code=0, groups[0].error_code=-1)",
                ];
                oracle.better(&fact, 10, expected, fetch);
            } else {
                oracle.same(&fact, 9..=10, |peer, _| fetch(peer));
            }
        }
    }
    oracle.same("offsets that are read", [0], |_, _| delete_offsets(GROUP, &[(TOPIC, &[0])]));
}

fn two_members(oracle: &mut Oracle) {
    let group = "two";
    let range = |member: &str| Beat { server_assignor: Some("range".into()), ..first(group, member, &[TOPIC]) };
    oracle.same("the first of two", [1], |_, _| range("m1"));
    oracle.same("the second of two", [1], |_, _| range("m2"));
    describe(oracle, "a group that reconciles", &[group]);
    oracle.same("the first hears it has less", [1], |peer, _| owning(peer, group, "m1", 2, &[0, 1, 2]));
    describe(oracle, "a member that must give up", &[group]);
    oracle.same("the second waits", [1], |_, _| beat(group, "m2", 3));
    oracle.same("the first says nothing", [1], |_, _| beat(group, "m1", 2));
    oracle.same("the first gave up", [1], |peer, _| owning(peer, group, "m1", 2, &[0, 1]));
    oracle.same("its answer was lost", [1], |peer, _| owning(peer, group, "m1", 2, &[0, 1]));
    oracle.same("the second has its share", [1], |_, _| beat(group, "m2", 3));
    describe(oracle, "a stable group of two", &[group]);
    oracle.same("the first leaves", [1], |_, _| beat(group, "m1", -1));
    describe(oracle, "a group that must assign", &[group]);
    oracle.same("the second has all", [1], |_, _| beat(group, "m2", 3));
    describe(oracle, "a group of who stayed", &[group]);
}

fn static_members(oracle: &mut Oracle) {
    let group = "static-new";
    let named = |request: Beat| Beat { instance_id: Some("i".into()), ..request };
    oracle.same("a static member", [1], |_, _| named(first(group, "s1", &[TOPIC])));
    oracle.same("its double", 0..=1, |_, _| named(first(group, "s2", &[TOPIC])));
    oracle.same("its double reports", 0..=1, |_, _| named(beat(group, "s2", 2)));
    oracle.same("it leaves for a while", [1], |_, _| named(beat(group, "s1", -2)));
    describe(oracle, "a group whose member is away", &[group]);
    oracle.same("it comes back", [1], |_, _| named(first(group, "s2", &[TOPIC])));
    describe(oracle, "a group whose member is back", &[group]);
    oracle.same("its old self", 0..=1, |_, _| named(beat(group, "s1", 2)));
    oracle.same("an unknown instance leaves", [1], |_, _| Beat {
        instance_id: Some("j".into()),
        ..beat(group, "s2", -2)
    });
    oracle.same("it leaves for good", [1], |_, _| named(beat(group, "s2", -1)));
    describe(oracle, "a group whose static member left", &[group]);
}

fn patterns(oracle: &mut Oracle) {
    let group = "patterns";
    oracle.same("a pattern", [1], |_, _| with_pattern(group, "p1", &format!("{TOPIC}|never-there")));
    oracle.both(|peer| {
        wait_for("what the pattern matches", LIMIT, || {
            let answer = peer.answer(&beat(group, "p1", 1), 1).expect("a heartbeat is answered");
            (answer.error_code != 0 || answer.member_epoch > 1).then_some(())
        });
    });
    oracle.same("all is told again", [1], |_, _| with_pattern(group, "p1", &format!("{TOPIC}|never-there")));
    describe(oracle, "a group with a pattern", &[group]);
    oracle.same("another with the same", [1], |_, _| with_pattern(group, "p2", &format!("{TOPIC}|never-there")));
    oracle.same("it leaves", [1], |_, _| beat(group, "p2", -1));
    oracle.same("the pattern is taken back", [1], |_, _| Beat {
        subscribed_topic_regex: Some("".into()),
        ..beat(group, "p1", 2)
    });
    oracle.same("they leave", [1], |_, _| beat(group, "p1", -1));
    describe(oracle, "a group without its pattern", &[group]);
}

fn classic_members(oracle: &mut Oracle) {
    let group = "mixed";
    oracle.same("a member of the new protocol", [1], |_, _| first(group, "n1", &[TOPIC]));
    oracle.same_except("a classic member is told its id", 4..=9, &["member_id"], |_, _| join(group, ""));
    oracle.both(|peer| {
        let joined = peer.answer(&join(group, ""), 9).expect("JoinGroup is answered");
        peer.learn_member(&joined.member_id);
    });
    let last = |peer: &Peer| peer.last_member();
    oracle.same("it joins", [5], |peer, _| join(group, &last(peer)));
    oracle.same("a heartbeat", 0..=4, |peer, _| heartbeat(group, &last(peer), 3));
    oracle.same("an old generation", 0..=4, |peer, _| heartbeat(group, &last(peer), 2));
    oracle.same("a heartbeat of the other", 0..=4, |_, _| heartbeat(group, "n1", 2));
    oracle.same("a sync of the other", 0..=4, |_, _| sync(group, "n1", 2));
    oracle.same("it syncs", 0..=5, |peer, _| sync(group, &last(peer), 3));
    describe(oracle, "a mixed group", &[group]);
    oracle.same("strangers leave", 3..=5, |_, version| leave(version, group, &[("m", None), ("", Some("i"))]));
    oracle.same("the last of the new protocol leaves", [1], |_, _| beat(group, "n1", -1));
    describe(oracle, "a group that went back", &[group]);
    oracle.same("it hears of the rebalance", 0..=4, |peer, _| heartbeat(group, &last(peer), 3));
    oracle.same("it leaves", [5], |peer, version| leave(version, group, &[(&last(peer), None)]));
    describe(oracle, "a group that went back and was left", &[group]);
    oracle.same("a new member takes it over", [1], |_, _| first(group, "n2", &[TOPIC]));
    describe(oracle, "a group that was taken over", &[group]);
}
