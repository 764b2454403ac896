//! The table of a member's steps.

use std::collections::BTreeSet;

use super::super::reconcile::Aim;
use super::*;
use crate::protocol::consumer_group_heartbeat::TopicPartitions;

const TOPIC: Uuid = Uuid::from_u128(1);

fn owned(partitions: &[i32], epoch: i32) -> Owned {
    if partitions.is_empty() {
        return Owned::new();
    }
    Owned::from([(TOPIC, partitions.iter().map(|partition| (*partition, epoch)).collect())])
}

/// What a member is and what it hears.
struct Step {
    from: (MemberState, i32, &'static [i32], &'static [i32]),
    /// Epoch of the targets, and the target.
    aim: (i32, &'static [i32]),
    /// What it says it has.
    says: Option<&'static [i32]>,
    /// With others.
    taken: &'static [i32],
    to: (MemberState, i32, &'static [i32], &'static [i32]),
}

#[test]
fn members_go_to_their_targets_step_by_step() {
    use MemberState::{Stable, Unknown, UnreleasedPartitions as Unreleased, UnrevokedPartitions as Unrevoked};
    let steps = [
        // A new member.
        Step {
            from: (Stable, 0, &[], &[]),
            aim: (2, &[0, 1]),
            says: Some(&[]),
            taken: &[],
            to: (Stable, 2, &[0, 1], &[]),
        },
        // It waits for what others have.
        Step {
            from: (Stable, 0, &[], &[]),
            aim: (2, &[0, 1]),
            says: Some(&[]),
            taken: &[1],
            to: (Unreleased, 2, &[0], &[]),
        },
        Step {
            from: (Stable, 0, &[], &[]),
            aim: (2, &[1]),
            says: Some(&[]),
            taken: &[1],
            to: (Unreleased, 2, &[], &[]),
        },
        Step {
            from: (Unreleased, 2, &[0], &[]),
            aim: (2, &[0, 1]),
            says: None,
            taken: &[1],
            to: (Unreleased, 2, &[0], &[]),
        },
        Step {
            from: (Unreleased, 2, &[0], &[]),
            aim: (2, &[0, 1]),
            says: None,
            taken: &[],
            to: (Stable, 2, &[0, 1], &[]),
        },
        // It must give up first, and stays in its epoch until it did.
        Step {
            from: (Stable, 2, &[0, 1], &[]),
            aim: (3, &[0]),
            says: None,
            taken: &[],
            to: (Unrevoked, 2, &[0], &[1]),
        },
        Step {
            from: (Unrevoked, 2, &[0], &[1]),
            aim: (3, &[0]),
            says: None,
            taken: &[],
            to: (Unrevoked, 2, &[0], &[1]),
        },
        Step {
            from: (Unrevoked, 2, &[0], &[1]),
            aim: (3, &[0]),
            says: Some(&[0, 1]),
            taken: &[],
            to: (Unrevoked, 2, &[0], &[1]),
        },
        Step {
            from: (Unrevoked, 2, &[0], &[1]),
            aim: (3, &[0]),
            says: Some(&[0]),
            taken: &[],
            to: (Stable, 3, &[0], &[]),
        },
        // The target changed meanwhile: what it just gave up it may have again.
        Step {
            from: (Unrevoked, 2, &[0], &[1]),
            aim: (4, &[0, 1]),
            says: Some(&[0]),
            taken: &[],
            to: (Stable, 4, &[0, 1], &[]),
        },
        // It gave it up before it was asked to.
        Step {
            from: (Stable, 2, &[0, 1], &[]),
            aim: (3, &[0]),
            says: Some(&[0]),
            taken: &[],
            to: (Stable, 3, &[0], &[]),
        },
        // Nothing to do.
        Step { from: (Stable, 3, &[0], &[]), aim: (3, &[0]), says: None, taken: &[], to: (Stable, 3, &[0], &[]) },
        // Of a later release: it must have nothing.
        Step { from: (Unknown, 3, &[], &[]), aim: (5, &[0]), says: Some(&[]), taken: &[], to: (Stable, 5, &[0], &[]) },
    ];
    for (nth, step) in steps.iter().enumerate() {
        let mut group = ConsumerGroup::new("g".into());
        let (state, epoch, assigned, revoking) = step.from;
        let current = Current {
            epoch,
            previous_epoch: epoch,
            state,
            assigned: owned(assigned, epoch),
            revoking: owned(revoking, epoch),
        };
        group.apply_one(Change::Current("m".into(), Box::new(current)));
        let other = Current { epoch: 1, assigned: owned(step.taken, 1), ..Current::default() };
        group.apply_one(Change::Current("other".into(), Box::new(other)));
        let target = Partitions::from([(TOPIC, step.aim.1.iter().copied().collect())]);
        let says = step.says.map(|says| vec![TopicPartitions { topic_id: TOPIC, partitions: says.to_vec() }]);
        let says = says.map(|says| if says[0].partitions.is_empty() { Vec::new() } else { says });
        let topics = BTreeSet::from([TOPIC]);
        let aim =
            Aim { epoch: step.aim.0, target: &target, topics: &topics, resubscribed: false, owned: says.as_deref() };
        let next = group.reconcile(&group.members["m"], &aim).expect("a step");
        let kept = |owned: &Owned| owned.get(&TOPIC).map(|topic| topic.keys().copied().collect()).unwrap_or_default();
        let (state, epoch, assigned, revoking) = step.to;
        let found: (_, _, Vec<i32>, Vec<i32>) = (next.state, next.epoch, kept(&next.assigned), kept(&next.revoking));
        assert_eq!(found, (state, epoch, assigned.to_vec(), revoking.to_vec()), "step {nth}");
    }
}

#[test]
fn a_member_of_a_later_release_that_has_something_is_fenced() {
    let mut group = ConsumerGroup::new("g".into());
    let current = Current { state: MemberState::Unknown, epoch: 3, ..Current::default() };
    group.apply_one(Change::Current("m".into(), Box::new(current)));
    let (target, topics) = (Partitions::new(), BTreeSet::new());
    let aim = Aim { epoch: 4, target: &target, topics: &topics, resubscribed: false, owned: None };
    let refusal = group.reconcile(&group.members["m"], &aim).expect_err("it may have partitions");
    assert_eq!(refusal.error, ErrorCode::FencedMemberEpoch);
}

#[test]
fn what_is_no_longer_subscribed_to_is_given_up_at_once() {
    let mut group = ConsumerGroup::new("g".into());
    let current = Current { epoch: 3, assigned: owned(&[0, 1], 3), ..Current::default() };
    group.apply_one(Change::Current("m".into(), Box::new(current)));
    let (target, topics) = (Partitions::from([(TOPIC, BTreeSet::from([0, 1]))]), BTreeSet::new());
    let aim = Aim { epoch: 3, target: &target, topics: &topics, resubscribed: true, owned: None };
    let next = group.reconcile(&group.members["m"], &aim).expect("a step");
    assert_eq!((next.state, next.epoch), (MemberState::UnrevokedPartitions, 3));
    assert_eq!((next.assigned, next.revoking), (Owned::new(), owned(&[0, 1], 3)));
}
