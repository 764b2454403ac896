//! The start and the stop of a broker.
//!
//! Start: limits, ports, log directories, controller, shards (which open their logs), then the broker is unfenced and listens.
//! Stop: no more connections, what was received is answered, every log is written and synced, then the directories are marked
//! clean. A second signal ends the process at once; what was acknowledged is safe in the tail and the logs either way.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

mod audience;
mod failed_dirs;
mod pages;
mod ports;
mod supervision;

use self::audience::{Audience, Listeners};
use self::failed_dirs::FailedDirs;
use self::ports::{Bound, bind_all, endpoints, listen, network};
use self::supervision::Watchdog;
pub use self::supervision::{Reread, failed};
use super::limits::{ConnectionCounts, Limits};
use super::producer_ids::ProducerIds;
use super::telemetry::Telemetry;
use crate::capture::Capture;
use crate::config::{BrokerConfig, Io};
use crate::coordinator::group::consumer::assignor::Assignor;
use crate::http::{HttpState, Phase};
use crate::log::{LogDirs, LogDirsSettings, MetaProperties, storage_settings, tail_bytes_default};
use crate::metadata::format::ensure_formatted;
use crate::metadata::quorum::{LOG_DIRECTORY, LogSettings, QuorumError};
use crate::metadata::service::{MetadataService, OwnBroker, ServiceSettings};
use crate::metadata::{ControllerHandle, ControllerSettings, MetadataImage};
use crate::metrics::{Metrics, Names};
use crate::protocol::{ApiKey, ErrorCode};
use crate::rt::backend::{Backend, Chosen, Wanted};
use crate::rt::control::{self, Asked, Signals};
use crate::rt::executor::{self, ExecutorThread};
use crate::rt::{self, mesh};
use crate::shard::{Broker, Compactions, INBOX_CAPACITY, ShardId, ShardRequest, ShardSeed, ask_all, dynamic_config};
use crate::wal::{WalLoss, WalSettings};
use crate::wire::Uuid;

/// Exit code after a second signal, as a shell gives it to a killed process.
const EXIT_INTERRUPTED: i32 = 130;

/// Why the broker does not start, or does not end well: one sentence with the value and the mend.
#[derive(Debug)]
pub struct StartError(pub String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl<E: fmt::Display> From<(&str, E)> for StartError {
    fn from((what, error): (&str, E)) -> Self {
        StartError(format!("{what}: {error}"))
    }
}

/// What is said on the command line or in the environment for one start alone.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// Names the cluster, if this start formats the directories.
    pub cluster_id: Option<String>,
    /// What a missing write-ahead log means.
    pub wal_loss: WalLoss,
}

/// What a running broker tells the person who started it.
#[derive(Debug, Clone)]
pub struct Started {
    /// Listeners and their addresses, with the ports that were bound.
    pub listeners: Vec<(String, SocketAddr)>,
    /// `log.dirs`.
    pub log_dirs: Vec<PathBuf>,
    /// The cluster's id.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: i32,
    /// Cores of the shards.
    pub cores: Vec<usize>,
    /// What the shards run on, and why not on io_uring.
    pub io: String,
    /// Where the HTTP port listens, if it does.
    pub http: Option<SocketAddr>,
    /// How long the start took.
    pub took: Duration,
}

/// Runs a broker until a signal ends it. `started` hears when it serves. SIGHUP has it read its configuration again by `reread`;
/// without that SIGHUP is an end, too.
pub fn run(
    config: BrokerConfig,
    options: StartOptions,
    reread: Option<Reread>,
    started: impl FnOnce(&Started),
) -> Result<(), StartError> {
    let begun = rt::clock::monotonic();
    rt::limits::check().map_err(|error| StartError(error.to_string()))?;
    let io = choose_io(config.millrace_io)?;
    control::run(async move {
        let mut signals = Signals::catch().map_err(|error| StartError::from(("signals", error)))?;
        let http_port = pages::bind_http(&config).await?;
        let mut running = Running::start(config.clone(), options, io, begun)?;
        let pages = HttpState::new(Arc::clone(&running.broker.metrics), Arc::clone(&running.broker.capture));
        if let Some(port) = http_port {
            running.started.http = Some(pages::serve_http(port, &config, &pages, &running)?);
        }
        pages.set_phase(Phase::Ready);
        running.broker.metrics.node.start_time_ms.set(rt::clock::now_ms());
        started(&running.started);
        supervision::ready(&format!("serving on {}", running.started.addresses()));
        let signal = running.serve(&mut signals, reread.as_ref()).await?;
        pages.set_phase(Phase::Stopping);
        supervision::stopping();
        tracing::info!(signal, "stopping; a second signal stops at once");
        tokio::select! {
            outcome = running.stop() => outcome,
            _ = signals.next() => std::process::exit(EXIT_INTERRUPTED),
        }
    })
    .map_err(|error| StartError::from(("the control thread does not start", error)))?
}

impl Started {
    /// The listeners' addresses in one line.
    pub fn addresses(&self) -> String {
        let listeners = self.listeners.iter().map(|(name, address)| format!("{name}://{address}"));
        listeners.collect::<Vec<_>>().join(", ")
    }
}

struct Running {
    broker: Arc<Broker>,
    audience: Arc<Audience>,
    failed_dirs: FailedDirs,
    threads: Vec<ExecutorThread<()>>,
    started: Started,
}

impl Running {
    fn start(config: BrokerConfig, options: StartOptions, io: Chosen, begun: Instant) -> Result<Running, StartError> {
        if !(config.roles.broker && config.roles.controller) {
            return Err(StartError(
                "process.roles must be broker,controller: nodes with one role alone are not supported yet".to_owned(),
            ));
        }
        refuse_unknown_assignors(&config)?;
        let cores = cores(config.millrace_shards)?;
        let bound = bind_all(&config, cores.len())?;
        ensure_formatted(&config, options.cluster_id.as_deref()).map_err(|error| StartError(error.to_string()))?;
        let log_dirs = open_log_dirs(&config, options.wal_loss)?;
        let audience = Arc::new(Audience::default());
        refuse_lost_metadata(&config, &log_dirs)?;
        let controller = start_controller(&config, &log_dirs, &bound, &audience)?;
        let metrics = Metrics::new(cores.len(), metric_names());
        metrics.set_io_backend(io.backend.name());
        let failed_dirs = FailedDirs::watch(&log_dirs, config.metadata_log_dir.clone(), &controller, &metrics);
        let (senders, inboxes): (Vec<_>, Vec<_>) =
            cores.iter().map(|_| mesh::inbox::<ShardRequest>(INBOX_CAPACITY)).unzip();
        let broker = Arc::new(Broker {
            node_id: config.node_id,
            cluster_id: log_dirs.cluster_id().to_owned().into(),
            network: network(&config),
            connections: ConnectionCounts::new(Limits::of(&config).map_err(StartError)?),
            producer_ids: ProducerIds::new(config.node_id),
            log_dirs: Arc::clone(&log_dirs),
            controller: controller.clone(),
            compactions: Compactions::default(),
            telemetry: Telemetry::default(),
            capture: Capture::new(cores.len()),
            metrics: Arc::clone(&metrics),
            shards: senders.clone(),
        });
        let image = audience.latest();
        let static_config = config;
        let config = Arc::new(dynamic_config(&static_config, &image, static_config.node_id));
        let threads = start_shards(&broker, &config, &image, &cores, inboxes)?;
        log_dirs.loaded();
        let connections = Arc::clone(&broker.connections);
        audience.join(Listeners { shards: senders, metrics, connections, config: Mutex::new(static_config) });
        control::block_on(controller.unfence_own_broker())
            .map_err(|error| StartError::from(("the broker is not let into its cluster", error)))?;
        let listeners = bound.iter().map(|bound| (bound.endpoint.name.clone(), bound.listener.address())).collect();
        listen(&broker, bound)?;
        let started = Started {
            listeners,
            log_dirs: config.log_dirs.clone(),
            cluster_id: log_dirs.cluster_id().to_owned(),
            node_id: config.node_id,
            cores,
            io: io.to_string(),
            http: None,
            took: begun.elapsed(),
        };
        Ok(Running { broker, audience, failed_dirs, threads, started })
    }

    /// Waits for the end, and does what signals and systemd want meanwhile; the signal that ends it.
    async fn serve(&mut self, signals: &mut Signals, reread: Option<&Reread>) -> Result<&'static str, StartError> {
        let mut watchdog = Watchdog::new();
        loop {
            tokio::select! {
                asked = signals.next() => match (asked, reread) {
                    (Asked::Stop(signal), _) => return Ok(signal),
                    (Asked::Hangup, None) => return Ok("SIGHUP"),
                    (Asked::Hangup, Some(reread)) => {
                        supervision::reload(reread, &self.audience, &self.broker.controller).await;
                    }
                },
                error = self.failed_dirs.fatal() => return Err(error),
                period = watchdog.beat() => supervision::look_after(&self.broker.shards, period).await,
            }
        }
    }

    async fn stop(self) -> Result<(), StartError> {
        let image_epoch = |controller: &mut crate::metadata::Controller| {
            let node_id = controller.settings().node_id;
            controller.image().cluster().broker(node_id).map_or(-1, |broker| broker.epoch)
        };
        let broker_epoch = self.broker.controller.call(image_epoch).await.unwrap_or(-1);
        // It leads nothing when this returns; the controller stands down with the process.
        let _ = self.broker.controller.shut_down_own_broker().await;
        let mut failures = Vec::new();
        for answer in ask_all(&self.broker.shards, ShardRequest::Stop) {
            match answer.await {
                Ok(failed) => failures.extend(failed.into_iter().map(|error| error.to_string())),
                Err(_) => failures.push("a shard ended early".to_owned()),
            }
        }
        for thread in self.threads {
            failures.extend(thread.join().err().map(|error| error.to_string()));
        }
        if !failures.is_empty() {
            let first = &failures[0];
            return Err(StartError(format!(
                "not everything could be written ({} failures, the first: {first}); the next start recovers",
                failures.len()
            )));
        }
        self.broker
            .log_dirs
            .close_clean(broker_epoch)
            .map_err(|error| StartError::from(("the log directories cannot be marked clean", error)))?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// What the shards run on. That it is not io_uring, nobody should have to find out from a graph.
fn choose_io(asked: Io) -> Result<Chosen, StartError> {
    let wanted = match asked {
        Io::Auto => Wanted::Auto,
        Io::Uring => Wanted::Only(Backend::Uring),
        Io::Epoll => Wanted::Only(Backend::Epoll),
    };
    let chosen = rt::backend::choose(wanted).map_err(|refusal| {
        StartError(format!(
            "millrace.io=uring, but {refusal}; millrace.io=auto runs on epoll meanwhile, with less throughput"
        ))
    })?;
    match &chosen.refused {
        Some(refusal) => tracing::warn!(
            backend = chosen.backend.name(), refused = %refusal.what, mend = %refusal.mend,
            "this broker runs on epoll and threads, with less throughput than on io_uring"
        ),
        None => tracing::info!(backend = chosen.backend.name(), "input and output"),
    }
    Ok(chosen)
}

/// The cores of the shards: as many as `millrace.shards` asks for, else all that this process may use.
fn cores(asked: i32) -> Result<Vec<usize>, StartError> {
    let available = executor::available_cores();
    let quota = executor::cgroup_core_quota().unwrap_or(available.len());
    let asked = usize::try_from(asked).unwrap_or(0);
    if asked > available.len() {
        return Err(StartError(format!(
            "millrace.shards={asked} is more than the {} cores that this process may use; set it to {} or less, or 0 for all",
            available.len(),
            available.len()
        )));
    }
    let count = if asked == 0 { available.len().min(quota) } else { asked };
    Ok(available.into_iter().take(count.max(1)).collect())
}

fn tail_dir(config: &BrokerConfig) -> Option<PathBuf> {
    Some(&config.millrace_tail_dir).filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

fn wal_settings(config: &BrokerConfig, loss: WalLoss) -> WalSettings {
    let dirs = config.millrace_wal_dirs.split(',').map(str::trim).filter(|dir| !dir.is_empty());
    WalSettings {
        dirs: dirs.map(PathBuf::from).collect(),
        file_bytes: u64::try_from(config.millrace_wal_file_bytes).unwrap_or(0),
        files_max: usize::try_from(config.millrace_wal_files).unwrap_or(0),
        linger: Duration::from_micros(u64::try_from(config.millrace_wal_linger_us).unwrap_or(0)),
        entry_bytes_max: usize::try_from(config.millrace_wal_max_entry_bytes).unwrap_or(0),
        loss,
    }
}

/// Assignors run in this process, so that those of Java classes can't.
fn refuse_unknown_assignors(config: &BrokerConfig) -> Result<(), StartError> {
    let unknown = config.group_consumer_assignors.iter().find(|text| Assignor::from_config(text).is_none());
    unknown.map_or(Ok(()), |text| {
        let names = Assignor::ALL.map(Assignor::name).join(" and ");
        Err(StartError(format!("group.consumer.assignors: {text} is not built in; {names} are")))
    })
}

fn open_log_dirs(config: &BrokerConfig, loss: WalLoss) -> Result<Arc<LogDirs>, StartError> {
    let settings = LogDirsSettings {
        paths: config.log_dirs.clone(),
        cluster_id: None,
        node_id: config.node_id,
        tail_dir: tail_dir(config),
        wal: wal_settings(config, loss),
    };
    rt::file::want_direct(config.millrace_direct_io);
    LogDirs::open(&settings).map_err(|error| StartError(error.to_string()))
}

/// A cluster that has partitions has metadata: to begin anew beside them would hide all of them.
fn refuse_lost_metadata(config: &BrokerConfig, log_dirs: &LogDirs) -> Result<(), StartError> {
    let path = config.metadata_log_dir.join(LOG_DIRECTORY);
    let entries = rt::directory::list(&path).unwrap_or_default();
    let Some(found) = log_dirs.found().first().filter(|_| !entries.iter().any(|entry| entry.name.ends_with(".log")))
    else {
        return Ok(());
    };
    Err(StartError(format!(
        "there is no metadata log in {}, but partitions are in {} ({} for one): bring the metadata log back (metadata.log.dir says \
         where it is), or move the partitions away to start an empty cluster",
        path.display(),
        found.dir.path().display(),
        found.id
    )))
}

fn start_controller(
    config: &BrokerConfig,
    log_dirs: &Arc<LogDirs>,
    bound: &[Bound],
    audience: &Arc<Audience>,
) -> Result<ControllerHandle, StartError> {
    let properties = MetaProperties::read(&config.metadata_log_dir)
        .map_err(|error| StartError(error.to_string()))?
        .ok_or_else(|| StartError(format!("{} is not formatted", config.metadata_log_dir.display())))?;
    let is_static = !config.controller_quorum_voters.is_empty();
    let settings = ServiceSettings {
        controller: ControllerSettings {
            node_id: config.node_id,
            cluster_id: log_dirs.cluster_id().to_owned().into(),
            quorum_directory_id: if is_static { Uuid::ZERO } else { properties.directory_id.unwrap_or(Uuid::ZERO) },
            config: config.clone(),
        },
        log: log_settings(config),
        metadata_log_dir: config.metadata_log_dir.clone(),
        static_voters: config.controller_quorum_voters.iter().map(|voter| voter.id).collect(),
        controller_endpoints: endpoints(&config.listeners.advertised_controller, bound),
        broker: Some(OwnBroker {
            endpoints: endpoints(&config.listeners.advertised, bound),
            rack: config.broker_rack.clone(),
            log_dirs: log_dirs
                .dirs()
                .iter()
                .filter(|dir| dir.failure().is_none())
                .map(|dir| dir.directory_id())
                .collect(),
            previous_epoch: log_dirs.previous_broker_epoch(),
        }),
    };
    let publisher = Arc::clone(audience);
    let started = MetadataService::start(settings, Box::new(move |image| publisher.publish(image)));
    let (service, handle) = started.map_err(|error| match error {
        QuorumError::Damaged { .. } => StartError(format!("{error}; bring the file back from a copy")),
        error => StartError(error.to_string()),
    })?;
    control::spawn_thread("controller", move || {
        if let Err(error) = control::block_on(service.run()) {
            // Without its log the node can't decide anything; nothing acknowledged depends on what it still holds.
            tracing::error!(%error, "the metadata log failed; the broker stops");
            std::process::exit(1);
        }
    })
    .map_err(|error| StartError::from(("the controller does not start", error)))?;
    Ok(handle)
}

fn log_settings(config: &BrokerConfig) -> LogSettings {
    LogSettings {
        segment_bytes: u64::try_from(config.metadata_log_segment_bytes).unwrap_or(u64::MAX),
        segment_ms: config.metadata_log_segment_ms,
        bytes_between_snapshots: u64::try_from(config.metadata_log_max_record_bytes_between_snapshots)
            .unwrap_or(u64::MAX),
        snapshot_interval_ms: config.metadata_log_max_snapshot_interval_ms,
        retention_bytes: config.metadata_max_retention_bytes,
        retention_ms: config.metadata_max_retention_ms,
    }
}

fn start_shards(
    broker: &Arc<Broker>,
    config: &Arc<BrokerConfig>,
    image: &Arc<MetadataImage>,
    cores: &[usize],
    inboxes: Vec<mesh::Inbox<ShardRequest>>,
) -> Result<Vec<ExecutorThread<()>>, StartError> {
    let tail_bytes = usize::try_from(config.millrace_tail_bytes).unwrap_or(0);
    let tail_bytes = if tail_bytes == 0 { tail_bytes_default() } else { tail_bytes };
    let tail_flush_ms = u64::try_from(config.millrace_tail_flush_ms).unwrap_or(0);
    let storage = storage_settings(tail_dir(config), tail_bytes, cores.len(), tail_flush_ms);
    let mut threads = Vec::new();
    let mut starting = Vec::new();
    for (nth, (core, inbox)) in cores.iter().zip(inboxes).enumerate() {
        let seed = ShardSeed {
            id: ShardId(u16::try_from(nth).map_err(|_| StartError("too many shards".to_owned()))?),
            broker: Arc::clone(broker),
            config: Arc::clone(config),
            image: Arc::clone(image),
            storage: storage.clone(),
        };
        let (started, heard) = oneshot::channel();
        let thread = executor::spawn_pinned(&format!("shard-{nth}"), Some(*core), move || {
            crate::shard::run(seed, inbox, started)
        });
        threads.push(thread.map_err(|error| StartError::from(("a shard's thread does not start", error)))?);
        starting.push(heard);
    }
    for (nth, heard) in starting.into_iter().enumerate() {
        match control::block_on(heard) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(StartError(error)),
            Err(_) => {
                let why = threads.swap_remove(nth).join().err();
                let why = why.map_or_else(|| "it ended early".to_owned(), |error| error.to_string());
                return Err(StartError(format!("shard {nth} does not start: {why}")));
            }
        }
    }
    Ok(threads)
}

/// Names for the metrics, which know no protocol.
fn metric_names() -> Names {
    let api = |key: usize| i16::try_from(key).ok().and_then(|key| ApiKey::try_from(key).ok()).map(ApiKey::name);
    let error = |code: i16| Some(ErrorCode::from_code(code).name());
    Names { api, error }
}
