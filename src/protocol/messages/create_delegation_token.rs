//! CreateDelegationToken (API key 38, versions 1-3): creates a delegation token.
//!
//! Source: KIP-48.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`CreateDelegationTokenResponse`].
    request CreateDelegationTokenRequest -> CreateDelegationTokenResponse
        (key CreateDelegationToken, versions 1-3, flexible 2+) {
        owner_principal_type: Option<KafkaString>,    3+;
        owner_principal_name: Option<KafkaString>,    3+;
        renewers:             Vec<CreatableRenewers>, 0+;
        max_lifetime_ms:      i64,                    0+;
    }

    /// In `CreateDelegationTokenRequest::renewers`.
    struct CreatableRenewers {
        principal_type: KafkaString, 0+;
        principal_name: KafkaString, 0+;
    }

    /// Answer to [`CreateDelegationTokenRequest`].
    response CreateDelegationTokenResponse (key CreateDelegationToken, versions 1-3, flexible 2+) {
        error_code:                     i16,         0+;
        principal_type:                 KafkaString, 0+;
        principal_name:                 KafkaString, 0+;
        token_requester_principal_type: KafkaString, 3+;
        token_requester_principal_name: KafkaString, 3+;
        issue_timestamp_ms:             i64,         0+;
        expiry_timestamp_ms:            i64,         0+;
        max_timestamp_ms:               i64,         0+;
        token_id:                       KafkaString, 0+;
        hmac:                           Bytes,       0+;
        throttle_time_ms:               i32,         0+;
    }
}
