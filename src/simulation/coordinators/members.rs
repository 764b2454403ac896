//! Members of groups: what each believes to have, and that no two of them have the same.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use super::broker::Run;
use super::committers::{self, Committer, any_commit_may_get};
use super::network::Line;
use super::plan::{MemberPlan, Protocol};
use super::{classic, consumer};
use crate::coordinator::group::Membership;
use crate::protocol::ErrorCode;
use crate::rt;
use crate::wire::KafkaString;

/// A member, as it sees itself; it lives on when the broker dies.
#[derive(Clone, Debug)]
pub struct Member {
    pub plan: MemberPlan,
    pub id: KafkaString,
    /// Generation or epoch; 0 or negative: it is in no group.
    pub generation: i32,
    /// The generation in which it was told what to read.
    pub assigned_in: i32,
    /// What it reads.
    pub holds: BTreeSet<i32>,
    /// What it was told to read; it may still hold more.
    pub told: BTreeSet<i32>,
    /// It must tell all of itself: the last answer did not come.
    pub tells_all: bool,
    /// It must join again.
    pub must_join: bool,
    /// The assignor that its group settled on.
    pub assignor: KafkaString,
    /// It leads its group, and assigned so many partitions.
    pub leads: Option<i32>,
}

impl Member {
    pub fn new(plan: &MemberPlan) -> Member {
        Member {
            plan: plan.clone(),
            id: KafkaString::EMPTY,
            generation: 0,
            assigned_in: 0,
            holds: BTreeSet::new(),
            told: BTreeSet::new(),
            tells_all: true,
            must_join: true,
            assignor: KafkaString::EMPTY,
            leads: None,
        }
    }

    pub fn instance(&self) -> Option<KafkaString> {
        self.plan.instance.as_deref().map(KafkaString::from)
    }

    /// It has nothing any more and joins anew.
    pub fn loses_all(&mut self) {
        self.generation = 0;
        self.holds.clear();
        self.told.clear();
        self.tells_all = true;
        self.must_join = true;
    }

    /// It gives up what it was told to give up.
    pub fn gives_up(&mut self) {
        self.holds = self.holds.intersection(&self.told).copied().collect();
    }

    fn is_consumer(&self) -> bool {
        self.plan.protocol == Protocol::Consumer
    }

    /// Whether the coordinator counts on what it believes to have. Members of a consumer group have an epoch each. Whoever is
    /// behind the one before is fenced with its next word; and it may be a name only that it shares with a member that is new:
    /// a JoinGroup of one whose session had ended makes a member of its id (as in Kafka), which has nothing, while the client
    /// believes to have all until it is answered.
    fn counts(&self, seen: &Membership) -> bool {
        match seen {
            Membership::Classic { generation, members } => {
                !self.is_consumer() && self.assigned_in == *generation && members.contains(&self.id)
            }
            Membership::Consumer { members } => members.get(&self.id).is_some_and(|(epoch, previous)| {
                let told_in = if self.is_consumer() { self.generation } else { self.assigned_in };
                let is_behind = *previous > 0 && (*previous..=*epoch).contains(&told_in);
                self.generation > 0 && (told_in == *epoch || is_behind)
            }),
        }
    }
}

/// The coordinator's members of a group, if it is loaded.
pub fn membership(run: &Run, group: &str) -> Option<Membership> {
    let shards = run.shards.borrow();
    let partition = shards.first()?.partition_of_group(group)?;
    drop(shards);
    run.shard_of(&partition).look_at_groups(&partition, |groups| groups.membership(group))?
}

/// Who else has a partition that this member is about to commit.
pub fn rival(run: &Run, at: usize, partition: i32) -> Option<String> {
    let me = run.members[at].borrow().clone();
    let seen = membership(run, &me.plan.group)?;
    if me.counts(&seen) {
        return None;
    }
    let others = run.members.iter().enumerate().filter(|(other, _)| *other != at);
    let mut owners = others.filter_map(|(_, other)| {
        let other = other.borrow();
        let has = other.plan.group == me.plan.group && other.counts(&seen) && other.holds.contains(&partition);
        has.then(|| other.id.to_string())
    });
    owners.next()
}

/// No partition is with two members that the coordinator counts on.
pub fn check_exclusive(run: &Run, group: &str) {
    let Some(seen) = membership(run, group) else { return };
    let mut owners = std::collections::BTreeMap::new();
    for member in &run.members {
        let member = member.borrow();
        if member.plan.group != group || !member.counts(&seen) {
            continue;
        }
        for partition in &member.holds {
            if let Some(other) = owners.insert(*partition, member.id.clone()) {
                run.violated(&format!("partition {partition} of {group} is with {other} and {}", member.id));
            }
        }
    }
}

/// A member for as long as the broker lives.
pub async fn work(run: Rc<Run>, at: usize) {
    let line = Rc::new(Line::default());
    let pause_ms = run.members[at].borrow().plan.pause_ms;
    loop {
        let ms = run.world.draw(|chance| chance.between(pause_ms / 2, pause_ms));
        rt::sleep(Duration::from_millis(ms)).await;
        line.connect_anew();
        let is_calm = run.is_calm.get();
        if run.is_over.get() {
            leave(&run, &line, at).await;
            return;
        }
        match run.world.draw(|chance| chance.below(60)) {
            0 if !is_calm => pause(&run, at).await,
            1 if !is_calm => {
                leave(&run, &line, at).await;
                pause(&run, at).await;
            }
            2 if !is_calm => starts_anew(&run, at),
            3 | 4 if !is_calm => {
                let group = run.members[at].borrow().plan.group.clone();
                committers::look(&run, &line, &group).await;
            }
            5..=15 if !is_calm => commit(&run, &line, at).await,
            _ => step(&run, &line, at).await,
        }
        let group = run.members[at].borrow().plan.group.clone();
        check_exclusive(&run, &group);
    }
}

async fn step(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    let is_consumer = run.members[at].borrow().is_consumer();
    match is_consumer {
        true => consumer::step(run, line, at).await,
        false => classic::step(run, line, at).await,
    }
}

/// It stands still, and may be taken for gone.
async fn pause(run: &Run, at: usize) {
    let most_ms = 3 * run.members[at].borrow().plan.session_ms as u64;
    let ms = run.world.draw(|chance| chance.magnitude(100, most_ms));
    rt::sleep(Duration::from_millis(ms)).await;
}

/// Its process dies, and another one takes its place.
fn starts_anew(run: &Run, at: usize) {
    let mut member = run.members[at].borrow_mut();
    member.loses_all();
    member.id = KafkaString::EMPTY;
    let id = member.id.clone();
    run.world.note(|| format!("member {at} starts anew, was {id}"));
}

async fn commit(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    let member = run.members[at].borrow().clone();
    let partitions: Vec<i32> = member.holds.iter().copied().collect();
    // Between JoinGroup and SyncGroup a client commits nothing.
    let is_settled = member.is_consumer() || member.assigned_in == member.generation;
    if member.generation <= 0 || partitions.is_empty() || !is_settled {
        return;
    }
    let committer = Committer {
        group: member.plan.group.clone(),
        member_id: member.id.clone(),
        instance: member.instance(),
        generation: member.generation,
        version: if member.is_consumer() { 9 } else { 8 },
    };
    let code = committer.commit(run, line, &partitions, |partition| rival(run, at, partition)).await;
    run.world.note(|| format!("member {at} commits as {} in {}: {code:?}", member.id, member.generation));
    let is_of_members = matches!(
        code,
        Some(
            ErrorCode::UnknownMemberId
                | ErrorCode::IllegalGeneration
                | ErrorCode::RebalanceInProgress
                | ErrorCode::FencedInstanceId
                | ErrorCode::StaleMemberEpoch
                | ErrorCode::GroupIdNotFound
        )
    );
    if !is_of_members && !any_commit_may_get(code) {
        run.violated(&format!("member {at}: a commit is answered {code:?}"));
    }
}

async fn leave(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    let is_consumer = run.members[at].borrow().is_consumer();
    // Before it says so it gives up everything: whatever becomes of the request, it is another member from here on.
    let member = run.members[at].borrow().clone();
    starts_anew(run, at);
    match is_consumer {
        true => consumer::leave(run, line, &member).await,
        false => classic::leave(run, line, &member).await,
    }
}
