//! WriteTxnMarkers (API key 27, versions 1-2): a transaction coordinator has the outcome written into
//! partitions.
//!
//! Source: KIP-98; by version: 2 KIP-1228.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`WriteTxnMarkersResponse`].
    request WriteTxnMarkersRequest -> WriteTxnMarkersResponse
        (key WriteTxnMarkers, versions 1-2, flexible 1+) {
        markers: Vec<WritableTxnMarker>, 0+;
    }

    /// In `WriteTxnMarkersRequest::markers`.
    struct WritableTxnMarker {
        producer_id:         i64,                         0+;
        producer_epoch:      i16,                         0+;
        transaction_result:  bool,                        0+;
        topics:              Vec<WritableTxnMarkerTopic>, 0+;
        coordinator_epoch:   i32,                         0+;
        transaction_version: i8,                          2+, ignorable;
    }

    /// In `WritableTxnMarker::topics`.
    struct WritableTxnMarkerTopic {
        name:              KafkaString, 0+;
        partition_indexes: Vec<i32>,    0+;
    }

    /// Answer to [`WriteTxnMarkersRequest`].
    response WriteTxnMarkersResponse (key WriteTxnMarkers, versions 1-2, flexible 1+) {
        markers: Vec<WritableTxnMarkerResult>, 0+;
    }

    /// In `WriteTxnMarkersResponse::markers`.
    struct WritableTxnMarkerResult {
        producer_id: i64,                               0+;
        topics:      Vec<WritableTxnMarkerTopicResult>, 0+;
    }

    /// In `WritableTxnMarkerResult::topics`.
    struct WritableTxnMarkerTopicResult {
        name:       KafkaString,                           0+;
        partitions: Vec<WritableTxnMarkerPartitionResult>, 0+;
    }

    /// In `WritableTxnMarkerTopicResult::partitions`.
    struct WritableTxnMarkerPartitionResult {
        partition_index: i32, 0+;
        error_code:      i16, 0+;
    }
}
