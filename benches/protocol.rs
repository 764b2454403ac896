//! What the codec costs on the hot path: one produce request, one fetch, one answer.
#![allow(missing_docs, reason = "the macro of criterion makes a public function without one")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millrace::protocol::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData,
};
use millrace::protocol::frame;
use millrace::protocol::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use millrace::protocol::{ApiKey, Message, RequestHeader};
use millrace::wire::{Reader, Sink, Uuid, Writer};

fn produce_request(partitions: i32) -> ProduceRequest {
    let partition = |index| PartitionProduceData { index, records: Some(Bytes::from_static(&[7; 1024])) };
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            topic_id: Uuid::from_u128(7),
            partition_data: (0..partitions).map(partition).collect(),
            ..Default::default()
        }],
    }
}

fn fetch_request(partitions: i32) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: 1 << 40,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic_id: Uuid::from_u128(7),
            partitions: (0..partitions).map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn fetch_response(partitions: i32) -> FetchResponse {
    let partition = |partition_index| PartitionData {
        partition_index,
        high_watermark: 1 << 40,
        last_stable_offset: 1 << 40,
        log_start_offset: 0,
        aborted_transactions: None,
        records: None,
        ..Default::default()
    };
    FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic_id: Uuid::from_u128(7),
            partitions: (0..partitions).map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let client = Some("bench-client".into());
    for partitions in [1, 100] {
        let produce = frame::request(1, client.as_ref(), &produce_request(partitions), 13).freeze().slice(4..);
        group.bench_function(format!("produce of {partitions} partitions"), |bencher| {
            bencher.iter(|| {
                let mut reader = Reader::new(black_box(&produce).clone());
                let header = RequestHeader::decode(&mut reader).expect("well formed");
                ProduceRequest::decode(&mut reader, header.api_version).expect("well formed")
            });
        });
        let fetch = frame::request(1, client.as_ref(), &fetch_request(partitions), 18).freeze().slice(4..);
        group.bench_function(format!("fetch of {partitions} partitions"), |bencher| {
            bencher.iter(|| {
                let mut reader = Reader::new(black_box(&fetch).clone());
                let header = RequestHeader::decode(&mut reader).expect("well formed");
                FetchRequest::decode(&mut reader, header.api_version).expect("well formed")
            });
        });
    }
    group.finish();
}

fn responses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for partitions in [1, 100] {
        let message = fetch_response(partitions);
        let header_version = ApiKey::Fetch.response_header_version(18);
        group.bench_function(format!("fetch answer of {partitions} partitions"), |bencher| {
            bencher.iter(|| frame::response(1, header_version, black_box(&message), 18));
        });
    }
    group.finish();
}

fn varints(criterion: &mut Criterion) {
    let mut writer = Writer::new();
    for value in 0..1000_i64 {
        writer.put_varlong(value * value * value * 37);
    }
    let bytes = writer.freeze();
    let mut group = criterion.benchmark_group("varints");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::new(black_box(&bytes).clone());
            (0..1000).fold(0_i64, |sum, _| sum.wrapping_add(reader.read_varlong().expect("well formed")))
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(1))
        .warm_up_time(std::time::Duration::from_millis(300));
    targets = requests, responses, varints
}
criterion_main!(benches);
