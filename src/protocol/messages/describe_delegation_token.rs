//! DescribeDelegationToken (API key 41, versions 1-3): lists delegation tokens.
//!
//! Source: KIP-48.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeDelegationTokenResponse`].
    request DescribeDelegationTokenRequest -> DescribeDelegationTokenResponse
        (key DescribeDelegationToken, versions 1-3, flexible 2+) {
        owners: Option<Vec<DescribeDelegationTokenOwner>>, 0+;
    }

    /// In `DescribeDelegationTokenRequest::owners`.
    struct DescribeDelegationTokenOwner {
        principal_type: KafkaString, 0+;
        principal_name: KafkaString, 0+;
    }

    /// Answer to [`DescribeDelegationTokenRequest`].
    response DescribeDelegationTokenResponse (key DescribeDelegationToken, versions 1-3, flexible 2+) {
        error_code:       i16,                           0+;
        tokens:           Vec<DescribedDelegationToken>, 0+;
        throttle_time_ms: i32,                           0+;
    }

    /// In `DescribeDelegationTokenResponse::tokens`.
    struct DescribedDelegationToken {
        principal_type:                 KafkaString,                          0+;
        principal_name:                 KafkaString,                          0+;
        token_requester_principal_type: KafkaString,                          3+;
        token_requester_principal_name: KafkaString,                          3+;
        issue_timestamp:                i64,                                  0+;
        expiry_timestamp:               i64,                                  0+;
        max_timestamp:                  i64,                                  0+;
        token_id:                       KafkaString,                          0+;
        hmac:                           Bytes,                                0+;
        renewers:                       Vec<DescribedDelegationTokenRenewer>, 0+;
    }

    /// In `DescribedDelegationToken::renewers`.
    struct DescribedDelegationTokenRenewer {
        principal_type: KafkaString, 0+;
        principal_name: KafkaString, 0+;
    }
}
