//! CreatePartitions (API key 37, versions 0-3): adds partitions to topics.
//!
//! Source: KIP-195; by version: 3 KIP-599.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`CreatePartitionsResponse`].
    request CreatePartitionsRequest -> CreatePartitionsResponse
        (key CreatePartitions, versions 0-3, flexible 2+) {
        topics:        Vec<CreatePartitionsTopic>, 0+;
        timeout_ms:    i32,                        0+;
        validate_only: bool,                       0+;
    }

    /// In `CreatePartitionsRequest::topics`.
    struct CreatePartitionsTopic {
        name:        KafkaString,                             0+;
        count:       i32,                                     0+;
        assignments: Option<Vec<CreatePartitionsAssignment>>, 0+;
    }

    /// In `CreatePartitionsTopic::assignments`.
    struct CreatePartitionsAssignment {
        broker_ids: Vec<i32>, 0+;
    }

    /// Answer to [`CreatePartitionsRequest`].
    response CreatePartitionsResponse (key CreatePartitions, versions 0-3, flexible 2+) {
        throttle_time_ms: i32,                              0+;
        results:          Vec<CreatePartitionsTopicResult>, 0+;
    }

    /// In `CreatePartitionsResponse::results`.
    struct CreatePartitionsTopicResult {
        name:          KafkaString,                0+;
        error_code:    i16,                        0+;
        error_message: Option<KafkaString> = None, 0+;
    }
}
