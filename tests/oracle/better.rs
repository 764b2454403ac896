//! Where Apache Kafka plainly misbehaves, and what Millrace does instead.

use millrace::protocol::alter_configs::{self, AlterConfigsRequest};
use millrace::protocol::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use millrace::protocol::describe_topic_partitions::{DescribeTopicPartitionsRequest, TopicRequest};
use millrace::protocol::fetch::FetchRequest;
use millrace::protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millrace::protocol::metadata::{MetadataRequest, MetadataRequestTopic};
use millrace::record::Compression;

use crate::fetch::fetch;
use crate::produce::{append, batch, patched, produce};
use crate::{Oracle, repeated};

pub fn cases(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create("better", 1, &[]);
        append(peer, "better", 0, &batch(2).build());
    });
    records(oracle);
    fetches(oracle);
    for (version, whole) in [(12, 0), (13, -1)] {
        let theirs = format!("an answer (error_code={whole}, topics[0].error_code=-1)");
        let outcomes = ["an answer (error_code=0, topics[0].error_code=17)", &theirs];
        oracle.better("a topic with neither id nor name", version, outcomes, |_| MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name: None, ..Default::default() }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        });
    }
    let outcomes = [
        "an answer (topics[0].error_code=17, topics[1].error_code=0, topics[1].partitions[0].error_code=0)",
        "an answer (topics[0].error_code=-1, topics[1].error_code=-1)",
    ];
    oracle.better("an empty name spoils the whole answer", 0, outcomes, |_| DescribeTopicPartitionsRequest {
        topics: ["", "better"].map(|name| TopicRequest { name: name.into() }).into(),
        ..Default::default()
    });
    let outcomes = ["an answer (responses[0].error_code=42, responses[1].error_code=42)", "silence"];
    oracle.better("a resource twice is never answered", 2, outcomes, |_| AlterConfigsRequest {
        resources: repeated(
            &[alter_configs::AlterConfigsResource {
                resource_type: 2,
                resource_name: "better".into(),
                configs: Vec::new(),
            }],
            2,
        ),
        validate_only: false,
    });
    too_many_partitions(oracle);
    unknown_operation(oracle);
}

fn records(oracle: &mut Oracle) {
    let answer = |code: i16| format!("an answer (responses[0].partition_responses[0].error_code={code})");
    let (invalid, failed) = (answer(87), answer(-1));
    oracle.better("null records are never answered", 9, [&invalid, "silence"], |peer| {
        let mut request = produce(peer, "better", 0, Vec::new());
        request.topic_data[0].partition_data[0].records = None;
        request
    });
    oracle.better("a batch length that overflows is a failure inside", 9, [&invalid, &failed], |peer| {
        let mut bytes = batch(2).build().to_vec();
        bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        produce(peer, "better", 0, bytes)
    });
    for codec in [Compression::Gzip, Compression::Snappy] {
        let fact = format!("bytes behind the last record in {} are not seen", codec.name());
        oracle.better(&fact, 9, [&failed, &answer(0)], |peer| {
            let longer = patched(batch(3).codec(codec, codec.default_level()), |batch| {
                batch.extend([0, 0, 0]);
                let length = i32::try_from(batch.len() - 12).expect("a small batch");
                batch[8..12].copy_from_slice(&length.to_be_bytes());
            });
            produce(peer, "better", 0, longer)
        });
    }
}

fn fetches(oracle: &mut Oracle) {
    let answer = |code: i16| format!("an answer (error_code=0, responses[0].partitions[0].error_code={code})");
    let (fine, failed) = (answer(0), answer(-1));
    oracle.better("fewer than no bytes of a partition are a failure inside", 12, [&fine, &failed], |peer| {
        let mut request = fetch(peer, "better", &[(0, 0)]);
        request.topics[0].partitions[0].partition_max_bytes = -1;
        request
    });
    oracle.better(
        "the least session id is a failure inside",
        12,
        [
            "an answer (error_code=0, responses[0].partitions[0].error_code=0)",
            "an answer (error_code=-1, responses[0].partitions[0].error_code=-1)",
        ],
        |peer| FetchRequest { session_id: i32::MIN, session_epoch: -1, ..fetch(peer, "better", &[(0, 0)]) },
    );
    oracle.better("fewer than no bytes in all are a failure inside", 12, [&fine, &failed], |peer| FetchRequest {
        max_bytes: -1,
        ..fetch(peer, "better", &[(0, 0)])
    });
}

/// The controller of Apache Kafka resigns.
fn too_many_partitions(oracle: &mut Oracle) {
    let outcomes = ["an answer (results[0].error_code=44)", "an answer (results[0].error_code=-1)"];
    oracle.better("more partitions than one operation may add", 3, outcomes, |_| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic { name: "better".into(), count: 10_002, assignments: None }],
        timeout_ms: 10_000,
        validate_only: true,
    });
}

/// The controller of Apache Kafka resigns.
fn unknown_operation(oracle: &mut Oracle) {
    for version in 0..=1 {
        let outcomes = ["an answer (responses[0].error_code=42)", "an answer (responses[0].error_code=-1)"];
        oracle.better("an unknown operation", version, outcomes, |_| IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: 2,
                resource_name: "better".into(),
                configs: vec![AlterableConfig {
                    name: "retention.ms".into(),
                    config_operation: 9,
                    value: Some("1".into()),
                }],
            }],
            validate_only: false,
        });
    }
}
