//! Producers that write transactions of batches and offsets, by the rules of both versions; and their zombies.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::broker::{DATA_TOPIC, READ_TOPIC, Run};
use super::committers::PATIENCE;
use super::ledger::{Init, Producer, Step};
use super::network::{Line, call};
use crate::coordinator::TransactionEnd;
use crate::coordinator::txn::ClientVersion;
use crate::protocol::ErrorCode;
use crate::protocol::add_offsets_to_txn::AddOffsetsToTxnRequest;
use crate::protocol::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use crate::protocol::end_txn::EndTxnRequest;
use crate::protocol::init_producer_id::InitProducerIdRequest;
use crate::protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::protocol::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::protocol::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use crate::record::BatchBuilder;
use crate::rt;
use crate::wire::KafkaString;

/// What an answer means to a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    /// The same again.
    Again,
    /// The transaction can only be aborted.
    Abort,
    /// Somebody else has its id, or took its transaction away.
    Fenced,
    Wrong,
}

fn verdict(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::None => Verdict::Done,
        ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::ConcurrentTransactions
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotLeaderOrFollower
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::RequestTimedOut
        | ErrorCode::UnknownServerError => Verdict::Again,
        ErrorCode::TransactionAbortable
        | ErrorCode::InvalidTxnState
        | ErrorCode::OutOfOrderSequenceNumber
        | ErrorCode::UnknownProducerId => Verdict::Abort,
        ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced | ErrorCode::InvalidProducerIdMapping => {
            Verdict::Fenced
        }
        _ => Verdict::Wrong,
    }
}

pub fn transactional_id(at: usize) -> KafkaString {
    KafkaString::from(format!("producer{at}"))
}

pub fn group(at: usize) -> String {
    format!("written{at}")
}

fn batch(producer: (i64, i16), sequence: i32, id: u64, now_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new().producer(producer.0, producer.1, sequence).transactional();
    builder.push(now_ms, None, Some(&id.to_be_bytes()), std::iter::empty());
    builder.build()
}

/// A producer for as long as the broker lives.
pub async fn work(run: Rc<Run>, at: usize) {
    let line = Rc::new(Line::default());
    let pause_ms = run.ledger.borrow().producers[at].plan.pause_ms;
    loop {
        let ms = run.world.draw(|chance| chance.magnitude(1, pause_ms.max(20)));
        rt::sleep(Duration::from_millis(ms)).await;
        let state = run.ledger.borrow().producers[at].clone();
        let is_calm = run.is_calm.get();
        if is_calm && state.open.is_none() {
            return;
        }
        if !is_calm {
            disturb(&run, &line, at).await;
        }
        let state = run.ledger.borrow().producers[at].clone();
        match (state.must_init, &state.step) {
            (Some(init), _) => initialize(&run, &line, at, init).await,
            (None, Some(step)) => attempt(&run, &line, at, &state, step.clone()).await,
            (None, None) => choose(&run, &line, at),
        }
    }
}

/// It dies, or stands still; or somebody looks at what it has committed.
async fn disturb(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    match run.world.draw(|chance| chance.below(80)) {
        0 => {
            let mut ledger = run.ledger.borrow_mut();
            let producer = &mut ledger.producers[at];
            producer.must_init = Some(Init::Anew);
        }
        1 => {
            let most_ms = run.ledger.borrow().producers[at].plan.timeout_ms as u64 * 2;
            let ms = run.world.draw(|chance| chance.magnitude(10, most_ms));
            rt::sleep(Duration::from_millis(ms)).await;
        }
        2..=5 => drop(look(run, line, at).await),
        _ => {}
    }
}

async fn initialize(run: &Rc<Run>, line: &Rc<Line>, at: usize, init: Init) {
    let before = run.ledger.borrow().producers[at].clone();
    let expected = if init == Init::Anew { (-1, -1) } else { before.producer };
    let request = InitProducerIdRequest {
        transactional_id: Some(transactional_id(at)),
        transaction_timeout_ms: before.plan.timeout_ms,
        producer_id: expected.0,
        producer_epoch: expected.1,
        ..Default::default()
    };
    let Some(answer) = call(run, line, (&request, 5), PATIENCE, |_| {}).await else { return };
    let code = ErrorCode::from_code(answer.error_code);
    run.world.note(|| {
        format!(
            "producer {at} asks for an epoch behind {expected:?}: {code:?} {} {}",
            answer.producer_id, answer.producer_epoch
        )
    });
    match verdict(code) {
        Verdict::Done => {
            let next = (answer.producer_id, answer.producer_epoch);
            let is_repeated = init == Init::GoingOn && next == before.producer;
            if next.0 == before.producer.0
                && next.1 <= before.producer.1
                && !is_repeated
                && before.producer.1 < i16::MAX - 1
            {
                run.violated(&format!("producer {at} was {:?} and is told to be {next:?}", before.producer));
            }
            {
                let mut ledger = run.ledger.borrow_mut();
                let producer = &mut ledger.producers[at];
                producer.producer = next;
                producer.sequences.clear();
                (producer.must_init, producer.open, producer.step) = (None, None, None);
                producer.is_unsure = false;
            }
            if before.producer.1 >= 0 && run.world.draw(|chance| chance.one_in(2)) {
                haunt(run, line, at, &before).await;
            }
        }
        Verdict::Again => {}
        Verdict::Fenced => run.ledger.borrow_mut().producers[at].must_init = Some(Init::Anew),
        Verdict::Abort | Verdict::Wrong => run.violated(&format!("producer {at}: InitProducerId is answered {code:?}")),
    }
}

/// The process before goes on as if it lived: nothing of what it does may be taken.
async fn haunt(run: &Rc<Run>, line: &Rc<Line>, at: usize, zombie: &Producer) {
    let id = draw_batch_id(run);
    let partition = run.world.draw(|chance| chance.below(run.plan.data_partitions as u64)) as i32;
    let sequence = zombie.sequences.get(&partition).copied().unwrap_or(0) + 1;
    let step = Step::Write { partition, id, sequence };
    for step in [step, Step::Commit { partition: 0, value: -2 }, Step::End(TransactionEnd::Commit)] {
        let code = send(run, line, at, zombie, &step).await;
        if code == Some(ErrorCode::None) {
            run.violated(&format!("producer {at} was fenced as {:?}, but {step:?} was taken", zombie.producer));
        }
    }
}

fn draw_batch_id(run: &Run) -> u64 {
    let mut ledger = run.ledger.borrow_mut();
    ledger.batches += 1;
    ledger.batches
}

/// Decides what comes next.
fn choose(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    let state = run.ledger.borrow().producers[at].clone();
    let Some(open) = state.open else {
        if state.plan.version == ClientVersion::One {
            // Without an epoch of its own for each transaction, what is late would be taken for part of the next one.
            line.connect_anew();
        }
        let steps = run.world.draw(|chance| chance.between(1, 5));
        return run.ledger.borrow_mut().begin(at, steps);
    };
    let is_old = state.plan.version == ClientVersion::One;
    let step = if state.steps_left == 0 || run.is_calm.get() {
        let txn = run.ledger.borrow().txns[open].clone();
        let has_written =
            txn.batches.iter().any(|(_, _, taken)| *taken) || txn.offsets.iter().any(|(_, _, taken)| *taken);
        let commits = has_written && run.world.draw(|chance| !chance.one_in(4));
        let is_empty = is_old && state.added.is_empty() && !state.has_added_group;
        if is_empty {
            // Nothing is known to have begun.
            let mut ledger = run.ledger.borrow_mut();
            let producer = &mut ledger.producers[at];
            (producer.open, producer.must_init) = (None, Some(Init::GoingOn));
            return;
        }
        Step::End(if commits { TransactionEnd::Commit } else { TransactionEnd::Abort })
    } else if run.world.draw(|chance| chance.one_in(3)) {
        match is_old && !state.has_added_group {
            true => Step::AddGroup,
            false => {
                let count = run.plan.read_partitions as u64;
                let partition = run.world.draw(|chance| chance.below(count)) as i32;
                let value = run.offsets.borrow_mut().draw_value();
                Step::Commit { partition, value }
            }
        }
    } else {
        let partition = run.world.draw(|chance| chance.below(run.plan.data_partitions as u64)) as i32;
        match is_old && !state.added.contains(&partition) {
            true => Step::Add(partition),
            false => {
                let sequence = state.sequences.get(&partition).copied().unwrap_or(0);
                Step::Write { partition, id: draw_batch_id(run), sequence }
            }
        }
    };
    let mut ledger = run.ledger.borrow_mut();
    let txn = &mut ledger.txns[open];
    match &step {
        Step::Write { partition, id, .. } => txn.batches.push((*partition, *id, false)),
        Step::Commit { partition, value } => txn.offsets.push((*partition, *value, false)),
        Step::End(TransactionEnd::Commit) => txn.asked_commit = true,
        _ => {}
    }
    ledger.producers[at].step = Some(step);
}

async fn attempt(run: &Rc<Run>, line: &Rc<Line>, at: usize, state: &Producer, step: Step) {
    let Some(code) = send(run, line, at, state, &step).await else { return };
    run.world.note(|| format!("producer {at} as {:?}: {step:?}: {code:?}", state.producer));
    let now = run.tick();
    let mut ledger = run.ledger.borrow_mut();
    if ledger.producers[at].step.as_ref() != Some(&step) {
        return;
    }
    let is_end = matches!(step, Step::End(_));
    match verdict(code) {
        Verdict::Done => done(&mut ledger, at, &step, now),
        Verdict::Again => {}
        Verdict::Fenced => ledger.producers[at].must_init = Some(Init::Anew),
        // Version 2: it took too long and was aborted, which looks like an end that this one does not repeat.
        Verdict::Abort if step == Step::End(TransactionEnd::Commit) && state.plan.version == ClientVersion::Two => {
            ledger.producers[at].must_init = Some(Init::Anew);
        }
        Verdict::Abort if !is_end => {
            let producer = &mut ledger.producers[at];
            (producer.is_unsure, producer.steps_left) = (true, 0);
            let is_old = producer.plan.version == ClientVersion::One;
            producer.step = Some(Step::End(TransactionEnd::Abort));
            if is_old && producer.added.is_empty() && !producer.has_added_group {
                (producer.step, producer.must_init) = (None, Some(Init::Anew));
            }
        }
        Verdict::Abort | Verdict::Wrong => {
            drop(ledger);
            run.violated(&format!("producer {at} as {:?}: {step:?} is answered {code:?}", state.producer));
        }
    }
}

fn done(ledger: &mut super::ledger::Ledger, at: usize, step: &Step, now: u64) {
    let Some(open) = ledger.producers[at].open else { return };
    match step {
        Step::End(end) => return ledger.ended(at, *end, now),
        Step::Add(partition) => drop(ledger.producers[at].added.insert(*partition)),
        Step::AddGroup => ledger.producers[at].has_added_group = true,
        Step::Write { partition, id, sequence } => {
            ledger.producers[at].sequences.insert(*partition, sequence + 1);
            let batches = &mut ledger.txns[open].batches;
            batches.iter_mut().filter(|(_, known, _)| known == id).for_each(|(_, _, taken)| *taken = true);
        }
        Step::Commit { value, .. } => {
            let offsets = &mut ledger.txns[open].offsets;
            offsets.iter_mut().filter(|(_, known, _)| known == value).for_each(|(_, _, taken)| *taken = true);
        }
    }
    let producer = &mut ledger.producers[at];
    producer.step = None;
    producer.steps_left = producer.steps_left.saturating_sub(1);
}

/// Sends what a step asks for.
async fn send(run: &Rc<Run>, line: &Rc<Line>, at: usize, state: &Producer, step: &Step) -> Option<ErrorCode> {
    let (producer_id, producer_epoch) = state.producer;
    let id = transactional_id(at);
    let is_old = state.plan.version == ClientVersion::One;
    let code = match step {
        Step::Add(partition) => {
            let request = AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: id,
                v3_and_below_producer_id: producer_id,
                v3_and_below_producer_epoch: producer_epoch,
                v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                    name: DATA_TOPIC.into(),
                    partitions: vec![*partition],
                }],
                ..Default::default()
            };
            let answer = call(run, line, (&request, 3), PATIENCE, |_| {}).await?;
            answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
        }
        Step::AddGroup => {
            let group_id = KafkaString::from(group(at));
            let request = AddOffsetsToTxnRequest { transactional_id: id, producer_id, producer_epoch, group_id };
            call(run, line, (&request, 3), PATIENCE, |_| {}).await?.error_code
        }
        Step::Write { partition, id: number, sequence } => {
            let records = batch(state.producer, *sequence, *number, rt::clock::now_ms());
            let data = PartitionProduceData { index: *partition, records: Some(records) };
            let topic = TopicProduceData { name: DATA_TOPIC.into(), partition_data: vec![data], ..Default::default() };
            let request =
                ProduceRequest { transactional_id: Some(id), acks: -1, timeout_ms: 5000, topic_data: vec![topic] };
            let answer = call(run, line, (&request, if is_old { 11 } else { 12 }), PATIENCE, |_| {}).await?;
            answer.responses[0].partition_responses[0].error_code
        }
        Step::Commit { partition, value } => {
            let request = offsets_request(at, state, *partition, *value);
            let answer = call(run, line, (&request, if is_old { 4 } else { 5 }), PATIENCE, |_| {}).await?;
            answer.topics[0].partitions[0].error_code
        }
        Step::End(end) => return send_end(run, line, at, state, *end).await,
    };
    Some(ErrorCode::from_code(code))
}

fn offsets_request(at: usize, state: &Producer, partition: i32, value: i64) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: value,
        committed_metadata: Some(KafkaString::EMPTY),
        ..Default::default()
    };
    TxnOffsetCommitRequest {
        transactional_id: transactional_id(at),
        group_id: group(at).into(),
        producer_id: state.producer.0,
        producer_epoch: state.producer.1,
        topics: vec![TxnOffsetCommitRequestTopic { name: READ_TOPIC.into(), partitions: vec![partition] }],
        ..Default::default()
    }
}

async fn send_end(
    run: &Rc<Run>,
    line: &Rc<Line>,
    at: usize,
    state: &Producer,
    end: TransactionEnd,
) -> Option<ErrorCode> {
    let is_old = state.plan.version == ClientVersion::One;
    let request = EndTxnRequest {
        transactional_id: transactional_id(at),
        producer_id: state.producer.0,
        producer_epoch: state.producer.1,
        committed: end == TransactionEnd::Commit,
    };
    let answer = call(run, line, (&request, if is_old { 4 } else { 5 }), PATIENCE, |_| {}).await?;
    let mut ledger = run.ledger.borrow_mut();
    let producer = &mut ledger.producers[at];
    let is_ours = producer.producer == state.producer && producer.step == Some(Step::End(end));
    if answer.error_code == 0 && !is_old && is_ours {
        let next = (answer.producer_id, answer.producer_epoch);
        if next != state.producer {
            producer.sequences.clear();
            producer.is_unsure = false;
        }
        producer.producer = next;
    }
    Some(ErrorCode::from_code(answer.error_code))
}

/// Asks for the committed offsets of a producer's group: what is found, by partition. `None`: not all is stable.
pub async fn look(run: &Rc<Run>, line: &Rc<Line>, at: usize) -> Option<Vec<(i32, i64)>> {
    let asked = run.tick();
    let partition_indexes: Vec<i32> = (0..run.plan.read_partitions).collect();
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group(at).into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: READ_TOPIC.into(),
                partition_indexes,
                ..Default::default()
            }]),
            ..Default::default()
        }],
        require_stable: true,
        ..Default::default()
    };
    let response = call(run, line, (&request, 9), PATIENCE, |_| {}).await?;
    let found = response.groups.first().filter(|found| found.error_code == 0)?;
    let mut all = Vec::new();
    let mut is_stable = true;
    for partition in &found.topics[0].partitions {
        let (index, offset) = (partition.partition_index, partition.committed_offset);
        match ErrorCode::from_code(partition.error_code) {
            ErrorCode::None if run.plan.expires && offset == super::offsets::NOTHING => {}
            ErrorCode::None => {
                let checked = run.ledger.borrow().check_offset(at, index, offset, asked);
                if let Err(problem) = checked {
                    run.violated(&format!("offset of partition {index} of {}: {problem}", group(at)));
                }
            }
            ErrorCode::UnstableOffsetCommit => is_stable = false,
            other => run.violated(&format!("OffsetFetch is answered {other:?}")),
        }
        all.push((index, offset));
    }
    is_stable.then_some(all)
}
