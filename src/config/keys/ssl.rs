//! Rows: TLS. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Items, OneOf};
use super::super::key::Support::{NoMeaning, NotYet};
use super::super::key::Type::{Bool, Class, List, Password, Str};
use super::super::key::Update::{PerBroker, ReadOnly};
use super::super::key::{ANY, Key, NULL, key};
use super::reasons::{JAVA, JAVA_SECURITY, TLS};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("ssl.allow.dn.changes", Bool, "false", Any, ReadOnly, NotYet(TLS), "a reloaded keystore may have another distinguished name"),
    key("ssl.allow.san.changes", Bool, "false", Any, ReadOnly, NotYet(TLS), "a reloaded keystore may have other alternative names"),
    key("ssl.cipher.suites", List, "", Items(ANY), PerBroker, NotYet(TLS), "cipher suites; empty allows all"),
    key("ssl.client.auth", Str, "none", OneOf(&["required", "requested", "none"]), PerBroker, NotYet(TLS), "whether clients must show a certificate: required, requested or none"),
    key("ssl.enabled.protocols", List, "TLSv1.2,TLSv1.3", Items(ANY), PerBroker, NotYet(TLS), "TLS versions that are offered"),
    key("ssl.endpoint.identification.algorithm", Str, "https", Any, PerBroker, NotYet(TLS), "how a peer's certificate is held against its host name; empty does not"),
    key("ssl.engine.factory.class", Class, NULL, Any, PerBroker, NoMeaning(JAVA), "builds TLS engines"),
    key("ssl.key.password", Password, NULL, Any, PerBroker, NotYet(TLS), "password of the private key"),
    key("ssl.keymanager.algorithm", Str, "SunX509", Any, PerBroker, NoMeaning(JAVA_SECURITY), "algorithm of the key manager"),
    key("ssl.keystore.certificate.chain", Password, NULL, Any, PerBroker, NotYet(TLS), "certificate chain as PEM text"),
    key("ssl.keystore.key", Password, NULL, Any, PerBroker, NotYet(TLS), "private key as PEM text"),
    key("ssl.keystore.location", Str, NULL, Any, PerBroker, NotYet(TLS), "file with key and certificates"),
    key("ssl.keystore.password", Password, NULL, Any, PerBroker, NotYet(TLS), "password of that file"),
    key("ssl.keystore.type", Str, "JKS", Any, PerBroker, NotYet(TLS), "format of that file"),
    key("ssl.principal.mapping.rules", Str, "DEFAULT", Any, ReadOnly, NotYet(TLS), "rules that shorten a distinguished name to a principal"),
    key("ssl.protocol", Str, "TLSv1.3", Any, PerBroker, NotYet(TLS), "TLS version that is preferred"),
    key("ssl.provider", Str, NULL, Any, PerBroker, NoMeaning(JAVA_SECURITY), "security provider for TLS"),
    key("ssl.secure.random.implementation", Str, NULL, Any, PerBroker, NoMeaning(JAVA_SECURITY), "random numbers for TLS"),
    key("ssl.trustmanager.algorithm", Str, "PKIX", Any, PerBroker, NoMeaning(JAVA_SECURITY), "algorithm of the trust manager"),
    key("ssl.truststore.certificates", Password, NULL, Any, PerBroker, NotYet(TLS), "trusted certificates as PEM text"),
    key("ssl.truststore.location", Str, NULL, Any, PerBroker, NotYet(TLS), "file with trusted certificates"),
    key("ssl.truststore.password", Password, NULL, Any, PerBroker, NotYet(TLS), "password of that file"),
    key("ssl.truststore.type", Str, "JKS", Any, PerBroker, NotYet(TLS), "format of that file"),
];
