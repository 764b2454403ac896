//! Bytes that Apache Kafka 4.3.1 wrote, kept here so that a change of the codec shows without Java.

use std::fmt::Debug;

use bytes::Bytes;
use millrace::protocol::api_versions::ApiVersionsRequest;
use millrace::protocol::fetch::{FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData};
use millrace::protocol::metadata::{MetadataRequest, MetadataRequestTopic, PartitionRecord};
use millrace::protocol::raft::{Endpoint, VotersRecord, VotersRecordVoter};
use millrace::protocol::{Message, RequestHeader};
use millrace::wire::{Reader, Uuid, Writer};

fn bytes(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[track_caller]
fn golden<M: Message>(message: &M, version: i16, hex: &str) {
    let mut writer = Writer::new();
    message.encode(&mut writer, version);
    same(writer.freeze(), bytes(hex));
    assert_eq!(M::decode(&mut Reader::new(bytes(hex)), version).as_ref(), Ok(message));
}

#[track_caller]
fn same<T: PartialEq + Debug>(ours: T, kafkas: T) {
    assert_eq!(ours, kafkas);
}

#[test]
fn request_header_keeps_the_classic_client_id() {
    let header = RequestHeader { api_key: 18, api_version: 4, correlation_id: 3, client_id: Some("me".into()) };
    let mut writer = Writer::new();
    header.encode(&mut writer);
    same(writer.freeze(), bytes("001200040000000300026d6500"));
    same(RequestHeader::decode(&mut Reader::new(bytes("001200040000000300026d6500"))), Ok(header));
}

#[test]
fn api_versions_request() {
    let message = ApiVersionsRequest { client_software_name: "millrace".into(), client_software_version: "1".into() };
    golden(&message, 3, "096d696c6c72616365023100");
}

#[test]
fn metadata_request_before_and_after_topic_ids() {
    let message = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some("t".into()), ..Default::default() }]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    golden(&message, 4, "0000000100017400");
    golden(&message, 12, "0200000000000000000000000000000000027400000000");
    golden(&MetadataRequest { topics: None, ..Default::default() }, 1, "ffffffff");
}

#[test]
fn fetch_response_with_a_tagged_leader() {
    let partition = PartitionData {
        partition_index: 2,
        error_code: 6,
        high_watermark: -1,
        aborted_transactions: None,
        current_leader: LeaderIdAndEpoch { leader_id: 1, leader_epoch: 7 },
        records: None,
        ..Default::default()
    };
    let topic =
        FetchableTopicResponse { topic_id: Uuid::METADATA_TOPIC, partitions: vec![partition], ..Default::default() };
    let message = FetchResponse { session_id: 5, responses: vec![topic], ..Default::default() };
    golden(
        &message,
        13,
        "00000000000000000005020000000000000000000000000000000102000000020006ffffffffffffffffffffffffffffffff\
         ffffffffffffffff00ffffffff000101090000000100000007000000",
    );
}

#[test]
fn partition_record_with_directories() {
    let message = PartitionRecord {
        partition_id: 1,
        topic_id: Uuid::from_u128(1 << 64 | 2),
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_recovery_state: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid::from_u128(3 << 64 | 4)],
        ..Default::default()
    };
    golden(
        &message,
        1,
        "00000001000000000000000100000000000000020200000001020000000101010000000100000000000000000200000000\
         00000003000000000000000401000101",
    );
}

#[test]
fn voters_record() {
    let voter = VotersRecordVoter {
        voter_id: 1,
        voter_directory_id: Uuid::from_u128(5 << 64 | 6),
        endpoints: vec![Endpoint { name: "C".into(), host: "h".into(), port: 9093 }],
        ..Default::default()
    };
    let message = VotersRecord { version: 0, voters: vec![voter] };
    golden(&message, 0, "0000020000000100000000000000050000000000000006020243026823850000000000000000");
}
