//! Members that speak the protocol of KIP-848: heartbeats alone.

use std::rc::Rc;
use std::time::Duration;

use super::broker::{READ_PATTERN, READ_TOPIC, Run};
use super::members::{Member, check_exclusive};
use super::network::{Line, call};
use crate::coordinator::group::consumer::{AWAY_EPOCH, LEAVING_EPOCH};
use crate::protocol::ErrorCode;
use crate::protocol::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, TopicPartitions};
use crate::wire::{KafkaString, Uuid};

const VERSION: i16 = 1;
const PATIENCE: Duration = Duration::from_secs(10);

/// It reports.
pub async fn step(run: &Rc<Run>, line: &Rc<Line>, at: usize) {
    let gives_up = run.is_calm.get() || run.world.draw(|chance| chance.one_in(2));
    let request = {
        let mut member = run.members[at].borrow_mut();
        if member.id.is_empty() {
            member.id = KafkaString::from(Uuid::from_bytes(crate::rt::random::bytes16()).to_string());
        }
        if gives_up {
            member.gives_up();
        }
        let joins = member.generation == 0;
        let partitions: Vec<i32> = member.holds.iter().copied().collect();
        let owned = (!partitions.is_empty()).then(|| TopicPartitions { topic_id: run.read_topic_id(), partitions });
        let tells_all = joins || std::mem::replace(&mut member.tells_all, true);
        member.tells_all = true;
        ConsumerGroupHeartbeatRequest {
            group_id: member.plan.group.as_str().into(),
            member_id: member.id.clone(),
            member_epoch: member.generation,
            instance_id: member.instance(),
            rebalance_timeout_ms: if tells_all { member.plan.rebalance_ms } else { -1 },
            subscribed_topic_names: (tells_all && !member.plan.has_pattern).then(|| vec![READ_TOPIC.into()]),
            subscribed_topic_regex: (tells_all && member.plan.has_pattern).then(|| READ_PATTERN.into()),
            topic_partitions: Some(owned.into_iter().collect()),
            ..Default::default()
        }
    };
    line.took_second_copy();
    let Some(answer) = call(run, line, (&request, VERSION), PATIENCE, |_| {}).await else { return };
    let went_twice = line.took_second_copy();
    let mut member = run.members[at].borrow_mut();
    let code = ErrorCode::from_code(answer.error_code);
    run.world.note(|| {
        format!(
            "member {at} reports as {} in {} having {:?}: {code:?} {} {:?}",
            member.id, request.member_epoch, member.holds, answer.member_epoch, answer.assignment
        )
    });
    match code {
        ErrorCode::None => {
            if answer.member_epoch < member.generation || answer.member_epoch <= 0 {
                let (before, after) = (member.generation, answer.member_epoch);
                run.violated(&format!("member {at} was in epoch {before} and is told {after}"));
            }
            member.generation = answer.member_epoch;
            // The assignment is told once (in Kafka, too): the other copy may have heard it, or will.
            member.tells_all = went_twice;
            if let Some(assignment) = &answer.assignment {
                let topics = assignment.topic_partitions.iter().flat_map(|topic| &topic.partitions);
                member.told = topics.copied().collect();
                // What is new is free by now; only what must go may take its time.
                let told = member.told.clone();
                member.holds.extend(told);
            }
            let group = member.plan.group.clone();
            drop(member);
            check_exclusive(run, &group);
        }
        ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch | ErrorCode::GroupIdNotFound => member.loses_all(),
        ErrorCode::FencedInstanceId => {
            member.loses_all();
            member.id = KafkaString::EMPTY;
        }
        ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NotCoordinator
        | ErrorCode::UnknownServerError
        // The one before has not left, and its session goes on.
        | ErrorCode::UnreleasedInstanceId => {}
        other => {
            let text = answer.error_message.unwrap_or_default();
            run.violated(&format!("member {at}: ConsumerGroupHeartbeat is answered {other:?}: {text}"));
        }
    }
}

/// It leaves; a static member maybe for a while only.
pub async fn leave(run: &Rc<Run>, line: &Rc<Line>, member: &Member) {
    if member.generation <= 0 {
        return;
    }
    let is_for_good = run.is_over.get() || run.world.draw(|chance| chance.one_in(2));
    let is_away = member.plan.instance.is_some() && !is_for_good;
    let request = ConsumerGroupHeartbeatRequest {
        group_id: member.plan.group.as_str().into(),
        member_id: member.id.clone(),
        member_epoch: if is_away { AWAY_EPOCH } else { LEAVING_EPOCH },
        instance_id: member.instance(),
        ..Default::default()
    };
    call(run, line, (&request, VERSION), PATIENCE, |_| {}).await;
}
