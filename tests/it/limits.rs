//! Limits on connections.

use std::time::{Duration, Instant};

use millrace::protocol::api_versions::ApiVersionsRequest;
use millrace::protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::support::node::{Kind, Node};
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(10);

fn served(wire: &mut Wire) -> bool {
    wire.try_call(&ApiVersionsRequest::default(), 0).is_ok()
}

#[test]
fn connections_of_one_address_beyond_max_connections_per_ip_are_closed() {
    let node = Node::start(Kind::under_test(), &[("max.connections.per.ip", "5")]);
    let mut wires: Vec<Wire> = Vec::new();
    wait_for("five connections", LIMIT, || {
        // The connections that waited for the start may still be counted.
        wires.retain_mut(served);
        if wires.len() < 5 {
            wires.push(Wire::connect(&node));
        }
        (wires.len() == 5 && wires.iter_mut().all(served)).then_some(())
    });
    assert!(!served(&mut Wire::connect(&node)), "a sixth connection is served");
    assert!(wires.iter_mut().all(served), "the first five are served on");
    drop(wires.pop());
    wait_for("a place to become free", LIMIT, || served(&mut Wire::connect(&node)).then_some(()));
}

#[test]
fn an_override_allows_an_address_more_connections() {
    let overrides = [("max.connections.per.ip", "1"), ("max.connections.per.ip.overrides", "127.0.0.1:50")];
    let node = Node::start(Kind::under_test(), &overrides);
    let mut wires: Vec<Wire> = (0..20).map(|_| Wire::connect(&node)).collect();
    assert!(wires.iter_mut().all(served));
}

/// Sets a key of all brokers.
fn set_default(wire: &mut Wire, key: &str, value: &str) {
    let configs = vec![AlterableConfig { name: key.into(), config_operation: 0, value: Some(value.into()) }];
    let resource = AlterConfigsResource { resource_type: 4, resource_name: "".into(), configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let answer = wire.call(&request, 1);
    assert_eq!(answer.responses[0].error_code, 0, "{:?}", answer.responses[0]);
}

#[test]
fn a_limit_that_changes_at_run_time_holds_for_the_next_connections() {
    let node = Node::start(Kind::under_test(), &[]);
    let mut wires: Vec<Wire> = (0..3).map(|_| Wire::connect(&node)).collect();
    assert!(wires.iter_mut().all(served));
    set_default(&mut wires[0], "max.connections.per.ip", "3");
    wait_for("the limit to hold", LIMIT, || (!served(&mut Wire::connect(&node))).then_some(()));
    assert!(wires.iter_mut().all(served), "those that were there are served on");
    set_default(&mut wires[0], "max.connections.per.ip", "100");
    wait_for("the limit to go", LIMIT, || served(&mut Wire::connect(&node)).then_some(()));
}

#[test]
fn connections_beyond_max_connections_wait_for_a_place() {
    let node = Node::start(Kind::under_test(), &[("max.connections", "5")]);
    let mut wires: Vec<Wire> = (0..5).map(|_| Wire::connect(&node)).collect();
    assert!(wires.iter_mut().all(served));
    let mut sixth = Wire::connect(&node);
    let request = millrace::protocol::frame::request(1, None, &ApiVersionsRequest::default(), 0).freeze();
    sixth.send(&request).expect("it lies in the backlog");
    assert!(wires.iter_mut().all(served), "the others are served on");
    assert!(!sixth.is_closed(), "the sixth waits");
    drop(wires);
    sixth.read_frame().expect("the sixth is served once there is a place");
}

#[test]
fn new_connections_keep_to_max_connection_creation_rate() {
    // Apache Kafka takes the mean of eleven seconds, which nobody wants to wait for.
    let node = Node::start(Kind::Millrace, &[("max.connection.creation.rate", "10")]);
    let start = Instant::now();
    // One second's worth may come at once; the rest takes its time.
    for _ in 0..35 {
        assert!(served(&mut Wire::connect(&node)));
    }
    let took = start.elapsed();
    assert!(took > Duration::from_millis(1000), "35 connections at 10 per second took {took:?}");
}
