//! What clients push of their own metrics (KIP-714), shown by client until it has been silent for a few of its intervals.
//!
//! Rare and not on the way of records: one lock for all. Bounded: so many clients, so many series of one and of all; what is beyond
//! is counted and not shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::instrument::Kind;
use super::page::{Page, labels};
use super::table::Row;

/// Clients that are shown.
const CLIENTS_MAX: usize = 2000;
/// Series of one client.
const SERIES_OF_CLIENT_MAX: usize = 500;
/// Series of all clients.
const SERIES_MAX: usize = 50_000;
/// Software with a label of its own.
const SOFTWARE_MAX: usize = 20;
/// Attributes of a series, and the length of a label's value.
const ATTRIBUTES_MAX: usize = 6;
const LABEL_LEN_MAX: usize = 100;

/// What every name begins with, in place of `org.apache.kafka.`.
const PREFIX: &str = "kafka_client_";

/// Rows of what is known of the pushes.
pub(super) const CLIENT_ROWS: [Row; 5] = [
    Row {
        name: "millrace_clients_pushing",
        kind: Kind::Gauge,
        help: "clients that push their metrics, by the label software",
    },
    Row { name: "millrace_client_pushes", kind: Kind::Counter, help: "pushes that were taken" },
    Row { name: "millrace_client_pushes_refused", kind: Kind::Counter, help: "pushes that were refused" },
    Row { name: "millrace_client_series", kind: Kind::Gauge, help: "series that clients have pushed" },
    Row {
        name: "millrace_client_series_dropped",
        kind: Kind::Counter,
        help: "values of clients that were not shown, because there are too many",
    },
];

/// How the values of a pushed metric are to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushedKind {
    /// As they are.
    Gauge,
    /// A sum since the start of the client.
    Total,
    /// A sum since the last push.
    Delta,
}

/// A metric that was pushed.
#[derive(Clone, Debug, PartialEq)]
pub struct PushedMetric {
    /// `org.apache.kafka.producer.request.latency.avg`
    pub name: String,
    /// How to take its values.
    pub kind: PushedKind,
    /// Values by their attributes.
    pub points: Vec<(Vec<(String, String)>, f64)>,
}

/// Who pushes.
#[derive(Clone, Debug)]
pub struct PushingClient {
    /// The id that the client got for this purpose.
    pub instance_id: String,
    /// `client.id`
    pub client_id: String,
    /// `apache-kafka-java`
    pub software: String,
}

/// All pushed metrics.
#[derive(Debug, Default)]
pub struct ClientMetrics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<String, Client>,
    series: usize,
    pushes: u64,
    refused: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Client {
    client_id: String,
    labels: String,
    software: String,
    expires: Instant,
    /// Of the last push: a gauge that is not in it is gone.
    push: u64,
    /// By name of the family, then labels.
    series: BTreeMap<(String, String), Series>,
}

#[derive(Debug)]
struct Series {
    is_sum: bool,
    value: f64,
    push: u64,
}

impl ClientMetrics {
    /// Takes a push; the client is forgotten when `lifetime` has passed without another.
    pub fn push(&self, from: &PushingClient, lifetime: Duration, metrics: Vec<PushedMetric>) {
        let now = Instant::now();
        let mut state = self.state();
        state.forget_silent(now);
        state.pushes += 1;
        let state = &mut *state;
        if !state.clients.contains_key(&from.instance_id) && state.clients.len() >= CLIENTS_MAX {
            state.dropped += metrics.iter().map(|metric| metric.points.len() as u64).sum::<u64>();
            return;
        }
        let client = state.clients.entry(from.instance_id.clone()).or_insert_with(|| Client::new(from, now));
        client.expires = now + lifetime;
        client.push += 1;
        for metric in metrics {
            let family = family(&metric.name);
            for (attributes, value) in metric.points {
                let key = (family.clone(), series_labels(&client.labels, &attributes));
                let room = client.series.len() < SERIES_OF_CLIENT_MAX && state.series < SERIES_MAX;
                match client.series.get_mut(&key) {
                    Some(series) => series.take(metric.kind, value, client.push),
                    None if room => {
                        state.series += 1;
                        let is_sum = metric.kind != PushedKind::Gauge;
                        client.series.insert(key, Series { is_sum, value, push: client.push });
                    }
                    None => state.dropped += 1,
                }
            }
        }
        let before = client.series.len();
        client.series.retain(|_, series| series.is_sum || series.push == client.push);
        state.series -= before - client.series.len();
    }

    /// What clients of this name have pushed: name with labels, and value. In the order of the names.
    pub fn pushed_by(&self, client_id: &str) -> Vec<(String, f64)> {
        let mut state = self.state();
        state.forget_silent(Instant::now());
        let mut pushed = Vec::new();
        for client in state.clients.values().filter(|client| client.client_id == short(client_id)) {
            for ((name, labels), series) in &client.series {
                let rest = labels.strip_prefix(client.labels.as_str()).unwrap_or(labels).trim_start_matches(',');
                let shown = if rest.is_empty() { name.clone() } else { format!("{name}{{{rest}}}") };
                pushed.push((shown, series.value));
            }
        }
        pushed
    }

    /// Counts a push that was refused.
    pub fn note_refused(&self) {
        self.state().refused += 1;
    }

    /// Writes all of it.
    pub(super) fn write(&self, page: &mut Page) {
        let mut state = self.state();
        state.forget_silent(Instant::now());
        state.write_rows(page);
        state.write_series(page);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can be left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_silent(&mut self, now: Instant) {
        let series = &mut self.series;
        self.clients.retain(|_, client| {
            let lives = client.expires > now;
            *series -= if lives { 0 } else { client.series.len() };
            lives
        });
    }

    fn write_rows(&self, page: &mut Page) {
        let mut software: BTreeMap<&str, usize> = BTreeMap::new();
        for client in self.clients.values() {
            let known = software.contains_key(client.software.as_str()) || software.len() < SOFTWARE_MAX;
            *software.entry(if known { &client.software } else { "other" }).or_default() += 1;
        }
        let [pushing, pushes, refused, series, dropped] = &CLIENT_ROWS;
        page.family(pushing.name, pushing.kind, pushing.help);
        for (name, count) in software {
            page.line(pushing.name, "", &labels(&[("software", name)]), count);
        }
        for (row, value) in [(pushes, self.pushes), (refused, self.refused), (dropped, self.dropped)] {
            page.family(row.name, row.kind, row.help);
            page.line(row.name, "_total", "", value);
        }
        page.family(series.name, series.kind, series.help);
        page.line(series.name, "", "", self.series);
    }

    fn write_series(&self, page: &mut Page) {
        // A family has one kind: that of whoever comes first.
        let mut families: BTreeMap<&str, (bool, Vec<(&str, f64)>)> = BTreeMap::new();
        for ((name, labels), series) in self.clients.values().flat_map(|client| &client.series) {
            let (is_sum, lines) = families.entry(name).or_insert_with(|| (series.is_sum, Vec::new()));
            if *is_sum == series.is_sum {
                lines.push((labels, series.value));
            }
        }
        for (name, (is_sum, lines)) in families {
            let (kind, suffix) = if is_sum { (Kind::Counter, "_total") } else { (Kind::Gauge, "") };
            page.family(name, kind, "pushed by clients");
            for (labels, value) in lines {
                page.line(name, suffix, labels, value);
            }
        }
    }
}

impl Client {
    fn new(from: &PushingClient, now: Instant) -> Client {
        let pairs = [("client_id", short(&from.client_id)), ("client_instance_id", short(&from.instance_id))];
        Client {
            client_id: short(&from.client_id).to_owned(),
            labels: labels(&pairs),
            software: short(&from.software).to_owned(),
            expires: now,
            push: 0,
            series: BTreeMap::new(),
        }
    }
}

impl Series {
    fn take(&mut self, kind: PushedKind, value: f64, push: u64) {
        self.push = push;
        match kind {
            PushedKind::Delta => self.value += value,
            PushedKind::Gauge | PushedKind::Total => self.value = value,
        }
    }
}

/// `kafka_client_producer_request_latency_avg` of `org.apache.kafka.producer.request.latency.avg`. Without `_total`, which is the
/// suffix of counters alone.
fn family(name: &str) -> String {
    let name = word(name.strip_prefix("org.apache.kafka.").unwrap_or(name));
    format!("{PREFIX}{}", name.strip_suffix("_total").unwrap_or(&name))
}

fn series_labels(of_client: &str, attributes: &[(String, String)]) -> String {
    let mut words: BTreeMap<String, &str> = BTreeMap::new();
    for (name, value) in attributes.iter().take(ATTRIBUTES_MAX) {
        words.insert(word(name), short(value));
    }
    words.retain(|name, _| name != "client_id" && name != "client_instance_id");
    let pairs: Vec<(&str, &str)> = words.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let comma = if pairs.is_empty() { "" } else { "," };
    format!("{of_client}{comma}{}", labels(&pairs))
}

/// A name as Prometheus has them.
fn word(text: &str) -> String {
    let letters = short(text).chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    let word: String = letters.collect();
    if word.starts_with(|c: char| c.is_ascii_digit()) || word.is_empty() { format!("_{word}") } else { word }
}

fn short(text: &str) -> &str {
    text.char_indices().nth(LABEL_LEN_MAX).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(nth: usize) -> PushingClient {
        PushingClient { instance_id: format!("id-{nth}"), client_id: "a \"b\"".into(), software: "java".into() }
    }

    fn metric(name: &str, kind: PushedKind, value: f64) -> PushedMetric {
        PushedMetric { name: name.into(), kind, points: vec![(vec![("node.id".into(), "1".into())], value)] }
    }

    fn page(metrics: &ClientMetrics) -> String {
        let mut page = Page::default();
        metrics.write(&mut page);
        page.0
    }

    #[test]
    fn values_are_shown_by_client_and_deltas_added_up() {
        let metrics = ClientMetrics::default();
        let hour = Duration::from_secs(3600);
        for value in [3.0, 4.0] {
            let sum = metric("org.apache.kafka.producer.record.send.total", PushedKind::Delta, value);
            let gauge = metric("org.apache.kafka.producer.request.latency.avg", PushedKind::Gauge, value);
            metrics.push(&client(1), hour, vec![sum, gauge]);
        }
        let text = page(&metrics);
        let labels = "client_id=\"a \\\"b\\\"\",client_instance_id=\"id-1\",node_id=\"1\"";
        for line in [
            format!("kafka_client_producer_record_send_total{{{labels}}} 7"),
            format!("kafka_client_producer_request_latency_avg{{{labels}}} 4"),
            "millrace_clients_pushing{software=\"java\"} 1".to_owned(),
            "millrace_client_pushes_total 2".to_owned(),
            "millrace_client_series 2".to_owned(),
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        let of_client = metrics.pushed_by("a \"b\"");
        assert_eq!(of_client[1], ("kafka_client_producer_request_latency_avg{node_id=\"1\"}".to_owned(), 4.0));
        assert!(of_client.len() == 2 && metrics.pushed_by("a").is_empty());
        metrics.push(
            &client(1),
            hour,
            vec![metric("org.apache.kafka.producer.record.send.total", PushedKind::Delta, 1.0)],
        );
        let text = page(&metrics);
        assert!(
            text.contains("send_total") && !text.contains("latency"),
            "a gauge that is no more pushed is gone:\n{text}"
        );
    }

    #[test]
    fn clients_and_series_are_bounded_and_silent_clients_forgotten() {
        let metrics = ClientMetrics::default();
        for nth in 0..CLIENTS_MAX + 1 {
            metrics.push(&client(nth), Duration::from_secs(3600), vec![metric("x", PushedKind::Gauge, 1.0)]);
        }
        let many =
            (0..SERIES_OF_CLIENT_MAX + 9).map(|nth| metric(&format!("y{nth}"), PushedKind::Gauge, 1.0)).collect();
        metrics.push(&client(0), Duration::ZERO, many);
        assert!(page(&metrics).contains(&format!("millrace_client_series {}\n", CLIENTS_MAX - 1)));
        // One client too many; and of the many series one place was taken.
        assert!(page(&metrics).contains("millrace_client_series_dropped_total 11\n"), "{}", page(&metrics).len());
    }

    #[test]
    fn names_become_those_of_prometheus() {
        assert_eq!(
            family("org.apache.kafka.consumer.fetch.manager.fetch-rate"),
            "kafka_client_consumer_fetch_manager_fetch_rate"
        );
        assert_eq!(family("9 lives.total"), "kafka_client__9_lives");
        assert_eq!(family(""), "kafka_client__");
    }
}
