//! DescribeCluster (API key 60, versions 0-2): tells cluster id, controller and nodes.
//!
//! Source: KIP-700, KIP-919 (controllers); by version: 1 KIP-919, 2 KIP-1073.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeClusterResponse`].
    request DescribeClusterRequest -> DescribeClusterResponse
        (key DescribeCluster, versions 0-2, flexible 0+) {
        include_cluster_authorized_operations: bool,   0+;
        endpoint_type:                         i8 = 1, 1+;
        include_fenced_brokers:                bool,   2+;
    }

    /// Answer to [`DescribeClusterRequest`].
    response DescribeClusterResponse (key DescribeCluster, versions 0-2, flexible 0+) {
        throttle_time_ms:              i32,                        0+;
        error_code:                    i16,                        0+;
        error_message:                 Option<KafkaString> = None, 0+;
        endpoint_type:                 i8 = 1,                     1+;
        cluster_id:                    KafkaString,                0+;
        controller_id:                 i32 = -1,                   0+;
        brokers:                       Vec<DescribeClusterBroker>, 0+;
        cluster_authorized_operations: i32 = i32::MIN,             0+;
    }

    /// In `DescribeClusterResponse::brokers`.
    struct DescribeClusterBroker {
        broker_id: i32,                        0+;
        host:      KafkaString,                0+;
        port:      i32,                        0+;
        rack:      Option<KafkaString> = None, 0+;
        is_fenced: bool,                       2+;
    }
}
