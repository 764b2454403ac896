//! Requests as frames, on their way to the broker: they are lost, come late, come twice; answers are lost, too.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::broker::Run;
use crate::protocol::{Request, frame};
use crate::rt;
use crate::server::api;
use crate::server::client::{Client, ClientState};
use crate::server::connection::Reply;
use crate::shard::Shard;
use crate::wire::KafkaString;

/// A client's connection. Late copies of what it sent die when it connects anew.
#[derive(Debug, Default)]
pub struct Line {
    number: Cell<u64>,
    went_twice: Cell<bool>,
}

impl Line {
    /// What was sent before comes no more.
    pub fn connect_anew(&self) {
        self.number.set(self.number.get() + 1);
    }

    /// Whether a second copy of a request went out since this was asked last. A client that sends twice has not heard an answer,
    /// so it can't count on the answers that it hears to tell all.
    pub fn took_second_copy(&self) -> bool {
        self.went_twice.take()
    }
}

/// One copy of a request.
struct Copy {
    delay: Duration,
    arrives: bool,
    is_heard: bool,
}

fn draw_copies(run: &Run) -> Vec<Copy> {
    let network = run.plan.network;
    let is_calm = run.is_calm.get();
    run.world.draw(|chance| {
        let is_lost = |chance: &mut crate::rt::sim::Chance| {
            !is_calm && network.lost_one_in > 0 && chance.one_in(network.lost_one_in)
        };
        let usual = if is_calm { 200 } else { network.usual_us };
        let mut copies = Vec::new();
        let first = Copy {
            delay: Duration::from_micros(chance.magnitude(1, usual)),
            arrives: !is_lost(chance),
            is_heard: !is_lost(chance),
        };
        copies.push(first);
        if !is_calm && network.twice_one_in > 0 && chance.one_in(network.twice_one_in) {
            let late_us = chance.magnitude(1, network.late_ms * 1000);
            copies.push(Copy { delay: Duration::from_micros(late_us), arrives: true, is_heard: false });
        }
        copies
    })
}

/// Sends a request and waits for its answer; `None`: there is none in time, and what became of the request is not known. `note`
/// hears of each copy once: what the broker answered, or `None` if it did not get it.
pub async fn call<R: Request + 'static>(
    run: &Rc<Run>,
    line: &Rc<Line>,
    (request, version): (&R, i16),
    patience: Duration,
    note: impl Fn(Option<&R::Response>) + 'static,
) -> Option<R::Response>
where
    R::Response: 'static,
{
    let client_id = KafkaString::from_static("client");
    let bytes = frame::request(1, Some(&client_id), request, version).freeze().slice(4..);
    let (reply, answer) = oneshot::channel();
    let (reply, note) = (Rc::new(RefCell::new(Some(reply))), Rc::new(note));
    let copies = draw_copies(run);
    if copies.len() > 1 {
        line.went_twice.set(true);
    }
    for copy in copies {
        let (run, line, bytes, reply, note) =
            (Rc::clone(run), Rc::clone(line), bytes.clone(), Rc::clone(&reply), Rc::clone(&note));
        let number = line.number.get();
        rt::spawn_local(async move {
            rt::sleep(copy.delay).await;
            if !copy.arrives || line.number.get() != number {
                return note(None);
            }
            let shard = run.any_shard();
            let Some(response) = serve::<R>(shard, bytes, version).await else { return note(None) };
            note(Some(&response));
            if copy.is_heard
                && let Some(reply) = reply.borrow_mut().take()
            {
                let _ = reply.send(response);
            }
        });
    }
    // Only the copies hold it: when none of them can answer any more, the connection is closed.
    drop(reply);
    rt::timeout(patience, answer).await?.ok()
}

async fn serve<R: Request>(shard: Rc<Shard>, bytes: Bytes, version: i16) -> Option<R::Response> {
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let state = ClientState { listener: "PLAINTEXT".into(), peer, slot: None, software: None, listed: None };
    let accepted = api::accept(&shard, &Rc::new(Client::new(state)), bytes);
    let mut accepted = accepted.unwrap_or_else(|refusal| panic!("{}", refusal.text));
    match poll_fn(|cx| accepted.serving.poll(&shard, cx)).await {
        Reply::Frame(answer) => {
            let decoded = frame::decode_response::<R>(answer.slice(4..), version);
            Some(decoded.expect("the broker writes what can be read").1)
        }
        _ => None,
    }
}
