//! Rows: SASL, tokens, authorization. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Items, Min};
use super::super::key::Support::{NoMeaning, NotYet};
use super::super::key::Type::{Class, Double, Int, List, Long, Password, Short, Str};
use super::super::key::Update::{PerBroker, ReadOnly};
use super::super::key::{ANY, Key, NULL, key};
use super::reasons::{ACLS, JAVA, KERBEROS, OAUTH, SASL, TOKENS};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("authorizer.class.name", Str, "", Any, ReadOnly, NotYet(ACLS), "who may do what; empty allows everything"),
    key("delegation.token.expiry.check.interval.ms", Long, "3600000", Min(1), ReadOnly, NotYet(TOKENS), "how often is looked for expired tokens"),
    key("delegation.token.expiry.time.ms", Long, "86400000", Min(1), ReadOnly, NotYet(TOKENS), "a token must be renewed within this time"),
    key("delegation.token.max.lifetime.ms", Long, "604800000", Min(1), ReadOnly, NotYet(TOKENS), "longest life of a token, renewals included"),
    key("delegation.token.secret.key", Password, NULL, Any, ReadOnly, NotYet(TOKENS), "secret that signs tokens, the same on every broker"),
    key("sasl.client.callback.handler.class", Class, NULL, Any, ReadOnly, NoMeaning(JAVA), "answers SASL questions as a client"),
    key("sasl.enabled.mechanisms", List, "GSSAPI", Items(ANY), PerBroker, NotYet(SASL), "SASL mechanisms that are offered"),
    key("sasl.jaas.config", Password, NULL, Any, PerBroker, NotYet(SASL), "logins of a listener and mechanism"),
    key("sasl.kerberos.kinit.cmd", Str, "/usr/bin/kinit", Any, PerBroker, NoMeaning(KERBEROS), "path of kinit"),
    key("sasl.kerberos.min.time.before.relogin", Long, "60000", Any, PerBroker, NoMeaning(KERBEROS), "least time between two logins"),
    key("sasl.kerberos.principal.to.local.rules", List, "DEFAULT", Items(ANY), PerBroker, NoMeaning(KERBEROS), "rules that shorten a Kerberos name to a principal"),
    key("sasl.kerberos.service.name", Str, NULL, Any, PerBroker, NoMeaning(KERBEROS), "Kerberos name of the broker"),
    key("sasl.kerberos.ticket.renew.jitter", Double, "0.05", Any, PerBroker, NoMeaning(KERBEROS), "random part of the renewal time"),
    key("sasl.kerberos.ticket.renew.window.factor", Double, "0.8", Any, PerBroker, NoMeaning(KERBEROS), "share of a ticket's life after which it is renewed"),
    key("sasl.login.callback.handler.class", Class, NULL, Any, ReadOnly, NoMeaning(JAVA), "answers questions of a login"),
    key("sasl.login.class", Class, NULL, Any, ReadOnly, NoMeaning(JAVA), "does the login"),
    key("sasl.login.connect.timeout.ms", Int, NULL, Any, ReadOnly, NotYet(OAUTH), "connect timeout to the identity provider"),
    key("sasl.login.read.timeout.ms", Int, NULL, Any, ReadOnly, NotYet(OAUTH), "read timeout from the identity provider"),
    key("sasl.login.refresh.buffer.seconds", Short, "300", Any, PerBroker, NotYet(OAUTH), "time left on a login when it is refreshed at the latest"),
    key("sasl.login.refresh.min.period.seconds", Short, "60", Any, PerBroker, NotYet(OAUTH), "least time between two refreshes"),
    key("sasl.login.refresh.window.factor", Double, "0.8", Any, PerBroker, NotYet(OAUTH), "share of a login's life after which it is refreshed"),
    key("sasl.login.refresh.window.jitter", Double, "0.05", Any, PerBroker, NotYet(OAUTH), "random part of that time"),
    key("sasl.login.retry.backoff.max.ms", Long, "10000", Any, ReadOnly, NotYet(OAUTH), "longest wait before a failed login is tried again"),
    key("sasl.login.retry.backoff.ms", Long, "100", Any, ReadOnly, NotYet(OAUTH), "first wait before a failed login is tried again"),
    key("sasl.mechanism.controller.protocol", Str, "GSSAPI", Any, ReadOnly, NotYet(SASL), "SASL mechanism towards controllers"),
    key("sasl.mechanism.inter.broker.protocol", Str, "GSSAPI", Any, PerBroker, NotYet(SASL), "SASL mechanism among brokers"),
    key("sasl.server.callback.handler.class", Class, NULL, Any, ReadOnly, NoMeaning(JAVA), "checks SASL answers"),
    key("sasl.server.max.receive.size", Int, "524288", Any, ReadOnly, NotYet(SASL), "longest SASL message before the login is done"),
    key("security.providers", Str, NULL, Any, ReadOnly, NoMeaning(JAVA), "creators of security providers"),
];
