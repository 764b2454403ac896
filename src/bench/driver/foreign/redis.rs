//! Redis streams in RESP2: `XADD`s in a pipeline, `XREAD` with `BLOCK`.
//!
//! A record is an entry with the fields `k` and `v`; a record without a key has no `k`, a tombstone no `v`.
//!
//! With acks=0 the connection says `CLIENT REPLY OFF`: nothing is answered.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Source;
use super::wire::{Heard, Publish, Read, RecordId, Wire, line, number};
use crate::bench::BenchError;

/// How long an errand may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// An answer that is longer than this is none.
const BULK_BYTES_MAX: usize = 1 << 30;

/// A connection that adds entries.
pub(super) struct Publisher {
    /// `XADD`, stream and `*`, encoded.
    heads: Vec<Vec<u8>>,
    waits: bool,
    is_ready: bool,
}

impl Publisher {
    pub fn new(streams: Vec<String>, acks: i16) -> Publisher {
        let head = |stream: String| {
            let mut head = Vec::new();
            [b"XADD", stream.as_bytes(), b"*"].iter().for_each(|word| put_bulk(word, &mut head));
            head
        };
        Publisher { heads: streams.into_iter().map(head).collect(), waits: acks != 0, is_ready: false }
    }
}

impl Wire for Publisher {
    fn greet(&mut self, out: &mut Vec<u8>) {
        self.is_ready = false;
        put_command(&[b"PING"], out);
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>, tell: &mut dyn FnMut(Heard<'_>)) -> Result<usize, String> {
        let mut done = 0;
        while let Some((value, len)) = parse(&input[done..])? {
            done += len;
            if !self.is_ready {
                greeted(&value)?;
                self.is_ready = true;
                if !self.waits {
                    put_command(&[b"CLIENT", b"REPLY", b"OFF"], out);
                }
                continue;
            }
            match value {
                Value::Error(text) => tell(Heard::Next(Err(kind(text)))),
                _ => tell(Heard::Next(Ok(()))),
            }
        }
        Ok(done)
    }
}

impl Publish for Publisher {
    fn put(&mut self, stream: usize, _id: RecordId, key: Option<&[u8]>, value: Option<&[u8]>, bytes: &mut Vec<u8>) {
        // An entry has at least one field.
        let none = (key.is_none() && value.is_none()).then_some(&b""[..]);
        let fields = [(b"k", key.or(none)), (b"v", value)];
        let count = fields.iter().filter(|(_, field)| field.is_some()).count();
        put_header(b'*', 3 + 2 * count, bytes);
        bytes.extend_from_slice(&self.heads[stream]);
        for (name, field) in fields {
            if let Some(field) = field {
                put_bulk(name, bytes);
                put_bulk(field, bytes);
            }
        }
    }
}

/// Where a reader is in an answer to `XREAD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Nothing is asked for.
    Idle,
    /// Before the answer.
    Answer,
    /// So many streams are to come.
    Streams(usize),
    /// So many entries of this source are to come, then so many streams.
    Entries { source: usize, entries: usize, streams: usize },
}

/// A connection that reads entries.
pub(super) struct Reader {
    sources: Vec<Source>,
    /// Id of the last entry of each source.
    ids: Vec<String>,
    records: String,
    wait_ms: String,
    at: At,
    is_ready: bool,
}

impl Reader {
    pub fn new(sources: Vec<Source>, starts: &[String], records: u32, wait_ms: i32) -> Reader {
        let wait_ms = wait_ms.max(1).to_string();
        Reader { sources, ids: starts.to_vec(), records: records.to_string(), wait_ms, at: At::Idle, is_ready: false }
    }

    /// Understands one step of an answer; `None`: it is cut off.
    fn step(&mut self, input: &[u8], tell: &mut dyn FnMut(Heard<'_>)) -> Result<Option<usize>, String> {
        match self.at {
            At::Idle => Err("an answer to nothing".to_owned()),
            At::Answer => {
                let Some((head, len)) = line(input) else { return Ok(None) };
                if head.first() == Some(&b'-') {
                    return Err(String::from_utf8_lossy(&head[1..]).into_owned());
                }
                // Nothing came in time.
                let streams = usize::try_from(number(head.get(1..).unwrap_or_default())?).unwrap_or(0);
                self.at = At::Streams(streams);
                self.finish(tell);
                Ok(Some(len))
            }
            At::Streams(streams) => {
                let Some((_, pair)) = line(input) else { return Ok(None) };
                let Some((name, name_len)) = parse_bulk(&input[pair..])? else { return Ok(None) };
                let Some((head, len)) = line(&input[pair + name_len..]) else { return Ok(None) };
                let entries = usize::try_from(number(head.get(1..).unwrap_or_default())?).unwrap_or(0);
                let name = name.unwrap_or_default();
                let source = self.sources.iter().position(|source| source.name.as_bytes() == name);
                let source = source.ok_or_else(|| format!("entries of {}", String::from_utf8_lossy(name)))?;
                self.at = At::Entries { source, entries, streams: streams - 1 };
                self.finish(tell);
                Ok(Some(pair + name_len + len))
            }
            At::Entries { source, entries, streams } => {
                let Some((entry, len)) = parse_entry(input)? else { return Ok(None) };
                let id = &mut self.ids[source];
                id.clear();
                id.push_str(&String::from_utf8_lossy(entry.id));
                let key_bytes = entry.key.map_or(0, <[u8]>::len);
                tell(Heard::Record { place: self.sources[source].place, key_bytes, value: entry.value });
                self.at = At::Entries { source, entries: entries - 1, streams };
                self.finish(tell);
                Ok(Some(len))
            }
        }
    }

    /// Goes on when nothing more is to come where it is.
    fn finish(&mut self, tell: &mut dyn FnMut(Heard<'_>)) {
        if let At::Entries { entries: 0, streams, .. } = self.at {
            self.at = At::Streams(streams);
        }
        if self.at == At::Streams(0) {
            self.at = At::Idle;
            tell(Heard::Fetched);
        }
    }
}

impl Wire for Reader {
    fn greet(&mut self, out: &mut Vec<u8>) {
        (self.is_ready, self.at) = (false, At::Idle);
        put_command(&[b"PING"], out);
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn hear(&mut self, input: &[u8], _out: &mut Vec<u8>, tell: &mut dyn FnMut(Heard<'_>)) -> Result<usize, String> {
        let mut done = 0;
        if !self.is_ready {
            let Some((value, len)) = parse(input)? else { return Ok(0) };
            greeted(&value)?;
            self.is_ready = true;
            done = len;
        }
        while done < input.len() {
            let Some(len) = self.step(&input[done..], tell)? else { break };
            done += len;
        }
        Ok(done)
    }
}

impl Read for Reader {
    fn ask(&mut self, _now: u64, out: &mut Vec<u8>) {
        if self.at != At::Idle {
            return;
        }
        let words = ["XREAD", "COUNT", &self.records, "BLOCK", &self.wait_ms, "STREAMS"];
        let streams = self.sources.iter().map(|source| &source.name).chain(&self.ids);
        put_header(b'*', words.len() + 2 * self.sources.len(), out);
        words.iter().for_each(|word| put_bulk(word.as_bytes(), out));
        streams.for_each(|word| put_bulk(word.as_bytes(), out));
        self.at = At::Answer;
    }
}

fn greeted(value: &Value<'_>) -> Result<(), String> {
    match value {
        Value::Simple(b"PONG") => Ok(()),
        Value::Error(text) => Err(String::from_utf8_lossy(text).into_owned()),
        _ => Err("it does not answer PING as Redis does".to_owned()),
    }
}

/// An answer, as far as these clients need it.
#[derive(Debug, PartialEq, Eq)]
enum Value<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Number(i64),
    Bulk(Option<&'a [u8]>),
}

/// A value that is no array, and its length; `None`: it is cut off.
fn parse(input: &[u8]) -> Result<Option<(Value<'_>, usize)>, String> {
    let Some(first) = input.first() else { return Ok(None) };
    if *first == b'$' {
        return Ok(parse_bulk(input)?.map(|(bulk, len)| (Value::Bulk(bulk), len)));
    }
    let Some((text, len)) = line(input) else { return Ok(None) };
    let value = match first {
        b'+' => Value::Simple(&text[1..]),
        b'-' => Value::Error(&text[1..]),
        b':' => Value::Number(number(&text[1..])?),
        other => return Err(format!("'{}' begins no answer of Redis", char::from(*other))),
    };
    Ok(Some((value, len)))
}

/// A bulk string (`None`: null) and its length with everything; `None`: it is cut off.
#[expect(clippy::type_complexity, reason = "cut off, null and there are three answers")]
fn parse_bulk(input: &[u8]) -> Result<Option<(Option<&[u8]>, usize)>, String> {
    let Some((head, start)) = line(input) else { return Ok(None) };
    if head.first() != Some(&b'$') {
        return Err("Redis was to say a string".to_owned());
    }
    let Ok(len) = usize::try_from(number(&head[1..])?) else { return Ok(Some((None, start))) };
    if len > BULK_BYTES_MAX {
        return Err(format!("a string of {len} bytes"));
    }
    if input.len() < start + len + 2 {
        return Ok(None);
    }
    Ok(Some((Some(&input[start..start + len]), start + len + 2)))
}

struct Entry<'a> {
    id: &'a [u8],
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

/// `*2`, id, `*FIELDS`, fields; `None`: it is cut off.
fn parse_entry(input: &[u8]) -> Result<Option<(Entry<'_>, usize)>, String> {
    let Some((_, mut at)) = line(input) else { return Ok(None) };
    let Some((id, len)) = parse_bulk(&input[at..])? else { return Ok(None) };
    at += len;
    let Some((head, len)) = line(&input[at..]) else { return Ok(None) };
    at += len;
    let words = number(head.get(1..).unwrap_or_default())?;
    let mut entry = Entry { id: id.unwrap_or_default(), key: None, value: None };
    for _ in 0..words / 2 {
        let Some((name, len)) = parse_bulk(&input[at..])? else { return Ok(None) };
        let Some((field, more)) = parse_bulk(&input[at + len..])? else { return Ok(None) };
        at += len + more;
        match name {
            Some(b"k") => entry.key = field,
            Some(b"v") => entry.value = field,
            _ => {}
        }
    }
    Ok(Some((entry, at)))
}

/// The first word of an error: `OOM`, `READONLY`.
fn kind(text: &[u8]) -> &str {
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(word).unwrap_or("ERR")
}

fn put_header(kind: u8, count: usize, out: &mut Vec<u8>) {
    out.push(kind);
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = count;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

fn put_bulk(word: &[u8], out: &mut Vec<u8>) {
    put_header(b'$', word.len(), out);
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

fn put_command(words: &[&[u8]], out: &mut Vec<u8>) {
    put_header(b'*', words.len(), out);
    words.iter().for_each(|word| put_bulk(word, out));
}

/// A connection that waits for each answer: for what is done before and after a run.
pub(in crate::bench) struct Errands {
    stream: BufReader<TcpStream>,
}

/// Connects.
pub(in crate::bench) fn errands(address: SocketAddr) -> Result<Errands, BenchError> {
    let failed = |error| BenchError::broker(format_args!("redis at {address}: {error}"));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    Ok(Errands { stream: BufReader::new(stream) })
}

impl Errands {
    /// Asks, and hears the answer as text: an array's values with line ends between them.
    pub fn call(&mut self, words: &[&str]) -> Result<String, BenchError> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let mut command = Vec::new();
        put_command(&words, &mut command);
        let failed = |error| BenchError::broker(format_args!("redis does not answer: {error}"));
        self.stream.get_mut().write_all(&command).map_err(failed)?;
        let mut text = String::new();
        self.hear(&mut text)?;
        Ok(text)
    }

    fn hear(&mut self, text: &mut String) -> Result<(), BenchError> {
        let failed = |error| BenchError::broker(format_args!("redis does not answer: {error}"));
        let wrong = |what: &str| BenchError::broker(format_args!("redis: {what}"));
        let mut head = String::new();
        if self.stream.read_line(&mut head).map_err(failed)? == 0 {
            return Err(wrong("it closed the connection"));
        }
        let head = head.trim_end();
        let (kind, rest) = head.split_at(head.len().min(1));
        let count = || rest.parse::<i64>().map_err(|_| wrong(head));
        match kind {
            "+" | ":" => text.push_str(rest),
            "-" => return Err(wrong(rest)),
            "$" => {
                let Ok(len) = usize::try_from(count()?) else { return Ok(()) };
                let mut bytes = vec![0; len.min(BULK_BYTES_MAX) + 2];
                self.stream.read_exact(&mut bytes).map_err(failed)?;
                text.push_str(&String::from_utf8_lossy(&bytes[..len]));
            }
            "*" => {
                for index in 0..count()?.max(0) {
                    if index > 0 {
                        text.push('\n');
                    }
                    self.hear(text)?;
                }
            }
            _ => return Err(wrong(head)),
        }
        Ok(())
    }

    /// Its version.
    pub fn version(&mut self) -> Result<String, BenchError> {
        let info = self.call(&["INFO", "server"])?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.unwrap_or("unknown").trim().to_owned())
    }

    /// Streams come into being with their first entry; a key of another type is in the way.
    pub fn find(&mut self, streams: &[String]) -> Result<(), BenchError> {
        for stream in streams {
            let kind = self.call(&["TYPE", stream])?;
            if kind != "none" && kind != "stream" {
                return Err(BenchError::config(format_args!(
                    "redis has a {kind} of the name {stream}: choose another --topic"
                )));
            }
        }
        Ok(())
    }

    /// Removes streams, and what the append-only file holds of them.
    pub fn remove(&mut self, streams: &[String]) -> Result<(), BenchError> {
        for stream in streams {
            self.call(&["DEL", stream])?;
        }
        self.call(&["BGREWRITEAOF"])?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let state = self.call(&["INFO", "persistence"])?;
            let is_busy = |field: &str| state.lines().any(|line| line.trim_end() == format!("{field}:1"));
            if !is_busy("aof_rewrite_in_progress") && !is_busy("aof_rewrite_scheduled") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Ids after which readers begin.
    pub fn starts(&mut self, sources: &[Source], from_beginning: bool) -> Result<Vec<String>, BenchError> {
        let mut starts = Vec::new();
        for source in sources {
            let last = if from_beginning {
                String::new()
            } else {
                self.call(&["XREVRANGE", &source.name, "+", "-", "COUNT", "1"])?
            };
            let id = last.lines().next().filter(|id| !id.is_empty()).unwrap_or("0-0");
            starts.push(id.to_owned());
        }
        Ok(starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(wire: &mut dyn Wire, input: &[u8]) -> (usize, Vec<String>, Vec<u8>) {
        let (mut said, mut out) = (Vec::new(), Vec::new());
        let done = wire.hear(input, &mut out, &mut |heard| said.push(format!("{heard:?}"))).expect("it is RESP");
        (done, said, out)
    }

    #[test]
    fn records_become_entries_and_answers_are_counted() {
        let mut publisher = Publisher::new(vec!["a-0".to_owned()], 1);
        let mut out = Vec::new();
        publisher.greet(&mut out);
        assert_eq!((out.as_slice(), publisher.is_ready()), (&b"*1\r\n$4\r\nPING\r\n"[..], false));
        assert_eq!(hear(&mut publisher, b"+PONG\r\n").0, 7);
        let mut bytes = Vec::new();
        let id = RecordId { batch: 0, index: 0 };
        publisher.put(0, id, Some(b"key"), Some(b"v"), &mut bytes);
        let head = "$4\r\nXADD\r\n$3\r\na-0\r\n$1\r\n*\r\n";
        let expected = format!("*7\r\n{head}$1\r\nk\r\n$3\r\nkey\r\n$1\r\nv\r\n$1\r\nv\r\n");
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
        bytes.clear();
        publisher.put(0, id, None, None, &mut bytes);
        assert_eq!(String::from_utf8_lossy(&bytes), format!("*5\r\n{head}$1\r\nk\r\n$0\r\n\r\n"));
        let (done, said, _) = hear(&mut publisher, b"$3\r\n1-0\r\n-OOM command not allowed\r\n$3\r\n2-");
        assert_eq!((done, said), (35, vec!["Next(Ok(()))".to_owned(), "Next(Err(\"OOM\"))".to_owned()]));
    }

    #[test]
    fn nobody_answers_when_nobody_waits() {
        let mut publisher = Publisher::new(Vec::new(), 0);
        let (_, _, out) = hear(&mut publisher, b"+PONG\r\n");
        assert!(out.ends_with(b"$5\r\nREPLY\r\n$3\r\nOFF\r\n"));
        assert!(publisher.hear(b"?", &mut Vec::new(), &mut |_| {}).is_ok_and(|done| done == 0));
        assert!(publisher.hear(b"?\r\n", &mut Vec::new(), &mut |_| {}).is_err());
    }

    #[test]
    fn entries_are_read_however_the_answer_is_cut() {
        let sources = |names: [&str; 2]| {
            let source = |(place, name): (usize, &str)| Source { place: place as u32, name: name.to_owned() };
            names.into_iter().enumerate().map(source).collect::<Vec<_>>()
        };
        let answer = b"*2\r\n*2\r\n$1\r\na\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nv\r\n$2\r\nxy\r\n*2\r\n$3\r\n2-0\r\n*4\r\n$1\r\nk\r\n$1\r\nq\r\n$1\r\nv\r\n$0\r\n\r\n*2\r\n$1\r\nb\r\n*1\r\n*2\r\n$3\r\n7-1\r\n*2\r\n$1\r\nk\r\n$1\r\nq\r\n";
        for cut in 0..answer.len() {
            let mut reader = Reader::new(sources(["a", "b"]), &["0-0".to_owned(), "0-0".to_owned()], 100, 500);
            assert_eq!(hear(&mut reader, b"+PONG\r\n").0, 7);
            let mut out = Vec::new();
            reader.ask(0, &mut out);
            assert!(out.ends_with(b"$7\r\nSTREAMS\r\n$1\r\na\r\n$1\r\nb\r\n$3\r\n0-0\r\n$3\r\n0-0\r\n"));
            let (done, mut said, _) = hear(&mut reader, &answer[..cut]);
            let (rest, more, _) = hear(&mut reader, &answer[done..]);
            said.extend(more);
            assert_eq!(done + rest, answer.len(), "{cut}");
            let record =
                |place, key_bytes, value: Option<&[u8]>| format!("{:?}", Heard::Record { place, key_bytes, value });
            let expected =
                [record(0, 0, Some(b"xy")), record(0, 1, Some(b"")), record(1, 1, None), "Fetched".to_owned()];
            assert_eq!(said, expected, "{cut}");
            assert_eq!((reader.ids.join(" "), reader.at), ("2-0 7-1".to_owned(), At::Idle));
        }
        let mut reader = Reader::new(sources(["a", "b"]), &["0-0".to_owned(), "0-0".to_owned()], 100, 500);
        hear(&mut reader, b"+PONG\r\n");
        reader.ask(0, &mut Vec::new());
        assert_eq!(hear(&mut reader, b"*-1\r\n"), (5, vec!["Fetched".to_owned()], Vec::new()));
    }
}
