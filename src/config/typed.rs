//! From [`Value`]s to the Rust types of the typed configurations.

use std::collections::{BTreeMap, HashMap};

use super::key::{Scope, all, find};
use super::value::{ConfigError, Value};

/// Key to text, as written in a file or stored in the metadata.
pub type Properties = BTreeMap<String, String>;

/// Owned texts of any two kinds of string.
pub fn properties<K: ToString, V: ToString>(pairs: impl IntoIterator<Item = (K, V)>) -> Properties {
    pairs.into_iter().map(|(key, text)| (key.to_string(), text.to_string())).collect()
}

/// The codec of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent it.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// gzip
    Gzip,
    /// snappy
    Snappy,
    /// lz4
    Lz4,
    /// zstd
    Zstd,
}

/// Which time a record's timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// What happens to old segments; both false keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted.
    pub delete: bool,
    /// The last record of each key is kept.
    pub compact: bool,
}

/// What acks=all waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The device.
    Device,
    /// The memory of every in-sync replica.
    Memory,
}

/// How much of a produced batch is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchValidation {
    /// Every record.
    Full,
    /// The batch header and the CRC.
    Header,
}

/// What the broker works with: `millrace.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// io_uring where it is allowed, else epoll.
    Auto,
    /// io_uring, or no start.
    Uring,
    /// epoll and threads.
    Epoll,
}

/// Conversion from an optional value; the table guarantees type and presence.
pub(super) trait FromValue: Sized {
    fn from_value(value: Option<&Value>) -> Self;
}

macro_rules! from_value {
    ($($type:ty, $pattern:pat => $result:expr;)*) => {
        $(impl FromValue for $type {
            fn from_value(value: Option<&Value>) -> Self {
                match value {
                    Some($pattern) => $result,
                    other => unreachable!("{} expected, the table has {other:?}", stringify!($type)),
                }
            }
        })*
    };
}

from_value! {
    bool, Value::Bool(value) => *value;
    i16, Value::Short(value) => *value;
    i32, Value::Int(value) => *value;
    i64, Value::Long(value) => *value;
    f64, Value::Double(value) => *value;
    String, Value::Str(value) => value.clone();
    Vec<String>, Value::List(items) => items.clone();
    CleanupPolicy, Value::List(items) => CleanupPolicy {
        delete: items.iter().any(|item| item == "delete"),
        compact: items.iter().any(|item| item == "compact"),
    };
    CompressionType, Value::Str(name) => match name.as_str() {
        "uncompressed" => CompressionType::Uncompressed,
        "gzip" => CompressionType::Gzip,
        "snappy" => CompressionType::Snappy,
        "lz4" => CompressionType::Lz4,
        "zstd" => CompressionType::Zstd,
        _ => CompressionType::Producer,
    };
    TimestampType, Value::Str(name) => match name.as_str() {
        "LogAppendTime" => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    };
    Durability, Value::Str(name) => if name == "memory" { Durability::Memory } else { Durability::Device };
    Io, Value::Str(name) => match name.as_str() {
        "uring" => Io::Uring,
        "epoll" => Io::Epoll,
        _ => Io::Auto,
    };
    BatchValidation, Value::Str(name) => if name == "header" { BatchValidation::Header } else { BatchValidation::Full };
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Option<&Value>) -> Self {
        value.map(|value| T::from_value(Some(value)))
    }
}

/// Checked values of a scope, defaults filled in.
#[derive(Clone, Debug)]
pub(super) struct Values(HashMap<&'static str, Value>);

impl Values {
    /// Reads and checks every known key; unknown keys are the caller's business.
    pub(super) fn read(scope: Scope, texts: &Properties) -> Result<Values, ConfigError> {
        let mut values = HashMap::new();
        for key in all(scope) {
            let value = match texts.get(key.name) {
                Some(text) => Some(key.parse(text)?),
                None if key.is_required() => return Err(ConfigError::Missing(key.name)),
                None => key.default_value(),
            };
            if let Some(value) = value {
                values.insert(key.name, value);
            }
        }
        Ok(Values(values))
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub(super) fn get<T: FromValue>(&self, key: &str) -> T {
        debug_assert!(find(Scope::Broker, key).is_some() || find(Scope::Group, key).is_some(), "{key} is in no table");
        T::from_value(self.value(key))
    }
}
