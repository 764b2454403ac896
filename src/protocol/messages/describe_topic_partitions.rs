//! DescribeTopicPartitions (API key 75, versions 0): tells topics and partitions in pages.
//!
//! Source: KIP-966.

use crate::protocol::message::message;
use crate::wire::{KafkaString, Uuid};

message! {
    /// Answered by [`DescribeTopicPartitionsResponse`].
    request DescribeTopicPartitionsRequest -> DescribeTopicPartitionsResponse
        (key DescribeTopicPartitions, versions 0, flexible 0+) {
        topics:                   Vec<TopicRequest>,     0+;
        response_partition_limit: i32 = 2000,            0+;
        cursor:                   Option<Cursor> = None, 0+;
    }

    /// In `DescribeTopicPartitionsRequest::topics`.
    struct TopicRequest {
        name: KafkaString, 0+;
    }

    /// In `DescribeTopicPartitionsRequest::cursor`.
    struct Cursor {
        topic_name:      KafkaString, 0+;
        partition_index: i32,         0+;
    }

    /// Answer to [`DescribeTopicPartitionsRequest`].
    response DescribeTopicPartitionsResponse (key DescribeTopicPartitions, versions 0, flexible 0+) {
        throttle_time_ms: i32,                                                  0+, ignorable;
        topics:           Vec<DescribeTopicPartitionsResponseTopic>,            0+;
        next_cursor:      Option<DescribeTopicPartitionsResponseCursor> = None, 0+;
    }

    /// In `DescribeTopicPartitionsResponse::topics`.
    struct DescribeTopicPartitionsResponseTopic {
        error_code:                  i16,                                           0+;
        name:                        Option<KafkaString>,                           0+;
        topic_id:                    Uuid,                                          0+, ignorable;
        is_internal:                 bool,                                          0+, ignorable;
        partitions:                  Vec<DescribeTopicPartitionsResponsePartition>, 0+;
        topic_authorized_operations: i32 = i32::MIN,                                0+;
    }

    /// In `DescribeTopicPartitionsResponseTopic::partitions`.
    struct DescribeTopicPartitionsResponsePartition {
        error_code:               i16,                     0+;
        partition_index:          i32,                     0+;
        leader_id:                i32,                     0+;
        leader_epoch:             i32 = -1,                0+, ignorable;
        replica_nodes:            Vec<i32>,                0+;
        isr_nodes:                Vec<i32>,                0+;
        eligible_leader_replicas: Option<Vec<i32>> = None, 0+;
        last_known_elr:           Option<Vec<i32>> = None, 0+;
        offline_replicas:         Vec<i32>,                0+, ignorable;
    }

    /// In `DescribeTopicPartitionsResponse::next_cursor`.
    struct DescribeTopicPartitionsResponseCursor {
        topic_name:      KafkaString, 0+;
        partition_index: i32,         0+;
    }
}
