//! The transactions of one partition, without I/O.

use std::collections::BTreeSet;

use super::*;
use crate::record::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

const NOW: Now = Now { wall_ms: 1_000_000, monotonic_ms: 500 };
const ID: &str = "t";

struct Machines {
    machine: Transactions,
    log: Vec<Replayed>,
    tickets: u64,
    now: Now,
}

fn settings() -> TxnSettings {
    TxnSettings {
        timeout_max_ms: 900_000,
        id_expiration_ms: 604_800_000,
        abort_interval_ms: 10_000,
        expiry_interval_ms: 3_600_000,
    }
}

impl Machines {
    fn new() -> Machines {
        let mut new = Machines { machine: Transactions::new(settings()), log: Vec::new(), tickets: 0, now: NOW };
        new.machine.loaded(NOW, &mut Effects::new(1 << 20));
        new
    }

    fn keep(&mut self, effects: &Effects<TxnResponse>) {
        for record in effects.writes.iter().flat_map(|write| &write.records) {
            self.log.push(Replayed {
                offset: self.log.len() as i64,
                producer_id: None,
                key: record.key.clone(),
                value: record.value.clone(),
            });
        }
    }

    fn ask(&mut self, request: TxnRequest) -> Option<TxnResponse> {
        self.ask_with(1 << 20, request)
    }

    fn ask_with(&mut self, write_bytes_max: usize, request: TxnRequest) -> Option<TxnResponse> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let mut effects = Effects::new(write_bytes_max);
        self.machine.handle(request, ticket, self.now, &mut effects);
        self.keep(&effects);
        effects.answers.into_iter().find(|(answered, _)| *answered == ticket).map(|(_, response)| response)
    }

    fn init(&mut self, expected: Option<(i64, i16)>, new: Option<i64>) -> TxnResponse {
        let request = InitProducer { id: ID.into(), timeout_ms: 60_000, expected, new_producer_id: new };
        self.ask(TxnRequest::InitProducer(Box::new(request))).expect("an answer")
    }

    fn add(&mut self, producer: (i64, i16), version: ClientVersion) -> ErrorCode {
        let partitions = vec![("a".into(), 0), ("b".into(), 3)];
        match self.ask(TxnRequest::AddPartitions { id: ID.into(), producer, partitions, version }) {
            Some(TxnResponse::Added(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, producer: (i64, i16), end: TransactionEnd, version: ClientVersion) -> TxnResponse {
        self.end_with(producer, end, version, None)
    }

    fn end_with(
        &mut self,
        producer: (i64, i16),
        end: TransactionEnd,
        version: ClientVersion,
        new_producer_id: Option<i64>,
    ) -> TxnResponse {
        let request = EndTransaction { id: ID.into(), producer, end, version, new_producer_id };
        self.ask(TxnRequest::End(Box::new(request))).expect("an answer")
    }

    fn decided(&mut self) -> Vec<DecidedTransaction> {
        match self.ask(TxnRequest::NextEnds(Asker::Following)) {
            Some(TxnResponse::Ends(ends)) => ends,
            _ => Vec::new(),
        }
    }

    fn complete(&mut self) {
        for one in self.decided() {
            self.ask(TxnRequest::MarkersWritten { id: one.id, producer: one.producer });
        }
    }

    fn state(&self) -> TxnState {
        self.machine.ids[ID].state
    }

    fn set(&mut self, change: impl FnOnce(&mut Transaction)) {
        change(self.machine.ids.get_mut(ID).expect("it is there"));
    }

    /// What the log says is what there is, as far as the log has it.
    fn replayed(&self) -> Transactions {
        let mut machine = Transactions::new(settings());
        self.log.iter().for_each(|record| machine.replay(record).expect("it was written here"));
        machine
    }
}

fn initialized(producer: (i64, i16)) -> TxnResponse {
    TxnResponse::Initialized(Ok(producer))
}

fn refused(error: ErrorCode) -> TxnResponse {
    TxnResponse::Initialized(Err(error))
}

use ClientVersion::{One, Two};
use TransactionEnd::{Abort, Commit};

#[test]
fn a_new_id_gets_a_producer_id_and_each_init_an_epoch() {
    let mut all = Machines::new();
    assert_eq!(all.init(None, None), TxnResponse::NeedsProducerId);
    assert!(all.log.is_empty());
    assert_eq!(all.init(None, Some(7)), initialized((7, 0)));
    assert_eq!(all.init(None, None), initialized((7, 1)));
    // KIP-360: the producer goes on; a retry of that gets the same; one that was fenced does not.
    assert_eq!(all.init(Some((7, 1)), None), initialized((7, 2)));
    assert_eq!(all.init(Some((7, 1)), None), initialized((7, 2)));
    assert_eq!(all.init(Some((7, 0)), None), refused(ErrorCode::ProducerFenced));
    assert_eq!(all.init(Some((8, 2)), None), refused(ErrorCode::ProducerFenced));
}

#[test]
fn timeouts_out_of_range_are_refused() {
    let mut all = Machines::new();
    for timeout_ms in [i32::MIN, 0, 900_001] {
        let request = InitProducer { id: ID.into(), timeout_ms, expected: None, new_producer_id: Some(1) };
        let answer = all.ask(TxnRequest::InitProducer(Box::new(request)));
        assert_eq!(answer, Some(refused(ErrorCode::InvalidTransactionTimeout)));
    }
}

#[test]
fn used_up_epochs_lead_to_a_new_producer_id() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.set(|txn| txn.producer_epoch = i16::MAX - 1);
    assert_eq!(all.init(Some((7, i16::MAX - 1)), None), TxnResponse::NeedsProducerId);
    assert_eq!(all.init(Some((7, i16::MAX - 1)), Some(8)), initialized((8, 0)));
    // A retry by the producer that has not heard of it.
    assert_eq!(all.init(Some((7, i16::MAX - 1)), Some(9)), initialized((8, 0)));
    assert_eq!(all.replayed().ids[ID].previous_producer_id, 8);
}

#[test]
fn a_transaction_of_an_old_client_keeps_its_epoch() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    assert_eq!(all.end((7, 0), Commit, One), TxnResponse::Ended(Err(ErrorCode::InvalidTxnState)));
    assert_eq!(all.add((7, 0), One), ErrorCode::None);
    assert_eq!(all.add((7, 0), One), ErrorCode::None);
    assert_eq!(all.log.len(), 2, "what is known is not written again");
    assert_eq!(all.end((7, 0), Commit, One), TxnResponse::Ended(Ok((7, 0))));
    assert_eq!(all.end((7, 0), Commit, One), TxnResponse::Ended(Err(ErrorCode::ConcurrentTransactions)));
    assert_eq!(all.end((7, 0), Abort, One), TxnResponse::Ended(Err(ErrorCode::ConcurrentTransactions)));
    assert_eq!(all.add((7, 0), One), ErrorCode::ConcurrentTransactions);
    assert_eq!(all.init(None, None), refused(ErrorCode::ConcurrentTransactions));
    let decided = all.decided();
    assert_eq!(decided.len(), 1);
    assert_eq!((decided[0].producer, decided[0].end, decided[0].partitions.len()), ((7, 0), Commit, 2));
    all.ask(TxnRequest::MarkersWritten { id: ID.into(), producer: (7, 0) });
    assert_eq!(all.state(), TxnState::CompleteCommit);
    assert_eq!(all.end((7, 0), Commit, One), TxnResponse::Ended(Ok((7, 0))));
    assert_eq!(all.add((7, 0), One), ErrorCode::None);
    assert_eq!(all.state(), TxnState::Ongoing);
}

#[test]
fn a_transaction_is_complete_when_the_log_takes_that() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.add((7, 0), One);
    all.end((7, 0), Commit, One);
    let written = || TxnRequest::MarkersWritten { id: ID.into(), producer: (7, 0) };
    assert_eq!(all.ask_with(10, written()), Some(TxnResponse::NotWritten));
    assert_eq!((all.state(), all.replayed().open_count()), (TxnState::PrepareCommit, 1));
    assert_eq!(all.ask(written()), Some(TxnResponse::Done));
    assert_eq!((all.state(), all.replayed().open_count()), (TxnState::CompleteCommit, 0));
}

#[test]
fn each_end_of_a_new_client_raises_its_epoch() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.add((7, 0), Two);
    assert_eq!(all.end((7, 0), Commit, Two), TxnResponse::Ended(Ok((7, 1))));
    assert_eq!(all.decided()[0].producer, (7, 1));
    assert_eq!(all.end((7, 0), Commit, Two), TxnResponse::Ended(Err(ErrorCode::ConcurrentTransactions)));
    // The client has begun its next transaction and gives it up, or commits it, before the markers are written.
    for end in [Commit, Abort] {
        assert_eq!(all.end((7, 1), end, Two), TxnResponse::Ended(Err(ErrorCode::ConcurrentTransactions)));
    }
    all.ask(TxnRequest::MarkersWritten { id: ID.into(), producer: (7, 1) });
    // A retry is told what it missed; it can't change its mind.
    assert_eq!(all.end((7, 0), Commit, Two), TxnResponse::Ended(Ok((7, 1))));
    assert_eq!(all.end((7, 0), Abort, Two), TxnResponse::Ended(Err(ErrorCode::InvalidTxnState)));
    // The next transaction may be aborted before it has written anything, but not committed.
    assert_eq!(all.end((7, 1), Commit, Two), TxnResponse::Ended(Err(ErrorCode::InvalidTxnState)));
    assert_eq!(all.end((7, 1), Abort, Two), TxnResponse::Ended(Ok((7, 2))));
    assert!(all.decided()[0].partitions.is_empty());
    all.ask(TxnRequest::MarkersWritten { id: ID.into(), producer: (7, 2) });
    assert_eq!(all.state(), TxnState::CompleteAbort);
    assert_eq!(all.add((7, 1), Two), ErrorCode::ProducerFenced);
    assert_eq!(all.add((8, 2), Two), ErrorCode::InvalidProducerIdMapping);
}

#[test]
fn the_end_that_uses_up_the_epochs_brings_a_new_producer_id() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.set(|txn| txn.producer_epoch = i16::MAX - 1);
    let last = (7, i16::MAX - 1);
    all.add(last, Two);
    assert_eq!(all.end(last, Commit, Two), TxnResponse::NeedsProducerId);
    assert_eq!(all.end_with(last, Commit, Two, Some(8)), TxnResponse::Ended(Ok((8, 0))));
    assert_eq!(all.decided()[0].producer, (7, i16::MAX));
    all.ask(TxnRequest::MarkersWritten { id: ID.into(), producer: (7, i16::MAX) });
    assert_eq!(all.end_with(last, Commit, Two, Some(9)), TxnResponse::Ended(Ok((8, 0))));
    let txn = &all.machine.ids[ID];
    assert_eq!((txn.producer_id, txn.previous_producer_id, txn.next_producer_id), (8, 7, NO_PRODUCER_ID));
    assert_eq!(all.add((8, 0), Two), ErrorCode::None);
}

#[test]
fn an_init_aborts_what_is_open_and_is_told_to_wait() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.add((7, 0), Two);
    assert_eq!(all.init(None, None), refused(ErrorCode::ConcurrentTransactions));
    assert_eq!(all.state(), TxnState::PrepareAbort);
    assert_eq!(all.decided()[0].producer, (7, 1));
    assert_eq!(all.add((7, 0), Two), ErrorCode::ProducerFenced);
    all.ask(TxnRequest::MarkersWritten { id: ID.into(), producer: (7, 1) });
    assert_eq!(all.init(None, None), initialized((7, 2)));
}

#[test]
fn transactions_that_take_too_long_are_aborted() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.add((7, 0), One);
    for (later_ms, state) in [(60_000, TxnState::Ongoing), (60_001, TxnState::PrepareAbort)] {
        all.now = Now { wall_ms: NOW.wall_ms + later_ms, monotonic_ms: NOW.monotonic_ms + later_ms };
        let mut effects = Effects::new(1 << 20);
        all.machine.abort_slow(all.now, &mut effects);
        all.keep(&effects);
        assert_eq!(all.state(), state);
    }
    all.complete();
    assert_eq!(all.state(), TxnState::CompleteAbort);
    assert_eq!(all.add((7, 0), One), ErrorCode::ProducerFenced);
}

#[test]
fn unused_ids_are_forgotten() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.now.wall_ms += 604_800_000;
    let mut effects = Effects::new(1 << 20);
    all.machine.expire_ids(all.now, &mut effects);
    all.keep(&effects);
    assert_eq!(all.machine.id_count(), 0);
    assert_eq!(all.replayed().id_count(), 0);
    assert_eq!(all.add((7, 0), Two), ErrorCode::InvalidProducerIdMapping);
}

#[test]
fn the_log_gives_the_state_at_every_step() {
    let mut all = Machines::new();
    let same = |all: &Machines| {
        let (told, read) = (&all.machine.ids[ID], &all.replayed().ids[ID]);
        let read = Transaction {
            last_producer_epoch: told.last_producer_epoch,
            // The log has the producer id before each record; only a new one matters.
            previous_producer_id: told.previous_producer_id,
            ..read.clone()
        };
        assert_eq!(*told, read);
    };
    all.init(None, Some(7));
    same(&all);
    all.add((7, 0), Two);
    same(&all);
    all.end((7, 0), Commit, Two);
    same(&all);
    // Whoever loads this has the markers written again.
    let mut loaded = all.replayed();
    let mut effects = Effects::new(1 << 20);
    loaded.handle(TxnRequest::NextEnds(Asker::Anew), Ticket(1), NOW, &mut effects);
    assert_eq!(effects.answers, [(Ticket(1), TxnResponse::Ends(all.decided()))]);
    all.ask(TxnRequest::MarkersWritten { id: ID.into(), producer: (7, 1) });
    same(&all);
    assert_eq!(all.machine.ids[ID].partitions, BTreeSet::new());
}

#[test]
fn who_writes_markers_waits_for_the_next_decision() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.add((7, 0), Two);
    assert_eq!(all.ask(TxnRequest::NextEnds(Asker::Anew)), None);
    let mut effects = Effects::new(1 << 20);
    let request = EndTransaction { id: ID.into(), producer: (7, 0), end: Abort, version: Two, new_producer_id: None };
    all.machine.handle(TxnRequest::End(Box::new(request)), Ticket(99), NOW, &mut effects);
    assert_eq!(effects.answers.len(), 2);
    assert!(matches!(effects.answers[1].1, TxnResponse::Ends(_)));
}

#[test]
fn only_members_of_a_transaction_are_verified() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.add((7, 0), One);
    let mut verify = |producer, topic: &str| {
        let partitions = vec![(topic.into(), 0)];
        all.ask(TxnRequest::VerifyPartitions { id: ID.into(), producer, partitions })
    };
    assert_eq!(verify((7, 0), "a"), Some(TxnResponse::Verified(Ok(vec![ErrorCode::None]))));
    assert_eq!(verify((7, 0), "c"), Some(TxnResponse::Verified(Ok(vec![ErrorCode::TransactionAbortable]))));
    assert_eq!(verify((7, 1), "a"), Some(TxnResponse::Verified(Err(ErrorCode::ProducerFenced))));
    assert_eq!(verify((8, 0), "a"), Some(TxnResponse::Verified(Err(ErrorCode::InvalidProducerIdMapping))));
}

#[test]
fn transactions_are_described_and_listed() {
    let mut all = Machines::new();
    all.init(None, Some(7));
    all.add((7, 0), One);
    let described = all.machine.describe(ID.into());
    assert_eq!((described.error_code, &*described.transaction_state, described.topics.len()), (0, "Ongoing", 2));
    assert_eq!(all.machine.describe("u".into()).error_code, ErrorCode::TransactionalIdNotFound.code());
    let count = |filter: ListFilter| all.machine.list(&filter, Now { wall_ms: NOW.wall_ms + 100, ..NOW }).len();
    let any = ListFilter { duration_ms: -1, ..Default::default() };
    assert_eq!(count(any.clone()), 1);
    assert_eq!(count(ListFilter { states: vec!["Empty".into()], ..any.clone() }), 0);
    assert_eq!(count(ListFilter { states: vec!["Ongoing".into()], producer_ids: vec![7], ..any.clone() }), 1);
    assert_eq!(count(ListFilter { producer_ids: vec![8], ..any.clone() }), 0);
    assert_eq!(
        (count(ListFilter { duration_ms: 99, ..any.clone() }), count(ListFilter { duration_ms: 100, ..any })),
        (1, 0)
    );
}

#[test]
fn a_new_transaction_knows_nothing() {
    let txn = Transaction::new(7, 1, 2);
    assert_eq!((txn.producer_epoch, txn.previous_producer_id), (NO_PRODUCER_EPOCH, NO_PRODUCER_ID));
    assert!(!txn.is_open() && !txn.is_epoch_exhausted() && !txn.raises_epochs());
}
