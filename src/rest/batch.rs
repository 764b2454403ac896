//! `POST .../records:batch`: some records with ids of the sender's, and which of them were produced.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::call::{self, Answer, Call};
use super::fault::{Fault, code};
use super::record::{NewRecord, Told};
use super::round::round;

/// Bytes and entries of a batch.
const BODY_BYTES_MAX: usize = 8 << 20;
const ENTRIES_MAX: usize = 1000;
/// Letters of an id.
const ID_LEN_MAX: usize = 80;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    entries: Vec<Box<RawValue>>,
}

/// Produces the entries.
pub(super) async fn produce(call: Call, body: Body) -> Answer {
    let batch: Batch = call::body(body, BODY_BYTES_MAX).await?;
    let topic: Arc<str> = Arc::from(call.path("topic"));
    let entries = read(&topic, &batch)?;
    let mut records = Vec::new();
    let mut bytes = 0;
    let mut told: Vec<(String, Result<Told, Fault>)> = Vec::new();
    for (id, entry) in entries {
        let entry = entry.map(|new| {
            bytes += new.len();
            let (record, told) = new.split();
            records.push(record);
            told
        });
        told.push((id, entry));
    }
    let mut outcomes = Vec::new();
    if !records.is_empty() {
        let work = round(Arc::clone(&call.rest), Arc::clone(&call.cluster), Arc::clone(&topic), None, records, bytes);
        let (producer, placed) = work.await;
        if let Some(producer) = producer {
            call.rest.producers.give_back(&call.cluster, producer);
        }
        outcomes = placed;
    }
    if let Some(Err(fault)) = outcomes.first()
        && fault.code == code::NO_TOPIC
    {
        return Err(fault.clone());
    }
    let mut outcomes = outcomes.into_iter();
    let (mut successes, mut failures) = (Vec::new(), Vec::new());
    for (id, told) in told {
        let report = told.and_then(|told| {
            let placed = outcomes.next().expect("every record of a round has an outcome")?;
            Ok(NewRecord::report(&told, &call.cluster_id, &topic, &placed))
        });
        match report {
            Ok(mut report) => {
                report["id"] = json!(id);
                successes.push(report);
            }
            Err(fault) => failures.push(json!({ "id": id, "error_code": fault.code, "message": fault.message })),
        }
    }
    call.rest.count(|metrics| {
        metrics.rest_records_produced.add(successes.len() as u64);
        metrics.rest_errors.add(failures.len() as u64);
    });
    Ok(call::answer(StatusCode::MULTI_STATUS, &json!({ "successes": successes, "failures": failures })))
}

type Entry = (String, Result<NewRecord, Fault>);

/// The entries by their ids; a batch whose ids make no sense is refused as a whole.
fn read(topic: &str, batch: &Batch) -> Result<Vec<Entry>, Fault> {
    #[derive(Deserialize)]
    struct Named {
        id: Option<String>,
    }
    let refuse = |text: String| Fault::new(code::WRONG_BATCH, text);
    if batch.entries.is_empty() {
        return Err(refuse("the batch is empty".to_owned()));
    }
    if batch.entries.len() > ENTRIES_MAX {
        return Err(refuse(format!("the batch has {} entries: {ENTRIES_MAX} are the most", batch.entries.len())));
    }
    let mut seen = HashSet::new();
    let mut entries = Vec::with_capacity(batch.entries.len());
    for entry in &batch.entries {
        let named: Option<Named> = serde_json::from_str(entry.get()).ok();
        let id = named.and_then(|named| named.id).filter(|id| (1..=ID_LEN_MAX).contains(&id.chars().count()));
        let id = id.ok_or_else(|| refuse(format!("every entry needs an id, a string of 1 to {ID_LEN_MAX} letters")))?;
        if !seen.insert(id.clone()) {
            return Err(refuse(format!("two entries have the id {id}")));
        }
        entries.push((id, NewRecord::read(topic, entry.get().as_bytes())));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_batch(json: &str) -> Result<Vec<Entry>, Fault> {
        read("t", &serde_json::from_str(json).expect("a batch"))
    }

    #[test]
    fn entries_need_ids_of_their_own() {
        let entries = read_batch(r#"{"entries":[{"id":"1"},{"id":"2","value":{"data":1}}]}"#).expect("valid");
        assert!(entries[0].1.is_ok() && entries[1].1.is_err());
        let long = format!(r#"{{"entries":[{{"id":"{}"}}]}}"#, "x".repeat(81));
        for wrong in [
            r#"{"entries":[]}"#,
            r#"{"entries":[{}]}"#,
            r#"{"entries":[{"id":""}]}"#,
            r#"{"entries":[{"id":"a"},{"id":"a"}]}"#,
            &long,
        ] {
            assert_eq!(read_batch(wrong).map(|_| ()).expect_err(wrong).code, 42208);
        }
    }
}
