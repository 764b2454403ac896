//! DescribeProducers (API key 61, versions 0): lists the active producers of partitions.
//!
//! Source: KIP-664.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeProducersResponse`].
    request DescribeProducersRequest -> DescribeProducersResponse
        (key DescribeProducers, versions 0, flexible 0+) {
        topics: Vec<TopicRequest>, 0+;
    }

    /// In `DescribeProducersRequest::topics`.
    struct TopicRequest {
        name:              KafkaString, 0+;
        partition_indexes: Vec<i32>,    0+;
    }

    /// Answer to [`DescribeProducersRequest`].
    response DescribeProducersResponse (key DescribeProducers, versions 0, flexible 0+) {
        throttle_time_ms: i32,                0+;
        topics:           Vec<TopicResponse>, 0+;
    }

    /// In `DescribeProducersResponse::topics`.
    struct TopicResponse {
        name:       KafkaString,            0+;
        partitions: Vec<PartitionResponse>, 0+;
    }

    /// In `TopicResponse::partitions`.
    struct PartitionResponse {
        partition_index:  i32,                        0+;
        error_code:       i16,                        0+;
        error_message:    Option<KafkaString> = None, 0+;
        active_producers: Vec<ProducerState>,         0+;
    }

    /// In `PartitionResponse::active_producers`.
    struct ProducerState {
        producer_id:              i64,      0+;
        producer_epoch:           i32,      0+;
        last_sequence:            i32 = -1, 0+;
        last_timestamp:           i64 = -1, 0+;
        coordinator_epoch:        i32,      0+;
        current_txn_start_offset: i64 = -1, 0+;
    }
}
