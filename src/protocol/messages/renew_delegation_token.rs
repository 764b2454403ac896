//! RenewDelegationToken (API key 39, versions 1-2): renews a delegation token.
//!
//! Source: KIP-48.

use bytes::Bytes;

use crate::protocol::message::message;

message! {
    /// Answered by [`RenewDelegationTokenResponse`].
    request RenewDelegationTokenRequest -> RenewDelegationTokenResponse
        (key RenewDelegationToken, versions 1-2, flexible 2+) {
        hmac:            Bytes, 0+;
        renew_period_ms: i64,   0+;
    }

    /// Answer to [`RenewDelegationTokenRequest`].
    response RenewDelegationTokenResponse (key RenewDelegationToken, versions 1-2, flexible 2+) {
        error_code:          i16, 0+;
        expiry_timestamp_ms: i64, 0+;
        throttle_time_ms:    i32, 0+;
    }
}
