//! What DescribeConfigs answers: every key of a resource with its value, where the value comes from and what stands behind it.

use super::broker::BrokerConfig;
use super::dynamic::{broker_key, is_dynamic};
use super::key::{Key, Scope, all, find};
use super::synonyms;
use super::typed::Properties;
use super::value::Value;

/// Where a value comes from; numbers as in `DescribeConfigsResponse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Override of a topic.
    DynamicTopic = 1,
    /// Dynamic value of this broker.
    DynamicBroker = 2,
    /// Dynamic value of all brokers.
    DynamicDefaultBroker = 3,
    /// File, environment or command line.
    StaticBroker = 4,
    /// The table.
    Default = 5,
    /// Client metrics subscription.
    ClientMetrics = 7,
    /// Override of a group.
    Group = 8,
}

impl Source {
    /// The number in the protocol.
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// A value that would hold if the ones before it were taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynonymEntry {
    /// Key that gives it.
    pub name: String,
    /// Its text; absent for sensitive keys.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: Source,
}

/// One key of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub name: String,
    /// Its value; absent when unset or sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// It cannot be changed while the broker runs.
    pub read_only: bool,
    /// The value is never shown.
    pub sensitive: bool,
    /// `DescribeConfigsResponse.ConfigType`, 0 for an unknown key.
    pub kind: i8,
    /// One line for a person.
    pub doc: Option<&'static str>,
    /// This value and the ones behind it, first the one that holds.
    pub synonyms: Vec<SynonymEntry>,
}

/// Which keys are asked for: an absent or empty list means all.
pub type Wanted<'a> = Option<&'a [&'a str]>;

fn is_wanted(wanted: Wanted<'_>, name: &str) -> bool {
    wanted.is_none_or(|names| names.is_empty() || names.contains(&name))
}

impl BrokerConfig {
    /// Entries of a topic with these overrides.
    pub fn describe_topic(&self, overrides: &Properties, wanted: Wanted<'_>) -> Vec<Entry> {
        let known = all(Scope::Topic).filter(|key| !key.is_internal() || overrides.contains_key(key.name));
        let describe = |key: &'static Key| {
            let parsed = overrides.get(key.name).and_then(|text| key.parse(text).ok());
            let own = parsed.as_ref().map(|value| (Source::DynamicTopic, value.to_string()));
            let value = parsed.or_else(|| self.topic_value(key));
            let behind = match synonyms::of_topic(key.name) {
                [first, ..] => self.synonym_entries(first.key, key.is_sensitive()),
                [] => Vec::new(),
            };
            entry(key, value, own, behind)
        };
        known.filter(|key| is_wanted(wanted, key.name)).map(describe).collect()
    }

    /// Entries of this broker.
    pub fn describe_broker(&self, wanted: Wanted<'_>) -> Vec<Entry> {
        let given = self.layers.effective();
        let tabled = all(Scope::Broker).filter(|key| !key.is_internal()).map(|key| key.name);
        let mut names: Vec<&str> = tabled.chain(given.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        let describe = |name: &str| {
            let value = self.value(name).map(Value::to_string).or_else(|| given.get(name).cloned());
            self.broker_entry(name, value, |_| true)
        };
        names.into_iter().filter(|name| is_wanted(wanted, name)).map(describe).collect()
    }

    /// Entries of the dynamic defaults of all brokers; only what is set.
    pub fn describe_broker_defaults(&self, wanted: Wanted<'_>) -> Vec<Entry> {
        let set = self.layers.cluster.iter().filter(|(name, _)| is_wanted(wanted, name));
        let describe = |(name, text): (&String, &String)| {
            self.broker_entry(name, Some(text.clone()), |source| source == Source::DynamicDefaultBroker)
        };
        set.map(describe).collect()
    }

    /// Entries of a group with these overrides.
    pub fn describe_group(&self, overrides: &Properties, wanted: Wanted<'_>) -> Vec<Entry> {
        let describe = |key: &'static Key| {
            let parsed = overrides.get(key.name).and_then(|text| key.parse(text).ok());
            let own = parsed.as_ref().map(|value| (Source::Group, value.to_string()));
            let behind = match synonyms::of_group(key.name) {
                Some(name) => self.synonym_entries(name, false),
                None => table_default(key),
            };
            let value = parsed.or_else(|| self.group_value(key));
            entry(key, value, own, behind)
        };
        all(Scope::Group).filter(|key| is_wanted(wanted, key.name)).map(describe).collect()
    }

    /// The value of a topic key without an override.
    fn topic_value(&self, key: &Key) -> Option<Value> {
        let of_broker = synonyms::of_topic(key.name).iter().find_map(|one| {
            let value = self.value(one.key)?;
            Some(one.unit.convert(value))
        });
        match of_broker {
            Some(Value::Long(ms)) if key.name == "retention.ms" => Some(Value::Long(ms.max(-1))),
            Some(value) => Some(value),
            None => key.default_value(),
        }
    }

    /// The value of a group key without an override.
    pub(super) fn group_value(&self, key: &Key) -> Option<Value> {
        let of_broker = synonyms::of_group(key.name).and_then(|name| self.value(name).cloned());
        of_broker.or_else(|| key.default_value())
    }

    fn broker_entry(&self, name: &str, value: Option<String>, shown: impl Fn(Source) -> bool) -> Entry {
        let key = broker_key(name);
        // What cannot be told apart from a secret is treated as one.
        let sensitive = key.is_none_or(Key::is_sensitive);
        let mut synonyms = self.synonym_entries(name, sensitive);
        synonyms.retain(|synonym| shown(synonym.source));
        Entry {
            name: name.to_owned(),
            value: value.filter(|_| !sensitive),
            source: synonyms.first().map_or(Source::Default, |first| first.source),
            read_only: !is_dynamic(name),
            sensitive,
            kind: key.map_or(0, |key| key.kind.code()),
            doc: key.map(|key| key.doc),
            synonyms,
        }
    }

    /// The texts behind a broker key, by layer, from the first that gives the key itself.
    fn synonym_entries(&self, name: &str, sensitive: bool) -> Vec<SynonymEntry> {
        let names = synonyms::of_broker(name);
        let mut entries = Vec::new();
        let mut add = |name: &str, text: &str, source| {
            let value = (!sensitive).then(|| text.to_owned());
            entries.push(SynonymEntry { name: name.to_owned(), value, source });
        };
        let layers = [
            (&self.layers.broker, Source::DynamicBroker),
            (&self.layers.cluster, Source::DynamicDefaultBroker),
            (&self.layers.statics, Source::StaticBroker),
        ];
        for (layer, source) in layers {
            for name in &names {
                if let Some(text) = layer.get(*name) {
                    add(name, text, source);
                }
            }
        }
        for name in &names {
            if let Some(text) = find(Scope::Broker, name).and_then(Key::default_text) {
                add(name, text, Source::Default);
            }
        }
        let first = entries.iter().position(|entry| entry.name == name).unwrap_or(entries.len());
        entries.split_off(first)
    }
}

/// Entries of a client metrics subscription.
pub fn describe_client_metrics(overrides: &Properties, wanted: Wanted<'_>) -> Vec<Entry> {
    let describe = |key: &'static Key| {
        let parsed = overrides.get(key.name).and_then(|text| key.parse(text).ok());
        let own = parsed.as_ref().map(|value| (Source::ClientMetrics, value.to_string()));
        entry(key, parsed.or_else(|| key.default_value()), own, Vec::new())
    };
    all(Scope::ClientMetrics).filter(|key| is_wanted(wanted, key.name)).map(describe).collect()
}

fn table_default(key: &Key) -> Vec<SynonymEntry> {
    let default = key.default_text().map(|text| SynonymEntry {
        name: key.name.to_owned(),
        value: Some(text.to_owned()),
        source: Source::Default,
    });
    default.into_iter().collect()
}

/// An entry of a topic, group or subscription: its own override first, then what stands behind.
fn entry(key: &'static Key, value: Option<Value>, own: Option<(Source, String)>, behind: Vec<SynonymEntry>) -> Entry {
    let own = own.map(|(source, text)| SynonymEntry { name: key.name.to_owned(), value: Some(text), source });
    let synonyms: Vec<SynonymEntry> = own.into_iter().chain(behind).collect();
    Entry {
        name: key.name.to_owned(),
        value: value.map(|value| value.to_string()).filter(|_| !key.is_sensitive()),
        source: synonyms.first().map_or(Source::Default, |first| first.source),
        read_only: false,
        sensitive: key.is_sensitive(),
        kind: key.kind.code(),
        doc: Some(key.doc),
        synonyms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;

    const FIXTURE: &str = include_str!("testdata/describe.tsv");

    fn texts(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    }

    /// The node that the fixture was read off.
    fn node() -> BrokerConfig {
        let overrides =
            ["controller.quorum.voters=1@127.0.0.1:19393", "advertised.listeners=PLAINTEXT://127.0.0.1:19392"];
        let mut statics = source::embedded(19392, "/var/lib/kafka");
        statics.remove("millrace.http.listener");
        let statics = source::merge([statics, source::from_overrides(overrides).expect("readable")]);
        let cluster = texts(&[
            ("log.segment.bytes", "2097152"),
            ("log.retention.ms", "86400000"),
            ("compression.type", "lz4"),
            ("min.insync.replicas", "1"),
        ]);
        let broker = texts(&[("log.cleaner.threads", "2"), ("log.roll.ms", "7200000")]);
        BrokerConfig::new(statics).expect("valid").with_dynamic(&cluster, &broker)
    }

    fn line(entry: &Entry) -> String {
        let source = |source| match source {
            Source::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Source::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Source::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Source::StaticBroker => "STATIC_BROKER_CONFIG",
            Source::Default => "DEFAULT_CONFIG",
            Source::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Source::Group => "DYNAMIC_GROUP_CONFIG",
        };
        let kind = ["", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"];
        let null = |value: &Option<String>| value.clone().unwrap_or("null".into());
        let synonyms =
            entry.synonyms.iter().map(|one| format!("{}|{}|{}", one.name, null(&one.value), source(one.source)));
        format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}",
            entry.name,
            kind[entry.kind as usize],
            null(&entry.value),
            source(entry.source),
            if entry.read_only { "ro" } else { "rw" },
            if entry.sensitive { "s" } else { "-" },
            synonyms.collect::<Vec<_>>().join(";")
        )
    }

    #[test]
    fn every_entry_is_as_apache_kafka_gives_it() {
        let node = node();
        let set = texts(&[
            ("retention.ms", " 1000"),
            ("cleanup.policy", "compact, delete"),
            ("min.cleanable.dirty.ratio", "0.25"),
        ]);
        let resources = [
            ("topic=plain", node.describe_topic(&Properties::new(), None)),
            ("topic=set", node.describe_topic(&set, None)),
            ("broker=1", node.describe_broker(None)),
            ("broker=", node.describe_broker_defaults(None)),
            ("group=g", node.describe_group(&texts(&[("consumer.session.timeout.ms", "50000")]), None)),
            ("client_metrics=m", describe_client_metrics(&texts(&[("interval.ms", "1000"), ("metrics", "a,b")]), None)),
        ];
        let mut differing = Vec::new();
        for (heading, entries) in resources {
            let section = FIXTURE.split("\n# ").find_map(|part| part.strip_prefix(&format!("{heading}\n")));
            let expected: Vec<&str> = section.expect("the fixture has the section").lines().collect();
            let is_ours = |entry: &&Entry| entry.name.starts_with("millrace.") || entry.name == "acks.all.durability";
            let mut ours: Vec<String> = entries.iter().filter(|entry| !is_ours(entry)).map(line).collect();
            ours.sort();
            let missing = expected.iter().filter(|line| !ours.contains(&(**line).to_owned()));
            differing.extend(missing.map(|line| format!("{heading} Kafka: {line}")));
            let extra = ours.iter().filter(|line| !expected.contains(&line.as_str()));
            differing.extend(extra.map(|line| format!("{heading} ours:  {line}")));
        }
        assert!(differing.is_empty(), "{}", differing.join("\n"));
    }

    #[test]
    fn a_key_list_narrows_and_secrets_stay_hidden() {
        let node = node();
        let entries = node.describe_topic(&Properties::new(), Some(&["retention.ms", "nonsense"]));
        assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["retention.ms"]);
        assert_eq!(node.describe_topic(&Properties::new(), Some(&[])).len(), 34);
        let statics = source::merge([source::embedded(1, "x"), texts(&[("ssl.key.password", "p"), ("nonsense", "n")])]);
        let node = BrokerConfig::new(statics).expect("valid");
        for entry in node.describe_broker(Some(&["ssl.key.password", "nonsense"])) {
            assert!(entry.sensitive && entry.value.is_none() && entry.synonyms[0].value.is_none(), "{entry:?}");
        }
    }
}
