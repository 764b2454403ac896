//! Consumer groups of the new protocol over TCP: epochs and assignments survive kills, topics that grow are followed, settings
//! of a group hold.

use millrace::protocol::consumer_group_describe::{ConsumerGroupDescribeRequest, DescribedGroup};
use millrace::protocol::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use millrace::protocol::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use millrace::protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use std::time::Duration;

use crate::calls::create_topic;
use crate::groups::find_coordinator;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(30);
const LOADING: i16 = 14;
const NOT_COORDINATOR: i16 = 16;
const GROUP_RESOURCE: i8 = 32;

type Beat = ConsumerGroupHeartbeatRequest;

fn node(overrides: &[(&str, &str)]) -> Node {
    let few = [("offsets.topic.num.partitions", "4"), ("group.consumer.assignment.interval.ms", "0")];
    Node::start(Kind::under_test(), &[&few[..], overrides].concat())
}

/// A heartbeat; waits while the coordinator loads.
fn beat(wire: &mut Wire, request: &Beat) -> ConsumerGroupHeartbeatResponse {
    wait_for("a heartbeat's answer", LIMIT, || {
        let answer = wire.call(request, 1);
        (!matches!(answer.error_code, LOADING | NOT_COORDINATOR)).then_some(answer)
    })
}

fn joins(wire: &mut Wire, group: &str, member: &str, topic: &str) -> ConsumerGroupHeartbeatResponse {
    let request = Beat {
        group_id: group.into(),
        member_id: member.into(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec![topic.into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let answer = beat(wire, &request);
    assert_eq!(answer.error_code, 0, "{answer:?}");
    answer
}

fn reports(wire: &mut Wire, group: &str, member: &str, epoch: i32) -> ConsumerGroupHeartbeatResponse {
    beat(wire, &Beat { group_id: group.into(), member_id: member.into(), member_epoch: epoch, ..Default::default() })
}

fn describe(wire: &mut Wire, group: &str) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest { group_ids: vec![group.into()], ..Default::default() };
    wait_for("a description", LIMIT, || {
        let described = wire.call(&request, 1).groups.swap_remove(0);
        (!matches!(described.error_code, LOADING | NOT_COORDINATOR)).then_some(described)
    })
}

fn partitions(answer: &ConsumerGroupHeartbeatResponse) -> Option<Vec<i32>> {
    let assignment = answer.assignment.as_ref()?;
    Some(assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect())
}

#[test]
fn members_go_on_in_their_epochs_after_kills() {
    let mut node = node(&[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "read", 4, &[]);
    find_coordinator(&mut wire, "g");
    let groups: Vec<String> = (0..8).map(|nth| format!("g{nth}")).collect();
    for group in &groups {
        let one = joins(&mut wire, group, "one", "read");
        assert_eq!((one.member_epoch, partitions(&one)), (2, Some(vec![0, 1, 2, 3])));
        let two = joins(&mut wire, group, "two", "read");
        assert_eq!((two.member_epoch, partitions(&two)), (3, Some(vec![])));
        let one = reports(&mut wire, group, "one", 2);
        assert_eq!((one.member_epoch, partitions(&one).map(|partitions| partitions.len())), (2, Some(2)));
    }
    let before: Vec<DescribedGroup> = groups.iter().map(|group| describe(&mut wire, group)).collect();
    assert_eq!(before[0].group_state, "Reconciling");
    node.kill9();
    node.start_again();
    wire = Wire::connect(&node);
    for (group, before) in groups.iter().zip(&before) {
        assert_eq!(&describe(&mut wire, group), before);
        let had = &before.members[0].target_assignment.topic_partitions[0];
        let gave_up = TopicPartitions { topic_id: had.topic_id, partitions: had.partitions.clone() };
        let one = beat(
            &mut wire,
            &Beat {
                group_id: group.as_str().into(),
                member_id: "one".into(),
                member_epoch: 2,
                topic_partitions: Some(vec![gave_up]),
                ..Default::default()
            },
        );
        assert_eq!((one.error_code, one.member_epoch), (0, 3));
        let two = reports(&mut wire, group, "two", 3);
        assert_eq!(partitions(&two).map(|partitions| partitions.len()), Some(2));
        assert_eq!(describe(&mut wire, group).group_state, "Stable");
    }
    node.kill9();
    node.start_again();
    wire = Wire::connect(&node);
    for group in &groups {
        assert_eq!(reports(&mut wire, group, "two", 3).error_code, 0);
        let left = reports(&mut wire, group, "one", -1);
        assert_eq!((left.error_code, left.member_epoch), (0, -1));
        let two = reports(&mut wire, group, "two", 3);
        assert_eq!((two.member_epoch, partitions(&two)), (4, Some(vec![0, 1, 2, 3])));
    }
}

#[test]
fn a_topic_that_grows_is_followed() {
    let node = node(&[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "grows", 1, &[]);
    find_coordinator(&mut wire, "g");
    assert_eq!(partitions(&joins(&mut wire, "g", "one", "grows")), Some(vec![0]));
    let topic = CreatePartitionsTopic { name: "grows".into(), count: 3, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
    assert_eq!(wire.call(&request, 3).results[0].error_code, 0);
    let answer = wait_for("the next epoch", LIMIT, || {
        let answer = reports(&mut wire, "g", "one", 2);
        (answer.member_epoch == 3).then_some(answer)
    });
    assert_eq!(partitions(&answer), Some(vec![0, 1, 2]));
}

#[test]
fn settings_of_a_group_hold_and_a_silent_member_is_out() {
    let node =
        node(&[("group.consumer.min.session.timeout.ms", "500"), ("group.consumer.min.heartbeat.interval.ms", "100")]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "read", 2, &[]);
    find_coordinator(&mut wire, "g");
    let config = |name: &str, value: &str| AlterableConfig {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: GROUP_RESOURCE,
        resource_name: "g".into(),
        configs: vec![config("consumer.session.timeout.ms", "1000"), config("consumer.heartbeat.interval.ms", "123")],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(wire.call(&request, 1).responses[0].error_code, 0);
    wait_for("the setting", LIMIT, || {
        (joins(&mut wire, "g", "one", "read").heartbeat_interval_ms == 123).then_some(())
    });
    assert_eq!(joins(&mut wire, "other", "one", "read").heartbeat_interval_ms, 5000);
    wait_for("the session's end", LIMIT, || describe(&mut wire, "g").members.is_empty().then_some(()));
    assert_eq!(describe(&mut wire, "g").group_state, "Empty");
    assert_eq!(describe(&mut wire, "other").members.len(), 1);
}
