//! Which broker keys stand behind a topic, group or broker key, in their order of precedence.

/// The unit of a time given by a synonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Same,
    Minutes,
    Hours,
}

/// A broker key that gives the default of a topic key.
#[derive(Debug)]
pub(super) struct Synonym {
    pub(super) key: &'static str,
    pub(super) unit: Unit,
}

const fn same(key: &'static str) -> Synonym {
    Synonym { key, unit: Unit::Same }
}

const fn minutes(key: &'static str) -> Synonym {
    Synonym { key, unit: Unit::Minutes }
}

const fn hours(key: &'static str) -> Synonym {
    Synonym { key, unit: Unit::Hours }
}

/// Topic key to broker keys; the first that has a value wins.
#[rustfmt::skip]
pub(super) static TOPIC_SYNONYMS: &[(&str, &[Synonym])] = &[
    ("acks.all.durability", &[same("acks.all.durability")]),
    ("cleanup.policy", &[same("log.cleanup.policy")]),
    ("compression.gzip.level", &[same("compression.gzip.level")]),
    ("compression.lz4.level", &[same("compression.lz4.level")]),
    ("compression.type", &[same("compression.type")]),
    ("compression.zstd.level", &[same("compression.zstd.level")]),
    ("delete.retention.ms", &[same("log.cleaner.delete.retention.ms")]),
    ("file.delete.delay.ms", &[same("log.segment.delete.delay.ms")]),
    ("flush.messages", &[same("log.flush.interval.messages")]),
    ("flush.ms", &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    ("index.interval.bytes", &[same("log.index.interval.bytes")]),
    ("local.retention.bytes", &[same("log.local.retention.bytes")]),
    ("local.retention.ms", &[same("log.local.retention.ms")]),
    ("max.compaction.lag.ms", &[same("log.cleaner.max.compaction.lag.ms")]),
    ("max.message.bytes", &[same("message.max.bytes")]),
    ("message.timestamp.after.max.ms", &[same("log.message.timestamp.after.max.ms")]),
    ("message.timestamp.before.max.ms", &[same("log.message.timestamp.before.max.ms")]),
    ("message.timestamp.type", &[same("log.message.timestamp.type")]),
    ("min.cleanable.dirty.ratio", &[same("log.cleaner.min.cleanable.ratio")]),
    ("min.compaction.lag.ms", &[same("log.cleaner.min.compaction.lag.ms")]),
    ("min.insync.replicas", &[same("min.insync.replicas")]),
    ("preallocate", &[same("log.preallocate")]),
    ("retention.bytes", &[same("log.retention.bytes")]),
    ("retention.ms", &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")]),
    ("segment.bytes", &[same("log.segment.bytes")]),
    ("segment.index.bytes", &[same("log.index.size.max.bytes")]),
    ("segment.jitter.ms", &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]),
    ("segment.ms", &[same("log.roll.ms"), hours("log.roll.hours")]),
    ("unclean.leader.election.enable", &[same("unclean.leader.election.enable")]),
];

/// The broker keys behind a topic key.
pub(super) fn of_topic(name: &str) -> &'static [Synonym] {
    TOPIC_SYNONYMS.iter().find(|(key, _)| *key == name).map_or(&[], |(_, synonyms)| synonyms)
}

/// The broker key behind a group key.
pub(super) fn of_group(name: &str) -> Option<&'static str> {
    let key = super::key::find(super::key::Scope::Broker, &format!("group.{name}"))?;
    Some(key.name)
}

/// The broker keys that say the same as this one, most precise first, itself included.
pub(super) fn of_broker(name: &str) -> Vec<&str> {
    match name {
        "log.roll.ms" | "log.roll.hours" => vec!["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => vec!["log.roll.jitter.ms", "log.roll.jitter.hours"],
        "log.flush.interval.ms" => vec!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => {
            vec!["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
        }
        name => vec![name],
    }
}
