//! Heartbeat (API key 12, versions 0-4): a member of a classic group says it is alive.
//!
//! Source: KIP-345.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`HeartbeatResponse`].
    request HeartbeatRequest -> HeartbeatResponse (key Heartbeat, versions 0-4, flexible 4+) {
        group_id:          KafkaString,                0+;
        generation_id:     i32,                        0+;
        member_id:         KafkaString,                0+;
        group_instance_id: Option<KafkaString> = None, 3+;
    }

    /// Answer to [`HeartbeatRequest`].
    response HeartbeatResponse (key Heartbeat, versions 0-4, flexible 4+) {
        throttle_time_ms: i32, 1+, ignorable;
        error_code:       i16, 0+;
    }
}
