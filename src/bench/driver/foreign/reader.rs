//! One consumer: a connection that reads some streams, and what it saw.

use std::sync::atomic::Ordering;

use super::link::{Fate, Link};
use super::wire::{Heard, Read};
use super::worker::Context;
use crate::bench::driver::own::ledger::Seen;
use crate::bench::driver::own::stamp::Stamp;

/// See the module's documentation.
pub(super) struct Reader {
    pub link: Link,
    pub wire: Box<dyn Read>,
    /// Its group among those of the run.
    pub group: usize,
    pub stamped: bool,
    pub seen: Seen,
}

impl Reader {
    /// Asks for what is there; when to look again.
    pub fn work(&mut self, cx: &mut Context<'_>) -> u64 {
        let wake = self.link.keep_up(cx.now, cx.poller);
        if self.is_ready() && !cx.shared.holds_readers.load(Ordering::Relaxed) {
            self.wire.ask(cx.now, &mut self.link.out);
        }
        if let Fate::Broke(why) = self.link.flush() {
            self.broke(cx, &why);
        }
        wake
    }

    /// The poller has something for it.
    pub fn on_event(&mut self, readable: bool, writable: bool, cx: &mut Context<'_>) {
        let mut fate = Fate::Alive;
        if writable {
            fate = self.link.on_writable();
            if fate == Fate::CameUp {
                self.wire.greet(&mut self.link.out);
                fate = self.link.flush();
            }
        }
        if readable && fate == Fate::Alive {
            let Reader { link, wire, group, stamped, seen } = self;
            let wall = cx.shared.clock.wall(cx.now);
            let (interval, verify, mut count) = (&mut cx.tally.interval, cx.shared.verify, 0);
            let mut tell = |heard: Heard<'_>| match heard {
                Heard::Record { place, key_bytes, value } => {
                    count += 1;
                    interval.consumed_bytes += (key_bytes + value.map_or(0, <[u8]>::len)) as u64;
                    let stamp = value.filter(|_| *stamped).and_then(Stamp::parse);
                    match (stamp, value) {
                        (Some(Ok(stamp)), Some(value)) => {
                            interval.end_to_end.saturating_record(wall.saturating_sub(stamp.intended));
                            match verify {
                                true if stamp.fits(value) => seen.note((stamp.producer, place), stamp.number),
                                true => seen.note_corrupted(),
                                false => {}
                            }
                        }
                        (Some(Err(())), _) => seen.note_corrupted(),
                        _ => {}
                    }
                }
                Heard::Fetched => interval.fetch_requests += 1,
                Heard::Next(_) | Heard::Of(..) => {}
            };
            fate = link.receive(&mut **wire, &mut cx.spare.scratch, &mut tell);
            interval.consumed += count;
            cx.shared.consumed[*group].fetch_add(count, Ordering::Relaxed);
        }
        if let Fate::Broke(why) = fate {
            self.broke(cx, &why);
        }
    }

    fn broke(&mut self, cx: &mut Context<'_>, why: &str) {
        if !cx.shared.has_begun() {
            cx.tally.refusal = Some(why.to_owned());
        } else if self.link.is_up() && !self.wire.is_ready() {
            // It came back and refuses us: that may stay so.
            cx.tally.error(why, 1);
        }
        self.link.close(cx.now);
    }

    /// Whether it may start: connected and understood.
    pub fn is_ready(&self) -> bool {
        self.link.is_up() && self.wire.is_ready()
    }
}
