//! A runner on a real partition, inside an executor.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::cluster::ShardCluster;
use super::{CoordinatorAnswer, CoordinatorError, Runner, Writing};
use crate::coordinator::group::consumer::MigrationPolicy;
use crate::coordinator::group::consumer::assignor::Assignor;
use crate::coordinator::group::{
    CommitOffsets, ConsumerLimits, FetchOffsets, GroupRequest, GroupResponse, GroupSettings, Groups, JoinGroup,
    MissingGroup, NewOffset, Stability,
};
use crate::coordinator::{Marker, TransactionEnd};
use crate::log::testing::{format_dir, start_storage};
use crate::log::{PartitionId, Storage};
use crate::metrics::ShardMetrics;
use crate::partition::{Partition, PartitionConfig};
use crate::protocol::ErrorCode;
use crate::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use crate::protocol::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::record::Compression;
use crate::rt;
use crate::shard::Hosted;
use crate::wal::WalSettings;
use crate::wire::{KafkaString, Uuid};

type Answer = oneshot::Receiver<CoordinatorAnswer<GroupResponse>>;

/// A partition on disk and what is counted of it; the directories go last.
struct Bench {
    hosted: Rc<Hosted>,
    linger: Duration,
    metrics: Arc<ShardMetrics>,
    _storage: Storage,
    _dirs: [tempfile::TempDir; 2],
}

impl Bench {
    async fn new() -> Bench {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("tempdir");
        let tail = tempfile::tempdir_in("/dev/shm").expect("tempdir");
        format_dir(dir.path());
        let started = start_storage(dir.path(), tail.path(), 64 << 20, 1000, WalSettings::default());
        let (dirs, storage) = started.expect("open");
        let id = PartitionId { topic: "__consumer_offsets".into(), topic_id: Uuid::from_bytes([3; 16]), partition: 0 };
        let created = Partition::create(&storage, &dirs.dirs()[0], id, PartitionConfig::default()).await;
        let partition = created.expect("create");
        partition.lead(5);
        let metrics: Arc<ShardMetrics> = Arc::default();
        let hosted = Rc::new(Hosted::new(partition, &metrics));
        Bench { hosted, linger: Duration::ZERO, metrics, _storage: storage, _dirs: [dir, tail] }
    }

    fn start(&self) -> Rc<Runner<Groups>> {
        let settings = GroupSettings {
            metadata_len_max: 4096,
            retention_ms: i64::MAX,
            retention_check_interval_ms: 600_000,
            initial_rebalance_delay_ms: 600_000,
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            size_max: 100,
            consumer: ConsumerLimits {
                size_max: 100,
                assignors: vec![Assignor::Uniform],
                migration: MigrationPolicy::Disabled,
                pattern_refresh_interval_ms: 600_000,
            },
        };
        let cluster = || Box::new(ShardCluster::new(std::rc::Weak::new()));
        let make = Box::new(move || Groups::new(settings.clone(), cluster()));
        let writing = Writing { codec: Compression::Lz4, linger: self.linger };
        Runner::start(Rc::clone(&self.hosted), writing, Arc::clone(&self.metrics), make)
    }

    /// A runner that has loaded.
    async fn loaded(&self) -> Rc<Runner<Groups>> {
        let runner = self.start();
        until_loaded(&runner).await;
        runner
    }
}

async fn until_loaded(runner: &Runner<Groups>) {
    while runner.look(|_| ()).is_none() {
        rt::yield_now().await;
    }
}

fn ask(runner: &Rc<Runner<Groups>>, request: GroupRequest) -> Answer {
    let (reply, answer) = oneshot::channel();
    runner.submit(request, reply);
    answer
}

fn commit(group: &str, offset: i64) -> GroupRequest {
    let offset =
        NewOffset { topic: "t".into(), topic_id: Uuid::ZERO, partition: 0, offset, leader_epoch: -1, metadata: None };
    GroupRequest::Commit(Box::new(CommitOffsets {
        group_id: group.into(),
        generation: -1,
        member_id: KafkaString::EMPTY,
        group_instance_id: None,
        retention_time_ms: -1,
        missing_group: MissingGroup::NotFound,
        offsets: vec![offset],
    }))
}

async fn committed(runner: &Rc<Runner<Groups>>, group: &str) -> i64 {
    let topic = OffsetFetchRequestTopics { name: "t".into(), partition_indexes: vec![0], ..Default::default() };
    let request = OffsetFetchRequestGroup { group_id: group.into(), topics: Some(vec![topic]), ..Default::default() };
    let fetch = GroupRequest::Fetch(Box::new(FetchOffsets { request, stability: Stability::Any }));
    match ask(runner, fetch).await {
        Ok(Ok(GroupResponse::Offsets(found))) => found.topics[0].partitions[0].committed_offset,
        other => panic!("{other:?}"),
    }
}

fn is_committed(answer: &Result<CoordinatorAnswer<GroupResponse>, oneshot::error::RecvError>) -> bool {
    matches!(answer, Ok(Ok(GroupResponse::Committed(Ok(codes)))) if codes[..] == [ErrorCode::None])
}

fn run(test: impl AsyncFnOnce(Bench) + 'static) {
    rt::executor::run_local(async move { test(Bench::new().await).await }).expect("executor");
}

#[test]
fn what_was_answered_is_there_after_a_load() {
    run(async |bench| {
        let runner = bench.loaded().await;
        for offset in 0..20 {
            assert!(is_committed(&ask(&runner, commit("g", offset)).await));
            assert!(bench.hosted.high_watermark() > offset, "it was answered before it was durable");
        }
        assert_eq!(committed(&runner, "g").await, 19);
        runner.end();
        assert_eq!(committed(&bench.loaded().await, "g").await, 19);
    });
}

#[test]
fn writes_of_one_turn_share_a_batch() {
    run(async |bench| {
        let runner = bench.loaded().await;
        let answers: Vec<Answer> = (0..50).map(|index| ask(&runner, commit(&format!("g{index}"), 1))).collect();
        for answer in answers {
            assert!(is_committed(&answer.await));
        }
        let counters = &bench.metrics.counters;
        assert_eq!((counters.coordinator_batches.get(), counters.coordinator_records.get()), (1, 50));
    });
}

#[test]
fn a_linger_gathers_records_of_many_turns() {
    run(async |mut bench| {
        bench.linger = Duration::from_millis(200);
        let runner = bench.loaded().await;
        let mut answers = Vec::new();
        for index in 0..10 {
            answers.push(ask(&runner, commit(&format!("g{index}"), 1)));
            rt::sleep(Duration::from_millis(1)).await;
        }
        for answer in answers {
            assert!(is_committed(&answer.await));
        }
        let counters = &bench.metrics.counters;
        assert_eq!(counters.coordinator_records.get(), 10);
        assert!(counters.coordinator_batches.get() <= 2, "{} batches", counters.coordinator_batches.get());
    });
}

#[test]
fn a_write_that_fails_takes_the_state_back() {
    run(async |bench| {
        let runner = bench.loaded().await;
        assert!(is_committed(&ask(&runner, commit("g", 1)).await));
        let failing = ask(&runner, commit("g", 2));
        let behind = ask(&runner, GroupRequest::Describe(vec!["g".into()]));
        assert_eq!(runner.look(Groups::offset_count), Some(1));
        // The log refuses what it took a moment ago.
        let mut config = PartitionConfig::default();
        config.rules.max_message_bytes = 10;
        bench.hosted.set_config(config);
        for answer in [failing, behind] {
            assert_eq!(answer.await, Ok(Err(CoordinatorError::NotHere)));
        }
        bench.hosted.set_config(PartitionConfig::default());
        until_loaded(&runner).await;
        assert_eq!(committed(&runner, "g").await, 1);
        assert!(is_committed(&ask(&runner, commit("g", 3)).await));
        assert_eq!(committed(&runner, "g").await, 3);
    });
}

#[test]
fn nothing_is_handled_while_it_loads_and_after_its_end() {
    run(async |bench| {
        let runner = bench.loaded().await;
        assert!(is_committed(&ask(&runner, commit("g", 1)).await));
        let loading = bench.start();
        assert_eq!(ask(&loading, commit("g", 2)).await, Ok(Err(CoordinatorError::Loading)));
        until_loaded(&loading).await;
        let join = JoinGroup {
            request: JoinGroupRequest {
                group_id: "waiting".into(),
                session_timeout_ms: 10_000,
                protocol_type: "consumer".into(),
                protocols: vec![JoinGroupRequestProtocol { name: "range".into(), ..Default::default() }],
                ..Default::default()
            },
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            random: "1".into(),
            random_id: "2".into(),
            member_id_required: false,
            may_skip_assignment: false,
        };
        let parked = ask(&loading, GroupRequest::Join(Box::new(join)));
        let end = bench.hosted.log_end_offset();
        let written = ask(&loading, commit("g", 3));
        while bench.hosted.log_end_offset() == end {
            rt::yield_now().await;
        }
        let late = ask(&loading, commit("g", 5));
        loading.end();
        assert_eq!(parked.await, Ok(Err(CoordinatorError::NotHere)));
        assert!(is_committed(&written.await), "what the log has is answered");
        assert_eq!(late.await, Ok(Err(CoordinatorError::NotHere)), "whoever comes next may have read the log");
        assert_eq!(ask(&loading, commit("g", 4)).await, Ok(Err(CoordinatorError::NotHere)));
        assert_eq!(committed(&bench.loaded().await, "g").await, 3);
    });
}

#[test]
fn a_transaction_is_ending_until_its_marker_is_in_the_log() {
    run(async |bench| {
        let runner = bench.loaded().await;
        // The marker waits until this one is durable.
        let before = ask(&runner, commit("g", 1));
        while bench.hosted.log_end_offset() == 0 {
            rt::yield_now().await;
        }
        let marker = Marker { end: TransactionEnd::Commit, coordinator_epoch: 0, transaction_version: 1 };
        let ended = ask(&runner, GroupRequest::EndTransaction { producer: (7, 0), marker });
        assert!(runner.is_ending(7) && !runner.is_ending(8));
        assert!(is_committed(&before.await));
        assert_eq!(ended.await, Ok(Ok(GroupResponse::Done)));
        assert!(!runner.is_ending(7));
    });
}
