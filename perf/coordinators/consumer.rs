//! A consumer group of the new protocol (KIP-848): from the first heartbeat until all members have their share of the partitions
//! in the same epoch. Members report what they gave up at once, and otherwise send the next heartbeat a while after the last
//! answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace::protocol::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use millrace::wire::{KafkaString, Uuid};
use serde_json::{Value, json};

use crate::cpu;
use crate::die;
use crate::pool::{Pool, decode};
use crate::setup::{self, Of};

const VERSION: i16 = 1;
const TOPIC: &str = "assigned";
const REBALANCE_MS: i32 = 60_000;
const LEAVES: i32 = -1;

struct Member {
    id: KafkaString,
    epoch: i32,
    owns: Vec<(Uuid, Vec<i32>)>,
    asked: bool,
    /// When the next heartbeat is due.
    next: Instant,
    /// The next one says what is owned now.
    reports: bool,
}

impl Member {
    fn count(&self) -> usize {
        self.owns.iter().map(|(_, partitions)| partitions.len()).sum()
    }
}

/// Brings so many members together on a topic of so many partitions.
pub fn run(port: u16, pid: i32, count: usize, partitions: i32, beat: Duration, name: &str) -> Value {
    let mut pool = Pool::connect(port, count);
    setup::topic(&mut pool, TOPIC, partitions);
    let name = KafkaString::from(name);
    setup::coordinators(&mut pool, Of::Group, std::slice::from_ref(&name));
    let began = Instant::now();
    let member = |nth: usize| Member {
        id: format!("{name}-member-{nth}").into(),
        epoch: 0,
        owns: Vec::new(),
        asked: false,
        next: began,
        reports: false,
    };
    let mut members: Vec<Member> = (0..count).map(member).collect();
    let before = cpu::of_process(pid);
    let mut beats = 0u64;
    while !is_complete(&members, partitions) {
        if began.elapsed() > Duration::from_secs(120) {
            die("a consumer group does not come together");
        }
        let now = Instant::now();
        for (nth, member) in members.iter_mut().enumerate().filter(|(_, member)| !member.asked && member.next <= now) {
            pool.ask(nth, &heartbeat(&name, member), VERSION);
            (member.asked, member.reports) = (true, false);
            beats += 1;
        }
        for (nth, answer) in pool.answers(Duration::from_millis(1)) {
            answered(&mut members[nth], answer, beat);
        }
    }
    let took_ms = began.elapsed().as_secs_f64() * 1e3;
    let used = cpu::of_process(pid).zip(before).map_or(0.0, |(now, then)| (now - then).as_secs_f64() * 1e3);
    let epoch = members[0].epoch;
    leave(&mut pool, &name, &mut members);
    json!({"form_ms": took_ms, "form_cpu_ms": used, "epoch": epoch, "heartbeats": beats})
}

/// All are in the same epoch, own an even share, and each partition has one owner.
fn is_complete(members: &[Member], partitions: i32) -> bool {
    let share = partitions as usize / members.len();
    let epoch = members[0].epoch;
    let even = |member: &Member| member.epoch == epoch && epoch > 0 && member.count().abs_diff(share) <= 1;
    if !members.iter().all(even) {
        return false;
    }
    let owned: BTreeSet<i32> =
        members.iter().flat_map(|member| member.owns.iter().flat_map(|(_, some)| some.iter().copied())).collect();
    owned.len() == partitions as usize && members.iter().map(Member::count).sum::<usize>() == owned.len()
}

fn heartbeat(group: &KafkaString, member: &Member) -> ConsumerGroupHeartbeatRequest {
    let mut request = ConsumerGroupHeartbeatRequest {
        group_id: group.clone(),
        member_id: member.id.clone(),
        member_epoch: member.epoch,
        ..Default::default()
    };
    if member.epoch == 0 {
        request.rebalance_timeout_ms = REBALANCE_MS;
        request.subscribed_topic_names = Some(vec![TOPIC.into()]);
        request.topic_partitions = Some(Vec::new());
    } else if member.reports {
        let owned = |(topic_id, partitions): &(Uuid, Vec<i32>)| TopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.clone(),
        };
        request.topic_partitions = Some(member.owns.iter().map(owned).collect());
    }
    request
}

fn answered(member: &mut Member, answer: Bytes, beat: Duration) {
    let answer: ConsumerGroupHeartbeatResponse = decode::<ConsumerGroupHeartbeatRequest>(answer, VERSION);
    member.asked = false;
    member.next = Instant::now() + beat;
    match answer.error_code {
        0 => {}
        14..=16 => return,
        code => die(&format!("ConsumerGroupHeartbeat: error {code}: {:?}", answer.error_message)),
    }
    member.epoch = answer.member_epoch;
    if let Some(assignment) = answer.assignment {
        member.owns = assignment.topic_partitions.into_iter().map(|topic| (topic.topic_id, topic.partitions)).collect();
        // What was given up is free only when the coordinator is told.
        (member.reports, member.next) = (true, Instant::now());
    }
}

fn leave(pool: &mut Pool, group: &KafkaString, members: &mut [Member]) {
    let mut waiting = members.iter().filter(|member| member.asked).count();
    while waiting > 0 {
        waiting -= pool.answers(Duration::from_secs(10)).len();
    }
    for (nth, member) in members.iter_mut().enumerate() {
        (member.epoch, member.reports) = (LEAVES, false);
        pool.call(nth, &heartbeat(group, member), VERSION);
    }
}
