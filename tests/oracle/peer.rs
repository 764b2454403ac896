//! One of the two brokers, spoken to with raw frames.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use millrace::protocol::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use millrace::protocol::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use millrace::protocol::init_producer_id::InitProducerIdRequest;
use millrace::protocol::metadata::{MetadataRequest, MetadataRequestTopic};
use millrace::protocol::{Request, frame};
use millrace::wire::{KafkaString, Uuid};

use crate::answer::Outcome;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;

const CORRELATION_ID: i32 = 77;
/// Comes after every request; its answer shows that the connection lives and that nothing more comes before it.
const PROBE: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff];
const PROBE_ID: i32 = i32::MAX;
/// An answer takes milliseconds; silence for so long is an outcome of its own.
const SILENCE: Duration = Duration::from_secs(3);
const TOPIC_LIMIT: Duration = Duration::from_secs(20);

/// A broker with the ids of the topics that the cases made on it.
pub struct Peer {
    pub name: &'static str,
    pub node: Node,
    ids: BTreeMap<String, Uuid>,
    producer_ids: Vec<i64>,
    members: Vec<String>,
}

impl Peer {
    /// Starts a broker on an empty directory.
    pub fn start(name: &'static str, kind: Kind) -> Peer {
        let overrides = [
            ("auto.create.topics.enable", "true"),
            ("log.initial.task.delay.ms", "600000"),
            ("group.initial.rebalance.delay.ms", "0"),
        ];
        let node = Node::start(kind, &overrides);
        Peer { name, node, ids: BTreeMap::new(), producer_ids: Vec::new(), members: Vec::new() }
    }

    /// The id of a topic that [`Peer::create`] made; no id for one it didn't make.
    pub fn id(&self, topic: &str) -> Uuid {
        self.ids.get(topic).copied().unwrap_or(Uuid::ZERO)
    }

    /// The producer id that the `index`th call of [`Peer::init_producer`] gave.
    pub fn producer_id(&self, index: usize) -> i64 {
        self.producer_ids[index]
    }

    /// The `index`th member id that [`Peer::learn_member`] was told.
    pub fn member(&self, index: usize) -> KafkaString {
        self.members[index].as_str().into()
    }

    /// The member id that was remembered last.
    pub fn last_member(&self) -> KafkaString {
        self.members.last().expect("a member was learned").as_str().into()
    }

    /// Remembers a member id.
    pub fn learn_member(&mut self, id: &str) {
        self.members.push(id.to_string());
    }

    /// Asks for a producer id and remembers it.
    pub fn init_producer(&mut self) {
        let request =
            InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
        let id = wait_for("a producer id", TOPIC_LIMIT, || {
            let answer = self.answer(&request, 4).expect("InitProducerId is answered");
            (answer.error_code == 0).then_some(answer.producer_id)
        });
        self.producer_ids.push(id);
    }

    /// Creates a topic and waits until it has leaders.
    pub fn create(&mut self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) });
        let creatable = CreatableTopic {
            name: topic.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![creatable], ..Default::default() };
        let answer = self.answer(&request, 7).expect("CreateTopics is answered");
        assert_eq!(answer.topics[0].error_code, 0, "{} doesn't create {topic}: {:?}", self.name, answer.topics[0]);
        self.learn(topic, partitions as usize);
    }

    /// Deletes a topic.
    pub fn delete(&mut self, topic: &str) {
        let state = DeleteTopicState { name: Some(topic.into()), ..Default::default() };
        let request = DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
        let answer = self.answer(&request, 6).expect("DeleteTopics is answered");
        assert_eq!(
            answer.responses[0].error_code, 0,
            "{} doesn't delete {topic}: {:?}",
            self.name, answer.responses[0]
        );
    }

    /// Waits until a topic has leaders and remembers its id.
    pub fn learn(&mut self, topic: &str, partitions: usize) {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let id = wait_for(&format!("leaders of {topic} on {}", self.name), TOPIC_LIMIT, || {
            let answer = self.answer(&request, 12).expect("Metadata is answered");
            let found = &answer.topics[0];
            let ready = found.error_code == 0
                && found.partitions.len() == partitions
                && found.partitions.iter().all(|partition| partition.error_code == 0 && partition.leader_id >= 0);
            ready.then_some(found.topic_id)
        });
        self.ids.insert(topic.to_string(), id);
    }

    /// The typed answer to a request.
    pub fn answer<R: Request>(&self, request: &R, version: i16) -> Result<R::Response, String> {
        match self.exchange(&Peer::frame(request, version)) {
            Outcome::Frames(frames) if frames.len() == 1 => {
                let bytes = Bytes::from(frames.into_iter().next().expect("there is one"));
                frame::decode_response::<R>(bytes, version).map(|(_, answer)| answer).map_err(|error| error.to_string())
            }
            Outcome::Frames(frames) => Err(format!("{} answers", frames.len())),
            Outcome::Closed(_) => Err("connection closed".into()),
            _ => Err("silence".into()),
        }
    }

    /// Sends a request and takes its answer apart.
    pub fn ask<R: Request>(&self, request: &R, version: i16) -> Outcome {
        self.ask_bytes::<R>(&Peer::frame(request, version), version)
    }

    /// The bytes that [`Peer::ask`] sends.
    pub fn frame<R: Request>(request: &R, version: i16) -> Bytes {
        frame::request(CORRELATION_ID, Some(&"oracle".into()), request, version).freeze()
    }

    /// Sends the bytes of a request, whatever they are by now, and takes the answer apart.
    pub fn ask_bytes<R: Request>(&self, bytes: &[u8], version: i16) -> Outcome {
        match self.exchange(bytes) {
            Outcome::Frames(frames) if frames.len() == 1 => {
                let bytes = Bytes::from(frames.into_iter().next().expect("there is one"));
                match frame::decode_response::<R>(bytes, version) {
                    Ok((CORRELATION_ID, answer)) => Outcome::of(&answer, &self.own_values()),
                    Ok((other, _)) => Outcome::Undecodable(format!("correlation id {other}")),
                    Err(problem) => Outcome::Undecodable(problem.to_string()),
                }
            }
            outcome => outcome,
        }
    }

    /// Sends raw bytes on a new connection; collects what comes back until a following request is answered.
    pub fn exchange(&self, bytes: &[u8]) -> Outcome {
        self.converse(bytes).unwrap_or(Outcome::Closed(0))
    }

    /// Like [`Peer::exchange`], with this broker's port in the answers blotted out.
    pub fn exchange_raw(&self, bytes: &[u8]) -> Outcome {
        let mut outcome = self.exchange(bytes);
        let port = self.node.bootstrap().rsplit(':').next().and_then(|port| port.parse::<u32>().ok());
        let port = port.expect("it has a port").to_be_bytes();
        if let Outcome::Frames(frames) = &mut outcome {
            for frame in frames {
                while let Some(at) = frame.windows(4).position(|window| window == port) {
                    frame[at..at + 4].fill(0);
                }
            }
        }
        outcome
    }

    fn converse(&self, bytes: &[u8]) -> io::Result<Outcome> {
        let mut socket = TcpStream::connect(self.node.bootstrap())?;
        socket.set_read_timeout(Some(SILENCE))?;
        socket.set_nodelay(true)?;
        socket.write_all(bytes)?;
        // A broker may close before it has read the probe.
        let _ = socket.write_all(&PROBE);
        let mut frames = Vec::new();
        loop {
            match read_frame(&mut socket) {
                Ok(frame) if frame.get(..4) == Some(&PROBE_ID.to_be_bytes()) => return Ok(Outcome::Frames(frames)),
                Ok(frame) => frames.push(frame),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(Outcome::Silent);
                }
                Err(_) => return Ok(Outcome::Closed(frames.len())),
            }
        }
    }

    /// Sends the beginning of something and closes our side; answers whether the broker closed as well.
    pub fn half_sent(&self, bytes: &[u8]) -> Outcome {
        let mut socket = TcpStream::connect(self.node.bootstrap()).expect("the broker listens");
        socket.set_read_timeout(Some(SILENCE)).expect("a socket takes a timeout");
        socket.write_all(bytes).expect("the broker reads");
        socket.shutdown(Shutdown::Write).expect("the connection is open");
        let mut rest = Vec::new();
        match socket.read_to_end(&mut rest) {
            Ok(_) if rest.is_empty() => Outcome::Closed(0),
            Ok(_) => Outcome::Frames(vec![rest]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Outcome::Closed(0),
            Err(_) => Outcome::Silent,
        }
    }

    /// What is this broker's own in an answer, and how it is called in a comparison.
    fn own_values(&self) -> Vec<(String, String)> {
        let bootstrap = self.node.bootstrap();
        let port = bootstrap.rsplit(':').next().expect("it has a port").to_string();
        let data = self.node.data().display().to_string();
        let scratch = self.node.scratch().display().to_string();
        let mut own = vec![(data, "<data>".to_string()), (scratch, "<home>".to_string())];
        own.extend(self.ids.iter().map(|(topic, id)| (id.to_string(), format!("<id of {topic}>"))));
        for (port, name) in [(port, "<port>"), (self.node.controller_port().to_string(), "<controller port>")] {
            own.push((format!("port: {port}"), format!("port: {name}")));
            own.push((format!(":{port}"), format!(":{name}")));
        }
        own.push((self.node.cluster_id(), "<cluster id>".to_string()));
        let members = self.members.iter().enumerate();
        own.extend(members.map(|(nth, id)| (id.clone(), format!("<member {nth}>"))));
        own.extend(
            self.producer_ids.iter().filter(|id| **id > 99).map(|id| (id.to_string(), "<producer>".to_string())),
        );
        own
    }
}

fn read_frame(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    socket.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut frame = vec![0; size];
    socket.read_exact(&mut frame)?;
    Ok(frame)
}
