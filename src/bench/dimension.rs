//! Settings by name: what flags, sweeps and scenarios can change about a flow. One row of [`set`] per name that is the bench's own;
//! every other name is a setting of the producer, of the consumer (`consumer.fetch.min.bytes`) or of the topic (`topic.flush.messages`).

use std::path::PathBuf;

use super::BenchError;
use super::units::parse_count;
use super::workload::{Arrival, Consumers, Content, Flow, Keys, Sizes};

/// A setting and the values that it takes in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// Its values, as the user wrote them.
    pub values: Vec<String>,
}

/// Names of the bench's own settings and what they take, for the help and for complaints.
pub const OWN_SETTINGS: &[(&str, &str)] = &[
    ("rate", "records a second over all producers, with k or M; 0 or 'closed' for a closed loop"),
    ("arrival", "constant, poisson, burst:N, ramp:FROM:SECONDS, diurnal:LOW:SECONDS, trace:FILE, closed"),
    ("topics", "a number"),
    ("partitions", "a number"),
    ("producers", "a number; each has connections of its own"),
    ("consumers", "groups, or groups x members: 2x4"),
    ("record.size", "bytes of a value: 1000, 100-5000, lognormal:MEDIAN:P99"),
    ("content", "random, ratio:4, weblog, json, file:PATH"),
    ("keys", "none, roundrobin, uniform:COUNT, zipf:COUNT:EXPONENT, file:PATH"),
    ("tombstones", "share of records without a value, 0 to 1"),
];

/// Bytes of made keys.
const KEY_BYTES: u32 = 16;

impl Dimension {
    /// Reads `name=value,value,...`. Values of lists with commas in them are not swept.
    pub fn parse(text: &str) -> Result<Dimension, BenchError> {
        let shape = "give it as name=value,value: linger.ms=0,5,50";
        let (name, values) =
            text.split_once('=').ok_or_else(|| BenchError::config(format_args!("'{text}' is no sweep: {shape}")))?;
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        if name.trim().is_empty() || values.iter().any(String::is_empty) {
            return Err(BenchError::config(format_args!("'{text}' is no sweep: {shape}")));
        }
        let mut seen = values.clone();
        seen.sort();
        seen.dedup();
        if seen.len() < values.len() {
            return Err(BenchError::config(format_args!("'{text}' has a value twice")));
        }
        let dimension = Dimension { name: name.trim().to_owned(), values };
        for value in &dimension.values {
            set(&mut Flow::default(), &dimension.name, value)?;
        }
        Ok(dimension)
    }
}

/// Sets one setting of a flow.
pub fn set(flow: &mut Flow, name: &str, value: &str) -> Result<(), BenchError> {
    let wrong = |what: &str| BenchError::config(format_args!("{name}={value}: {what}"));
    let whole = |least: u32| -> Result<u32, BenchError> {
        let number = count(value).filter(|number| *number >= u64::from(least) && *number <= 1_000_000);
        let number = number.ok_or_else(|| wrong(&format!("not a whole number from {least} to 1000000")))?;
        Ok(number as u32)
    };
    match name {
        "rate" if matches!(value, "closed" | "0") => flow.arrival = Arrival::Closed,
        "rate" => {
            let rate =
                parse_count(value).filter(|rate| *rate > 0.0).ok_or_else(|| wrong("not a rate: 5000, 50k, 1.5M"))?;
            flow.arrival = at_rate(&flow.arrival, rate);
        }
        "arrival" => flow.arrival = arrival(value, &flow.arrival).ok_or_else(|| wrong(own_hint(name)))?,
        "topics" => flow.topics = whole(1)?,
        "partitions" => flow.partitions = whole(1)? as i32,
        "producers" => flow.producers = whole(0)?,
        "consumers" => flow.consumers = consumers(value, &flow.consumers).ok_or_else(|| wrong(own_hint(name)))?,
        "record.size" => flow.value.size = sizes(value).ok_or_else(|| wrong(own_hint(name)))?,
        "content" => flow.value.content = content(value).ok_or_else(|| wrong(own_hint(name)))?,
        "keys" => flow.key = keys(value).ok_or_else(|| wrong(own_hint(name)))?,
        "tombstones" => {
            let share = parse_count(value).filter(|share| (0.0..=1.0).contains(share));
            flow.value.null_share = share.ok_or_else(|| wrong(own_hint(name)))?;
        }
        other => {
            let (settings, key) = match other.split_once('.') {
                Some(("topic", key)) => (&mut flow.topic_config, key),
                Some(("consumer", key)) => (&mut flow.consumers.settings, key),
                _ => (&mut flow.producer, other),
            };
            settings.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(())
}

fn own_hint(name: &str) -> &'static str {
    OWN_SETTINGS.iter().find(|(own, _)| *own == name).map_or("", |(_, hint)| hint)
}

fn count(text: &str) -> Option<u64> {
    parse_count(text).filter(|number| *number >= 0.0 && number.fract() == 0.0).map(|number| number as u64)
}

/// The same process with another average rate.
fn at_rate(arrival: &Arrival, rate: f64) -> Arrival {
    match arrival.mean_rate() {
        Some(old) if old > 0.0 => arrival.scaled(rate / old),
        _ => Arrival::Poisson { rate },
    }
}

fn arrival(text: &str, old: &Arrival) -> Option<Arrival> {
    let rate = old.mean_rate().unwrap_or(1000.0);
    let words: Vec<&str> = text.split(':').collect();
    Some(match words.as_slice() {
        ["closed"] => Arrival::Closed,
        ["constant"] => Arrival::Constant { rate },
        ["poisson"] => Arrival::Poisson { rate },
        ["burst", size] => Arrival::Burst { rate, burst: u32::try_from(count(size)?).ok().filter(|size| *size > 0)? },
        ["ramp", from, seconds] => Arrival::Ramp { from: parse_count(from)?, to: rate, over_s: positive(seconds)? },
        ["diurnal", low, seconds] => {
            let low = parse_count(low).filter(|low| *low <= rate)?;
            Arrival::Diurnal { low, high: 2.0 * rate - low, period_s: positive(seconds)? }
        }
        ["trace", path] => {
            let text = std::fs::read_to_string(path).ok()?;
            let rates: Option<Vec<f64>> =
                text.lines().map(str::trim).filter(|line| !line.is_empty()).map(parse_count).collect();
            Arrival::Trace { step_s: 1.0, rates: rates.filter(|rates| rates.iter().any(|rate| *rate > 0.0))? }
        }
        _ => return None,
    })
}

fn positive(text: &str) -> Option<f64> {
    parse_count(text).filter(|number| *number > 0.0)
}

fn consumers(text: &str, old: &Consumers) -> Option<Consumers> {
    let (groups, members) = match text.split_once('x') {
        Some((groups, members)) => (count(groups)?, count(members)?),
        None => (count(text)?, 1),
    };
    let groups = u32::try_from(groups).ok()?;
    let members = u32::try_from(members).ok().filter(|members| *members > 0)?;
    Some(Consumers { groups, members, ..old.clone() })
}

fn sizes(text: &str) -> Option<Sizes> {
    let bytes = |text: &str| count(text).and_then(|bytes| u32::try_from(bytes).ok());
    if let Some(rest) = text.strip_prefix("lognormal:") {
        let (median, p99) = rest.split_once(':')?;
        let (median, p99) = (bytes(median)?, bytes(p99)?);
        return (0 < median && median <= p99).then_some(Sizes::LogNormal { median, p99 });
    }
    match text.split_once('-') {
        Some((min, max)) => {
            let (min, max) = (bytes(min)?, bytes(max)?);
            (min <= max).then_some(Sizes::Uniform { min, max })
        }
        None => Some(Sizes::Fixed { bytes: bytes(text)? }),
    }
}

fn content(text: &str) -> Option<Content> {
    Some(match text.split_once(':') {
        None if text == "random" => Content::Synthetic { ratio: 1.0 },
        None if text == "weblog" => Content::WebLog,
        None if text == "json" => Content::Json,
        Some(("ratio", ratio)) => Content::Synthetic { ratio: parse_count(ratio).filter(|ratio| *ratio >= 1.0)? },
        Some(("file", path)) => Content::File { path: PathBuf::from(path) },
        _ => return None,
    })
}

fn keys(text: &str) -> Option<Keys> {
    let words: Vec<&str> = text.splitn(2, ':').collect();
    Some(match words.as_slice() {
        ["none"] => Keys::None,
        ["roundrobin"] => Keys::RoundRobin,
        ["uniform", many] => Keys::Uniform { count: count(many).filter(|count| *count > 0)?, bytes: KEY_BYTES },
        ["zipf", rest] => {
            let (many, exponent) = rest.split_once(':').unwrap_or((rest, "1"));
            let exponent = parse_count(exponent).filter(|exponent| *exponent >= 0.0)?;
            Keys::Zipf { count: count(many).filter(|count| *count > 0)?, exponent, bytes: KEY_BYTES }
        }
        ["file", path] => Keys::File { path: PathBuf::from(path) },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: &[(&str, &str)]) -> Flow {
        let mut flow = Flow::default();
        for (name, value) in settings {
            set(&mut flow, name, value).unwrap_or_else(|error| panic!("{error}"));
        }
        flow
    }

    #[test]
    fn names_find_their_place() {
        let flow = with(&[
            ("linger.ms", "5"),
            ("topic.flush.messages", "1"),
            ("consumer.fetch.min.bytes", "9"),
            ("record.size", "1k"),
            ("keys", "zipf:10k:1.2"),
            ("consumers", "2x4"),
        ]);
        assert_eq!(flow.producer["linger.ms"], "5");
        assert_eq!(flow.topic_config["flush.messages"], "1");
        assert_eq!(flow.consumers.settings["fetch.min.bytes"], "9");
        assert_eq!(flow.value.size, Sizes::Fixed { bytes: 1000 });
        assert_eq!(flow.key, Keys::Zipf { count: 10_000, exponent: 1.2, bytes: KEY_BYTES });
        assert_eq!((flow.consumers.groups, flow.consumers.members), (2, 4));
    }

    #[test]
    fn rate_and_arrival_come_in_any_order() {
        let burst = Arrival::Burst { rate: 50_000.0, burst: 10 };
        assert_eq!(with(&[("rate", "50k"), ("arrival", "burst:10")]).arrival, burst);
        assert_eq!(with(&[("arrival", "burst:10"), ("rate", "50k")]).arrival, burst);
        assert_eq!(with(&[("rate", "50k"), ("rate", "closed")]).arrival, Arrival::Closed);
    }

    #[test]
    fn what_is_no_value_is_refused_with_the_value_and_the_mend() {
        for (name, value) in [
            ("rate", "fast"),
            ("rate", "-5"),
            ("partitions", "0"),
            ("partitions", "1.5"),
            ("record.size", "9-3"),
            ("content", "ratio:0.5"),
            ("keys", "zipf:0"),
            ("consumers", "1x0"),
            ("tombstones", "2"),
            ("arrival", "burst:0"),
        ] {
            let error = set(&mut Flow::default(), name, value).expect_err(name).to_string();
            assert!(error.starts_with(&format!("{name}={value}: ")) && error.len() > 25, "{error}");
        }
    }

    #[test]
    fn a_sweep_is_a_name_and_values() {
        let sweep = Dimension::parse("linger.ms=0, 5,50").expect("valid");
        assert_eq!((sweep.name.as_str(), sweep.values.len()), ("linger.ms", 3));
        for wrong in ["linger.ms", "=1", "a=1,,2", "a=1,1", "rate=x"] {
            assert!(Dimension::parse(wrong).is_err(), "{wrong}");
        }
    }
}
