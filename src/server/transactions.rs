//! Handlers and transactions: asking the coordinator of a transactional id, and joining a transaction by writing to a partition.

use std::time::{Duration, Instant};

use crate::coordinator::txn::{ClientVersion, TxnRequest, TxnResponse};
use crate::protocol::ErrorCode;
use crate::record::Verification;
use crate::rt;
use crate::server::api::Context;
use crate::server::errors;
use crate::shard::Shard;
use crate::wire::KafkaString;

/// Asks the coordinator of a transactional id. The connection goes where it lives.
pub async fn ask(context: &Context, id: &str, request: TxnRequest) -> Result<TxnResponse, ErrorCode> {
    if let Some(partition) = context.shard.partition_of_transaction(id) {
        context.client.note_owner(Some(context.shard.owner_of(&partition)));
    }
    context.shard.ask_transaction(id, request).await.map_err(errors::coordinator_code)
}

/// Asks, with a new producer id if the coordinator needs one.
pub async fn ask_with_producer_id(
    context: &Context,
    id: &str,
    request: impl Fn(Option<i64>) -> TxnRequest,
) -> Result<TxnResponse, ErrorCode> {
    match ask(context, id, request(None)).await? {
        TxnResponse::NeedsProducerId => {
            let producer_id = context.shard.broker.producer_ids.next(&context.shard.broker.controller).await;
            ask(context, id, request(Some(producer_id.ok_or(ErrorCode::CoordinatorLoadInProgress)?))).await
        }
        response => Ok(response),
    }
}

/// What the version of a request means for transactions (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The partition must be part of the transaction; the client knows few error codes.
    VerifyForOldClient,
    /// The partition must be part of the transaction.
    Verify,
    /// The partition becomes part of the transaction.
    Add,
}

/// Whether a partition is part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is.
    Yes,
    /// The transaction before is not complete yet: its marker takes the guard away, so another one is needed.
    Later,
}

/// A request that writes in a transaction.
pub struct Joining {
    id: KafkaString,
    operation: Operation,
    verification: Verification,
    pause: Duration,
    patience: Duration,
}

impl Joining {
    /// A request with a transactional id.
    pub fn new(shard: &Shard, id: KafkaString, operation: Operation) -> Joining {
        let config = shard.config();
        let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let is_checked = operation == Operation::Add || config.transaction_partition_verification_enable;
        Joining {
            id,
            operation,
            verification: if is_checked { Verification::Needed } else { Verification::NotNeeded },
            pause: millis(config.add_partitions_to_txn_retry_backoff_ms),
            patience: millis(config.add_partitions_to_txn_retry_backoff_max_ms),
        }
    }

    /// What partitions are told.
    pub fn verification(&self) -> Verification {
        self.verification
    }

    /// Until when a passing refusal is worth another try.
    pub fn deadline(&self) -> Instant {
        rt::clock::monotonic() + self.patience
    }

    /// Has the coordinator confirm that a partition is part of the transaction. [`Joined::Later`] comes after a pause.
    pub async fn join(
        &self,
        shard: &Shard,
        producer: (i64, i16),
        partition: (KafkaString, i32),
        deadline: Instant,
    ) -> Result<Joined, ErrorCode> {
        let error = match self.ask(shard, producer, partition).await {
            ErrorCode::None => return Ok(Joined::Yes),
            error => error,
        };
        // The transaction before is about to be complete.
        let is_passing = error == ErrorCode::ConcurrentTransactions && self.operation == Operation::Add;
        if !is_passing || rt::clock::monotonic() >= deadline {
            return Err(self.told(error));
        }
        rt::sleep(self.pause).await;
        Ok(Joined::Later)
    }

    async fn ask(&self, shard: &Shard, producer: (i64, i16), partition: (KafkaString, i32)) -> ErrorCode {
        let (id, partitions) = (self.id.clone(), vec![partition]);
        let request = match self.operation {
            Operation::Add => TxnRequest::AddPartitions { id, producer, partitions, version: ClientVersion::Two },
            _ => TxnRequest::VerifyPartitions { id, producer, partitions },
        };
        match shard.ask_transaction(&self.id, request).await {
            Ok(TxnResponse::Added(error)) => error,
            Ok(TxnResponse::Verified(Ok(codes))) => codes.first().copied().unwrap_or(ErrorCode::None),
            Ok(TxnResponse::Verified(Err(error))) => error,
            Ok(_) => ErrorCode::UnknownServerError,
            Err(error) => errors::coordinator_code(error),
        }
    }

    /// The code as the client may understand it.
    fn told(&self, error: ErrorCode) -> ErrorCode {
        match error {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            ErrorCode::TransactionAbortable if self.operation == Operation::VerifyForOldClient => {
                ErrorCode::InvalidTxnState
            }
            ErrorCode::ConcurrentTransactions if self.operation == Operation::Add => error,
            // It passes, but clients know it of coordinators alone; this one they try again.
            ErrorCode::ConcurrentTransactions
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
            error => error,
        }
    }
}
