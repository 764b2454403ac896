//! Who writes and reads offsets: members, consumers without group management, administrators.

use std::rc::Rc;
use std::time::Duration;

use super::broker::{READ_TOPIC, Run};
use super::network::{Line, call};
use super::offsets::{Attempt, NOTHING, OffsetModel};
use crate::protocol::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use crate::protocol::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::protocol::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic, OffsetDeleteResponse,
};
use crate::protocol::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::protocol::{ErrorCode, Request};
use crate::rt;
use crate::wire::KafkaString;

/// So long a client waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// So much longer an offset may live than is configured: it is looked for from time to time only.
const RETENTION_MS: i64 = 60_000;

/// Sends a write of offsets, and keeps the model in step with what becomes of it.
async fn write<R: Request + 'static>(
    run: &Rc<Run>,
    line: &Rc<Line>,
    request: (&R, i16),
    (what, attempts): (String, Vec<Rc<Attempt>>),
    codes: impl Fn(&R::Response) -> Vec<i16> + 'static,
) -> Option<Vec<i16>>
where
    R::Response: 'static,
{
    let codes = Rc::new(codes);
    let guard = Rc::new(Ending { run: Rc::clone(run), attempts: attempts.clone() });
    let (noted, read) = (Rc::clone(run), Rc::clone(&codes));
    let note = move |response: Option<&R::Response>| {
        let now = noted.tick();
        let found = response.map(|response| read(response));
        for (nth, attempt) in guard.attempts.iter().enumerate() {
            let code = found.as_ref().map(|found| found.get(nth).copied().unwrap_or(found[0]));
            attempt.noted(code, now);
            if code == Some(0)
                && let Some(rival) = &attempt.rival
            {
                noted.violated(&format!("a commit was taken though {rival} had the partition by then"));
            }
        }
    };
    let told: Vec<_> = attempts.iter().map(|attempt| attempt.value).collect();
    run.world.note(|| format!("{what} to {told:?} is sent"));
    let response = call(run, line, request, PATIENCE, note).await;
    let codes = response.map(|response| codes(&response));
    run.world.note(|| format!("{what} to {told:?} is answered {codes:?}"));
    codes
}

/// When nobody holds it any more, no copy is under way.
struct Ending {
    run: Rc<Run>,
    attempts: Vec<Rc<Attempt>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // A process that died drops everything; the model hears of that in another way.
        if self.run.world.has_crashed() || self.run.shards.borrow().is_empty() {
            return;
        }
        let now = self.run.tick();
        self.attempts.iter().for_each(|attempt| OffsetModel::ended(attempt, now));
    }
}

/// Who commits.
#[derive(Clone, Debug, Default)]
pub struct Committer {
    pub group: String,
    pub member_id: KafkaString,
    pub instance: Option<KafkaString>,
    pub generation: i32,
    pub version: i16,
}

impl Committer {
    /// One without group management.
    pub fn simple(group: &str) -> Committer {
        Committer { group: group.to_owned(), generation: -1, version: 8, ..Default::default() }
    }

    /// Commits a new offset of each of these partitions.
    pub async fn commit(
        &self,
        run: &Rc<Run>,
        line: &Rc<Line>,
        partitions: &[i32],
        rival: impl Fn(i32) -> Option<String>,
    ) -> Option<ErrorCode> {
        let mut attempts = Vec::new();
        let now_ms = rt::clock::now_ms();
        let mut asked = Vec::new();
        for partition in partitions {
            let value = run.offsets.borrow_mut().draw_value();
            let attempt = Attempt::new(value, run.tick(), now_ms, rival(*partition));
            run.offsets.borrow_mut().add((self.group.clone(), *partition), &attempt);
            attempts.push(attempt);
            asked.push(OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: value,
                committed_metadata: Some(KafkaString::EMPTY),
                ..Default::default()
            });
        }
        let request = OffsetCommitRequest {
            group_id: self.group.as_str().into(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance.clone(),
            topics: vec![OffsetCommitRequestTopic { name: READ_TOPIC.into(), partitions: asked, ..Default::default() }],
            ..Default::default()
        };
        let codes = write(
            run,
            line,
            (&request, self.version),
            (format!("a commit of {}, partitions {partitions:?},", self.group), attempts),
            |response| response.topics[0].partitions.iter().map(|partition| partition.error_code).collect(),
        );
        codes.await.map(|codes| ErrorCode::from_code(codes[0]))
    }
}

/// Asks for all offsets of a group that anybody wrote, and holds the answer against the model. Whether there was one.
pub async fn look(run: &Rc<Run>, line: &Rc<Line>, group: &str) -> bool {
    let partitions = run.offsets.borrow().keys_of(group);
    if partitions.is_empty() {
        return true;
    }
    let asked = run.tick();
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: READ_TOPIC.into(),
                partition_indexes: partitions.clone(),
                ..Default::default()
            }]),
            ..Default::default()
        }],
        require_stable: true,
        ..Default::default()
    };
    let Some(response) = call(run, line, (&request, 9), PATIENCE, |_| {}).await else { return false };
    let found = &response.groups[0];
    if found.error_code != 0 {
        return false;
    }
    let kept_since_ms = if run.plan.expires { rt::clock::now_ms() - RETENTION_MS } else { i64::MIN };
    for partition in &found.topics[0].partitions {
        let key = (group.to_owned(), partition.partition_index);
        if partition.error_code != 0 {
            run.violated(&format!("{key:?}: {:?}", ErrorCode::from_code(partition.error_code)));
            return false;
        }
        let checked = run.offsets.borrow().check(&key, partition.committed_offset, asked, kept_since_ms);
        if let Err(problem) = checked {
            run.violated(&format!("offset of {key:?}: {problem}"));
        }
    }
    true
}

/// A consumer without group management that several use at a time, and its administrator.
pub async fn work(run: Rc<Run>, at: usize) {
    let (line, group) = (Rc::new(Line::default()), format!("simple{}", at % 2));
    let pause_ms = run.world.draw(|chance| chance.magnitude(10, 2000));
    loop {
        let ms = run.world.draw(|chance| chance.magnitude(1, pause_ms));
        rt::sleep(Duration::from_millis(ms)).await;
        if run.is_calm.get() {
            return;
        }
        let count = run.partition_count(READ_TOPIC) as u64;
        let first = run.world.draw(|chance| chance.below(count)) as i32;
        match run.world.draw(|chance| chance.below(20)) {
            0 => delete_group(&run, &line, &group).await,
            1 => delete_offset(&run, &line, &group, first).await,
            2..=6 => drop(look(&run, &line, &group).await),
            _ => {
                let code = Committer::simple(&group).commit(&run, &line, &[first], |_| None).await;
                if !any_commit_may_get(code) {
                    run.violated(&format!("a commit without group management is answered {code:?}"));
                }
            }
        }
    }
}

/// Deletes a group, if it has no members.
pub async fn delete_group(run: &Rc<Run>, line: &Rc<Line>, group: &str) {
    if run.offsets.borrow().keys_of(group).is_empty() {
        return;
    }
    let attempt = Attempt::new(NOTHING, run.tick(), rt::clock::now_ms(), None);
    run.offsets.borrow_mut().add_deletion(group, &attempt);
    let (request, what) = (DeleteGroupsRequest { groups_names: vec![group.into()] }, format!("a deletion of {group}"));
    let code = |response: &DeleteGroupsResponse| vec![response.results[0].error_code];
    write(run, line, (&request, 2), (what, vec![attempt]), code).await;
}

async fn delete_offset(run: &Rc<Run>, line: &Rc<Line>, group: &str, partition: i32) {
    let attempt = Attempt::new(NOTHING, run.tick(), rt::clock::now_ms(), None);
    run.offsets.borrow_mut().add((group.to_owned(), partition), &attempt);
    let request = OffsetDeleteRequest {
        group_id: group.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: READ_TOPIC.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: partition }],
        }],
    };
    let code = |response: &OffsetDeleteResponse| match response.error_code {
        0 => vec![response.topics[0].partitions[0].error_code],
        code => vec![code],
    };
    let what = format!("a deletion of {group}, partition {partition},");
    write(run, line, (&request, 0), (what, vec![attempt]), code).await;
}

/// Whether any commit may be answered so; `None` is no answer.
pub fn any_commit_may_get(code: Option<ErrorCode>) -> bool {
    matches!(
        code,
        None | Some(
            ErrorCode::None
                | ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::UnknownServerError
                | ErrorCode::UnknownTopicOrPartition
        )
    )
}
