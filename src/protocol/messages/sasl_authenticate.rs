//! SaslAuthenticate (API key 36, versions 0-2): carries one step of a SASL exchange.
//!
//! Source: KIP-152, KIP-368 (re-authentication).

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`SaslAuthenticateResponse`].
    request SaslAuthenticateRequest -> SaslAuthenticateResponse
        (key SaslAuthenticate, versions 0-2, flexible 2+) {
        auth_bytes: Bytes, 0+;
    }

    /// Answer to [`SaslAuthenticateRequest`].
    response SaslAuthenticateResponse (key SaslAuthenticate, versions 0-2, flexible 2+) {
        error_code:          i16,                 0+;
        error_message:       Option<KafkaString>, 0+;
        auth_bytes:          Bytes,               0+;
        session_lifetime_ms: i64,                 1+, ignorable;
    }
}
