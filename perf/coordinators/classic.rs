//! A classic group of many members on as many connections: from the first JoinGroup until all have synced in one generation,
//! when it is new and when each member joins again.
//!
//! A member that is through sends heartbeats until it is told to join again: with them a group that began before all had
//! arrived comes to its end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::protocol::heartbeat::HeartbeatRequest;
use millrace::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use millrace::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::protocol::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use millrace::wire::KafkaString;
use serde_json::{Value, json};

use crate::cpu;
use crate::die;
use crate::pool::{Pool, decode};
use crate::setup::{self, Of};

const JOIN: i16 = 9;
const SYNC: i16 = 5;
const HEARTBEAT: i16 = 4;
const ILLEGAL_GENERATION: i16 = 22;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
const SESSION_MS: i32 = 60_000;
/// What a member is assigned: five partitions of a topic are as many bytes.
const ASSIGNMENT_BYTES: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum Waits {
    Join,
    Sync,
    Heartbeat,
    /// For the next heartbeat to be due.
    Time(Instant),
}

struct Member {
    id: KafkaString,
    generation: i32,
    waits: Waits,
    synced: bool,
}

struct Group {
    pool: Pool,
    name: KafkaString,
    members: Vec<Member>,
    /// The last generation that began, and its size as its leader was told.
    complete: (i32, usize),
    /// Changes with each round: members that say what they said before need not join.
    round: u8,
    beat: Duration,
}

/// Forms a group of so many members and lets it rebalance; milliseconds for both.
pub fn run(port: u16, pid: i32, count: usize, beat: Duration, name: &str) -> Value {
    let mut pool = Pool::connect(port, count);
    let name = KafkaString::from(name);
    setup::coordinators(&mut pool, Of::Group, std::slice::from_ref(&name));
    let member = || Member { id: KafkaString::EMPTY, generation: -1, waits: Waits::Join, synced: false };
    let members = (0..count).map(|_| member()).collect();
    let mut group = Group { pool, name, members, complete: (-1, 0), round: 0, beat };
    let timed = |group: &mut Group| {
        let before = cpu::of_process(pid);
        let took_ms = group.rebalance().as_secs_f64() * 1e3;
        let used = cpu::of_process(pid).zip(before).map_or(0.0, |(now, then)| (now - then).as_secs_f64() * 1e3);
        (took_ms, used, group.complete.0)
    };
    let (form_ms, form_cpu_ms, form_generation) = timed(&mut group);
    group.finish_beats();
    group.round += 1;
    let (again_ms, again_cpu_ms, again_generation) = timed(&mut group);
    group.finish_beats();
    group.leave();
    json!({
        "form_ms": form_ms, "form_cpu_ms": form_cpu_ms, "form_generation": form_generation,
        "again_ms": again_ms, "again_cpu_ms": again_cpu_ms, "again_generation": again_generation,
    })
}

/// `ConsumerProtocolSubscription` of version 0: one topic, and the round as the user's data.
fn subscription(round: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 5];
    bytes.extend(b"topic");
    bytes.extend([0, 0, 0, 1, round]);
    bytes
}

impl Group {
    /// All members join, until all have synced in the same generation.
    fn rebalance(&mut self) -> Duration {
        let began = Instant::now();
        self.complete.1 = 0;
        for nth in 0..self.members.len() {
            self.join(nth);
        }
        while !self.is_complete() {
            if began.elapsed() > Duration::from_secs(60) {
                die("a group does not come together");
            }
            for (nth, answer) in self.pool.answers(Duration::from_millis(2)) {
                self.answered(nth, answer);
            }
            self.due_heartbeats();
        }
        began.elapsed()
    }

    fn is_complete(&self) -> bool {
        let (generation, size) = self.complete;
        size == self.members.len() && self.members.iter().all(|one| one.synced && one.generation == generation)
    }

    fn answered(&mut self, nth: usize, answer: Bytes) {
        match self.members[nth].waits {
            Waits::Join => self.joined(nth, answer),
            Waits::Sync => self.synced(nth, answer),
            Waits::Heartbeat => match decode::<HeartbeatRequest>(answer, HEARTBEAT).error_code {
                0 => self.members[nth].waits = Waits::Time(Instant::now() + self.beat),
                REBALANCE_IN_PROGRESS | ILLEGAL_GENERATION => self.join(nth),
                code => die(&format!("Heartbeat: error {code}")),
            },
            Waits::Time(_) => die("an answer that nobody asked for"),
        }
    }

    fn join(&mut self, nth: usize) {
        let member = &mut self.members[nth];
        (member.waits, member.synced) = (Waits::Join, false);
        let request = JoinGroupRequest {
            group_id: self.name.clone(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: SESSION_MS,
            member_id: member.id.clone(),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: subscription(self.round).into(),
            }],
            ..Default::default()
        };
        self.pool.ask(nth, &request, JOIN);
    }

    fn joined(&mut self, nth: usize, answer: Bytes) {
        let joined = decode::<JoinGroupRequest>(answer, JOIN);
        match joined.error_code {
            0 => {}
            MEMBER_ID_REQUIRED => {
                self.members[nth].id = joined.member_id;
                return self.join(nth);
            }
            14 | 15 | 16 | REBALANCE_IN_PROGRESS => return self.join(nth),
            code => die(&format!("JoinGroup: error {code}")),
        }
        let assign = |member_id: KafkaString| SyncGroupRequestAssignment {
            member_id,
            assignment: vec![1; ASSIGNMENT_BYTES].into(),
        };
        if joined.leader == joined.member_id {
            self.complete = (joined.generation_id, joined.members.len());
        }
        let request = SyncGroupRequest {
            group_id: self.name.clone(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: joined.members.into_iter().map(|member| assign(member.member_id)).collect(),
            ..Default::default()
        };
        let member = &mut self.members[nth];
        member.id = joined.member_id;
        member.generation = joined.generation_id;
        member.waits = Waits::Sync;
        self.pool.ask(nth, &request, SYNC);
    }

    fn synced(&mut self, nth: usize, answer: Bytes) {
        let synced = decode::<SyncGroupRequest>(answer, SYNC);
        match synced.error_code {
            0 => {
                if synced.assignment.len() != ASSIGNMENT_BYTES {
                    die("a member got another assignment than it was given");
                }
                self.members[nth].synced = true;
                self.members[nth].waits = Waits::Time(Instant::now() + self.beat);
            }
            REBALANCE_IN_PROGRESS | ILLEGAL_GENERATION => self.join(nth),
            code => die(&format!("SyncGroup: error {code}")),
        }
    }

    fn due_heartbeats(&mut self) {
        let now = Instant::now();
        for nth in 0..self.members.len() {
            let member = &mut self.members[nth];
            if matches!(member.waits, Waits::Time(at) if at <= now) {
                member.waits = Waits::Heartbeat;
                let request = HeartbeatRequest {
                    group_id: self.name.clone(),
                    generation_id: member.generation,
                    member_id: member.id.clone(),
                    ..Default::default()
                };
                self.pool.ask(nth, &request, HEARTBEAT);
            }
        }
    }

    /// Nothing is under way any more.
    fn finish_beats(&mut self) {
        while self.members.iter().any(|member| !matches!(member.waits, Waits::Time(_))) {
            for (nth, answer) in self.pool.answers(Duration::from_secs(1)) {
                self.answered(nth, answer);
            }
        }
    }

    fn leave(&mut self) {
        let leaves = |member: &Member| MemberIdentity { member_id: member.id.clone(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: self.name.clone(),
            members: self.members.iter().map(leaves).collect(),
            ..Default::default()
        };
        self.pool.call(0, &request, 5);
    }
}
