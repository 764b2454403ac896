//! Ordinary requests with one byte changed, byte after byte: what a broken client, or none at all, might send.

use millrace::protocol::Request;
use millrace::protocol::alter_configs::{self, AlterConfigsRequest};
use millrace::protocol::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use millrace::protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use millrace::protocol::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use millrace::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millrace::protocol::describe_cluster::DescribeClusterRequest;
use millrace::protocol::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use millrace::protocol::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use millrace::protocol::describe_producers::{self, DescribeProducersRequest};
use millrace::protocol::describe_topic_partitions::{self, DescribeTopicPartitionsRequest};
use millrace::protocol::elect_leaders::{self, ElectLeadersRequest};
use millrace::protocol::frame::SIZE_BYTES;
use millrace::protocol::init_producer_id::InitProducerIdRequest;
use millrace::protocol::list_config_resources::ListConfigResourcesRequest;
use millrace::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::protocol::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use millrace::protocol::metadata::{MetadataRequest, MetadataRequestTopic};
use millrace::protocol::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use millrace::protocol::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};

use crate::Oracle;
use crate::fetch::fetch;
use crate::peer::Peer;
use crate::produce::{append, batch, patched, produce};

const TOPIC: &str = "mutated";
/// Size, API, version, correlation id and client id, which `frames.rs` is about.
const HEADER_LEN: usize = 20;
/// Where the checksum of a batch is, and what it is about.
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
/// What a broker chooses for itself: the words of documentation, how small its encoder makes the batches of other
/// cases, when all partitions of a log directory are told, and the ids of members.
const OWN: [&str; 3] = ["documentation", "partition_size", "member_id"];
const VALUES: [u8; 5] = [0x00, 0x01, 0x7f, 0x80, 0xff];

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create(TOPIC, 2, &[]);
        // Where a change makes it the count of tagged fields, an id that happens to begin with a small one is read, and most are not.
        while peer.id(TOPIC).as_bytes()[0] < 0x20 {
            peer.delete(TOPIC);
            peer.create(TOPIC, 2, &[]);
        }
        append(peer, TOPIC, 0, &batch(3).build());
    });
    batches(oracle);
    reads(oracle);
    lookups(oracle);
    descriptions(oracle);
    changes(oracle);
    cluster(oracle);
    crate::group_mutations::cases(oracle);
}

/// The request of each of `versions` with every byte behind the header set to each of [`VALUES`], and cut before it.
pub fn mutate<R: Request>(oracle: &mut Oracle, versions: &[i16], request: impl Fn(&Peer) -> R) {
    for version in versions {
        let api = R::API_KEY.name();
        let frames = oracle.both(|peer| Peer::frame(&request(peer), *version));
        for at in HEADER_LEN..frames[0].len() {
            // Topic ids are random: a value that one side's has there anyway would change the other's request alone.
            let changes_both =
                |value: &u8| frames[0][at] == frames[1][at] || frames.iter().all(|frame| frame[at] != *value);
            for value in VALUES.into_iter().filter(changes_both) {
                let fact = format!("byte {at} as {value:#04x}, {api} {version}");
                changed(oracle, &fact, *version, &request, |frame| frame[at] = value);
            }
            changed(oracle, &format!("cut at byte {at}, {api} {version}"), *version, &request, |frame| {
                frame.truncate(at);
                let size = i32::try_from(at - SIZE_BYTES).expect("a small frame");
                frame[..SIZE_BYTES].copy_from_slice(&size.to_be_bytes());
            });
        }
    }
}

fn changed<R: Request>(
    oracle: &mut Oracle,
    fact: &str,
    version: i16,
    request: impl Fn(&Peer) -> R,
    change: impl Fn(&mut Vec<u8>),
) {
    let answers = oracle.both(|peer| {
        let mut frame = Peer::frame(&request(peer), version).to_vec();
        change(&mut frame);
        peer.ask_bytes::<R>(&frame, version)
    });
    if answers[1].is_failure_inside() && answers[0].is_answer() {
        // Apache Kafka didn't foresee it: see `better.rs`.
        oracle.asked += 1;
        return;
    }
    oracle.compare(fact, &answers, &OWN);
}

/// A batch with every byte changed, the checksum made right again.
fn batches(oracle: &mut Oracle) {
    let len = batch(2).build().len();
    for at in (0..CRC_AT).chain(ATTRIBUTES_AT..len) {
        for value in VALUES {
            let fact = format!("byte {at} of a batch as {value:#04x}");
            let bytes = patched(batch(2), |batch| batch[at] = value);
            oracle.same(&fact, [9], |peer, _| produce(peer, TOPIC, 1, bytes.clone()));
        }
    }
}

fn reads(oracle: &mut Oracle) {
    mutate(oracle, &[3, 13], |peer| produce(peer, TOPIC, 1, batch(1).build()));
    mutate(oracle, &[4, 11, 12, 17], |peer| fetch(peer, TOPIC, &[(0, 1)]));
}

fn lookups(oracle: &mut Oracle) {
    mutate(oracle, &[1, 5, 10], |_| ListOffsetsRequest {
        replica_id: -1,
        timeout_ms: 5000,
        topics: vec![ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![ListOffsetsPartition { timestamp: -2, ..Default::default() }],
        }],
        ..Default::default()
    });
    mutate(oracle, &[2, 4], |_| OffsetForLeaderEpochRequest {
        replica_id: -2,
        topics: vec![OffsetForLeaderTopic {
            topic: TOPIC.into(),
            partitions: vec![OffsetForLeaderPartition { partition: 0, current_leader_epoch: -1, leader_epoch: 0 }],
        }],
    });
    mutate(oracle, &[1, 8, 9, 12], |_| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    });
}

fn descriptions(oracle: &mut Oracle) {
    mutate(oracle, &[0, 2], |_| DescribeClusterRequest::default());
    mutate(oracle, &[1, 4], |_| DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: 2,
            resource_name: TOPIC.into(),
            configuration_keys: Some(vec!["retention.ms".into()]),
        }],
        include_synonyms: true,
        ..Default::default()
    });
    mutate(oracle, &[1, 5], |_| DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic { topic: TOPIC.into(), partitions: vec![0] }]),
    });
    mutate(oracle, &[0], |_| DescribeProducersRequest {
        topics: vec![describe_producers::TopicRequest { name: TOPIC.into(), partition_indexes: vec![0] }],
    });
    mutate(oracle, &[0], |_| DescribeTopicPartitionsRequest {
        topics: vec![describe_topic_partitions::TopicRequest { name: TOPIC.into() }],
        response_partition_limit: 2000,
        cursor: None,
    });
}

fn changes(oracle: &mut Oracle) {
    mutate(oracle, &[2, 7], |_| CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "made-by-mutation".into(),
            num_partitions: 2,
            replication_factor: 1,
            configs: vec![CreatableTopicConfig { name: "retention.ms".into(), value: Some("1000".into()) }],
            ..Default::default()
        }],
        validate_only: true,
        ..Default::default()
    });
    mutate(oracle, &[0, 2], |_| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: TOPIC.into(),
            partitions: vec![DeleteRecordsPartition { partition_index: 0, offset: 1 }],
        }],
        timeout_ms: 5000,
    });
}

fn cluster(oracle: &mut Oracle) {
    mutate(oracle, &[1, 6], |_| DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some("nowhere".into()), ..Default::default() }],
        topic_names: vec!["nowhere".into()],
        timeout_ms: 10_000,
    });
    mutate(oracle, &[0, 2], |_| AlterConfigsRequest {
        resources: vec![alter_configs::AlterConfigsResource {
            resource_type: 2,
            resource_name: TOPIC.into(),
            configs: vec![alter_configs::AlterableConfig { name: "flush.ms".into(), value: Some("99".into()) }],
        }],
        validate_only: true,
    });
    mutate(oracle, &[0, 4], |_| InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..Default::default()
    });
    mutate(oracle, &[0, 2], |_| ElectLeadersRequest {
        election_type: 0,
        topic_partitions: Some(vec![elect_leaders::TopicPartitions { topic: TOPIC.into(), partitions: vec![0] }]),
        timeout_ms: 10_000,
    });
    mutate(oracle, &[0, 1], |_| AlterPartitionReassignmentsRequest {
        timeout_ms: 10_000,
        allow_replication_factor_change: true,
        topics: vec![ReassignableTopic {
            name: TOPIC.into(),
            partitions: vec![ReassignablePartition { partition_index: 0, replicas: Some(vec![1]) }],
        }],
    });
    mutate(oracle, &[0], |_| ListPartitionReassignmentsRequest {
        timeout_ms: 10_000,
        topics: Some(vec![ListPartitionReassignmentsTopics { name: TOPIC.into(), partition_indexes: vec![0] }]),
    });
    mutate(oracle, &[0, 1], |_| UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: "group.version".into(),
            max_version_level: 1,
            allow_downgrade: false,
            upgrade_type: 1,
        }],
        timeout_ms: 10_000,
        validate_only: true,
    });
    mutate(oracle, &[1], |_| ListConfigResourcesRequest { resource_types: vec![4, 16] });
}
