//! `POST .../records`: records one behind the other in one body, for as long as it comes, and a report for each in the same order.
//!
//! While a round of them is being produced, the next ones gather; how many is bounded, and beyond that the body is not read. Reports
//! wait for who reads them, and while they wait nothing more is read either. A request whose body brings no whole record for a minute
//! is ended.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_lite::StreamExt;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Rest;
use super::call::Call;
use super::fault::{Fault, code};
use super::json_cut::{CutError, JsonCut};
use super::record::{NewRecord, Told};
use super::round::{Placed, RECORD_BYTES_MAX, round};
use crate::client::Producer;
use crate::ui::Cluster;

/// Bytes of one record as JSON: base64 is a third longer than what it says.
const OBJECT_BYTES_MAX: usize = RECORD_BYTES_MAX / 3 * 4 + (64 << 10);
/// What gathers for the next round.
const GATHERED_BYTES_MAX: usize = 1 << 20;
const GATHERED_MAX: usize = 2000;
/// How long the next record may take.
const RECORD_WAIT: Duration = Duration::from_secs(60);
/// Pieces of the answer that wait for who reads it.
const PIECES_MAX: usize = 2;

/// A record, or why it is none.
type Gathered = Result<NewRecord, Fault>;
type Round = Pin<Box<dyn Future<Output = (Option<Producer>, Vec<Result<Placed, Fault>>)> + Send>>;

/// A piece of the answer.
enum Piece {
    Reports(Bytes),
    /// Nothing can be produced; only as the first piece.
    Refused(Fault),
}

/// Counts a request that produces while it lives.
struct Producing(Arc<Rest>);

impl Producing {
    fn new(rest: &Arc<Rest>) -> Producing {
        rest.count(|metrics| metrics.rest_producing.add(1));
        Producing(Arc::clone(rest))
    }
}

impl Drop for Producing {
    fn drop(&mut self) {
        self.0.count(|metrics| metrics.rest_producing.add(-1));
    }
}

/// Produces what the body says.
pub(super) async fn produce(call: Call, body: Body) -> Result<Response, Fault> {
    let (pieces, mut answer) = mpsc::channel(PIECES_MAX);
    let stream = Stream {
        topic: Arc::from(call.path("topic")),
        rest: call.rest,
        cluster: call.cluster,
        cluster_id: call.cluster_id,
        cut: JsonCut::new(OBJECT_BYTES_MAX),
        gathered: VecDeque::new(),
        gathered_bytes: 0,
        is_at_end: false,
        has_answered: false,
        due: Instant::now() + RECORD_WAIT,
    };
    let kept = call.kept;
    tokio::spawn(async move {
        let _kept = kept;
        stream.run(body.into_data_stream(), pieces).await;
    });
    let first = match answer.recv().await {
        Some(Piece::Reports(first)) => first,
        Some(Piece::Refused(fault)) => return Err(fault),
        None => {
            return Err(Fault::new(
                42206,
                "the body is empty: send records such as {\"value\":{\"type\":\"STRING\",\"data\":\"hello\"}}",
            ));
        }
    };
    let rest = futures_lite::stream::unfold(answer, |mut answer| async move {
        match answer.recv().await {
            Some(Piece::Reports(reports)) => Some((Ok::<_, std::convert::Infallible>(reports), answer)),
            _ => None,
        }
    });
    let reports = futures_lite::stream::once(Ok(first)).chain(rest);
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(reports)).into_response())
}

/// A request under way.
struct Stream {
    rest: Arc<Rest>,
    cluster: Arc<Cluster>,
    cluster_id: String,
    topic: Arc<str>,
    cut: JsonCut,
    gathered: VecDeque<Gathered>,
    gathered_bytes: usize,
    /// No more records come.
    is_at_end: bool,
    has_answered: bool,
    /// When the next whole record must be there.
    due: Instant,
}

impl Stream {
    async fn run(mut self, mut body: BodyDataStream, pieces: mpsc::Sender<Piece>) {
        let _producing = Producing::new(&self.rest);
        let mut producer: Option<Producer> = None;
        let mut running: Option<(Vec<Result<Told, Fault>>, Round)> = None;
        loop {
            self.gather();
            if running.is_none() && !self.gathered.is_empty() {
                running = Some(self.start(producer.take()));
            }
            if running.is_none() && self.is_at_end {
                break;
            }
            let may_read = !self.is_at_end && !self.is_full();
            tokio::select! {
                () = pieces.closed() => return,
                (used, outcomes) = outcome(&mut running), if running.is_some() => {
                    let (told, _) = running.take().expect("it has just ended");
                    producer = used;
                    if !self.answer(told, outcomes, &pieces).await {
                        return;
                    }
                    self.due = Instant::now() + RECORD_WAIT;
                }
                came = tokio::time::timeout_at(self.due, body.next()), if may_read => self.take(came.ok()),
            }
        }
        if let Some(producer) = producer {
            self.rest.producers.give_back(&self.cluster, producer);
        }
    }

    fn is_full(&self) -> bool {
        self.gathered.len() >= GATHERED_MAX || self.gathered_bytes >= GATHERED_BYTES_MAX
    }

    /// Takes what the body brought; `None`: it brought nothing for too long.
    fn take(&mut self, came: Option<Option<Result<Bytes, axum::Error>>>) {
        match came {
            Some(Some(Ok(bytes))) => self.cut.push(&bytes),
            Some(None) => match self.cut.end() {
                Ok(()) => self.is_at_end = true,
                Err(error) => self.give_up(cut_fault(&error)),
            },
            Some(Some(Err(_))) => self.give_up(Fault::new(400, "the body broke off")),
            None => {
                let seconds = RECORD_WAIT.as_secs();
                self.give_up(Fault::new(
                    408,
                    format!("no whole record came for {seconds} seconds: the connection is closed"),
                ));
            }
        }
    }

    /// Says why, behind the reports of what came before, and reads no more.
    fn give_up(&mut self, fault: Fault) {
        self.gathered.push_back(Err(fault));
        self.is_at_end = true;
    }

    /// Cuts records out of what came.
    fn gather(&mut self) {
        while !self.is_at_end && !self.is_full() {
            match self.cut.next() {
                Ok(Some(object)) => {
                    let new = NewRecord::read(&self.topic, &object);
                    self.gathered_bytes += new.as_ref().map_or(0, NewRecord::len);
                    self.gathered.push_back(new);
                    self.due = Instant::now() + RECORD_WAIT;
                }
                Ok(None) => return,
                Err(error) => self.give_up(cut_fault(&error)),
            }
        }
    }

    fn start(&mut self, producer: Option<Producer>) -> (Vec<Result<Told, Fault>>, Round) {
        let mut records = Vec::new();
        let mut told = Vec::with_capacity(self.gathered.len());
        for new in self.gathered.drain(..) {
            told.push(new.map(|new| {
                let (record, told) = new.split();
                records.push(record);
                told
            }));
        }
        let bytes = std::mem::take(&mut self.gathered_bytes);
        if records.is_empty() {
            return (told, Box::pin(std::future::ready((producer, Vec::new()))));
        }
        let (rest, cluster, topic) = (Arc::clone(&self.rest), Arc::clone(&self.cluster), Arc::clone(&self.topic));
        (told, Box::pin(round(rest, cluster, topic, producer, records, bytes)))
    }

    /// Reports what became of a round; whether somebody still listens.
    async fn answer(
        &mut self,
        told: Vec<Result<Told, Fault>>,
        outcomes: Vec<Result<Placed, Fault>>,
        pieces: &mpsc::Sender<Piece>,
    ) -> bool {
        let mut outcomes = outcomes.into_iter();
        let mut reports = Vec::new();
        let (mut produced, mut failed) = (0, 0);
        for told in told {
            let outcome = told.and_then(|told| {
                let placed = outcomes.next().expect("every record of a round has an outcome")?;
                Ok(NewRecord::report(&told, &self.cluster_id, &self.topic, &placed))
            });
            let report = match outcome {
                Ok(mut report) => {
                    produced += 1;
                    report["error_code"] = json!(200);
                    report
                }
                // The whole answer can still say it.
                Err(fault) if !self.has_answered && fault.code == code::NO_TOPIC => {
                    let _nobody = pieces.send(Piece::Refused(fault)).await;
                    return false;
                }
                Err(fault) => {
                    failed += 1;
                    fault.body()
                }
            };
            self.has_answered = true;
            serde_json::to_writer(&mut reports, &report).expect("plain data");
            reports.push(b'\n');
        }
        self.rest.count(|metrics| {
            metrics.rest_records_produced.add(produced);
            metrics.rest_errors.add(failed);
        });
        pieces.send(Piece::Reports(reports.into())).await.is_ok()
    }
}

async fn outcome(
    running: &mut Option<(Vec<Result<Told, Fault>>, Round)>,
) -> (Option<Producer>, Vec<Result<Placed, Fault>>) {
    let (_, round) = running.as_mut().expect("only asked while a round runs");
    round.await
}

fn cut_fault(error: &CutError) -> Fault {
    match error {
        CutError::NoObject { found } => {
            let found = char::from(*found);
            let text = format!(
                "records are JSON objects, one behind the other; here stands {found:?}. Nothing behind it was read"
            );
            Fault::new(400, text)
        }
        CutError::TooLong { bytes_max } => {
            Fault::new(413, format!("a record is longer than {bytes_max} bytes of JSON. Nothing behind it was read"))
        }
        CutError::Unfinished => Fault::new(400, "the body ends within a record"),
    }
}
