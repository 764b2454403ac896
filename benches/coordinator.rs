//! What the pure machines of groups and transactions cost: no log, no cores, no frames.
#![allow(missing_docs, reason = "the macro of criterion makes a public function without one")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millrace::coordinator::group::consumer::assignor::{Assignor, GroupSpec, Subscriber};
use millrace::coordinator::group::consumer::{MigrationPolicy, Partitions};
use millrace::coordinator::group::{
    Cluster, CommitOffsets, ConsumerHeartbeat, ConsumerLimits, ConsumerSettings, FetchOffsets, GroupRequest,
    GroupResponse, GroupSettings, Groups, JoinGroup, MissingGroup, NewOffset, OffsetAndMetadata, Stability, TopicFacts,
};
use millrace::coordinator::txn::{
    Asker, ClientVersion, EndTransaction, InitProducer, Transactions, TxnRequest, TxnResponse, TxnSettings,
};
use millrace::coordinator::{CoordinatorRecord, Effects, Machine, Now, Replayed, Ticket, TransactionEnd};
use millrace::protocol::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use millrace::protocol::heartbeat::HeartbeatRequest;
use millrace::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millrace::protocol::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use millrace::protocol::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use millrace::wire::{KafkaString, Uuid};

const NOW: Now = Now { wall_ms: 1_700_000_000_000, monotonic_ms: 1 };
const WRITE_BYTES: usize = 1 << 20;
const MEMBERS: usize = 200;
const PARTITIONS: i32 = 1000;
const TOPIC: Uuid = Uuid::from_u128(7);

/// A cluster of one topic.
struct OneTopic;

impl Cluster for OneTopic {
    fn version(&self) -> i64 {
        1
    }

    fn topic(&self, name: &str) -> Option<TopicFacts> {
        Some(TopicFacts { id: TOPIC, name: name.into(), partition_count: PARTITIONS })
    }

    fn topic_name(&self, _: Uuid) -> Option<KafkaString> {
        Some("topic".into())
    }

    fn topic_names(&self) -> Vec<KafkaString> {
        vec!["topic".into()]
    }

    fn racks(&self, _: Uuid, _: i32) -> Vec<KafkaString> {
        Vec::new()
    }

    fn consumer_settings(&self, _: &str) -> ConsumerSettings {
        ConsumerSettings { session_timeout_ms: 45_000, heartbeat_interval_ms: 5_000, assignment_interval_ms: 0 }
    }
}

/// A machine, and the number of the last ticket.
struct Driven<M> {
    machine: M,
    tickets: u64,
}

impl Driven<Groups> {
    fn groups() -> Driven<Groups> {
        let settings = GroupSettings {
            metadata_len_max: 4096,
            retention_ms: 604_800_000,
            retention_check_interval_ms: 600_000,
            initial_rebalance_delay_ms: 0,
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            size_max: usize::MAX,
            consumer: ConsumerLimits {
                size_max: usize::MAX,
                assignors: vec![Assignor::Uniform, Assignor::Range],
                migration: MigrationPolicy::Bidirectional,
                pattern_refresh_interval_ms: 600_000,
            },
        };
        Driven { machine: Groups::new(settings, Box::new(OneTopic)), tickets: 0 }
    }
}

impl<M: Machine> Driven<M> {
    fn ask(&mut self, request: M::Request) -> Effects<M::Response> {
        self.tickets += 1;
        let mut effects = Effects::new(WRITE_BYTES);
        self.machine.handle(request, Ticket(self.tickets), NOW, &mut effects);
        effects
    }
}

fn commit(group: &str, partitions: i32) -> GroupRequest {
    let offset = |partition| NewOffset {
        topic: "topic".into(),
        topic_id: TOPIC,
        partition,
        offset: 1 << 33,
        leader_epoch: 0,
        metadata: Some(KafkaString::EMPTY),
    };
    GroupRequest::Commit(Box::new(CommitOffsets {
        group_id: group.into(),
        generation: -1,
        member_id: KafkaString::EMPTY,
        group_instance_id: None,
        retention_time_ms: -1,
        missing_group: MissingGroup::NotFound,
        offsets: (0..partitions).map(offset).collect(),
    }))
}

fn offsets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("offsets");
    for partitions in [1i32, 10] {
        group.throughput(Throughput::Elements(u64::from(partitions.unsigned_abs())));
        let mut driven = Driven::groups();
        group.bench_function(format!("commit of {partitions}"), |bencher| {
            bencher.iter_batched(
                || commit("group", partitions),
                |request| black_box(driven.ask(request)),
                BatchSize::SmallInput,
            );
        });
    }
    let mut driven = Driven::groups();
    driven.ask(commit("group", PARTITIONS));
    let topic =
        OffsetFetchRequestTopics { name: "topic".into(), topic_id: TOPIC, partition_indexes: (0..10).collect() };
    let request = OffsetFetchRequestGroup { group_id: "group".into(), topics: Some(vec![topic]), ..Default::default() };
    let fetch = FetchOffsets { request, stability: Stability::Required };
    group.throughput(Throughput::Elements(10));
    group.bench_function("fetch of 10", |bencher| {
        bencher.iter_batched(
            || GroupRequest::Fetch(Box::new(fetch.clone())),
            |request| black_box(driven.ask(request)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn value() -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset: 1 << 33,
        leader_epoch: 0,
        metadata: KafkaString::EMPTY,
        commit_timestamp_ms: NOW.wall_ms,
        expire_timestamp_ms: -1,
        topic_id: TOPIC,
    }
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("records");
    let (name, topic) = (KafkaString::from("holder-of-offsets-7"), KafkaString::from("topic"));
    group.throughput(Throughput::Elements(1));
    group.bench_function("encode of an offset", |bencher| {
        bencher.iter(|| black_box(value().to_record(&name, &topic, 7)));
    });
    // As they stand in a log: 100 groups that commit 100 partitions each.
    let replayed: Vec<Replayed> = (0..10_000)
        .map(|nth| {
            let CoordinatorRecord { key, value } =
                value().to_record(&format!("holder-of-offsets-{}", nth / 100).into(), &topic, nth % 100);
            Replayed { offset: nth.into(), producer_id: None, key, value }
        })
        .collect();
    group.throughput(Throughput::Elements(replayed.len() as u64));
    group.bench_function("replay of 10,000 offsets", |bencher| {
        bencher.iter_batched_ref(
            Driven::groups,
            |driven| {
                for record in &replayed {
                    driven.machine.replay(record).expect("it is readable");
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn join(member_id: KafkaString) -> GroupRequest {
    let request = JoinGroupRequest {
        group_id: "group".into(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 60_000,
        member_id,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: vec![1; 64].into() }],
        ..Default::default()
    };
    GroupRequest::Join(Box::new(JoinGroup {
        request,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        random: KafkaString::EMPTY,
        random_id: KafkaString::EMPTY,
        member_id_required: false,
        may_skip_assignment: true,
    }))
}

/// Everybody joins, then everybody syncs, the leader last. Answers the ids, the leader's first.
fn rebalance(driven: &mut Driven<Groups>, joins: Vec<GroupRequest>) -> Vec<KafkaString> {
    let mut answers = Vec::new();
    for request in joins {
        answers.extend(driven.ask(request).answers);
    }
    if let Some(deadline_ms) = driven.machine.next_deadline_ms().filter(|_| answers.len() < MEMBERS) {
        let mut effects = Effects::new(WRITE_BYTES);
        let now = Now { monotonic_ms: deadline_ms, ..NOW };
        driven.machine.fire(now, &mut effects);
        answers.extend(effects.answers);
    }
    let mut joined: Vec<_> = answers
        .into_iter()
        .filter_map(|(_, answer)| match answer {
            GroupResponse::Joined(joined) => Some(joined),
            _ => None,
        })
        .collect();
    joined.sort_by_key(|one| one.leader != one.member_id);
    let ids: Vec<KafkaString> = joined.iter().map(|one| one.member_id.clone()).collect();
    for one in joined.iter().rev() {
        let assign = |member_id: &KafkaString| SyncGroupRequestAssignment {
            member_id: member_id.clone(),
            assignment: vec![1; 64].into(),
        };
        let request = SyncGroupRequest {
            group_id: "group".into(),
            generation_id: one.generation_id,
            member_id: one.member_id.clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: if one.leader == one.member_id { ids.iter().map(assign).collect() } else { Vec::new() },
            ..Default::default()
        };
        black_box(driven.ask(GroupRequest::Sync(Box::new(request))));
    }
    ids
}

fn classic(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("classic group of 200");
    let mut driven = Driven::groups();
    let ids = {
        let request = |nth: usize| match join(KafkaString::EMPTY) {
            GroupRequest::Join(mut join) => {
                join.random = format!("{nth}").into();
                GroupRequest::Join(join)
            }
            other => other,
        };
        rebalance(&mut driven, (0..MEMBERS).map(request).collect())
    };
    assert_eq!(ids.len(), MEMBERS, "all of them are in one generation");
    group.bench_function("heartbeat", |bencher| {
        let request = HeartbeatRequest {
            group_id: "group".into(),
            generation_id: 1,
            member_id: ids[MEMBERS - 1].clone(),
            ..Default::default()
        };
        bencher.iter_batched(
            || GroupRequest::Heartbeat(Box::new(request.clone())),
            |request| black_box(driven.ask(request)),
            BatchSize::SmallInput,
        );
    });
    group.sample_size(20);
    group.bench_function("all join again and sync", |bencher| {
        bencher.iter_batched(
            || ids.iter().cloned().map(join).collect::<Vec<_>>(),
            |joins| assert_eq!(rebalance(&mut driven, joins).len(), MEMBERS),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn beat(nth: usize, epoch: i32) -> GroupRequest {
    let mut request = ConsumerGroupHeartbeatRequest {
        group_id: "consumers".into(),
        member_id: format!("member-{nth}").into(),
        member_epoch: epoch,
        ..Default::default()
    };
    if epoch == 0 {
        request.rebalance_timeout_ms = 60_000;
        request.subscribed_topic_names = Some(vec!["topic".into()]);
        request.topic_partitions = Some(Vec::new());
    }
    GroupRequest::ConsumerHeartbeat(Box::new(ConsumerHeartbeat {
        request,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        random: KafkaString::EMPTY,
    }))
}

fn consumer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("consumer group of 200");
    group.sample_size(20);
    group.bench_function("all join, an assignment each", |bencher| {
        bencher.iter_batched_ref(
            Driven::groups,
            |driven| (0..MEMBERS).for_each(|nth| drop(black_box(driven.ask(beat(nth, 0))))),
            BatchSize::LargeInput,
        );
    });
    let mut driven = Driven::groups();
    let mut epoch = 0;
    for nth in 0..MEMBERS {
        for (_, answer) in driven.ask(beat(nth, 0)).answers {
            if let GroupResponse::ConsumerHeartbeat(answer) = answer {
                epoch = answer.member_epoch;
            }
        }
    }
    group.bench_function("heartbeat", |bencher| {
        bencher.iter_batched(
            || beat(MEMBERS - 1, epoch),
            |request| black_box(driven.ask(request)),
            BatchSize::SmallInput,
        );
    });
    let topics = BTreeSet::from([TOPIC]);
    let ids: Vec<String> = (0..MEMBERS).map(|nth| format!("member-{nth:03}")).collect();
    let counts = BTreeMap::from([(TOPIC, PARTITIONS)]);
    let spec = |assigned: &[Partitions]| {
        let subscriber =
            |nth: usize| Subscriber { id: &ids[nth], instance_id: None, topics: &topics, assigned: &assigned[nth] };
        let members: Vec<Subscriber<'_>> = (0..assigned.len()).map(subscriber).collect();
        Assignor::Uniform.assign(&GroupSpec { members: &members, partition_counts: &counts, alike: true })
    };
    let fresh = vec![Partitions::new(); MEMBERS];
    group.bench_function("uniform, nobody had any", |bencher| bencher.iter(|| black_box(spec(&fresh))));
    let mut one_short = spec(&fresh[1..]);
    one_short.push(Partitions::new());
    group.bench_function("uniform, one more member", |bencher| bencher.iter(|| black_box(spec(&one_short))));
    group.finish();
}

/// One producer, between two transactions.
struct Producing {
    driven: Driven<Transactions>,
    producer: (i64, i16),
}

impl Producing {
    fn start(others: usize) -> Producing {
        let settings = TxnSettings {
            timeout_max_ms: 900_000,
            id_expiration_ms: 604_800_000,
            abort_interval_ms: 10_000,
            expiry_interval_ms: 3_600_000,
        };
        let mut producing =
            Producing { driven: Driven { machine: Transactions::new(settings), tickets: 0 }, producer: (0, 0) };
        (0..others).for_each(|nth| producing.init(&format!("other-{nth}"), 1000 + nth as i64));
        producing.init("mover", 7);
        producing.driven.ask(TxnRequest::NextEnds(Asker::Following));
        producing
    }

    fn init(&mut self, id: &str, producer_id: i64) {
        let request =
            InitProducer { id: id.into(), timeout_ms: 60_000, expected: None, new_producer_id: Some(producer_id) };
        let effects = self.driven.ask(TxnRequest::InitProducer(Box::new(request)));
        if let Some((_, TxnResponse::Initialized(Ok(producer)))) = effects.answers.into_iter().next() {
            self.producer = producer;
        }
    }

    /// Add, end, markers: all that a transaction asks of its coordinator.
    fn transaction(&mut self) {
        let (id, producer) = (KafkaString::from("mover"), self.producer);
        let partitions = vec![("topic".into(), 3)];
        let version = ClientVersion::Two;
        let added = self.driven.ask(TxnRequest::AddPartitions { id: id.clone(), producer, partitions, version });
        assert!(matches!(added.answers[..], [(_, TxnResponse::Added(millrace::protocol::ErrorCode::None))]));
        let end = EndTransaction { id, producer, end: TransactionEnd::Commit, version, new_producer_id: Some(8) };
        let ended = self.driven.ask(TxnRequest::End(Box::new(end)));
        for (_, answer) in ended.answers {
            match answer {
                TxnResponse::Ended(Ok(next)) => self.producer = next,
                TxnResponse::Ends(ends) => {
                    self.driven.ask(TxnRequest::NextEnds(Asker::Following));
                    for one in ends {
                        let written = TxnRequest::MarkersWritten { id: one.id, producer: one.producer };
                        black_box(self.driven.ask(written));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn transactions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transactions");
    let mut producing = Producing::start(1000);
    group.throughput(Throughput::Elements(1));
    group.bench_function("begin to complete, one partition", |bencher| bencher.iter(|| producing.transaction()));
    // Offsets of many open transactions, of which one ends.
    let mut driven = Driven::groups();
    let (topic, mut nth) = (KafkaString::from("topic"), 0i64);
    let pending = |driven: &mut Driven<Groups>, producer_id: i64| {
        let group = KafkaString::from(format!("group-{}", producer_id % 1000));
        let CoordinatorRecord { key, value } = value().to_record(&group, &topic, 1);
        let record = Replayed { offset: producer_id, producer_id: Some(producer_id), key, value };
        driven.machine.replay(&record).expect("it is readable");
    };
    (0..1000).for_each(|producer_id| pending(&mut driven, producer_id));
    group.bench_function("offsets of one of 1000 open ones", |bencher| {
        bencher.iter(|| {
            driven.machine.end_transaction(nth, TransactionEnd::Commit);
            pending(&mut driven, nth + 1000);
            nth += 1;
        });
    });
    group.finish();
}

criterion_group!(benches, offsets, records, classic, consumer, transactions);
criterion_main!(benches);
