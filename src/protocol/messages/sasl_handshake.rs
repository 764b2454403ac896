//! SaslHandshake (API key 17, versions 0-1): chooses a SASL mechanism.
//!
//! Source: KIP-43.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`SaslHandshakeResponse`].
    request SaslHandshakeRequest -> SaslHandshakeResponse
        (key SaslHandshake, versions 0-1, flexible never) {
        mechanism: KafkaString, 0+;
    }

    /// Answer to [`SaslHandshakeRequest`].
    response SaslHandshakeResponse (key SaslHandshake, versions 0-1, flexible never) {
        error_code: i16,              0+;
        mechanisms: Vec<KafkaString>, 0+;
    }
}
