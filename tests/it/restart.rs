//! Stop and start again: topics, ids, configs, records, producers and log starts stay.

use millrace::protocol::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use millrace::protocol::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use millrace::protocol::metadata::MetadataRequest;

use crate::calls::{
    batch, create_topic, delete_topic, describe_topic, init_producer, list_offset, produce, read_values,
};
use crate::support::node::{Kind, Node};
use crate::support::wire::Wire;

#[derive(Clone, Copy)]
enum End {
    Stop,
    Kill,
}

fn restart(node: &mut Node, end: End) -> Wire {
    match end {
        End::Stop => node.stop(),
        End::Kill => node.kill9(),
    }
    node.start_again();
    Wire::connect(node)
}

fn config(wire: &mut Wire, topic: &str, key: &str) -> Option<String> {
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: topic.into(),
        configuration_keys: Some(vec![key.into()]),
    };
    let answer = wire.call(&DescribeConfigsRequest { resources: vec![resource], ..Default::default() }, 4);
    answer.results[0].configs.first().and_then(|config| config.value.as_ref().map(ToString::to_string))
}

fn everything_stays(end: End) {
    let mut node = Node::start(Kind::under_test(), &[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "kept", 3, &[("retention.ms", "123456789")]);
    create_topic(&mut wire, "dropped", 1, &[]);
    let values: Vec<Vec<u8>> = (0..50).map(|index| format!("value {index}").into_bytes()).collect();
    for value in &values {
        assert_eq!(produce(&mut wire, "kept", 1, -1, &batch(&[value]).build()).error_code, 0);
    }
    let producer = init_producer(&mut wire);
    let sequenced = |sequence: i32| batch(&[b"once"]).producer(producer, 0, sequence).build();
    for sequence in 0..3 {
        assert_eq!(produce(&mut wire, "kept", 2, -1, &sequenced(sequence)).error_code, 0);
    }
    delete_records(&mut wire, "kept", 1, 20);
    delete_topic(&mut wire, "dropped");
    let before = describe_topic(&mut wire, "kept");

    for _ in 0..2 {
        wire = restart(&mut node, end);
        let after = describe_topic(&mut wire, "kept");
        assert_eq!(after.topic_id, before.topic_id);
        assert_eq!(after.partitions.len(), 3);
        assert_eq!(config(&mut wire, "kept", "retention.ms").as_deref(), Some("123456789"));
        assert_eq!(describe_topic(&mut wire, "dropped").error_code, 3, "a deleted topic came back");
        assert_eq!(list_offset(&mut wire, "kept", 1, -1), 50);
        assert_eq!(list_offset(&mut wire, "kept", 1, -2), 20, "the log start moved back");
        assert_eq!(read_values(&mut wire, "kept", 1, 20), values[20..]);
        // A snapshot holds the last batch of each producer, in Apache Kafka too.
        let again = produce(&mut wire, "kept", 2, -1, &sequenced(2));
        assert_eq!((again.error_code, again.base_offset), (0, 2), "a duplicate isn't known any more");
        let gap = produce(&mut wire, "kept", 2, -1, &sequenced(9));
        assert_eq!(gap.error_code, 45, "a gap isn't seen any more");
        assert_ne!(init_producer(&mut wire), producer, "a producer id was given twice");
    }
    let next = produce(&mut wire, "kept", 2, -1, &sequenced(3));
    assert_eq!((next.error_code, next.base_offset), (0, 3));
    node.stop();
}

fn delete_records(wire: &mut Wire, topic: &str, partition_index: i32, offset: i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index, offset }];
    let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions }];
    let answer = wire.call(&DeleteRecordsRequest { topics, timeout_ms: 5000 }, 2);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

#[test]
fn everything_stays_over_a_clean_stop() {
    everything_stays(End::Stop);
}

#[test]
fn everything_stays_over_kill_9() {
    // Apache Kafka keeps the log start in a checkpoint of every minute, so a kill may move it back.
    if Kind::under_test() == Kind::Millrace {
        everything_stays(End::Kill);
    }
}

#[test]
fn a_port_that_answers_again_after_a_stop_serves_at_once() {
    let mut node = Node::start(Kind::under_test(), &[]);
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, "t", 1, &[]);
    for round in 0..3 {
        wire = restart(&mut node, End::Stop);
        assert_eq!(produce(&mut wire, "t", 0, 1, &batch(&[b"v"]).build()).base_offset, round);
    }
}

#[test]
fn a_broker_that_stops_tells_nobody_that_there_is_no_broker() {
    // Apache Kafka fences itself first, too, and may answer in between.
    if Kind::under_test() == Kind::Apache {
        return;
    }
    let mut node = Node::start(Kind::Millrace, &[]);
    for _ in 0..3 {
        let askers: Vec<_> = (0..4)
            .map(|_| {
                let mut wire = Wire::connect(&node);
                std::thread::spawn(move || {
                    let mut answers = 0;
                    while let Ok(answer) = wire.try_call(&MetadataRequest::default(), 12) {
                        assert_eq!(answer.brokers.len(), 1, "after {answers} answers");
                        answers += 1;
                    }
                })
            })
            .collect();
        node.stop();
        askers.into_iter().for_each(|asker| asker.join().expect("every answer names the broker"));
        node.start_again();
    }
}
