//! What comes back: answers, broken connections, batches that took too long; and what follows for each batch: done, again, split, failed.

use bytes::Bytes;

use super::batch::{Batch, BatchBox};
use super::connection::{Connection, Request};
use super::producer::{Context, Part, Producer};
use super::request::{self, Answer};
use crate::protocol::ErrorCode;
use crate::record::{NO_SEQUENCE, increment_sequence};

const MS: u64 = 1_000_000;
/// Batches that wait here to be used again, at most; the rest is freed.
const SPARE_BATCHES_MAX: usize = 4096;

impl Producer {
    /// A broker answered.
    pub fn on_answer(&mut self, request: Request, frame: Bytes, cx: &mut Context<'_>) {
        let Ok(answers) = request::decode(cx.run, frame) else {
            self.fail_request(request, ErrorCode::CorruptMessage, cx);
            return;
        };
        self.count_request(&request, cx);
        cx.tally.interval.request_latency.saturating_record(cx.now.saturating_sub(request.sent));
        for (at, batch) in request.batches.into_iter().enumerate() {
            let part = &self.parts[batch.part as usize];
            let is_his = |(topic, index, _): &&(u32, i32, Answer)| *topic == part.topic && *index == part.index;
            // Answers come in the order of the request, as a rule.
            let found = answers.get(at).filter(is_his).or_else(|| answers.iter().find(is_his));
            match found {
                Some((_, _, answer)) => self.settle(batch, *answer, cx),
                None => self.settle(batch, failed(ErrorCode::UnknownServerError), cx),
            }
        }
        self.wants_sender = true;
    }

    /// A request with acks=0 is written: that is all that will ever be known.
    pub fn complete_unanswered(&mut self, request: Request, cx: &mut Context<'_>) {
        self.count_request(&request, cx);
        cx.tally.interval.request_latency.saturating_record(cx.now.saturating_sub(request.sent));
        for batch in request.batches {
            self.settle(batch, Answer { code: 0, base_offset: -1, leader: -1 }, cx);
        }
        self.wants_sender = true;
    }

    fn count_request(&mut self, request: &Request, cx: &mut Context<'_>) {
        let interval = &mut cx.tally.interval;
        interval.produce_requests += 1;
        interval.batches += request.batches.len() as u64;
        interval.batch_bytes += request.batches.iter().map(|batch| batch.wire().len() as u64).sum::<u64>();
    }

    /// The connection with this place on the thread is gone: what was sent over it is sent again.
    pub fn lose(&mut self, connection: usize, why: ErrorCode, cx: &mut Context<'_>) {
        let requests = cx.connections[connection].close();
        cx.connections[connection].retry_at = cx.now + 50 * MS;
        if requests.is_empty() {
            cx.tally.error(why.code(), 1);
        }
        for request in requests {
            self.fail_request(request, why, cx);
        }
        self.wants_sender = true;
        self.refresh(cx);
    }

    fn fail_request(&mut self, request: Request, why: ErrorCode, cx: &mut Context<'_>) {
        for batch in request.batches {
            self.settle(batch, failed(why), cx);
        }
        self.wants_sender = true;
    }

    /// Looks for what took too long. Called now and then.
    pub fn expire(&mut self, cx: &mut Context<'_>) {
        let settings = &self.plan.settings;
        let (request_timeout, delivery_timeout) = (settings.request_timeout_ns, settings.delivery_timeout_ns);
        for link in 0..self.links.len() {
            let place = self.links[link].connection;
            let oldest = cx.connections[place].oldest_sent();
            if oldest.is_some_and(|sent| cx.now.saturating_sub(sent) >= request_timeout) {
                self.lose(place, ErrorCode::RequestTimedOut, cx);
            }
        }
        for at in 0..self.active.len() {
            let place = self.active[at] as usize;
            loop {
                let part = &mut self.parts[place];
                let is_old = |batch: &BatchBox| cx.now.saturating_sub(batch.created) >= delivery_timeout;
                if !part.queue.front().is_some_and(is_old) {
                    break;
                }
                let batch = part.queue.pop_front().expect("it was just seen");
                cx.tally.error(ErrorCode::RequestTimedOut.code(), 1);
                self.give_up(batch, cx);
            }
        }
        let parts = &mut self.parts;
        self.active.retain(|place| {
            let part = &mut parts[*place as usize];
            part.is_active = !part.queue.is_empty();
            part.is_active
        });
    }

    /// One batch was answered for.
    fn settle(&mut self, batch: BatchBox, answer: Answer, cx: &mut Context<'_>) {
        let part = &mut self.parts[batch.part as usize];
        part.on_wire -= 1;
        self.on_wire -= 1;
        let code = ErrorCode::from_code(answer.code);
        if answer.code == 0 || code == ErrorCode::DuplicateSequenceNumber {
            self.succeed(batch, answer, cx);
            return;
        }
        cx.tally.error(answer.code, 1);
        if is_stale(code) {
            if answer.leader >= 0 {
                cx.run.set_leader(part.place, answer.leader);
            }
            self.refresh(cx);
        }
        if code == ErrorCode::MessageTooLarge && batch.count > 1 {
            self.split(batch, cx);
        } else if self.may_retry(&batch, code, cx.now) {
            self.put_back(batch, code, cx.now);
        } else {
            self.give_up(batch, cx);
        }
    }

    fn succeed(&mut self, batch: BatchBox, answer: Answer, cx: &mut Context<'_>) {
        let part = &mut self.parts[batch.part as usize];
        part.forget_sequence(batch.base_sequence);
        if answer.base_offset >= 0 {
            cx.run.note_end(part.place, answer.base_offset + i64::from(batch.count));
        }
        if self.plan.verify {
            let (first, end) = (batch.first_number, batch.first_number + u64::from(batch.count));
            match &mut self.transaction {
                Some(transaction) => transaction.note_acked(batch.part, first, end),
                None => part.acked.insert_run(first, end),
            }
        }
        let interval = &mut cx.tally.interval;
        interval.acked += u64::from(batch.count);
        interval.acked_bytes += batch.user_bytes;
        for (intended, count) in &batch.times {
            interval.latency.saturating_record_n(cx.now.saturating_sub(*intended), u64::from(*count));
        }
        cx.tally.in_flight -= u64::from(batch.count);
        self.release(batch, cx);
    }

    fn may_retry(&self, batch: &Batch, code: ErrorCode, now: u64) -> bool {
        let settings = &self.plan.settings;
        // An earlier batch that is sent again explains a gap; without one a new epoch is needed, which a transaction can't have.
        let is_explained = !self.parts[batch.part as usize].is_oldest(batch.base_sequence);
        let may_renew = batch.base_sequence != NO_SEQUENCE && (is_explained || self.transaction.is_none());
        let is_mendable = code.is_retriable() || (may_renew && is_lost_sequence(code));
        is_mendable
            && now.saturating_sub(batch.created) < settings.delivery_timeout_ns
            && batch.attempts < settings.retries
    }

    /// The batch waits for another try, in front of what is not sent yet, and in the order of sequences.
    fn put_back(&mut self, mut batch: BatchBox, code: ErrorCode, now: u64) {
        let place = batch.part;
        let part = &mut self.parts[place as usize];
        part.is_broken |= is_lost_sequence(code) && part.is_oldest(batch.base_sequence);
        batch.attempts += 1;
        batch.last_attempt = now;
        part.insert(batch);
        self.activate(place);
    }

    /// Cuts a batch that is too large for the broker into batches of `batch.size`.
    fn split(&mut self, batch: BatchBox, cx: &mut Context<'_>) {
        let limit = self.plan.settings.batch_size;
        let smaller = batch.split(limit, &mut cx.spare.bytes);
        let place = batch.part;
        let part = &mut self.parts[place as usize];
        part.forget_sequence(batch.base_sequence);
        for batch in smaller.into_iter().rev() {
            if batch.base_sequence != NO_SEQUENCE {
                let at = part.in_flight.partition_point(|other| precedes(*other, batch.base_sequence));
                part.in_flight.insert(at, batch.base_sequence);
            }
            part.insert(batch);
        }
        let topic = part.topic;
        if let Some(state) = self.topics.iter_mut().find(|state| state.topic == topic) {
            state.ratio = batch.compression_ratio().max(1.0);
        }
        self.activate(place);
        self.release(batch, cx);
    }

    fn give_up(&mut self, batch: BatchBox, cx: &mut Context<'_>) {
        cx.tally.interval.failed += u64::from(batch.count);
        cx.tally.in_flight -= u64::from(batch.count);
        let part = &mut self.parts[batch.part as usize];
        match &mut self.transaction {
            // The epoch that follows the abort has sequences of its own.
            Some(transaction) => {
                part.forget_sequence(batch.base_sequence);
                transaction.fail();
            }
            None if batch.base_sequence != NO_SEQUENCE => {
                part.forget_sequence(batch.base_sequence);
                part.is_broken = true;
            }
            None => {}
        }
        self.release(batch, cx);
        self.wants_sender = true;
    }

    fn release(&mut self, batch: BatchBox, cx: &mut Context<'_>) {
        self.memory_free += if batch.is_split { 0 } else { batch.reserved };
        if !batch.is_split && cx.spare.batches.len() < SPARE_BATCHES_MAX {
            cx.spare.batches.push(batch);
        }
    }

    fn activate(&mut self, place: u32) {
        let part = &mut self.parts[place as usize];
        if !part.is_active {
            part.is_active = true;
            self.active.push(place);
        }
    }

    /// Whether all connections that it needs are up, and it has the id that it needs.
    pub fn is_ready(&self, connections: &[Connection]) -> bool {
        self.identity.is_some() && self.links.iter().all(|link| connections[link.connection].is_up())
    }
}

impl Part {
    /// A new producer id: sequences start over, those of batches that wait, too.
    pub fn forget_sequences(&mut self) {
        self.is_broken = false;
        self.epoch = -1;
        self.in_flight.clear();
        self.queue.iter_mut().for_each(|batch| batch.base_sequence = NO_SEQUENCE);
    }

    /// Whether no earlier batch is still to be answered for.
    fn is_oldest(&self, sequence: i32) -> bool {
        self.in_flight.first().is_none_or(|oldest| *oldest == sequence)
    }

    fn forget_sequence(&mut self, sequence: i32) {
        if sequence != NO_SEQUENCE {
            self.in_flight.retain(|other| *other != sequence);
        }
    }

    /// Puts a batch in front of those that are not sent yet.
    fn insert(&mut self, batch: BatchBox) {
        let earlier = |other: &BatchBox| {
            batch.base_sequence != NO_SEQUENCE
                && other.base_sequence != NO_SEQUENCE
                && precedes(other.base_sequence, batch.base_sequence)
        };
        let at = self.queue.iter().take_while(|other| earlier(other)).count();
        self.queue.insert(at, batch);
    }
}

/// Whether one sequence comes before another; they wrap.
fn precedes(sequence: i32, other: i32) -> bool {
    let ahead = other.wrapping_sub(sequence) & i32::MAX;
    ahead != 0 && ahead < i32::MAX / 2 && increment_sequence(sequence, ahead) == other
}

fn failed(code: ErrorCode) -> Answer {
    Answer { code: code.code(), base_offset: -1, leader: -1 }
}

/// Errors that say that the leader is somewhere else.
fn is_stale(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::NetworkException
            | ErrorCode::KafkaStorageError
            | ErrorCode::UnknownLeaderEpoch
    )
}

/// Errors that say that the broker does not have the sequences that came before.
fn is_lost_sequence(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerEpoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_ordered_across_their_wrap() {
        assert!(precedes(1, 2) && !precedes(2, 1) && !precedes(2, 2));
        assert!(precedes(i32::MAX - 1, 5) && !precedes(5, i32::MAX - 1));
    }
}
