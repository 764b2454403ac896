//! Rows: compaction. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Fraction, Min};
use super::super::key::Support::{NoMeaning, Works};
use super::super::key::Type::{Bool, Double, Int, Long};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{Key, key};
use super::reasons::COMPACTION_BUFFERS;

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("log.cleaner.backoff.ms", Long, "15000", Min(0), ClusterWide, Works, "wait when there is nothing to compact"),
    key("log.cleaner.dedupe.buffer.size", Long, "134217728", Any, ClusterWide, Works, "memory for the keys of a compaction"),
    key("log.cleaner.delete.retention.ms", Long, "86400000", Min(0), ClusterWide, Works, "how long tombstones stay"),
    key("log.cleaner.enable", Bool, "true", Any, ReadOnly, Works, "compaction runs"),
    key("log.cleaner.io.buffer.load.factor", Double, "0.9", Any, ClusterWide, Works, "how full the key memory may get"),
    key("log.cleaner.io.buffer.size", Int, "524288", Min(0), ClusterWide, NoMeaning(COMPACTION_BUFFERS), "memory for reading and writing in a compaction"),
    key("log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", Any, ClusterWide, Works, "bound of a compaction's reads and writes"),
    key("log.cleaner.max.compaction.lag.ms", Long, "9223372036854775807", Min(1), ClusterWide, Works, "longest time a record stays uncompacted"),
    key("log.cleaner.min.cleanable.ratio", Double, "0.5", Fraction(1.0), ClusterWide, Works, "share of uncompacted bytes at which a compaction starts"),
    key("log.cleaner.min.compaction.lag.ms", Long, "0", Min(0), ClusterWide, Works, "least time a record stays uncompacted"),
    key("log.cleaner.threads", Int, "1", Min(0), ClusterWide, Works, "compactions at a time"),
];
