//! The transactions of a partition: those that are open, those whose marker is not below the high watermark yet, and those
//! that were aborted (KIP-98). They give the last stable offset and the list that read_committed consumers filter by.
//!
//! An entry of a segment's `.txnindex`, and of the list kept here:
//!
//! ```text
//! position  bytes  field
//!        0      2  version = 0
//!        2      8  producer id
//!       10      8  first offset of the transaction
//!       18      8  last offset: its abort marker
//!       26      8  last stable offset when the marker was written
//!       34
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;

/// Length of an entry of a transaction index.
pub const ABORTED_TXN_LEN: usize = 34;

/// An aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// The producer.
    pub producer_id: i64,
    /// First offset of the transaction.
    pub first_offset: i64,
    /// Offset of the abort marker.
    pub last_offset: i64,
    /// The last stable offset once the marker was written.
    pub last_stable_offset: i64,
}

impl AbortedTxn {
    /// The entry of a transaction index.
    pub fn to_bytes(&self) -> [u8; ABORTED_TXN_LEN] {
        let mut bytes = [0; ABORTED_TXN_LEN];
        let fields = [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset];
        for (target, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
            target.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    /// Reads an entry; `None` if its version is not 0.
    pub fn parse(bytes: &[u8; ABORTED_TXN_LEN]) -> Option<Self> {
        if bytes[..2] != [0, 0] {
            return None;
        }
        let field = |index: usize| {
            let at = 2 + 8 * index;
            i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
        };
        Some(Self {
            producer_id: field(0),
            first_offset: field(1),
            last_offset: field(2),
            last_stable_offset: field(3),
        })
    }
}

/// The transactions of one partition.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    /// First offset -> producer id.
    open: BTreeMap<i64, i64>,
    /// First offset -> offset of the marker, which is not below the high watermark.
    undelivered: BTreeMap<i64, i64>,
    /// By the offset of the marker, so in the order of the log.
    aborted: Vec<AbortedTxn>,
}

impl Transactions {
    /// The first offset that is not decided; bounds the last stable offset.
    pub fn first_unstable(&self) -> Option<i64> {
        let open = self.open.first_key_value().map(|(first, _)| *first);
        let undelivered = self.undelivered.first_key_value().map(|(first, _)| *first);
        open.into_iter().chain(undelivered).min()
    }

    /// The aborted transactions that a reader of `[from, until)` has to know: those that began below `until` and whose marker
    /// is at `from` or later.
    pub fn aborted_between(&self, from: i64, until: i64) -> Vec<AbortedTxn> {
        let start = self.aborted.partition_point(|txn| txn.last_offset < from);
        self.aborted[start..].iter().filter(|txn| txn.first_offset < until).copied().collect()
    }

    /// The transaction index of a segment of `[base, end)`.
    pub(super) fn index_of(&self, base: i64, end: i64) -> Bytes {
        let within = self.aborted.iter().filter(|txn| (base..end).contains(&txn.last_offset));
        within.flat_map(AbortedTxn::to_bytes).collect()
    }

    /// Takes over the entries of transaction indexes whose markers are below `end`.
    pub(super) fn restore_index(&mut self, entries: &[u8], end: i64) {
        let (entries, _torn) = entries.as_chunks::<ABORTED_TXN_LEN>();
        self.aborted = entries.iter().filter_map(AbortedTxn::parse).filter(|txn| txn.last_offset < end).collect();
        self.aborted.sort_by_key(|txn| txn.last_offset);
        self.aborted.dedup_by_key(|txn| txn.last_offset);
    }

    /// A producer's first batch of a transaction is at `first_offset`.
    pub(super) fn began(&mut self, producer_id: i64, first_offset: i64) {
        self.open.insert(first_offset, producer_id);
    }

    /// The marker at `marker_offset` ends the transaction that began at `first_offset`.
    pub(super) fn ended(&mut self, first_offset: i64, marker_offset: i64, aborted: bool) {
        let Some(producer_id) = self.open.remove(&first_offset) else {
            return;
        };
        self.undelivered.insert(first_offset, marker_offset);
        if aborted {
            let next_open = self.open.first_key_value().map(|(first, _)| *first);
            let last_stable_offset = next_open.unwrap_or(marker_offset + 1);
            self.aborted.push(AbortedTxn { producer_id, first_offset, last_offset: marker_offset, last_stable_offset });
        }
    }

    /// The high watermark moved: markers below it are delivered.
    pub(super) fn high_watermark(&mut self, high_watermark: i64) {
        if !self.undelivered.is_empty() {
            self.undelivered.retain(|_, marker_offset| *marker_offset >= high_watermark);
        }
    }

    /// Compaction took the records of all transactions that were aborted below: who still took their producers for aborting, and met
    /// no marker because that is gone, too, would leave out what they committed later.
    pub(super) fn compacted(&mut self, end_offset: i64) {
        self.aborted.retain(|txn| txn.last_offset >= end_offset);
    }

    /// The log starts here now: nobody waits for what ended before.
    pub(super) fn log_start(&mut self, log_start: i64) {
        self.high_watermark(log_start);
    }

    /// The first segment begins here: what ended before is of no use any more. The index of a segment is whole, wherever in it the log
    /// starts: after a power loss it may start lower.
    pub(super) fn forget_below(&mut self, offset: i64) {
        let gone = self.aborted.partition_point(|txn| txn.last_offset < offset);
        self.aborted.drain(..gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_entries_come_back_as_written() {
        let txn = AbortedTxn { producer_id: 7, first_offset: 10, last_offset: 20, last_stable_offset: 15 };
        let bytes = txn.to_bytes();
        assert_eq!(bytes[..10], [0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(AbortedTxn::parse(&bytes), Some(txn));
        assert_eq!(AbortedTxn::parse(&[1; ABORTED_TXN_LEN]), None);
        let aborted = vec![txn, AbortedTxn { last_offset: 30, ..txn }];
        let transactions = Transactions { aborted: aborted.clone(), ..Default::default() };
        assert!(transactions.index_of(0, 20).is_empty());
        let mut entries = transactions.index_of(0, 31).to_vec();
        entries.extend([0; 5]);
        let mut restored = Transactions::default();
        restored.restore_index(&entries, 30);
        assert_eq!(restored.aborted, aborted[..1]);
        restored.restore_index(&entries, 31);
        assert_eq!(restored.aborted, aborted);
    }

    #[test]
    fn the_oldest_undecided_transaction_bounds_the_stable_offset() {
        let mut transactions = Transactions::default();
        transactions.began(1, 10);
        transactions.began(2, 20);
        assert_eq!(transactions.first_unstable(), Some(10));
        transactions.ended(10, 30, true);
        transactions.high_watermark(31);
        assert_eq!(transactions.first_unstable(), Some(20));
        transactions.ended(20, 31, false);
        assert_eq!(transactions.first_unstable(), Some(20));
        transactions.high_watermark(32);
        assert_eq!(transactions.first_unstable(), None);
        let aborted = transactions.aborted_between(0, 100);
        assert_eq!(aborted, [AbortedTxn { producer_id: 1, first_offset: 10, last_offset: 30, last_stable_offset: 20 }]);
    }

    #[test]
    fn an_aborted_transaction_is_forgotten_when_compaction_took_all_of_it() {
        let mut transactions = Transactions::default();
        for first in [0, 10] {
            transactions.began(1, first);
            transactions.ended(first, first + 5, true);
        }
        transactions.compacted(15);
        assert_eq!(transactions.aborted_between(0, 100).iter().map(|txn| txn.first_offset).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn a_reader_gets_the_aborted_transactions_of_his_range() {
        let mut transactions = Transactions::default();
        for first in [0, 10, 20] {
            transactions.began(first, first);
            transactions.ended(first, first + 5, true);
        }
        let ids = |from, until| -> Vec<i64> {
            transactions.aborted_between(from, until).iter().map(|txn| txn.producer_id).collect()
        };
        assert_eq!(ids(0, 100), [0, 10, 20]);
        assert_eq!(ids(5, 20), [0, 10]);
        assert_eq!(ids(6, 21), [10, 20]);
        let mut cut = transactions.clone();
        cut.log_start(16);
        assert_eq!(cut.aborted_between(0, 100).len(), 3);
        cut.forget_below(16);
        assert_eq!(cut.aborted_between(0, 100).len(), 1);
    }
}
