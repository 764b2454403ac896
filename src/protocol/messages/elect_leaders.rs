//! ElectLeaders (API key 43, versions 0-2): has partition leaders elected, preferred or unclean.
//!
//! Source: KIP-183, KIP-460; by version: 1 KIP-460.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`ElectLeadersResponse`].
    request ElectLeadersRequest -> ElectLeadersResponse (key ElectLeaders, versions 0-2, flexible 2+) {
        election_type:    i8,                           1+;
        topic_partitions: Option<Vec<TopicPartitions>>, 0+;
        timeout_ms:       i32 = 60000,                  0+;
    }

    /// In `ElectLeadersRequest::topic_partitions`.
    struct TopicPartitions {
        topic:      KafkaString, 0+;
        partitions: Vec<i32>,    0+;
    }

    /// Answer to [`ElectLeadersRequest`].
    response ElectLeadersResponse (key ElectLeaders, versions 0-2, flexible 2+) {
        throttle_time_ms:         i32,                        0+;
        error_code:               i16,                        1+;
        replica_election_results: Vec<ReplicaElectionResult>, 0+;
    }

    /// In `ElectLeadersResponse::replica_election_results`.
    struct ReplicaElectionResult {
        topic:            KafkaString,          0+;
        partition_result: Vec<PartitionResult>, 0+;
    }

    /// In `ReplicaElectionResult::partition_result`.
    struct PartitionResult {
        partition_id:  i32,                 0+;
        error_code:    i16,                 0+;
        error_message: Option<KafkaString>, 0+;
    }
}
