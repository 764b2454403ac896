//! What a broker says of itself, and in what the brokers of a comparison differ: so that a reader can judge it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Kind, Target, apache_kafka, foreign};
use crate::bench::probe::{io_backend, mount_of};
use crate::bench::results::FairnessRow;
use crate::client::{Client, ClientError, ConfigResource};
use crate::protocol::api_versions::ApiVersionsResponse;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The key that only a Millrace has.
const DURABILITY: &str = "acks.all.durability";
/// Kafka's number of "nobody has set this" among the sources of a value.
const DEFAULT_SOURCE: i8 = 5;
/// What must differ between two brokers on one machine and says nothing.
const ADDRESSES: &[&str] = &[
    "advertised.listeners",
    "broker.id",
    "cluster.id",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "listeners",
    "log.dir",
    "log.dirs",
    "metadata.log.dir",
    "millrace.http.listener",
    "millrace.tail.dir",
    "node.id",
];

/// What a broker answered.
#[derive(Debug, Default)]
pub(super) struct Said {
    features: BTreeMap<String, i16>,
    produce_max: Option<i16>,
    /// Values by key, and whether somebody has set them.
    configs: BTreeMap<String, (String, bool)>,
}

/// Asks a broker; what it does not answer stays empty.
pub(super) fn ask(target: &Target) -> Said {
    if target.server.is_some() {
        return Said::default();
    }
    let Ok(mut client) = target.client(PATIENCE) else { return Said::default() };
    let mut said = Said::default();
    if let Ok(connection) = client.any_connection() {
        said.hear(connection.announced());
    }
    if let Ok(configs) = configs(&mut client) {
        said.configs = configs;
    }
    said
}

impl Said {
    fn hear(&mut self, announced: &ApiVersionsResponse) {
        let levels = announced.finalized_features.iter();
        self.features = levels.map(|feature| (feature.name.to_string(), feature.max_version_level)).collect();
        self.produce_max = announced.api_keys.iter().find(|api| api.api_key == 0).map(|api| api.max_version);
    }

    fn config(&self, key: &str) -> Option<&str> {
        self.configs.get(key).map(|(value, _)| value.as_str())
    }

    /// Whether only a Millrace talks like this.
    fn is_millrace(&self) -> bool {
        self.configs.contains_key(DURABILITY)
    }
}

fn configs(client: &mut Client) -> Result<BTreeMap<String, (String, bool)>, ClientError> {
    let Some(id) = client.brokers()?.keys().next().copied() else { return Ok(BTreeMap::new()) };
    let resource = ConfigResource { kind: ConfigResource::BROKER, name: id.to_string() };
    let answers = client.describe_configs(&[resource], false)?;
    let values = answers.into_iter().flat_map(|(_, values)| values).filter(|value| !value.is_sensitive);
    let row = |value: crate::protocol::describe_configs::DescribeConfigsResourceResult| {
        let text = value.value.as_deref().unwrap_or_default().to_owned();
        (value.name.to_string(), (text, value.config_source != DEFAULT_SOURCE))
    };
    Ok(values.map(row).collect())
}

/// Its version, as far as it can be known.
pub(super) fn version(target: &Target, said: &Said) -> String {
    if let Some(server) = &target.server {
        return server.version();
    }
    match target.kind {
        Kind::Millrace => env!("CARGO_PKG_VERSION").to_owned(),
        Kind::ApacheKafka => apache_kafka::VERSION.to_owned(),
        Kind::Address | Kind::Foreign(_) => {
            let mut words = Vec::new();
            if said.is_millrace() {
                words.push("a Millrace".to_owned());
            }
            words.extend(said.features.get("metadata.version").map(|level| format!("metadata.version {level}")));
            words.extend(said.produce_max.map(|version| format!("Produce up to version {version}")));
            if words.is_empty() { "unknown".to_owned() } else { words.join(", ") }
        }
    }
}

/// What an acknowledgement promises there, by `acks`.
pub(super) fn acknowledgement(target: &Target, said: &Said) -> BTreeMap<String, String> {
    target.server.as_ref().map_or_else(|| of_kafka(target.kind, said), foreign::Server::acknowledgement)
}

fn of_kafka(kind: Kind, said: &Said) -> BTreeMap<String, String> {
    let is_millrace = kind == Kind::Millrace || said.is_millrace();
    let (one, all) = if is_millrace {
        let one = "in the leader's shared memory: survives kill -9, not a power cut";
        let all = match said.config(DURABILITY) {
            Some("memory") => {
                "in the memory of every in-sync replica: survives kill -9, not a power cut of all of them"
            }
            _ => "on the device of the leader and with every in-sync replica (group commit): survives a power cut",
        };
        (one, all)
    } else if flushes_each_batch(said) {
        (
            "on the device of the leader (log.flush.interval.messages=1)",
            "on the device of every in-sync replica (log.flush.interval.messages=1)",
        )
    } else if kind == Kind::ApacheKafka || !said.configs.is_empty() {
        (
            "in the leader's page cache: survives kill -9, not a power cut",
            "in the page cache of every in-sync replica: survives kill -9, not a power cut of all of them",
        )
    } else {
        ("written by the leader, as far as it says", "written by every in-sync replica, as far as the broker says")
    };
    let zero = "nothing: the client does not wait for an answer";
    [("0", zero), ("1", one), ("all", all)].map(|(acks, text)| (acks.to_owned(), text.to_owned())).into()
}

fn flushes_each_batch(said: &Said) -> bool {
    said.config("log.flush.interval.messages") == Some("1")
}

fn flush_policy(target: &Target, said: &Said) -> String {
    target.server.as_ref().map_or_else(|| kafkas_flush_policy(said), |server| server.flush_policy().to_owned())
}

fn kafkas_flush_policy(said: &Said) -> String {
    let mut words = Vec::new();
    words.extend(said.config(DURABILITY).map(|value| format!("{DURABILITY}={value}")));
    for key in ["log.flush.interval.messages", "log.flush.interval.ms", "millrace.tail.flush.ms"] {
        let never = |value: &&str| !value.is_empty() && *value != i64::MAX.to_string() && *value != "null";
        words.extend(said.config(key).filter(never).map(|value| format!("{key}={value}")));
    }
    if words.is_empty() { "left to the operating system".to_owned() } else { words.join(", ") }
}

/// The manifest: what every broker is, and each setting in which they differ (of a single one: each that somebody has set).
pub fn fairness(targets: &[&Target]) -> Vec<FairnessRow> {
    let said: Vec<Said> = targets.iter().map(|target| ask(target)).collect();
    let row = |what: &str, value: &dyn Fn(&Target, &Said) -> String| FairnessRow {
        what: what.to_owned(),
        values: targets.iter().zip(&said).map(|(target, said)| (target.name.clone(), value(target, said))).collect(),
    };
    let mut rows = vec![
        row("version", &version),
        row("acks=1", &|target, said| acknowledgement(target, said)["1"].clone()),
        row("acks=all", &|target, said| acknowledgement(target, said)["all"].clone()),
        row("flush policy", &flush_policy),
        row("memory", &memory),
        row("cores", &|target, _| cores(target)),
        row("file system", &|target, _| file_system(target)),
    ];
    let works_with: Vec<Option<String>> = targets.iter().map(|target| works_with(target)).collect();
    if works_with.iter().any(Option::is_some) {
        let values = targets
            .iter()
            .zip(&works_with)
            .map(|(target, words)| (target.name.clone(), words.clone().unwrap_or_else(|| "unknown".to_owned())));
        rows.push(FairnessRow { what: "works with".to_owned(), values: values.collect() });
    }
    if targets.iter().any(|target| target.server.is_some()) {
        let system = |target: &Target| target.server.as_ref().map(|server| server.system);
        rows.extend(foreign::rows().map(|(what, value)| row(what, &|target, _| value(system(target)).to_owned())));
    }
    let differing = differing_keys(&said);
    rows.extend(differing.iter().map(|key| {
        row(key, &|_, said| said.config(key).map_or_else(|| "has no such setting".to_owned(), |value| value.to_owned()))
    }));
    rows
}

fn differing_keys(said: &[Said]) -> Vec<String> {
    // Who does not answer the question differs in nothing that is known.
    let said: Vec<&Said> = said.iter().filter(|said| !said.configs.is_empty()).collect();
    let keys: BTreeSet<&String> = said.iter().flat_map(|said| said.configs.keys()).collect();
    let differs = |key: &str| {
        let (first, rest) = said.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
        let Some(first) = first else { return false };
        if rest.is_empty() {
            return first.configs.get(key).is_some_and(|(_, is_set)| *is_set);
        }
        rest.iter().any(|other| other.config(key) != first.config(key))
    };
    let telling = keys.into_iter().filter(|key| !ADDRESSES.contains(&key.as_str()) && differs(key));
    telling.cloned().collect()
}

/// What a Millrace runs on, which `millrace.io=auto` leaves to the machine.
fn works_with(target: &Target) -> Option<String> {
    let backend = io_backend(target.http?).ok()??;
    Some(match backend.as_str() {
        "uring" => "io_uring".to_owned(),
        "epoll" => "epoll and threads".to_owned(),
        _ => backend,
    })
}

fn memory(target: &Target, said: &Said) -> String {
    if let Some(server) = &target.server {
        return server.memory();
    }
    if let Some(heap) = target.own.as_ref().and_then(|own| own.heap.as_ref()) {
        return format!("heap of {heap}, and the page cache");
    }
    match said.config("millrace.tail.bytes") {
        Some("0") => "tail memory of 1/32 of the machine's, within 64 MiB and 2 GiB, and the page cache".to_owned(),
        Some(bytes) => format!("tail memory of {bytes} bytes, and the page cache"),
        None => "unknown".to_owned(),
    }
}

fn cores(target: &Target) -> String {
    match (&target.own, target.cores()) {
        (None, _) => "unknown".to_owned(),
        (Some(_), []) => "all, shared with the clients".to_owned(),
        (Some(_), cores) => cores.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
    }
}

fn file_system(target: &Target) -> String {
    let mount = target.own.as_ref().and_then(|own| mount_of(own.home.dir()).ok());
    mount
        .map_or_else(|| "unknown".to_owned(), |mount| format!("{} on {} ({})", mount.kind, mount.source, mount.options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(configs: &[(&str, &str, bool)]) -> Said {
        let row = |(key, value, is_set): &(&str, &str, bool)| ((*key).to_owned(), ((*value).to_owned(), *is_set));
        Said { configs: configs.iter().map(row).collect(), ..Said::default() }
    }

    #[test]
    fn a_promise_is_what_the_settings_make_of_it() {
        let all = |kind, said: &Said| of_kafka(kind, said)["all"].clone();
        assert!(all(Kind::Millrace, &said(&[])).contains("survives a power cut"));
        assert!(all(Kind::Address, &said(&[(DURABILITY, "memory", true)])).contains("not a power cut"));
        assert!(all(Kind::ApacheKafka, &said(&[])).contains("page cache"));
        let flushed = said(&[("log.flush.interval.messages", "1", true)]);
        assert!(all(Kind::Address, &flushed).contains("on the device"));
        assert!(all(Kind::Address, &Said::default()).contains("as far as the broker says"));
    }

    #[test]
    fn differing_keys_are_those_that_tell() {
        let ours = said(&[("node.id", "1", true), ("num.io.threads", "8", false), (DURABILITY, "device", false)]);
        let theirs = said(&[("node.id", "2", true), ("num.io.threads", "16", true), ("same", "x", true)]);
        assert_eq!(differing_keys(&[ours, theirs]), [DURABILITY, "num.io.threads", "same"]);
        let alone = said(&[("node.id", "1", true), ("num.io.threads", "8", false), ("log.retention.ms", "5", true)]);
        assert_eq!(differing_keys(&[alone, Said::default()]), ["log.retention.ms"]);
    }

    #[test]
    fn flush_policies_read_as_settings() {
        assert_eq!(
            kafkas_flush_policy(&said(&[("log.flush.interval.messages", "9223372036854775807", false)])),
            "left to the operating system"
        );
        assert_eq!(kafkas_flush_policy(&said(&[(DURABILITY, "device", false)])), "acks.all.durability=device");
    }
}
