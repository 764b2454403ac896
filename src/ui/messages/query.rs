//! Where to begin and how far: the form of the messages page as plain data.

use std::collections::BTreeMap;

use super::filter::Filter;
use crate::cli::java_time;
use crate::client::IsolationLevel;
use crate::ui::ask::Fields;
use crate::ui::html::now_ms;
use crate::ui::trouble::Trouble;

/// Messages on a page, unless told otherwise, and at most.
pub const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 500;
/// Partitions that one query may look at.
pub const PARTITIONS_MAX: usize = 256;

/// Positions by partition.
pub type Cursor = BTreeMap<i32, i64>;

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The newest, going back; before these positions, if there are any.
    Newest(Cursor),
    /// The oldest, going on.
    Beginning,
    /// From this offset of each partition on.
    Offset(i64),
    /// From the first record of this time or later on.
    Time(i64),
    /// From these positions on.
    At(Cursor),
    /// What comes from now on.
    End,
}

/// A question for messages.
#[derive(Clone, Debug)]
pub struct Query {
    /// Of these partitions; `None`: of all.
    pub partitions: Option<Vec<i32>>,
    /// Where to begin.
    pub start: Start,
    /// So many.
    pub limit: usize,
    /// Only what fits.
    pub filter: Option<Filter>,
    /// Whether records of open and aborted transactions count.
    pub isolation: IsolationLevel,
    /// Whether markers of transactions are shown.
    pub control: bool,
}

impl Query {
    /// Reads the form.
    pub fn read(fields: &Fields) -> Result<Query, Trouble> {
        let wrong = Trouble::Wrong;
        let cursor = read_cursor(fields.text("cursor")).map_err(wrong)?;
        let start = match (fields.text("from"), cursor) {
            ("" | "newest", cursor) => Start::Newest(cursor.unwrap_or_default()),
            (_, Some(cursor)) => Start::At(cursor),
            ("beginning", None) => Start::Beginning,
            ("offset", None) => Start::Offset(fields.number("offset", 0)?),
            ("time", None) => Start::Time(read_time(fields.text("time"), now_ms()).map_err(wrong)?),
            ("end", None) => Start::End,
            (other, None) => {
                let text = format!("from={other}: messages are read from newest, beginning, offset, time or end");
                return Err(Trouble::Wrong(text));
            }
        };
        let filter = Filter::new(fields.text("in"), fields.text("kind"), fields.text("filter"));
        Ok(Query {
            partitions: read_partitions(fields.text("partitions")).map_err(wrong)?,
            start,
            limit: fields.number("limit", LIMIT_DEFAULT)?.clamp(1, LIMIT_MAX),
            filter: filter.map_err(wrong)?,
            isolation: if fields.is_on("committed") {
                IsolationLevel::ReadCommitted
            } else {
                IsolationLevel::ReadUncommitted
            },
            control: fields.is_on("control"),
        })
    }
}

/// `0-3,7`; nothing for all.
fn read_partitions(text: &str) -> Result<Option<Vec<i32>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut partitions = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = (first.trim().parse::<i32>(), last.trim().parse::<i32>());
        match range {
            (Ok(first), Ok(last)) if (0..=last).contains(&first) && (last - first) < PARTITIONS_MAX as i32 => {
                partitions.extend(first..=last);
            }
            _ => {
                return Err(format!(
                    "partitions={text}: give numbers and ranges, such as 0-3,7, {PARTITIONS_MAX} at most"
                ));
            }
        }
    }
    partitions.sort_unstable();
    partitions.dedup();
    match partitions.len() {
        0..=PARTITIONS_MAX => Ok(Some(partitions)),
        _ => Err(format!("{PARTITIONS_MAX} partitions are as many as one query looks at")),
    }
}

/// `0:17,3:99`.
fn read_cursor(text: &str) -> Result<Option<Cursor>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let position = |part: &str| {
        let (partition, offset) = part.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    let cursor: Option<Cursor> = text.split(',').map(position).collect();
    cursor.map(Some).ok_or_else(|| "the cursor of this link is damaged: begin anew".to_owned())
}

/// The cursor as text.
pub fn cursor_text(cursor: &Cursor) -> String {
    let parts: Vec<String> = cursor.iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
    parts.join(",")
}

/// A time: milliseconds since 1970, `2026-11-22T12:30`, with seconds, fractions and a zone if wanted (UTC without), or `-15m`.
pub fn read_time(text: &str, now_ms: i64) -> Result<i64, String> {
    let wrong = || {
        format!("time={text}: give 2026-11-22T12:30:00Z, milliseconds since 1970, or a time ago such as -15m, -2h, -3d")
    };
    if let Some(ago) = text.strip_prefix('-') {
        let (digits, unit) = ago.split_at(ago.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
        let unit_ms: i64 = match unit {
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let ago = digits.parse::<i64>().ok().and_then(|count| count.checked_mul(unit_ms));
        return ago.and_then(|ago| now_ms.checked_sub(ago)).ok_or_else(wrong);
    }
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(ms);
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let time = match time.matches(':').count() {
        1 => format!("{time}:00.000"),
        _ if !time.contains('.') => format!("{time}.000"),
        _ => time.to_owned(),
    };
    java_time::parse_datetime(&format!("{date}T{time}{zone}")).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Query, Trouble> {
        Query::read(&Fields::parse(query.as_bytes()))
    }

    #[test]
    fn forms_are_read() {
        assert_eq!(read("").expect("valid").start, Start::Newest(Cursor::new()));
        assert_eq!(read("from=offset&offset=7").expect("valid").start, Start::Offset(7));
        let older = read("from=newest&cursor=0:5,2:9&limit=99999&partitions=2,0").expect("valid");
        assert_eq!((older.start, older.limit), (Start::Newest([(0, 5), (2, 9)].into()), LIMIT_MAX));
        assert_eq!(older.partitions, Some(vec![0, 2]));
        assert_eq!(read("from=beginning&cursor=1:5").expect("valid").start, Start::At([(1, 5)].into()));
        for wrong in [
            "from=there",
            "cursor=x",
            "from=time&time=soon",
            "offset=x&from=offset",
            "partitions=0-9999",
            "partitions=3-1",
            "partitions=-1",
            "limit=x",
            "filter=(&kind=regex",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cursors_come_back() {
        let cursor = Cursor::from([(0, 17), (3, 99)]);
        assert_eq!(read_cursor(&cursor_text(&cursor)), Ok(Some(cursor)));
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let noon = 1_795_348_800_000;
        for text in [
            "2026-11-22T12:00",
            "2026-11-22 12:00:00",
            "2026-11-22T12:00:00.000Z",
            "2026-11-22T13:00+01:00",
            "1795348800000",
        ] {
            assert_eq!(read_time(text, 0), Ok(noon), "{text}");
        }
        assert_eq!(read_time("2026-11-22", 0), Ok(noon - 12 * 3_600_000));
        assert_eq!(read_time("-15m", noon), Ok(noon - 900_000));
        for wrong in ["", "-", "-5", "-5y", "2026-13-01T00:00", "soon", "-99999999999999999999d"] {
            assert!(read_time(wrong, 0).is_err(), "{wrong}");
        }
    }
}
