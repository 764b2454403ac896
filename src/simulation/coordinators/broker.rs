//! The broker on the simulated machine: whole shards with their partitions, coordinators and housekeeping; and what happens to it.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::ledger::Ledger;
use super::members::Member;
use super::offsets::OffsetModel;
use super::plan::{LifePlan, Plan};
use super::producers;
use crate::capture::Capture;
use crate::config::{BrokerConfig, source};
use crate::coordinator::txn::Transaction;
use crate::coordinator::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::log::{LogDirs, LogDirsSettings, StorageSettings};
use crate::metadata::ControllerHandle;
use crate::metadata::image::MetadataDelta;
use crate::metadata::records::MetadataRecord;
use crate::metrics::{Metrics, Names};
use crate::partition::{Acks, AppendOp, Origin, Verification};
use crate::protocol::records::metadata::{
    ConfigRecord, FeatureLevelRecord, PartitionChangeRecord, PartitionRecord, TopicRecord,
};
use crate::record::BatchBuilder;
use crate::rt::sim::World;
use crate::rt::{self, blocking, mesh};
use crate::server::limits::{ConnectionCounts, Limits};
use crate::server::producer_ids::ProducerIds;
use crate::shard::{
    Broker, Compactions, INBOX_CAPACITY, Network, Shard, ShardId, ShardRequest, ShardSeed, TopicPartition, start_here,
};
use crate::wal::{WalLoss, WalSettings};
use crate::wire::Uuid;

/// This broker.
pub const NODE: i32 = 1;
/// One that does not exist.
const OTHER_NODE: i32 = 2;
/// The directory of everything.
pub const DIR: &str = "/sim/d0";
const TAIL: &str = "/sim/tail";
/// What groups read.
pub const READ_TOPIC: &str = "read";
/// What matches that, and nothing else.
pub const READ_PATTERN: &str = "r[a-z]+d";
/// Epochs that are left to producers which have few.
const EPOCHS_LEFT: i16 = 12;
/// The wall clock is set so far at most: less than a record's timestamp may be ahead of it.
const JUMP_MS: u64 = 1_800_000;
/// How often one looks for the moment for an election, once a millisecond.
const PATIENT_LOOKS: usize = 1000;
/// Elections of one disturbance.
const ELECTIONS_MAX: u64 = 6;
/// An election that takes so long is over at once.
const SHORT_MS: u64 = 8;
/// What transactions write.
pub const DATA_TOPIC: &str = "data";
/// Resource type of topics in a ConfigRecord.
const TOPIC_CONFIG: i8 = 2;

/// A run: the machine, the cluster's metadata, and all clients; they live on when the broker dies.
pub struct Run {
    pub world: Rc<World>,
    pub plan: Plan,
    pub metadata: RefCell<MetadataDelta>,
    metadata_offset: Cell<i64>,
    producer_ids: Cell<i64>,
    /// Nothing goes wrong any more.
    pub is_calm: Cell<bool>,
    /// Everybody leaves.
    pub is_over: Cell<bool>,
    pub clock: Cell<u64>,
    pub shards: RefCell<Vec<Rc<Shard>>>,
    inboxes: RefCell<Vec<mesh::Sender<ShardRequest>>>,
    pub offsets: RefCell<OffsetModel>,
    pub members: Vec<RefCell<Member>>,
    pub ledger: RefCell<Ledger>,
}

/// A partition has another leader, or the same one anew.
fn led_by(partition: &TopicPartition, leader: i32) -> PartitionChangeRecord {
    let TopicPartition { topic_id, index: partition_id } = *partition;
    PartitionChangeRecord { partition_id, topic_id, leader, ..Default::default() }
}

fn topic_id(name: &str) -> Uuid {
    let number = name.bytes().fold(7u64, |number, byte| number.wrapping_mul(31).wrapping_add(byte.into()));
    Uuid::from_u128(u128::from(number) << 64 | 7)
}

impl Run {
    pub fn new(world: Rc<World>, plan: Plan, directory: Uuid) -> Run {
        let members = plan.members.iter().map(|plan| RefCell::new(Member::new(plan))).collect();
        let ledger = RefCell::new(Ledger::new(&plan));
        let run = Run {
            world,
            plan,
            metadata: RefCell::default(),
            metadata_offset: Cell::new(0),
            producer_ids: Cell::new(1000),
            is_calm: Cell::new(false),
            is_over: Cell::new(false),
            clock: Cell::new(1),
            shards: RefCell::default(),
            inboxes: RefCell::default(),
            offsets: RefCell::default(),
            members,
            ledger,
        };
        for (name, feature_level) in [("group.version", 1), ("transaction.version", 2)] {
            run.change(&FeatureLevelRecord { name: name.into(), feature_level }.into());
        }
        let plan = &run.plan;
        for (name, count, is_internal) in [
            (OFFSETS_TOPIC, plan.offsets_partitions, true),
            (TRANSACTIONS_TOPIC, plan.transactions_partitions, true),
            (DATA_TOPIC, plan.data_partitions, false),
            (READ_TOPIC, plan.read_partitions, false),
        ] {
            run.change(&TopicRecord { name: name.into(), topic_id: topic_id(name) }.into());
            (0..count).for_each(|index| run.add_partition(name, index, directory));
            for (key, value) in plan.internal.iter().filter(|_| is_internal) {
                run.set_config(name, key, Some(value));
            }
        }
        run
    }

    /// The next moment of the order in which things were seen.
    pub fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    /// A promise is broken, unless the process is dead and only doesn't know it.
    pub fn violated(&self, what: &str) {
        assert!(self.world.has_crashed(), "{what}");
    }

    pub fn any_shard(&self) -> Rc<Shard> {
        let shards = self.shards.borrow();
        let at = self.world.draw(|chance| chance.below(shards.len() as u64)) as usize;
        Rc::clone(&shards[at])
    }

    /// The shard that owns a partition.
    pub fn shard_of(&self, partition: &TopicPartition) -> Rc<Shard> {
        let shards = self.shards.borrow();
        Rc::clone(&shards[usize::from(partition.owner(shards.len()).0)])
    }

    /// All partitions of a topic.
    pub fn partitions_of(&self, topic: &str) -> Vec<TopicPartition> {
        let count = self.partition_count(topic);
        (0..count).map(|index| TopicPartition { topic_id: topic_id(topic), index }).collect()
    }

    pub fn partition_count(&self, topic: &str) -> i32 {
        let metadata = self.metadata.borrow();
        metadata.image().topics().by_name(topic).map_or(0, |topic| topic.partition_count())
    }

    pub fn read_topic_id(&self) -> Uuid {
        topic_id(READ_TOPIC)
    }

    fn change(&self, record: &MetadataRecord) {
        self.metadata_offset.set(self.metadata_offset.get() + 1);
        let mut metadata = self.metadata.borrow_mut();
        metadata.apply(record).expect("records that fit");
        metadata.advance(self.metadata_offset.get(), 1, 0);
    }

    fn add_partition(&self, topic: &str, index: i32, directory: Uuid) {
        let record = PartitionRecord {
            partition_id: index,
            topic_id: topic_id(topic),
            replicas: vec![NODE],
            isr: vec![NODE],
            leader: NODE,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![directory],
            ..Default::default()
        };
        self.change(&record.into());
    }

    fn set_config(&self, topic: &str, key: &str, value: Option<&str>) {
        let record = ConfigRecord {
            resource_type: TOPIC_CONFIG,
            resource_name: topic.into(),
            name: key.into(),
            value: value.map(Into::into),
        };
        self.change(&record.into());
    }

    /// Brings the shards to the metadata as it is now.
    async fn publish(&self) {
        let image = self.metadata.borrow().publishable();
        let inboxes = self.inboxes.borrow().clone();
        for inbox in inboxes {
            let (reply, answer) = oneshot::channel();
            inbox.send(ShardRequest::Apply(Arc::clone(&image), reply)).await;
            let _ = answer.await;
        }
    }

    fn config(&self) -> Arc<BrokerConfig> {
        let own = self.plan.properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let properties = source::merge([source::embedded(9092, DIR), own.collect()]);
        Arc::new(BrokerConfig::new(properties).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Starts the broker.
    pub async fn start(self: &Rc<Run>) {
        let settings = LogDirsSettings {
            paths: vec![PathBuf::from(DIR)],
            cluster_id: None,
            node_id: NODE,
            tail_dir: Some(PathBuf::from(TAIL)),
            wal: WalSettings {
                dirs: Vec::new(),
                file_bytes: 1,
                files_max: 3,
                linger: Duration::ZERO,
                entry_bytes_max: 32 << 10,
                loss: WalLoss::Refused,
            },
        };
        let dirs = LogDirs::open(&settings).unwrap_or_else(|error| panic!("the log directory is refused: {error}"));
        let config = self.config();
        let count = usize::from(self.plan.shards);
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| mesh::inbox(INBOX_CAPACITY)).unzip();
        let first_id = self.producer_ids.replace(self.producer_ids.get() + 1000);
        let network = Network { request_bytes_max: 1 << 20, send_buffer_bytes: None, receive_buffer_bytes: None };
        let broker = Arc::new(Broker {
            node_id: NODE,
            cluster_id: "simulated".into(),
            network,
            connections: ConnectionCounts::new(Limits::of(&config).expect("limits")),
            log_dirs: Arc::clone(&dirs),
            controller: ControllerHandle::stopped(),
            producer_ids: ProducerIds::of_block(NODE, first_id..first_id + 1000),
            compactions: Compactions::default(),
            telemetry: crate::server::telemetry::Telemetry::default(),
            capture: Capture::new(count),
            metrics: Metrics::new(count, Names { api: |_| None, error: |_| None }),
            shards: senders.clone(),
        });
        let image = self.metadata.borrow().publishable();
        let mut shards = Vec::new();
        for (nth, inbox) in inboxes.into_iter().enumerate() {
            let storage =
                StorageSettings { tail_dir: Some(PathBuf::from(TAIL)), tail_bytes: 16 << 20, tail_flush_ms: 1000 };
            let seed = ShardSeed {
                id: ShardId(nth as u16),
                broker: Arc::clone(&broker),
                config: Arc::clone(&config),
                image: Arc::clone(&image),
                storage,
            };
            shards.push(start_here(seed, inbox).await.unwrap_or_else(|error| panic!("{error}")));
        }
        dirs.loaded();
        *self.shards.borrow_mut() = shards;
        *self.inboxes.borrow_mut() = senders;
    }

    /// Stops it cleanly.
    pub async fn stop(&self) {
        let inboxes = self.inboxes.borrow().clone();
        for inbox in inboxes {
            let (reply, answer) = oneshot::channel();
            inbox.send(ShardRequest::Stop(reply)).await;
            let failures = answer.await.unwrap_or_default();
            if !failures.is_empty() {
                self.violated(&format!("no clean stop: {failures:?}"));
            }
        }
        let dirs = Arc::clone(&self.any_shard().broker.log_dirs);
        if let Err(error) = blocking(move || dirs.close_clean(7)).await {
            self.violated(&format!("no clean stop: {error}"));
        }
    }

    /// The process is gone.
    pub fn forget_process(&self) {
        self.shards.borrow_mut().clear();
        self.inboxes.borrow_mut().clear();
    }

    /// Things that happen to the broker, until there is peace.
    pub async fn disturb(self: Rc<Run>, life: LifePlan) {
        let pause_ms = life.time.as_millis() as u64 / 2 + 1;
        loop {
            let ms = self.world.draw(|chance| chance.magnitude(1, pause_ms));
            rt::sleep(Duration::from_millis(ms)).await;
            if self.is_calm.get() {
                return;
            }
            match self.world.draw(|chance| chance.below(4)) {
                0 if self.plan.refuses => self.refuse_writes().await,
                1 if self.plan.moves => self.lead_elsewhere().await,
                2 if self.plan.grows => {
                    let directory = self.any_shard().broker.log_dirs.dirs()[0].directory_id();
                    self.add_partition(READ_TOPIC, self.partition_count(READ_TOPIC), directory);
                    self.world.note(|| "GROWS".to_owned());
                    self.publish().await;
                }
                3 if self.plan.jumps => {
                    let (ms, is_back) = self.world.draw(|chance| (chance.magnitude(1, JUMP_MS), chance.one_in(2)));
                    let by_ms = if is_back { -(ms as i64) } else { ms as i64 };
                    self.world.note(|| format!("CLOCK is set by {by_ms} ms"));
                    self.world.shift_wall_clock(by_ms);
                }
                _ => {}
            }
        }
    }

    pub fn is_first_life(&self) -> bool {
        self.producer_ids.get() == 2000
    }

    /// Has all producers begin where few epochs are left.
    pub async fn use_up_epochs(&self) {
        for at in 0..self.plan.producers.len() {
            let id = producers::transactional_id(at);
            let Some(partition) = self.any_shard().partition_of_transaction(&id) else { return };
            let mut transaction = Transaction::new(at as i64, 60_000, rt::clock::now_ms());
            transaction.producer_epoch = i16::MAX - EPOCHS_LEFT;
            let record = transaction.to_record(&id, -1);
            let mut batch = BatchBuilder::new();
            batch.push(rt::clock::now_ms(), Some(&record.key), record.value.as_deref(), std::iter::empty());
            let op = AppendOp {
                records: batch.build(),
                acks: Acks::All,
                origin: Origin::Coordinator,
                transactional: false,
                verification: Verification::NotNeeded,
                transaction_version: 0,
            };
            let shard = self.shard_of(&partition);
            let hosted = shard.partition(&partition).expect("it was made at the start");
            if hosted.append(op).await.is_err() {
                return;
            }
            self.elect(&partition).await;
        }
    }

    /// The broker leads a partition anew.
    async fn elect(&self, partition: &TopicPartition) {
        for leader in [OTHER_NODE, NODE] {
            self.change(&led_by(partition, leader).into());
            self.publish().await;
        }
    }

    async fn refuse_writes(&self) {
        let topic = self.world.draw(|chance| chance.pick(&[OFFSETS_TOPIC, TRANSACTIONS_TOPIC]));
        self.world.note(|| format!("REFUSES {topic}"));
        self.set_config(topic, "max.message.bytes", Some("10"));
        self.publish().await;
        let ms = self.world.draw(|chance| chance.magnitude(1, 3000));
        rt::sleep(Duration::from_millis(ms)).await;
        self.set_config(topic, "max.message.bytes", None);
        self.publish().await;
        self.world.note(|| format!("TAKES {topic}"));
    }

    async fn lead_elsewhere(&self) {
        let topic = self.world.draw(|chance| chance.pick(&[OFFSETS_TOPIC, TRANSACTIONS_TOPIC]));
        let all = self.partitions_of(topic);
        let at = self.world.draw(|chance| chance.below(all.len() as u64)) as usize;
        self.world.note(|| format!("MOVES {topic}-{at}"));
        let elections = self.world.draw(|chance| chance.between(1, ELECTIONS_MAX));
        for _ in 0..elections {
            self.until_behind(&all[at]).await;
            for leader in [OTHER_NODE, NODE] {
                self.change(&led_by(&all[at], leader).into());
                self.publish().await;
                let ms = self.world.draw(|chance| chance.magnitude(1, 3000));
                // Some are over before anything that is under way has noticed.
                if ms > SHORT_MS {
                    rt::sleep(Duration::from_millis(ms)).await;
                }
            }
        }
        self.world.note(|| format!("MOVED {topic}-{at}"));
    }

    /// Elections are worst when a coordinator has begun to write and has more to write.
    async fn until_behind(&self, partition: &TopicPartition) {
        for _ in 0..PATIENT_LOOKS {
            let shard = self.shard_of(partition);
            let of_groups = shard.group_runner(partition).is_some_and(|runner| runner.is_behind());
            if of_groups || shard.transaction_runner(partition).is_some_and(|runner| runner.is_behind()) {
                return;
            }
            rt::sleep(Duration::from_millis(1)).await;
        }
    }

    /// After a life that ended in the middle of a disturbance.
    pub fn mend_metadata(&self) {
        for topic in [OFFSETS_TOPIC, TRANSACTIONS_TOPIC] {
            self.set_config(topic, "max.message.bytes", None);
            for partition in self.partitions_of(topic) {
                // A restart of the leader is an election.
                self.change(&led_by(&partition, NODE).into());
            }
        }
    }
}
