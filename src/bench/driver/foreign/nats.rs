//! NATS JetStream: `PUB` with a subject for the acknowledgement, pull consumers without acknowledgements of their own.
//!
//! A record is a message; its key is the header `Key`. A tombstone is an empty message. A stream has one subject of its own name.
//!
//! | said | heard |
//! |---|---|
//! | | `INFO {..}` |
//! | `CONNECT {..}`, `SUB _INBOX.<name>.* 1`, `PING` | `PONG` |
//! | `PUB <stream> _INBOX.<name>.<id> <len>` | `MSG _INBOX.<name>.<id> 1 <len>`, then JSON with `seq` or `error` |
//! | `PUB $JS.API.CONSUMER.MSG.NEXT.<stream>.<consumer> _INBOX.<name>.<source> <len>`, JSON | `MSG <stream> 1 <reply> <len>` each, or `HMSG` with a status |

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::Source;
use super::wire::{Heard, Publish, Read, RecordId, Wire, line, number};
use crate::bench::BenchError;
use crate::rt::random;

/// How long an errand may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server keeps a consumer that nobody asks for records, ns: longer than any run holds its readers.
const CONSUMER_KEPT_NS: u64 = 3_600_000_000_000;
/// How long after its end a request may still be answered, ns.
const SILENCE_NS: u64 = 250_000_000;
const GREETING: &str =
    r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"rust","name":"millrace-bench"}"#;

/// What comes, one at a time.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Info,
    Ping,
    Pong,
    Error(&'a [u8]),
    Message { subject: &'a [u8], reply: Option<&'a [u8]>, headers: &'a [u8], payload: &'a [u8] },
}

/// One thing that was said and its length; `None`: it is cut off.
fn parse(input: &[u8]) -> Result<Option<(Said<'_>, usize)>, String> {
    let Some((head, start)) = line(input) else { return Ok(None) };
    let mut words = head.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let said = match words.next() {
        Some(b"MSG" | b"HMSG") => {
            let has_headers = head[0] == b'H';
            let words: Vec<&[u8]> = words.collect();
            let lens = if has_headers { 2 } else { 1 };
            let Some(count) = words.len().checked_sub(lens).filter(|count| matches!(count, 2 | 3)) else {
                return Err(format!("NATS said '{}'", String::from_utf8_lossy(head)));
            };
            let len = |word: &[u8]| number(word).map(|len| usize::try_from(len).unwrap_or(0));
            let total = len(words[words.len() - 1])?;
            let head_len = if has_headers { len(words[count])?.min(total) } else { 0 };
            if input.len() < start + total + 2 {
                return Ok(None);
            }
            let (headers, payload) = input[start..start + total].split_at(head_len);
            let reply = (count == 3).then(|| words[2]);
            return Ok(Some((Said::Message { subject: words[0], reply, headers, payload }, start + total + 2)));
        }
        Some(b"INFO") => Said::Info,
        Some(b"PING") => Said::Ping,
        Some(b"PONG" | b"+OK") => Said::Pong,
        Some(b"-ERR") => Said::Error(head[4..].trim_ascii()),
        _ => {
            return Err(format!(
                "'{}' is nothing that NATS says",
                String::from_utf8_lossy(&head[..head.len().min(40)])
            ));
        }
    };
    Ok(Some((said, start)))
}

/// What both kinds of connections have.
struct Talk {
    inbox: String,
    is_ready: bool,
}

impl Talk {
    fn new() -> Talk {
        Talk { inbox: format!("_INBOX.{:016x}", random::below(u64::MAX)), is_ready: false }
    }

    /// Answers what has nothing to do with records; true if that was all.
    fn answer(&mut self, said: &Said<'_>, out: &mut Vec<u8>) -> Result<bool, String> {
        match said {
            Said::Info if !self.is_ready => {
                let text = format!("CONNECT {GREETING}\r\nSUB {}.* 1\r\nPING\r\n", self.inbox);
                out.extend_from_slice(text.as_bytes());
            }
            Said::Info => {}
            Said::Ping => out.extend_from_slice(b"PONG\r\n"),
            Said::Pong => self.is_ready = true,
            Said::Error(text) => return Err(String::from_utf8_lossy(text).into_owned()),
            Said::Message { .. } => return Ok(false),
        }
        Ok(true)
    }

    /// What follows our inbox in a subject.
    fn suffix<'a>(&self, subject: &'a [u8]) -> Option<&'a [u8]> {
        subject.strip_prefix(self.inbox.as_bytes())?.strip_prefix(b".")
    }
}

/// A connection that publishes.
pub(super) struct Publisher {
    talk: Talk,
    streams: Vec<String>,
    waits: bool,
}

impl Publisher {
    pub fn new(streams: Vec<String>, acks: i16) -> Publisher {
        Publisher { talk: Talk::new(), streams, waits: acks != 0 }
    }
}

impl Wire for Publisher {
    fn greet(&mut self, _out: &mut Vec<u8>) {
        // The server speaks first. The inbox stays: its name is in batches that wait.
        self.talk.is_ready = false;
    }

    fn is_ready(&self) -> bool {
        self.talk.is_ready
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, tell: &mut dyn FnMut(Heard<'_>)) -> Result<usize, String> {
        let mut done = 0;
        while let Some((said, len)) = parse(&input[done..])? {
            done += len;
            if self.talk.answer(&said, out)? {
                continue;
            }
            let Said::Message { subject, headers, payload, .. } = said else { continue };
            let id = self.talk.suffix(subject).and_then(|id| std::str::from_utf8(id).ok());
            let Some(id) = id.and_then(|id| u64::from_str_radix(id, 16).ok()) else { continue };
            let id = RecordId::from_number(id);
            if !headers.is_empty() {
                // Nobody stores this subject.
                tell(Heard::Of(id, Err("NO_RESPONDERS")));
            } else if is_refusal(payload) {
                tell(Heard::Of(id, Err(&refusal(payload))));
            } else {
                tell(Heard::Of(id, Ok(())));
            }
        }
        Ok(done)
    }
}

impl Publish for Publisher {
    fn put(&mut self, stream: usize, id: RecordId, key: Option<&[u8]>, value: Option<&[u8]>, bytes: &mut Vec<u8>) {
        let value = value.unwrap_or_default();
        let header = key.map(|key| [b"NATS/1.0\r\nKey: ", key, b"\r\n\r\n"].concat());
        let header_len = header.as_ref().map_or(0, Vec::len);
        bytes.extend_from_slice(if header.is_some() { b"HPUB " } else { b"PUB " });
        bytes.extend_from_slice(self.streams[stream].as_bytes());
        // Writing to a vector can't fail.
        if self.waits {
            let _ = write!(bytes, " {}.{:x}", self.talk.inbox, id.to_number());
        }
        if header.is_some() {
            let _ = write!(bytes, " {header_len}");
        }
        let _ = write!(bytes, " {}\r\n", header_len + value.len());
        bytes.extend_from_slice(header.as_deref().unwrap_or_default());
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Whether an acknowledgement is none. Its first member is `error` then; else `stream`.
fn is_refusal(payload: &[u8]) -> bool {
    payload.starts_with(b"{\"error\"")
}

fn refusal(payload: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(payload).unwrap_or_default();
    answer["error"]["description"].as_str().unwrap_or("refused").to_owned()
}

/// The status in headers: `404`, `408`, `503`.
fn status(headers: &[u8]) -> Option<u32> {
    let digits = headers.strip_prefix(b"NATS/1.0 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Bytes of the header `Key`.
fn key_len(headers: &[u8]) -> usize {
    let at = headers.windows(6).position(|six| six == b"\nKey: ").map(|at| at + 6);
    let rest = at.map(|at| &headers[at..]);
    rest.and_then(line).map_or(0, |(key, _)| key.len())
}

/// A connection that reads. A server that comes back has forgotten its consumers: they are made anew, behind what was read.
pub(super) struct Reader {
    talk: Talk,
    sources: Vec<Source>,
    from_beginning: bool,
    /// The consumer of each stream; empty: not made yet.
    consumers: Vec<String>,
    /// Sequence behind the last message of each stream; 0: nothing was read yet.
    next: Vec<u64>,
    /// Messages that were asked for and have not come, by source.
    asked: Vec<u32>,
    /// When a request is over even if nobody says so: a server may drop one that has expired without a word.
    over_at: Vec<u64>,
    records: u32,
    wait_ms: i32,
}

impl Reader {
    pub fn new(sources: Vec<Source>, from_beginning: bool, records: u32, wait_ms: i32) -> Reader {
        Reader {
            talk: Talk::new(),
            from_beginning,
            consumers: vec![String::new(); sources.len()],
            next: vec![0; sources.len()],
            asked: vec![0; sources.len()],
            over_at: vec![0; sources.len()],
            records,
            wait_ms: wait_ms.max(1),
            sources,
        }
    }

    fn make_consumers(&self, out: &mut Vec<u8>) {
        for (index, source) in self.sources.iter().enumerate() {
            let mut config = json!({
                "deliver_policy": if self.from_beginning { "all" } else { "new" }, "ack_policy": "none",
                "replay_policy": "instant", "max_waiting": 16, "inactive_threshold": CONSUMER_KEPT_NS,
                "num_replicas": 1, "mem_storage": true,
            });
            if self.next[index] > 0 {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = self.next[index].into();
            }
            let request = json!({"stream_name": source.name, "config": config}).to_string();
            let head = format!("PUB $JS.API.CONSUMER.CREATE.{} {}.c{index}", source.name, self.talk.inbox);
            // Writing to a vector can't fail.
            let _ = write!(out, "{head} {}\r\n{request}\r\n", request.len());
        }
    }

    /// An answer to a request of ours: a consumer was made, or a request for messages is over.
    fn answered(&mut self, about: &[u8], headers: &[u8], payload: &[u8]) -> Result<bool, String> {
        let is_made = about.first() == Some(&b'c');
        let index = number(if is_made { &about[1..] } else { about })? as usize;
        if is_made {
            let answer: Value = serde_json::from_slice(payload).unwrap_or_default();
            let (name, consumer) = (answer["name"].as_str(), self.consumers.get_mut(index));
            let (Some(name), Some(consumer)) = (name, consumer) else { return Err(refusal(payload)) };
            name.clone_into(consumer);
            return Ok(false);
        }
        // 100 is a sign of life; 404, 408 and 409 end a request.
        let is_over = status(headers).is_some_and(|status| status != 100);
        match self.asked.get_mut(index) {
            Some(asked) if is_over => *asked = 0,
            _ => {}
        }
        Ok(is_over)
    }
}

impl Wire for Reader {
    fn greet(&mut self, _out: &mut Vec<u8>) {
        self.talk.is_ready = false;
        self.asked.fill(0);
        self.consumers.iter_mut().for_each(String::clear);
    }

    fn is_ready(&self) -> bool {
        self.talk.is_ready && self.consumers.iter().all(|consumer| !consumer.is_empty())
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, tell: &mut dyn FnMut(Heard<'_>)) -> Result<usize, String> {
        let mut done = 0;
        while let Some((said, len)) = parse(&input[done..])? {
            done += len;
            if self.talk.answer(&said, out)? {
                if said == Said::Pong {
                    self.make_consumers(out);
                }
                continue;
            }
            let Said::Message { subject, headers, payload, reply } = said else { continue };
            // A message has the subject that it was published to.
            if let Some(about) = self.talk.suffix(subject) {
                if self.answered(about, headers, payload)? {
                    tell(Heard::Fetched);
                }
                continue;
            }
            let Some(at) = self.sources.iter().position(|source| source.name.as_bytes() == subject) else { continue };
            self.next[at] = reply.and_then(sequence).map_or(self.next[at], |sequence| sequence + 1);
            self.asked[at] = self.asked[at].saturating_sub(1);
            let value = (!payload.is_empty()).then_some(payload);
            tell(Heard::Record { place: self.sources[at].place, key_bytes: key_len(headers), value });
            if self.asked[at] == 0 {
                tell(Heard::Fetched);
            }
        }
        Ok(done)
    }
}

/// The sequence of a message in its stream: in `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<..>.<..>.<..>`, which may have a
/// domain and an account before the stream.
fn sequence(reply: &[u8]) -> Option<u64> {
    let words: Vec<&[u8]> = reply.split(|byte| *byte == b'.').collect();
    let at = if words.len() > 9 { 7 } else { 5 };
    words.get(at).and_then(|word| number(word).ok()).and_then(|sequence| u64::try_from(sequence).ok())
}

impl Read for Reader {
    fn ask(&mut self, now: u64, out: &mut Vec<u8>) {
        for (index, source) in self.sources.iter().enumerate() {
            if self.asked[index] > 0 && now < self.over_at[index] {
                continue;
            }
            self.over_at[index] = now + self.wait_ms as u64 * 1_000_000 + SILENCE_NS;
            let request = json!({"batch": self.records, "expires": i64::from(self.wait_ms) * 1_000_000}).to_string();
            let (consumer, inbox) = (&self.consumers[index], &self.talk.inbox);
            let head = format!("PUB $JS.API.CONSUMER.MSG.NEXT.{}.{consumer} {inbox}.{index}", source.name);
            // Writing to a vector can't fail.
            let _ = write!(out, "{head} {}\r\n{request}\r\n", request.len());
            self.asked[index] = self.records;
        }
    }
}

/// A connection that waits for each answer: for what is done before and after a run.
pub(in crate::bench) struct Errands {
    stream: BufReader<TcpStream>,
    inbox: String,
    /// What the server said of itself first.
    info: Value,
}

/// Connects.
pub(in crate::bench) fn errands(address: SocketAddr) -> Result<Errands, BenchError> {
    let failed = |error| BenchError::broker(format_args!("nats at {address}: {error}"));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).map_err(failed)?;
    let info = first.strip_prefix("INFO ").and_then(|json| serde_json::from_str(json).ok());
    let info = info.ok_or_else(|| BenchError::broker(format_args!("no NATS server answers at {address}")))?;
    let inbox = format!("_INBOX.{:016x}", random::below(u64::MAX));
    let mut errands = Errands { stream, inbox, info };
    errands.say(&format!("CONNECT {GREETING}\r\nSUB {}.* 1\r\n", errands.inbox))?;
    Ok(errands)
}

impl Errands {
    fn say(&mut self, text: &str) -> Result<(), BenchError> {
        let failed = |error| BenchError::broker(format_args!("nats does not answer: {error}"));
        self.stream.get_mut().write_all(text.as_bytes()).map_err(failed)
    }

    /// Asks JetStream; an answer that is an error is one.
    pub fn call(&mut self, subject: &str, request: &Value) -> Result<Value, BenchError> {
        let failed = |error: std::io::Error| BenchError::broker(format_args!("nats does not answer: {error}"));
        let request = request.to_string();
        self.say(&format!("PUB $JS.API.{subject} {}.1 {}\r\n{request}\r\n", self.inbox, request.len()))?;
        loop {
            let mut head = String::new();
            if self.stream.read_line(&mut head).map_err(failed)? == 0 {
                return Err(BenchError::broker("nats closed the connection"));
            }
            let words: Vec<&str> = head.split_whitespace().collect();
            match words.first() {
                Some(&"PING") => self.say("PONG\r\n")?,
                Some(&"-ERR") => return Err(BenchError::broker(format_args!("nats: {}", head.trim_end()))),
                Some(&"HMSG") => return Err(BenchError::broker("nats has no JetStream: nobody answers")),
                Some(&"MSG") => {
                    let len = words.last().and_then(|len| len.parse::<usize>().ok()).unwrap_or(0);
                    let mut payload = vec![0; len + 2];
                    self.stream.read_exact(&mut payload).map_err(failed)?;
                    if is_error(&payload[..len]) {
                        return Err(BenchError::broker(format_args!("nats, {subject}: {}", refusal(&payload[..len]))));
                    }
                    return serde_json::from_slice(&payload[..len])
                        .map_err(|error| BenchError::broker(format_args!("nats said no JSON: {error}")));
                }
                _ => {}
            }
        }
    }

    /// Its version, if it has JetStream.
    pub fn version(&mut self) -> Result<String, BenchError> {
        self.call("INFO", &json!({}))?;
        Ok(self.info["version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Makes streams of one subject each, in files; those that are there stay as they are.
    pub fn make(&mut self, streams: &[String]) -> Result<(), BenchError> {
        for stream in streams {
            let config = json!({
                "name": stream, "subjects": [stream], "storage": "file", "retention": "limits", "discard": "old",
                "num_replicas": 1, "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0,
            });
            self.call(&format!("STREAM.CREATE.{stream}"), &config)?;
        }
        Ok(())
    }

    /// Removes streams.
    pub fn remove(&mut self, streams: &[String]) -> Result<(), BenchError> {
        for stream in streams {
            self.call(&format!("STREAM.DELETE.{stream}"), &json!({}))?;
        }
        Ok(())
    }
}

/// Whether an answer of the API is an error, wherever it says so.
fn is_error(payload: &[u8]) -> bool {
    serde_json::from_slice::<Value>(payload).is_ok_and(|answer| answer["error"].is_object())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(wire: &mut dyn Wire, input: &[u8]) -> (usize, Vec<String>, String) {
        let (mut said, mut out) = (Vec::new(), Vec::new());
        let done = wire.hear(input, &mut out, &mut |heard| said.push(format!("{heard:?}"))).expect("NATS says so");
        (done, said, String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn records_are_published_and_acknowledged_by_their_ids() {
        let mut publisher = Publisher::new(vec!["a-0".to_owned()], 1);
        publisher.greet(&mut Vec::new());
        let (_, _, out) = hear(&mut publisher, b"INFO {\"max_payload\":1}\r\n");
        let inbox = publisher.talk.inbox.clone();
        assert!(out.starts_with("CONNECT {") && out.ends_with(&format!("SUB {inbox}.* 1\r\nPING\r\n")), "{out}");
        assert!(!publisher.is_ready());
        hear(&mut publisher, b"PONG\r\n");
        assert!(publisher.is_ready());
        let id = RecordId { batch: 1, index: 10 };
        let mut bytes = Vec::new();
        publisher.put(0, id, None, Some(b"abc"), &mut bytes);
        assert_eq!(String::from_utf8_lossy(&bytes), format!("PUB a-0 {inbox}.10000000a 3\r\nabc\r\n"));
        bytes.clear();
        publisher.put(0, id, Some(b"q"), Some(b"abc"), &mut bytes);
        let expected = format!("HPUB a-0 {inbox}.10000000a 20 23\r\nNATS/1.0\r\nKey: q\r\n\r\nabc\r\n");
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
        let ack = |json: &str| format!("MSG {inbox}.10000000a 1 {}\r\n{json}\r\n", json.len());
        let input =
            ack(r#"{"stream":"a-0", "seq":1}"#) + &ack(r#"{"error":{"code":503,"description":"full"}}"#) + "PING\r\n";
        let (done, said, out) = hear(&mut publisher, input.as_bytes());
        assert_eq!((done, out.as_str()), (input.len(), "PONG\r\n"));
        let of = |outcome| format!("{:?}", Heard::Of(id, outcome));
        assert_eq!(said, [of(Ok(())), of(Err("full"))]);
        let nobody = format!("HMSG {inbox}.10000000a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
        assert_eq!(hear(&mut publisher, nobody.as_bytes()).1, [of(Err("NO_RESPONDERS"))]);
        assert!(publisher.hear(b"-ERR 'Authorization Violation'\r\n", &mut Vec::new(), &mut |_| {}).is_err());
        let mut silent = Publisher::new(vec!["a-0".to_owned()], 0);
        bytes.clear();
        silent.put(0, id, None, None, &mut bytes);
        assert_eq!(bytes, b"PUB a-0 0\r\n\r\n");
    }

    #[test]
    fn messages_are_read_however_they_are_cut() {
        let source = Source { place: 4, name: "a-0".to_owned() };
        let made = |reader: &Reader| format!("MSG {}.c0 1 12\r\n{{\"name\":\"c\"}}\r\n", reader.talk.inbox);
        let make = || {
            let mut reader = Reader::new(vec![source.clone()], false, 2, 500);
            let (_, _, out) = hear(&mut reader, b"PONG\r\n");
            let begin = format!("PUB $JS.API.CONSUMER.CREATE.a-0 {}.c0 ", reader.talk.inbox);
            assert!(out.starts_with(&begin) && out.contains(r#""deliver_policy":"new""#), "{out}");
            assert!(!reader.is_ready());
            let made = made(&reader);
            hear(&mut reader, made.as_bytes());
            assert!(reader.is_ready());
            reader
        };
        let said = b"MSG a-0 1 $JS.ACK.a-0.c.1.41.1.7.0 3\r\nabc\r\nHMSG a-0 1 $JS.ACK.a-0.c.1.42.1.7.0 20 20\r\nNATS/1.0\r\nKey: q\r\n\r\n\r\n";
        for cut in 0..said.len() {
            let mut reader = make();
            let mut out = Vec::new();
            reader.ask(0, &mut out);
            let inbox = &reader.talk.inbox;
            let request = r#"{"batch":2,"expires":500000000}"#;
            let expected = format!("PUB $JS.API.CONSUMER.MSG.NEXT.a-0.c {inbox}.0 {}\r\n{request}\r\n", request.len());
            assert_eq!(String::from_utf8_lossy(&out), expected);
            let (done, mut heard, _) = hear(&mut reader, &said[..cut]);
            heard.extend(hear(&mut reader, &said[done..]).1);
            let record =
                |key_bytes, value: Option<&[u8]>| format!("{:?}", Heard::Record { place: 4, key_bytes, value });
            assert_eq!(heard, [record(0, Some(b"abc")), record(1, None), "Fetched".to_owned()], "{cut}");
            assert_eq!((reader.asked[0], reader.next[0]), (0, 43));
            reader.greet(&mut Vec::new());
            let (_, _, out) = hear(&mut reader, b"PONG\r\n");
            assert!(out.contains(r#""deliver_policy":"by_start_sequence""#) && out.contains(r#""opt_start_seq":43"#));
        }
        let mut reader = make();
        reader.ask(0, &mut Vec::new());
        let end = format!("HMSG {}.0 1 32 32\r\nNATS/1.0 408 Request Timeout\r\n\r\n\r\n", reader.talk.inbox);
        assert_eq!((hear(&mut reader, end.as_bytes()).1, reader.asked[0]), (vec!["Fetched".to_owned()], 0));
        let asks = |reader: &mut Reader, now| {
            let mut out = Vec::new();
            reader.ask(now, &mut out);
            !out.is_empty()
        };
        // One that ends without a word is asked for again.
        let moments = [0, 500_000_000, 749_999_999, 750_000_000, 750_000_001];
        assert_eq!(moments.map(|now| asks(&mut reader, now)), [true, false, false, true, false]);
    }
}
