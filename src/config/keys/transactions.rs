//! Rows: transactions and producers. Columns: key, type, default, check, when it may change, what it does here, one line for a person.

use super::super::key::Check::{Any, Min};
use super::super::key::Support::{NoMeaning, Works};
use super::super::key::Type::{Bool, Int, Short};
use super::super::key::Update::{ClusterWide, ReadOnly};
use super::super::key::{Key, key};
use super::reasons::{PURGATORY, TWO_PHASE};

#[rustfmt::skip]
pub(in crate::config) static KEYS: &[Key] = &[
    key("add.partitions.to.txn.retry.backoff.max.ms", Int, "100", Min(0), ReadOnly, Works, "longest wait while a transaction's partition is being added"),
    key("add.partitions.to.txn.retry.backoff.ms", Int, "20", Min(1), ReadOnly, Works, "first wait while a transaction's partition is being added"),
    key("producer.purgatory.purge.interval.requests", Int, "1000", Any, ReadOnly, NoMeaning(PURGATORY), "finished waiting produce requests are purged after this many"),
    key("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, "10000", Min(1), ReadOnly, Works, "how often is looked for transactions past their timeout"),
    key("transaction.max.timeout.ms", Int, "900000", Min(1), ReadOnly, Works, "largest timeout that a producer may ask for its transactions"),
    key("transaction.partition.verification.enable", Bool, "true", Any, ClusterWide, Works, "a partition asks the coordinator before it takes a transactional batch"),
    key("transaction.remove.expired.transaction.cleanup.interval.ms", Int, "3600000", Min(1), ReadOnly, Works, "how often is looked for expired transactional ids"),
    key("transaction.state.log.load.buffer.size", Int, "5242880", Min(1), ReadOnly, NoMeaning("state is replayed segment by segment"), "bytes read at a time when transaction state is loaded"),
    key("transaction.state.log.min.isr", Int, "2", Min(1), ReadOnly, Works, "min.insync.replicas of the transaction topic"),
    key("transaction.state.log.num.partitions", Int, "50", Min(1), ReadOnly, Works, "partitions of the transaction topic; do not change later"),
    key("transaction.state.log.replication.factor", Short, "3", Min(1), ReadOnly, Works, "replicas of the transaction topic"),
    key("transaction.state.log.segment.bytes", Int, "104857600", Min(1), ReadOnly, Works, "segment size of the transaction topic"),
    key("transaction.two.phase.commit.enable", Bool, "false", Any, ReadOnly, NoMeaning(TWO_PHASE), "producers may prepare a transaction that an outside coordinator ends"),
    key("transactional.id.expiration.ms", Int, "604800000", Min(1), ReadOnly, Works, "a transactional id without use for this long is forgotten"),
];
