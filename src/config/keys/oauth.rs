//! Rows: OAuth bearer tokens. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Between, Items, OneOfAnyCase};
use super::super::key::Support::{NoMeaning, NotYet};
use super::super::key::Type::{Bool, Class, Int, List, Long, Password, Str};
use super::super::key::Update::ReadOnly;
use super::super::key::{ANY, Key, NULL, key};
use super::reasons::{JAVA, OAUTH};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("sasl.oauthbearer.assertion.algorithm", Str, "RS256", OneOfAnyCase(&["ES256", "RS256"]), ReadOnly, NotYet(OAUTH), "signature of the assertion that asks for a token"),
    key("sasl.oauthbearer.assertion.claim.aud", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "audience in that assertion"),
    key("sasl.oauthbearer.assertion.claim.exp.seconds", Int, "300", Between(0, 86400), ReadOnly, NotYet(OAUTH), "seconds until that assertion expires"),
    key("sasl.oauthbearer.assertion.claim.iss", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "issuer in that assertion"),
    key("sasl.oauthbearer.assertion.claim.jti.include", Bool, "false", Any, ReadOnly, NotYet(OAUTH), "that assertion gets a unique id"),
    key("sasl.oauthbearer.assertion.claim.nbf.seconds", Int, "60", Between(0, 3600), ReadOnly, NotYet(OAUTH), "seconds before now from which that assertion holds"),
    key("sasl.oauthbearer.assertion.claim.sub", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "subject in that assertion"),
    key("sasl.oauthbearer.assertion.file", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "file with a ready assertion"),
    key("sasl.oauthbearer.assertion.private.key.file", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "file with the key that signs the assertion"),
    key("sasl.oauthbearer.assertion.private.key.passphrase", Password, NULL, Any, ReadOnly, NotYet(OAUTH), "passphrase of that key"),
    key("sasl.oauthbearer.assertion.template.file", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "file with fixed parts of the assertion"),
    key("sasl.oauthbearer.client.credentials.client.id", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "client id at the identity provider"),
    key("sasl.oauthbearer.client.credentials.client.secret", Password, NULL, Any, ReadOnly, NotYet(OAUTH), "client secret at the identity provider"),
    key("sasl.oauthbearer.clock.skew.seconds", Int, "30", Any, ReadOnly, NotYet(OAUTH), "how far clocks may differ when a token is checked"),
    key("sasl.oauthbearer.expected.audience", List, "", Items(ANY), ReadOnly, NotYet(OAUTH), "audiences of which a token must name one"),
    key("sasl.oauthbearer.expected.issuer", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "issuer that a token must name"),
    key("sasl.oauthbearer.jwks.endpoint.refresh.ms", Long, "3600000", Any, ReadOnly, NotYet(OAUTH), "how often the issuer's keys are read again"),
    key("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Long, "10000", Any, ReadOnly, NotYet(OAUTH), "longest wait before the keys are asked for again"),
    key("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Long, "100", Any, ReadOnly, NotYet(OAUTH), "first wait before the keys are asked for again"),
    key("sasl.oauthbearer.jwks.endpoint.url", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "where the issuer's keys are"),
    key("sasl.oauthbearer.jwt.retriever.class", Class, "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Any, ReadOnly, NoMeaning(JAVA), "gets tokens"),
    key("sasl.oauthbearer.jwt.validator.class", Class, "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Any, ReadOnly, NoMeaning(JAVA), "checks tokens"),
    key("sasl.oauthbearer.scope", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "scope that is asked for"),
    key("sasl.oauthbearer.scope.claim.name", Str, "scope", Any, ReadOnly, NotYet(OAUTH), "claim that holds the scope"),
    key("sasl.oauthbearer.sub.claim.name", Str, "sub", Any, ReadOnly, NotYet(OAUTH), "claim that holds the subject"),
    key("sasl.oauthbearer.token.endpoint.url", Str, NULL, Any, ReadOnly, NotYet(OAUTH), "where tokens are got"),
];
