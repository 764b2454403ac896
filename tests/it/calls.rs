//! The requests that these tests need, one function each.

use std::time::Duration;

use bytes::Bytes;
use millrace::protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use millrace::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millrace::protocol::fetch::{FetchPartition, FetchRequest, FetchTopic};
use millrace::protocol::init_producer_id::InitProducerIdRequest;
use millrace::protocol::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use millrace::protocol::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};
use millrace::protocol::produce::{PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData};
use millrace::record::{BatchBuilder, Batches, Decompressor, decode_records};

use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const READY_LIMIT: Duration = Duration::from_secs(20);

/// Creates a topic and waits until it has leaders.
pub fn create_topic(wire: &mut Wire, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    let config =
        |(name, value): &(&str, &str)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) };
    let creatable = CreatableTopic {
        name: topic.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let answer = wire.call(&CreateTopicsRequest { topics: vec![creatable], ..Default::default() }, 7);
    assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0]);
    wait_for("the leaders of a new topic", READY_LIMIT, || {
        let found = describe_topic(wire, topic);
        let ready =
            found.partitions.len() == partitions as usize && found.partitions.iter().all(|one| one.leader_id >= 0);
        (ready && found.error_code == 0).then_some(())
    });
}

/// Deletes a topic.
pub fn delete_topic(wire: &mut Wire, topic: &str) {
    let topics = vec![DeleteTopicState { name: Some(topic.into()), ..Default::default() }];
    let answer = wire.call(&DeleteTopicsRequest { topics, timeout_ms: 5000, ..Default::default() }, 6);
    assert_eq!(answer.responses[0].error_code, 0);
}

/// What Metadata says about one topic.
pub fn describe_topic(wire: &mut Wire, topic: &str) -> MetadataResponseTopic {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    wire.call(&request, 12).topics.swap_remove(0)
}

/// A batch with these values.
pub fn batch(values: &[&[u8]]) -> BatchBuilder {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is after 1970");
    let now = i64::try_from(now.as_millis()).expect("milliseconds fit");
    values.iter().fold(BatchBuilder::new(), |batch, value| batch.append(now, None, Some(value), &[]))
}

/// The request that appends `records` to one partition.
pub fn produce_request(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData { index: partition, records: Some(records) }],
            ..Default::default()
        }],
    }
}

/// Appends `records`; waits while a new partition isn't ready.
pub fn produce(wire: &mut Wire, topic: &str, partition: i32, acks: i16, records: &Bytes) -> PartitionProduceResponse {
    wait_for("the partition to take records", READY_LIMIT, || {
        let answer = wire.call(&produce_request(topic, partition, acks, records.clone()), 9);
        let answer = answer.responses[0].partition_responses[0].clone();
        // NOT_LEADER_OR_FOLLOWER and UNKNOWN_TOPIC_OR_PARTITION pass.
        (!matches!(answer.error_code, 3 | 6)).then_some(answer)
    })
}

/// The request that reads one partition.
pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// All values of a partition from `offset` on.
pub fn read_values(wire: &mut Wire, topic: &str, partition: i32, mut offset: i64) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    loop {
        let answer = wire.call(&fetch_request(topic, partition, offset, 0), 11);
        let answer = &answer.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0, "fetch from {topic}-{partition} at {offset}");
        let records = answer.records.clone().map(millrace::wire::Records::into_bytes).unwrap_or_default();
        if records.is_empty() {
            return values;
        }
        for batch in Batches::new(&records) {
            let Ok(batch) = batch else { break };
            assert!(batch.crc_matches(), "a batch with a wrong checksum came from {topic}-{partition}");
            let mut decompressor = Decompressor::default();
            for record in decode_records(&batch, &mut decompressor, 1 << 24).expect("it was written by us") {
                let record = record.expect("it was written by us");
                if record.offset >= offset {
                    values.push(record.value.unwrap_or_default().to_vec());
                }
            }
            offset = batch.header.last_offset() + 1;
        }
    }
}

/// ListOffsets for one partition: -1 is the end, -2 the beginning.
pub fn list_offset(wire: &mut Wire, topic: &str, partition: i32, timestamp: i64) -> i64 {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition { partition_index: partition, timestamp, ..Default::default() }],
        }],
        ..Default::default()
    };
    let answer = wire.call(&request, 5);
    let answer = &answer.topics[0].partitions[0];
    assert_eq!(answer.error_code, 0, "{answer:?}");
    answer.offset
}

/// A new producer id.
pub fn init_producer(wire: &mut Wire) -> i64 {
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
    wait_for("a producer id", READY_LIMIT, || {
        let answer = wire.call(&request, 4);
        (answer.error_code == 0).then_some(answer.producer_id)
    })
}
