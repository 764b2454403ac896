//! WriteTxnMarkers (API 27): ends transactions in partitions; for coordinators on other brokers, and for tools that end a
//! transaction whose coordinator has forgotten it (KIP-98, KIP-664, KIP-1228).

use std::rc::Rc;

use crate::coordinator::{Marker, TransactionEnd};
use crate::protocol::ErrorCode;
use crate::protocol::write_txn_markers::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use crate::rt::together::{Step, all};
use crate::server::api::Context;
use crate::server::errors;

/// Serves a WriteTxnMarkers request: it is answered when all markers are durable.
pub async fn handle(context: Rc<Context>, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let nobodys = request.markers.iter().any(|marker| marker.producer_id < 0 || marker.producer_epoch < 0);
    let mut response = WriteTxnMarkersResponse::default();
    for asked in request.markers {
        let producer = (asked.producer_id, asked.producer_epoch);
        let end = if asked.transaction_result { TransactionEnd::Commit } else { TransactionEnd::Abort };
        let marker =
            Marker { end, coordinator_epoch: asked.coordinator_epoch, transaction_version: asked.transaction_version };
        let mut result = WritableTxnMarkerResult { producer_id: asked.producer_id, topics: Vec::new() };
        for topic in asked.topics {
            let steps = topic.partition_indexes.into_iter().map(|index| -> Step<WritableTxnMarkerPartitionResult> {
                let (shard, topic) = (Rc::clone(&context.shard), topic.name.clone());
                Box::pin(async move {
                    // Such a marker can't be written; Apache Kafka, too, refuses all that came with it.
                    if nobodys {
                        let error_code = ErrorCode::UnknownServerError.code();
                        return WritableTxnMarkerPartitionResult { partition_index: index, error_code };
                    }
                    let outcome = shard.write_marker((&topic, index), producer, marker).await;
                    let error_code = outcome.err().map_or(0, |error| errors::marker_code(&error).code());
                    WritableTxnMarkerPartitionResult { partition_index: index, error_code }
                })
            });
            let partitions = all(steps.collect()).await;
            result.topics.push(WritableTxnMarkerTopicResult { name: topic.name, partitions });
        }
        response.markers.push(result);
    }
    response
}
