//! The hash of topics, and steps of members; the machine as a whole is tested in `group/tests/consumer/`.

mod reconcile;

use super::super::cluster::{ConsumerSettings, TopicFacts};
use super::subscription::topics_hash;
use super::*;

/// Some topics.
struct Topics(Vec<TopicFacts>, Vec<&'static str>);

fn facts(name: &str, id: u128, partition_count: i32) -> TopicFacts {
    TopicFacts { id: Uuid::from_u128(id), name: name.into(), partition_count }
}

impl Cluster for Topics {
    fn version(&self) -> i64 {
        1
    }

    fn topic(&self, name: &str) -> Option<TopicFacts> {
        self.0.iter().find(|topic| topic.name == name).cloned()
    }

    fn topic_name(&self, id: Uuid) -> Option<KafkaString> {
        self.0.iter().find(|topic| topic.id == id).map(|topic| topic.name.clone())
    }

    fn topic_names(&self) -> Vec<KafkaString> {
        self.0.iter().map(|topic| topic.name.clone()).collect()
    }

    fn racks(&self, topic: Uuid, _partition: i32) -> Vec<KafkaString> {
        let has_racks = self.0.last().is_some_and(|last| last.id == topic);
        self.1.iter().filter(|_| has_racks).map(|rack| (*rack).into()).collect()
    }

    fn consumer_settings(&self, _group_id: &str) -> ConsumerSettings {
        ConsumerSettings { session_timeout_ms: 1, heartbeat_interval_ms: 1, assignment_interval_ms: 0 }
    }
}

/// Numbers of Apache Kafka's own hashing library.
#[test]
fn topics_are_hashed_as_kafka_does() {
    let foo = facts("foo", 0x0102_0304_0506_0708_1112_1314_1516_1718, 3);
    let bar = facts("bar", 0xffff_ffff_ffff_ffff_0000_0000_0000_0002, 2);
    let names: Vec<KafkaString> = vec!["foo".into(), "bar".into(), "not there".into()];
    let hash = |cluster: &Topics, names: &[KafkaString]| topics_hash(names.iter(), cluster);
    let alone = Topics(vec![foo.clone()], Vec::new());
    assert_eq!(hash(&alone, &names), -6_477_936_092_594_051_171);
    let both = Topics(vec![foo, bar], vec!["rack-b", "rack-a"]);
    assert_eq!(hash(&both, &names), -6_905_635_653_537_639_216);
    assert_eq!(hash(&both, &names[2..]), 0);
}

impl ConsumerGroup {
    /// All that is on record, as text.
    pub(in crate::coordinator::group) fn persistent(&self) -> String {
        let epochs: BTreeMap<_, _> = self.partition_epochs.iter().collect();
        format!(
            "{:?}",
            (
                (self.epoch, self.metadata_hash, self.assignment_epoch, self.assignment_timestamp_ms),
                (&self.members, &self.targets, epochs, &self.resolved),
                (self.static_members.iter().collect::<BTreeMap<_, _>>(), &self.patterns, &self.assignors),
                (self.names.iter().collect::<BTreeMap<_, _>>(), self.classic_members),
            )
        )
    }
}
