//! DeleteTopics: by name, and by id from version 6 (KIP-516).

use std::collections::{BTreeMap, HashMap};

use super::{ApiError, Controller};
use crate::metadata::records::MetadataRecord;
use crate::protocol::ErrorCode;
use crate::protocol::delete_topics::{DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse};
use crate::protocol::records::metadata::RemoveTopicRecord;
use crate::wire::{KafkaString, Uuid};

impl Controller {
    /// Deletes topics; each succeeds or fails for itself. `version` decides the code when deletion is switched off.
    pub fn delete_topics(&mut self, request: &DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
        if !self.settings.config.delete_topic_enable {
            let error = if version < 3 {
                ApiError::new(ErrorCode::InvalidRequest, "This version does not support topic deletion.")
            } else {
                ApiError::bare(ErrorCode::TopicDeletionDisabled)
            };
            return refuse_all(request, &error);
        }
        let mut answers = Vec::new();
        let (names, ids) = named_once(request, &mut answers);
        if request.timeout_ms <= 0 && !(names.is_empty() && ids.is_empty()) {
            // The deadline has passed before a topic was looked up.
            return refuse_all(request, &ApiError::bare(ErrorCode::RequestTimedOut));
        }
        let topics = self.image().topics();
        let mut to_delete: BTreeMap<Uuid, Option<KafkaString>> = BTreeMap::new();
        let mut repeated_ids: Vec<Uuid> = Vec::new();
        for id in ids {
            match topics.by_id(&id) {
                Some(topic) => drop(to_delete.insert(id, Some(topic.name.clone()))),
                None => answers.push(answer(None, id, ApiError::default_text(ErrorCode::UnknownTopicId))),
            }
        }
        for name in names {
            let Some(topic) = topics.by_name(&name) else {
                let error = ApiError::default_text(ErrorCode::UnknownTopicOrPartition);
                answers.push(answer(Some(name), Uuid::ZERO, error));
                continue;
            };
            let id = topic.id;
            if repeated_ids.contains(&id) || to_delete.insert(id, Some(name.clone())).is_some() {
                repeated_ids.push(id);
                to_delete.remove(&id);
                let text = "The provided topic name maps to an ID that was already supplied.";
                answers.push(answer(Some(name), id, ApiError::new(ErrorCode::InvalidRequest, text)));
            }
        }
        let records = to_delete.keys().map(|id| MetadataRecord::from(RemoveTopicRecord { topic_id: *id })).collect();
        let error = ApiError::of(self.commit_bounded(records));
        answers.extend(to_delete.into_iter().map(|(id, name)| answer(name, id, error.clone())));
        DeleteTopicsResponse { responses: answers, ..Default::default() }
    }
}

/// The names and ids that occur once; the others are answered.
fn named_once(request: &DeleteTopicsRequest, answers: &mut Vec<DeletableTopicResult>) -> (Vec<KafkaString>, Vec<Uuid>) {
    let refuse = |text: &str| ApiError::new(ErrorCode::InvalidRequest, text);
    let mut names: Vec<&KafkaString> = request.topic_names.iter().collect();
    let mut ids: Vec<Uuid> = Vec::new();
    for topic in &request.topics {
        match &topic.name {
            Some(name) if topic.topic_id == Uuid::ZERO => names.push(name),
            Some(name) => {
                let error = refuse("You may not specify both topic name and topic id.");
                answers.push(answer(Some(name.clone()), topic.topic_id, error));
            }
            None if topic.topic_id == Uuid::ZERO => {
                answers.push(answer(None, Uuid::ZERO, refuse("Neither topic name nor id were specified.")));
            }
            None => ids.push(topic.topic_id),
        }
    }
    let mut name_counts: HashMap<&KafkaString, usize> = HashMap::new();
    names.iter().for_each(|name| *name_counts.entry(name).or_default() += 1);
    let mut id_counts: HashMap<Uuid, usize> = HashMap::new();
    ids.iter().for_each(|id| *id_counts.entry(*id).or_default() += 1);
    for (name, _) in name_counts.iter().filter(|(_, count)| **count > 1) {
        answers.push(answer(Some((*name).clone()), Uuid::ZERO, refuse("Duplicate topic name.")));
    }
    for (id, _) in id_counts.iter().filter(|(_, count)| **count > 1) {
        answers.push(answer(None, *id, refuse("Duplicate topic id.")));
    }
    let names = names.into_iter().filter(|name| name_counts[name] == 1).cloned().collect();
    (names, ids.into_iter().filter(|id| id_counts[id] == 1).collect())
}

fn refuse_all(request: &DeleteTopicsRequest, error: &ApiError) -> DeleteTopicsResponse {
    let by_name = request.topic_names.iter().map(|name| (Some(name.clone()), Uuid::ZERO));
    let by_id = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
    let responses = by_name.chain(by_id).map(|(name, id)| answer(name, id, error.clone())).collect();
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn answer(name: Option<KafkaString>, topic_id: Uuid, error: ApiError) -> DeletableTopicResult {
    DeletableTopicResult { name, topic_id, error_code: error.code.code(), error_message: error.message }
}
