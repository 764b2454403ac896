//! The numbers of a run that have names: what promises, `compare`, tables and the report's heat map choose from.
//!
//! ```text
//! p50 p90 p99 p99.9 p99.99 max mean        latency from the intended time, ms; also with a prefix:
//! e2e.p99  request.p99  clock_error.p99    to a consumer; of requests; of the clock
//! records_s mb_s consumed_records_s consumed_mb_s requests_s records_per_batch compression_ratio
//! broker_cpu_s_per_gb broker_cpu_s_per_million broker_cores broker_memory_mb client_cpu_s_per_million
//! failed lost duplicated reordered corrupted
//! ```

use super::results::{Latency, Run};
use super::units;

/// Which clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Span {
    /// From the intended time to the acknowledgement.
    Latency,
    /// From the intended time to a consumer.
    EndToEnd,
    /// From sending a request to its answer.
    Request,
    /// From the intended time to the client's making the record.
    ClockError,
}

/// Which number of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// Average.
    Mean,
    /// Median.
    P50,
    /// 90 %
    P90,
    /// 99 %
    P99,
    /// 99.9 %
    P999,
    /// 99.99 %
    P9999,
    /// The slowest.
    Max,
}

/// A number of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// A time, ms.
    Time(Span, Point),
    /// Records acknowledged a second.
    RecordsS,
    /// MB of keys and values acknowledged a second.
    MbS,
    /// Records received by consumers a second.
    ConsumedRecordsS,
    /// MB received by consumers a second.
    ConsumedMbS,
    /// Produce requests a second.
    RequestsS,
    /// Records in a batch.
    RecordsPerBatch,
    /// Bytes of keys and values over bytes on the wire.
    CompressionRatio,
    /// The broker's processor seconds per GB.
    BrokerCpuPerGb,
    /// The broker's processor seconds per million records.
    BrokerCpuPerMillion,
    /// Cores that the broker kept busy.
    BrokerCores,
    /// The broker's resident memory, MB.
    BrokerMemoryMb,
    /// The clients' processor seconds per million records.
    ClientCpuPerMillion,
    /// Records that failed.
    Failed,
    /// Acknowledged and never seen.
    Lost,
    /// Seen more than once.
    Duplicated,
    /// Seen out of order.
    Reordered,
    /// Seen with other bytes.
    Corrupted,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It depends.
    Neither,
}

/// What the number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Time,
    /// A number of things, or of things a second.
    Count,
    /// MB or MB a second.
    Mega,
    /// Processor seconds per so much.
    Seconds,
    /// A bare number.
    Plain,
}

/// Names, the first of each being the one that is printed.
const NAMES: &[(Metric, &[&str])] = &[
    (Metric::RecordsS, &["records_s", "rate", "records/s"]),
    (Metric::MbS, &["mb_s", "MB/s", "throughput"]),
    (Metric::ConsumedRecordsS, &["consumed_records_s", "consumed_rate"]),
    (Metric::ConsumedMbS, &["consumed_mb_s"]),
    (Metric::RequestsS, &["requests_s"]),
    (Metric::RecordsPerBatch, &["records_per_batch"]),
    (Metric::CompressionRatio, &["compression_ratio"]),
    (Metric::BrokerCpuPerGb, &["broker_cpu_s_per_gb", "cpu_s_per_gb"]),
    (Metric::BrokerCpuPerMillion, &["broker_cpu_s_per_million"]),
    (Metric::BrokerCores, &["broker_cores"]),
    (Metric::BrokerMemoryMb, &["broker_memory_mb", "rss_mb"]),
    (Metric::ClientCpuPerMillion, &["client_cpu_s_per_million"]),
    (Metric::Failed, &["failed"]),
    (Metric::Lost, &["lost"]),
    (Metric::Duplicated, &["duplicated"]),
    (Metric::Reordered, &["reordered"]),
    (Metric::Corrupted, &["corrupted"]),
];

const SPANS: &[(Span, &[&str])] = &[
    (Span::Latency, &["", "latency"]),
    (Span::EndToEnd, &["e2e", "end_to_end"]),
    (Span::Request, &["request", "request_latency"]),
    (Span::ClockError, &["clock_error"]),
];

const POINTS: &[(Point, &[&str])] = &[
    (Point::Mean, &["mean", "avg"]),
    (Point::P50, &["p50", "median"]),
    (Point::P90, &["p90"]),
    (Point::P99, &["p99"]),
    (Point::P999, &["p99.9", "p999"]),
    (Point::P9999, &["p99.99", "p9999"]),
    (Point::Max, &["max"]),
];

impl Metric {
    /// The metric of this name.
    pub fn parse(name: &str) -> Option<Metric> {
        let name = name.trim();
        if let Some((metric, _)) = NAMES.iter().find(|(_, names)| names.contains(&name)) {
            return Some(*metric);
        }
        // The span ends at the first dot that has letters before it: `p99.9` has none.
        let (span, point) = match name.split_once('.') {
            Some((span, point)) if SPANS.iter().any(|(_, names)| names.contains(&span)) => (span, point),
            _ => ("", name),
        };
        let span = SPANS.iter().find(|(_, names)| names.contains(&span))?.0;
        let point = POINTS.iter().find(|(_, names)| names.contains(&point))?.0;
        Some(Metric::Time(span, point))
    }

    /// All names that [`Metric::parse`] knows for numbers that are not times, and the form of those that are.
    pub fn known() -> String {
        let points: Vec<&str> = POINTS.iter().map(|(_, names)| names[0]).collect();
        let others: Vec<&str> = NAMES.iter().map(|(_, names)| names[0]).collect();
        format!("{} (also e2e.p99, request.p99, clock_error.p99 and so on), {}", points.join(", "), others.join(", "))
    }

    /// Its name.
    pub fn name(self) -> String {
        if let Metric::Time(span, point) = self {
            let span = SPANS.iter().find(|(it, _)| *it == span).map_or("", |(_, names)| names[0]);
            let point = POINTS.iter().find(|(it, _)| *it == point).map_or("", |(_, names)| names[0]);
            return if span.is_empty() { point.to_owned() } else { format!("{span}.{point}") };
        }
        NAMES.iter().find(|(metric, _)| *metric == self).map_or("", |(_, names)| names[0]).to_owned()
    }

    /// Its name in a sentence.
    pub fn title(self) -> String {
        match self {
            Metric::BrokerCpuPerGb => "broker CPU per GB".to_owned(),
            Metric::BrokerCpuPerMillion => "broker CPU per million records".to_owned(),
            Metric::ClientCpuPerMillion => "client CPU per million records".to_owned(),
            Metric::RecordsS => "records/s".to_owned(),
            Metric::MbS => "MB/s".to_owned(),
            metric => metric.name(),
        }
    }

    /// Which way is good.
    pub fn better(self) -> Better {
        match self {
            Metric::RecordsS | Metric::MbS | Metric::ConsumedRecordsS | Metric::ConsumedMbS => Better::Higher,
            Metric::RequestsS | Metric::RecordsPerBatch | Metric::CompressionRatio | Metric::BrokerCores => {
                Better::Neither
            }
            _ => Better::Lower,
        }
    }

    /// What it counts.
    pub fn unit(self) -> Unit {
        match self {
            Metric::Time(..) => Unit::Time,
            Metric::MbS | Metric::ConsumedMbS | Metric::BrokerMemoryMb => Unit::Mega,
            Metric::BrokerCpuPerGb | Metric::BrokerCpuPerMillion | Metric::ClientCpuPerMillion => Unit::Seconds,
            Metric::RecordsPerBatch | Metric::CompressionRatio | Metric::BrokerCores => Unit::Plain,
            _ => Unit::Count,
        }
    }

    /// The number with its unit.
    pub fn format(self, value: f64) -> String {
        match self.unit() {
            Unit::Time => units::time(value),
            Unit::Count => units::count(value),
            Unit::Mega if self == Metric::BrokerMemoryMb => format!("{} MB", units::digits(value)),
            Unit::Mega => format!("{} MB/s", units::digits(value)),
            Unit::Seconds => format!("{} s", units::digits(value)),
            Unit::Plain => units::digits(value),
        }
    }

    /// A number of this metric's kind, read from `5ms`, `200k`, `1 GB/s`; `None` if the unit does not fit.
    pub fn parse_value(self, text: &str) -> Option<f64> {
        let text = text.trim();
        match self.unit() {
            Unit::Time => units::parse_time(text),
            Unit::Count => units::parse_count(text),
            Unit::Mega => {
                let (number, unit) = units::split(text)?;
                let factor = match unit.trim_end_matches("/s") {
                    "" | "MB" => 1.0,
                    "kB" | "KB" => 1e-3,
                    "GB" => 1e3,
                    "KiB" => 1.024e-3,
                    "MiB" => 1.048_576,
                    "GiB" => 1_073.741_824,
                    _ => return None,
                };
                Some(number * factor)
            }
            Unit::Seconds => {
                let (number, unit) = units::split(text)?;
                matches!(unit, "" | "s").then_some(number)
            }
            Unit::Plain => {
                let (number, unit) = units::split(text)?;
                unit.is_empty().then_some(number)
            }
        }
    }

    /// Its value in a run; `None` where the run does not have it: nobody consumed, nobody verified, the broker is elsewhere.
    pub fn value(self, run: &Run) -> Option<f64> {
        let above_zero = |value: f64| (value > 0.0).then_some(value);
        let counts = run.verification.as_ref().map(|verification| &verification.counts);
        match self {
            Metric::Time(span, point) => point.of(match span {
                Span::Latency => &run.latency,
                Span::EndToEnd => &run.end_to_end,
                Span::Request => &run.request_latency,
                Span::ClockError => &run.clock_error,
            }),
            Metric::RecordsS => Some(run.rates.records_s),
            Metric::MbS => Some(run.rates.mb_s),
            Metric::ConsumedRecordsS => above_zero(run.rates.consumed_records_s),
            Metric::ConsumedMbS => above_zero(run.rates.consumed_mb_s),
            Metric::RequestsS => above_zero(run.rates.produce_requests_s),
            Metric::RecordsPerBatch => above_zero(run.rates.records_per_batch),
            Metric::CompressionRatio => above_zero(run.rates.compression_ratio),
            Metric::BrokerCpuPerGb => above_zero(run.broker.cpu_s_per_gb),
            Metric::BrokerCpuPerMillion => above_zero(run.broker.cpu_s_per_million),
            Metric::BrokerCores => above_zero(run.broker.cores),
            Metric::BrokerMemoryMb => above_zero(run.broker.resident_bytes as f64 / 1e6),
            Metric::ClientCpuPerMillion => above_zero(run.client_cpu_s)
                .filter(|_| run.rates.records > 0)
                .map(|cpu| cpu * 1e6 / run.rates.records as f64),
            Metric::Failed => Some(run.rates.failed as f64),
            Metric::Lost => counts.map(|counts| counts.lost as f64),
            Metric::Duplicated => counts.map(|counts| counts.duplicated as f64),
            Metric::Reordered => counts.map(|counts| counts.reordered as f64),
            Metric::Corrupted => counts.map(|counts| counts.corrupted as f64),
        }
    }
}

impl Point {
    fn of(self, latency: &Latency) -> Option<f64> {
        (latency.count > 0).then_some(match self {
            Point::Mean => latency.mean,
            Point::P50 => latency.p50,
            Point::P90 => latency.p90,
            Point::P99 => latency.p99,
            Point::P999 => latency.p999,
            Point::P9999 => latency.p9999,
            Point::Max => latency.max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let times = SPANS.iter().flat_map(|(span, _)| POINTS.iter().map(|(point, _)| Metric::Time(*span, *point)));
        for metric in times.chain(NAMES.iter().map(|(metric, _)| *metric)) {
            assert_eq!(Metric::parse(&metric.name()), Some(metric), "{}", metric.name());
        }
    }

    #[test]
    fn other_names_are_known_too() {
        assert_eq!(Metric::parse("p999"), Some(Metric::Time(Span::Latency, Point::P999)));
        assert_eq!(Metric::parse("e2e.p99.9"), Some(Metric::Time(Span::EndToEnd, Point::P999)));
        assert_eq!(Metric::parse("rate"), Some(Metric::RecordsS));
        assert_eq!(Metric::parse("p98"), None);
        assert_eq!(Metric::parse("disk.p99"), None);
    }

    #[test]
    fn values_have_units_of_their_kind() {
        assert_eq!(Metric::MbS.parse_value("1.5 GB/s"), Some(1500.0));
        assert_eq!(Metric::RecordsS.parse_value("200k"), Some(200_000.0));
        assert_eq!(Metric::Time(Span::Latency, Point::P99).parse_value("5MB"), None);
        assert_eq!(Metric::Lost.parse_value("5ms"), None);
    }

    #[test]
    fn what_a_run_does_not_have_is_not_zero() {
        let run = Run::default();
        assert_eq!(Metric::Lost.value(&run), None);
        assert_eq!(Metric::Time(Span::EndToEnd, Point::P99).value(&run), None);
    }
}
