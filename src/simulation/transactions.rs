//! Producers that write transactions, the coordinator that ends them, and consumers that read what is committed.

use std::collections::HashSet;
use std::rc::Rc;

use super::actors::{self, Answer, Work};
use super::life::Run;
use super::model::{Attempt, Decision, Model, Sender, Sequence};
use crate::partition::{Acks, Partition};
use crate::record::{BatchHeader, ControlRecordType};
use crate::rt;

/// A producer with a transactional id, and what the coordinator has decided of its transaction; both live on when the broker dies.
#[derive(Clone, Debug)]
pub struct TransactionalClient {
    pub producer_id: i64,
    epoch: i16,
    next: i32,
    /// Sent, and not answered: a batch, or the marker.
    unanswered: Option<Rc<Attempt>>,
    /// Batches that are still to come in the open transaction.
    left: Option<u64>,
    /// It lost its place in the sequence.
    must_abort: bool,
}

impl TransactionalClient {
    pub fn new(producer_id: i64) -> TransactionalClient {
        TransactionalClient { producer_id, epoch: 0, next: 0, unanswered: None, left: None, must_abort: false }
    }

    fn answered(&mut self, attempt: &Attempt, answer: Answer) {
        if answer == Answer::Unknown {
            return;
        }
        self.unanswered = None;
        match answer {
            Answer::Acknowledged if attempt.marker.is_some() => (self.left, self.must_abort) = (None, false),
            Answer::Acknowledged => self.next = attempt.last_sequence() + 1,
            Answer::OutOfOrder => {
                self.epoch += 1;
                (self.next, self.left, self.must_abort) = (0, Some(0), true);
            }
            Answer::Refused | Answer::Unknown => {}
        }
    }
}

/// Writes transactions of a few batches; each is committed or aborted.
pub async fn transact(run: Rc<Run>, work: Rc<Work>, index: usize, partition: Partition, at: usize) {
    let pause_us = run.world.draw(|chance| chance.magnitude(10, 50_000));
    while !work.stop.get() && !partition.is_gone() {
        let attempt = next(&run, index, at);
        let answer = actors::send(&run, index, &partition, &attempt).await;
        run.with_model(index, |model| model.transactional[at].answered(&attempt, answer));
        actors::rest(&run, pause_us).await;
    }
}

fn next(run: &Run, index: usize, at: usize) -> Rc<Attempt> {
    let client = run.with_model(index, |model| model.transactional[at].clone());
    if let Some(unanswered) = client.unanswered {
        return unanswered;
    }
    let (attempt, left) = match client.left {
        Some(0) => (draw_marker(run, &client), 0),
        left => {
            let left = left.map_or_else(|| run.world.draw(|chance| chance.below(4)), |left| left - 1);
            (draw_batch(run, index, &client), left)
        }
    };
    run.with_model(index, |model| {
        let client = &mut model.transactional[at];
        (client.unanswered, client.left) = (Some(attempt.clone()), Some(left));
    });
    attempt
}

fn draw_batch(run: &Run, index: usize, client: &TransactionalClient) -> Rc<Attempt> {
    let sequence = Sequence { producer_id: client.producer_id, epoch: client.epoch, first: client.next };
    let sender = Sender { acks: Acks::All, sequence: Some(sequence), is_transactional: true };
    actors::draw_attempt(run, index, sender)
}

fn draw_marker(run: &Run, client: &TransactionalClient) -> Rc<Attempt> {
    let aborts = client.must_abort || run.world.draw(|chance| chance.one_in(2));
    let control_type = if aborts { ControlRecordType::Abort } else { ControlRecordType::Commit };
    Attempt::marker(run.draw_id(), client.producer_id, client.epoch, control_type, rt::clock::now_ms())
}

/// A consumer that reads what is committed: it leaves out what the list of a fetch says was aborted.
pub struct Filter {
    /// (producer id, first offset), the next one last.
    aborted: Vec<(i64, i64)>,
    active: HashSet<i64>,
}

impl Filter {
    pub fn new(mut aborted: Vec<(i64, i64)>) -> Filter {
        aborted.sort_by_key(|(_, first)| std::cmp::Reverse(*first));
        Filter { aborted, active: HashSet::new() }
    }

    /// Whether the next batch is left out.
    fn leaves_out(&mut self, header: &BatchHeader, is_abort: bool) -> bool {
        while let Some((producer_id, _)) = self.aborted.pop_if(|(_, first)| *first <= header.last_offset()) {
            self.active.insert(producer_id);
        }
        if is_abort {
            self.active.remove(&header.producer_id);
        }
        header.is_transactional() && !header.is_control() && self.active.contains(&header.producer_id)
    }

    /// Holds what the consumer does with a batch against what was decided.
    pub fn check(&mut self, model: &Model, header: &BatchHeader) -> Result<(), String> {
        let marker = model.log.get(&header.base_offset).and_then(|entry| entry.attempt.marker);
        let is_abort = marker.is_some_and(|marker| marker.control_type == ControlRecordType::Abort);
        let is_left_out = self.leaves_out(header, is_abort);
        let Some(decision) = model.decision(header.base_offset).filter(|_| !header.is_control()) else {
            return Ok(());
        };
        let is_just_decided = || {
            let of_producer = |attempt: &Rc<Attempt>| attempt.header.producer_id == header.producer_id;
            model.pending.values().any(|attempt| attempt.marker.is_some() && of_producer(attempt))
        };
        match decision {
            Decision::Open if !is_just_decided() => Err("is of a transaction that is not decided".to_owned()),
            Decision::Committed if is_left_out => {
                Err("was committed, but a consumer must take it for aborted".to_owned())
            }
            Decision::Aborted(_) if !is_left_out && header.records_count > 0 => {
                Err("was aborted, but a consumer must take it for committed".to_owned())
            }
            _ => Ok(()),
        }
    }
}
