//! The machine of groups, driven without a log: what it writes is kept, and may be replayed into another one.

mod classic;
mod consumer;
mod expiry;
mod offsets;
mod static_members;
mod world;

use world::World;

use super::*;
use crate::coordinator::Write;
use crate::protocol::ErrorCode;
use crate::protocol::heartbeat::HeartbeatRequest;
use crate::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use crate::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::protocol::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use crate::wire::Uuid;

const GROUP: &str = "g";
const DELAY_MS: i64 = 3_000;
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A machine with its time, its log, and who waits.
struct Bench {
    groups: Groups,
    world: World,
    now_ms: i64,
    log: Vec<Write>,
    answers: HashMap<Ticket, GroupResponse>,
    tickets: u64,
    write_bytes_max: usize,
}

fn settings() -> GroupSettings {
    GroupSettings {
        metadata_len_max: 16,
        retention_ms: 1_000_000,
        retention_check_interval_ms: 600_000,
        initial_rebalance_delay_ms: DELAY_MS,
        session_timeout_min_ms: 6_000,
        session_timeout_max_ms: 300_000,
        size_max: 3,
        consumer: world::consumer_limits(),
    }
}

impl Bench {
    fn new() -> Bench {
        Bench::with(settings())
    }

    fn with(settings: GroupSettings) -> Bench {
        let world = World::default();
        let mut bench = Bench {
            groups: Groups::new(settings, Box::new(world.clone())),
            world,
            now_ms: 1_000,
            log: Vec::new(),
            answers: HashMap::new(),
            tickets: 0,
            write_bytes_max: 1 << 20,
        };
        bench.run(|groups, now, effects| groups.loaded(now, effects));
        bench
    }

    fn run(&mut self, step: impl FnOnce(&mut Groups, Now, &mut Effects<GroupResponse>)) {
        let mut effects = Effects::new(self.write_bytes_max);
        let now = Now { wall_ms: self.now_ms, monotonic_ms: self.now_ms };
        step(&mut self.groups, now, &mut effects);
        self.log.extend(effects.writes);
        for (ticket, answer) in effects.answers {
            assert!(self.answers.insert(ticket, answer).is_none(), "{ticket:?} is answered twice");
        }
    }

    /// Asks and answers the ticket.
    fn start(&mut self, request: GroupRequest) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.run(|groups, now, effects| groups.handle(request, ticket, now, effects));
        ticket
    }

    /// Asks what is answered at once.
    fn ask(&mut self, request: GroupRequest) -> GroupResponse {
        let ticket = self.start(request);
        self.answers.remove(&ticket).expect("it is answered at once")
    }

    /// Time passes, timer by timer.
    fn pass(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while let Some(due_ms) = self.groups.next_deadline_ms().filter(|due_ms| *due_ms <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.run(|groups, now, effects| groups.fire(now, effects));
        }
        self.now_ms = end_ms;
    }

    fn joined(&mut self, ticket: Ticket) -> Option<JoinGroupResponse> {
        match self.answers.remove(&ticket)? {
            GroupResponse::Joined(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    fn synced(&mut self, ticket: Ticket) -> Option<SyncGroupResponse> {
        match self.answers.remove(&ticket)? {
            GroupResponse::Synced(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    /// A member that was told its id and has asked to join with it.
    fn joins_anew(&mut self) -> (KafkaString, Ticket) {
        let told = self.ask(join("", |_| ()));
        let GroupResponse::Joined(told) = told else { panic!("{told:?}") };
        assert_eq!(told.error_code, ErrorCode::MemberIdRequired.code());
        let ticket = self.start(join(&told.member_id, |_| ()));
        (told.member_id, ticket)
    }

    /// A stable group of so many members; the first is the leader.
    fn stable(&mut self, count: usize) -> Vec<KafkaString> {
        let members: Vec<_> = (0..count).map(|_| self.joins_anew()).collect();
        self.pass(DELAY_MS * (count as i64 + 1));
        let mut leader = None;
        for (member, ticket) in &members {
            let joined = self.joined(*ticket).expect("the first rebalance has ended");
            assert_eq!(joined.error_code, 0);
            if joined.leader == *member {
                leader = Some(member.clone());
            }
        }
        let leader = leader.expect("one of them leads");
        let mut members: Vec<_> = members.into_iter().map(|(member, _)| member).collect();
        members.sort_by_key(|member| *member != leader);
        let tickets: Vec<_> = members.iter().rev().map(|member| self.sync(member, &members)).collect();
        for ticket in tickets {
            assert_eq!(self.synced(ticket).expect("the leader has assigned").error_code, 0);
        }
        assert_eq!(self.state(), ClassicState::Stable);
        members
    }

    /// SyncGroup of a member in the present generation; each of `assigned` gets its own name.
    fn sync(&mut self, member: &KafkaString, assigned: &[KafkaString]) -> Ticket {
        let generation_id = self.generation();
        let assignments = assigned.iter().map(|member| SyncGroupRequestAssignment {
            member_id: member.clone(),
            assignment: member.clone().into_bytes(),
        });
        self.start(GroupRequest::Sync(Box::new(SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id,
            member_id: member.clone(),
            assignments: assignments.collect(),
            ..Default::default()
        })))
    }

    fn heartbeat(&mut self, member: &str, generation_id: i32) -> ErrorCode {
        let request =
            HeartbeatRequest { group_id: GROUP.into(), generation_id, member_id: member.into(), ..Default::default() };
        match self.ask(GroupRequest::Heartbeat(Box::new(request))) {
            GroupResponse::Heartbeat(response) => ErrorCode::from_code(response.error_code),
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<ErrorCode> {
        let members = members.iter().map(|(member_id, instance_id)| MemberIdentity {
            member_id: (*member_id).into(),
            group_instance_id: instance_id.map(Into::into),
            reason: None,
        });
        let request = LeaveGroupRequest { group_id: GROUP.into(), members: members.collect(), ..Default::default() };
        match self.ask(GroupRequest::Leave(Box::new(request))) {
            GroupResponse::Left(response) => {
                response.members.iter().map(|member| ErrorCode::from_code(member.error_code)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, change: impl FnOnce(&mut CommitOffsets)) -> Result<Vec<ErrorCode>, ErrorCode> {
        let mut commit = CommitOffsets {
            group_id: GROUP.into(),
            generation: -1,
            member_id: KafkaString::EMPTY,
            group_instance_id: None,
            retention_time_ms: -1,
            missing_group: MissingGroup::NotFound,
            offsets: vec![offset("t", 0, 42)],
        };
        change(&mut commit);
        match self.ask(GroupRequest::Commit(Box::new(commit))) {
            GroupResponse::Committed(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        self.groups.offsets.get(GROUP, topic, partition).map(|found| found.offset)
    }

    fn group(&self) -> &ClassicGroup {
        self.groups.classic(GROUP).expect("it is a classic group")
    }

    fn state(&self) -> ClassicState {
        self.group().state()
    }

    fn generation(&self) -> i32 {
        self.group().generation
    }

    /// Another machine that has read the log, and nothing else.
    fn restarted(&self) -> Bench {
        let mut bench = Bench {
            groups: Groups::new(self.groups.settings.clone(), Box::new(self.world.clone())),
            world: self.world.clone(),
            now_ms: self.now_ms,
            log: self.log.clone(),
            answers: HashMap::new(),
            tickets: self.tickets,
            write_bytes_max: self.write_bytes_max,
        };
        for record in records(&self.log) {
            replay(&mut bench.groups, record, None);
        }
        bench.run(|groups, now, effects| groups.loaded(now, effects));
        bench
    }
}

impl Groups {
    fn classic_mut(&mut self, group_id: &str) -> Option<&mut ClassicGroup> {
        match self.groups.get_mut(group_id)? {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        }
    }
}

fn records(log: &[Write]) -> impl Iterator<Item = &CoordinatorRecord> {
    log.iter().flat_map(|write| &write.records)
}

fn replay(groups: &mut Groups, record: &CoordinatorRecord, producer_id: Option<i64>) {
    let record = Replayed { offset: 0, producer_id, key: record.key.clone(), value: record.value.clone() };
    groups.replay(&record).expect("it was written by the machine");
}

/// A JoinGroup of a consumer that subscribed to "t", as version 9 sends it.
fn join(member_id: &str, change: impl FnOnce(&mut JoinGroupRequest)) -> GroupRequest {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static RANDOM: AtomicU64 = AtomicU64::new(0);
    let mut request = JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", &["t"]), protocol("roundrobin", &["t"])],
        ..Default::default()
    };
    change(&mut request);
    GroupRequest::Join(Box::new(JoinGroup {
        request,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        random: KafkaString::from(format!("{:04}", RANDOM.fetch_add(1, Relaxed))),
        random_id: KafkaString::from(format!("id{:04}", RANDOM.fetch_add(1, Relaxed))),
        member_id_required: true,
        may_skip_assignment: true,
    }))
}

fn protocol(name: &str, topics: &[&str]) -> JoinGroupRequestProtocol {
    use crate::protocol::Message;
    use crate::protocol::group::ConsumerProtocolSubscription;
    let mut writer = crate::wire::Writer::new();
    writer.write_i16(0);
    let subscription = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        ..Default::default()
    };
    subscription.encode(&mut writer, 0);
    JoinGroupRequestProtocol { name: name.into(), metadata: writer.freeze() }
}

fn offset(topic: &str, partition: i32, offset: i64) -> NewOffset {
    NewOffset {
        topic: topic.into(),
        topic_id: Uuid::from_u128(7),
        partition,
        offset,
        leader_epoch: 3,
        metadata: Some("m".into()),
    }
}
