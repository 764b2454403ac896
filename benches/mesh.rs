//! The price of asking another shard: a message there and its answer back, between two executors.
//! `cargo bench --bench mesh`; with both cores idle it is dominated by waking the other one, with several requests under way by the
//! queues.

#![allow(missing_docs, reason = "criterion_group makes an undocumented function")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millrace::rt::executor::{available_cores, spawn_pinned};
use millrace::rt::mesh;
use tokio::sync::oneshot;

/// What a shard's inbox holds.
const INBOX: usize = 4096;

/// A question, as the broker's messages are: small, with the way back in it.
enum Question {
    Double(u64, oneshot::Sender<u64>),
    End,
}

/// Asks `count` times, `at_once` questions under way at a time, and says how long that took.
fn ask(count: u64, at_once: u64) -> Duration {
    let cores = available_cores();
    let core = |nth: usize| (cores.len() > 1).then(|| cores[nth]);
    let (sender, inbox) = mesh::inbox(INBOX);
    let answering = spawn_pinned("answers", core(0), move || async move {
        while let Question::Double(number, reply) = inbox.receive().await {
            let _ = reply.send(2 * number);
        }
    });
    let asking = spawn_pinned("asks", core(1), move || async move {
        let start = Instant::now();
        let mut asked = 0;
        while asked < count {
            let mut answers = Vec::with_capacity(at_once as usize);
            for number in asked..count.min(asked + at_once) {
                let (reply, answer) = oneshot::channel();
                sender.send(Question::Double(number, reply)).await;
                answers.push((number, answer));
            }
            asked += answers.len() as u64;
            for (number, answer) in answers {
                assert_eq!(answer.await.expect("it is answered"), 2 * number);
            }
        }
        let elapsed = start.elapsed();
        sender.send(Question::End).await;
        elapsed
    });
    let elapsed = asking.expect("a thread").join().expect("io_uring is needed");
    answering.expect("a thread").join().expect("io_uring is needed");
    elapsed
}

fn round_trips(c: &mut Criterion) {
    let mut group = c.benchmark_group("mesh round trip");
    group.throughput(Throughput::Elements(1));
    for at_once in [1, 16, 256] {
        group.bench_function(BenchmarkId::new("under way", at_once), |b| {
            b.iter_custom(|count| ask(count, at_once));
        });
    }
    group.finish();
}

criterion_group!(benches, round_trips);
criterion_main!(benches);
