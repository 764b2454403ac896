//! BrokerHeartbeat (API key 63, versions 0-2): a broker says it is alive, and asks to be unfenced or to shut
//! down.
//!
//! Source: KIP-631.

use crate::protocol::message::message;
use crate::wire::Uuid;

message! {
    /// Answered by [`BrokerHeartbeatResponse`].
    request BrokerHeartbeatRequest -> BrokerHeartbeatResponse
        (key BrokerHeartbeat, versions 0-2, flexible 0+) {
        broker_id:               i32,                      0+;
        broker_epoch:            i64 = -1,                 0+;
        current_metadata_offset: i64,                      0+;
        want_fence:              bool,                     0+;
        want_shut_down:          bool,                     0+;
        offline_log_dirs:        Vec<Uuid>,                1+ tag 0;
        cordoned_log_dirs:       Option<Vec<Uuid>> = None, 2+ tag 1;
    }

    /// Answer to [`BrokerHeartbeatRequest`].
    response BrokerHeartbeatResponse (key BrokerHeartbeat, versions 0-2, flexible 0+) {
        throttle_time_ms: i32,         0+;
        error_code:       i16,         0+;
        is_caught_up:     bool,        0+;
        is_fenced:        bool = true, 0+;
        should_shut_down: bool,        0+;
    }
}
