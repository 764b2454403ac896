//! A broker that only takes produced batches and counts them, and stalls when it is told to: what a producer does on the wire, without
//! what a real broker adds.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use millrace::protocol::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use millrace::protocol::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use millrace::protocol::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use millrace::protocol::produce::{PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse};
use millrace::protocol::{ApiKey, Message, RequestHeader, frame};
use millrace::record::{Batches, Decompressor, decode_records};
use millrace::wire::Reader;

/// The newest Produce that names topics by name.
const PRODUCE_VERSION: i16 = 9;

/// What came in a Produce request.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When it was read.
    pub read: Instant,
    /// When it was answered, ns since 1970.
    pub answered_ns: u64,
    /// Records and bytes of each of its batches.
    pub batches: Vec<(usize, usize)>,
    /// The values, if they are kept.
    pub values: Vec<Bytes>,
}

/// A pause: requests that arrive in it are answered at its end.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// After the first Produce request.
    pub after: Duration,
    /// How long.
    pub lasts: Duration,
}

/// The broker; it ends with this value.
pub struct StubBroker {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    port: u16,
    partitions: i32,
    stall: Option<Stall>,
    keeps_values: bool,
    first: Mutex<Option<Instant>>,
    arrivals: Mutex<Vec<Arrival>>,
    is_over: AtomicBool,
}

impl StubBroker {
    /// Every topic exists and has so many partitions.
    pub fn start(partitions: i32, stall: Option<Stall>, keeps_values: bool) -> StubBroker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            port,
            partitions,
            stall,
            keeps_values,
            first: Mutex::default(),
            arrivals: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = of_thread.clone();
                thread::spawn(move || shared.serve(stream));
            }
        });
        StubBroker { port, shared }
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What arrived so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for StubBroker {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    /// Answers until the client goes.
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        loop {
            let mut size = [0; 4];
            if stream.read_exact(&mut size).is_err() {
                return;
            }
            let mut frame = vec![0; u32::from_be_bytes(size) as usize];
            if stream.read_exact(&mut frame).is_err() {
                return;
            }
            let Some(answer) = self.answer(Bytes::from(frame)) else { continue };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn answer(&self, frame: Bytes) -> Option<Bytes> {
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader).expect("clients send headers");
        let (id, version) = (header.correlation_id, header.api_version);
        Some(match header.api_key {
            key if key == ApiKey::ApiVersions.key() => {
                // Newer than ours: the oldest answer tells what there is.
                let known = version <= ApiVersionsRequest::MAX_VERSION;
                let (version, error_code) = if known { (version, 0) } else { (0, 35) };
                let answer = ApiVersionsResponse { error_code, api_keys: versions(), ..Default::default() };
                frame::response_to::<ApiVersionsRequest>(id, &answer, version).freeze()
            }
            key if key == ApiKey::Metadata.key() => {
                let request = MetadataRequest::decode(&mut reader, version).expect("a request");
                frame::response_to::<MetadataRequest>(id, &self.metadata(request), version).freeze()
            }
            key if key == ApiKey::InitProducerId.key() => {
                let answer = InitProducerIdResponse { producer_id: 1, producer_epoch: 0, ..Default::default() };
                frame::response_to::<InitProducerIdRequest>(id, &answer, version).freeze()
            }
            key if key == ApiKey::Produce.key() => {
                let read = Instant::now();
                let request = ProduceRequest::decode(&mut reader, version).expect("a request");
                let answer = self.produce(&request, read);
                if request.acks == 0 {
                    return None;
                }
                frame::response_to::<ProduceRequest>(id, &answer, version).freeze()
            }
            other => panic!("this broker does not announce API {other}"),
        })
    }

    fn metadata(&self, request: MetadataRequest) -> MetadataResponse {
        let partition = |partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: 1,
            leader_epoch: 0,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        let names = request.topics.unwrap_or_default().into_iter().filter_map(|topic| topic.name);
        let topics = names.map(|name| MetadataResponseTopic {
            name: Some(name),
            partitions: (0..self.partitions).map(partition).collect(),
            ..Default::default()
        });
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 1,
                host: "127.0.0.1".into(),
                port: i32::from(self.port),
                ..Default::default()
            }],
            controller_id: 1,
            cluster_id: Some("stub".into()),
            topics: topics.collect(),
            ..Default::default()
        }
    }

    fn produce(&self, request: &ProduceRequest, read: Instant) -> ProduceResponse {
        let mut batches = Vec::new();
        let mut values = Vec::new();
        let mut topics: BTreeMap<String, Vec<PartitionProduceResponse>> = BTreeMap::new();
        for topic in &request.topic_data {
            for partition in &topic.partition_data {
                let bytes = partition.records.clone().unwrap_or_default();
                for batch in Batches::new(&bytes).map(|batch| batch.expect("clients send batches")) {
                    batches.push((batch.header.records_count as usize, batch.bytes.len()));
                    if self.keeps_values {
                        let mut decompressor = Decompressor::default();
                        let records = decode_records(&batch, &mut decompressor, 1 << 30).expect("they can be read");
                        let kept =
                            records.flatten().map(|record| Bytes::copy_from_slice(record.value.unwrap_or_default()));
                        values.extend(kept);
                    }
                }
                let answer = PartitionProduceResponse { index: partition.index, base_offset: 0, ..Default::default() };
                topics.entry(topic.name.to_string()).or_default().push(answer);
            }
        }
        self.stall(read);
        let answered_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        self.arrivals.lock().expect("nobody panics with it").push(Arrival { read, answered_ns, batches, values });
        let topic = |(name, partition_responses): (String, Vec<_>)| TopicProduceResponse {
            name: name.as_str().into(),
            partition_responses,
            ..Default::default()
        };
        ProduceResponse { responses: topics.into_iter().map(topic).collect(), ..Default::default() }
    }

    fn stall(&self, read: Instant) {
        let first = *self.first.lock().expect("nobody panics with it").get_or_insert(read);
        let Some(stall) = self.stall else { return };
        let (from, to) = (first + stall.after, first + stall.after + stall.lasts);
        if read >= from && read < to {
            thread::sleep(to - read);
        }
    }
}

fn versions() -> Vec<ApiVersion> {
    let row = |key: ApiKey, min_version, max_version| ApiVersion {
        api_key: key.key(),
        min_version,
        max_version,
        ..Default::default()
    };
    vec![
        row(ApiKey::Produce, 3, PRODUCE_VERSION),
        row(ApiKey::Fetch, 4, 11),
        row(ApiKey::Metadata, 0, 9),
        row(ApiKey::ApiVersions, 0, 3),
        row(ApiKey::InitProducerId, 0, 4),
    ]
}
