//! Changes while running: what an AlterConfigs or IncrementalAlterConfigs request may do to a broker, a group or a subscription.
//!
//! Topics are in `topic.rs`. Error codes: a refused broker change is `INVALID_REQUEST`, a topic or group change `INVALID_CONFIG`, a
//! client metrics change `INVALID_REQUEST` (`INVALID_CONFIG` for its patterns), as in Apache Kafka.

use super::broker::{BrokerConfig, Layers};
use super::key::Check::Min;
use super::key::Support::NotYet;
use super::key::Type::{List, Long};
use super::key::Update::ClusterWide;
use super::key::{Key, Scope, Update, find, key};
use super::typed::{Properties, Values};
use super::value::{ConfigError, Value};

/// Keys that exist only as dynamic values of brokers; DescribeConfigs shows them when they are set.
#[rustfmt::skip]
pub(super) static DYNAMIC_ONLY: &[Key] = &[
    key("follower.replication.throttled.rate", Long, "9223372036854775807", Min(0), ClusterWide, NotYet("replication between brokers"), "bytes per second that throttled followers may fetch"),
    key("leader.replication.throttled.rate", Long, "9223372036854775807", Min(0), ClusterWide, NotYet("replication between brokers"), "bytes per second that throttled leaders may answer"),
    key("replica.alter.log.dirs.io.max.bytes.per.second", Long, "9223372036854775807", Min(0), ClusterWide, NotYet("moves between log directories"), "bytes per second for moves between log directories"),
];

/// Security keys that change only per listener.
const PER_LISTENER: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Keys that may carry a listener and a SASL mechanism in front.
const PER_MECHANISM: &[&str] = &[
    "connections.max.reauth.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
];

/// Keys of listeners that may also be set for all brokers.
const LISTENER_KEYS_OF_CLUSTER: &[&str] = &["max.connection.creation.rate", "max.connections", "num.network.threads"];

/// Which brokers a dynamic change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of the cluster (resource name "").
    AllBrokers,
    /// The one that checks the change.
    ThisBroker,
}

/// How a request changes one key; numbers as in `IncrementalAlterConfigs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterOperation {
    /// Replaces the value.
    Set = 0,
    /// Takes the override away.
    Delete = 1,
    /// Adds items to a list.
    Append = 2,
    /// Takes items from a list.
    Subtract = 3,
}

impl AlterOperation {
    /// From the number in the protocol.
    pub fn from_code(code: i8) -> Option<AlterOperation> {
        let all = [AlterOperation::Set, AlterOperation::Delete, AlterOperation::Append, AlterOperation::Subtract];
        all.into_iter().find(|operation| *operation as i8 == code)
    }

    /// What a key holds after the change: `current` is its override, `value` the request's. Append and subtract work on lists only
    /// and begin from the table's default when there is no override.
    pub fn apply(
        self,
        scope: Scope,
        name: &str,
        current: Option<&str>,
        value: Option<&str>,
    ) -> Result<Option<String>, ConfigError> {
        let value = value.unwrap_or_default();
        let verb = match self {
            AlterOperation::Set => return Ok(Some(value.to_owned())),
            AlterOperation::Delete => return Ok(None),
            AlterOperation::Append => "APPEND",
            AlterOperation::Subtract => "SUBTRACT",
        };
        let key = if scope == Scope::Broker { broker_key(name) } else { find(scope, name) };
        let Some(key) = key.filter(|key| key.kind == List) else {
            return Err(ConfigError::rule(format!("Can't {verb} to key {name} because its type is not LIST.")));
        };
        let list = |text: &str| -> Vec<String> {
            if text.is_empty() { Vec::new() } else { text.split(',').map(|item| item.trim().to_owned()).collect() }
        };
        let mut items = list(current.or(key.default_text()).unwrap_or_default());
        for item in list(value) {
            match items.iter().position(|one| *one == item) {
                Some(at) if self == AlterOperation::Subtract => drop(items.remove(at)),
                None if self == AlterOperation::Append => items.push(item),
                _ => {}
            }
        }
        Ok(Some(items.join(",")))
    }
}

/// The row of exactly this name, also of keys that are only dynamic.
fn exact_key(name: &str) -> Option<&'static Key> {
    find(Scope::Broker, name).or_else(|| DYNAMIC_ONLY.iter().find(|key| key.name == name))
}

/// The row of a broker key, also behind `listener.name.x.` and a SASL mechanism.
pub(super) fn broker_key(name: &str) -> Option<&'static Key> {
    let base = || without_listener(name).and_then(exact_key);
    let of_mechanism = || {
        without_listener(name)?;
        PER_MECHANISM.iter().find(|key| name.ends_with(*key)).and_then(|key| exact_key(key))
    };
    exact_key(name).or_else(base).or_else(of_mechanism)
}

/// `listener.name.x.some.key` without its first part.
fn without_listener(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("listener.name.")?;
    rest.split_once('.').map(|(_, key)| key)
}

/// True when the key itself, without a listener in front, may change while the broker runs.
pub(super) fn is_dynamic(name: &str) -> bool {
    exact_key(name).is_some_and(|key| key.update != Update::ReadOnly)
}

fn is_per_broker(name: &str) -> bool {
    match without_listener(name) {
        Some(key) => !LISTENER_KEYS_OF_CLUSTER.contains(&key),
        None => find(Scope::Broker, name).is_some_and(|key| key.update == Update::PerBroker),
    }
}

impl BrokerConfig {
    /// Checks the whole set of dynamic values that a change would leave. The error code for a failure is `INVALID_REQUEST`.
    pub fn validate_dynamic(&self, target: Target, values: &Properties) -> Result<(), ConfigError> {
        let refuse = |text: &str, is_bad: &dyn Fn(&str) -> bool| {
            let bad: Vec<&str> = values.keys().map(String::as_str).filter(|name| is_bad(name)).collect();
            if bad.is_empty() { Ok(()) } else { Err(ConfigError::rule(format!("{text}: [{}]", bad.join(", ")))) }
        };
        let is_static = |name: &str| exact_key(name).is_some() && !is_dynamic(name);
        refuse("Cannot update these configs dynamically", &is_static)?;
        refuse(
            "These security configs can be dynamically updated only per-listener using the listener prefix",
            &|name| PER_LISTENER.contains(&name),
        )?;
        for (name, text) in values {
            if let Some(key) = broker_key(name) {
                key.parse(text)?;
            }
        }
        if target == Target::AllBrokers {
            refuse("Cannot update these configs at default cluster level, broker id must be specified", &|name| {
                is_per_broker(name)
            })?;
        }
        let mut layers: Layers = self.layers.clone();
        match target {
            Target::AllBrokers => layers.cluster = values.clone(),
            Target::ThisBroker => layers.broker = values.clone(),
        }
        let changed = BrokerConfig::of_layers(layers)?;
        if changed.listeners != self.listeners {
            return Err(ConfigError::rule(
                "listeners cannot be changed while the broker runs: change them in its configuration and restart it",
            ));
        }
        Ok(())
    }

    /// Checks the whole override set of a group. The error code for a failure is `INVALID_CONFIG`.
    pub fn validate_group(&self, overrides: &Properties) -> Result<(), ConfigError> {
        for name in overrides.keys() {
            if find(Scope::Group, name).is_none() {
                return Err(ConfigError::rule(format!("Unknown group config name: {name}")));
            }
        }
        super::rules::check_group(&Values::read(Scope::Group, overrides)?, &self.values)
    }
}

/// Checks the whole set of a client metrics subscription.
pub fn validate_client_metrics(name: &str, values: &Properties) -> Result<(), ConfigError> {
    const PARAMETERS: [&str; 6] = [
        "client_id",
        "client_instance_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    ];
    if name.is_empty() {
        return Err(ConfigError::rule("Subscription name can't be empty"));
    }
    for (name, text) in values {
        let key = find(Scope::ClientMetrics, name)
            .ok_or_else(|| ConfigError::rule(format!("Unknown client metrics configuration: {name}")))?;
        match key.parse(text)? {
            Value::Int(interval) if !(100..=3_600_000).contains(&interval) => {
                return Err(ConfigError::rule(format!(
                    "Invalid value {interval} for {name}, interval must be between 100 and 3600000 (1 hour)"
                )));
            }
            Value::List(patterns) if name == "match" => {
                for pattern in patterns {
                    let known = pattern.split_once('=').filter(|(parameter, _)| PARAMETERS.contains(&parameter.trim()));
                    let is_pattern = |text: &str| regex::Regex::new(text.trim()).is_ok();
                    if known
                        .is_none_or(|(_, pattern)| pattern.is_empty() || pattern.contains('=') || !is_pattern(pattern))
                    {
                        return Err(ConfigError::rule(format!("Illegal client matching pattern: {pattern}")));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;

    fn node() -> BrokerConfig {
        BrokerConfig::new(source::embedded(9092, "x")).expect("valid")
    }

    fn texts(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    }

    fn answer(result: Result<(), ConfigError>) -> String {
        result.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn changes_are_refused_with_kafkas_words() {
        let cases = include_str!("testdata/changes.tsv").lines().filter(|line| !line.starts_with('#'));
        let node = node();
        for line in cases {
            let mut parts = line.split('\t');
            let mut next = || parts.next().expect("every line has an answer and a kind");
            let (expected, kind) = (next().trim_start_matches('~'), next());
            let values: Properties =
                parts.filter_map(|part| part.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
            let ours = match kind {
                "group" => node.validate_group(&values),
                "broker" => node.validate_dynamic(Target::ThisBroker, &values),
                "brokers" => node.validate_dynamic(Target::AllBrokers, &values),
                other => panic!("unknown kind {other}"),
            };
            assert_eq!(answer(ours), expected, "{line}");
        }
    }

    #[test]
    fn a_change_must_leave_a_broker_that_could_start() {
        let text = |pairs: &[(&str, &str)]| answer(node().validate_dynamic(Target::AllBrokers, &texts(pairs)));
        assert_eq!(text(&[("log.roll.ms", "0")]), "log.roll.ms must be greater than or equal to 1");
        assert_eq!(text(&[("log.roll.ms", "1"), ("millrace.tail.flush.ms", "5")]), "ok");
        let moved = texts(&[("listeners", "PLAINTEXT://:1,CONTROLLER://:2")]);
        assert!(answer(node().validate_dynamic(Target::ThisBroker, &moved)).contains("listeners cannot be changed"));
    }

    #[test]
    fn lists_grow_and_shrink() {
        let apply = |operation: AlterOperation, name, current, value| {
            operation.apply(Scope::Topic, name, current, Some(value)).map(Option::unwrap_or_default)
        };
        let append = AlterOperation::Append;
        assert_eq!(apply(append, "cleanup.policy", None, "compact"), Ok("delete,compact".into()));
        assert_eq!(apply(append, "cleanup.policy", Some("compact"), "compact"), Ok("compact".into()));
        assert_eq!(
            apply(AlterOperation::Subtract, "cleanup.policy", Some("compact,delete"), "delete"),
            Ok("compact".into())
        );
        let refused = apply(append, "retention.ms", None, "1").expect_err("not a list");
        assert_eq!(refused.to_string(), "Can't APPEND to key retention.ms because its type is not LIST.");
        assert_eq!(AlterOperation::from_code(2), Some(append));
        assert_eq!(AlterOperation::from_code(4), None);
    }

    #[test]
    fn subscriptions_are_checked() {
        let text = |pairs: &[(&str, &str)]| answer(validate_client_metrics("s", &texts(pairs)));
        assert_eq!(text(&[("interval.ms", "1000"), ("metrics", "a,b"), ("match", "client_id=a.*")]), "ok");
        assert_eq!(
            text(&[("interval.ms", "5")]),
            "Invalid value 5 for interval.ms, interval must be between 100 and 3600000 (1 hour)"
        );
        assert_eq!(text(&[("match", "x=y")]), "Illegal client matching pattern: x=y");
        assert_eq!(text(&[("x", "y")]), "Unknown client metrics configuration: x");
    }
}
