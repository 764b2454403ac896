//! ExpireDelegationToken (API key 40, versions 1-2): ends a delegation token.
//!
//! Source: KIP-48.

use bytes::Bytes;

use crate::protocol::message::message;

message! {
    /// Answered by [`ExpireDelegationTokenResponse`].
    request ExpireDelegationTokenRequest -> ExpireDelegationTokenResponse
        (key ExpireDelegationToken, versions 1-2, flexible 2+) {
        hmac:                  Bytes, 0+;
        expiry_time_period_ms: i64,   0+;
    }

    /// Answer to [`ExpireDelegationTokenRequest`].
    response ExpireDelegationTokenResponse (key ExpireDelegationToken, versions 1-2, flexible 2+) {
        error_code:          i16, 0+;
        expiry_timestamp_ms: i64, 0+;
        throttle_time_ms:    i32, 0+;
    }
}
