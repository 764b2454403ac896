//! What a seed decides: the broker's settings, who uses the coordinators, and what the network and the log do to them.

use std::time::Duration;

use crate::coordinator::txn::ClientVersion;
use crate::rt::sim::{Chance, Entries, Latency, Unsynced};

/// What a member of a group speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Classic: all is given up before each rebalance.
    Eager,
    /// Classic: what moves is given up in one rebalance and given out in the next (KIP-429).
    Cooperative,
    /// That of KIP-848.
    Consumer,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub struct MemberPlan {
    pub group: String,
    pub protocol: Protocol,
    /// Its name, if it is a static member.
    pub instance: Option<String>,
    pub session_ms: i32,
    pub rebalance_ms: i32,
    pub pause_ms: u64,
    /// Of KIP-848: it subscribes by pattern.
    pub has_pattern: bool,
}

/// A producer with a transactional id.
#[derive(Clone, Debug)]
pub struct ProducerPlan {
    pub version: ClientVersion,
    pub timeout_ms: i32,
    pub pause_ms: u64,
}

/// What happens to requests and answers.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPlan {
    /// Once in so many times a request, or an answer, is lost; 0: never.
    pub lost_one_in: u64,
    /// Once in so many times a second copy of a request comes, maybe late.
    pub twice_one_in: u64,
    /// A copy is so late at most.
    pub late_ms: u64,
    pub usual_us: u64,
}

/// The whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub shards: u16,
    pub lives: u64,
    pub offsets_partitions: i32,
    pub transactions_partitions: i32,
    pub data_partitions: i32,
    /// Partitions of the topic that groups read, at first.
    pub read_partitions: i32,
    pub members: Vec<MemberPlan>,
    /// Consumers without group management.
    pub committers: usize,
    pub producers: Vec<ProducerPlan>,
    pub network: NetworkPlan,
    /// Offsets and transactional ids expire within the run.
    pub expires: bool,
    /// The internal topics refuse writes now and then.
    pub refuses: bool,
    /// Their partitions are led elsewhere for a while.
    pub moves: bool,
    /// The topic that groups read gets more partitions.
    pub grows: bool,
    /// The wall clock is set.
    pub jumps: bool,
    /// Producers have few epochs left.
    pub exhausts: bool,
    pub properties: Vec<(&'static str, String)>,
    /// Of the internal topics.
    pub internal: Vec<(&'static str, String)>,
    pub entries: Entries,
}

/// How a life of the broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Clean,
    Kill,
    Power(Unsynced),
}

/// One life of the broker.
#[derive(Clone, Debug)]
pub struct LifePlan {
    pub ending: Ending,
    pub time: Duration,
    pub latency: Latency,
}

impl Plan {
    pub fn draw(chance: &mut Chance) -> Plan {
        let expires = chance.one_in(4);
        let used = chance.below(8);
        // Some runs are about one thing, most about all of them.
        let (groups, producers) = match used {
            0 | 1 => (chance.between(1, 2), 0),
            2 | 3 => (0, chance.between(1, 3)),
            _ => (chance.between(1, 2), chance.between(1, 2)),
        };
        let mut properties = vec![
            ("group.initial.rebalance.delay.ms", chance.pick(&[0, 0, 500, 3000]).to_string()),
            ("group.min.session.timeout.ms", "1000".to_owned()),
            ("group.consumer.migration.policy", chance.pick(&["bidirectional", "bidirectional", "upgrade"]).to_owned()),
            ("group.consumer.min.session.timeout.ms", "3000".to_owned()),
            ("group.consumer.session.timeout.ms", chance.pick(&[4000, 8000, 15_000]).to_string()),
            ("group.consumer.min.heartbeat.interval.ms", "500".to_owned()),
            ("group.consumer.heartbeat.interval.ms", "1000".to_owned()),
            ("transaction.abort.timed.out.transaction.cleanup.interval.ms", chance.pick(&[500, 3000]).to_string()),
            ("offsets.retention.check.interval.ms", chance.pick(&[5000, 20_000]).to_string()),
            ("log.cleaner.backoff.ms", chance.pick(&[500, 5000]).to_string()),
            ("offsets.commit.timeout.ms", chance.pick(&[1000, 5000]).to_string()),
            ("log.cleaner.dedupe.buffer.size", "4194304".to_owned()),
        ];
        if expires {
            properties.push(("offsets.retention.minutes", "1".to_owned()));
            properties.push(("transactional.id.expiration.ms", "60000".to_owned()));
            properties.push(("transaction.remove.expired.transaction.cleanup.interval.ms", "5000".to_owned()));
        }
        let internal = vec![
            ("cleanup.policy", "compact".to_owned()),
            ("segment.ms", chance.pick(&[700, 3000, 20_000]).to_string()),
            ("min.cleanable.dirty.ratio", "0.01".to_owned()),
            ("delete.retention.ms", chance.pick(&[0, 0, 5000, 86_400_000]).to_string()),
        ];
        let mut plan = Plan {
            shards: chance.pick(&[1, 1, 2]),
            lives: chance.between(1, 4),
            offsets_partitions: chance.pick(&[1, 1, 3]),
            transactions_partitions: chance.pick(&[1, 2]),
            data_partitions: chance.between(1, 3) as i32,
            read_partitions: chance.between(1, 5) as i32,
            members: (0..groups).flat_map(|group| draw_group(chance, group)).collect(),
            committers: chance.below(3) as usize,
            producers: (0..producers).map(|_| ProducerPlan::draw(chance)).collect(),
            network: NetworkPlan {
                lost_one_in: chance.pick(&[0, 50, 15, 6]),
                twice_one_in: chance.pick(&[0, 50, 10]),
                late_ms: chance.pick(&[1, 100, 5000, 30_000]),
                usual_us: chance.pick(&[200, 2000, 50_000]),
            },
            expires,
            refuses: chance.one_in(4),
            moves: chance.one_in(3),
            grows: chance.one_in(4),
            jumps: false,
            exhausts: false,
            properties,
            internal,
            entries: chance.pick(&[Entries::Prefix, Entries::Any]),
        };
        plan.draw_more(chance);
        plan
    }

    /// What came later is drawn last: so seeds without it are the runs that they were.
    fn draw_more(&mut self, chance: &mut Chance) {
        self.exhausts = chance.one_in(4);
        // Offsets of runs in which they expire are held against the clock.
        self.jumps = chance.one_in(4) && !self.expires;
        let have_patterns = chance.one_in(3);
        for member in self.members.iter_mut().filter(|member| member.protocol == Protocol::Consumer) {
            member.has_pattern = have_patterns && chance.one_in(2);
        }
    }
}

fn draw_group(chance: &mut Chance, group: u64) -> Vec<MemberPlan> {
    use Protocol::{Consumer, Cooperative, Eager};
    let kind = chance.below(5);
    let protocols: &[Protocol] = match kind {
        0 => &[Eager],
        1 => &[Cooperative],
        2 | 3 => &[Consumer],
        _ => &[Cooperative, Cooperative, Consumer],
    };
    let count = chance.between(1, 4);
    let static_one_in = chance.pick(&[1, 3, 100]);
    (0..count)
        .map(|nth| MemberPlan {
            group: format!("group{group}"),
            protocol: chance.pick(protocols),
            instance: chance.one_in(static_one_in).then(|| format!("static{nth}")),
            session_ms: chance.pick(&[3000, 6000, 10_000]),
            rebalance_ms: chance.pick(&[2000, 5000, 20_000]),
            pause_ms: chance.pick(&[300, 1000, 2000]),
            has_pattern: false,
        })
        .collect()
}

impl ProducerPlan {
    fn draw(chance: &mut Chance) -> ProducerPlan {
        ProducerPlan {
            version: chance.pick(&[ClientVersion::One, ClientVersion::Two]),
            timeout_ms: chance.pick(&[2000, 10_000, 60_000]),
            pause_ms: chance.pick(&[1, 50, 1000]),
        }
    }
}

impl LifePlan {
    pub fn draw(chance: &mut Chance) -> LifePlan {
        let unsynced = chance.pick(&[Unsynced::Lost, Unsynced::Kept, Unsynced::Torn]);
        LifePlan {
            ending: chance.pick(&[
                Ending::Clean,
                Ending::Kill,
                Ending::Kill,
                Ending::Power(unsynced),
                Ending::Power(unsynced),
            ]),
            time: Duration::from_millis(chance.magnitude(50, 60_000)),
            latency: chance.pick(&[
                Latency { least_us: 20, most_us: 200, hiccup_one_in: 100 },
                Latency { least_us: 100, most_us: 5000, hiccup_one_in: 50 },
                Latency { least_us: 1000, most_us: 40_000, hiccup_one_in: 20 },
            ]),
        }
    }
}
