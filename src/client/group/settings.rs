//! What the properties of a consumer say of a member, checked as Kafka's consumer does.

use std::time::Duration;

use crate::client::{ClientError, OffsetSpec, Properties};
use crate::wire::KafkaString;

/// The class of the assignor that members of classic groups have here.
const RANGE: &str = "org.apache.kafka.clients.consumer.RangeAssignor";
/// The coordinator decides these in groups of the consumer protocol.
const ONLY_CLASSIC: [&str; 3] = ["heartbeat.interval.ms", "session.timeout.ms", "partition.assignment.strategy"];

/// Settings of a member.
#[derive(Debug)]
pub struct Settings {
    /// Its group.
    pub group_id: KafkaString,
    /// The instance, of a static member.
    pub instance_id: Option<KafkaString>,
    /// The protocol it speaks.
    pub protocol: GroupProtocol,
    /// How long a classic member may be silent.
    pub session_timeout_ms: i32,
    /// How long it may take to give partitions up.
    pub rebalance_timeout_ms: i32,
    /// How often a classic member gives a sign of life.
    pub heartbeat_interval: Duration,
    /// `None`: nothing is committed by itself.
    pub auto_commit: Option<Duration>,
    /// `None`: a partition that the group has not committed is an error.
    pub start: Option<OffsetSpec>,
    /// Whether topics that it wants are made if they are not there.
    pub creates_topics: bool,
    /// `client.rack`.
    pub rack: Option<KafkaString>,
}

/// `group.protocol`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Members join and assign (JoinGroup, SyncGroup).
    Classic,
    /// The coordinator assigns (KIP-848).
    Consumer {
        /// The assignor; `None`: the coordinator's choice.
        assignor: Option<KafkaString>,
    },
}

impl Settings {
    /// Fails on values that Kafka's consumer refuses, and on assignors that are not known here.
    pub fn new(properties: &Properties, start: Option<OffsetSpec>) -> Result<Settings, ClientError> {
        let text =
            |key: &str| properties.get(key).map(str::trim).filter(|text| !text.is_empty()).map(KafkaString::from);
        let is = |key: &str, wanted: &str| properties.get(key).is_some_and(|text| text.trim() == wanted);
        let commit_ms = properties.number("auto.commit.interval.ms", 5000)?;
        Ok(Settings {
            group_id: text("group.id").unwrap_or_default(),
            instance_id: text("group.instance.id"),
            protocol: protocol(properties)?,
            session_timeout_ms: properties.number("session.timeout.ms", 45_000)?,
            rebalance_timeout_ms: properties.number("max.poll.interval.ms", 300_000)?,
            heartbeat_interval: Duration::from_millis(properties.number("heartbeat.interval.ms", 3000)?),
            auto_commit: (!is("enable.auto.commit", "false")).then(|| Duration::from_millis(commit_ms)),
            start,
            creates_topics: !is("allow.auto.create.topics", "false"),
            rack: text("client.rack"),
        })
    }
}

fn protocol(properties: &Properties) -> Result<GroupProtocol, ClientError> {
    let set = |key: &&str| properties.get(key).is_some_and(|text| !text.trim().is_empty());
    let refused =
        |key: &str, protocol: &str| ClientError::Config(format!("{key} cannot be set when group.protocol={protocol}"));
    let assignor = "group.remote.assignor";
    match properties.get("group.protocol").unwrap_or("classic") {
        text if text.eq_ignore_ascii_case("classic") => {
            if set(&assignor) {
                return Err(refused(assignor, "CLASSIC"));
            }
            match properties.get("partition.assignment.strategy") {
                // The first that all members of a group have is taken, so ours may be any of them.
                Some(classes)
                    if set(&"partition.assignment.strategy")
                        && !classes.split(',').any(|class| class.trim() == RANGE) =>
                {
                    Err(ClientError::Config(format!(
                        "partition.assignment.strategy={classes} is not known to this tool: {RANGE} must be among them"
                    )))
                }
                _ => Ok(GroupProtocol::Classic),
            }
        }
        text if text.eq_ignore_ascii_case("consumer") => match ONLY_CLASSIC.iter().find(|key| set(key)) {
            Some(key) => Err(refused(key, "CONSUMER")),
            None => Ok(GroupProtocol::Consumer {
                assignor: properties.get(assignor).filter(|_| set(&assignor)).map(KafkaString::from),
            }),
        },
        other => Err(ClientError::Config(format!(
            "Invalid value {other} for configuration group.protocol: String must be one of (case insensitive): CONSUMER, CLASSIC"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[&str]) -> Result<GroupProtocol, String> {
        let properties = Properties::from_pairs(pairs.iter().copied());
        Settings::new(&properties, None).map(|settings| settings.protocol).map_err(|error| error.to_string())
    }

    #[test]
    fn protocols_are_told_apart_in_any_case() {
        assert_eq!(settings(&[]), Ok(GroupProtocol::Classic));
        assert_eq!(settings(&["group.protocol=Consumer"]), Ok(GroupProtocol::Consumer { assignor: None }));
        let range = GroupProtocol::Consumer { assignor: Some("range".into()) };
        assert_eq!(settings(&["group.protocol=CONSUMER", "group.remote.assignor=range"]), Ok(range));
        assert!(settings(&["group.protocol=streams"]).expect_err("it has a tool of its own").contains("streams"));
    }

    #[test]
    fn settings_of_the_other_protocol_are_refused_by_name() {
        assert_eq!(
            settings(&["group.protocol=consumer", "session.timeout.ms=20000"]),
            Err("session.timeout.ms cannot be set when group.protocol=CONSUMER".to_owned())
        );
        assert_eq!(
            settings(&["group.remote.assignor=range"]),
            Err("group.remote.assignor cannot be set when group.protocol=CLASSIC".to_owned())
        );
    }

    #[test]
    fn range_must_be_among_the_strategies_of_a_classic_member() {
        let strategy = |classes: &str| settings(&[&format!("partition.assignment.strategy={classes}")]);
        let sticky = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        assert_eq!(strategy(&format!("{RANGE},{sticky}")), Ok(GroupProtocol::Classic));
        assert!(strategy(sticky).expect_err("only range is here").contains(RANGE));
    }
}
