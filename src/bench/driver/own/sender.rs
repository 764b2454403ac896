//! What goes out: which brokers have something to be sent, and one request for each, as Kafka's `Sender` and `RecordAccumulator` do it.
//!
//! A broker is ready when one of its partitions is: a batch is full, has waited for `linger.ms`, or memory is short. Its request then takes
//! the first batch of *every* partition that it leads, ready or not, until `max.request.size`.

use super::batch::{Batch, BatchBox};
use super::clerk::Job;
use super::connection::{Connection, Owner, Progress};
use super::producer::{Context, Link, Part, Producer};
use super::request;
use super::transaction::{Joining, Transaction};
use crate::record::{NO_SEQUENCE, increment_sequence};

const MS: u64 = 1_000_000;
/// Pause before a broker that could not be reached is tried again (Kafka's `reconnect.backoff.ms`).
const RECONNECT_NS: u64 = 50 * MS;
/// Bytes of requests that are worth a system call of their own.
const WRITE_LEN_MIN: usize = 32 << 10;

impl Producer {
    /// Sends what is ready; sets the time at which there is something to look at again.
    pub fn run_sender(&mut self, cx: &mut Context<'_>) {
        self.wants_sender = false;
        self.timer = self.blocks_until();
        if self.identity.is_none() {
            return;
        }
        self.renew_epochs();
        self.add_partitions(cx);
        loop {
            self.find_ready(cx);
            let mut sent = false;
            for link in 0..self.links.len() {
                if !self.links[link].is_ready {
                    continue;
                }
                let place = self.links[link].connection;
                self.links[link].ready_at = cx.now;
                if cx.connections[place].can_send(self.plan.settings.in_flight_max) {
                    self.links[link].drained_at = cx.now;
                    sent |= self.drain(link, cx);
                } else {
                    self.bring_up(link, cx);
                }
            }
            if !sent {
                break;
            }
            if self.is_worth_a_write(cx) {
                self.flush(cx);
            }
        }
        self.flush(cx);
        self.advance_transaction(cx);
    }

    /// Whether what is queued goes out before more is: small requests share a system call, which costs more than they do.
    fn is_worth_a_write(&self, cx: &Context<'_>) -> bool {
        let unwritten = |link: &Link| cx.connections[link.connection].unwritten_len();
        self.plan.settings.acks == 0 || self.links.iter().any(|link| unwritten(link) >= WRITE_LEN_MIN)
    }

    /// Marks the brokers that have something to be sent.
    fn find_ready(&mut self, cx: &mut Context<'_>) {
        self.links.iter_mut().for_each(|link| link.is_ready = false);
        let settings = &self.plan.settings;
        let is_flushing = self.transaction.as_ref().is_some_and(|transaction| transaction.is_flushing());
        let is_urgent = is_flushing || self.is_blocked();
        let mut has_unknown = false;
        for at in 0..self.active.len() {
            let part = &self.parts[self.active[at] as usize];
            let Some(first) = part.queue.front() else { continue };
            if part.is_broken || !self.is_joined(part) || (settings.in_flight_max == 1 && part.on_wire > 0) {
                continue;
            }
            let waited_ms = (cx.now / MS).saturating_sub(first.last_attempt / MS);
            let backing_off = backs_off(first, settings.backoff(first.attempts.saturating_sub(1)) / MS, waited_ms);
            let is_full = part.queue.len() > 1 || first.is_full();
            let wait_ms = if backing_off { settings.backoff(first.attempts - 1) / MS } else { settings.linger_ms };
            if !backing_off && (is_full || is_urgent || waited_ms >= wait_ms) {
                let leader = cx.run.leader(part.place);
                if leader < 0 {
                    has_unknown = true;
                    continue;
                }
                let link = link_to(&mut self.links, leader, self.place, cx.connections);
                self.links[link].is_ready = true;
            } else {
                self.timer = self.timer.min(first.last_attempt + wait_ms * MS);
            }
        }
        if has_unknown {
            self.refresh(cx);
        }
    }

    /// One request to a broker; false if nothing may go.
    fn drain(&mut self, link: usize, cx: &mut Context<'_>) -> bool {
        let broker = self.links[link].broker;
        let size_max = self.plan.settings.request_size_max;
        let mut size = 0;
        let mut taken: Vec<(u32, i32, BatchBox)> = Vec::new();
        let mut is_cut = false;
        for at in 0..self.active.len() {
            let place = self.active[at];
            let part = &self.parts[place as usize];
            if cx.run.leader(part.place) != broker || !self.may_go(part, cx.now) {
                continue;
            }
            let estimate = part.queue.front().map_or(0, |batch| batch.estimated_size());
            if size + estimate > size_max && !taken.is_empty() {
                is_cut = true;
                break;
            }
            let batch = self.take_first(place, cx);
            size += batch.wire().len();
            let part = &self.parts[place as usize];
            taken.push((part.topic, part.index, batch));
        }
        if taken.is_empty() {
            return false;
        }
        if is_cut {
            // Those that had to stay behind are first next time.
            let turned = taken.len() % self.active.len();
            self.active.rotate_left(turned);
        }
        let parts = &mut self.parts;
        self.active.retain(|place| {
            let part = &mut parts[*place as usize];
            part.is_active = !part.queue.is_empty();
            part.is_active
        });
        if self.topics.len() > 1 {
            taken.sort_by_key(|(topic, _, _)| *topic);
        }
        let connection = &mut cx.connections[self.links[link].connection];
        let correlation_id = connection.correlation_id();
        let id = self.transactional_id.as_deref();
        connection.send(request::encode(cx.run, &self.plan.envelope, id, correlation_id, taken, cx.now));
        true
    }

    /// Whether the first batch of a partition may be sent now.
    fn may_go(&self, part: &Part, now: u64) -> bool {
        let settings = &self.plan.settings;
        let Some(first) = part.queue.front() else { return false };
        let waited_ms = (now / MS).saturating_sub(first.last_attempt / MS);
        if backs_off(first, settings.backoff(first.attempts.saturating_sub(1)) / MS, waited_ms) {
            return false;
        }
        if settings.in_flight_max == 1 && part.on_wire > 0 {
            return false;
        }
        if !settings.idempotent {
            return true;
        }
        if part.is_broken || !self.is_joined(part) {
            return false;
        }
        match (first.base_sequence, part.in_flight.first()) {
            // Nothing new goes while batches of an old epoch are open.
            (NO_SEQUENCE, Some(_)) => self.identity.is_some_and(|identity| identity.epoch == part.epoch),
            (NO_SEQUENCE, None) => true,
            // What is sent again goes in order: only the oldest one may.
            (sequence, oldest) => oldest.is_none_or(|oldest| *oldest == sequence),
        }
    }

    /// Whether its open transaction, if there is one, knows a partition.
    fn is_joined(&self, part: &Part) -> bool {
        let by_request = |it: &Transaction| it.joining == Joining::ByRequest;
        part.is_added || !self.transaction.as_ref().is_some_and(by_request)
    }

    /// Takes the first batch of a partition out of the accumulator and makes it ready to be sent.
    fn take_first(&mut self, place: u32, cx: &mut Context<'_>) -> BatchBox {
        let identity = self.identity.expect("nothing is sent without one");
        let part = &mut self.parts[place as usize];
        let mut batch = part.queue.pop_front().expect("the caller has seen it");
        batch.close(&mut cx.spare.bytes);
        if batch.attempts == 0 && !batch.is_split {
            let observed = batch.compression_ratio();
            let topic = part.topic;
            if let Some(state) = self.topics.iter_mut().find(|state| state.topic == topic) {
                state.ratio = updated_ratio(state.ratio, observed);
            }
        }
        if self.plan.settings.idempotent && batch.base_sequence == NO_SEQUENCE {
            if part.epoch != identity.epoch {
                part.epoch = identity.epoch;
                part.next_sequence = 0;
            }
            batch.base_sequence = part.next_sequence;
            part.next_sequence = increment_sequence(part.next_sequence, batch.count as i32);
            part.in_flight.push(batch.base_sequence);
        }
        part.on_wire += 1;
        self.on_wire += 1;
        batch.seal(super::batch::Identity {
            epoch: if identity.id < 0 { identity.epoch } else { part.epoch },
            ..identity
        });
        batch
    }

    /// Partitions in which a sequence is lost go on in a new epoch, with sequences from 0, once nothing of theirs is on the way.
    fn renew_epochs(&mut self) {
        let Some(identity) = &mut self.identity else { return };
        if !self.parts.iter().any(|part| part.is_broken && part.on_wire == 0) {
            return;
        }
        identity.epoch = identity.epoch.wrapping_add(1).max(0);
        for part in self.parts.iter_mut().filter(|part| part.is_broken && part.on_wire == 0) {
            part.is_broken = false;
            part.epoch = identity.epoch;
            part.next_sequence = 0;
            part.in_flight.clear();
            for batch in part.queue.iter_mut().filter(|batch| batch.base_sequence != NO_SEQUENCE) {
                batch.base_sequence = part.next_sequence;
                part.next_sequence = increment_sequence(part.next_sequence, batch.count as i32);
                part.in_flight.push(batch.base_sequence);
            }
        }
    }

    /// Writes what is queued on all connections.
    fn flush(&mut self, cx: &mut Context<'_>) {
        for link in 0..self.links.len() {
            let place = self.links[link].connection;
            if cx.connections[place].flush() == Progress::Broken {
                self.lose(place, crate::protocol::ErrorCode::NetworkException, cx);
            } else if self.plan.settings.acks == 0 {
                while let Some(request) = cx.connections[place].take_written() {
                    self.complete_unanswered(request, cx);
                }
            }
        }
    }

    /// The socket has room again.
    pub fn on_writable(&mut self, cx: &mut Context<'_>) {
        self.flush(cx);
        self.wants_sender = true;
    }

    /// Connects to a broker that has something to be sent, if nobody does.
    pub fn bring_up(&mut self, link: usize, cx: &mut Context<'_>) {
        let Link { broker, connection: place, .. } = self.links[link];
        let buffers = self.plan.settings.buffers;
        let connection = &mut cx.connections[place];
        if !connection.is_down() {
            return;
        }
        if connection.retry_at > cx.now {
            self.timer = self.timer.min(connection.retry_at);
            return;
        }
        connection.retry_at = cx.now + RECONNECT_NS;
        let opened = match cx.run.address(broker) {
            Some(address) => connection.open(address, buffers, cx.poller, place as u64).is_ok(),
            None => false,
        };
        if !opened {
            self.timer = self.timer.min(cx.connections[place].retry_at);
            self.refresh(cx);
        }
    }

    /// Connects to the leaders of all partitions before the first record is due.
    pub fn connect_all(&mut self, cx: &mut Context<'_>) {
        for at in 0..self.parts.len() {
            let leader = cx.run.leader(self.parts[at].place);
            if leader >= 0 {
                link_to(&mut self.links, leader, self.place, cx.connections);
            }
        }
        for link in 0..self.links.len() {
            self.bring_up(link, cx);
        }
    }

    /// Asks for the leaders again, but not all the time.
    pub fn refresh(&mut self, cx: &mut Context<'_>) {
        if cx.now >= self.refresh_at {
            self.refresh_at = cx.now + self.plan.settings.backoff_ns;
            let _ = cx.jobs.send(Job::Refresh);
        }
        self.timer = self.timer.min(self.refresh_at);
    }
}

/// Whether a batch that failed waits for its next try.
fn backs_off(batch: &Batch, backoff_ms: u64, waited_ms: u64) -> bool {
    batch.attempts > 0 && waited_ms < backoff_ms
}

/// The link to a broker, made if there is none.
fn link_to(links: &mut Vec<Link>, broker: i32, owner: u32, connections: &mut Vec<Connection>) -> usize {
    if let Some(at) = links.iter().position(|link| link.broker == broker) {
        return at;
    }
    links.push(Link { broker, connection: connections.len(), is_ready: false, ready_at: 0, drained_at: 0 });
    connections.push(Connection::new(Owner::Producer(owner), broker));
    links.len() - 1
}

/// Kafka's `CompressionRatioEstimator`: quick to believe in worse, slow to believe in better.
fn updated_ratio(estimate: f32, observed: f32) -> f32 {
    if observed > estimate { (estimate + 0.05).max(observed) } else { (estimate - 0.005).max(observed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_of_ratios_follow_as_in_kafka() {
        assert!((updated_ratio(1.0, 0.3) - 0.995).abs() < 1e-6);
        assert!((updated_ratio(0.5, 0.52) - 0.55).abs() < 1e-6);
        assert!((updated_ratio(0.5, 0.9) - 0.9).abs() < 1e-6);
        assert!((updated_ratio(0.301, 0.3) - 0.3).abs() < 1e-6);
    }
}
