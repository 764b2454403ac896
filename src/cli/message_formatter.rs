//! How the console consumer shows a record: Kafka's default and logging formatters.

use std::io::{self, Write};

use super::deserializer::Deserializer;
use super::output::Failure;
use crate::client::{ConsumedRecord, Properties};
use crate::record::TimestampType;

/// Which of Kafka's formatters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// The columns that were asked for.
    Default,
    /// The columns, and the record once more in the log.
    Logging,
    /// Nothing.
    NoOp,
}

/// A configured formatter.
#[derive(Debug, Clone)]
pub struct MessageFormatter {
    style: Style,
    print_timestamp: bool,
    print_key: bool,
    print_value: bool,
    print_partition: bool,
    print_offset: bool,
    print_delivery: bool,
    print_epoch: bool,
    print_headers: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
    key: Option<Deserializer>,
    value: Option<Deserializer>,
    headers: Option<Deserializer>,
}

/// Why a record could not be shown.
#[derive(Debug)]
pub enum FormatError {
    /// A deserializer refused its bytes.
    Record(String),
    /// Standard output failed.
    Output(io::Error),
}

impl From<io::Error> for FormatError {
    fn from(error: io::Error) -> Self {
        FormatError::Output(error)
    }
}

impl MessageFormatter {
    /// The formatter with this Java class name and these properties. Unknown deserializers are reported through `warn`
    /// and left out, as Kafka does.
    pub fn new(class: Option<&str>, properties: &Properties, mut warn: impl FnMut(String)) -> Result<Self, Failure> {
        let name = class.map_or("DefaultMessageFormatter", |class| class.rsplit(['.', '$']).next().unwrap_or(class));
        let style = match name {
            "DefaultMessageFormatter" => Style::Default,
            "LoggingMessageFormatter" => Style::Logging,
            "NoOpMessageFormatter" => Style::NoOp,
            _ => {
                let class = class.unwrap_or_default();
                return Err(Failure::usage(format!(
                    "--formatter {class}: a Java class can't be loaded here; DefaultMessageFormatter, LoggingMessageFormatter and NoOpMessageFormatter are built in"
                )));
            }
        };
        let flag = |key, default| properties.get(key).map_or(default, |text| text.trim().eq_ignore_ascii_case("true"));
        let bytes = |key, default: &str| properties.get(key).unwrap_or(default).as_bytes().to_vec();
        let mut deserializer = |key| {
            let class = properties.get(key)?;
            let known = Deserializer::from_class(class);
            if known.is_none() {
                warn(format!("Unable to instantiate a deserializer from {class}"));
            }
            known
        };
        Ok(MessageFormatter {
            style,
            key: deserializer("key.deserializer"),
            value: deserializer("value.deserializer"),
            headers: deserializer("headers.deserializer"),
            print_timestamp: flag("print.timestamp", false),
            print_key: flag("print.key", false),
            print_value: flag("print.value", true),
            print_partition: flag("print.partition", false),
            print_offset: flag("print.offset", false),
            print_delivery: flag("print.delivery", false),
            print_epoch: flag("print.epoch", false),
            print_headers: flag("print.headers", false),
            key_separator: bytes("key.separator", "\t"),
            line_separator: bytes("line.separator", "\n"),
            headers_separator: bytes("headers.separator", ","),
            null_literal: bytes("null.literal", "null"),
        })
    }

    /// Writes `record`.
    pub fn write(&self, record: &ConsumedRecord, out: &mut impl Write) -> Result<(), FormatError> {
        if self.style == Style::NoOp {
            return Ok(());
        }
        let mut columns: Vec<Vec<u8>> = Vec::with_capacity(8);
        if self.print_timestamp {
            columns.push(timestamp(record).into_bytes());
        }
        if self.print_partition {
            columns.push(format!("Partition:{}", record.partition).into_bytes());
        }
        if self.print_offset {
            columns.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if self.print_delivery {
            columns.push(b"Delivery:NOT_PRESENT".to_vec());
        }
        if self.print_epoch {
            // Kafka's consumer hands the formatter a copy of the record without its epoch.
            columns.push(b"Epoch:NOT_PRESENT".to_vec());
        }
        if self.print_headers {
            columns.push(self.headers(record)?);
        }
        if self.print_key {
            columns.push(self.text(self.key, record.key.as_deref())?);
        }
        if self.print_value {
            columns.push(self.text(self.value, record.value.as_deref())?);
        }
        if let Some((last, rest)) = columns.split_last() {
            for column in rest {
                out.write_all(column)?;
                out.write_all(&self.key_separator)?;
            }
            out.write_all(last)?;
            out.write_all(&self.line_separator)?;
        }
        if self.style == Style::Logging {
            log(record, out)?;
        }
        Ok(())
    }

    fn headers(&self, record: &ConsumedRecord) -> Result<Vec<u8>, FormatError> {
        if record.headers.is_empty() {
            return Ok(b"NO_HEADERS".to_vec());
        }
        let mut all = Vec::new();
        for (key, value) in &record.headers {
            let text = self.text(self.headers, value.as_deref())?;
            all.push([key.as_bytes(), b":", text.as_slice()].concat());
        }
        Ok(all.join(self.headers_separator.as_slice()))
    }

    /// A null is shown as the null literal, and a deserializer is given that literal, as in Kafka.
    fn text(&self, deserializer: Option<Deserializer>, bytes: Option<&[u8]>) -> Result<Vec<u8>, FormatError> {
        let bytes = bytes.unwrap_or(&self.null_literal);
        match deserializer {
            Some(deserializer) => deserializer.to_text(bytes).map_err(FormatError::Record),
            None => Ok(bytes.to_vec()),
        }
    }
}

fn timestamp(record: &ConsumedRecord) -> String {
    match record.timestamp_type {
        _ if record.timestamp < 0 => "NO_TIMESTAMP".to_string(),
        TimestampType::CreateTime => format!("CreateTime:{}", record.timestamp),
        TimestampType::LogAppendTime => format!("LogAppendTime:{}", record.timestamp),
    }
}

fn log(record: &ConsumedRecord, out: &mut impl Write) -> io::Result<()> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let key = record.key.as_deref().map_or("null ".to_string(), |key| format!("{}, ", text(key)));
    let value = record.value.as_deref().map_or("null".to_string(), text);
    writeln!(out, "{}, key:{key}value:{value}", timestamp(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ConsumedRecord {
        ConsumedRecord {
            topic: "t".into(),
            partition: 3,
            offset: 42,
            timestamp: 1_700_000_000_000,
            timestamp_type: TimestampType::CreateTime,
            leader_epoch: Some(0),
            key: None,
            value: Some(b"value".to_vec()),
            headers: vec![("a".to_string(), Some(b"1".to_vec())), ("b".to_string(), None)],
        }
    }

    fn shown(pairs: &[&str]) -> String {
        let properties = Properties::from_pairs(pairs.iter().copied());
        let formatter = MessageFormatter::new(None, &properties, |_| ()).expect("valid");
        let mut out = Vec::new();
        formatter.write(&record(), &mut out).expect("memory can't fail");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_come_in_the_order_of_kafka() {
        let all = [
            "print.timestamp=true",
            "print.partition=true",
            "print.offset=true",
            "print.headers=true",
            "print.key=TRUE",
        ];
        let expected = "CreateTime:1700000000000\tPartition:3\tOffset:42\ta:1,b:null\tnull\tvalue\n";
        assert_eq!(shown(&all), expected);
        assert_eq!(shown(&["key.separator=|", "print.key=true", "null.literal=-"]), "-|value\n");
        assert_eq!(shown(&["print.value=false", "print.offset=true"]), "Offset:42\n");
        assert_eq!(shown(&["print.value=false"]), "");
    }

    #[test]
    fn unknown_deserializer_is_reported_and_left_out() {
        let properties = Properties::from_pairs(["value.deserializer=com.example.Own"]);
        let mut warnings = Vec::new();
        MessageFormatter::new(None, &properties, |text| warnings.push(text)).expect("goes on without");
        assert_eq!(warnings, ["Unable to instantiate a deserializer from com.example.Own"]);
        assert!(MessageFormatter::new(Some("com.example.Own"), &properties, |_| ()).is_err());
    }
}
