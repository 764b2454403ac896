//! A record as JSON: `{"key": {"type": "STRING", "data": "k"}, "value": ..., "headers": [...], "partition_id": 0, "timestamp": "..."}`.
//!
//! Reading gives the same form as writing takes, so that records can go from one topic to another by curl alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::fault::Fault;
use super::json_cut::compact;
use super::round::Placed;
use crate::cli::java_time;
use crate::client::ProducerRecord;
use crate::ui::{now_ms, read_time};

/// Letters of somebody's data in a complaint about it.
const TOLD_MAX: usize = 60;

/// How bytes are written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Base64.
    Binary,
    /// Any JSON; its bytes are its text without blanks between its pieces.
    Json,
    /// UTF-8.
    String,
}

impl Form {
    pub(super) fn read(text: &str) -> Result<Form, Fault> {
        match text {
            "BINARY" => Ok(Form::Binary),
            "JSON" => Ok(Form::Json),
            "STRING" => Ok(Form::String),
            "AVRO" | "JSONSCHEMA" | "PROTOBUF" => Err(Fault::new(400, no_schemas(&format!("type={text}")))),
            _ => Err(Fault::new(400, format!("type={text}: there is BINARY, JSON and STRING"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Form::Binary => "BINARY",
            Form::Json => "JSON",
            Form::String => "STRING",
        }
    }
}

fn no_schemas(what: &str) -> String {
    format!("{what} needs a Schema Registry, which is not asked here: serialize it yourself and send it as type BINARY")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRecord<'a> {
    // The id of an entry of a batch is read by who reads the batch.
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    partition_id: Option<i64>,
    headers: Option<Vec<GivenHeader>>,
    #[serde(borrow)]
    key: Option<GivenPart<'a>>,
    #[serde(borrow)]
    value: Option<GivenPart<'a>>,
    timestamp: Option<String>,
    // What reading tells beside; it means nothing here.
    #[serde(rename = "offset")]
    _offset: Option<IgnoredAny>,
    #[serde(rename = "timestamp_type")]
    _timestamp_type: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenHeader {
    name: String,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenPart<'a> {
    #[serde(rename = "type")]
    form: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    subject: Option<IgnoredAny>,
    subject_name_strategy: Option<IgnoredAny>,
    schema_id: Option<IgnoredAny>,
    schema_version: Option<IgnoredAny>,
    schema: Option<IgnoredAny>,
}

/// What a report tells of a key or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ToldPart {
    #[serde(rename = "type")]
    form: Option<&'static str>,
    size: usize,
}

/// A record that somebody wants produced.
#[derive(Debug)]
pub(super) struct NewRecord {
    pub record: ProducerRecord,
    key: Option<ToldPart>,
    value: Option<ToldPart>,
}

impl NewRecord {
    /// Reads one for `topic`.
    pub(super) fn read(topic: &str, json: &[u8]) -> Result<NewRecord, Fault> {
        let given: GivenRecord<'_> =
            serde_json::from_slice(json).map_err(|error| Fault::new(400, format!("this is no record: {error}")))?;
        let partition = given.partition_id.map(|id| {
            let number = i32::try_from(id).ok().filter(|id| *id >= 0);
            number.ok_or_else(|| Fault::new(super::fault::code::NO_PARTITION, format!("there is no partition {id}")))
        });
        let timestamp = match &given.timestamp {
            Some(text) => moment(text)?,
            None => now_ms(),
        };
        let headers = given.headers.unwrap_or_default().into_iter().map(|header| {
            let value = header.value.map(|text| base64(&text, &format!("the value of header {}", header.name)));
            Ok((header.name, value.transpose()?))
        });
        let headers = headers.collect::<Result<Vec<_>, Fault>>()?;
        let (key, key_told) = part("key", given.key)?;
        let (value, value_told) = part("value", given.value)?;
        let record = ProducerRecord {
            topic: topic.to_owned(),
            partition: partition.transpose()?,
            timestamp: Some(timestamp),
            key,
            value,
            headers,
            tag: 0,
        };
        Ok(NewRecord { record, key: key_told, value: value_told })
    }

    /// Its bytes, about.
    pub(super) fn len(&self) -> usize {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.record.headers.iter().map(|(name, value)| name.len() + len(value)).sum();
        100 + len(&self.record.key) + len(&self.record.value) + headers
    }

    /// Where it is, for its sender.
    pub(super) fn report(told: &Told, cluster_id: &str, topic: &str, placed: &Placed) -> Value {
        let mut report = json!({
            "cluster_id": cluster_id,
            "topic_name": topic,
            "partition_id": placed.partition,
            "offset": placed.offset,
            "timestamp": java_time::iso(placed.append_time_ms.unwrap_or(told.timestamp)),
        });
        for (name, part) in [("key", told.key), ("value", told.value)] {
            if let Some(part) = part {
                report[name] = json!(part);
            }
        }
        report
    }

    /// The record, and what its report will need of it.
    pub(super) fn split(self) -> (ProducerRecord, Told) {
        let told = Told { timestamp: self.record.timestamp.unwrap_or(-1), key: self.key, value: self.value };
        (self.record, told)
    }
}

/// What the report of a record needs of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    timestamp: i64,
    key: Option<ToldPart>,
    value: Option<ToldPart>,
}

fn moment(text: &str) -> Result<i64, Fault> {
    // Times relative to now are for people in front of a page.
    let is_date = text.len() >= 10 && text.as_bytes()[0].is_ascii_digit() && text.contains('T');
    let ms = if is_date { read_time(text, 0).ok() } else { None };
    ms.filter(|ms| *ms >= 0).ok_or_else(|| {
        Fault::new(400, format!("timestamp={}: give a time such as 2026-11-22T12:30:00.000Z", shortened(text)))
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TOLD_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn base64(text: &str, what: &str) -> Result<Vec<u8>, Fault> {
    let wrong = |error| Fault::new(400, format!("{what} is not base64: {} ({error})", shortened(text)));
    STANDARD.decode(text).map_err(wrong)
}

type Part = (Option<Vec<u8>>, Option<ToldPart>);

fn part(name: &str, given: Option<GivenPart<'_>>) -> Result<Part, Fault> {
    let Some(given) = given else { return Ok((None, None)) };
    let has_schema = given.subject.is_some()
        || given.subject_name_strategy.is_some()
        || given.schema_id.is_some()
        || given.schema_version.is_some()
        || given.schema.is_some();
    if has_schema {
        return Err(Fault::new(400, no_schemas(&format!("a {name} with a schema"))));
    }
    let form = given.form.as_deref().map(Form::read).transpose()?;
    let Some(data) = given.data else {
        return Ok((None, Some(ToldPart { form: form.map(Form::name), size: 0 })));
    };
    let text = || {
        let text = serde_json::from_str::<String>(data.get());
        text.map_err(|_| Fault::new(400, format!("the data of the {name} is no string: {}", shortened(data.get()))))
    };
    let bytes = match form {
        Some(Form::Binary) => base64(&text()?, &format!("the data of the {name}"))?,
        Some(Form::String) => text()?.into_bytes(),
        Some(Form::Json) => compact(data.get()),
        None => {
            let complaint =
                format!("the {name} has data and no type: give \"type\": \"BINARY\", \"JSON\" or \"STRING\"");
            return Err(Fault::new(400, complaint));
        }
    };
    let told = ToldPart { form: form.map(Form::name), size: bytes.len() };
    Ok((Some(bytes), Some(told)))
}

/// A key or a value as it is read.
#[derive(Debug, Serialize)]
pub(super) struct ReadPart {
    #[serde(rename = "type")]
    form: &'static str,
    data: Box<RawValue>,
}

impl ReadPart {
    /// `bytes` in the form that is wanted, or the plainest they have; base64 where they have no other.
    pub(super) fn new(bytes: &[u8], wanted: Option<Form>) -> ReadPart {
        let text = std::str::from_utf8(bytes).ok();
        let is_container = || bytes.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'['));
        let as_json = || {
            let text = text?;
            serde_json::from_str::<&RawValue>(text).ok()?;
            let compacted = String::from_utf8(compact(text)).ok()?;
            RawValue::from_string(compacted).ok()
        };
        let quoted = |text: &str| RawValue::from_string(json!(text).to_string()).expect("a string is JSON");
        let found = match wanted {
            Some(Form::Binary) => None,
            Some(Form::Json) => as_json().map(|data| (Form::Json, data)),
            Some(Form::String) => text.map(|text| (Form::String, quoted(text))),
            None => {
                let json = if is_container() { as_json().map(|data| (Form::Json, data)) } else { None };
                json.or_else(|| text.map(|text| (Form::String, quoted(text))))
            }
        };
        let (form, data) = found.unwrap_or_else(|| (Form::Binary, quoted(&STANDARD.encode(bytes))));
        ReadPart { form: form.name(), data }
    }
}

/// A record as it is read.
#[derive(Debug, Serialize)]
pub(super) struct ReadRecord {
    pub partition_id: i32,
    pub offset: i64,
    pub timestamp: Option<String>,
    pub timestamp_type: &'static str,
    pub headers: Vec<ReadHeader>,
    pub key: Option<ReadPart>,
    pub value: Option<ReadPart>,
}

/// A header as it is read; its value in base64.
#[derive(Debug, Serialize)]
pub(super) struct ReadHeader {
    name: String,
    value: Option<String>,
}

impl ReadHeader {
    pub(super) fn new(name: &[u8], value: Option<&[u8]>) -> ReadHeader {
        ReadHeader {
            name: String::from_utf8_lossy(name).into_owned(),
            value: value.map(|value| STANDARD.encode(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<NewRecord, Fault> {
        NewRecord::read("t", json.as_bytes())
    }

    #[test]
    fn all_forms_become_bytes() {
        let new = read(
            r#"{"partition_id": 2, "timestamp": "2021-02-05T19:14:42Z",
                "headers": [{"name": "a", "value": "SGVhZGVyLTE="}, {"name": "b", "value": null}, {"name": "a"}],
                "key": {"type": "BINARY", "data": "Zm9vYmFy"}, "value": {"type": "JSON", "data": {"foo": [1.0, "a b"]}}}"#,
        )
        .expect("valid");
        let record = &new.record;
        assert_eq!((record.partition, record.timestamp), (Some(2), Some(1_612_552_482_000)));
        assert_eq!(record.key.as_deref(), Some(&b"foobar"[..]));
        assert_eq!(record.value.as_deref(), Some(&br#"{"foo":[1.0,"a b"]}"#[..]));
        let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
        assert_eq!(record.headers, [header("a", Some(b"Header-1")), header("b", None), header("a", None)]);

        let new = read(r#"{"value": {"type": "STRING", "data": "\u00e9\n"}}"#).expect("valid");
        assert_eq!((new.record.key, new.record.value.as_deref()), (None, Some("\u{e9}\n".as_bytes())));
        for null in
            [r#"{}"#, r#"{"key":null,"value":null}"#, r#"{"value":{"type":"JSON","data":null}}"#, r#"{"value":{}}"#]
        {
            assert_eq!(read(null).expect("valid").record.value, None, "{null}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_mend() {
        let wrong = [
            (r#"{"value":{"type":"BINARY","data":"a"}}"#, "the data of the value is not base64: a"),
            (r#"{"key":{"type":"BINARY","data":1}}"#, "the data of the key is no string: 1"),
            (r#"{"value":{"type":"STRING","data":{}}}"#, "no string"),
            (r#"{"value":{"data":"x"}}"#, "no type"),
            (r#"{"value":{"type":"XML","data":"x"}}"#, "BINARY, JSON and STRING"),
            (r#"{"value":{"type":"AVRO","data":"x"}}"#, "Schema Registry"),
            (r#"{"value":{"schema_id":1,"data":"x"}}"#, "Schema Registry"),
            (r#"{"val":{}}"#, "unknown field `val`"),
            (r#"{"timestamp":"yesterday"}"#, "2026-11-22T12:30:00.000Z"),
            (r#"{"timestamp":"-1h"}"#, "2026-11-22T12:30:00.000Z"),
            (r#"{"headers":[{"name":"h","value":"%"}]}"#, "header h is not base64"),
            (r#"{"value":{"type":"JSON","data":nul}}"#, "no record"),
        ];
        for (json, complaint) in wrong {
            let fault = read(json).expect_err(json);
            assert!(fault.code == 400 && fault.message.contains(complaint), "{json}: {}", fault.message);
        }
        assert_eq!(read(r#"{"partition_id":-1}"#).expect_err("none").code, 40402);
        assert_eq!(read(r#"{"partition_id":99999999999}"#).expect_err("none").code, 40402);
    }

    #[test]
    fn bytes_are_read_in_their_plainest_form() {
        let told = |bytes: &[u8], wanted| serde_json::to_string(&ReadPart::new(bytes, wanted)).expect("plain");
        assert_eq!(told(b"{\"a\": 1.0}", None), r#"{"type":"JSON","data":{"a":1.0}}"#);
        assert_eq!(told(b"17", None), r#"{"type":"STRING","data":"17"}"#);
        assert_eq!(told(b"17", Some(Form::Json)), r#"{"type":"JSON","data":17}"#);
        assert_eq!(told(b"{no", None), r#"{"type":"STRING","data":"{no"}"#);
        assert_eq!(told(&[255], None), r#"{"type":"BINARY","data":"/w=="}"#);
        assert_eq!(told(&[255], Some(Form::String)), r#"{"type":"BINARY","data":"/w=="}"#);
        assert_eq!(told(b"a", Some(Form::Binary)), r#"{"type":"BINARY","data":"YQ=="}"#);
    }

    #[test]
    fn what_was_read_can_be_written() {
        let record = ReadRecord {
            partition_id: 1,
            offset: 7,
            timestamp: Some(java_time::iso(1_612_552_482_123)),
            timestamp_type: "CREATE_TIME",
            headers: vec![ReadHeader::new(b"h", Some(b"v")), ReadHeader::new(b"n", None)],
            key: Some(ReadPart::new(b"k", None)),
            value: None,
        };
        let again = read(&serde_json::to_string(&record).expect("plain")).expect("valid").record;
        assert_eq!((again.partition, again.timestamp, again.value), (Some(1), Some(1_612_552_482_123), None));
        assert_eq!((again.key.as_deref(), again.headers.len()), (Some(&b"k"[..]), 2));
    }
}
