//! Rows: compaction. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Fraction, Min};
use super::super::key::Support::NotYet;
use super::super::key::Type::{Bool, Double, Int, Long};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{Key, key};
use super::reasons::COMPACTION;

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("log.cleaner.backoff.ms", Long, "15000", Min(0), ClusterWide, NotYet(COMPACTION), "wait when there is nothing to compact"),
    key("log.cleaner.dedupe.buffer.size", Long, "134217728", Any, ClusterWide, NotYet(COMPACTION), "memory for the keys of a compaction"),
    key("log.cleaner.delete.retention.ms", Long, "86400000", Min(0), ClusterWide, NotYet(COMPACTION), "how long tombstones stay"),
    key("log.cleaner.enable", Bool, "true", Any, ReadOnly, NotYet(COMPACTION), "compaction runs"),
    key("log.cleaner.io.buffer.load.factor", Double, "0.9", Any, ClusterWide, NotYet(COMPACTION), "how full the key memory may get"),
    key("log.cleaner.io.buffer.size", Int, "524288", Min(0), ClusterWide, NotYet(COMPACTION), "memory for reading and writing in a compaction"),
    key("log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", Any, ClusterWide, NotYet(COMPACTION), "bound of a compaction's reads and writes"),
    key("log.cleaner.max.compaction.lag.ms", Long, "9223372036854775807", Min(1), ClusterWide, NotYet(COMPACTION), "longest time a record stays uncompacted"),
    key("log.cleaner.min.cleanable.ratio", Double, "0.5", Fraction(1.0), ClusterWide, NotYet(COMPACTION), "share of uncompacted bytes at which a compaction starts"),
    key("log.cleaner.min.compaction.lag.ms", Long, "0", Min(0), ClusterWide, NotYet(COMPACTION), "least time a record stays uncompacted"),
    key("log.cleaner.threads", Int, "1", Min(0), ClusterWide, NotYet(COMPACTION), "compactions at a time"),
];
