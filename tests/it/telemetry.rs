//! Metrics of clients (KIP-714): subscriptions, pushes, every refusal, and what `/metrics` shows of them.

use std::time::Duration;

use bytes::Bytes;
use millrace::protocol::api_versions::ApiVersionsRequest;
use millrace::protocol::get_telemetry_subscriptions::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
};
use millrace::protocol::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use millrace::protocol::push_telemetry::PushTelemetryRequest;
use millrace::record::{Compression, compress};
use millrace::wire::Uuid;

use crate::support::http::http_get;
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::wait::wait_for;
use crate::support::wire::Wire;

const LIMIT: Duration = Duration::from_secs(30);
const CLIENT_METRICS: i8 = 16;
const INVALID_REQUEST: i16 = 42;
const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const INVALID_RECORD: i16 = 87;
const THROTTLING_QUOTA_EXCEEDED: i16 = 89;
const UNKNOWN_SUBSCRIPTION_ID: i16 = 117;
const TELEMETRY_TOO_LARGE: i16 = 118;

fn node(http: u16) -> Node {
    let listener = format!("127.0.0.1:{http}");
    Node::start(Kind::Millrace, &[("millrace.http.listener", &listener), ("telemetry.max.bytes", "2000")])
}

/// Sets keys of a subscription; the answer's code and sentence.
fn subscribe(wire: &mut Wire, name: &str, configs: &[(&str, &str)]) -> (i16, String) {
    let config = |(name, value): &(&str, &str)| AlterableConfig {
        name: (*name).into(),
        value: Some((*value).into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: CLIENT_METRICS,
        resource_name: name.into(),
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = wire.call(&request, 1).responses.swap_remove(0);
    (answer.error_code, answer.error_message.map(|text| text.to_string()).unwrap_or_default())
}

fn ask(wire: &mut Wire, id: Uuid) -> GetTelemetrySubscriptionsResponse {
    wire.call(&GetTelemetrySubscriptionsRequest { client_instance_id: id }, 0)
}

fn push(wire: &mut Wire, given: &GetTelemetrySubscriptionsResponse, metrics: &[u8]) -> PushTelemetryRequest {
    let _ = wire;
    PushTelemetryRequest {
        client_instance_id: given.client_instance_id,
        subscription_id: given.subscription_id,
        terminating: false,
        compression_type: 0,
        metrics: Bytes::copy_from_slice(metrics),
    }
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("a short one")];
    field.extend_from_slice(bytes);
    field
}

/// A gauge with this value, as OpenTelemetry writes it.
fn gauge(name: &str, value: f64) -> Vec<u8> {
    let point = [&[4 << 3 | 1][..], &value.to_le_bytes()].concat();
    let metric = [field(1, name.as_bytes()), field(5, &field(1, &point))].concat();
    field(1, &field(2, &field(2, &metric)))
}

#[test]
fn subscriptions_are_given_to_the_clients_they_match_and_pushes_shown() {
    let http = free_port();
    let node = node(http);
    let mut wire = Wire::connect(&node);
    let apis = wire.call(&ApiVersionsRequest::default(), 0).api_keys;
    assert!([71, 72].iter().all(|key| apis.iter().any(|api| api.api_key == *key)), "{apis:?}");

    let nothing = ask(&mut wire, Uuid::ZERO);
    assert_eq!((nothing.error_code, nothing.push_interval_ms), (0, 300_000));
    assert!(nothing.requested_metrics.is_empty() && nothing.client_instance_id != Uuid::ZERO);

    assert_eq!(subscribe(&mut wire, "others", &[("metrics", "*"), ("match", "client_id=nobody")]).0, 0);
    let wanted = [("metrics", "org.apache.kafka.producer.,org.apache.kafka.consumer."), ("interval.ms", "100")];
    assert_eq!(subscribe(&mut wire, "mine", &wanted).0, 0);
    // What changed holds at once, in spite of the interval.
    let given = wait_for("the subscription", LIMIT, || {
        let given = ask(&mut wire, nothing.client_instance_id);
        (given.push_interval_ms == 100).then_some(given)
    });
    let asked: Vec<&str> = given.requested_metrics.iter().map(|name| &**name).collect();
    assert_eq!(asked, ["org.apache.kafka.consumer.", "org.apache.kafka.producer."]);
    assert_eq!(given.accepted_compression_types, [4, 3, 1, 2]);
    assert_eq!((given.telemetry_max_bytes, given.delta_temporality), (2000, true));
    assert_eq!(given.client_instance_id, nothing.client_instance_id);

    let metrics = gauge("org.apache.kafka.producer.request.latency.avg", 2.5);
    let mut zipped = Vec::new();
    compress(Compression::Zstd, 3, &metrics, &mut zipped);
    let request = PushTelemetryRequest { compression_type: 4, ..push(&mut wire, &given, &zipped) };
    assert_eq!(wire.call(&request, 0).error_code, 0);
    let page = http_get(http, "/metrics").expect("it answers");
    let line = page.lines().find(|line| line.starts_with("kafka_client_producer_request_latency_avg{"));
    let line = line.unwrap_or_else(|| panic!("{page}"));
    let id = given.client_instance_id.to_string();
    assert!(line.ends_with(" 2.5") && line.contains(&format!("client_instance_id=\"{id}\"")), "{line}");
    assert!(page.contains("\nmillrace_client_pushes_total 1\n"), "{page}");
}

#[test]
fn every_refusal_of_a_push_has_its_code() {
    let http = free_port();
    let node = node(http);
    let mut wire = Wire::connect(&node);
    assert_eq!(subscribe(&mut wire, "all", &[("metrics", "*"), ("interval.ms", "3600000")]).0, 0);
    // Each client asks and pushes once: the next push would come too early.
    let mut refused = |what: &dyn Fn(PushTelemetryRequest) -> PushTelemetryRequest| {
        let given = ask(&mut wire, Uuid::ZERO);
        assert_eq!(given.error_code, 0);
        let request = push(&mut wire, &given, &gauge("x", 1.0));
        wire.call(&what(request), 0).error_code
    };
    assert_eq!(refused(&|request| request), 0);
    assert_eq!(refused(&|request| PushTelemetryRequest { subscription_id: 1, ..request }), UNKNOWN_SUBSCRIPTION_ID);
    let unknown = |request| PushTelemetryRequest { compression_type: 9, ..request };
    assert_eq!(refused(&unknown), UNSUPPORTED_COMPRESSION_TYPE);
    let large = |request| PushTelemetryRequest { metrics: vec![0; 2001].into(), ..request };
    assert_eq!(refused(&large), TELEMETRY_TOO_LARGE);
    let garbage = |request| PushTelemetryRequest { metrics: vec![0xff; 20].into(), ..request };
    assert_eq!(refused(&garbage), INVALID_RECORD);
    let not_compressed = |request| PushTelemetryRequest { compression_type: 4, ..request };
    assert_eq!(refused(&not_compressed), INVALID_RECORD);
    let nobody = |request| PushTelemetryRequest { client_instance_id: Uuid::ZERO, ..request };
    assert_eq!(refused(&nobody), INVALID_REQUEST);

    let given = ask(&mut wire, Uuid::ZERO);
    assert_eq!(ask(&mut wire, given.client_instance_id).error_code, THROTTLING_QUOTA_EXCEEDED);
    let request = push(&mut wire, &given, &gauge("x", 1.0));
    assert_eq!(wire.call(&request, 0).error_code, 0);
    assert_eq!(wire.call(&request, 0).error_code, THROTTLING_QUOTA_EXCEEDED);
    let last = PushTelemetryRequest { terminating: true, ..request.clone() };
    assert_eq!(wire.call(&last, 0).error_code, 0, "the last one may come early");
    assert_eq!(wire.call(&last, 0).error_code, INVALID_REQUEST, "nothing comes after the last one");
    let page = http_get(http, "/metrics").expect("it answers");
    assert!(page.contains("\nmillrace_client_pushes_refused_total 8\n"), "{page}");
}

#[test]
fn subscriptions_are_checked_and_survive_a_restart() {
    let http = free_port();
    let mut node = node(http);
    let mut wire = Wire::connect(&node);
    for (key, value, said) in [
        ("interval.ms", "99", "interval must be between 100 and 3600000 (1 hour)"),
        ("match", "client_color=blue", "Illegal client matching pattern: client_color=blue"),
        ("match", "client_id=(", "Illegal client matching pattern: client_id=("),
        ("color", "blue", "Unknown client metrics configuration: color"),
    ] {
        let (code, text) = subscribe(&mut wire, "s", &[(key, value)]);
        assert!(code != 0 && text.contains(said), "{key}={value}: {code} {text}");
    }
    assert_eq!(subscribe(&mut wire, "s", &[("metrics", "*"), ("interval.ms", "4321")]).0, 0);
    node.stop();
    node.start_again();
    let given = ask(&mut Wire::connect(&node), Uuid::ZERO);
    assert_eq!((given.error_code, given.push_interval_ms), (0, 4321));
}
