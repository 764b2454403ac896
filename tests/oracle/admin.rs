//! DescribeLogDirs, DescribeQuorum, UpdateFeatures, FindCoordinator.

use millrace::protocol::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use millrace::protocol::describe_quorum::{DescribeQuorumRequest, PartitionData, TopicData};
use millrace::protocol::find_coordinator::FindCoordinatorRequest;
use millrace::protocol::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};

use crate::Oracle;
use crate::produce::{append, batch};

pub fn cases(oracle: &mut Oracle) {
    log_dirs(oracle);
    quorum(oracle);
    features(oracle);
    coordinators(oracle);
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
    // There are no coordinators yet: groups and transactions get COORDINATOR_NOT_AVAILABLE, which clients try again.
    oracle.same("an unknown type", 1..=5, |_, _| find(9, &["g"]));
    oracle.same("a negative type", 1..=5, |_, _| find(-1, &["g"]));
}
