//! Exactly once, under fire: workers of two client libraries consume a topic, write what they read to another in transactions that
//! hold their offsets too, and are killed with -9, stopped and left behind as zombies, together with the broker. What a read_committed
//! consumer then finds in the output is the input: every record, once, in its order.
//!
//! ```sh
//! cargo test --release --test exactly-once -- --rounds 1000 [--seed N] [--protocol classic|consumer] [--keep]
//! ```
//! Without `--rounds` (as in a plain `cargo test`) it is three rounds. Exit code 1: a promise was broken. `MILLRACE_TEST_PEER=apache`
//! does the same to Apache Kafka. `--keep` leaves broker and workers running after one, to look at. A worker is this program again (librdkafka, `worker.rs`) or `Worker.java` (the Java client).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person who runs it")]

mod crowd;
mod feeder;
mod judge;
#[path = "../support/mod.rs"]
mod support;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crowd::Crowd;
use feeder::Feeder;
use judge::Judge;
use support::node::{Kind, Node};

/// The topic that is read.
pub const INPUT: &str = "exactly-once-in";
/// The topic that is written.
pub const OUTPUT: &str = "exactly-once-out";
/// The group of the workers.
pub const GROUP: &str = "exactly-once";
/// Of either topic.
pub const PARTITIONS: i32 = 4;
/// The workers' `transaction.timeout.ms`.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(4);
/// The workers' `session.timeout.ms`.
pub const SESSION_TIMEOUT: Duration = Duration::from_millis(1500);

/// Rounds of a plain `cargo test`.
const SMOKE_ROUNDS: usize = 3;
/// So long the workers may take for what a round has fed, whatever was done to them.
const LIMIT: Duration = Duration::from_secs(90);

struct Flags {
    rounds: usize,
    seed: u64,
    /// `group.protocol` of the workers.
    protocol: String,
    /// Leaves everything running when a promise was broken.
    keep: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name, bootstrap, membership, protocol] = &arguments[..]
        && first == "--worker"
    {
        return worker::run(name, bootstrap, membership == "static", protocol);
    }
    let flags = match parse(arguments.into_iter()) {
        Ok(Some(flags)) => flags,
        Ok(None) => return ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("exactly-once: {problem}");
            return ExitCode::from(2);
        }
    };
    println!("exactly-once: {} rounds, --seed {} --protocol {}", flags.rounds, flags.seed, flags.protocol);
    let mut run = Run::start(flags.seed, &flags.protocol);
    let outcome = catch_unwind(AssertUnwindSafe(|| run.rounds(flags.rounds)));
    let problem = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(problem)) => Some(problem),
        Err(panic) => Some(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "the rig panicked".to_owned())),
    };
    println!("{}", run.summary());
    match problem {
        None => ExitCode::SUCCESS,
        Some(problem) => {
            println!("BROKEN PROMISE: {problem}\n{}\n{}", run.crowd.log_tails(), run.node.log_tail());
            println!("--- feeder\n{}", run.feeder.log_tail());
            if flags.keep {
                println!("left running: {} in {}", run.node.bootstrap(), run.node.scratch().display());
                std::mem::forget(run);
            }
            ExitCode::FAILURE
        }
    }
}

/// Reads the arguments, among which may be those of the usual test harness; `None` when this test is filtered out.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Flags>, String> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()));
    let mut flags = Flags { rounds: SMOKE_ROUNDS, seed: nanos, protocol: "classic".to_owned(), keep: false };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--rounds" => flags.rounds = value()?.parse().map_err(|error| format!("--rounds: {error}"))?,
            "--seed" => flags.seed = value()?.parse().map_err(|error| format!("--seed: {error}"))?,
            "--protocol" => {
                flags.protocol = value()?;
                if !["classic", "consumer"].contains(&flags.protocol.as_str()) {
                    return Err(format!("--protocol: {:?} is neither classic nor consumer", flags.protocol));
                }
            }
            "--keep" => flags.keep = true,
            "--list" => {
                println!("exactly_once: test");
                return Ok(None);
            }
            "--ignored" | "--bench" => return Ok(None),
            "--test-threads" | "--skip" | "--color" | "--format" | "--logfile" | "-Z" => drop(value()?),
            other if other.starts_with('-') => {}
            filter if !"exactly_once".contains(filter) => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(flags))
}

/// What is done to the workers and the broker in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Blow {
    /// Workers that are killed, one bit each.
    kills: u32,
    /// A worker that is stopped until its session and its transaction have timed out, and then goes on.
    zombie: Option<usize>,
    broker: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Killed,
    Stopped,
}

#[derive(Default)]
struct Counts {
    rounds: usize,
    worker_kills: usize,
    zombies: usize,
    broker_kills: usize,
    broker_stops: usize,
}

struct Run {
    node: Node,
    crowd: Crowd,
    feeder: Feeder,
    judge: Judge,
    rng: StdRng,
    counts: Counts,
    begun: Instant,
}

impl Run {
    fn start(seed: u64, protocol: &str) -> Run {
        let settings = [
            ("group.min.session.timeout.ms", "500"),
            ("group.initial.rebalance.delay.ms", "0"),
            ("group.consumer.min.session.timeout.ms", "500"),
            ("group.consumer.session.timeout.ms", "1500"),
            ("group.consumer.min.heartbeat.interval.ms", "100"),
            ("group.consumer.heartbeat.interval.ms", "200"),
            ("offsets.topic.num.partitions", "4"),
            ("offsets.topic.segment.bytes", "1048576"),
            ("transaction.state.log.num.partitions", "4"),
            ("transaction.state.log.segment.bytes", "1048576"),
            ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500"),
            ("log.segment.bytes", "1048576"),
            ("log.cleaner.backoff.ms", "500"),
            ("log.retention.ms", "-1"),
        ];
        let node = Node::start(Kind::under_test(), &settings);
        let bootstrap = node.bootstrap();
        feeder::create_topics(&bootstrap);
        feeder::commit_beginnings(&bootstrap);
        Run {
            feeder: Feeder::new(&bootstrap),
            judge: Judge::start(&bootstrap),
            crowd: Crowd::start(&bootstrap, protocol, node.scratch()),
            node,
            rng: StdRng::seed_from_u64(seed),
            counts: Counts::default(),
            begun: Instant::now(),
        }
    }

    fn rounds(&mut self, rounds: usize) -> Result<(), String> {
        for round in 0..rounds {
            let blow = self.draw(round);
            let begun = Instant::now();
            // What was fed before must come through whatever happens now.
            let fed_before = self.feeder.fed();
            let records = self.rng.random_range(20..400);
            self.feeder.feed(records);
            std::thread::sleep(Duration::from_millis(self.rng.random_range(0..300)));
            self.strike(blow);
            self.judge.wait(&fed_before, LIMIT, || self.crowd.restart_ended())?;
            self.counts.rounds += 1;
            if round % 20 == 19 || round + 1 == rounds {
                let fed = self.feeder.flush()?;
                self.judge.wait(&fed, LIMIT, || self.crowd.restart_ended())?;
                println!(
                    "{:>5} rounds, {} records, the last one {blow:?} in {:?}",
                    round + 1,
                    self.judge.seen(),
                    begun.elapsed()
                );
            }
        }
        let fed = self.feeder.flush()?;
        self.crowd.kill_all();
        judge::read_again(&self.node.bootstrap(), &fed, LIMIT)
    }

    fn draw(&mut self, round: usize) -> Blow {
        let mut blow = Blow::default();
        let one = self.rng.random_range(0..self.crowd.len());
        // The first rounds have one of each.
        match if round < 3 { [0, 70, 85][round] } else { self.rng.random_range(0..100) } {
            0..45 => blow.kills = 1 << one,
            45..55 => blow.kills = self.rng.random_range(1..1 << self.crowd.len()),
            55..75 => blow.broker = Some(End::Killed),
            75..83 => (blow.broker, blow.kills) = (Some(End::Stopped), 1 << one),
            83..95 => (blow.broker, blow.kills) = (Some(End::Killed), self.rng.random_range(1..1 << self.crowd.len())),
            _ => blow.zombie = Some(one),
        }
        blow
    }

    fn strike(&mut self, blow: Blow) {
        let pause = |rng: &mut StdRng| std::thread::sleep(Duration::from_millis(rng.random_range(0..100)));
        for at in (0..self.crowd.len()).filter(|at| blow.kills & 1 << at != 0) {
            self.crowd.kill(at);
            self.counts.worker_kills += 1;
        }
        match blow.broker {
            Some(End::Killed) => {
                self.node.kill9();
                self.counts.broker_kills += 1;
            }
            Some(End::Stopped) => {
                self.node.stop();
                self.counts.broker_stops += 1;
            }
            None => {}
        }
        pause(&mut self.rng);
        if blow.broker.is_some() {
            self.node.start_again();
        }
        if let Some(at) = blow.zombie {
            self.crowd.stop_for(at, TRANSACTION_TIMEOUT + SESSION_TIMEOUT);
            self.counts.zombies += 1;
        }
        self.crowd.restart_ended();
    }

    fn summary(&self) -> String {
        let Counts { rounds, worker_kills, zombies, broker_kills, broker_stops } = self.counts;
        format!(
            "{rounds} rounds in {:.0?}: {} records, {worker_kills} workers killed, {zombies} left behind as zombies, {} ended by \
             themselves, broker killed {broker_kills} and stopped {broker_stops} times; {} lost, {} twice or out of order",
            self.begun.elapsed(),
            self.judge.seen(),
            self.crowd.ended_by_themselves(),
            self.judge.lost(),
            self.judge.twice(),
        )
    }
}
