//! Records of Kafka's own topics as JSON, driven by the tables of `protocol`: names, order and form are those of Java's
//! generated converters.

use base64::Engine;
use bytes::Bytes;
use serde_json::Value;

use crate::cli::deserializer::java_double;
use crate::for_each_record;
use crate::protocol::Message;
use crate::protocol::records;
use crate::protocol::table::{Field, MessageTable, Table, Type};
use crate::wire::{DecodeError, Reader};

/// One record of the list of all.
struct Row {
    module: &'static str,
    name: &'static str,
    message: MessageTable,
}

macro_rules! rows {
    ($($module:ident, $name:ident;)*) => {
        &[$(Row {
            module: stringify!($module),
            name: stringify!($name),
            message: records::$module::$name::TABLE,
        },)*]
    };
}

/// Every record that Kafka writes.
const ROWS: &[Row] = for_each_record!(rows);

/// A record of the cluster's metadata log: `{"type":"TOPIC_RECORD","version":0,"data":{...}}`. The error is a sentence.
///
/// ```text
/// frame version uvarint (1) | record type uvarint | version uvarint | message
/// ```
pub fn metadata_record(value: &Bytes) -> Result<String, String> {
    let mut reader = Reader::new(value.clone());
    let mut number = || reader.read_uvarint().map_err(|error| error.to_string());
    let (frame, record_type, version) = (number()?, number()?, number()?);
    if frame != 1 {
        return Err(format!("Could not deserialize metadata record with frame version {frame}"));
    }
    let row = ROWS.iter().find(|row| row.module == "metadata" && row.message.key == i16::try_from(record_type).ok());
    let row = row.ok_or_else(|| format!("Unknown metadata id {record_type}"))?;
    let version = checked_version(row, i64::from(version))?;
    let data = message_json(&mut reader, &row.message, version)?;
    if reader.remaining() > 0 {
        return Err(format!("Found {} byte(s) of garbage after {}", reader.remaining(), row.name));
    }
    Ok(format!("{{\"type\":\"{}\",\"version\":{version},\"data\":{data}}}", upper_snake(row.name)))
}

/// Key and value of a coordinator's record, both as JSON. The topic decides the module: `group`, `transaction`, `share`.
pub fn coordinator_record(
    module: &str,
    key: &Bytes,
    value: Option<&Bytes>,
) -> Result<(String, Option<String>), UnknownRecord> {
    let mut reader = Reader::new(key.clone());
    let record_type = reader.read_i16().map_err(UnknownRecord::broken)?;
    let find = |suffix: &str| {
        let fits =
            |row: &&Row| row.module == module && row.message.key == Some(record_type) && row.name.ends_with(suffix);
        ROWS.iter().find(fits).ok_or(UnknownRecord::Type(record_type))
    };
    let key_data = message_json(&mut reader, &find("Key")?.message, 0).map_err(UnknownRecord::Broken)?;
    let key = format!("{{\"type\":\"{record_type}\",\"data\":{key_data}}}");
    let Some(value) = value else { return Ok((key, Some("<DELETE>".to_string()))) };
    let mut reader = Reader::new(value.clone());
    let version = reader.read_i16().map_err(UnknownRecord::broken)?;
    let row = find("Value")?;
    let version = checked_version(row, i64::from(version)).map_err(UnknownRecord::Broken)?;
    let data = message_json(&mut reader, &row.message, version).map_err(UnknownRecord::Broken)?;
    Ok((key, Some(format!("{{\"version\":\"{version}\",\"data\":{data}}}"))))
}

/// Why a coordinator's record can't be shown.
#[derive(Debug)]
pub enum UnknownRecord {
    /// There is no such type.
    Type(i16),
    /// Its bytes are wrong.
    Broken(String),
}

impl UnknownRecord {
    fn broken(error: DecodeError) -> Self {
        UnknownRecord::Broken(error.to_string())
    }
}

/// A control record's value (`LeaderChangeMessage` and so on), whose first field is its version.
pub fn control_record(name: &str, value: &Bytes) -> Result<String, String> {
    let row = ROWS.iter().find(|row| row.module == "raft" && row.name == name).expect("the caller knows the names");
    let version = Reader::new(value.clone()).read_i16().map_err(|error| error.to_string())?;
    let version = checked_version(row, i64::from(version))?;
    message_json(&mut Reader::new(value.clone()), &row.message, version)
}

fn checked_version(row: &Row, version: i64) -> Result<i16, String> {
    match i16::try_from(version) {
        Ok(version) if (row.message.min_version..=row.message.max_version).contains(&version) => Ok(version),
        _ => Err(format!("{} has no version {version}", row.name)),
    }
}

fn message_json(reader: &mut Reader, message: &MessageTable, version: i16) -> Result<String, String> {
    let at = At { version, flexible: version >= message.flexible_from, consumers: false };
    struct_json(reader, message.table, at).map_err(|error| error.to_string())
}

#[derive(Clone, Copy)]
struct At {
    version: i16,
    flexible: bool,
    /// Inside a group of consumers, whose members carry subscriptions and assignments as bytes.
    consumers: bool,
}

impl At {
    fn within(self, (first, last): (i16, i16)) -> bool {
        (first..=last).contains(&self.version)
    }
}

fn struct_json(reader: &mut Reader, table: &Table, mut at: At) -> Result<String, DecodeError> {
    let mut texts: Vec<Option<String>> = Vec::with_capacity(table.fields.len());
    for field in table.fields {
        let inline = field.tag.is_none() && at.within(field.versions);
        texts.push(if inline { Some(field_json(reader, field, at, false)?) } else { None });
        let text = texts.last().and_then(Option::as_deref);
        at.consumers |= field.name == "protocol_type" && text == Some("\"consumer\"");
    }
    let tagged = if at.flexible { reader.read_uvarint()? } else { 0 };
    for _ in 0..tagged {
        let tag = reader.read_uvarint()?;
        let len = reader.read_uvarint()? as usize;
        let mut bytes = Reader::new(reader.slice(len)?);
        let known = |field: &Field| field.tag == Some(tag) && at.within(field.versions);
        if let Some(index) = table.fields.iter().position(known) {
            texts[index] = Some(field_json(&mut bytes, &table.fields[index], at, true)?);
        }
    }
    let pairs = table.fields.iter().zip(texts);
    let mut named: Vec<Option<String>> =
        pairs.map(|(field, text)| text.map(|text| format!("\"{}\":{text}", camel(field.name)))).collect();
    // Tables have tagged fields in the order of their tags; Kafka's specification has these elsewhere.
    match table.name {
        "PartitionChangeRecord" => named[8..].rotate_right(1),
        "TransactionLogValue" => named.swap(4, 10),
        _ => {}
    }
    let shown: Vec<String> = named.into_iter().flatten().collect();
    Ok(format!("{{{}}}", shown.join(",")))
}

fn field_json(reader: &mut Reader, field: &Field, at: At, tagged: bool) -> Result<String, DecodeError> {
    match field.kind {
        Type::Bytes if at.consumers => {
            let bytes = reader.bytes(at.flexible)?.ok_or(DecodeError::UnexpectedNull)?;
            Ok(consumer_protocol_json(field.name, &bytes).unwrap_or_else(|| base64(&bytes)))
        }
        Type::Nullable(inner) => {
            let text = nullable_json(reader, inner, at, tagged)?;
            match text {
                None if !at.within(field.null_versions) => Err(DecodeError::UnexpectedNull),
                text => Ok(text.unwrap_or_else(|| "null".to_string())),
            }
        }
        ref kind => value_json(reader, kind, at),
    }
}

/// What consumers tell each other through their group, which is bytes to everybody else.
fn consumer_protocol_json(field: &str, bytes: &Bytes) -> Option<String> {
    let name = match field {
        "subscription" => "ConsumerProtocolSubscription",
        "assignment" => "ConsumerProtocolAssignment",
        _ => return None,
    };
    let row = ROWS.iter().find(|row| row.name == name)?;
    let mut reader = Reader::new(bytes.clone());
    let version = checked_version(row, i64::from(reader.read_i16().ok()?)).ok()?;
    message_json(&mut reader, &row.message, version).ok()
}

fn nullable_json(reader: &mut Reader, kind: &Type, at: At, tagged: bool) -> Result<Option<String>, DecodeError> {
    match kind {
        Type::String => Ok(reader.string(at.flexible)?.map(|text| Value::from(&*text).to_string())),
        Type::Bytes => Ok(reader.bytes(at.flexible)?.map(|bytes| base64(&bytes))),
        Type::Array(element) => {
            let Some(count) = reader.array_count(at.flexible)? else { return Ok(None) };
            let elements: Result<Vec<String>, DecodeError> =
                (0..count).map(|_| value_json(reader, element, at)).collect();
            Ok(Some(format!("[{}]", elements?.join(","))))
        }
        kind => {
            let null = if tagged { reader.read_uvarint()? == 0 } else { reader.read_i8()? < 0 };
            if null { Ok(None) } else { value_json(reader, kind, at).map(Some) }
        }
    }
}

fn value_json(reader: &mut Reader, kind: &Type, at: At) -> Result<String, DecodeError> {
    Ok(match kind {
        Type::Bool => (reader.read_i8()? != 0).to_string(),
        Type::Int8 => reader.read_i8()?.to_string(),
        Type::Int16 => reader.read_i16()?.to_string(),
        Type::Uint16 => reader.read_u16()?.to_string(),
        Type::Int32 => reader.read_i32()?.to_string(),
        Type::Uint32 => reader.read_u32()?.to_string(),
        Type::Int64 => reader.read_i64()?.to_string(),
        Type::Float64 => java_double(reader.read_f64()?),
        Type::Uuid => format!("\"{}\"", crate::wire::Uuid::from_bytes(reader.array()?)),
        Type::Struct(table) => struct_json(reader, table, at)?,
        Type::Nullable(inner) => nullable_json(reader, inner, at, false)?.unwrap_or_else(|| "null".to_string()),
        Type::String | Type::Bytes | Type::Array(_) => {
            nullable_json(reader, kind, at, false)?.ok_or(DecodeError::UnexpectedNull)?
        }
    })
}

fn base64(bytes: &[u8]) -> String {
    format!("\"{}\"", base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// `leader_epoch` becomes `leaderEpoch`; a trailing underscore only keeps a name apart from a Rust keyword.
fn camel(name: &str) -> String {
    if name == "kraft_version" {
        return "kRaftVersion".to_string();
    }
    let mut words = name.trim_end_matches('_').split('_');
    let first = words.next().unwrap_or_default().to_string();
    words.fold(first, |text, word| {
        let (head, tail) = word.split_at(1.min(word.len()));
        text + &head.to_uppercase() + tail
    })
}

/// `NoOpRecord` becomes `NO_OP_RECORD`.
fn upper_snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::records::MetadataRecord;
    use crate::protocol::metadata::{PartitionChangeRecord, PartitionRecord, TopicRecord};
    use crate::wire::{KafkaString, Uuid, Writer};

    #[test]
    fn metadata_records_look_as_in_java() {
        let id = Uuid::from_bytes([7; 16]);
        let topic = TopicRecord { name: KafkaString::from("a\"b"), topic_id: id };
        let json = metadata_record(&MetadataRecord::from(topic).encode(30)).expect("valid");
        let expected = format!(r#"{{"type":"TOPIC_RECORD","version":0,"data":{{"name":"a\"b","topicId":"{id}"}}}}"#);
        assert_eq!(json, expected);
    }

    #[test]
    fn tagged_fields_appear_where_they_are_declared_and_only_if_set() {
        let mut record = PartitionRecord { leader: 1, leader_recovery_state: 1, ..Default::default() };
        let json = |record: &PartitionRecord| metadata_record(&MetadataRecord::from(record.clone()).encode(30));
        assert!(json(&record).expect("valid").contains(r#""leader":1,"leaderRecoveryState":1,"leaderEpoch":-1"#));
        record.leader_recovery_state = 0;
        assert!(!json(&record).expect("valid").contains("leaderRecoveryState"));
    }

    #[test]
    fn two_records_keep_the_order_of_the_specification() {
        let change = PartitionChangeRecord {
            directories: Some(Vec::new()),
            eligible_leader_replicas: Some(vec![1]),
            last_known_elr: Some(vec![2]),
            ..Default::default()
        };
        let json = metadata_record(&MetadataRecord::from(change).encode(30)).expect("valid");
        assert!(json.contains(r#""directories":[],"eligibleLeaderReplicas":[1],"lastKnownElr":[2]"#), "{json}");
    }

    #[test]
    fn garbage_is_an_error_and_no_panic() {
        assert!(metadata_record(&Bytes::from_static(&[])).is_err());
        assert!(metadata_record(&Bytes::from_static(&[1, 99, 0])).is_err());
        assert!(metadata_record(&Bytes::from_static(&[1, 2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])).is_err());
        let trailing = [MetadataRecord::from(TopicRecord::default()).encode(30), Bytes::from_static(b"x")].concat();
        assert!(metadata_record(&Bytes::from(trailing)).expect_err("one byte too many").contains("garbage"));
    }

    #[test]
    fn coordinator_records_tell_type_and_version() {
        let mut key = Writer::new();
        key.write_i16(0);
        records::transaction::TransactionLogKey { transactional_id: KafkaString::from("tx") }.encode(&mut key, 0);
        let key = key.freeze();
        let (json, value) = coordinator_record("transaction", &key, None).expect("valid");
        assert_eq!(json, r#"{"type":"0","data":{"transactionalId":"tx"}}"#);
        assert_eq!(value.as_deref(), Some("<DELETE>"));
        assert!(matches!(
            coordinator_record("transaction", &Bytes::from_static(&[0, 9]), None),
            Err(UnknownRecord::Type(9))
        ));
    }
}
