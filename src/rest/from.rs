//! What of a topic is to be read: where to begin, how much, in which form.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::Fault;
use super::record::Form;
use crate::client::IsolationLevel;
use crate::ui::{Fields, now_ms, read_time};

/// Records in an answer.
const RECORDS_DEFAULT: usize = 500;
const RECORDS_MAX: usize = 10_000;
/// Bytes of keys, values and headers in an answer.
const BYTES_DEFAULT: usize = 1 << 20;
const BYTES_MAX: usize = 8 << 20;
/// How long an answer may wait for a record.
const WAIT_MAX_MS: u64 = 30_000;

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// So many records before the end.
    Last,
    /// At the first record.
    Beginning,
    /// At the first record that is not older, in milliseconds since 1970.
    Time(i64),
    /// At these offsets; partitions that are not named are left out.
    Offsets(BTreeMap<i32, i64>),
}

/// What is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub from: From,
    pub records_max: usize,
    pub bytes_max: usize,
    pub wait: Duration,
    pub isolation: IsolationLevel,
    pub key: Option<Form>,
    pub value: Option<Form>,
}

impl Wanted {
    /// Reads the query; `partition` is that of the path.
    pub(super) fn read(query: &Fields, partition: Option<i32>) -> Result<Wanted, Fault> {
        let number = |name: &str, default: u64, max: u64| match query.text(name) {
            "" => Ok(default),
            text => {
                let number = text.parse().ok().filter(|number| (0..=max).contains(number));
                number.ok_or_else(|| Fault::new(400, format!("{name}={text}: give a number from 0 to {max}")))
            }
        };
        let form = |name: &str| match query.text(name) {
            "" => Ok(None),
            text => Form::read(&text.to_uppercase()).map(Some),
        };
        let isolation = match query.text("isolation_level") {
            "" | "read_uncommitted" => IsolationLevel::ReadUncommitted,
            "read_committed" => IsolationLevel::ReadCommitted,
            text => {
                let complaint = format!("isolation_level={text}: there is read_uncommitted and read_committed");
                return Err(Fault::new(400, complaint));
            }
        };
        Ok(Wanted {
            from: from(query, partition)?,
            records_max: number("max_poll_records", RECORDS_DEFAULT as u64, RECORDS_MAX as u64)?.max(1) as usize,
            bytes_max: number("fetch_max_bytes", BYTES_DEFAULT as u64, BYTES_MAX as u64)? as usize,
            wait: Duration::from_millis(number("timeout", 0, WAIT_MAX_MS)?),
            isolation,
            key: form("key_type")?,
            value: form("value_type")?,
        })
    }
}

fn from(query: &Fields, partition: Option<i32>) -> Result<From, Fault> {
    let mut given = Vec::new();
    if query.is_on("from_beginning") {
        given.push(("from_beginning", From::Beginning));
    }
    if !query.text("timestamp").is_empty() {
        let ms = read_time(query.text("timestamp"), now_ms());
        given.push(("timestamp", From::Time(ms.map_err(|error| Fault::new(400, error))?)));
    }
    if !query.text("offset").is_empty() {
        let text = query.text("offset");
        let offset = text.parse().ok().filter(|offset| *offset >= 0);
        let offset: i64 = offset.ok_or_else(|| Fault::new(400, format!("offset={text}: give a number from 0")))?;
        let partition = partition
            .ok_or_else(|| Fault::new(400, "offset is for one partition: give offsets=0:17,1:4 for several"))?;
        given.push(("offset", From::Offsets([(partition, offset)].into())));
    }
    if !query.text("offsets").is_empty() {
        if partition.is_some() {
            return Err(Fault::new(
                400,
                "offsets is for several partitions (.../partitions/-/records): give offset=17 for one",
            ));
        }
        given.push(("offsets", From::Offsets(offsets(query.text("offsets"))?)));
    }
    match (given.pop(), given.pop()) {
        (Some((one, _)), Some((other, _))) => {
            Err(Fault::new(400, format!("{other} and {one} both say where to begin: give one of them")))
        }
        (Some((_, from)), None) => Ok(from),
        _ => Ok(From::Last),
    }
}

/// Reads `0:17,3:4`.
fn offsets(text: &str) -> Result<BTreeMap<i32, i64>, Fault> {
    let pair = |pair: &str| {
        let (partition, offset) = pair.trim().split_once(':')?;
        let pair: (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
        (pair.0 >= 0 && pair.1 >= 0).then_some(pair)
    };
    let pairs: Option<BTreeMap<i32, i64>> = text.split(',').map(pair).collect();
    pairs.ok_or_else(|| {
        Fault::new(400, format!("offsets={text}: give partition:offset,partition:offset, such as 0:17,3:4"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, partition: Option<i32>) -> Result<Wanted, Fault> {
        Wanted::read(&Fields::parse(query.as_bytes()), partition)
    }

    #[test]
    fn it_begins_where_it_is_told() {
        let from = |query: &str, partition| read(query, partition).expect("valid").from;
        assert_eq!(from("", Some(0)), From::Last);
        assert_eq!(from("from_beginning=true", None), From::Beginning);
        assert_eq!(from("offset=17", Some(3)), From::Offsets([(3, 17)].into()));
        assert_eq!(from("offsets=0:17,3:4", None), From::Offsets([(0, 17), (3, 4)].into()));
        assert_eq!(from("timestamp=1612552482000", Some(0)), From::Time(1_612_552_482_000));
        assert_eq!(from("timestamp=2021-02-05T19:14:42Z", Some(0)), From::Time(1_612_552_482_000));
        let wanted = read("max_poll_records=7&key_type=binary&timeout=5000", None).expect("valid");
        assert_eq!((wanted.records_max, wanted.key, wanted.wait.as_secs()), (7, Some(Form::Binary), 5));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong = [
            ("offset=-1", Some(0)),
            ("offset=x", Some(0)),
            ("offset=1", None),
            ("offsets=1:2", Some(0)),
            ("offsets=1", None),
            ("offsets=1:-2", None),
            ("timestamp=soon", None),
            ("from_beginning=true&timestamp=0", None),
            ("max_poll_records=10001", None),
            ("fetch_max_bytes=-1", None),
            ("timeout=60000", None),
            ("isolation_level=some", None),
            ("value_type=xml", None),
        ];
        for (query, partition) in wrong {
            assert_eq!(read(query, partition).expect_err(query).code, 400, "{query}");
        }
    }
}
