//! Tests of the module above.

use super::*;
use crate::protocol::records::metadata::*;

fn topic(name: &str, id: u128) -> MetadataRecord {
    TopicRecord { name: name.into(), topic_id: Uuid::from_u128(id) }.into()
}

fn partition(id: u128, index: i32) -> MetadataRecord {
    PartitionRecord {
        partition_id: index,
        topic_id: Uuid::from_u128(id),
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid::from_u128(99)],
        ..Default::default()
    }
    .into()
}

fn config(kind: i8, resource: &str, name: &str, value: Option<&str>) -> MetadataRecord {
    ConfigRecord {
        resource_type: kind,
        resource_name: resource.into(),
        name: name.into(),
        value: value.map(KafkaString::from),
    }
    .into()
}

fn replay(records: &[MetadataRecord]) -> MetadataDelta {
    let mut delta = MetadataDelta::default();
    for record in records {
        delta.apply(record).expect("records that fit");
    }
    delta
}

#[test]
fn topics_are_found_by_name_and_id() {
    let delta = replay(&[topic("orders", 7), partition(7, 0), partition(7, 1)]);
    let topics = delta.image().topics();
    assert_eq!(topics.by_name("orders").expect("exists").partition_count(), 2);
    assert_eq!(topics.by_id(&Uuid::from_u128(7)).expect("exists").name, "orders");
    assert_eq!(topics.partition(&Uuid::from_u128(7), 1).expect("exists").leader, 1);
    assert!(topics.by_name("other").is_none());
}

#[test]
fn epochs_are_counted_from_the_changes() {
    let mut delta = replay(&[topic("orders", 7), partition(7, 0)]);
    let change =
        |leader| PartitionChangeRecord { partition_id: 0, topic_id: Uuid::from_u128(7), leader, ..Default::default() };
    let epochs = |delta: &MetadataDelta| {
        let partition = delta.image().topics().partition(&Uuid::from_u128(7), 0).expect("exists").clone();
        (partition.leader, partition.leader_epoch, partition.partition_epoch)
    };
    delta.apply(&change(1).into()).expect("the same leader again");
    assert_eq!(epochs(&delta), (1, 1, 1));
    delta.apply(&change(NO_LEADER_CHANGE).into()).expect("no leader named");
    assert_eq!(epochs(&delta), (1, 1, 2));
    delta.apply(&change(NO_LEADER).into()).expect("no leader");
    assert_eq!(epochs(&delta), (NO_LEADER, 2, 3));
}

#[test]
fn a_published_image_does_not_change() {
    let mut delta = replay(&[topic("orders", 7), partition(7, 0)]);
    let before = delta.publishable();
    delta.apply(&topic("other", 8)).expect("a new topic");
    delta.apply(&partition(8, 0)).expect("its partition");
    let after = delta.publishable();
    assert_eq!((before.topics().len(), after.topics().len()), (1, 2));
    assert!(before.same_configs(&after));
    let changes = after.topics().changes_since(before.topics());
    assert_eq!((changes.removed.len(), changes.changed.len()), (0, 1));
    assert_eq!(changes.changed[0].name, "other");
}

#[test]
fn a_topic_created_again_is_removed_and_changed() {
    let mut delta = replay(&[topic("orders", 7), partition(7, 0), config(2, "orders", "retention.ms", Some("1"))]);
    let before = delta.publishable();
    delta.apply(&RemoveTopicRecord { topic_id: Uuid::from_u128(7) }.into()).expect("exists");
    assert!(delta.image().configs().topic("orders").is_none(), "its configuration goes with it");
    delta.apply(&topic("orders", 8)).expect("the name is free");
    let changes = delta.image().topics().changes_since(before.topics());
    assert_eq!(changes.removed[0].id, Uuid::from_u128(7));
    assert_eq!(changes.changed[0].id, Uuid::from_u128(8));
}

#[test]
fn a_transaction_is_published_whole_or_not_at_all() {
    let begin = MetadataRecord::from(BeginTransactionRecord::default());
    let mut delta = replay(&[topic("a", 1), begin.clone(), topic("b", 2)]);
    assert!(delta.in_transaction());
    assert_eq!((delta.image().topics().len(), delta.publishable().topics().len()), (2, 1));
    delta.apply(&AbortTransactionRecord::default().into()).expect("one is open");
    assert_eq!(delta.publishable().topics().len(), 1);
    delta.apply(&begin).expect("a new one");
    delta.apply(&topic("c", 3)).expect("a new topic");
    delta.apply(&EndTransactionRecord::default().into()).expect("one is open");
    assert_eq!(delta.publishable().topics().len(), 2);
    assert_eq!(delta.apply(&EndTransactionRecord::default().into()), Err(ReplayError::NoTransaction));
}

#[test]
fn configs_are_set_and_removed() {
    let mut delta = replay(&[config(4, "", "log.retention.ms", Some("5")), config(32, "g", "x", Some("1"))]);
    assert_eq!(delta.image().configs().broker_default().expect("set")["log.retention.ms"], "5");
    delta.apply(&config(4, "", "log.retention.ms", None)).expect("removed");
    assert!(delta.image().configs().broker_default().is_none());
    assert_eq!(delta.apply(&config(3, "", "x", None)), Err(ReplayError::UnknownResourceType(3)));
}

#[test]
fn records_that_do_not_fit_are_refused() {
    let mut delta = replay(&[topic("orders", 7), partition(7, 0)]);
    assert!(matches!(delta.apply(&topic("orders", 8)), Err(ReplayError::TopicExists { .. })));
    assert_eq!(delta.apply(&partition(9, 0)), Err(ReplayError::UnknownTopic(Uuid::from_u128(9))));
    let change = PartitionChangeRecord { partition_id: 5, topic_id: Uuid::from_u128(7), ..Default::default() };
    assert!(matches!(delta.apply(&change.into()), Err(ReplayError::UnknownPartition(_, 5))));
    let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 31 };
    let error = delta.apply(&feature.into()).expect_err("too new");
    assert!(error.to_string().contains("feature metadata.version is finalized at level 31"), "{error}");
    let change = BrokerRegistrationChangeRecord { broker_id: 3, ..Default::default() };
    assert_eq!(delta.apply(&change.into()), Err(ReplayError::UnknownBroker(3)));
}

#[test]
fn an_image_and_its_records_are_the_same() {
    let endpoint =
        BrokerEndpoint { name: "PLAINTEXT".into(), host: "localhost".into(), port: 9092, security_protocol: 0 };
    let records = [
        FeatureLevelRecord { name: "metadata.version".into(), feature_level: 30 }.into(),
        FeatureLevelRecord { name: "group.version".into(), feature_level: 1 }.into(),
        RegisterBrokerRecord {
            broker_id: 1,
            broker_epoch: 12,
            end_points: vec![endpoint],
            fenced: false,
            log_dirs: vec![Uuid::from_u128(99)],
            cordoned_log_dirs: Some(vec![]),
            ..Default::default()
        }
        .into(),
        topic("orders", 7),
        partition(7, 0),
        config(2, "orders", "retention.ms", Some("1")),
        ClientQuotaRecord {
            entity: vec![EntityData { entity_type: "user".into(), entity_name: None }],
            key: "producer_byte_rate".into(),
            value: 1024.5,
            remove: false,
        }
        .into(),
        ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id: 3000 }.into(),
        AccessControlEntryRecord { id: Uuid::from_u128(3), principal: "User:a".into(), ..Default::default() }.into(),
        UserScramCredentialRecord { name: "alice".into(), mechanism: 1, iterations: 4096, ..Default::default() }.into(),
        DelegationTokenRecord { token_id: "t".into(), renewers: vec!["User:b".into()], ..Default::default() }.into(),
    ];
    assert_eq!(replay(&records).image().to_records(), records);
}
