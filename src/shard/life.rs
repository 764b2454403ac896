//! A shard's life: start (disk ring, tail, partitions found on disk), serve its inbox, stop (connections, logs).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::applying::{self, Applying};
use super::routing::{append_here, fetch_here, on};
use super::{
    Broker, Connections, Coordinators, Hosted, ReadBuffers, Shard, ShardId, ShardRequest, compaction, housekeeping,
};
use crate::config::BrokerConfig;
use crate::log::{LogError, Occasion, Storage, StorageSettings};
use crate::metadata::MetadataImage;
use crate::metrics::Stages;
use crate::rt::{self, mesh, stages};
use crate::server::fetch_sessions::FetchSessions;
use crate::server::{connection, listener};

/// How long a stop waits for what was received to be answered.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// How long a stop waits for deletions that are under way.
const DELETING_MAX: Duration = Duration::from_secs(5);

/// What a shard is started with; crosses to its thread.
pub struct ShardSeed {
    /// Which one.
    pub id: ShardId,
    /// What all share.
    pub broker: Arc<Broker>,
    /// The configuration at start.
    pub config: Arc<BrokerConfig>,
    /// The cluster at start.
    pub image: Arc<MetadataImage>,
    /// Its tail.
    pub storage: StorageSettings,
}

/// Runs a shard until it is told to stop. `started` hears when its partitions are open.
pub async fn run(seed: ShardSeed, inbox: mesh::Inbox<ShardRequest>, started: oneshot::Sender<Result<(), String>>) {
    let shard = match start(seed).await {
        Ok(shard) => shard,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    show_stages(&shard);
    let _crash = rt::executor::CrashOnPanic;
    let applying = begin(&shard);
    let _ = started.send(Ok(()));
    attend(&shard, &applying, &inbox).await;
}

/// Begins to count where the thread's time goes.
fn show_stages(shard: &Shard) {
    let totals = stages::start();
    shard.metrics.set_stages(Stages {
        names: &stages::NAMES,
        ticks: &totals.ticks,
        seconds_per_tick: stages::seconds_per_tick(),
        system_calls: &totals.system_calls,
    });
}

/// Starts what a shard does beside answering.
fn begin(shard: &Rc<Shard>) -> Applying {
    let applying = applying::start(shard);
    housekeeping::start(shard);
    compaction::start(shard);
    applying
}

/// Serves the inbox until the shard is told to stop.
async fn attend(shard: &Rc<Shard>, applying: &Applying, inbox: &mesh::Inbox<ShardRequest>) {
    loop {
        match inbox.receive().await {
            ShardRequest::Stop(reply) => {
                let _ = reply.send(stop(shard).await);
                return;
            }
            request => serve(shard, applying, request),
        }
    }
}

/// Starts a shard on the executor that runs already, for a simulation.
#[cfg(test)]
pub(crate) async fn start_here(seed: ShardSeed, inbox: mesh::Inbox<ShardRequest>) -> Result<Rc<Shard>, String> {
    let shard = start(seed).await?;
    let attended = Rc::clone(&shard);
    rt::spawn_local(async move {
        let applying = begin(&attended);
        attend(&attended, &applying, &inbox).await;
    });
    Ok(shard)
}

async fn start(seed: ShardSeed) -> Result<Rc<Shard>, String> {
    let ShardSeed { id, broker, config, image, storage } = seed;
    let storage = Storage::start(&broker.log_dirs, id.0, storage)
        .and_then(|storage| storage.hold_locks(&broker.log_dirs).map(|()| storage))
        .map_err(|error| format!("the storage of shard {} does not start: {error}", id.0))?;
    storage.count_into(broker.metrics.shard(usize::from(id.0)));
    let slots = usize::try_from(config.max_incremental_fetch_session_cache_slots).unwrap_or(0);
    let shards = broker.shards.len();
    let shard = Rc::new(Shard {
        id,
        metrics: Arc::clone(broker.metrics.shard(usize::from(id.0))),
        sending: broker.shards.iter().map(|_| Semaphore::new(1)).collect(),
        broker,
        storage,
        connections: Connections::default(),
        buffers: ReadBuffers::default(),
        complaints: RefCell::default(),
        fetch_sessions: RefCell::new(FetchSessions::new(slots.div_ceil(shards))),
        coordinators: Coordinators::default(),
        partitions: RefCell::new(HashMap::default()),
        offline: RefCell::default(),
        assignments: RefCell::default(),
        image: RefCell::new(Arc::default()),
        config: RefCell::new(config),
        stopping: Cell::new(false),
        deleting: Cell::new(false),
    });
    shard.open_found(&image).await;
    shard.apply(image, Occasion::Start).await;
    Ok(shard)
}

/// Starts what a message asks for. Nothing here waits: what must wait is a task of its own.
fn serve(shard: &Rc<Shard>, applying: &Applying, request: ShardRequest) {
    rt::executor::note_activity();
    match request {
        ShardRequest::Append(partition, op, reply) => {
            answer(shard, reply, append_here(shard.here(&partition), op));
        }
        ShardRequest::Fetch(partition, op, reply) => {
            answer(shard, reply, fetch_here(shard.here(&partition), op));
        }
        ShardRequest::AwaitChange(partition, isolation, known_bound, mut reply) => {
            let Some(here) = shard.partition(&partition) else { return };
            rt::spawn_local(async move {
                futures_lite::future::or(here.changed(isolation, known_bound), reply.closed()).await;
                let _ = reply.send(());
            });
        }
        ShardRequest::FindOffset(partition, spec, isolation, epoch, reply) => {
            answer(
                shard,
                reply,
                on(shard.here(&partition), move |here| async move { here.find_offset(spec, isolation, epoch).await }),
            );
        }
        ShardRequest::EndOfEpoch(partition, epoch, current, reply) => {
            answer(
                shard,
                reply,
                on(shard.here(&partition), move |here| async move { here.end_of_epoch(epoch, current) }),
            );
        }
        ShardRequest::DeleteRecords(partition, offset, reply) => {
            answer(
                shard,
                reply,
                on(shard.here(&partition), move |here| async move { here.delete_records(offset).await }),
            );
        }
        ShardRequest::Lag(partition, offset, reply) => {
            answer(shard, reply, on(shard.here(&partition), move |here| async move { here.lag(offset).await }));
        }
        ShardRequest::Producers(partition, reply) => {
            answer(shard, reply, on(shard.here(&partition), |here| async move { Ok(here.producers()) }));
        }
        ShardRequest::Group(partition, request, reply) => shard.submit_group(&partition, request, reply),
        ShardRequest::Transaction(partition, request, reply) => shard.submit_transaction(&partition, request, reply),
        ShardRequest::Usage(reply) => drop(reply.send(shard.usage())),
        ShardRequest::Apply(image, reply) => applying.queue(image, reply),
        ShardRequest::Reconfigure(config, reply) => {
            shard.reconfigure(&config);
            let _ = reply.send(());
        }
        ShardRequest::Ping(reply) => drop(reply.send(())),
        ShardRequest::TakeFetchSession(id, reply) => drop(reply.send(shard.fetch_sessions.borrow_mut().take(id))),
        ShardRequest::Connection(moved) => {
            shard.metrics.counters.connections_moved_in.increment();
            rt::spawn_local(connection::serve(Rc::clone(shard), *moved));
        }
        ShardRequest::Listen(sockets, reply) => {
            let outcome = sockets.into_iter().try_for_each(|(name, socket)| listener::start(shard, name, socket));
            let _ = reply.send(outcome);
        }
        ShardRequest::Stop(_) => unreachable!("the caller handles it"),
    }
}

/// Polls an operation once; only one that must wait becomes a task. A panic in it ends it alone, as in a task.
fn answer<T: 'static>(shard: &Shard, reply: oneshot::Sender<T>, operation: impl Future<Output = T> + 'static) {
    let mut operation = Box::pin(operation);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = std::panic::catch_unwind(AssertUnwindSafe(|| operation.as_mut().poll(&mut context)));
    match polled {
        Err(_) => {
            shard.metrics.counters.panics.increment();
            tracing::error!("an operation panicked and was ended; the others go on");
        }
        Ok(Poll::Ready(outcome)) => drop(reply.send(outcome)),
        Ok(Poll::Pending) => rt::spawn_local(async move {
            let _ = reply.send(operation.await);
        }),
    }
}

/// Ends the shard: answers what was received, closes connections, writes and syncs every log.
async fn stop(shard: &Rc<Shard>) -> Vec<LogError> {
    shard.stopping.set(true);
    shard.coordinators.end_all();
    let deadline = rt::clock::monotonic() + DRAIN_MAX;
    while shard.connections.busy_count() > 0 && rt::clock::monotonic() < deadline {
        rt::sleep(Duration::from_millis(5)).await;
    }
    shard.connections.close_all();
    rt::yield_now().await;
    // What is deleted by half would be a stranger to the next start, which leaves it alone.
    let deadline = rt::clock::monotonic() + DELETING_MAX;
    while shard.deleting.get() && rt::clock::monotonic() < deadline {
        rt::sleep(Duration::from_millis(5)).await;
    }
    let partitions: Vec<Rc<Hosted>> = shard.partitions.borrow_mut().drain().map(|(_, partition)| partition).collect();
    let mut failures = Vec::new();
    for partition in partitions {
        // What failed before was said then, and the next start recovers it.
        let was_offline = partition.is_offline();
        let closed = partition.close().await;
        failures.extend(closed.err().filter(|_| !was_offline));
    }
    shard.storage.stop().await;
    failures
}
