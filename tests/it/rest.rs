//! The REST API: topics, records and groups by HTTP alone, what it refuses, who may, and the examples of docs/rest.md.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use millrace::client::{Client, ClientConfig, Consumer, OffsetSpec, Properties};
use rdkafka::Message;
use rdkafka::config::ClientConfig as RdConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers;
use serde_json::{Value, json};

use crate::support::http::http_get;
use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(30);
const JSON: (&str, &str) = ("Content-Type", "application/json");

struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// The reports of a stream.
    fn reports(&self) -> Vec<Value> {
        let reports = serde_json::Deserializer::from_str(&self.body).into_iter().collect::<Result<Vec<Value>, _>>();
        reports.unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// HTTP status and error code.
    fn codes(&self) -> (u16, i64) {
        (self.status, self.json()["error_code"].as_i64().unwrap_or(0))
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// One request over a connection of its own. HTTP/1.0: the answer has no chunks.
fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = connect(address);
    let mut request = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    // It may answer and close before it has read all.
    let _closed = stream.write_all(body);
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, body: body.to_owned() }
}

/// A broker with its HTTP port.
struct Broker {
    node: Node,
    http: String,
    cluster: String,
}

impl Broker {
    fn start(more: &[(&str, &str)]) -> Broker {
        let http = format!("127.0.0.1:{}", free_port());
        let mut config = vec![("millrace.http.listener", http.as_str()), ("group.initial.rebalance.delay.ms", "0")];
        config.extend_from_slice(more);
        let node = Node::start(Kind::Millrace, &config);
        let cluster = format!("/v3/clusters/{}", node.cluster_id());
        Broker { node, http, cluster }
    }

    fn get(&self, path: &str) -> Answer {
        send(&self.http, "GET", &format!("{}{path}", self.cluster), &[], b"")
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        send(&self.http, method, &format!("{}{path}", self.cluster), &[JSON], body.as_bytes())
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, body)
    }

    fn make_topic(&self, name: &str, partitions: i32) {
        let made = self.post("/topics", &json!({ "topic_name": name, "partitions_count": partitions }).to_string());
        assert_eq!(made.status, 201, "{}", made.body);
    }

    fn config(&self) -> ClientConfig {
        let servers = format!("bootstrap.servers={}", self.node.bootstrap());
        ClientConfig::new(Properties::from_pairs([servers.as_str()]), "test").expect("an address")
    }

    fn metric(&self, name: &str) -> i64 {
        let port = self.http.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let page = http_get(port, "/metrics").expect("metrics");
        let line = page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number") as i64
    }
}

/// What librdkafka reads of a topic: by partition, in its order.
fn consumed(
    broker: &Broker,
    topic: &str,
    partitions: i32,
    count: usize,
) -> BTreeMap<i32, Vec<rdkafka::message::OwnedMessage>> {
    let consumer: BaseConsumer = RdConfig::new()
        .set("bootstrap.servers", broker.node.bootstrap())
        .set("group.id", "verifier")
        .set("enable.auto.commit", "false")
        .create()
        .expect("settings");
    let mut all = rdkafka::TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, rdkafka::Offset::Beginning).expect("an offset");
    }
    consumer.assign(&all).expect("assigned");
    let mut found: BTreeMap<i32, Vec<_>> = BTreeMap::new();
    let deadline = std::time::Instant::now() + PATIENCE;
    while found.values().map(Vec::len).sum::<usize>() < count {
        assert!(std::time::Instant::now() < deadline, "{} of {count}", found.values().map(Vec::len).sum::<usize>());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.expect("a message").detach();
            found.entry(message.partition()).or_default().push(message);
        }
    }
    found
}

#[test]
fn resources_are_told_and_changed() {
    let broker = Broker::start(&[]);
    let listed = send(&broker.http, "GET", "/v3/clusters", &[], b"").json();
    assert_eq!(listed["data"][0]["cluster_id"], broker.node.cluster_id());
    let one = broker.get("").json();
    let topics = format!("http://{}{}/topics", broker.http, broker.cluster);
    assert_eq!((&one["kind"], &one["topics"]["related"]), (&"KafkaCluster".into(), &topics.into()));
    assert_eq!(broker.get("/brokers").json()["data"][0]["broker_id"], 1);
    assert_eq!(broker.get("/brokers/1").json()["host"], "127.0.0.1");
    assert_eq!(broker.get("/brokers/1/configs/node.id").json()["value"], "1");
    assert_eq!(broker.get("/brokers/9").codes(), (404, 404));

    let wanted = r#"{"topic_name":"t","partitions_count":2,"replication_factor":1,"configs":[{"name":"retention.ms","value":"3600000"}]}"#;
    let only_checked = broker.post("/topics", &wanted.replace("\"t\"", "\"t\",\"validate_only\":true"));
    assert_eq!((only_checked.status, broker.get("/topics/t").codes()), (200, (404, 40403)));
    let made = broker.post("/topics", wanted);
    assert_eq!((made.status, &made.json()["partitions_count"]), (201, &2.into()), "{}", made.body);
    assert_eq!(broker.post("/topics", wanted).codes(), (400, 40002));
    assert_eq!(broker.post("/topics", r#"{"topic_name":"bad name"}"#).codes(), (400, 40002));
    assert_eq!(broker.post("/topics", r#"{"topic":"x"}"#).codes(), (400, 400));
    assert_eq!(broker.get("/topics/t").json()["replication_factor"], 1);
    assert_eq!(broker.get("/topics").json()["data"][0]["topic_name"], "t");
    assert_eq!(broker.send("PATCH", "/topics/t", r#"{"partitions_count":3}"#).json()["partitions_count"], 3);
    assert_eq!(broker.send("PATCH", "/topics/t", r#"{"partitions_count":1}"#).codes(), (400, 40002));
    assert_eq!(broker.get("/topics/t/partitions").json()["data"].as_array().map(Vec::len), Some(3));
    assert_eq!(broker.get("/topics/t/partitions/2").json()["partition_id"], 2);
    assert_eq!(broker.get("/topics/t/partitions/3").codes(), (404, 40402));
    assert_eq!(broker.get("/topics/t/partitions/x/offset").codes(), (404, 40402));
    let replica = &broker.get("/topics/t/partitions/0/replicas").json()["data"][0];
    assert_eq!((&replica["is_leader"], &replica["is_in_sync"]), (&true.into(), &true.into()));

    let retention = || broker.get("/topics/t/configs/retention.ms").json()["value"].clone();
    assert_eq!(retention(), "3600000");
    assert_eq!(broker.send("PUT", "/topics/t/configs/retention.ms", r#"{"value":"7200000"}"#).status, 204);
    assert_eq!(retention(), "7200000");
    assert_eq!(broker.send("PUT", "/topics/t/configs/retention.ms", r#"{"value":"long"}"#).codes(), (400, 40002));
    assert_eq!(broker.send("DELETE", "/topics/t/configs/retention.ms", "").status, 204);
    assert_eq!(retention(), "604800000");
    let altered = r#"{"data":[{"name":"retention.ms","value":"5000"},{"name":"cleanup.policy","operation":"DELETE"}]}"#;
    assert_eq!(broker.post("/topics/t/configs:alter", altered).status, 204);
    let config = broker.get("/topics/t/configs/retention.ms").json();
    assert_eq!((&config["value"], &config["source"]), (&"5000".into(), &"DYNAMIC_TOPIC_CONFIG".into()));
    assert_eq!(broker.get("/topics/t/configs/no.such").codes(), (404, 404));
    assert_eq!(broker.get("/topics/none/configs").codes(), (404, 40403));

    for _ in 0..3 {
        assert_eq!(broker.post("/topics/t/records", r#"{"partition_id":0}"#).json()["error_code"], 200);
    }
    let offsets = broker.get("/topics/t/partitions/0/offset").json();
    assert_eq!((&offsets["earliest_offset"], &offsets["latest_offset"]), (&0.into(), &3.into()));
    let group: BaseConsumer = RdConfig::new()
        .set("bootstrap.servers", broker.node.bootstrap())
        .set("group.id", "readers")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .expect("settings");
    group.subscribe(&["t"]).expect("subscribed");
    let mut seen = 0;
    wait_for("three records", PATIENCE, || {
        seen += usize::from(group.poll(Duration::from_millis(100)).is_some_and(|message| message.is_ok()));
        (seen == 3).then_some(())
    });
    group.commit_consumer_state(rdkafka::consumer::CommitMode::Sync).expect("committed");
    assert_eq!(broker.post("/topics/t/records", r#"{"partition_id":0}"#).json()["offset"], 3);
    let listed = broker.get("/consumer-groups").json();
    assert_eq!(
        (&listed["data"][0]["consumer_group_id"], &listed["data"][0]["state"]),
        (&"readers".into(), &"STABLE".into())
    );
    assert_eq!(broker.get("/consumer-groups/readers/consumers").json()["data"].as_array().map(Vec::len), Some(1));
    let lag = broker.get("/consumer-groups/readers/lag-summary").json();
    assert_eq!((&lag["max_lag"], &lag["max_lag_partition_id"]), (&1.into(), &0.into()));
    assert_eq!(broker.get("/consumer-groups/readers/lags").json()["data"][0]["current_offset"], 3);
    assert_eq!(broker.get("/consumer-groups/nobody").codes(), (404, 404));

    assert_eq!(broker.send("DELETE", "/topics/t", "").status, 204);
    assert_eq!(broker.send("DELETE", "/topics/t", "").codes(), (404, 40403));
    assert_eq!(broker.get("/nothing").codes(), (404, 404));
    assert_eq!(broker.send("PUT", "/topics", "{}").codes(), (405, 405));
    assert!(broker.metric("millrace_rest_errors_total") >= 10);
    let requests = |method: &str, path: &str, status: u16| {
        let labels = format!("{{method=\"{method}\",path=\"{path}\",status=\"{status}\"}}");
        broker.metric(&format!("millrace_rest_requests_total{labels}"))
    };
    let topic = "/v3/clusters/{cluster}/topics/{topic}";
    assert_eq!((requests("DELETE", topic, 204), requests("DELETE", topic, 404)), (1, 1));
    assert_eq!((requests("GET", "other", 404), requests("PUT", "/v3/clusters/{cluster}/topics", 405)), (1, 1));
    let count = format!("millrace_rest_request_time_ms_count{{method=\"DELETE\",path=\"{topic}\"}}");
    assert_eq!(broker.metric(&count), 2);
}

#[test]
fn a_record_arrives_as_it_was_said() {
    let broker = Broker::start(&[]);
    broker.make_topic("t", 3);
    let produced = broker.post(
        "/topics/t/records",
        r#"{"partition_id":1,"timestamp":"2021-02-05T19:14:42Z","headers":[{"name":"h","value":"SGVhZGVyLTE="},{"name":"n","value":null}],
            "key":{"type":"BINARY","data":"Zm9vYmFy"},"value":{"type":"JSON","data":{"foo": [1.0, null]}}}"#,
    );
    let report = json!({
        "error_code": 200, "cluster_id": broker.node.cluster_id(), "topic_name": "t", "partition_id": 1, "offset": 0,
        "timestamp": "2021-02-05T19:14:42.000Z", "key": { "type": "BINARY", "size": 6 }, "value": { "type": "JSON", "size": 18 },
    });
    assert_eq!((produced.status, produced.json()), (200, report));
    assert_eq!(
        broker.post("/topics/t/records", r#"{"partition_id":1,"value":{"type":"STRING","data":"é"}}"#).json()["offset"],
        1
    );
    let message = &consumed(&broker, "t", 3, 2)[&1];
    assert_eq!(message[0].key(), Some(&b"foobar"[..]));
    assert_eq!(message[0].payload(), Some(&br#"{"foo":[1.0,null]}"#[..]));
    assert_eq!(message[0].timestamp().to_millis(), Some(1_612_552_482_000));
    let headers = message[0].headers().expect("headers");
    assert_eq!((headers.get(0).key, headers.get(0).value, headers.get(1).value), ("h", Some(&b"Header-1"[..]), None));
    assert_eq!((message[1].key(), message[1].payload()), (None, Some("é".as_bytes())));

    // Keys choose partitions as they do for every producer.
    for key in ["a", "customer-7", "k1", "k4"] {
        let body = format!(r#"{{"key":{{"type":"STRING","data":"{key}"}}}}"#);
        let report = broker.post("/topics/t/records", &body).json();
        assert_eq!(report["partition_id"], i64::from(millrace::client::partition_of_key(key.as_bytes(), 3)), "{key}");
    }
    // The topic's own clock and codec.
    let configs = r#"{"data":[{"name":"message.timestamp.type","value":"LogAppendTime"},{"name":"compression.type","value":"zstd"}]}"#;
    assert_eq!(broker.post("/topics/t/configs:alter", configs).status, 204);
    let report = broker.post("/topics/t/records", r#"{"partition_id":0,"timestamp":"2021-02-05T19:14:42Z"}"#).json();
    assert!(report["timestamp"].as_str().is_some_and(|time| time > "2026"), "{report}");
    let read = broker.get("/topics/t/partitions/0/records?max_poll_records=1").json();
    assert_eq!(
        (&read["records"][0]["timestamp_type"], &read["records"][0]["value"]),
        (&"LOG_APPEND_TIME".into(), &Value::Null)
    );
}

#[test]
fn bad_input_is_told_record_by_record() {
    let broker = Broker::start(&[("max.message.bytes", "100000"), ("message.max.bytes", "100000")]);
    broker.make_topic("t", 2);
    let other = send(&broker.http, "POST", "/v3/clusters/AAAAAAAAAAAAAAAAAAAAAA/topics/t/records", &[JSON], b"{}");
    assert!(other.codes() == (404, 404) && other.body.contains("there is no cluster AAAA"), "{}", other.body);
    for (path, body) in [("records", "{}{}"), ("records:batch", r#"{"entries":[{"id":"1"}]}"#)] {
        let unknown = broker.post(&format!("/topics/none/{path}"), body);
        assert_eq!(unknown.codes(), (404, 40403), "{}", unknown.body);
    }
    // Producing makes no topic.
    assert_eq!(broker.get("/topics/none").codes(), (404, 40403));
    assert_eq!(broker.post("/topics/t/records", " \n").codes(), (422, 42206));
    assert_eq!(broker.post("/topics/t/records:batch", r#"{"entries":[]}"#).codes(), (422, 42208));
    assert_eq!(broker.post("/topics/t/records:batch", "{").codes(), (400, 400));

    let large = "x".repeat(150_000);
    let body = format!(
        r#"{{"partition_id":0}}
           {{"value":{{"type":"BINARY","data":"%"}}}}
           {{"partition_id":2}}
           {{"partition_id":-1}}
           {{"val":1}}
           {{"partition_id":0,"value":{{"type":"STRING","data":"{large}"}}}}
           {{"value":{{"type":"AVRO","data":"x"}}}}
           {{"partition_id":0}}"#
    );
    let reports = broker.post("/topics/t/records", &body).reports();
    let codes: Vec<i64> = reports.iter().filter_map(|report| report["error_code"].as_i64()).collect();
    assert_eq!(codes, [200, 400, 40402, 40402, 400, 413, 400, 200], "{reports:?}");
    assert_eq!((&reports[0]["offset"], &reports[7]["offset"]), (&0.into(), &1.into()));
    let told = |index: usize| reports[index]["message"].as_str().unwrap_or_default();
    assert!(
        told(1).contains("not base64") && told(2).contains("it has 2") && told(5).contains("max.message.bytes"),
        "{reports:?}"
    );

    let cases = [
        (r#"{"partition_id":0} nonsense {}"#, 400, "here stands 'n'"),
        (r#"[{"partition_id":0}]"#, 400, "one behind the other"),
        (r#"{"partition_id":0}{"partition_id""#, 400, "ends within a record"),
        (r#"{"partition_id":0,}"#, 400, "this is no record"),
    ];
    for (body, code, words) in cases {
        let reports = broker.post("/topics/t/records", body).reports();
        let last = reports.last().expect("a report");
        assert!(
            last["error_code"] == code && last["message"].as_str().is_some_and(|it| it.contains(words)),
            "{body}: {last}"
        );
    }
    // Longer than anything may be: it is not even read to its end.
    let endless = format!(r#"{{"value":{{"type":"STRING","data":"{}"}}}}"#, "x".repeat(8 << 20));
    let reports = broker.post("/topics/t/records", &endless).reports();
    assert_eq!(reports.iter().map(|it| it["error_code"].as_i64()).collect::<Vec<_>>(), [Some(413)]);

    let batch = broker.post(
        "/topics/t/records:batch",
        r#"{"entries":[{"id":"a","partition_id":1},{"id":"b","value":{"type":"BINARY","data":"%"}},{"id":"c","partition_id":1}]}"#,
    );
    let answer = batch.json();
    assert_eq!(
        (batch.status, &answer["successes"][1]["id"], &answer["successes"][1]["offset"]),
        (207, &"c".into(), &1.into())
    );
    assert_eq!((&answer["failures"][0]["id"], &answer["failures"][0]["error_code"]), (&"b".into(), &400.into()));

    for (query, codes) in [
        ("partitions/0/records?offset=99", (400, 40002)),
        ("partitions/0/records?offset=x", (400, 400)),
        ("partitions/9/records", (404, 40402)),
        ("partitions/-/records?offsets=0:0,9:0", (404, 40402)),
        ("partitions/0/records?offset=0&from_beginning=true", (400, 400)),
    ] {
        assert_eq!(broker.get(&format!("/topics/t/{query}")).codes(), codes, "{query}");
    }
    assert_eq!(broker.get("/topics/none/partitions/0/records").codes(), (404, 40403));
}

/// Sends the pieces as chunks, and gives the reports as they come.
fn stream(broker: &Broker, topic: &str) -> (TcpStream, BufReader<TcpStream>) {
    let mut stream = connect(&broker.http);
    let head = format!(
        "POST {}/topics/{topic}/records HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        broker.cluster, broker.http
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let reader = BufReader::new(stream.try_clone().expect("a second handle"));
    (stream, reader)
}

fn chunk(stream: &mut TcpStream, text: &str) {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    stream.write_all(chunk.as_bytes()).expect("it reads");
}

/// The next report, through the chunks of the answer.
fn report(reader: &mut BufReader<TcpStream>) -> Option<Value> {
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).expect("it answers") == 0 || line == "0\r\n" {
            return None;
        }
        if line.starts_with('{') {
            return Some(serde_json::from_str(&line).expect("a report"));
        }
    }
}

#[test]
fn ten_thousand_records_stream_through_in_their_order() {
    const COUNT: usize = 10_000;
    let broker = Broker::start(&[]);
    broker.make_topic("t", 4);
    let (mut stream, mut reader) = stream(&broker, "t");
    // The first is reported while the body goes on.
    chunk(&mut stream, r#"{"partition_id":0,"value":{"type":"STRING","data":"0"}}"#);
    let first = report(&mut reader).expect("a report");
    assert_eq!((&first["error_code"], &first["offset"]), (&200.into(), &0.into()));
    let writer = std::thread::spawn(move || {
        let mut text = String::new();
        for number in 1..COUNT {
            text += &format!(r#"{{"partition_id":{},"value":{{"type":"STRING","data":"{number}"}}}}"#, number % 4);
            // Chunks end within records, too.
            if number % 97 == 0 {
                let rest = text.split_off(text.len() - 11);
                chunk(&mut stream, &text);
                text = rest;
            }
        }
        chunk(&mut stream, &text);
        stream.write_all(b"0\r\n\r\n").expect("it reads");
    });
    for number in 1..COUNT {
        let report = report(&mut reader).unwrap_or_else(|| panic!("no report of {number}"));
        let place = (report["error_code"].as_i64(), report["partition_id"].as_u64(), report["offset"].as_u64());
        assert_eq!(place, (Some(200), Some(number as u64 % 4), Some(number as u64 / 4)), "{number}");
    }
    assert!(report(&mut reader).is_none());
    writer.join().expect("all was sent");
    for (partition, messages) in consumed(&broker, "t", 4, COUNT) {
        for (offset, message) in messages.iter().enumerate() {
            let number = offset * 4 + partition as usize;
            assert_eq!(message.payload(), Some(number.to_string().as_bytes()), "{partition} {offset}");
        }
    }
    assert_eq!(broker.metric("millrace_rest_records_produced_total"), COUNT as i64);
    wait_for("the end of the request", PATIENCE, || (broker.metric("millrace_rest_producing") == 0).then_some(()));

    // Read page by page, everything is seen once.
    let mut offsets: BTreeMap<u64, u64> = (0..4).map(|partition| (partition, 0)).collect();
    let mut seen = Vec::new();
    while seen.len() < COUNT {
        let asked: Vec<String> = offsets.iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
        let page = broker
            .get(&format!("/topics/t/partitions/-/records?max_poll_records=3000&offsets={}", asked.join(",")))
            .json();
        for data in page["partition_data_list"].as_array().expect("partitions") {
            offsets.insert(
                data["partition_id"].as_u64().expect("a number"),
                data["next_offset"].as_u64().expect("a number"),
            );
            let values = data["records"].as_array().expect("records").iter();
            seen.extend(values.filter_map(|record| record["value"]["data"].as_str()?.parse::<usize>().ok()));
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn a_client_that_goes_away_leaves_nothing_behind() {
    let broker = Broker::start(&[]);
    broker.make_topic("t", 1);
    for _ in 0..40 {
        let (mut stream, mut reader) = stream(&broker, "t");
        chunk(&mut stream, r#"{"value":{"type":"STRING","data":"whole"}} {"value":"#);
        assert_eq!(report(&mut reader).expect("a report")["error_code"], 200);
    }
    wait_for("the end of all requests", PATIENCE, || (broker.metric("millrace_rest_producing") == 0).then_some(()));
    // One that never reads its reports is not read from for ever.
    let (mut stream, _reader) = stream(&broker, "t");
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let records = r#"{"value":{"type":"STRING","data":"x"}}"#.repeat(1000);
    let text = format!("{:x}\r\n{records}\r\n", records.len());
    let mut sent = 0;
    while stream.write_all(text.as_bytes()).is_ok() {
        sent += records.len();
        assert!(sent < 256 << 20, "it reads on and on");
    }
    assert_eq!(broker.post("/topics/t/records", "{}").json()["error_code"], 200);
    drop(stream);
    let mut client = Client::new(broker.config());
    let ends = client.list_offsets(&[("t".to_owned(), 0)], OffsetSpec::LATEST, 0).expect("an answer");
    assert!(ends.into_values().all(|end| end.is_ok_and(|end| end > 40)));
}

#[test]
fn reading_waits_and_begins_where_it_is_told() {
    let broker = Broker::start(&[]);
    broker.make_topic("t", 1);
    let body: String = (0..10)
        .map(|second| {
            format!(r#"{{"key":{{"type":"BINARY","data":"/w=="}},"timestamp":"2026-01-01T00:00:0{second}Z"}}"#)
        })
        .collect();
    assert_eq!(broker.post("/topics/t/records", &body).reports().len(), 10);
    let read = |query: &str| {
        let answer = broker.get(&format!("/topics/t/partitions/0/records?{query}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let offsets = |query: &str| {
        let read = read(query);
        let found: Vec<i64> =
            read["records"].as_array().expect("records").iter().filter_map(|it| it["offset"].as_i64()).collect();
        (found, read["next_offset"].as_i64().unwrap_or(-1))
    };
    assert_eq!(offsets("from_beginning=true&max_poll_records=2"), (vec![0, 1], 2));
    assert_eq!(offsets("offset=8"), (vec![8, 9], 10));
    assert_eq!(offsets("max_poll_records=3"), (vec![7, 8, 9], 10));
    assert_eq!(offsets("timestamp=2026-01-01T00:00:06Z"), (vec![6, 7, 8, 9], 10));
    assert_eq!(offsets("timestamp=2036-01-01T00:00:06Z"), (vec![], 10));
    assert_eq!(offsets("offset=3&fetch_max_bytes=0"), (vec![3], 4));
    assert_eq!(offsets("offset=10"), (vec![], 10));
    let one = &read("offset=0&max_poll_records=1")["records"][0];
    assert_eq!(
        (&one["key"]["type"], &one["key"]["data"], &one["value"]),
        (&"BINARY".into(), &"/w==".into(), &Value::Null)
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| read("offset=10&timeout=30000"));
        assert_eq!(
            broker.post("/topics/t/records", r#"{"value":{"type":"JSON","data":{"a":1}}}"#).json()["offset"],
            10
        );
        assert_eq!(waiting.join().expect("an answer")["records"][0]["value"]["data"]["a"], 1);
    });
}

#[test]
fn only_who_may_gets_in() {
    let token = "0123456789abcdef0123";
    let mut node = Node::prepare(Kind::Millrace, &[("millrace.ui.token", token)]);
    let http = format!("127.0.0.1:{}", free_port());
    let mut hashing = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["ui", "--hash-password"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    hashing.stdin.take().expect("piped").write_all(b"correct horse").expect("it reads");
    let hash = String::from_utf8(hashing.wait_with_output().expect("it ends").stdout).expect("text");
    let users = node.scratch().join("users");
    std::fs::write(&users, format!("ann:{hash}")).expect("writable");
    node.set("millrace.ui.users.file", &users.display().to_string());
    node.set("millrace.http.listener", &http);
    node.start_again();
    let topics = format!("/v3/clusters/{}/topics", node.cluster_id());
    let ask = |authorization: &str| send(&http, "GET", &topics, &[("Authorization", authorization)], b"").status;
    let basic = |pair: &str| format!("Basic {}", base64(pair));
    assert_eq!(send(&http, "GET", &topics, &[], b"").codes(), (401, 40101));
    assert_eq!(ask(&format!("Bearer {token}")), 200);
    assert_eq!(
        [ask(&basic("ann:correct horse")), ask(&basic("ann:correct horse")), ask(&basic(&format!(":{token}")))],
        [200; 3]
    );
    assert_eq!([ask(&basic("ann:wrong")), ask(&basic("bob:correct horse")), ask("Basic %"), ask("Bearer x")], [401; 4]);
    let made =
        send(&http, "POST", &topics, &[JSON, ("Authorization", &basic("ann:correct horse"))], br#"{"topic_name":"t"}"#);
    assert_eq!(made.status, 201, "{}", made.body);

    // Without a login: this machine may, by its own names; other sites may not.
    let mut broker = Broker::start(&[]);
    let topics = format!("{}/topics", broker.cluster);
    let try_to =
        |headers: &[(&str, &str)]| send(&broker.http, "POST", &topics, headers, br#"{"topic_name":"t"}"#).codes();
    assert_eq!(try_to(&[]), (415, 415));
    assert_eq!(try_to(&[("Content-Type", "text/plain")]), (415, 415));
    assert_eq!(try_to(&[JSON, ("Origin", "http://evil.example")]), (403, 40301));
    assert_eq!(try_to(&[JSON, ("Sec-Fetch-Site", "cross-site")]), (403, 40301));
    assert_eq!(try_to(&[JSON, ("Host", "evil.example")]), (421, 421));
    assert_eq!(send(&broker.http, "DELETE", &topics, &[("Origin", "http://evil.example")], b"").codes(), (403, 40301));
    assert_eq!(send(&broker.http, "OPTIONS", &topics, &[("Origin", "http://evil.example")], b"").status, 403);
    assert_eq!(try_to(&[JSON]).0, 201);

    // What the UI is told holds here as well.
    let restart = |broker: &mut Broker, key: &str, value: &str| {
        broker.node.stop();
        broker.node.set(key, value);
        broker.node.start_again();
    };
    restart(&mut broker, "millrace.ui.read.only", "true");
    assert_eq!(broker.post("/topics/t/records", "{}").codes(), (403, 40301));
    assert_eq!(broker.get("/topics/t").status, 200);
    restart(&mut broker, "millrace.ui.read.only", "auto");
    let port = broker.http.rsplit(':').next().expect("a port").to_owned();
    restart(&mut broker, "millrace.http.listener", &format!("0.0.0.0:{port}"));
    let refused = broker.post("/topics/t/records", "{}");
    assert!(refused.codes() == (403, 40301) && refused.body.contains("millrace.ui.token"), "{}", refused.body);
    restart(&mut broker, "millrace.ui.enable", "false");
    assert_eq!((broker.get("/topics/t").status, send(&broker.http, "GET", "/c/millrace", &[], b"").status), (200, 404));
    restart(&mut broker, "millrace.rest.enable", "false");
    assert_eq!(broker.get("/topics/t").status, 404);
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn the_ui_of_other_clusters_has_it_too() {
    let (one, two) = (Node::start(Kind::Millrace, &[]), Node::start(Kind::Millrace, &[]));
    let listen = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["ui", "--listen", &listen]).envs([
        ("KAFKA_CLUSTERS_0_NAME", "one"),
        ("KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS", one.bootstrap().as_str()),
        ("KAFKA_CLUSTERS_1_NAME", "two"),
        ("KAFKA_CLUSTERS_1_BOOTSTRAPSERVERS", two.bootstrap().as_str()),
        ("KAFKA_CLUSTERS_1_READONLY", "true"),
    ]);
    let ui = Process::start(&mut command);
    ui.line(PATIENCE).expect("it says that it is ready");
    let listed = send(&listen, "GET", "/v3/clusters", &[], b"").json();
    assert_eq!(
        (&listed["data"][0]["cluster_id"], &listed["data"][1]["cluster_name"]),
        (&one.cluster_id().into(), &"two".into())
    );
    let make = |node: &Node| {
        let path = format!("/v3/clusters/{}/topics", node.cluster_id());
        send(&listen, "POST", &path, &[JSON], br#"{"topic_name":"t"}"#)
    };
    assert_eq!((make(&one).status, make(&two).codes()), (201, (403, 40301)));
    let path = format!("/v3/clusters/{}/topics/t/records", one.cluster_id());
    assert_eq!(send(&listen, "POST", &path, &[JSON], b"{}{}").reports().len(), 2);
    let servers = format!("bootstrap.servers={}", one.bootstrap());
    let config = ClientConfig::new(Properties::from_pairs([servers.as_str()]), "test").expect("an address");
    let mut consumer = Consumer::new(config).expect("settings");
    consumer.assign_at("t", 0, 0);
    let mut count = 0;
    wait_for("both records", PATIENCE, || {
        count += consumer.poll(Duration::from_millis(200)).expect("records").len();
        (count == 2).then_some(())
    });
}

#[test]
fn the_examples_of_the_document_work() {
    let broker = Broker::start(&[]);
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rest.md")).expect("the document");
    let mut script = "set -euo pipefail\n".to_owned();
    for block in document.split("```sh\n").skip(1) {
        script += block.split("```").next().expect("a block ends");
    }
    let script = script.replace("127.0.0.1:8080", &broker.http);
    let run = Command::new("bash").arg("-c").arg(&script).output().expect("bash runs");
    let (said, complaints) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}\n{complaints}");
    let wanted = [
        r#""topic_name":"orders""#,
        "\norders\n",
        "\n7200000\n",
        "\n4\n",
        r#""value":{"size":22,"type":"JSON"}"#,
        "\n1000\n",
        r#"{"good":["a"],"bad":["b"]}"#,
        "\nline ",
        "\ntrue\n",
        "\nnews\n",
        r#"[1,"127.0.0.1","#,
    ];
    let mut rest = &*said;
    for words in wanted {
        let (_, behind) =
            rest.split_once(words.trim_start_matches('\n')).unwrap_or_else(|| panic!("{words:?} is not in\n{said}"));
        rest = behind;
    }
}
