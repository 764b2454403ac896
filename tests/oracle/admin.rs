//! DescribeLogDirs, DescribeQuorum, UpdateFeatures, FindCoordinator, ElectLeaders, reassignments, UnregisterBroker.

use millrace::protocol::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use millrace::protocol::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use millrace::protocol::describe_quorum::{DescribeQuorumRequest, PartitionData, TopicData};
use millrace::protocol::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use millrace::protocol::find_coordinator::FindCoordinatorRequest;
use millrace::protocol::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use millrace::protocol::unregister_broker::UnregisterBrokerRequest;
use millrace::protocol::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};

use crate::produce::{append, batch};
use crate::{Oracle, repeated};

pub fn cases(oracle: &mut Oracle) {
    log_dirs(oracle);
    quorum(oracle);
    features(oracle);
    coordinators(oracle);
    elections(oracle);
    reassignments(oracle);
    unregistration(oracle);
}

fn log_dirs(oracle: &mut Oracle) {
    oracle.both(|peer| {
        peer.create("sized", 2, &[]);
        append(peer, "sized", 0, &batch(10).build());
    });
    let request = |topic: &str, partitions: &[i32]| DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic { topic: topic.into(), partitions: partitions.to_vec() }]),
    };
    oracle.same("one partition", 1..=5, |_, _| request("sized", &[0]));
    oracle.same("an empty partition", 1..=5, |_, _| request("sized", &[1]));
    oracle.same("an unknown partition", 1..=5, |_, _| request("sized", &[9]));
    oracle.same("an unknown topic", 1..=5, |_, _| request("nowhere", &[0]));
    oracle.same("no partitions", 1..=5, |_, _| request("sized", &[]));
    oracle.same("partitions twice, negative and unknown", 1..=5, |_, _| request("sized", &[0, 0, -1, i32::MAX, 1]));
    oracle.same("an invalid name", 1..=5, |_, _| request("a b", &[0]));
    oracle.same("a topic twice, beside an unknown one", 1..=5, |_, _| {
        let one = |name, partitions: &[i32]| request(name, partitions).topics.unwrap_or_default();
        let topics = [one("sized", &[0]), one("nowhere", &[0, 1]), one("sized", &[1])].concat();
        DescribeLogDirsRequest { topics: Some(topics) }
    });
    oracle.same("no topics", 1..=5, |_, _| DescribeLogDirsRequest { topics: Some(Vec::new()) });
}

fn quorum(oracle: &mut Oracle) {
    let request = |topic: &str, partitions: &[i32]| DescribeQuorumRequest {
        topics: vec![TopicData {
            topic_name: topic.into(),
            partitions: partitions.iter().map(|index| PartitionData { partition_index: *index }).collect(),
        }],
    };
    // How long the metadata log is, and how often a leader was elected, is each broker's own.
    let own = ["high_watermark", "log_end_offset", "leader_epoch"];
    oracle.same_except("the metadata quorum", 0..=2, &own, |_, _| request("__cluster_metadata", &[0]));
    oracle.same_except("another partition", 0..=2, &own, |_, _| request("__cluster_metadata", &[1]));
    oracle.same_except("another topic", 0..=2, &own, |_, _| request("sized", &[0]));
    oracle.same_except("two partitions", 0..=2, &own, |_, _| request("__cluster_metadata", &[0, 1]));
    oracle.same_except("a negative partition", 0..=2, &own, |_, _| request("__cluster_metadata", &[-1]));
    oracle.same_except("the topic twice", 0..=2, &own, |_, _| DescribeQuorumRequest {
        topics: repeated(&request("__cluster_metadata", &[0]).topics, 2),
    });
    oracle.same_except("no partitions", 0..=2, &own, |_, _| request("__cluster_metadata", &[]));
    oracle.same_except("nothing", 0..=2, &own, |_, _| DescribeQuorumRequest::default());
}

fn features(oracle: &mut Oracle) {
    let update = |feature: &str, level: i16, upgrade_type: i8| UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: feature.into(),
            max_version_level: level,
            allow_downgrade: upgrade_type > 1,
            upgrade_type,
        }],
        timeout_ms: 10_000,
        validate_only: false,
    };
    oracle.same("an unknown feature", 0..=2, |_, _| update("no.such.feature", 1, 1));
    oracle.same("a level above the supported ones", 0..=2, |_, _| update("metadata.version", 999, 1));
    oracle.same("a level below 0", 0..=2, |_, _| update("group.version", -1, 1));
    oracle.same("the level it has", 0..=2, |_, _| update("group.version", 1, 1));
    oracle.same("a downgrade that wasn't allowed", 0..=2, |_, _| update("transaction.version", 1, 1));
    oracle.same("an empty name", 0..=2, |_, _| update("", 1, 1));
    oracle.same("an unknown kind of update", 1..=2, |_, _| update("group.version", 1, 7));
    oracle.same("nothing", 0..=2, |_, _| UpdateFeaturesRequest::default());
    oracle.same("only checked", 1..=2, |_, _| UpdateFeaturesRequest {
        validate_only: true,
        ..update("no.such.feature", 1, 1)
    });
    for level in [i16::MAX, i16::MIN, 0] {
        for feature in ["group.version", "metadata.version", "kraft.version"] {
            oracle.same(&format!("{feature} to {level}"), 0..=2, |_, _| update(feature, level, 1));
        }
    }
    for upgrade_type in [0, -1, i8::MAX] {
        oracle.same(&format!("kind {upgrade_type} of update"), 1..=2, |_, _| update("group.version", 1, upgrade_type));
    }
    oracle.same("a downgrade to a newer level", 1..=2, |_, _| update("metadata.version", 30, 2));
    oracle.same("a known feature twice", 0..=2, |_, _| {
        let mut request = update("group.version", 9, 1);
        request.feature_updates.extend(update("group.version", 1, 1).feature_updates);
        request
    });
    oracle.same("good beside wrong", 0..=2, |_, _| {
        let mut request = update("group.version", 1, 1);
        request.feature_updates.extend(update("no.such.feature", 1, 1).feature_updates);
        request
    });
    oracle.same("a feature twice", 0..=2, |_, _| {
        let mut request = update("no.such.feature", 1, 1);
        request.feature_updates.extend(update("no.such.feature", 2, 1).feature_updates);
        request
    });
}

fn coordinators(oracle: &mut Oracle) {
    let find = |key_type: i8, keys: &[&str]| FindCoordinatorRequest {
        key: keys.first().copied().unwrap_or_default().into(),
        key_type,
        coordinator_keys: keys.iter().map(|key| (*key).into()).collect(),
    };
    oracle.same("an unknown type", 1..=5, |_, _| find(9, &["g"]));
    oracle.same("a negative type", 1..=5, |_, _| find(-1, &["g"]));
    oracle.same("no keys of an unknown type", 4..=6, |_, _| find(9, &[]));
    oracle.same("no keys", 4..=6, |_, _| find(0, &[]));
    oracle.same("three keys of an unknown type, two of them the same", 4..=6, |_, _| find(i8::MAX, &["g", "h", "g"]));
}

fn elections(oracle: &mut Oracle) {
    let elect = |election_type: i8, topics: &[(&str, &[i32])]| ElectLeadersRequest {
        election_type,
        topic_partitions: Some(
            topics
                .iter()
                .map(|(topic, partitions)| TopicPartitions { topic: (*topic).into(), partitions: partitions.to_vec() })
                .collect(),
        ),
        timeout_ms: 10_000,
    };
    for election_type in [0, 1] {
        oracle.same(&format!("election {election_type}"), 0..=2, |_, _| elect(election_type, &[("sized", &[0, 1])]));
        oracle.same(&format!("election {election_type} of what there isn't"), 0..=2, |_, _| {
            elect(election_type, &[("sized", &[9, -1]), ("nowhere", &[0]), ("a b", &[0])])
        });
    }
    oracle.same("an unknown election", 1..=2, |_, _| elect(2, &[("sized", &[0])]));
    oracle.same("a negative election", 1..=2, |_, _| elect(-1, &[("sized", &[0])]));
    oracle.same("an election of a partition twice", 0..=2, |_, _| elect(0, &[("sized", &[0, 0]), ("sized", &[0])]));
    oracle.same("an election of no partitions", 0..=2, |_, _| elect(0, &[("sized", &[])]));
    oracle.same("an election of nothing", 0..=2, |_, _| elect(0, &[]));
    oracle.same("an election of nothing without time", 0..=2, |_, _| ElectLeadersRequest {
        timeout_ms: 0,
        ..elect(0, &[])
    });
    oracle.same("all elections without time", 0..=2, |_, _| ElectLeadersRequest {
        timeout_ms: 0,
        topic_partitions: None,
        ..elect(0, &[])
    });
    oracle.same("an unknown election without time", 1..=2, |_, _| ElectLeadersRequest {
        timeout_ms: 0,
        ..elect(7, &[("sized", &[0, 0]), ("nowhere", &[0])])
    });
    for timeout_ms in [0, -1] {
        oracle.same(&format!("an election with a timeout of {timeout_ms}"), 0..=2, |_, _| ElectLeadersRequest {
            timeout_ms,
            ..elect(0, &[("sized", &[0])])
        });
    }
}

fn reassignments(oracle: &mut Oracle) {
    let alter = |topic: &str, partitions: &[(i32, Option<&[i32]>)]| AlterPartitionReassignmentsRequest {
        timeout_ms: 10_000,
        allow_replication_factor_change: true,
        topics: vec![ReassignableTopic {
            name: topic.into(),
            partitions: partitions
                .iter()
                .map(|(partition_index, replicas)| ReassignablePartition {
                    partition_index: *partition_index,
                    replicas: replicas.map(<[i32]>::to_vec),
                })
                .collect(),
        }],
    };
    let replicas: [Option<&[i32]>; 6] = [Some(&[1]), Some(&[9]), Some(&[1, 1]), Some(&[]), Some(&[-1]), None];
    for replicas in replicas {
        oracle.same(&format!("a reassignment to {replicas:?}"), 0..=1, |_, _| alter("sized", &[(0, replicas)]));
        oracle.same(&format!("a reassignment of what there isn't to {replicas:?}"), 0..=1, |_, _| {
            let mut request = alter("sized", &[(9, replicas), (-1, replicas)]);
            request.topics.extend(alter("nowhere", &[(0, replicas)]).topics);
            request
        });
    }
    oracle.same("a reassignment without another number of replicas", [1], |_, _| AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: false,
        ..alter("sized", &[(0, Some(&[1])), (1, Some(&[1, 9]))])
    });
    oracle.same("a reassignment of a partition twice", 0..=1, |_, _| alter("sized", &[(0, Some(&[1])), (0, None)]));
    oracle.same("a reassignment of nothing", 0..=1, |_, _| AlterPartitionReassignmentsRequest::default());
    oracle.same("a reassignment of nothing without time", 0..=1, |_, _| AlterPartitionReassignmentsRequest {
        timeout_ms: 0,
        ..Default::default()
    });
    oracle.same("a reassignment of what there isn't without time", 0..=1, |_, _| AlterPartitionReassignmentsRequest {
        timeout_ms: -1,
        allow_replication_factor_change: true,
        ..alter("nowhere", &[(0, Some(&[1])), (0, None)])
    });
    oracle.same("a reassignment without time", 0..=1, |_, _| AlterPartitionReassignmentsRequest {
        timeout_ms: 0,
        ..alter("sized", &[(0, Some(&[1]))])
    });
    let list = |topics: Option<&[(&str, &[i32])]>| ListPartitionReassignmentsRequest {
        timeout_ms: 10_000,
        topics: topics.map(|topics| {
            let topic = |(name, partitions): &(&str, &[i32])| ListPartitionReassignmentsTopics {
                name: (*name).into(),
                partition_indexes: partitions.to_vec(),
            };
            topics.iter().map(topic).collect()
        }),
    };
    oracle.same("all reassignments", [0], |_, _| list(None));
    oracle.same("reassignments of no topics", [0], |_, _| list(Some(&[])));
    oracle.same("reassignments of a topic", [0], |_, _| list(Some(&[("sized", &[0, 9, -1]), ("nowhere", &[0])])));
    oracle.same("reassignments without time", [0], |_, _| ListPartitionReassignmentsRequest {
        timeout_ms: 0,
        ..list(None)
    });
}

fn unregistration(oracle: &mut Oracle) {
    for broker_id in [9, -1, i32::MAX] {
        oracle.same(&format!("unregistering broker {broker_id}"), [0], |_, _| UnregisterBrokerRequest { broker_id });
    }
}
