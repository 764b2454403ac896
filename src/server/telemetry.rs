//! Clients that push their metrics (KIP-714): which subscriptions are theirs, when they may ask and push, and what they pushed.
//!
//! Apache Kafka does so where a plug-in takes the metrics; here `/metrics` does, so that every client is served. A client asks every
//! few minutes and may come by any connection: one table for all shards behind a lock. It is bounded; who has been silent the longest
//! goes first, and is like new when it comes back.

pub mod otlp;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use regex::Regex;

use crate::metadata::{ConfigMap, MetadataImage, ResourceType};
use crate::protocol::ErrorCode;
use crate::record;
use crate::wire::Uuid;

/// Clients that are remembered, as in Apache Kafka.
const CLIENTS_MAX: usize = 16_384;
/// `interval.ms` of a subscription that does not say, and of a client without any.
const INTERVAL_MS_DEFAULT: i32 = 300_000;
/// A client is forgotten after three of its intervals, but not sooner than this.
const LIFETIME_MIN_MS: i64 = 60_000;
/// Stands for all metrics in a subscription.
const ALL_METRICS: &str = "*";
/// Codecs that are offered, the best first, as in Apache Kafka: zstd, lz4, gzip, snappy.
pub const CODECS: [i8; 4] = [4, 3, 1, 2];

/// What a client is known by; a subscription's `match` is about these.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// The id that it got for this purpose.
    pub instance_id: Uuid,
    /// `client.id`
    pub client_id: Option<String>,
    /// Name and version of its software.
    pub software: Option<(String, String)>,
    /// Its address.
    pub peer: SocketAddr,
}

/// What a client is to push, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Changes with what is asked for.
    pub id: i32,
    /// Beginnings of names; one that is `*` is all.
    pub metrics: Vec<String>,
    /// Time between two pushes.
    pub interval_ms: i32,
}

/// The clients.
#[derive(Debug, Default)]
pub struct Telemetry(Mutex<HashMap<Uuid, Instance>>);

#[derive(Debug)]
struct Instance {
    subscription: Subscription,
    /// Of all subscriptions, when this one was found.
    version: u32,
    asked_ms: i64,
    pushed_ms: i64,
    terminating: bool,
    expires_ms: i64,
}

/// A push, before its metrics are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    /// The subscription that it answers to.
    pub subscription_id: i32,
    /// The client ends: this is its last push, which may come early.
    pub terminating: bool,
    /// How its metrics are compressed.
    pub codec: i8,
    /// Bytes of metrics, compressed.
    pub len: usize,
    /// `telemetry.max.bytes`
    pub len_max: usize,
}

impl Telemetry {
    /// A client asks what it is to push.
    pub fn subscribe(
        &self,
        image: &MetadataImage,
        facts: &ClientFacts,
        now_ms: i64,
    ) -> Result<Subscription, ErrorCode> {
        self.with(image, facts, now_ms, |client| {
            let last_ms = client.asked_ms.max(client.pushed_ms);
            if now_ms - last_ms < i64::from(client.subscription.interval_ms) {
                return Err(ErrorCode::ThrottlingQuotaExceeded);
            }
            client.asked_ms = now_ms;
            Ok(client.subscription.clone())
        })
    }

    /// A client pushes. If it may, answers for how long it is to be remembered.
    pub fn push(
        &self,
        image: &MetadataImage,
        facts: &ClientFacts,
        push: Push,
        now_ms: i64,
    ) -> Result<Duration, ErrorCode> {
        if is_reserved(&facts.instance_id) {
            return Err(ErrorCode::InvalidRequest);
        }
        self.with(image, facts, now_ms, |client| {
            let outcome = client.check(push, now_ms);
            client.terminating = push.terminating;
            outcome.map(|()| Duration::from_millis(client.lifetime_ms().unsigned_abs()))
        })
    }

    /// Finds the client, or takes it in; one that was found before subscriptions changed is like new.
    fn with<T>(
        &self,
        image: &MetadataImage,
        facts: &ClientFacts,
        now_ms: i64,
        work: impl FnOnce(&mut Instance) -> T,
    ) -> T {
        let version = version(image);
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&facts.instance_id) {
            make_room(&mut clients, now_ms);
        }
        let is_current = |client: &Instance| client.version == version && client.expires_ms > now_ms;
        if !clients.get(&facts.instance_id).is_some_and(is_current) {
            clients.insert(facts.instance_id, Instance::new(subscription_of(image, facts), version));
        }
        let client = clients.get_mut(&facts.instance_id).expect("it was put there if it was not");
        client.expires_ms = now_ms + client.lifetime_ms();
        work(client)
    }
}

fn make_room(clients: &mut HashMap<Uuid, Instance>, now_ms: i64) {
    clients.retain(|_, client| client.expires_ms > now_ms);
    if clients.len() >= CLIENTS_MAX
        && let Some(id) = clients.iter().min_by_key(|(_, client)| client.expires_ms).map(|(id, _)| *id)
    {
        clients.remove(&id);
    }
}

impl Instance {
    fn new(subscription: Subscription, version: u32) -> Instance {
        Instance { subscription, version, asked_ms: 0, pushed_ms: 0, terminating: false, expires_ms: 0 }
    }

    fn lifetime_ms(&self) -> i64 {
        (3 * i64::from(self.subscription.interval_ms)).max(LIFETIME_MIN_MS)
    }

    /// In Kafka's order. The first push after the question may come at any time: clients spread theirs by chance.
    fn check(&mut self, push: Push, now_ms: i64) -> Result<(), ErrorCode> {
        if self.terminating {
            return Err(ErrorCode::InvalidRequest);
        }
        let in_time =
            self.asked_ms > self.pushed_ms || now_ms - self.pushed_ms >= i64::from(self.subscription.interval_ms);
        if in_time {
            self.pushed_ms = now_ms;
        }
        if !in_time && !push.terminating {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        if push.subscription_id != self.subscription.id {
            return Err(ErrorCode::UnknownSubscriptionId);
        }
        if !(0..=4).contains(&push.codec) {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        if push.len > push.len_max {
            return Err(ErrorCode::TelemetryTooLarge);
        }
        Ok(())
    }
}

/// Zero, and others that Kafka keeps for itself.
fn is_reserved(id: &Uuid) -> bool {
    let bytes = id.as_bytes();
    bytes[..15].iter().all(|byte| *byte == 0) && bytes[15] < 100
}

/// All subscriptions by name.
fn subscriptions(image: &MetadataImage) -> impl Iterator<Item = (&str, &ConfigMap)> {
    let all = image.configs().iter();
    all.filter(|(resource, _)| resource.resource_type == ResourceType::ClientMetrics)
        .map(|(resource, configs)| (resource.name.as_str(), &**configs))
}

/// Differs whenever a subscription comes, goes or changes.
fn version(image: &MetadataImage) -> u32 {
    let mut text = String::new();
    for (name, configs) in subscriptions(image) {
        let pairs = configs.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        for part in std::iter::once(name).chain(pairs) {
            text.push_str(part);
            text.push('\0');
        }
        text.push('\0');
    }
    record::crc32c(text.as_bytes())
}

/// The subscriptions that match a client, as one.
fn subscription_of(image: &MetadataImage, facts: &ClientFacts) -> Subscription {
    let mut metrics = BTreeSet::new();
    let mut interval_ms = INTERVAL_MS_DEFAULT;
    for (_, configs) in subscriptions(image) {
        let value = |key: &str| configs.get(key).map(|value| value.as_str());
        if !facts.is_matched_by(value("match").unwrap_or_default()) {
            continue;
        }
        metrics.extend(items(value("metrics").unwrap_or_default()).map(str::to_owned));
        interval_ms = interval_ms.min(value("interval.ms").and_then(|text| text.parse().ok()).unwrap_or(interval_ms));
    }
    if metrics.contains(ALL_METRICS) {
        metrics = [ALL_METRICS.to_owned()].into();
    }
    let text = format!("{metrics:?}{interval_ms}");
    let of_client = facts.instance_id.as_bytes().chunks_exact(4).fold(0, |hash, word| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(word);
        hash ^ u32::from_be_bytes(bytes)
    });
    let id = (record::crc32c(text.as_bytes()) ^ of_client).cast_signed();
    Subscription { id, metrics: metrics.into_iter().collect(), interval_ms }
}

/// The items of a list.
fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl ClientFacts {
    /// Whether the patterns of a subscription are all those of this client: each must fit the whole of what it is about.
    fn is_matched_by(&self, patterns: &str) -> bool {
        items(patterns).all(|pattern| {
            let Some((about, pattern)) = pattern.split_once('=') else { return false };
            // What is no pattern here was refused when it was set, unless it came with a directory of Apache Kafka's.
            let Ok(pattern) = Regex::new(&format!("^(?:{})$", pattern.trim())) else { return false };
            self.fact(about.trim()).is_some_and(|fact| pattern.is_match(&fact))
        })
    }

    fn fact(&self, name: &str) -> Option<String> {
        match name {
            "client_instance_id" => Some(self.instance_id.to_string()),
            "client_id" => self.client_id.clone(),
            "client_software_name" => self.software.as_ref().map(|(name, _)| name.clone()),
            "client_software_version" => self.software.as_ref().map(|(_, version)| version.clone()),
            "client_source_address" => Some(self.peer.ip().to_canonical().to_string()),
            "client_source_port" => Some(self.peer.port().to_string()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ClientFacts {
        ClientFacts {
            instance_id: Uuid::from_bytes([7; 16]),
            client_id: Some("orders-7".into()),
            software: Some(("apache-kafka-java".into(), "4.3.1".into())),
            peer: ([127, 0, 0, 1], 4711).into(),
        }
    }

    fn instance() -> Instance {
        Instance::new(Subscription { id: 5, metrics: vec!["*".into()], interval_ms: 1000 }, 0)
    }

    fn push() -> Push {
        Push { subscription_id: 5, terminating: false, codec: 0, len: 10, len_max: 10 }
    }

    #[test]
    fn all_patterns_have_to_fit_the_whole() {
        let facts = facts();
        for (patterns, fits) in [
            ("", true),
            ("client_id=orders-.*", true),
            ("client_id=orders", false),
            ("client_software_name=.*java, client_source_port=4711", true),
            ("client_software_name=.*java,client_source_address=10\\..*", false),
            ("client_source_address=127\\.0\\.0\\.1", true),
            ("client_id=(", false),
        ] {
            assert_eq!(facts.is_matched_by(patterns), fits, "{patterns}");
        }
    }

    #[test]
    fn pushes_are_checked_in_the_order_of_kafka() {
        use ErrorCode::{
            InvalidRequest, TelemetryTooLarge, ThrottlingQuotaExceeded, UnknownSubscriptionId,
            UnsupportedCompressionType,
        };
        let mut client = instance();
        client.asked_ms = 10_000;
        assert_eq!(client.check(push(), 10_001), Ok(()), "the first may come at once");
        assert_eq!(client.check(push(), 10_500), Err(ThrottlingQuotaExceeded));
        assert_eq!(client.check(Push { terminating: true, ..push() }, 10_600), Ok(()), "the last may come early");
        assert_eq!(client.check(Push { subscription_id: 6, ..push() }, 12_000), Err(UnknownSubscriptionId));
        assert_eq!(client.check(Push { codec: 5, ..push() }, 14_000), Err(UnsupportedCompressionType));
        assert_eq!(client.check(Push { len: 11, ..push() }, 16_000), Err(TelemetryTooLarge));
        client.terminating = true;
        assert_eq!(client.check(push(), 18_000), Err(InvalidRequest));
    }

    #[test]
    fn reserved_ids_are_known() {
        assert!(is_reserved(&Uuid::ZERO) && !is_reserved(&facts().instance_id));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut clients = HashMap::new();
        for nth in 0..CLIENTS_MAX as u128 {
            let client = Instance { expires_ms: 100 + i64::try_from(nth).expect("small"), ..instance() };
            clients.insert(Uuid::from_u128(nth), client);
        }
        make_room(&mut clients, 50);
        assert!(clients.len() < CLIENTS_MAX && !clients.contains_key(&Uuid::from_u128(0)));
    }
}
