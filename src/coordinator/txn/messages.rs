//! What can be asked of the transactions, and what they answer. All of it crosses cores.

use crate::coordinator::TransactionEnd;
use crate::protocol::ErrorCode;
use crate::protocol::{describe_transactions, list_transactions};
use crate::wire::KafkaString;

/// Producer id and epoch.
pub type Producer = (i64, i16);
/// Topic and partition.
pub type Partition = (KafkaString, i32);

/// Which rules a producer's client follows (`transaction.version`, KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientVersion {
    /// The epoch stays from transaction to transaction.
    One,
    /// Each end of a transaction raises the epoch; partitions are added when they are written to.
    Two,
}

impl ClientVersion {
    /// The level of the feature `transaction.version` that stands for it.
    pub fn feature_level(self) -> i8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// A request to the transactions of one partition.
#[derive(Clone, Debug)]
pub enum TxnRequest {
    /// InitProducerId.
    InitProducer(Box<InitProducer>),
    /// AddPartitionsToTxn, AddOffsetsToTxn, and what is added when it is written to.
    AddPartitions {
        /// The transactional id.
        id: KafkaString,
        /// Who asks.
        producer: Producer,
        /// The partitions.
        partitions: Vec<Partition>,
        /// The client's rules.
        version: ClientVersion,
    },
    /// AddPartitionsToTxn with `verify_only`.
    VerifyPartitions {
        /// The transactional id.
        id: KafkaString,
        /// Who asks.
        producer: Producer,
        /// The partitions.
        partitions: Vec<Partition>,
    },
    /// EndTxn.
    End(Box<EndTransaction>),
    /// The next transactions whose markers are to be written; waits until there are some.
    NextEnds(Asker),
    /// All markers of a decided transaction are written.
    MarkersWritten {
        /// The transactional id.
        id: KafkaString,
        /// As they were told.
        producer: Producer,
    },
    /// DescribeTransactions of one id.
    Describe(KafkaString),
    /// ListTransactions.
    List(Box<ListFilter>),
}

/// Whoever writes markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Has heard all that was told so far.
    Following,
    /// Knows nothing: all that is decided is told again.
    Anew,
}

/// The answer to the request of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub enum TxnResponse {
    /// Producer id and epoch.
    Initialized(Result<Producer, ErrorCode>),
    /// Ask again with a new producer id.
    NeedsProducerId,
    /// One code for all partitions.
    Added(ErrorCode),
    /// One code per partition, or one for all.
    Verified(Result<Vec<ErrorCode>, ErrorCode>),
    /// Producer id and epoch of the next transaction.
    Ended(Result<Producer, ErrorCode>),
    /// Decided transactions.
    Ends(Vec<DecidedTransaction>),
    /// DescribeTransactions.
    Described(describe_transactions::TransactionState),
    /// ListTransactions.
    Listed(Vec<list_transactions::TransactionState>),
    /// The log takes no record so large now; the same is to be asked again.
    NotWritten,
    /// It was done and there is nothing to tell.
    Done,
}

/// InitProducerId with a transactional id.
#[derive(Clone, Debug)]
pub struct InitProducer {
    /// The transactional id.
    pub id: KafkaString,
    /// How long a transaction may take.
    pub timeout_ms: i32,
    /// What the producer believes to be (KIP-360).
    pub expected: Option<Producer>,
    /// An id that nobody has, if it was asked for.
    pub new_producer_id: Option<i64>,
}

/// EndTxn.
#[derive(Clone, Debug)]
pub struct EndTransaction {
    /// The transactional id.
    pub id: KafkaString,
    /// Who asks.
    pub producer: Producer,
    /// Commit or abort.
    pub end: TransactionEnd,
    /// The client's rules.
    pub version: ClientVersion,
    /// An id that nobody has, if it was asked for.
    pub new_producer_id: Option<i64>,
}

/// A transaction whose markers are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedTransaction {
    /// The transactional id.
    pub id: KafkaString,
    /// Producer id and epoch of the markers.
    pub producer: Producer,
    /// Commit or abort.
    pub end: TransactionEnd,
    /// The rules it followed.
    pub version: ClientVersion,
    /// Where markers are to be written.
    pub partitions: Vec<Partition>,
}

/// What ListTransactions wants; empty filters let all pass.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Names of states.
    pub states: Vec<KafkaString>,
    /// Producer ids.
    pub producer_ids: Vec<i64>,
    /// Those that take longer, in milliseconds; negative: all.
    pub duration_ms: i64,
    /// What the whole id must match.
    pub pattern: Option<regex::Regex>,
}
