//! Peers that misbehave: each is closed or waits alone, in bounded memory, and the others don't notice.

use std::time::Duration;

use bytes::Bytes;
use millrace::protocol::api_versions::ApiVersionsRequest;
use millrace::protocol::frame;

use crate::calls::{batch, create_topic, fetch_request, produce, read_values};
use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// What a few thousand misbehaving peers may cost; Apache Kafka's heap has its own idea of that.
const GROWTH_BYTES_MAX: u64 = 48 << 20;

/// Bytes that no broker can take for a request, each with its reason.
fn bad_frames() -> Vec<(&'static str, Vec<u8>)> {
    let framed = |body: &[u8]| [&u32::try_from(body.len()).expect("short").to_be_bytes()[..], body].concat();
    let huge_array = [&[0, 3, 0, 1, 0, 0, 0, 5, 0xff, 0xff][..], &i32::MAX.to_be_bytes()].concat();
    vec![
        ("negative", (-1i32).to_be_bytes().to_vec()),
        ("smallest", i32::MIN.to_be_bytes().to_vec()),
        ("2 GiB", i32::MAX.to_be_bytes().to_vec()),
        ("above socket.request.max.bytes", 104_857_601i32.to_be_bytes().to_vec()),
        ("empty", framed(&[])),
        ("shorter than a header", framed(&[0, 18, 0])),
        ("garbage", framed(&[0xa5; 300])),
        ("HTTP", b"POST /x HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("an array of 2^31-1", framed(&huge_array)),
        ("a compact array of 2^32-2", framed(&[0, 3, 0, 9, 0, 0, 0, 5, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])),
        ("an unknown API", framed(&[3, 0xe7, 0, 0, 0, 0, 0, 5, 0xff, 0xff])),
        ("an unknown version", framed(&[0, 3, 0, 99, 0, 0, 0, 5, 0xff, 0xff])),
    ]
}

#[test]
fn bad_frames_close_their_connection_and_cost_nothing() {
    let node = Node::start(Kind::under_test(), &[]);
    let mut other = Wire::connect(&node);
    create_topic(&mut other, "t", 1, &[]);
    for (what, bytes) in bad_frames() {
        let mut wire = Wire::connect(&node);
        wire.send(&bytes).expect("the broker listens");
        assert!(wire.wait_closed(CLOSE_LIMIT).is_some(), "a frame that is {what} leaves the connection open");
    }
    let before = node.resident_bytes();
    for _ in 0..150 {
        for (_, bytes) in bad_frames() {
            // A broker may close before everything is sent.
            let _ = Wire::connect(&node).send(&bytes);
        }
    }
    let answer = produce(&mut other, "t", 0, 1, &batch(&[b"still served"]).build());
    assert_eq!(answer.error_code, 0);
    assert_eq!(read_values(&mut other, "t", 0, 0), [b"still served"]);
    expect_growth_below(&node, before, GROWTH_BYTES_MAX);
    if node.kind() == Kind::Millrace {
        let complaints = node.log().lines().count();
        assert!(complaints < 300, "{complaints} log lines about one misbehaving peer");
    }
}

#[test]
fn frames_that_announce_much_and_send_little_take_no_memory() {
    // Apache Kafka believes them and runs out of memory.
    let node = Node::start(Kind::Millrace, &[]);
    let before = node.resident_bytes();
    // Each announces the largest allowed frame: 20 GB in all, if anyone believed it.
    let mut wires: Vec<Wire> = (0..200).map(|_| Wire::connect(&node)).collect();
    for wire in &mut wires {
        wire.send(&104_857_600i32.to_be_bytes()).expect("the broker listens");
        wire.send(&[0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff]).expect("the broker listens");
    }
    Wire::connect(&node).call(&ApiVersionsRequest::default(), 0);
    expect_growth_below(&node, before, GROWTH_BYTES_MAX);
}

#[test]
fn a_stalled_half_frame_is_closed_after_connections_max_idle_ms() {
    let node = Node::start(Kind::under_test(), &[("connections.max.idle.ms", "1500")]);
    let mut busy = Wire::connect(&node);
    let mut half = Wire::connect(&node);
    half.send(&[0, 0, 0, 40, 0, 3, 0, 1]).expect("the broker listens");
    let mut silent = Wire::connect(&node);
    wait_for("both idle connections to be closed", CLOSE_LIMIT, || {
        busy.call(&ApiVersionsRequest::default(), 0);
        (half.is_closed() && silent.is_closed()).then_some(())
    });
    busy.call(&ApiVersionsRequest::default(), 0);
}

#[test]
fn readers_that_never_drain_wait_alone_in_bounded_memory() {
    const READERS: usize = 40;
    const REQUESTS: usize = 200;
    let node = Node::start(Kind::under_test(), &[]);
    let mut other = Wire::connect(&node);
    create_topic(&mut other, "wide", 1, &[]);
    let large = batch(&[&vec![7; 900_000]]).build();
    for _ in 0..8 {
        assert_eq!(produce(&mut other, "wide", 0, 1, &large).error_code, 0);
    }
    let before = node.resident_bytes();
    let request = frame::request(1, None, &fetch_request("wide", 0, 0, 0), 11).freeze();
    let requests: Bytes = request.repeat(REQUESTS).into();
    // 40 * 200 answers of about a megabyte: 8 GB, if anyone kept them.
    let mut readers: Vec<Wire> = (0..READERS).map(|_| Wire::connect(&node)).collect();
    for reader in &mut readers {
        reader.send_without_waiting(&requests).expect("the broker reads or waits");
    }
    create_topic(&mut other, "narrow", 1, &[]);
    for _ in 0..50 {
        assert_eq!(produce(&mut other, "narrow", 0, 1, &batch(&[b"quick"]).build()).error_code, 0);
    }
    assert_eq!(read_values(&mut other, "narrow", 0, 0).len(), 50);
    expect_growth_below(&node, before, READERS as u64 * (2 << 20) + GROWTH_BYTES_MAX);
    // A reader that begins to drain gets what it asked for.
    let answer = readers[0].read_frame().expect("the first answer waits in the socket");
    assert!(answer.len() > 900_000);
}

#[test]
fn thousands_of_pipelined_requests_are_answered_in_order() {
    const REQUESTS: i32 = 5000;
    let node = Node::start(Kind::under_test(), &[]);
    let mut wire = Wire::connect(&node);
    let one = |id| frame::request(id, None, &ApiVersionsRequest::default(), 0).freeze();
    // In steps that fit the sockets' buffers even when nobody reads.
    for start in (0..REQUESTS).step_by(50) {
        let step: Vec<u8> = (start..start + 50).flat_map(one).collect();
        wire.send(&step).expect("the broker reads");
        for id in start..start + 50 {
            let answer = wire.read_frame().expect("every request is answered");
            assert_eq!(answer[..4], id.to_be_bytes(), "answers come in the order of the requests");
        }
    }
}

#[test]
fn a_wave_of_connections_leaves_nothing_behind() {
    let node = Node::start(Kind::under_test(), &[]);
    let mut other = Wire::connect(&node);
    other.call(&ApiVersionsRequest::default(), 0);
    let before = node.resident_bytes();
    for _ in 0..30 {
        let wave: Vec<Wire> = (0..200).map(|_| Wire::connect(&node)).collect();
        drop(wave);
        other.call(&ApiVersionsRequest::default(), 0);
    }
    expect_growth_below(&node, before, GROWTH_BYTES_MAX);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", node.pid())).expect("the node runs");
    if node.kind() == Kind::Millrace {
        assert!(descriptors.count() < 300, "connections that are gone still hold descriptors");
    }
}

fn expect_growth_below(node: &Node, before: u64, limit: u64) {
    if node.kind() == Kind::Millrace {
        let growth = node.resident_bytes().saturating_sub(before);
        assert!(growth < limit, "resident memory grew by {} MiB, allowed are {}", growth >> 20, limit >> 20);
    }
}
