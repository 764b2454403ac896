//! Rules over several keys, which Apache Kafka checks at start and again before a dynamic change.

use std::path::PathBuf;

use super::broker::Roles;
use super::quorum::Voter;
use super::typed::Values;
use super::value::{ConfigError, Value};

fn require(holds: bool, text: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Rule(text())) }
}

/// The quorum's addresses against the roles of this node.
pub(super) fn check_quorum(
    values: &Values,
    roles: Roles,
    voters: &[Voter],
    bootstrap_servers: &[(String, u16)],
) -> Result<(), ConfigError> {
    let node_id: i32 = values.get("node.id");
    require(!voters.is_empty() || !bootstrap_servers.is_empty(), || {
        "If using process.roles, either controller.quorum.bootstrap.servers must contain the set of bootstrap controllers or \
         controller.quorum.voters must contain a parseable set of controllers."
            .into()
    })?;
    let is_voter = voters.iter().any(|voter| voter.id == node_id);
    let ids = || voters.iter().map(|voter| voter.id.to_string()).collect::<Vec<_>>().join(", ");
    if roles.controller {
        return require(voters.is_empty() || is_voter, || {
            format!(
                "If process.roles contains the 'controller' role, the node id {node_id} must be included in the set of voters \
                 controller.quorum.voters=Set({})",
                ids()
            )
        });
    }
    require(!is_voter, || {
        format!(
            "If process.roles contains just the 'broker' role, the node id {node_id} must not be included in the set of voters \
             controller.quorum.voters=Set({})",
            ids()
        )
    })
}

/// Times, sizes and bounds that must fit each other.
pub(super) fn check_broker(values: &Values, log_dirs: &[PathBuf]) -> Result<(), ConfigError> {
    check_log(values, log_dirs)?;
    check_sizes(values)?;
    check_groups(values)
}

fn check_log(values: &Values, log_dirs: &[PathBuf]) -> Result<(), ConfigError> {
    let topic = super::topic::TopicConfig::of_broker(values);
    require(topic.segment_ms >= 1, || "log.roll.ms must be greater than or equal to 1".into())?;
    require(topic.segment_jitter_ms >= 0, || "log.roll.jitter.ms must be greater than or equal to 0".into())?;
    require(topic.retention_ms >= 1 || topic.retention_ms == -1, || {
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1".into()
    })?;
    let cordoned: Vec<String> = values.get("cordoned.log.dirs");
    let is_dir = |text: &str| log_dirs.iter().any(|dir| dir.to_str() == Some(text));
    let missing: Vec<&str> = cordoned.iter().map(String::as_str).filter(|text| *text != "*" && !is_dir(text)).collect();
    require(missing.is_empty(), || {
        let missing = missing.join(", ");
        format!("All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : {missing}")
    })?;
    let threads = i64::from(values.get::<i32>("log.cleaner.threads"));
    require(threads > 0, || "log.cleaner.threads must be at least 1".into())?;
    require(values.get::<i64>("log.cleaner.dedupe.buffer.size") / threads > 1024 * 1024, || {
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.".into()
    })
}

fn check_sizes(values: &Values) -> Result<(), ConfigError> {
    let int = |key: &str| i64::from(values.get::<i32>(key));
    require(int("replica.fetch.wait.max.ms") <= int("replica.socket.timeout.ms"), || {
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket timeouts"
            .into()
    })?;
    require(int("replica.fetch.wait.max.ms") <= values.get::<i64>("replica.lag.time.max.ms"), || {
        "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in \
         ISR"
        .into()
    })?;
    let queued: i64 = values.get("queued.max.request.bytes");
    require(queued <= 0 || queued >= int("socket.request.max.bytes"), || {
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes".into()
    })?;
    let overrides: String = values.get("max.connections.per.ip.overrides");
    require(int("max.connections.per.ip") != 0 || !overrides.is_empty(), || {
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.".into()
    })?;
    let idle: i64 = values.get("connections.max.idle.ms");
    let delay = int("connection.failed.authentication.delay.ms");
    require(idle < 0 || delay < idle, || {
        format!(
            "connection.failed.authentication.delay.ms={delay} should always be less than connections.max.idle.ms={idle} to \
             prevent failed authentication responses from timing out"
        )
    })?;
    let codec = int("offsets.topic.compression.codec");
    require((0..=4).contains(&codec), || format!("Unknown compression type id: {codec}"))
}

/// `(kind, what)` such that `group.<kind>.<what>` lies between its `min` and `max` siblings.
const BOUNDED: &[(&str, &str)] = &[
    ("consumer", "heartbeat.interval.ms"),
    ("consumer", "session.timeout.ms"),
    ("consumer", "assignment.interval.ms"),
    ("share", "heartbeat.interval.ms"),
    ("share", "session.timeout.ms"),
    ("share", "assignment.interval.ms"),
    ("share", "record.lock.duration.ms"),
    ("share", "delivery.count.limit"),
    ("share", "partition.max.record.locks"),
    ("streams", "heartbeat.interval.ms"),
    ("streams", "session.timeout.ms"),
    ("streams", "assignment.interval.ms"),
];

fn check_groups(values: &Values) -> Result<(), ConfigError> {
    let int = |key: &str| values.get::<i32>(key);
    for (kind, what) in BOUNDED {
        let key = format!("group.{kind}.{what}");
        let (min, max) = (format!("group.{kind}.min.{what}"), format!("group.{kind}.max.{what}"));
        require(int(&max) >= int(&min), || format!("{max} must be greater than or equal to {min}"))?;
        require(int(&key) >= int(&min), || format!("{key} must be greater than or equal to {min}"))?;
        require(int(&key) <= int(&max), || format!("{key} must be less than or equal to {max}"))?;
    }
    for kind in ["consumer", "share", "streams"] {
        let (session, heartbeat) =
            (format!("group.{kind}.session.timeout.ms"), format!("group.{kind}.heartbeat.interval.ms"));
        require(int(&session) > int(&heartbeat), || format!("{session} must be greater than {heartbeat}"))?;
    }
    let protocols: Vec<String> = values.get("group.coordinator.rebalance.protocols");
    require(protocols.iter().any(|one| one == "classic"), || {
        "Disabling the 'classic' protocol is not supported.".into()
    })
}

/// The values of a group (`group`, defaults included) within the bounds that the broker sets.
pub(super) fn check_group(group: &Values, broker: &Values) -> Result<(), ConfigError> {
    let number = |values: &Values, key: &str| values.value(key).and_then(Value::as_i64);
    for (kind, what) in BOUNDED {
        let key = format!("{kind}.{what}");
        let (min, max) = (format!("group.{kind}.min.{what}"), format!("group.{kind}.max.{what}"));
        require(number(group, &key) >= number(broker, &min), || {
            format!("{key} must be greater than or equal to {min}")
        })?;
        require(number(group, &key) <= number(broker, &max), || format!("{key} must be less than or equal to {max}"))?;
    }
    let (standby, max) = ("streams.num.standby.replicas", "group.streams.max.standby.replicas");
    require(number(group, standby) <= number(broker, max), || {
        format!("{standby} must be less than or equal to {max}")
    })?;
    for kind in ["consumer", "share", "streams"] {
        let (session, heartbeat) = (format!("{kind}.session.timeout.ms"), format!("{kind}.heartbeat.interval.ms"));
        require(number(group, &session) > number(group, &heartbeat), || {
            format!("{session} must be greater than {heartbeat}")
        })?;
    }
    Ok(())
}
