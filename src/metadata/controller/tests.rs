//! The state machine alone: no file, no thread.

use super::*;
use crate::config::source;
use crate::metadata::features;
use crate::protocol::broker_heartbeat::BrokerHeartbeatRequest;
use crate::protocol::broker_registration::{BrokerRegistrationRequest, Feature, Listener};
use crate::protocol::create_partitions::{CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic};
use crate::protocol::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use crate::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::protocol::{
    allocate_producer_ids, alter_configs, elect_leaders, incremental_alter_configs, update_features,
};

const CLUSTER: &str = "AAAAAAAAAAAAAAAAAAAAAg";

fn settings() -> ControllerSettings {
    ControllerSettings {
        node_id: 1,
        cluster_id: CLUSTER.into(),
        quorum_directory_id: Uuid::from_u128(1 << 90),
        config: BrokerConfig::new(source::embedded(9092, "/tmp/unused")).expect("a valid configuration"),
    }
}

fn registration(broker_id: i32, incarnation: u128, previous_broker_epoch: i64) -> BrokerRegistrationRequest {
    let listener = Listener { name: "PLAINTEXT".into(), host: "localhost".into(), port: 9092, security_protocol: 0 };
    let feature = |(name, range): (&'static str, std::ops::RangeInclusive<i16>)| Feature {
        name: name.into(),
        min_supported_version: *range.start(),
        max_supported_version: *range.end(),
    };
    BrokerRegistrationRequest {
        broker_id,
        cluster_id: CLUSTER.into(),
        incarnation_id: Uuid::from_u128(incarnation),
        listeners: vec![listener],
        features: features::supported().map(feature).collect(),
        log_dirs: vec![Uuid::from_u128((1 << 100) + broker_id as u128)],
        previous_broker_epoch,
        ..Default::default()
    }
}

fn heartbeat(controller: &mut Controller, broker_id: i32, want_shut_down: bool) -> bool {
    let broker_epoch = controller.image().cluster().broker(broker_id).expect("registered").epoch;
    let request = BrokerHeartbeatRequest {
        broker_id,
        broker_epoch,
        current_metadata_offset: i64::MAX,
        want_shut_down,
        ..Default::default()
    };
    controller.broker_heartbeat(&request).should_shut_down
}

/// An active controller with one broker.
pub(super) fn controller() -> Controller {
    let mut controller = Controller::new(settings(), MetadataDelta::default(), 1, 1);
    controller.activate(None);
    assert_eq!(controller.register_broker(&registration(1, 7, -1)).error_code, 0);
    heartbeat(&mut controller, 1, false);
    controller
}

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions, replication_factor, ..Default::default() }
}

fn create(controller: &mut Controller, topics: Vec<CreatableTopic>) -> Vec<(i16, String)> {
    let request = CreateTopicsRequest { topics, ..Default::default() };
    let results = controller.create_topics(&request).topics;
    results.into_iter().map(|one| (one.error_code, one.error_message.map(String::from).unwrap_or_default())).collect()
}

fn create_one(controller: &mut Controller, topic: CreatableTopic) -> (i16, String) {
    create(controller, vec![topic]).remove(0)
}

#[test]
fn a_new_cluster_starts_as_apache_kafka_starts_it() {
    let mut controller = controller();
    let names: Vec<&str> = controller.take_pending(0).iter().map(MetadataRecord::name).collect();
    let expected = [
        vec!["BeginTransactionRecord"],
        vec!["FeatureLevelRecord"; 6],
        vec!["ConfigRecord", "EndTransactionRecord", "RegisterBrokerRecord", "BrokerRegistrationChangeRecord"],
    ];
    assert_eq!(names, expected.concat());
    assert_eq!(controller.image().configs().broker_default().expect("set")["min.insync.replicas"], "1");
}

#[test]
fn topics_get_partitions_with_a_leader_and_a_directory() {
    let mut controller = controller();
    assert_eq!(create_one(&mut controller, topic("orders", 3, 1)), (0, String::new()));
    let orders = controller.image().topics().by_name("orders").expect("exists");
    assert_eq!(orders.partition_count(), 3);
    let partition = &orders.partitions[&2];
    assert_eq!((&partition.replicas[..], &partition.isr[..], partition.leader), (&[1][..], &[1][..], 1));
    assert_eq!((partition.leader_epoch, partition.partition_epoch), (0, 0));
    assert_eq!(partition.directories, [Uuid::from_u128((1 << 100) + 1)]);
}

#[test]
fn create_topics_refuses_in_kafkas_words() {
    let mut controller = controller();
    assert_eq!(create_one(&mut controller, topic("a.b", 1, 1)).0, 0);
    let cases = [
        (topic("a.b", 1, 1), 36, "Topic 'a.b' already exists."),
        (topic("a_b", 1, 1), 17, "Topic 'a_b' collides with existing topic: a.b"),
        (topic("", 1, 1), 17, "Topic name is invalid: the empty string is not allowed"),
        (topic("..", 1, 1), 17, "Topic name is invalid: '..' is not allowed"),
        (
            topic("a b", 1, 1),
            17,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (topic("x", 0, 1), 37, "Number of partitions was set to an invalid non-positive value."),
        (topic("x", 1, 0), 38, "Replication factor must be larger than 0, or -1 to use the default value."),
        (
            topic("x", 1, 2),
            38,
            "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because only \
             1 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
        (topic("__cluster_metadata", 1, 1), 42, "Creation of internal topic __cluster_metadata is prohibited."),
        (topic("x", 20_000, 1), 44, "Excessively large number of partitions per request."),
    ];
    for (topic, code, text) in cases {
        assert_eq!(create_one(&mut controller, topic), (code, text.to_owned()));
    }
    let twice = create(&mut controller, vec![topic("y", 1, 1), topic("y", 1, 1), topic("z", 1, 1)]);
    assert_eq!(twice, [(0, String::new()), (42, "Duplicate topic name.".into())]);
}

#[test]
fn manual_assignments_are_checked() {
    let mut controller = controller();
    let assigned = |assignments: &[(i32, &[i32])]| {
        let assignment = |(index, ids): &(i32, &[i32])| CreatableReplicaAssignment {
            partition_index: *index,
            broker_ids: ids.to_vec(),
        };
        CreatableTopic { assignments: assignments.iter().map(assignment).collect(), ..topic("t", -1, -1) }
    };
    let text = |result: (i16, String)| {
        assert_eq!(result.0, 39);
        result.1
    };
    let mut refused = |assignments: &[(i32, &[i32])]| text(create_one(&mut controller, assigned(assignments)));
    assert_eq!(refused(&[(0, &[])]), "The manual partition assignment includes an empty replica list.");
    assert_eq!(
        refused(&[(0, &[2])]),
        "The manual partition assignment includes broker 2, but no such broker is registered."
    );
    assert_eq!(refused(&[(0, &[1, 1])]), "The manual partition assignment includes the broker 1 more than once.");
    assert_eq!(refused(&[(1, &[1])]), "partitions should be a consecutive 0-based integer sequence");
    assert_eq!(refused(&[(0, &[1]), (0, &[1])]), "Found multiple manual partition assignments for partition 0");
    let with_count = CreatableTopic { num_partitions: 1, ..assigned(&[(0, &[1])]) };
    assert_eq!(create_one(&mut controller, with_count).0, 42);
    assert_eq!(create_one(&mut controller, assigned(&[(1, &[1]), (0, &[1])])).0, 0);
}

#[test]
fn configs_of_a_new_topic_are_checked_and_told() {
    let mut controller = controller();
    let with = |name: &str, value: Option<&str>| CreatableTopic {
        configs: vec![CreatableTopicConfig { name: name.into(), value: value.map(KafkaString::from) }],
        ..topic("t", 1, 1)
    };
    let (code, text) = create_one(&mut controller, with("nope", Some("1")));
    assert_eq!((code, text.as_str()), (40, "Unknown topic config name: nope"));
    let (code, text) = create_one(&mut controller, with("retention.ms", None));
    assert_eq!((code, text.as_str()), (40, "Null value not supported for topic configs: retention.ms"));
    assert_eq!(create_one(&mut controller, with("retention.ms", Some("x"))).0, 40);
    let request = CreateTopicsRequest {
        topics: vec![with("retention.ms", Some("5"))],
        validate_only: true,
        ..Default::default()
    };
    let result = controller.create_topics(&request).topics.remove(0);
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (0, 1, 1));
    let configs = result.configs.expect("told");
    let retention = configs.iter().find(|config| config.name == "retention.ms").expect("listed");
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("5"), 1));
    assert!(controller.image().topics().by_name("t").is_none(), "only validated");
}

#[test]
fn topics_are_deleted_by_name_and_id() {
    let mut controller = controller();
    create(&mut controller, vec![topic("a", 1, 1), topic("b", 1, 1), topic("c", 1, 1)]);
    let id = |controller: &Controller, name: &str| controller.image().topics().by_name(name).expect("exists").id;
    let by = |name: Option<&str>, topic_id: Uuid| DeleteTopicState { name: name.map(KafkaString::from), topic_id };
    let (a, b) = (id(&controller, "a"), id(&controller, "b"));
    let topics =
        vec![by(None, a), by(Some("b"), Uuid::ZERO), by(None, b), by(Some("x"), Uuid::ZERO), by(None, Uuid::ZERO)];
    let request = DeleteTopicsRequest { topics, timeout_ms: 1000, ..Default::default() };
    let mut answers: Vec<(Option<String>, i16)> = controller
        .delete_topics(&request, 6)
        .responses
        .into_iter()
        .map(|answer| (answer.name.map(String::from), answer.error_code))
        .collect();
    answers.sort();
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(answers, [(None, 42), (name("a"), 0), (name("b"), 42), (name("x"), 3)]);
    assert!(controller.image().topics().by_name("a").is_none());
    assert!(controller.image().topics().by_name("b").is_some(), "it was named twice");
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let mut controller = controller();
    create(&mut controller, vec![topic("t", 2, 1)]);
    let mut grow = |count: i32, assignments: Option<Vec<Vec<i32>>>| {
        let assignment = |broker_ids| CreatePartitionsAssignment { broker_ids };
        let assignments = assignments.map(|list| list.into_iter().map(assignment).collect());
        let topics = vec![CreatePartitionsTopic { name: "t".into(), count, assignments }];
        let request = CreatePartitionsRequest { topics, timeout_ms: 1000, ..Default::default() };
        let result = controller.create_partitions(&request).results.remove(0);
        (result.error_code, result.error_message.map(String::from).unwrap_or_default())
    };
    assert_eq!(grow(2, None), (37, "Topic already has 2 partition(s).".into()));
    assert_eq!(grow(1, None).1, "The topic t currently has 2 partition(s); 1 would not be an increase.");
    assert_eq!(
        grow(4, Some(vec![vec![1]])).1,
        "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."
    );
    assert_eq!(grow(3, Some(vec![vec![1]])).0, 0);
    assert_eq!(grow(5, None).0, 0);
    assert_eq!(controller.image().topics().by_name("t").expect("exists").partition_count(), 5);
}

#[test]
fn configs_change_key_by_key_or_as_a_whole() {
    use incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest};
    let mut controller = controller();
    create(&mut controller, vec![topic("t", 1, 1)]);
    let mut alter = |kind: i8, name: &str, changes: &[(&str, i8, Option<&str>)]| {
        let change = |(name, operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
            name: (*name).into(),
            config_operation: *operation,
            value: value.map(KafkaString::from),
        };
        let configs = changes.iter().map(change).collect();
        let resources = vec![AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs }];
        let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
        let answer = controller.incremental_alter_configs(&request).responses.remove(0);
        (answer.error_code, answer.error_message.map(String::from).unwrap_or_default())
    };
    assert_eq!(alter(2, "t", &[("retention.ms", 0, Some("7")), ("cleanup.policy", 2, Some("compact"))]).0, 0);
    assert_eq!(alter(2, "t", &[("cleanup.policy", 3, Some("delete"))]).0, 0);
    let not_a_list = alter(2, "t", &[("retention.ms", 2, Some("7"))]);
    assert_eq!(not_a_list, (40, "Can't APPEND to key retention.ms because its type is not LIST.".into()));
    assert_eq!(alter(2, "x", &[("retention.ms", 0, Some("7"))]), (3, "The topic 'x' does not exist.".into()));
    assert_eq!(alter(2, "t", &[("retention.ms", 0, None)]), (42, "Null value not supported for : retention.ms".into()));
    assert_eq!(alter(2, "t", &[("a", 0, Some("")), ("a", 1, None)]).1, "Error due to duplicate config keys");
    assert_eq!(alter(2, "t", &[("retention.ms", 9, Some("7"))]).1, "Unknown operations type 9");
    assert_eq!(alter(3, "t", &[]).1, "Unknown resource type 3");
    assert_eq!(alter(4, "2", &[]).1, "Unexpected broker id, expected 1, but received 2");
    let removal = alter(4, "", &[("min.insync.replicas", 1, None)]);
    assert_eq!(removal, (40, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.".into()));
    assert_eq!(alter(4, "", &[("log.retention.ms", 0, Some("9"))]).0, 0);
    let configs = controller.image().configs().topic("t").expect("set").clone();
    assert_eq!((&*configs["retention.ms"], &*configs["cleanup.policy"]), ("7", "compact"));

    use alter_configs as whole;
    let config = whole::AlterableConfig { name: "segment.ms".into(), value: Some("100".into()) };
    let resources =
        vec![whole::AlterConfigsResource { resource_type: 2, resource_name: "t".into(), configs: vec![config] }];
    let request = whole::AlterConfigsRequest { resources, validate_only: false };
    assert_eq!(controller.alter_configs(&request).responses[0].error_code, 0);
    let configs = controller.image().configs().topic("t").expect("set").clone();
    assert_eq!(configs.keys().map(|key| key.to_string()).collect::<Vec<_>>(), ["segment.ms"]);
}

#[test]
fn producer_ids_come_in_blocks_that_do_not_overlap() {
    let mut controller = controller();
    let broker_epoch = controller.image().cluster().broker(1).expect("registered").epoch;
    let request = allocate_producer_ids::AllocateProducerIdsRequest { broker_id: 1, broker_epoch };
    for block in 0..3 {
        let answer = controller.allocate_producer_ids(&request);
        assert_eq!((answer.producer_id_start, answer.producer_id_len), (block * 1000, 1000));
    }
    let stale = allocate_producer_ids::AllocateProducerIdsRequest { broker_id: 1, broker_epoch: broker_epoch - 1 };
    assert_eq!(controller.allocate_producer_ids(&stale).error_code, 77);
}

#[test]
fn a_broker_that_stops_and_comes_back_leads_again() {
    let mut controller = controller();
    create(&mut controller, vec![topic("t", 1, 1)]);
    let state = |controller: &Controller| {
        let partition = controller.image().topics().by_name("t").expect("exists").partitions[&0].clone();
        (partition.leader, partition.leader_epoch, partition.leader_recovery_state)
    };
    assert!(!heartbeat(&mut controller, 1, true), "it leads, so it must wait");
    assert_eq!(state(&controller), (-1, 1, 0));
    assert!(heartbeat(&mut controller, 1, true));
    let epoch = controller.image().cluster().broker(1).expect("registered").epoch;

    assert_eq!(controller.register_broker(&registration(1, 8, epoch)).error_code, 0);
    heartbeat(&mut controller, 1, false);
    assert_eq!(state(&controller), (1, 2, 0), "a clean stop loses nothing");

    assert_eq!(controller.register_broker(&registration(1, 9, -1)).error_code, 0);
    assert_eq!(state(&controller).0, -1);
    heartbeat(&mut controller, 1, false);
    assert_eq!(state(&controller), (1, 4, 1), "after a kill the last leader recovers");
}

#[test]
fn registrations_are_checked() {
    let mut controller = controller();
    let mut other_cluster = registration(2, 3, -1);
    other_cluster.cluster_id = "x".into();
    assert_eq!(controller.register_broker(&other_cluster).error_code, ErrorCode::InconsistentClusterId.code());
    let mut no_dirs = registration(2, 3, -1);
    no_dirs.log_dirs.clear();
    assert_eq!(controller.register_broker(&no_dirs).error_code, ErrorCode::InvalidRegistration.code());
    let mut taken = registration(2, 3, -1);
    taken.log_dirs = registration(1, 3, -1).log_dirs;
    assert_eq!(controller.register_broker(&taken).error_code, ErrorCode::InvalidRegistration.code());
    let mut old = registration(2, 3, -1);
    old.features.retain(|feature| feature.name != "group.version");
    assert_eq!(controller.register_broker(&old).error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(controller.register_broker(&registration(2, 3, -1)).error_code, 0);
}

#[test]
fn preferred_leaders_are_elected_only_where_needed() {
    let mut controller = controller();
    create(&mut controller, vec![topic("t", 1, 1)]);
    let mut elect = |topics: Option<&[(&str, i32)]>| {
        let topic = |(name, index): &(&str, i32)| elect_leaders::TopicPartitions {
            topic: (*name).into(),
            partitions: vec![*index],
        };
        let topic_partitions = topics.map(|topics| topics.iter().map(topic).collect());
        controller.elect_leaders(&elect_leaders::ElectLeadersRequest {
            election_type: 0,
            topic_partitions,
            timeout_ms: 1000,
        })
    };
    let results = elect(Some(&[("t", 0), ("t", 9), ("x", 0)])).replica_election_results;
    let codes: Vec<i16> = results.iter().map(|result| result.partition_result[0].error_code).collect();
    assert_eq!(codes, [84, 3, 3]);
    assert_eq!(results[1].partition_result[0].error_message.as_deref(), Some("No such partition as t-9"));
    assert!(elect(None).replica_election_results[0].partition_result.is_empty());
}

#[test]
fn features_move_within_what_everybody_supports() {
    let mut controller = controller();
    let mut update = |feature: &str, level: i16, upgrade_type: i8| {
        let update = update_features::FeatureUpdateKey {
            feature: feature.into(),
            max_version_level: level,
            upgrade_type,
            ..Default::default()
        };
        let request = update_features::UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
        let answer = controller.update_features(&request, 2);
        (answer.error_code, answer.error_message.map(String::from).unwrap_or_default())
    };
    assert_eq!(update("group.version", 0, 2), (0, String::new()));
    assert_eq!(update("group.version", 1, 1), (0, String::new()));
    assert!(update("group.version", 2, 1).1.contains("Local controller 1 only supports versions 0-1"));
    assert!(update("foo", 1, 1).1.contains("Local controller 1 does not support this feature."));
    assert!(update("metadata.version", 29, 1).1.contains("Can't downgrade the version of this feature without"));
    let lossy = update("metadata.version", 29, 2);
    assert_eq!(lossy.0, 95);
    assert!(
        lossy.1.contains("Refusing to perform the requested downgrade because it might delete metadata information.")
    );
}

#[test]
fn quotas_are_set_changed_and_removed() {
    use crate::protocol::alter_client_quotas::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
    let mut controller = controller();
    let mut alter = |parts: &[(&str, Option<&str>)], key: &str, value: Option<f64>| {
        let part = |(kind, name): &(&str, Option<&str>)| EntityData {
            entity_type: (*kind).into(),
            entity_name: name.map(KafkaString::from),
        };
        let op = OpData { key: key.into(), value: value.unwrap_or(0.0), remove: value.is_none() };
        let entry = EntryData { entity: parts.iter().map(part).collect(), ops: vec![op] };
        let request = AlterClientQuotasRequest { entries: vec![entry], validate_only: false };
        let answer = controller.alter_client_quotas(&request).entries.remove(0);
        let count = controller.image().quotas().iter().count();
        (answer.error_code, answer.error_message.map(String::from).unwrap_or_default(), count)
    };
    let user = [("user", None), ("client-id", Some("c"))];
    assert_eq!(alter(&user, "producer_byte_rate", Some(1024.0)), (0, String::new(), 1));
    assert_eq!(alter(&user, "request_percentage", Some(12.5)).0, 0);
    assert_eq!(alter(&user, "consumer_byte_rate", Some(9.5)).1, "consumer_byte_rate cannot be a fractional value.");
    assert_eq!(alter(&user, "foo", Some(9.5)).1, "Invalid configuration key foo");
    assert_eq!(alter(&user, "request_percentage", Some(0.0)).1, "Quota request_percentage must be greater than 0");
    assert_eq!(alter(&[("group", None)], "foo", Some(1.0)).1, "Unhandled client quota entity type: group");
    assert_eq!(alter(&[], "foo", Some(1.0)).1, "Invalid empty client quota entity");
    assert_eq!(alter(&user, "request_percentage", None).2, 1);
    assert_eq!(alter(&user, "producer_byte_rate", None).2, 0);
}
