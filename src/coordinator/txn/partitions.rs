//! AddPartitionsToTxn, and the question of partition leaders whether they are part of a transaction.

use super::messages::{ClientVersion, Partition, Producer, TxnResponse};
use super::state::{Transaction, TxnState};
use super::{Transactions, own};
use crate::coordinator::{Effects, Now};
use crate::protocol::ErrorCode;
use crate::wire::KafkaString;

impl Transactions {
    pub(super) fn add_partitions(
        &mut self,
        id: &KafkaString,
        producer: Producer,
        partitions: Vec<Partition>,
        version: ClientVersion,
        now: Now,
        effects: &mut Effects<TxnResponse>,
    ) -> ErrorCode {
        let txn = match self.of_producer(id, producer) {
            Ok(txn) => txn,
            Err(error) => return error,
        };
        if txn.state == TxnState::Ongoing && partitions.iter().all(|partition| txn.partitions.contains(partition)) {
            return ErrorCode::None;
        }
        let mut next = txn.clone();
        if next.state != TxnState::Ongoing {
            next.start_ms = now.wall_ms;
            next.state = TxnState::Ongoing;
        }
        next.last_update_ms = now.wall_ms;
        next.client_version = version.number();
        next.partitions.extend(partitions.into_iter().map(|(topic, index)| (own(&topic), index)));
        self.store(id, next, effects).err().unwrap_or(ErrorCode::None)
    }

    pub(super) fn verify_partitions(
        &self,
        id: &KafkaString,
        producer: Producer,
        partitions: &[Partition],
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let txn = self.of_producer(id, producer)?;
        let code = |partition: &Partition| match txn.partitions.contains(partition) {
            true => ErrorCode::None,
            false => ErrorCode::TransactionAbortable,
        };
        Ok(partitions.iter().map(code).collect())
    }

    /// The transaction of a producer that may write now.
    fn of_producer(&self, id: &KafkaString, (producer_id, epoch): Producer) -> Result<&Transaction, ErrorCode> {
        let txn = self.ids.get(id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if txn.producer_id != producer_id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if txn.producer_epoch != epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        if txn.is_decided() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        Ok(txn)
    }
}
