//! Frames: broken, unknown and odd ones, and what the header may look like.

use millrace::protocol::api_versions::ApiVersionsRequest;

use crate::Oracle;
use crate::answer::{Outcome, differences};

/// Size, API key, version, correlation id 5, a client id of two letters, then the body.
fn request(api_key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    framed(&[&api_key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 5], &[0, 2, b'm', b'e'], body].concat())
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let size = i32::try_from(frame.len()).expect("a small frame");
    [&size.to_be_bytes()[..], frame].concat()
}

pub fn cases(oracle: &mut Oracle) {
    sizes_and_garbage(oracle);
    unknown_apis(oracle);
    odd_but_readable(oracle);
    api_versions(oracle);
}

fn sizes_and_garbage(oracle: &mut Oracle) {
    oracle.same_bytes("a negative size closes", &(-1i32).to_be_bytes());
    oracle.same_bytes("the smallest size closes", &i32::MIN.to_be_bytes());
    oracle.same_bytes("a size of 2 GiB closes", &i32::MAX.to_be_bytes());
    oracle.same_bytes("a size just above socket.request.max.bytes closes", &104_857_601i32.to_be_bytes());
    oracle.same_bytes("an empty frame closes", &framed(&[]));
    oracle.same_bytes("a frame shorter than a header closes", &framed(&[0, 18, 0]));
    oracle.same_bytes("an HTTP request closes", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    oracle.same_bytes("a TLS hello closes", &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]);
    oracle.same_bytes("a frame of zeros closes", &framed(&[0; 40]));
    oracle.same_bytes("a frame of ones closes", &framed(&[0xff; 40]));
    for half in [&[0u8, 0][..], &[0, 0, 0, 10, 0, 18], &request(3, 0, &[0, 0, 0, 1])[..20]] {
        let answers = oracle.both(|peer| peer.half_sent(half));
        let found = differences(&answers[0], &answers[1], &[]);
        assert!(found.is_empty(), "half a frame, then our end closed: {found:?}");
    }
}

fn unknown_apis(oracle: &mut Oracle) {
    for api_key in [-1, 4, 5, 6, 7, 52, 54, 56, 58, 62, 63, 67, 73, 999] {
        oracle.same_bytes(&format!("API {api_key} isn't a client's"), &request(api_key, 0, &[]));
    }
    // API, one version below the first and one above the last.
    let bounds: [(i16, i16, i16); 14] = [
        (0, 2, 14),
        (1, 3, 19),
        (2, 0, 12),
        (3, -1, 14),
        (10, -1, 7),
        (19, 1, 8),
        (20, 0, 7),
        (21, -1, 3),
        (22, -1, 6),
        (23, 1, 5),
        (32, 0, 5),
        (35, 0, 6),
        (44, -1, 2),
        (60, -1, 3),
    ];
    for (api_key, below, above) in bounds {
        for version in [below, above] {
            oracle.same_bytes(&format!("API {api_key} has no version {version}"), &request(api_key, version, &[0; 8]));
        }
    }
}

fn odd_but_readable(oracle: &mut Oracle) {
    let empty_array = [0, 0, 0, 0];
    let metadata = |client: &[u8], body: &[u8]| framed(&[&[0, 3, 0, 1, 0, 0, 0, 5][..], client, body].concat());
    oracle.same_bytes("an array of 2^31-1 topics closes", &metadata(&[0xff, 0xff], &i32::MAX.to_be_bytes()));
    oracle.same_bytes("an array of -2 topics is a null one", &metadata(&[0xff, 0xff], &(-2i32).to_be_bytes()));
    oracle.same_bytes("a client id longer than the frame closes", &metadata(&[0x7f, 0xff], &empty_array));
    oracle.same_bytes("a client id of length -2 is a null one", &metadata(&[0xff, 0xfe], &empty_array));
    oracle.same_bytes("a topic name longer than the frame closes", &request(3, 1, &[0, 0, 0, 1, 0, 50, b'a']));
    oracle.same_bytes("a null topic name closes", &request(3, 1, &[0, 0, 0, 1, 0xff, 0xff]));
    oracle.same_bytes("a body that ends early closes", &request(3, 4, &[0, 0]));
    oracle.same_bytes("a compact array of 2^32-2 closes", &request(3, 9, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]));
    oracle.same_bytes("a compact string longer than the frame closes", &request(3, 9, &[0, 2, 0xff, 0x7f, b'a', 0]));
    oracle.same_bytes("a tag longer than the frame closes", &request(60, 0, &[1, 9, 0xff, 0x7f, 0]));

    // FindCoordinator for an unknown type is answered without ids or ports.
    let find =
        |tags: &[u8], body: &[u8]| framed(&[&[0, 10, 0, 4, 0, 0, 0, 5, 0, 2, b'm', b'e'][..], tags, body].concat());
    let body = [9, 2, 2, b'g', 0];
    oracle.same_bytes("an ordinary flexible request", &find(&[0], &body));
    oracle.same_bytes("trailing bytes are ignored", &find(&[0], &[9, 2, 2, b'g', 0, 1, 2, 3]));
    oracle.same_bytes("an unknown tag in the header is skipped", &find(&[1, 7, 2, 1, 2], &body));
    oracle.same_bytes("a repeated tag in the header is skipped", &find(&[2, 7, 1, 1, 7, 1, 1], &body));
    oracle.same_bytes("unordered tags in the header are skipped", &find(&[2, 7, 1, 1, 3, 1, 1], &body));
    oracle.same_bytes("an overlong varint is read", &find(&[0x80, 0x00], &body));
    oracle.same_bytes("an endless varint closes", &find(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80], &body));
    oracle.same_bytes("unknown tags in the body are skipped", &find(&[0], &[9, 2, 2, b'g', 1, 5, 2, 1, 2]));
    let bad_utf8 = framed(&[0, 10, 0, 4, 0, 0, 0, 5, 0, 2, 0xff, 0xfe, 0, 9, 2, 2, b'g', 0]);
    oracle.same_bytes("a client id that isn't UTF-8 is accepted", &bad_utf8);
    let no_client = framed(&[0, 10, 0, 4, 0, 0, 0, 5, 0xff, 0xff, 0, 9, 2, 2, b'g', 0]);
    oracle.same_bytes("a null client id is accepted", &no_client);
    let pipelined = [find(&[0], &body), find(&[0], &body), find(&[0], &body)].concat();
    oracle.same_bytes("pipelined requests are answered in order", &pipelined);
    let broken_second = [find(&[0], &body), request(3, 4, &[0, 0]), find(&[0], &body)].concat();
    oracle.same_bytes("requests before a broken one are answered", &broken_second);
}

fn api_versions(oracle: &mut Oracle) {
    for version in [5, 99, i16::MAX] {
        oracle.same_bytes(
            &format!("ApiVersions {version} is answered as version 0 with 35"),
            &request(18, version, &[0]),
        );
    }
    oracle.same_bytes("ApiVersions -1", &request(18, -1, &[]));
    let named = |name: &str, version: &str| {
        let (name, version) = (name.to_string(), version.to_string());
        move |_: &crate::Peer, _| ApiVersionsRequest {
            client_software_name: name.as_str().into(),
            client_software_version: version.as_str().into(),
        }
    };
    oracle.same("an empty software name is invalid", 3..=4, named("", "1"));
    oracle.same("a software name with a space is invalid", 3..=4, named("my client", "1"));
    oracle.same("a software version with a slash is invalid", 3..=4, named("client", "1/2"));
    advertised_ranges(oracle);
}

/// GetTelemetrySubscriptions and PushTelemetry, which Apache Kafka lists only where a plug-in takes what clients push.
const TELEMETRY: [i16; 2] = [71, 72];

/// Millrace may list fewer APIs, but each with Kafka's range; the rest of the answer is the same.
fn advertised_ranges(oracle: &mut Oracle) {
    let request = ApiVersionsRequest { client_software_name: "oracle".into(), client_software_version: "1".into() };
    for version in 0..=4 {
        let both = oracle.both(|peer| peer.answer(&request, version).expect("ApiVersions is answered"));
        let [mut ours, mut theirs] = both;
        ours.api_keys.retain(|api| !TELEMETRY.contains(&api.api_key));
        theirs.api_keys.retain(|api| ours.api_keys.iter().any(|listed| listed.api_key == api.api_key));
        let answers = [Outcome::of(&ours, &[]), Outcome::of(&theirs, &[])];
        // How long the metadata log is, is each broker's own.
        oracle.compare(&format!("what is served, ApiVersions {version}"), &answers, &["finalized_features_epoch"]);
    }
}
