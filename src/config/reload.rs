//! The configuration read again while the broker runs (SIGHUP): keys that may change do, the others wait for a restart.

use super::broker::{BrokerConfig, Layers};
use super::dynamic::is_dynamic;
use super::typed::Properties;
use super::value::ConfigError;

/// What there was to change.
#[derive(Clone, Debug)]
pub struct Reload {
    /// The configuration from now on; dynamic values of the cluster stay over it.
    pub config: BrokerConfig,
    /// Keys that have another value now.
    pub changed: Vec<String>,
    /// Keys that have another value where they were read from, which a restart alone brings into force.
    pub need_restart: Vec<String>,
}

impl BrokerConfig {
    /// This configuration with what `statics`, read anew, says of the keys that may change. Nothing changes if they are wrong.
    pub fn reload(&self, statics: Properties) -> Result<Reload, ConfigError> {
        let new = BrokerConfig::new(statics)?.layers.statics;
        let old = &self.layers.statics;
        let mut merged = old.clone();
        let (mut changed, mut need_restart) = (Vec::new(), Vec::new());
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names.into_iter().filter(|name| old.get(*name) != new.get(*name)) {
            if !is_dynamic(name) {
                need_restart.push(name.clone());
                continue;
            }
            changed.push(name.clone());
            match new.get(name) {
                Some(text) => merged.insert(name.clone(), text.clone()),
                None => merged.remove(name),
            };
        }
        let layers = Layers { statics: merged, ..self.layers.clone() };
        Ok(Reload { config: Self::of_layers(layers)?, changed, need_restart })
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::embedded;
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> Properties {
        let mut texts = embedded(9092, "x");
        texts.extend(pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
        texts
    }

    #[test]
    fn keys_that_may_change_do_and_the_others_are_told() {
        let config =
            BrokerConfig::new(texts(&[("log.retention.ms", "5"), ("message.max.bytes", "7000")])).expect("valid");
        let again = texts(&[("log.retention.ms", "6"), ("num.partitions", "9"), ("log.dirs", "y")]);
        let reload = config.reload(again).expect("valid");
        assert_eq!(reload.changed, ["log.retention.ms", "message.max.bytes"]);
        assert_eq!(reload.need_restart, ["log.dirs", "num.partitions"]);
        assert_eq!((reload.config.topic_defaults.retention_ms, reload.config.num_partitions), (6, 1));
        assert_eq!(reload.config.message_max_bytes, 1_048_588, "the default again");
        assert_eq!(reload.config.log_dirs, [std::path::PathBuf::from("x")]);
        let same = reload.config.reload(texts(&[("log.retention.ms", "6")])).expect("valid");
        assert!(same.changed.is_empty() && same.need_restart.is_empty());
    }

    #[test]
    fn wrong_texts_change_nothing() {
        let config = BrokerConfig::new(texts(&[])).expect("valid");
        let error = config.reload(texts(&[("log.retention.ms", "soon")])).expect_err("no number");
        assert!(error.to_string().contains("log.retention.ms"), "{error}");
    }
}
