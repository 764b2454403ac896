//! The bench's own driver against a broker: what it counts is what is there.

use std::time::{Duration, Instant};

use millrace::bench::driver::own::Own;
use millrace::bench::driver::{Driver, Interval, Order, Running};
use millrace::bench::workload::{Arrival, Consumers, Content, Flow, Keys, Sizes, Values};
use millrace::client::{Client, ClientConfig, Properties};

use crate::calls::create_topic;
use crate::support::bench::{drive, order, settings};
use crate::support::node::{Kind, Node};
use crate::support::stub_broker::{Stall, StubBroker};
use crate::support::wire::Wire;

const DRAIN_LIMIT: Duration = Duration::from_secs(60);

pub fn values(bytes: u32) -> Values {
    Values { size: Sizes::Fixed { bytes }, content: Content::Synthetic { ratio: 3.0 }, null_share: 0.0 }
}

fn node_with(topic: &str, partitions: i32) -> Node {
    let node = Node::start(Kind::under_test(), &[]);
    create_topic(&mut Wire::connect(&node), topic, partitions, &[]);
    node
}

#[test]
fn every_record_of_an_open_loop_is_acknowledged_and_read_by_every_group() {
    let node = node_with("open", 3);
    let flow = Flow {
        topic: "open".to_owned(),
        partitions: 3,
        producers: 3,
        arrival: Arrival::Poisson { rate: 5000.0 },
        value: values(200),
        consumers: Consumers { groups: 2, members: 2, ..Default::default() },
        ..Default::default()
    };
    let (all, finished) = drive(&Own, &order(&[node.bootstrap()], vec![flow]), |all| all.acked >= 3000);
    assert_eq!((all.due, all.failed, all.backlog, all.in_flight), (all.acked, 0, 0, 0));
    assert_eq!((all.acked_bytes, all.consumed), (all.acked * 200, all.acked * 2));
    assert_eq!((all.latency.len(), all.end_to_end.len()), (all.acked, all.acked * 2));
    assert_eq!(all.clock_error.len(), all.acked);
    assert!(all.produce_requests <= all.batches && all.batches < all.acked);
    assert!(all.errors.is_empty(), "{:?}", all.errors);
    let verification = finished.verification.expect("it was asked for");
    assert_eq!(verification.acked, all.acked);
    assert!(verification.is_clean() && verification.unacknowledged == 0, "{verification:?}");
}

#[test]
fn a_closed_loop_writes_with_every_codec_and_key() {
    let node = node_with("closed", 4);
    for (codec, acks) in [("none", "all"), ("gzip", "1"), ("snappy", "0"), ("lz4", "all"), ("zstd", "1")] {
        let flow = Flow {
            topic: "closed".to_owned(),
            partitions: 4,
            producers: 2,
            key: Keys::Zipf { count: 1000, exponent: 1.0, bytes: 12 },
            value: values(500),
            producer: settings(&[("compression.type", codec), ("acks", acks), ("buffer.memory", "1000000")]),
            consumers: Consumers { groups: 1, ..Default::default() },
            ..Default::default()
        };
        let (all, finished) = drive(&Own, &order(&[node.bootstrap()], vec![flow]), |all| all.acked >= 20_000);
        assert_eq!((all.due, all.failed, all.consumed), (all.acked, 0, all.acked), "{codec}: {:?}", all.errors);
        assert_eq!(all.acked_bytes, all.acked * 512);
        let ratio = all.acked_bytes as f64 / all.batch_bytes as f64;
        assert!(if codec == "none" { ratio < 1.0 } else { ratio > 1.5 }, "{codec}: {ratio}");
        assert!(finished.verification.expect("it was asked for").is_clean());
    }
}

#[test]
fn members_of_real_groups_read_everything_and_commit_it() {
    let node = Node::start(Kind::under_test(), &[("group.initial.rebalance.delay.ms", "200")]);
    create_topic(&mut Wire::connect(&node), "grouped", 4, &[]);
    for protocol in ["classic", "consumer"] {
        let group = format!("g-{protocol}");
        let pairs = [("group.protocol", protocol), ("group.id", group.as_str()), ("auto.commit.interval.ms", "200")];
        let flow = Flow {
            topic: "grouped".to_owned(),
            partitions: 4,
            arrival: Arrival::Constant { rate: 5000.0 },
            value: values(100),
            consumers: Consumers {
                groups: 1,
                members: 2,
                coordinated: true,
                from_beginning: false,
                settings: settings(&pairs),
            },
            ..Default::default()
        };
        let (all, finished) = drive(&Own, &order(&[node.bootstrap()], vec![flow]), |all| all.acked >= 5000);
        assert_eq!((all.consumed, all.failed), (all.acked, 0), "{protocol}: {:?}", all.errors);
        assert!(finished.verification.expect("it was asked for").is_clean(), "{protocol}");
        let config = ClientConfig::new(
            Properties::from_pairs([format!("bootstrap.servers={}", node.bootstrap()).as_str()]),
            "it",
        );
        let mut client = Client::new(config.expect("a config"));
        let committed = client.committed_offsets(&group).expect("the group is there");
        let sum: i64 = committed.iter().map(|(_, committed)| committed.offset).sum();
        assert!(sum as u64 >= all.acked, "{protocol}: {sum} of {}", all.acked);
    }
}

#[test]
fn transactions_are_committed_as_often_as_asked_and_readers_see_all_of_them() {
    let node = node_with("txn", 3);
    let flow = Flow {
        topic: "txn".to_owned(),
        partitions: 3,
        producers: 2,
        arrival: Arrival::Poisson { rate: 4000.0 },
        value: values(150),
        producer: settings(&[("transactional.id", "bench"), ("transaction.duration.ms", "100")]),
        consumers: Consumers {
            groups: 1,
            settings: settings(&[("isolation.level", "read_committed")]),
            ..Default::default()
        },
        ..Default::default()
    };
    let (all, finished) = drive(&Own, &order(&[node.bootstrap()], vec![flow]), |all| all.acked >= 4000);
    assert_eq!((all.due, all.consumed, all.failed), (all.acked, all.acked, 0), "{:?}", all.errors);
    let verification = finished.verification.expect("it was asked for");
    assert_eq!(verification.acked, all.acked);
    assert!(verification.is_clean(), "{verification:?}");
}

#[test]
fn a_broker_that_is_killed_and_comes_back_costs_an_idempotent_producer_nothing_but_time() {
    let mut node = node_with("killed", 2);
    let flow = Flow {
        topic: "killed".to_owned(),
        partitions: 2,
        arrival: Arrival::Poisson { rate: 3000.0 },
        value: values(100),
        producer: settings(&[("linger.ms", "1")]),
        consumers: Consumers { groups: 1, ..Default::default() },
        ..Default::default()
    };
    let order = order(&[node.bootstrap()], vec![flow]);
    let mut running = Own.start(&order).expect("the broker is there");
    let mut all = running.take().expect("it runs");
    let wait = |running: &mut Box<dyn Running>, all: &mut Interval, acked: u64| {
        let deadline = Instant::now() + DRAIN_LIMIT;
        while all.acked < acked {
            assert!(Instant::now() < deadline, "{all:?}");
            std::thread::sleep(Duration::from_millis(20));
            all.add(&running.take().expect("it runs"));
        }
    };
    wait(&mut running, &mut all, 2000);
    node.kill9();
    node.start_again();
    let before = all.acked;
    wait(&mut running, &mut all, before + 3000);
    running.stop_arrivals();
    let deadline = Instant::now() + DRAIN_LIMIT;
    while !running.is_drained() {
        assert!(Instant::now() < deadline, "it does not come to an end: {:?}", running.take());
        std::thread::sleep(Duration::from_millis(20));
    }
    all.add(&running.take().expect("it runs"));
    let verification = running.finish().expect("it ends").verification.expect("it was asked for");
    assert_eq!((all.due, all.failed), (all.acked, 0), "{:?}", all.errors);
    assert!(!all.errors.is_empty());
    assert!(verification.is_clean(), "{verification:?} {:?}", all.errors);
}

#[test]
fn records_that_find_no_memory_for_max_block_ms_fail() {
    let stall = Stall { after: Duration::from_secs(1), lasts: Duration::from_secs(3) };
    let broker = StubBroker::start(1, Some(stall), true);
    let flow = Flow {
        topic: "full".to_owned(),
        arrival: Arrival::Constant { rate: 500.0 },
        value: values(100),
        producer: settings(&[
            ("acks", "1"),
            ("linger.ms", "0"),
            ("buffer.memory", "65536"),
            ("max.block.ms", "300"),
            ("max.in.flight.requests.per.connection", "1"),
        ]),
        ..Default::default()
    };
    let (all, _) = drive(&Own, &order(&[broker.bootstrap()], vec![flow]), |all| all.acked >= 2000);
    assert_eq!((all.acked + all.failed, all.backlog, all.in_flight), (all.due, 0, 0));
    // One after the other waits for its time, as in a program that calls send().
    assert!((1..=3000 / 300).contains(&all.failed), "{all:?}");
    assert_eq!(all.errors.keys().collect::<Vec<_>>(), ["REQUEST_TIMED_OUT"]);
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let flow = |producer| Flow { producer: settings(producer), ..Default::default() };
    let refused = |order: &Order| Own.start(order).err().expect("it cannot start").to_string();
    let contradiction = [("acks", "1"), ("enable.idempotence", "true")];
    assert!(
        refused(&order(&["127.0.0.1:1".to_owned()], vec![flow(&contradiction)])).starts_with("Must set acks to all")
    );
    let mut unreachable = order(&["127.0.0.1:1".to_owned()], vec![flow(&[])]);
    unreachable.common = settings(&[("default.api.timeout.ms", "300")]);
    assert!(refused(&unreachable).starts_with("no broker answered at 127.0.0.1:1"), "{}", refused(&unreachable));
}
