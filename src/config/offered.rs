//! What a valid configuration asks for and this version cannot give: refused where silence would harm, told where not.

use super::broker::BrokerConfig;
use super::key::{Key, Scope, Support, find};
use super::quorum::split_host_port;
use super::value::ConfigError;

impl BrokerConfig {
    /// Refuses what Apache Kafka would do and Millrace would not, where going on would be unsafe or senseless.
    pub(super) fn check_offered(&self) -> Result<(), ConfigError> {
        let is_true = |key: &str| self.values.get::<bool>(key);
        if !(self.roles.broker && self.roles.controller) {
            return Err(ConfigError::rule(
                "Millrace runs as one combined node yet: set process.roles=broker,controller and \
                 controller.quorum.voters=<node.id>@<host>:<port of the controller listener>",
            ));
        }
        if self.controller_quorum_voters.len() > 1 {
            return Err(ConfigError::rule(
                "controller.quorum.voters names several voters, but Millrace runs as one combined node yet: name only this one",
            ));
        }
        if !self.values.get::<String>("authorizer.class.name").is_empty() {
            return Err(ConfigError::rule(
                "authorizer.class.name is set, but Millrace does not authorize yet and would let everybody do everything: take it \
                 out to accept that",
            ));
        }
        if is_true("remote.log.storage.system.enable") {
            return Err(ConfigError::rule(
                "remote.log.storage.system.enable=true, but Millrace has no tiered storage yet: set it to false",
            ));
        }
        self.http_listener().map(|_| ())
    }

    /// `millrace.http.listener` as host and port; `None` is off.
    pub fn http_listener(&self) -> Result<Option<(String, u16)>, ConfigError> {
        let text = self.millrace_http_listener.as_str();
        if text.is_empty() {
            return Ok(None);
        }
        let (host, port) = split_host_port(text).ok_or_else(|| {
            ConfigError::invalid(
                "millrace.http.listener",
                text,
                "Value must be host:port, e.g. 127.0.0.1:8080, or empty",
            )
        })?;
        Ok(Some((host.to_owned(), port)))
    }

    /// Tells once, at start: unknown keys, keys without meaning here, keys whose work is not built yet.
    pub fn report(&self) {
        for key in self.unknown_keys() {
            tracing::warn!(key, "unknown configuration key, ignored: is it spelled right?");
        }
        let (no_meaning, not_yet) = self.given_without_effect();
        if !no_meaning.is_empty() {
            tracing::info!(keys = no_meaning.join(", "), "configuration keys that have no meaning in millrace");
        }
        if !not_yet.is_empty() {
            tracing::warn!(keys = not_yet.join(", "), "configuration keys that have no effect yet");
        }
    }

    /// Names of given keys without meaning, and of those that wait for something; values that equal the default are no matter.
    fn given_without_effect(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let differs = |key: &&Key| self.value(key.name) != key.default_value().as_ref();
        let given = || self.layers.statics.keys().filter_map(|name| find(Scope::Broker, name)).filter(differs);
        let no_meaning = given().filter(|key| matches!(key.support, Support::NoMeaning(_)));
        let not_yet = given().filter(|key| matches!(key.support, Support::NotYet(_)));
        (no_meaning.map(|key| key.name).collect(), not_yet.map(|key| key.name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source;

    fn node(changes: &[&str]) -> Result<BrokerConfig, ConfigError> {
        let changes = source::from_overrides(changes.iter().copied()).expect("readable");
        BrokerConfig::new(source::merge([source::embedded(9092, "x"), changes]))
    }

    #[test]
    fn what_would_be_unsafe_is_refused() {
        let text = |change| node(&[change]).map(|_| ()).expect_err("refused").to_string();
        assert!(text("authorizer.class.name=x").contains("would let everybody do everything"));
        assert!(text("remote.log.storage.system.enable=true").contains("no tiered storage"));
        assert!(text("controller.quorum.voters=1@a:1,2@b:2").contains("several voters"));
        assert!(text("millrace.http.listener=here").contains("host:port"));
    }

    #[test]
    fn the_http_port_may_be_off() {
        assert_eq!(node(&[]).expect("valid").http_listener(), Ok(Some(("127.0.0.1".into(), 8080))));
        assert_eq!(node(&["millrace.http.listener="]).expect("valid").http_listener(), Ok(None));
    }

    #[test]
    fn keys_without_effect_are_told() {
        let config = node(&["num.io.threads=3", "num.network.threads=3", "num.replica.fetchers=2"]).expect("valid");
        let (no_meaning, not_yet) = config.given_without_effect();
        assert_eq!(no_meaning, ["num.io.threads"], "the other has its default");
        assert!(not_yet.contains(&"num.replica.fetchers"));
    }
}
