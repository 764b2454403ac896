//! DescribeUserScramCredentials (API key 50, versions 0): lists users' SCRAM mechanisms.
//!
//! Source: KIP-554.

use crate::protocol::message::message;
use crate::wire::KafkaString;

message! {
    /// Answered by [`DescribeUserScramCredentialsResponse`].
    request DescribeUserScramCredentialsRequest -> DescribeUserScramCredentialsResponse
        (key DescribeUserScramCredentials, versions 0, flexible 0+) {
        users: Option<Vec<UserName>>, 0+;
    }

    /// In `DescribeUserScramCredentialsRequest::users`.
    struct UserName {
        name: KafkaString, 0+;
    }

    /// Answer to [`DescribeUserScramCredentialsRequest`].
    response DescribeUserScramCredentialsResponse
        (key DescribeUserScramCredentials, versions 0, flexible 0+) {
        throttle_time_ms: i32,                                     0+;
        error_code:       i16,                                     0+;
        error_message:    Option<KafkaString>,                     0+;
        results:          Vec<DescribeUserScramCredentialsResult>, 0+;
    }

    /// In `DescribeUserScramCredentialsResponse::results`.
    struct DescribeUserScramCredentialsResult {
        user:             KafkaString,         0+;
        error_code:       i16,                 0+;
        error_message:    Option<KafkaString>, 0+;
        credential_infos: Vec<CredentialInfo>, 0+;
    }

    /// In `DescribeUserScramCredentialsResult::credential_infos`.
    struct CredentialInfo {
        mechanism:  i8,  0+;
        iterations: i32, 0+;
    }
}
