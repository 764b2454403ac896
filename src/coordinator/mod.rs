//! Coordinators: Kafka's state machines of groups, offsets and transactions, pure.
//!
//! # One machine per partition of an internal topic
//! A [`Machine`] is the state that one partition of `__consumer_offsets` or `__transaction_state` stands for. It does no
//! I/O, knows no clock and no core: an input comes with the time ([`Now`]) and a [`Ticket`] for whoever asked, and what follows
//! is written into [`Effects`]: records for the log, answers for tickets. It may answer a ticket at once, or park it and answer
//! it with a later input (a JoinGroup waits until its group is complete).
//!
//! Who drives it is `shard/coordinators/`, on the shard that owns the partition:
//!
//! ```text
//!   log of the partition --replay--> machine                                 (loading: others get "load in progress")
//!   request -----> handle(request, ticket, now) \
//!   timer due ---> fire(now)                     > Effects { writes, answers } --> one batch of all writes of a turn, acks=all
//!                                                                              --> answers leave when everything written before
//!                                                                                  them is durable
//! ```
//!
//! # Promises and how they are kept
//! - **Nothing is told that is not durable.** The machine changes its state at once and may run ahead of the log; answers may
//!   not. An answer leaves only when every record that was written before it is committed, be it its own or another's: so reads
//!   see no state that a crash could take back.
//! - **A failed write takes the state back.** The machine is dropped with everybody who waits (`NOT_COORDINATOR`: they look for
//!   the coordinator again) and the partition is loaded anew. No machine needs an undo, so none has one. What can be known
//!   beforehand, a record too large for a batch, the machine refuses itself: see [`Effects::write_bytes_max`].
//! - **The records of one [`Effects::write`] are in one batch**: all of them or none.
//! - **Replaying the log gives the state.** [`Machine::replay`] must arrive at what `handle` arrived at, for all that is to
//!   survive; members' sessions, parked requests and timers do not. A test of a machine replays what it wrote.
//!
//! `simulation/coordinators/` runs the machines with their drivers on a simulated machine, and breaks them on purpose.
//!
//! # How to add a coordinator
//! - **Another kind of group** (share groups) lives in the same partitions, so it is not another machine: the enum that is the
//!   value of the map of [`group::Groups`] gets a variant (there are classic and consumer groups), `GroupRequest` and
//!   `GroupResponse` get variants, `group/replay.rs` its record types, `group::Timer` its deadlines, and the rules are files
//!   beside `group/join.rs`. Rules of one group are methods on it that take `Around` (timers, settings, time, effects).
//! - **Another internal topic** is another machine: implement [`Machine`], then add a runner table beside those of groups and
//!   transactions in `shard/coordinators/` (`Runner<M>` is generic) and a `ShardRequest` variant.
//!
//! Transactions ([`txn`]) are a machine over `__transaction_state`. Offsets that a transaction commits are written to the
//! group's partition as a transactional batch ([`Write::producer`]) and held pending until the marker ([`Write::marker`]).
//!
//! Error codes are values of the answers here, as they are in Kafka's own coordinators: which code it is *is* the semantics.

pub mod group;
mod key_hash;
mod machine;
mod records;
mod timers;
pub mod txn;

pub use key_hash::{java_hash, partition_for};
pub use machine::{Effects, Machine, Marker, Now, Ticket, TooLarge, TransactionEnd, Write};
pub use records::{CoordinatorRecord, RecordsWriter, Replayed};
pub use timers::Timers;

/// The topic whose partitions hold groups and offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The topic whose partitions hold transactions.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// The topic whose partitions hold the state of share groups.
pub const SHARE_STATE_TOPIC: &str = "__share_group_state";
