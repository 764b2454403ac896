//! AlterUserScramCredentials (API key 51, versions 0): sets and removes users' SCRAM credentials.
//!
//! Source: KIP-554.

use bytes::Bytes;

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`AlterUserScramCredentialsResponse`].
    request AlterUserScramCredentialsRequest -> AlterUserScramCredentialsResponse
        (key AlterUserScramCredentials, versions 0, flexible 0+) {
        deletions:  Vec<ScramCredentialDeletion>,  0+;
        upsertions: Vec<ScramCredentialUpsertion>, 0+;
    }

    /// In `AlterUserScramCredentialsRequest::deletions`.
    struct ScramCredentialDeletion {
        name:      KafkaString, 0+;
        mechanism: i8,          0+;
    }

    /// In `AlterUserScramCredentialsRequest::upsertions`.
    struct ScramCredentialUpsertion {
        name:            KafkaString, 0+;
        mechanism:       i8,          0+;
        iterations:      i32,         0+;
        salt:            Bytes,       0+;
        salted_password: Bytes,       0+;
    }

    /// Answer to [`AlterUserScramCredentialsRequest`].
    response AlterUserScramCredentialsResponse (key AlterUserScramCredentials, versions 0, flexible 0+) {
        throttle_time_ms: i32,                                  0+;
        results:          Vec<AlterUserScramCredentialsResult>, 0+;
    }

    /// In `AlterUserScramCredentialsResponse::results`.
    struct AlterUserScramCredentialsResult {
        user:          KafkaString,         0+;
        error_code:    i16,                 0+;
        error_message: Option<KafkaString>, 0+;
    }
}
