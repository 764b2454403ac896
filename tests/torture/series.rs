//! One broker over many rounds: its topics, its settings, its restarts.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tempfile::TempDir;

use crate::judge::{self, Found, Place, Promise, Refusals, Verdict, Witness};
use crate::ledger::Written;
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::writers::{Topic, Writers, manners};

/// Topics stay for so many rounds, and so are recovered again and again.
const ROUNDS_KEPT: usize = 3;
/// How long things may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The fault comes at the latest after this.
const LOAD_LIMIT: Duration = Duration::from_secs(10);

/// The load of a round.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Bytes that one writer writes at most.
    pub bytes_max: usize,
    /// The fault comes when so many records are acknowledged; drawn from this range.
    pub acknowledged_max: usize,
}

struct Kept {
    topic: Topic,
    round: usize,
}

/// A broker with what was written to it.
pub struct Series {
    /// The broker.
    pub node: Node,
    /// Draws for this series.
    pub rng: StdRng,
    memory: TempDir,
    run: u32,
    round: usize,
    topics: Vec<Kept>,
    next_topic: u32,
    next_writer: u32,
    written: Vec<Arc<Written>>,
    witnessed: Vec<(Place, Found)>,
    durable: HashMap<Place, i64>,
    /// How long the broker took to answer after its last start.
    pub recovery: Duration,
}

/// Writers and their witness.
pub struct Running {
    /// The writers.
    pub writers: Writers,
    witness: Witness,
}

impl Series {
    /// Prepares a broker with its data below `data`, or at its own place.
    pub fn new(seed: u64, data: Option<&Path>, overrides: &[(&str, &str)]) -> Series {
        let memory = tempfile::Builder::new().prefix("millrace-torture").tempdir_in("/dev/shm");
        let memory = memory.expect("shared memory is writable");
        let mut node = Node::prepare(Kind::Millrace, &[]);
        node.set("millrace.tail.dir", &memory.path().display().to_string());
        if let Some(data) = data {
            node.set("log.dirs", &data.join("data").display().to_string());
        }
        let settings = [
            ("millrace.tail.bytes", "67108864"),
            ("millrace.wal.file.bytes", "4194304"),
            ("log.retention.ms", "-1"),
            ("log.segment.delete.delay.ms", "500"),
            ("log.index.interval.bytes", "512"),
        ];
        for (key, value) in settings.iter().chain(overrides) {
            node.set(key, value);
        }
        Series {
            node,
            rng: StdRng::seed_from_u64(seed),
            memory,
            run: seed as u32 ^ std::process::id(),
            round: 0,
            topics: Vec::new(),
            next_topic: 0,
            next_writer: 0,
            written: Vec::new(),
            witnessed: Vec::new(),
            durable: HashMap::new(),
            recovery: Duration::ZERO,
        }
    }

    /// Draws what the next start runs with.
    pub fn draw_settings(&mut self) {
        let mut draw = |key: &str, values: &[&str]| {
            let value = values[self.rng.random_range(0..values.len())];
            self.node.set(key, value);
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards: Vec<String> = (1..=cores.min(4)).map(|count| count.to_string()).collect();
        draw("millrace.shards", &shards.iter().map(String::as_str).collect::<Vec<_>>());
        draw("millrace.tail.flush.ms", &["20", "1000", "3600000"]);
        draw("millrace.wal.max.entry.bytes", &["0", "32768", "32768", "524288"]);
        draw("millrace.wal.files", &["2", "4"]);
        draw("log.segment.bytes", &["1048576", "1048576", "16777216"]);
    }

    /// Starts the broker and notes how long it took.
    pub fn start(&mut self) {
        let begin = Instant::now();
        self.node.start_again();
        self.recovery = begin.elapsed();
    }

    /// Makes the topics of the round and lets the writers loose on them.
    pub fn begin(&mut self, load: Load) -> Running {
        self.round += 1;
        let mut topics = Vec::new();
        for partitions in [1, self.rng.random_range(2..8)] {
            let number = self.next_topic;
            self.next_topic += 1;
            let topic = Topic { number, name: format!("torture-{number}"), partitions };
            self.create(&topic);
            topics.push(topic.clone());
            self.topics.push(Kept { topic, round: self.round });
        }
        let manners = manners(self.round, load.bytes_max);
        let (bootstrap, first, seed) = (self.node.bootstrap(), self.next_writer, self.rng.random());
        self.next_writer += manners.len() as u32;
        let writers = Writers::start(&bootstrap, self.run, &topics, manners, first, seed);
        let running = Running { writers, witness: Witness::start(&bootstrap, &topics) };
        let wanted = self.rng.random_range(load.acknowledged_max / 20..load.acknowledged_max);
        running.writers.wait_acknowledged(wanted, LOAD_LIMIT);
        running
    }

    fn create(&mut self, topic: &Topic) {
        let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(1));
        let admin = self.admin();
        // The answer to the first attempt may have been lost, or the controller may not be ready.
        wait_for("a topic", LIMIT, || {
            let made = futures_lite::future::block_on(admin.create_topics([&new], &AdminOptions::new()));
            match made.ok()?.pop()? {
                Ok(_) | Err((_, rdkafka::error::RDKafkaErrorCode::TopicAlreadyExists)) => Some(()),
                Err(_) => None,
            }
        });
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.node.bootstrap()).set("broker.address.family", "v4");
        config.set("log_level", "0").create().expect("librdkafka makes an admin client")
    }

    /// To be called when the fault has happened and before the broker is up again: the witness ends, for it may not see what comes
    /// later; so do those that send only once.
    pub fn part(&mut self, running: Running) -> Writers {
        self.witnessed.extend(running.witness.finish());
        running.writers.stop_plain();
        let everything = [&self.written[..], &running.writers.written[..]].concat();
        self.durable = judge::durable_ends(&everything);
        running.writers
    }

    /// What must be there after a power loss at the time of [`Series::part`].
    pub fn device_promise(&self) -> Promise {
        Promise::Device(self.durable.clone())
    }

    /// Kills the broker with -9.
    pub fn kill(&mut self) {
        self.node.kill9();
    }

    /// What a reboot leaves of shared memory: nothing.
    pub fn lose_memory(&self) {
        for entry in fs::read_dir(self.memory.path()).expect("our directory is readable").flatten() {
            fs::remove_file(entry.path()).expect("our own file is removable");
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.node.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "our child can be signalled");
    }

    /// Starts the broker again, now and then with a kill in the middle of its recovery.
    pub fn recover(&mut self) {
        self.draw_settings();
        while self.rng.random_bool(0.25) {
            self.node.spawn();
            std::thread::sleep(Duration::from_millis(self.rng.random_range(1..250)));
            self.node.kill9();
        }
        self.start();
    }

    /// Ends the round: the writers deliver what they have, everything is read back and judged; old topics are deleted.
    pub fn finish(&mut self, writers: Writers, promise: &Promise, refusals: Refusals) -> Verdict {
        self.written.extend(writers.finish());
        let topics: Vec<Topic> = self.topics.iter().map(|kept| kept.topic.clone()).collect();
        let verdict = match judge::read_all(&self.node.bootstrap(), &topics) {
            Ok(found) => {
                let verdict =
                    judge::judge(self.run, &topics, &self.written, &self.witnessed, &found, promise, refusals);
                judge::settle(&self.written, &mut self.witnessed, &found);
                verdict
            }
            Err(error) => {
                let mut verdict = Verdict::default();
                verdict.corrupted += 1;
                verdict.notes.push(format!("not readable: {error}"));
                verdict
            }
        };
        self.forget_old();
        verdict
    }

    fn forget_old(&mut self) {
        self.forget_before((self.round + 1).saturating_sub(ROUNDS_KEPT));
    }

    fn forget_before(&mut self, round: usize) {
        let (old, kept) = std::mem::take(&mut self.topics).into_iter().partition(|kept: &Kept| kept.round < round);
        self.topics = kept;
        let names: Vec<&str> = old.iter().map(|kept| kept.topic.name.as_str()).collect();
        if names.is_empty() {
            return;
        }
        let _ = futures_lite::future::block_on(self.admin().delete_topics(&names, &AdminOptions::new()));
        let is_kept = |number: u32| self.topics.iter().any(|kept| kept.topic.number == number);
        self.witnessed.retain(|(place, _)| is_kept(place.0));
        self.written.retain(|written| written.sent().first().is_some_and(|sent| is_kept(sent.topic)));
    }

    /// Saves what the broker left, for somebody to look at.
    pub fn keep_evidence(&self, name: &str) -> Option<String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("torture").join(name);
        let _ = fs::remove_dir_all(&target);
        fs::create_dir_all(&target).ok()?;
        let data = self.node.data();
        let mut copy = Command::new("cp");
        copy.args(["-r", "--sparse=always"]).arg(&data).arg(self.node.scratch().join("broker.log"));
        copy.arg(&target).status().ok()?;
        Some(target.display().to_string())
    }
}
