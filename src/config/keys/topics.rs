//! Rows: topics and their management. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Min};
use super::super::key::Support::{NoMeaning, Works};
use super::super::key::Type::{Bool, Class, Int};
use super::super::key::Update::ReadOnly;
use super::super::key::{Key, NULL, key};
use super::reasons::{JAVA, PURGATORY};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("alter.config.policy.class.name", Class, NULL, Any, ReadOnly, NoMeaning(JAVA), "vets configuration changes"),
    key("auto.create.topics.enable", Bool, "true", Any, ReadOnly, Works, "a topic that a client asks for and that does not exist is created"),
    key("create.topic.policy.class.name", Class, NULL, Any, ReadOnly, NoMeaning(JAVA), "vets new topics"),
    key("delete.records.purgatory.purge.interval.requests", Int, "1", Any, ReadOnly, NoMeaning(PURGATORY), "finished waiting DeleteRecords requests are purged after this many"),
    key("delete.topic.enable", Bool, "true", Any, ReadOnly, Works, "topics may be deleted"),
    key("num.partitions", Int, "1", Min(1), ReadOnly, Works, "partitions of a topic created without a count"),
];
