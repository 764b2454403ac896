//! The same raw requests go to Apache Kafka and to Millrace, and the answers must be equal, field by field,
//! once what each broker chooses for itself (ids, ports, directories, times) is set aside.
//!
//! A case is one line: the fact, the versions, the request. `MILLRACE_ORACLE=fetch` runs one group only;
//! with `MILLRACE_TEST_PEER=apache` two Apache Kafka nodes are compared, which proves the cases themselves.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod answer;
mod better;
mod configs;
mod consumer_groups;
mod fetch;
mod frames;
mod group_mutations;
mod groups;
mod legacy;
mod metadata;
mod mutations;
mod offsets;
mod peer;
mod produce;
mod producer_ids;
mod topics;
mod transactions;

use millrace::protocol::Request;

use crate::answer::{Outcome, differences};
use crate::peer::Peer;
use crate::support::node::Kind;

/// Both brokers, and what was found so far.
pub struct Oracle {
    peers: [Peer; 2],
    group: &'static str,
    asked: usize,
    findings: Vec<String>,
}

impl Oracle {
    /// Sends `request` in each of `versions` to both brokers and compares the answers.
    pub fn same<R: Request>(
        &mut self,
        fact: &str,
        versions: impl IntoIterator<Item = i16>,
        request: impl Fn(&Peer, i16) -> R,
    ) {
        self.same_except(fact, versions, &[], request);
    }

    /// Like [`Oracle::same`]; fields whose path ends with one of `except` may differ.
    pub fn same_except<R: Request>(
        &mut self,
        fact: &str,
        versions: impl IntoIterator<Item = i16>,
        except: &[&str],
        request: impl Fn(&Peer, i16) -> R,
    ) {
        for version in versions {
            let answers = self.peers.each_ref().map(|peer| peer.ask(&request(peer, version), version));
            self.compare(&format!("{fact}, {} {version}", R::API_KEY.name()), &answers, except);
        }
    }

    /// Where Apache Kafka plainly misbehaves: what it does and what Millrace does instead, both as
    /// [`Outcome::summary`] words it. A change on either side is a finding.
    pub fn better<R: Request>(
        &mut self,
        fact: &str,
        version: i16,
        [ours, theirs]: [&str; 2],
        request: impl Fn(&Peer) -> R,
    ) {
        for nth in 0..self.peers.len() {
            let peer = &self.peers[nth];
            let expected = if peer.node.kind() == Kind::Apache { theirs } else { ours };
            let found = peer.ask(&request(peer), version).summary();
            self.asked += 1;
            if found != expected {
                let api = R::API_KEY.name();
                let finding = format!("{}: {fact}, {api} {version}\n    {}: {found}", self.group, peer.name);
                self.findings.push(format!("{finding}\n    expected: {expected}"));
            }
        }
    }

    /// Sends the same bytes, size prefix included, to both.
    pub fn same_bytes(&mut self, fact: &str, bytes: &[u8]) {
        let answers = self.peers.each_ref().map(|peer| peer.exchange_raw(bytes));
        self.compare(fact, &answers, &[]);
    }

    /// Runs `step` on both, for what a case needs beforehand.
    pub fn both<T>(&mut self, step: impl Fn(&mut Peer) -> T) -> [T; 2] {
        self.peers.each_mut().map(step)
    }

    fn compare(&mut self, fact: &str, answers: &[Outcome; 2], except: &[&str]) {
        self.asked += 1;
        let found = differences(&answers[0], &answers[1], except);
        if !found.is_empty() {
            self.findings.push(format!("{}: {fact}\n    {}", self.group, found.join("\n    ")));
        }
    }
}

/// The same entries so many times, for requests that name things twice.
fn repeated<T: Clone>(entries: &[T], times: usize) -> Vec<T> {
    std::iter::repeat_n(entries, times).flatten().cloned().collect()
}

#[test]
fn millrace_answers_as_apache_kafka_does() {
    let groups: [(&'static str, fn(&mut Oracle)); 15] = [
        ("frames", frames::cases),
        ("metadata", metadata::cases),
        ("topics", topics::cases),
        ("produce", produce::cases),
        ("legacy", legacy::cases),
        ("producer_ids", producer_ids::cases),
        ("fetch", fetch::cases),
        ("offsets", offsets::cases),
        ("configs", configs::cases),
        ("admin", admin::cases),
        ("groups", groups::cases),
        ("consumer_groups", consumer_groups::cases),
        ("transactions", transactions::cases),
        ("mutations", mutations::cases),
        // The last one, because Apache Kafka's controller resigns.
        ("better", better::cases),
    ];
    let wanted = std::env::var("MILLRACE_ORACLE").ok();
    let peers = [Peer::start("Millrace", Kind::under_test()), Peer::start("Apache Kafka", Kind::Apache)];
    let mut oracle = Oracle { peers, group: "", asked: 0, findings: Vec::new() };
    for (name, cases) in groups {
        if wanted.as_deref().is_none_or(|wanted| wanted == name) {
            oracle.group = name;
            cases(&mut oracle);
        }
    }
    let Oracle { asked, findings, peers, .. } = oracle;
    assert!(asked > 0, "MILLRACE_ORACLE={wanted:?} names no group");
    let [one, other] = peers.each_ref().map(|peer| peer.name);
    assert!(
        findings.is_empty(),
        "{} of {asked} answers differ ({one} | {other}):\n{}",
        findings.len(),
        findings.join("\n")
    );
}
