//! The simulated disk ring: writes straight from memory that may change while they are under way, and syncs.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::tasks::Event;
use super::tree::NodeId;
use super::world::{Call, Sabotage, World, active, is_sabotaged};

/// A write or sync that the disk has not ended.
pub struct Transfer {
    node: NodeId,
    /// `None` for a sync.
    write: Option<Write>,
    answer: Rc<RefCell<Answer>>,
}

struct Write {
    position: u64,
    /// The bytes when it began.
    first: Vec<u8>,
    /// The bytes now.
    now: Box<dyn Fn() -> Vec<u8>>,
    is_durable: bool,
}

#[derive(Default)]
struct Answer {
    outcome: Option<io::Result<()>>,
    waker: Option<Waker>,
}

const SECTOR: usize = 512;

impl Write {
    /// Each sector was read from memory at some time between begin and end.
    fn bytes(&self, world: &World) -> Vec<u8> {
        let mut bytes = self.first.clone();
        let now = (self.now)();
        if now != bytes {
            for (old, new) in bytes.chunks_mut(SECTOR).zip(now.chunks(SECTOR)) {
                if world.draw(|chance| chance.one_in(2)) {
                    old.copy_from_slice(new);
                }
            }
        }
        bytes
    }
}

impl Transfer {
    /// It ends as it should.
    pub(super) fn complete(self, world: &World) {
        let outcome = self.perform(world);
        let mut answer = self.answer.borrow_mut();
        answer.outcome = Some(outcome);
        if let Some(waker) = answer.waker.take() {
            waker.wake();
        }
    }

    fn perform(&self, world: &World) -> io::Result<()> {
        let Some(write) = &self.write else {
            world.call(Call::DirectSync, self.node, 0)?;
            return world.sync_now(self.node);
        };
        let bytes = write.bytes(world);
        let called = world.call(Call::DirectWrite, self.node, write.position);
        if called.is_err() {
            // Some of it may be there all the same.
            self.tear(world, write, &bytes);
            return called;
        }
        world.mark(u64::from(crc32c::crc32c(&bytes)));
        world.note_written(self.node, write.position);
        let is_durable = write.is_durable && !(is_sabotaged(Sabotage::WalSync) && world.is_wal(self.node));
        world.with_content(self.node, |content| {
            content.write(write.position, &bytes, || true);
            if is_durable {
                content.sync_range(write.position, bytes.len());
            }
        })
    }

    fn tear(&self, world: &World, write: &Write, bytes: &[u8]) {
        let how = world.draw(|chance| chance.below(3));
        let _ = world.with_content(self.node, |content| match how {
            0 => {}
            1 => content.write(write.position, bytes, || true),
            _ => content.write(write.position, bytes, || world.draw(|chance| chance.one_in(2))),
        });
    }

    /// Its process is gone: it happens, in part or not at all.
    pub(super) fn interrupt(self, world: &World) {
        if let Some(write) = &self.write {
            self.tear(world, write, &write.bytes(world));
        }
    }
}

async fn run(node: NodeId, write: Option<Write>) -> io::Result<()> {
    let Some(world) = active().filter(|world| !world.has_crashed()) else {
        return Err(io::Error::other("the simulated process is dead"));
    };
    let answer: Rc<RefCell<Answer>> = Rc::default();
    let number = world.next_transfer();
    let delay_us = world.delay_us();
    world.transfers.borrow_mut().insert(number, Transfer { node, write, answer: Rc::clone(&answer) });
    world.add_event(delay_us, Event::Transfer(number));
    drop(world);
    poll_fn(|cx| {
        let mut answer = answer.borrow_mut();
        match answer.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                answer.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}

/// Writes the bytes that `now` gives, which may change until it ends; durable when it ends, if `is_durable`.
pub async fn write(node: NodeId, position: u64, now: Box<dyn Fn() -> Vec<u8>>, is_durable: bool) -> io::Result<()> {
    run(node, Some(Write { position, first: now(), now, is_durable })).await
}

/// `fdatasync`.
pub async fn sync(node: NodeId) -> io::Result<()> {
    if is_sabotaged(Sabotage::SkipSync) {
        return Ok(());
    }
    run(node, None).await
}
