//! RabbitMQ streams in their binary protocol (`PROTOCOL.adoc` of the plugin `rabbitmq_stream`), version 1 of each command.
//!
//! ```text
//! frame    size (4, of what follows)  key (2, highest bit: an answer)  version (2)  content
//! publish  publisher (1)  count (4)  messages: id (8), length (4), bytes
//! chunk    magic (1)  type (1)  entries (2)  records (4)  time (8)  epoch (8)  first offset (8)  crc (4)  bytes (4)  trailer (4)
//!          reserved (4)  entries: length (4, highest bit: a compressed batch), bytes
//! ```
//! A message is one of AMQP 1.0, as all its clients write it: a key as `message-id`, a value as a data section.

mod errands;

pub(in crate::bench) use errands::errands;

use super::Source;
use super::wire::{Heard, Publish, Read, RecordId, Wire};
use crate::bench::BenchError;

/// Publishers and subscriptions of a connection are numbered by one byte.
const STREAMS_MAX: usize = 256;
/// Chunks that a subscription may have on their way.
const CREDIT: u16 = 10;
/// A frame that is longer than this is none.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes of a publish frame before its messages.
const PUBLISH_HEAD: usize = 13;
/// Bytes of a chunk before its entries.
const CHUNK_HEAD: usize = 48;

const DECLARE_PUBLISHER: u16 = 1;
const PUBLISH: u16 = 2;
const PUBLISH_CONFIRM: u16 = 3;
const PUBLISH_ERROR: u16 = 4;
const SUBSCRIBE: u16 = 7;
const DELIVER: u16 = 8;
const GIVE_CREDIT: u16 = 9;
const CREATE: u16 = 13;
const DELETE: u16 = 14;
const PEER_PROPERTIES: u16 = 17;
const SASL_HANDSHAKE: u16 = 18;
const SASL_AUTHENTICATE: u16 = 19;
const TUNE: u16 = 20;
const OPEN: u16 = 21;
const CLOSE: u16 = 22;
const ANSWER: u16 = 0x8000;

const OK: u16 = 1;
const STREAM_EXISTS: u16 = 5;

/// What response codes mean.
fn meaning(code: u16) -> &'static str {
    match code {
        2 => "stream does not exist",
        5 => "stream already exists",
        6 => "stream not available",
        8 => "authentication failure",
        12 => "virtual host access failure",
        13 => "unknown frame",
        14 => "frame too large",
        15 => "internal error",
        16 => "access refused",
        17 => "precondition failed",
        18 => "publisher does not exist",
        _ => "error",
    }
}

/// Writes one frame.
fn put_frame(key: u16, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&key.to_be_bytes());
    out.extend_from_slice(&1u16.to_be_bytes());
    content(out);
    let size = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Bytes from the front; an error if there are fewer.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        if self.0.len() < len {
            return Err("RabbitMQ sent a frame that is cut off".to_owned());
        }
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, len: usize) -> Result<u64, String> {
        Ok(self.take(len)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(self.number(2)? as u16)
    }
}

/// A frame's key and content, and its length; `None`: it is cut off.
fn parse(input: &[u8]) -> Result<Option<(u16, Bytes<'_>, usize)>, String> {
    let mut bytes = Bytes(input);
    let Ok(size) = bytes.number(4) else { return Ok(None) };
    let size = size as usize;
    if !(4..=FRAME_BYTES_MAX).contains(&size) {
        return Err(format!("{size} bytes are no frame of RabbitMQ's stream protocol"));
    }
    if bytes.0.len() < size {
        return Ok(None);
    }
    let mut frame = Bytes(&bytes.0[..size]);
    let key = frame.u16()?;
    frame.take(2)?;
    Ok(Some((key, frame, size + 4)))
}

/// The steps up to an open connection, the same for all.
struct Talk {
    next_id: u32,
    is_open: bool,
}

impl Talk {
    fn new() -> Talk {
        Talk { next_id: 0, is_open: false }
    }

    /// A request that has an answer.
    fn ask(&mut self, key: u16, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
        let id = self.next_id;
        self.next_id += 1;
        put_frame(key, out, |out| {
            out.extend_from_slice(&id.to_be_bytes());
            content(out);
        });
    }

    fn greet(&mut self, out: &mut Vec<u8>) {
        self.is_open = false;
        self.ask(PEER_PROPERTIES, out, |out| {
            out.extend_from_slice(&1u32.to_be_bytes());
            put_string("product", out);
            put_string("millrace-bench", out);
        });
    }

    /// Takes the next step towards an open connection; true when it is open with this.
    fn step(&mut self, key: u16, content: &mut Bytes<'_>, out: &mut Vec<u8>) -> Result<bool, String> {
        if key == CLOSE {
            content.take(4)?;
            let code = content.u16()?;
            return Err(format!("it closes the connection: {} ({code})", meaning(code)));
        }
        if key == TUNE {
            let frame_max = content.number(4)? as u32;
            put_frame(TUNE, out, |out| {
                out.extend_from_slice(&frame_max.to_be_bytes());
                // No heartbeats: TCP tells when the other end is gone.
                out.extend_from_slice(&0u32.to_be_bytes());
            });
            self.ask(OPEN, out, |out| put_string("/", out));
            return Ok(false);
        }
        if key & ANSWER == 0 {
            return Ok(false);
        }
        let code = response(content)?;
        if code != OK {
            return Err(format!("{} ({code})", meaning(code)));
        }
        match key & !ANSWER {
            PEER_PROPERTIES => self.ask(SASL_HANDSHAKE, out, |_| {}),
            SASL_HANDSHAKE => self.ask(SASL_AUTHENTICATE, out, |out| {
                let data = b"\0guest\0guest";
                put_string("PLAIN", out);
                out.extend_from_slice(&(data.len() as u32).to_be_bytes());
                out.extend_from_slice(data);
            }),
            OPEN => self.is_open = true,
            _ => {}
        }
        Ok(key == ANSWER | OPEN)
    }
}

/// The code of an answer.
fn response(content: &mut Bytes<'_>) -> Result<u16, String> {
    content.take(4)?;
    content.u16()
}

fn check_count(streams: usize, who: &str) -> Result<(), BenchError> {
    if streams <= STREAMS_MAX {
        return Ok(());
    }
    Err(BenchError::config(format_args!(
        "{who} of RabbitMQ streams has at most {STREAMS_MAX} streams and this one has {streams}: fewer --partitions or --topics, or more --producers and members"
    )))
}

/// A connection that publishes.
pub(super) struct Publisher {
    talk: Talk,
    streams: Vec<String>,
    declared: usize,
}

impl Publisher {
    pub fn new(streams: Vec<String>) -> Result<Publisher, BenchError> {
        check_count(streams.len(), "a producer")?;
        Ok(Publisher { talk: Talk::new(), streams, declared: 0 })
    }
}

impl Wire for Publisher {
    fn greet(&mut self, out: &mut Vec<u8>) {
        self.declared = 0;
        self.talk.greet(out);
    }

    fn is_ready(&self) -> bool {
        self.talk.is_open && self.declared == self.streams.len()
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, tell: &mut dyn FnMut(Heard<'_>)) -> Result<usize, String> {
        let mut done = 0;
        while let Some((key, mut content, len)) = parse(&input[done..])? {
            done += len;
            match key {
                PUBLISH_CONFIRM => {
                    content.take(1)?;
                    for _ in 0..content.number(4)? {
                        tell(Heard::Of(RecordId::from_number(content.number(8)?), Ok(())));
                    }
                }
                PUBLISH_ERROR => {
                    content.take(1)?;
                    for _ in 0..content.number(4)? {
                        let id = RecordId::from_number(content.number(8)?);
                        tell(Heard::Of(id, Err(meaning(content.u16()?))));
                    }
                }
                key if self.talk.step(key, &mut content, out)? => {
                    for (index, stream) in self.streams.iter().enumerate() {
                        self.talk.ask(DECLARE_PUBLISHER, out, |out| {
                            out.push(index as u8);
                            put_string("", out);
                            put_string(stream, out);
                        });
                    }
                }
                key => self.declared += usize::from(key == ANSWER | DECLARE_PUBLISHER),
            }
        }
        Ok(done)
    }
}

impl Publish for Publisher {
    fn open(&mut self, stream: usize, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&PUBLISH.to_be_bytes());
        bytes.extend_from_slice(&1u16.to_be_bytes());
        bytes.push(stream as u8);
        bytes.extend_from_slice(&[0; 4]);
        assert_eq!(bytes.len(), PUBLISH_HEAD);
    }

    fn put(&mut self, _stream: usize, id: RecordId, key: Option<&[u8]>, value: Option<&[u8]>, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&id.to_number().to_be_bytes());
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        put_message(key, value, bytes);
        let len = (bytes.len() - start - 4) as u32;
        bytes[start..start + 4].copy_from_slice(&len.to_be_bytes());
    }

    fn seal(&mut self, records: u32, bytes: &mut Vec<u8>) {
        let size = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        bytes[PUBLISH_HEAD - 4..PUBLISH_HEAD].copy_from_slice(&records.to_be_bytes());
    }
}

/// A message of AMQP 1.0: properties with `message-id` if there is a key, a data section if there is a value.
fn put_message(key: Option<&[u8]>, value: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(key) = key {
        // A list32 of one field, which is binary.
        out.extend_from_slice(&[0x00, 0x53, 0x73, 0xd0]);
        out.extend_from_slice(&(key.len() as u32 + 9).to_be_bytes());
        out.extend_from_slice(&1u32.to_be_bytes());
        put_binary(key, out);
    }
    if let Some(value) = value {
        out.extend_from_slice(&[0x00, 0x53, 0x75]);
        put_binary(value, out);
    }
}

fn put_binary(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(0xb0);
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Bytes of the key, and the value, of a message as `put_message` writes it.
fn parse_message(message: &[u8]) -> Result<(usize, Option<&[u8]>), String> {
    let (mut bytes, mut key_bytes) = (Bytes(message), 0);
    while !bytes.0.is_empty() {
        match bytes.take(3)? {
            [0x00, 0x53, 0x73] => {
                bytes.take(10)?;
                key_bytes = bytes.number(4)? as usize;
                bytes.take(key_bytes)?;
            }
            [0x00, 0x53, 0x75] => {
                bytes.take(1)?;
                let len = bytes.number(4)? as usize;
                return Ok((key_bytes, Some(bytes.take(len)?)));
            }
            _ => return Err("a message that the bench did not write: choose another --topic".to_owned()),
        }
    }
    Ok((key_bytes, None))
}

/// A connection that reads.
pub(super) struct Reader {
    talk: Talk,
    sources: Vec<Source>,
    from_beginning: bool,
    /// Offset behind the last record of each stream.
    next: Vec<Option<u64>>,
    subscribed: usize,
    /// Chunks that came and were not credited again.
    owed: Vec<u16>,
}

impl Reader {
    pub fn new(sources: Vec<Source>, from_beginning: bool) -> Result<Reader, BenchError> {
        check_count(sources.len(), "a consumer")?;
        let (next, owed) = (vec![None; sources.len()], vec![0; sources.len()]);
        Ok(Reader { talk: Talk::new(), sources, from_beginning, next, subscribed: 0, owed })
    }

    fn subscribe(&mut self, out: &mut Vec<u8>) {
        for (index, source) in self.sources.iter().enumerate() {
            let (next, from_beginning) = (self.next[index], self.from_beginning);
            self.talk.ask(SUBSCRIBE, out, |out| {
                out.push(index as u8);
                put_string(&source.name, out);
                match (next, from_beginning) {
                    (Some(offset), _) => {
                        out.extend_from_slice(&4u16.to_be_bytes());
                        out.extend_from_slice(&offset.to_be_bytes());
                    }
                    (None, true) => out.extend_from_slice(&1u16.to_be_bytes()),
                    (None, false) => out.extend_from_slice(&3u16.to_be_bytes()),
                }
                out.extend_from_slice(&CREDIT.to_be_bytes());
            });
        }
    }

    fn deliver(&mut self, content: &mut Bytes<'_>, tell: &mut dyn FnMut(Heard<'_>)) -> Result<(), String> {
        let index = content.number(1)? as usize;
        let Some(source) = self.sources.get(index) else { return Err(format!("subscription {index}")) };
        let mut head = Bytes(content.take(CHUNK_HEAD)?);
        head.take(1)?;
        let kind = head.number(1)?;
        let entries = head.number(2)?;
        head.take(20)?;
        let first = head.number(8)?;
        self.owed[index] += 1;
        tell(Heard::Fetched);
        if kind != 0 {
            return Ok(());
        }
        // A subscription that begins at an offset gets the whole chunk around it.
        let begin = self.next[index].unwrap_or(0);
        for offset in first..first + entries {
            let len = content.number(4)?;
            if len >> 31 != 0 {
                return Err("a compressed batch, which the bench did not write".to_owned());
            }
            let message = content.take(len as usize)?;
            if offset >= begin {
                let (key_bytes, value) = parse_message(message)?;
                tell(Heard::Record { place: source.place, key_bytes, value });
            }
        }
        self.next[index] = Some(begin.max(first + entries));
        Ok(())
    }
}

impl Wire for Reader {
    fn greet(&mut self, out: &mut Vec<u8>) {
        self.subscribed = 0;
        self.owed.fill(0);
        self.talk.greet(out);
    }

    fn is_ready(&self) -> bool {
        self.talk.is_open && self.subscribed == self.sources.len()
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, tell: &mut dyn FnMut(Heard<'_>)) -> Result<usize, String> {
        let mut done = 0;
        while let Some((key, mut content, len)) = parse(&input[done..])? {
            done += len;
            if key == DELIVER {
                self.deliver(&mut content, tell)?;
            } else if self.talk.step(key, &mut content, out)? {
                self.subscribe(out);
            } else {
                self.subscribed += usize::from(key == ANSWER | SUBSCRIBE);
            }
        }
        Ok(done)
    }
}

impl Read for Reader {
    fn ask(&mut self, _now: u64, out: &mut Vec<u8>) {
        for (index, owed) in self.owed.iter_mut().enumerate().filter(|(_, owed)| **owed > 0) {
            put_frame(GIVE_CREDIT, out, |out| {
                out.push(index as u8);
                out.extend_from_slice(&owed.to_be_bytes());
            });
            *owed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(key: u16, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_frame(key, &mut out, |out| out.extend_from_slice(content));
        out
    }

    fn hear(wire: &mut dyn Wire, input: &[u8]) -> (usize, Vec<String>, Vec<u8>) {
        let (mut said, mut out) = (Vec::new(), Vec::new());
        let done =
            wire.hear(input, &mut out, &mut |heard| said.push(format!("{heard:?}"))).expect("it is the protocol");
        (done, said, out)
    }

    /// Goes through all that a server asks before a connection is open; what is said then.
    fn open(wire: &mut dyn Wire) -> Vec<u8> {
        let mut first = Vec::new();
        wire.greet(&mut first);
        assert_eq!(&first[4..8], [0, 17, 0, 1]);
        let fine = [0, 0, 0, 0, 0, 1];
        assert_eq!(&hear(wire, &frame(ANSWER | PEER_PROPERTIES, &fine)).2[4..6], [0, 18]);
        assert_eq!(&hear(wire, &frame(ANSWER | SASL_HANDSHAKE, &fine)).2[4..6], [0, 19]);
        assert!(hear(wire, &frame(ANSWER | SASL_AUTHENTICATE, &fine)).2.is_empty());
        let (_, _, out) = hear(wire, &frame(TUNE, &[0, 16, 0, 0, 0, 0, 0, 60]));
        assert_eq!(&out[..16], [0, 0, 0, 12, 0, 20, 0, 1, 0, 16, 0, 0, 0, 0, 0, 0]);
        hear(wire, &frame(ANSWER | OPEN, &fine)).2
    }

    #[test]
    fn batches_are_frames_and_confirmed_by_their_ids() {
        let mut publisher = Publisher::new(vec!["a-0".to_owned()]).expect("few");
        let out = open(&mut publisher);
        assert!(out.ends_with(b"\0\0\0\0\x03a-0") && !publisher.is_ready());
        hear(&mut publisher, &frame(ANSWER | DECLARE_PUBLISHER, &[0, 0, 0, 4, 0, 1]));
        assert!(publisher.is_ready());
        let mut bytes = Vec::new();
        publisher.open(0, &mut bytes);
        let ids = [RecordId { batch: 2, index: 0 }, RecordId { batch: 2, index: 1 }];
        publisher.put(0, ids[0], Some(b"k"), Some(b"value"), &mut bytes);
        publisher.put(0, ids[1], Some(b"kk"), None, &mut bytes);
        publisher.seal(2, &mut bytes);
        let (key, mut content, len) = parse(&bytes).expect("a frame").expect("whole");
        assert_eq!((key, len), (PUBLISH, bytes.len()));
        assert_eq!((content.number(1), content.number(4)), (Ok(0), Ok(2)));
        let mut next = || {
            let id = RecordId::from_number(content.number(8).expect("an id"));
            let len = content.number(4).expect("a length") as usize;
            (id, parse_message(content.take(len).expect("a message")).expect("ours"))
        };
        assert_eq!(next(), (ids[0], (1, Some(&b"value"[..]))));
        assert_eq!(next(), (ids[1], (2, None)));
        let confirm = [&[0, 0, 0, 0, 1][..], &ids[0].to_number().to_be_bytes()].concat();
        let refuse = [&[0, 0, 0, 0, 1][..], &ids[1].to_number().to_be_bytes(), &[0, 18]].concat();
        let input = [frame(PUBLISH_CONFIRM, &confirm), frame(PUBLISH_ERROR, &refuse)].concat();
        let of = |id, outcome| format!("{:?}", Heard::Of(id, outcome));
        let said = hear(&mut publisher, &input).1;
        assert_eq!(said, [of(ids[0], Ok(())), of(ids[1], Err("publisher does not exist"))]);
        let closes = frame(CLOSE, &[0, 0, 0, 0, 0, 16, 0, 0]);
        let why = publisher.hear(&closes, &mut Vec::new(), &mut |_| {}).expect_err("it is over");
        assert_eq!(why, "it closes the connection: access refused (16)");
        assert!(Publisher::new(vec![String::new(); 257]).is_err());
    }

    #[test]
    fn chunks_are_read_however_they_are_cut_and_go_on_where_they_ended() {
        let chunk = |first: u64, values: &[&[u8]]| {
            let mut content = vec![0, 0x50, 0];
            content.extend_from_slice(&(values.len() as u16).to_be_bytes());
            content.extend_from_slice(&[0; 20]);
            content.extend_from_slice(&first.to_be_bytes());
            content.extend_from_slice(&[0; 16]);
            for value in values {
                let mut message = Vec::new();
                put_message(None, Some(value), &mut message);
                content.extend_from_slice(&(message.len() as u32).to_be_bytes());
                content.extend_from_slice(&message);
            }
            frame(DELIVER, &content)
        };
        let input = [chunk(7, &[b"x", b"yy"]), chunk(9, &[b""])].concat();
        let record = |value: &[u8]| format!("{:?}", Heard::Record { place: 3, key_bytes: 0, value: Some(value) });
        for cut in 0..input.len() {
            let mut reader = Reader::new(vec![Source { place: 3, name: "a-0".to_owned() }], false).expect("few");
            assert!(open(&mut reader).ends_with(b"a-0\0\x03\0\x0a"));
            hear(&mut reader, &frame(ANSWER | SUBSCRIBE, &[0, 0, 0, 4, 0, 1]));
            assert!(reader.is_ready());
            let (done, mut said, _) = hear(&mut reader, &input[..cut]);
            said.extend(hear(&mut reader, &input[done..]).1);
            assert_eq!(said, ["Fetched".to_owned(), record(b"x"), record(b"yy"), "Fetched".to_owned(), record(b"")]);
            let mut out = Vec::new();
            reader.ask(0, &mut out);
            assert_eq!(out, frame(GIVE_CREDIT, &[0, 0, 2]));
            assert!(open(&mut reader).ends_with(b"a-0\0\x04\0\0\0\0\0\0\0\x0a\0\x0a"));
            assert_eq!(hear(&mut reader, &chunk(9, &[b"", b"new"])).1, ["Fetched".to_owned(), record(b"new")]);
        }
    }
}
