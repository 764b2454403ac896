//! The bytes of Produce requests around their batches, and what an answer says, without a message in between: this is done once for
//! every request, however small.

use super::batch::BatchBox;
use super::cluster::Run;
use super::connection::Request;
use crate::protocol::produce::{ProduceRequest, ProduceResponse};
use crate::protocol::{ApiKey, ErrorCode, Message, frame};
use crate::wire::DecodeError;

use bytes::Bytes;

/// Versions from which topics have ids instead of names.
const IDS_FROM: i16 = 13;

/// What stands in every Produce request of a producer.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// `client.id`.
    pub client_id: String,
    /// `acks`.
    pub acks: i16,
    /// `request.timeout.ms`.
    pub timeout_ms: i32,
}

/// What an answer says of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0, or why not.
    pub code: i16,
    /// Offset of the first record; -1: not told.
    pub base_offset: i64,
    /// The leader, if the broker knows a newer one; -1: no.
    pub leader: i32,
}

/// A request for these batches: topic (its place in the run), partition, batch. Those of one topic follow each other.
pub fn encode(
    run: &Run,
    envelope: &Envelope,
    transactional_id: Option<&str>,
    correlation_id: i32,
    batches: Vec<(u32, i32, BatchBox)>,
    sent: u64,
) -> Request {
    let version = run.produce_version;
    let flexible = version >= ProduceRequest::FLEXIBLE_FROM;
    let mut out = Head { bytes: Vec::with_capacity(96 + 24 * batches.len()), flexible };
    out.bytes.extend_from_slice(&[0; 4]);
    out.put(&ApiKey::Produce.key().to_be_bytes());
    out.put(&version.to_be_bytes());
    out.put(&correlation_id.to_be_bytes());
    // The client id of a header is never compact.
    out.put(&(envelope.client_id.len() as i16).to_be_bytes());
    out.put(envelope.client_id.as_bytes());
    out.tags();
    out.text(transactional_id);
    out.put(&envelope.acks.to_be_bytes());
    out.put(&envelope.timeout_ms.to_be_bytes());
    let topics = 1 + batches.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
    out.count(topics);
    let mut request = Request { correlation_id, sent, ..Request::default() };
    let mut size = 0;
    let mut left = 0;
    let counts: Vec<usize> = batches.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).collect();
    let mut counts = counts.into_iter();
    for (topic, partition, batch) in batches {
        if left == 0 {
            left = counts.next().unwrap_or(1);
            let topic = &run.topics[topic as usize];
            if version >= IDS_FROM {
                out.put(topic.id.as_bytes());
            } else {
                out.text(Some(&topic.name));
            }
            out.count(left);
        }
        out.put(&partition.to_be_bytes());
        out.bytes_len(batch.wire().len());
        request.cuts.push(out.bytes.len());
        size += batch.wire().len();
        request.batches.push(batch);
        out.tags();
        left -= 1;
        if left == 0 {
            out.tags();
        }
    }
    out.tags();
    let size = i32::try_from(size + out.bytes.len() - 4).expect("a request has less than 2 GiB");
    out.bytes[..4].copy_from_slice(&size.to_be_bytes());
    request.head = out.bytes;
    request
}

/// What the answer says of each partition: topic (its place in the run), partition, answer.
pub fn decode(run: &Run, frame: Bytes) -> Result<Vec<(u32, i32, Answer)>, DecodeError> {
    let version = run.produce_version;
    let (_, response): (i32, ProduceResponse) = frame::decode_response::<ProduceRequest>(frame, version)?;
    let mut answers = Vec::new();
    for topic in response.responses {
        let place = run
            .topics
            .iter()
            .position(|known| if version >= IDS_FROM { known.id == topic.topic_id } else { known.name == *topic.name });
        let Some(place) = place else { continue };
        for partition in topic.partition_responses {
            let answer = Answer {
                code: partition.error_code,
                base_offset: partition.base_offset,
                leader: partition.current_leader.leader_id,
            };
            answers.push((place as u32, partition.index, answer));
        }
    }
    Ok(answers)
}

/// Kafka's name of an error.
pub fn error_name(code: i16) -> &'static str {
    ErrorCode::from_code(code).name()
}

struct Head {
    bytes: Vec<u8>,
    flexible: bool,
}

impl Head {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn uvarint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn tags(&mut self) {
        if self.flexible {
            self.bytes.push(0);
        }
    }

    fn count(&mut self, count: usize) {
        if self.flexible { self.uvarint(count + 1) } else { self.put(&(count as i32).to_be_bytes()) }
    }

    fn bytes_len(&mut self, len: usize) {
        if self.flexible { self.uvarint(len + 1) } else { self.put(&(len as i32).to_be_bytes()) }
    }

    fn text(&mut self, text: Option<&str>) {
        match (text, self.flexible) {
            (None, true) => self.bytes.push(0),
            (None, false) => self.put(&(-1i16).to_be_bytes()),
            (Some(text), true) => {
                self.uvarint(text.len() + 1);
                self.put(text.as_bytes());
            }
            (Some(text), false) => {
                self.put(&(text.len() as i16).to_be_bytes());
                self.put(text.as_bytes());
            }
        }
    }
}
