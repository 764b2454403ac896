//! Envelope (API key 58, versions 0): a broker passes a client's request on to the controller.
//!
//! Source: KIP-590.

use bytes::Bytes;

use crate::protocol::message::message;

message! {
    /// Answered by [`EnvelopeResponse`].
    request EnvelopeRequest -> EnvelopeResponse (key Envelope, versions 0, flexible 0+) {
        request_data:        Bytes,         0+;
        request_principal:   Option<Bytes>, 0+;
        client_host_address: Bytes,         0+;
    }

    /// Answer to [`EnvelopeRequest`].
    response EnvelopeResponse (key Envelope, versions 0, flexible 0+) {
        response_data: Option<Bytes> = None, 0+;
        error_code:    i16,                  0+;
    }
}
