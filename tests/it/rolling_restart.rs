//! Two hundred members and a thousand partitions, restarted in tens and one at a time: no partition has two owners in the same
//! generation or at the same moment, none is left out, epochs move by what happened and no more, and nobody is lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use millrace::protocol::consumer_group_describe::{ConsumerGroupDescribeRequest, DescribedGroup as DescribedConsumers};
use millrace::protocol::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use millrace::protocol::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use millrace::protocol::heartbeat::HeartbeatRequest;
use millrace::protocol::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use millrace::protocol::leave_group::{LeaveGroupRequest, MemberIdentity};
use millrace::protocol::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use millrace::protocol::{Request, frame};
use millrace::wire::{KafkaString, Uuid};

use crate::calls::{create_topic, describe_topic};
use crate::groups::find_coordinator;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(30);
const MEMBERS: usize = 200;
const PARTITIONS: i32 = 1000;
const GROUP: &str = "rolling";
const TOPIC: &str = "read";
const LOADING: i16 = 14;
const NOT_COORDINATOR: i16 = 16;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
const FENCED_INSTANCE_ID: i16 = 82;

fn node() -> Node {
    let config = [
        ("offsets.topic.num.partitions", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("group.consumer.assignment.interval.ms", "0"),
        // Thousands of small writes, of which none has to outlive a power cut here.
        ("acks.all.durability", "memory"),
    ];
    Node::start(Kind::under_test(), &config)
}

/// Who restarts together: the first few one by one, all others in tens.
fn turns() -> Vec<Vec<usize>> {
    let mut turns: Vec<Vec<usize>> = (0..10).map(|nth| vec![nth]).collect();
    turns.extend((10..MEMBERS).step_by(10).map(|first| (first..first + 10).collect()));
    turns
}

/// Every fourth member is static.
fn instance_of(nth: usize) -> Option<KafkaString> {
    (nth % 4 == 3).then(|| format!("instance-{nth}").into())
}

fn send<R: Request>(wire: &mut Wire, request: &R, version: i16) {
    wire.send(&frame::request(1, Some(&"it".into()), request, version).freeze()).expect("the broker reads");
}

fn receive<R: Request>(wire: &mut Wire, version: i16) -> R::Response {
    let bytes = wire.read_frame().expect("the broker answers");
    frame::decode_response::<R>(bytes, version).expect("it is readable").1
}

/// A member of the classic group; it has a connection of its own, for a JoinGroup that waits holds up what comes behind it.
struct Classic {
    nth: usize,
    wire: Wire,
    id: KafkaString,
    generation: i32,
}

impl Classic {
    fn new(node: &Node, nth: usize) -> Classic {
        Classic { nth, wire: Wire::connect(node), id: KafkaString::EMPTY, generation: -1 }
    }

    fn join_request(&self) -> JoinGroupRequest {
        JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            member_id: self.id.clone(),
            group_instance_id: instance_of(self.nth),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol { name: "spread".into(), metadata: "all of them".into() }],
            ..Default::default()
        }
    }

    /// A new dynamic member is told its id first: from then on the group waits for it.
    fn ask_for_id(&mut self) {
        let told = wait_for("an id", LIMIT, || {
            let told = self.wire.call(&self.join_request(), 9);
            (!matches!(told.error_code, LOADING | NOT_COORDINATOR)).then_some(told)
        });
        assert_eq!(told.error_code, MEMBER_ID_REQUIRED);
        self.id = told.member_id;
    }

    fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: instance_of(self.nth),
        };
        self.wire.call(&request, 4).error_code
    }

    fn sync_request(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: instance_of(self.nth),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("spread".into()),
            assignments,
        }
    }
}

/// Who owned what, generation by generation: by number, for a static member's id changes.
type Owners = HashMap<(i32, i32), usize>;

fn note(owners: &mut Owners, generation: i32, nth: usize, assignment: &[u8]) -> usize {
    let partitions = assignment.chunks_exact(4).map(|bytes| i32::from_be_bytes(bytes.try_into().expect("four bytes")));
    let mut count = 0;
    for partition in partitions {
        let owner = *owners.entry((generation, partition)).or_insert(nth);
        assert_eq!(owner, nth, "partition {partition} has two owners in generation {generation}");
        count += 1;
    }
    count
}

/// What the leader gives out: each partition to one member, round and round.
fn assignments(joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    let count = joined.members.len();
    let assignment =
        |nth: usize| (nth as i32..PARTITIONS).step_by(count).flat_map(i32::to_be_bytes).collect::<Vec<u8>>();
    let assign = |(nth, member_id): (usize, &KafkaString)| SyncGroupRequestAssignment {
        member_id: member_id.clone(),
        assignment: assignment(nth).into(),
    };
    joined.members.iter().map(|member| &member.member_id).enumerate().map(assign).collect()
}

fn join<'a>(members: impl Iterator<Item = &'a mut Classic>) {
    for member in members {
        let request = member.join_request();
        send(&mut member.wire, &request, 9);
    }
}

/// All have asked to join: they are in one new generation, sync, and every partition has one owner.
fn complete(members: &mut [Classic], owners: &mut Owners, generation: i32) {
    let mut leaders = 0;
    let mut given = Vec::new();
    for member in members.iter_mut() {
        let joined = receive::<JoinGroupRequest>(&mut member.wire, 9);
        assert_eq!((joined.error_code, joined.generation_id), (0, generation));
        (member.id, member.generation) = (joined.member_id.clone(), generation);
        let is_leader = joined.leader == joined.member_id;
        if is_leader {
            assert_eq!(joined.members.len(), MEMBERS, "generation {generation} has everybody");
            leaders += 1;
        }
        given.push(if is_leader { assignments(&joined) } else { Vec::new() });
    }
    assert_eq!(leaders, 1);
    for (member, given) in members.iter_mut().zip(given) {
        let request = member.sync_request(given);
        send(&mut member.wire, &request, 5);
    }
    let mut count = 0;
    for member in members.iter_mut() {
        let synced = receive::<SyncGroupRequest>(&mut member.wire, 5);
        assert_eq!(synced.error_code, 0);
        count += note(owners, generation, member.nth, &synced.assignment);
    }
    assert_eq!(count, PARTITIONS as usize, "every partition has an owner in generation {generation}");
}

/// A static member comes back under its name: same generation, same partitions, another id; who had the old id is fenced.
fn restart_static(node: &Node, member: &mut Classic, owners: &mut Owners) {
    let mut new = Classic::new(node, member.nth);
    let joined = new.wire.call(&new.join_request(), 9);
    assert_eq!((joined.error_code, joined.generation_id), (0, member.generation));
    assert_ne!(joined.member_id, member.id);
    (new.id, new.generation) = (joined.member_id, joined.generation_id);
    let request = new.sync_request(Vec::new());
    let synced = new.wire.call(&request, 5);
    assert_eq!(synced.error_code, 0);
    assert_eq!(note(owners, new.generation, new.nth, &synced.assignment), PARTITIONS as usize / MEMBERS);
    assert_eq!(member.heartbeat(), FENCED_INSTANCE_ID);
    *member = new;
}

#[test]
fn a_large_classic_group_is_restarted_member_by_member() {
    let node = node();
    find_coordinator(&mut Wire::connect(&node), GROUP);
    let mut members: Vec<Classic> = (0..MEMBERS).map(|nth| Classic::new(&node, nth)).collect();
    let mut owners = Owners::new();
    form(&node, &mut members, &mut owners);
    let mut generation = members[0].generation;
    for turn in turns() {
        for &nth in turn.iter().filter(|nth| instance_of(**nth).is_some()) {
            restart_static(&node, &mut members[nth], &mut owners);
        }
        let leaving: Vec<usize> = turn.into_iter().filter(|nth| instance_of(*nth).is_none()).collect();
        if leaving.is_empty() {
            assert_eq!(members[MEMBERS - 1].heartbeat(), 0, "static members come back without a rebalance");
            continue;
        }
        let identity = |nth: &usize| MemberIdentity { member_id: members[*nth].id.clone(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            members: leaving.iter().map(identity).collect(),
            ..Default::default()
        };
        let left = members[leaving[0]].wire.call(&request, 5);
        assert!(left.members.len() == leaving.len() && left.members.iter().all(|one| one.error_code == 0), "{left:?}");
        for &nth in &leaving {
            members[nth] = Classic::new(&node, nth);
            members[nth].ask_for_id();
        }
        let told = (0..MEMBERS).find(|nth| !leaving.contains(nth)).expect("somebody stays");
        assert_eq!(members[told].heartbeat(), REBALANCE_IN_PROGRESS);
        generation += 1;
        join(members.iter_mut());
        complete(&mut members, &mut owners, generation);
    }
    assert!(members.iter_mut().all(|member| member.heartbeat() == 0));
    let described = describe(&mut Wire::connect(&node));
    assert_eq!((described.error_code, described.group_state.as_str()), (0, "Stable"));
    let known: BTreeSet<KafkaString> = described.members.into_iter().map(|member| member.member_id).collect();
    assert_eq!(known, members.iter().map(|member| member.id.clone()).collect());
}

/// The first member begins alone; then all others join it in one more generation.
fn form(node: &Node, members: &mut [Classic], owners: &mut Owners) {
    members[0].ask_for_id();
    let request = members[0].join_request();
    let first = members[0].wire.call(&request, 9);
    assert_eq!((first.error_code, first.members.len()), (0, 1));
    members[0].generation = first.generation_id;
    let request = members[0].sync_request(assignments(&first));
    let synced = members[0].wire.call(&request, 5);
    assert_eq!(synced.error_code, 0);
    assert_eq!(note(owners, first.generation_id, 0, &synced.assignment), PARTITIONS as usize);
    // The group waits for those that it has given ids. Static members get none, so they must be there before the last of the
    // others is.
    let (statics, dynamics): (Vec<&mut Classic>, Vec<&mut Classic>) =
        members[1..].iter_mut().partition(|member| instance_of(member.nth).is_some());
    dynamics.into_iter().for_each(Classic::ask_for_id);
    let known = 1 + statics.len();
    join(statics.into_iter());
    let mut wire = Wire::connect(node);
    wait_for("the static members", LIMIT, || (describe(&mut wire).members.len() == known).then_some(()));
    assert_eq!(members[0].heartbeat(), REBALANCE_IN_PROGRESS);
    join(members.iter_mut().filter(|member| instance_of(member.nth).is_none()));
    let generation = members[0].generation + 1;
    complete(members, owners, generation);
}

fn describe(wire: &mut Wire) -> DescribedGroup {
    let request = DescribeGroupsRequest { groups: vec![GROUP.into()], ..Default::default() };
    wire.call(&request, 6).groups.swap_remove(0)
}

/// A member of the consumer group. All share one connection: no heartbeat waits.
struct Member {
    id: KafkaString,
    epoch: i32,
    owned: BTreeSet<i32>,
    reports: bool,
}

/// The consumer group as its members see it.
struct Consumers {
    wire: Wire,
    topic_id: Uuid,
    members: Vec<Member>,
    /// Who reads a partition now.
    readers: BTreeMap<i32, usize>,
    restarts: usize,
}

impl Consumers {
    fn request(&self, nth: usize) -> ConsumerGroupHeartbeatRequest {
        let member = &self.members[nth];
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: member.id.clone(),
            member_epoch: member.epoch,
            instance_id: instance_of(nth),
            ..Default::default()
        };
        if member.epoch == 0 {
            request.rebalance_timeout_ms = 60_000;
            request.subscribed_topic_names = Some(vec![TOPIC.into()]);
            request.topic_partitions = Some(Vec::new());
        } else if member.reports && member.epoch > 0 {
            let partitions = member.owned.iter().copied().collect();
            request.topic_partitions = Some(vec![TopicPartitions { topic_id: self.topic_id, partitions }]);
        }
        request
    }

    /// Sends the heartbeats of these members at once, and takes what they are told.
    fn beat(&mut self, these: &[usize]) {
        for &nth in these {
            let request = self.request(nth);
            self.members[nth].reports = false;
            send(&mut self.wire, &request, 1);
        }
        for &nth in these {
            let answer = receive::<ConsumerGroupHeartbeatRequest>(&mut self.wire, 1);
            assert_eq!(answer.error_code, 0, "{answer:?}");
            self.take(nth, answer);
        }
    }

    fn take(&mut self, nth: usize, answer: ConsumerGroupHeartbeatResponse) {
        let member = &mut self.members[nth];
        assert!(answer.member_epoch >= member.epoch, "an epoch never goes back");
        member.epoch = answer.member_epoch;
        let Some(assignment) = answer.assignment else { return };
        let told: BTreeSet<i32> = assignment.topic_partitions.into_iter().flat_map(|topic| topic.partitions).collect();
        for partition in member.owned.difference(&told) {
            self.readers.remove(partition);
        }
        for partition in told.difference(&member.owned) {
            let reader = self.readers.insert(*partition, nth);
            assert_eq!(reader, None, "partition {partition} is given to member {nth} while another one reads it");
        }
        (member.owned, member.reports) = (told, true);
    }

    /// Heartbeats until all are in this epoch and have their share.
    fn settle(&mut self, epoch: i32) {
        let everybody: Vec<usize> = (0..MEMBERS).collect();
        wait_for("everybody's share", LIMIT, || {
            self.beat(&everybody);
            assert!(self.members.iter().all(|member| member.epoch <= epoch), "no epoch beyond {epoch} was called for");
            let even = |member: &Member| member.epoch == epoch && member.owned.len() == PARTITIONS as usize / MEMBERS;
            (self.members.iter().all(even) && !self.members.iter().any(|member| member.reports)).then_some(())
        });
        assert_eq!(self.readers.len(), PARTITIONS as usize, "each partition is read");
    }

    fn describe(&mut self) -> DescribedConsumers {
        let request = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.into()], ..Default::default() };
        self.wire.call(&request, 1).groups.swap_remove(0)
    }

    /// They stop reading and say so; dynamic ones leave, static ones will be back.
    fn leave(&mut self, these: &[usize]) {
        for &nth in these {
            let goodbye = if instance_of(nth).is_some() { -2 } else { -1 };
            self.readers.retain(|_, reader| *reader != nth);
            self.members[nth].epoch = goodbye;
            let request = self.request(nth);
            let answer = self.wire.call(&request, 1);
            assert_eq!((answer.error_code, answer.member_epoch), (0, goodbye), "{answer:?}");
            self.restarts += 1;
            let id = format!("member-{nth}-{}", self.restarts).into();
            self.members[nth] = Member { id, epoch: 0, owned: BTreeSet::new(), reports: false };
        }
    }
}

#[test]
fn a_large_consumer_group_is_restarted_member_by_member() {
    let node = node();
    let mut wire = Wire::connect(&node);
    create_topic(&mut wire, TOPIC, PARTITIONS, &[]);
    let topic_id = describe_topic(&mut wire, TOPIC).topic_id;
    find_coordinator(&mut wire, GROUP);
    let member =
        |nth: usize| Member { id: format!("member-{nth}").into(), epoch: 0, owned: BTreeSet::new(), reports: false };
    let members = (0..MEMBERS).map(member).collect();
    let mut group = Consumers { wire, topic_id, members, readers: BTreeMap::new(), restarts: 0 };
    wait_for("the coordinator", LIMIT, || {
        let request = group.request(0);
        let answer = group.wire.call(&request, 1);
        if matches!(answer.error_code, LOADING | NOT_COORDINATOR) {
            return None;
        }
        assert_eq!(answer.error_code, 0, "{answer:?}");
        group.take(0, answer);
        Some(())
    });
    group.beat(&(1..MEMBERS).collect::<Vec<_>>());
    let mut epoch = group.describe().group_epoch;
    group.settle(epoch);
    for turn in turns() {
        let dynamic = turn.iter().filter(|nth| instance_of(**nth).is_none()).count();
        group.leave(&turn);
        group.beat(&turn);
        // A dynamic member changes the group when it goes and when it comes, a static one doesn't.
        epoch += 2 * dynamic as i32;
        group.settle(epoch);
    }
    let described = group.describe();
    assert_eq!((described.error_code, described.group_state.as_str()), (0, "Stable"));
    assert_eq!((described.group_epoch, described.members.len()), (epoch, MEMBERS));
    let ids: BTreeSet<KafkaString> = described.members.iter().map(|member| member.member_id.clone()).collect();
    assert_eq!(ids, group.members.iter().map(|member| member.id.clone()).collect());
    let owned = described.members.iter().flat_map(|member| &member.assignment.topic_partitions);
    let mut owned: Vec<i32> = owned.flat_map(|topic| topic.partitions.clone()).collect();
    owned.sort_unstable();
    assert_eq!(owned, (0..PARTITIONS).collect::<Vec<_>>());
}
