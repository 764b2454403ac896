//! The web UI over HTTP: what it shows and changes, who may, and what hostile visitors get.

mod apache;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use millrace::client::{Client, ClientConfig, Producer, ProducerRecord, Properties};
use serde_json::Value;

use crate::support::node::{Kind, Node};
use crate::support::ports::free_port;
use crate::support::process::Process;

const PATIENCE: Duration = Duration::from_secs(30);
/// What programs say, so that their changes count.
const PROGRAM: (&str, &str) = ("X-Millrace", "1");

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// A cookie that was set.
    fn cookie(&self, name: &str) -> Option<String> {
        let start = format!("set-cookie: {name}=");
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&start))?;
        Some(line[start.len()..].split(';').next()?.to_owned())
    }
}

/// One request over a connection of its own; with a body it is a POST.
fn send(address: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = body {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    request += body.unwrap_or_default();
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn get(address: &str, path: &str) -> Answer {
    send(address, path, &[], None)
}

fn api(address: &str, path: &str) -> Value {
    let answer = get(address, &format!("/api/c/millrace{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

fn post(address: &str, path: &str, body: &str) -> Answer {
    send(address, &format!("/api/c/millrace{path}"), &[PROGRAM], Some(body))
}

/// A broker with pages; `more` over its configuration.
fn start(more: &[(&str, &str)]) -> (Node, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut config = vec![("millrace.http.listener", address.as_str()), ("group.initial.rebalance.delay.ms", "0")];
    config.extend_from_slice(more);
    let node = Node::start(Kind::Millrace, &config);
    (node, address)
}

/// The cookie of the token of our forms, at a UI at this address.
fn csrf_cookie(address: &str) -> String {
    format!("millrace_csrf_{}", address.rsplit(':').next().expect("a port"))
}

fn client_config(node: &Node) -> ClientConfig {
    let servers = format!("bootstrap.servers={}", node.bootstrap());
    ClientConfig::new(Properties::from_pairs([servers.as_str()]), "test").expect("an address")
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_millis() as i64
}

#[test]
fn topics_and_messages_are_made_found_and_deleted() {
    let (node, ui) = start(&[]);
    let created = post(&ui, "/topics/new", "name=orders&partitions=2&configs=retention.ms%3D3600000");
    assert_eq!((created.status, created.json()["done"].as_str()), (200, Some("Topic orders was created.")));
    let again = post(&ui, "/topics/new", "name=orders");
    assert!(again.status == 409 && again.body.contains("already exists"), "{}", again.body);
    assert_eq!(post(&ui, "/topics/new", "name=bad%20name").status, 400);

    for id in 0..20 {
        let value =
            format!("value=%7B%22order%22%3A%7B%22id%22%3A{id}%7D%7D&key=k{id}&headers=trace%3A%20t{id}&codec=zstd");
        let produced = post(&ui, "/topic/orders/produce", &format!("{value}&partition={}", id % 2));
        assert_eq!(produced.json()["offset"], id / 2, "{}", produced.body);
    }
    let tombstone = post(&ui, "/topic/orders/produce", "key=k1&value_form=null&partition=1");
    assert_eq!(tombstone.json()["offset"], 10);
    assert!(post(&ui, "/topic/orders/produce", "value=0&value_form=hex").body.contains("two digits a byte"));
    assert!(post(&ui, "/topic/orders/produce", "value=x&partition=7").body.contains("no partition 7"));

    let detail = api(&ui, "/topic/orders");
    assert_eq!((&detail["records"], detail["partitions"].as_array().map(Vec::len)), (&21.into(), Some(2)));
    let messages = |query: &str| api(&ui, &format!("/topic/orders/messages?{query}"));
    let newest = messages("limit=3");
    assert_eq!(newest["messages"][0]["value"], Value::Null);
    assert_eq!(newest["messages"][1]["key"], "k19");
    // Page by page, everything is seen once.
    for from in ["newest", "beginning"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = messages(&format!("from={from}&limit=4&cursor={cursor}"));
            let found = page["messages"].as_array().expect("messages");
            seen.extend(found.iter().map(|it| (it["partition"].as_i64(), it["offset"].as_i64())));
            cursor = page["cursor"].as_str().expect("a cursor").to_owned();
            if page["at_end"] == true {
                break;
            }
        }
        assert_eq!(seen.len(), 21, "{from}: {seen:?}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 21, "{from}");
    }
    let count = |query: &str| messages(query)["messages"].as_array().map_or(0, Vec::len);
    assert_eq!(count("from=offset&offset=8&partitions=0"), 2);
    assert_eq!(count("filter=trace%3A%20t7&in=headers"), 1);
    assert_eq!(count("filter=%24.order%5B%3F%40%20%3E%2016%5D&kind=json&in=value"), 3);
    assert_eq!(count("filter=%5Ek1%5B0-4%5D%24&kind=regex&in=key"), 5);
    assert_eq!(count("from=time&time=-1h"), 21);
    assert_eq!(count(&format!("from=time&time={}", now_ms() + 60_000)), 0);
    assert_eq!(count("from=end"), 0);
    for wrong in
        ["filter=(&kind=regex", "filter=order&kind=json", "partitions=9", "from=time&time=soon", "cursor=x", "limit=x"]
    {
        let refused = get(&ui, &format!("/c/millrace/topic/orders/messages?{wrong}"));
        assert_eq!(refused.status, 400, "{wrong}");
    }
    let one = api(&ui, "/topic/orders/message?partition=1&offset=2");
    assert_eq!((&one["value"], &one["batch"]["codec"]), (&r#"{"order":{"id":5}}"#.into(), &"zstd".into()));
    let file = get(&ui, "/c/millrace/topic/orders/download?partition=1&offset=2&part=key");
    assert_eq!((file.body.as_str(), file.header("content-type")), ("k5", Some("application/octet-stream")));
    assert!(
        file.header("content-disposition").is_some_and(|it| it.starts_with("attachment; filename=\"orders-1-2.key\""))
    );
    assert_eq!(get(&ui, "/c/millrace/topic/orders/download?partition=1&offset=10&part=value").status, 404);
    let batches = api(&ui, "/topic/orders/batches?partition=1");
    assert!(
        batches["batches"]
            .as_array()
            .is_some_and(|all| all.len() == 11 && all.iter().all(|it| it["crc_matches"] == true))
    );

    let altered = post(&ui, "/topic/orders/configs", "key=retention.ms&value=7200000");
    assert_eq!(altered.status, 200, "{}", altered.body);
    assert_eq!(post(&ui, "/topic/orders/configs", "key=retention.ms&value=long").status, 409);
    let change = &api(&ui, "/changes")[0];
    assert_eq!((&change["before"], &change["after"]), (&"3600000".into(), &"7200000".into()));
    let configs = api(&ui, "/topic/orders/configs");
    assert_eq!((&configs[0]["name"], &configs[0]["value"]), (&"retention.ms".into(), &"7200000".into()));
    assert!(configs[0]["documentation"].is_string(), "{}", configs[0]);
    assert_eq!(post(&ui, "/topic/orders/partitions", "count=3").status, 200);

    assert_eq!(post(&ui, "/topic/orders/purge", "confirm=other").status, 400);
    assert_eq!(post(&ui, "/topic/orders/purge", "confirm=orders").status, 200);
    assert_eq!(api(&ui, "/topic/orders")["records"], 0);
    assert_eq!(post(&ui, "/topic/orders/delete", "confirm=orders").status, 200);
    // What vanished is said to have vanished, whatever is asked of it.
    for path in ["", "/messages", "/configs", "/producers", "/change", "/batches", "/message?offset=1"] {
        assert_eq!(get(&ui, &format!("/c/millrace/topic/orders{path}")).status, 404, "{path}");
    }
    for (path, form) in
        [("delete", "confirm=orders"), ("purge", "confirm=orders"), ("produce", "value=x"), ("partitions", "count=9")]
    {
        assert_eq!(post(&ui, &format!("/topic/orders/{path}"), form).status, 404, "{path}");
    }
    let brokers = api(&ui, "/brokers");
    assert!(brokers[0]["is_controller"] == true && brokers[0]["log_dirs"].is_array());
    assert!(api(&ui, "/live")["broker"]["shards"].is_array());
    drop(node);
}

#[test]
fn groups_show_their_lag_and_are_reset_as_previewed() {
    let (node, ui) = start(&[]);
    assert_eq!(post(&ui, "/topics/new", "name=t&partitions=2").status, 200);
    let mut producer = Producer::new(client_config(&node)).expect("settings");
    let begun = now_ms();
    for index in 0..10 {
        let timestamp = Some(begun - 100_000 + index * 10_000);
        let value = Some(vec![0; 100]);
        let partition = Some(0);
        producer
            .send(ProducerRecord { topic: "t".into(), partition, timestamp, value, ..Default::default() })
            .expect("sent");
    }
    producer.flush();
    assert!(producer.take_undelivered().is_empty());
    let group = "readers/of <b>\"all\"</b> & more";
    let id = "readers%2Fof%20%3Cb%3E%22all%22%3C%2Fb%3E%20%26%20more";
    let mut client = Client::new(client_config(&node));
    let partition = |index| ("t".to_owned(), index);
    client.alter_group_offsets(group, &[(partition(0), 4), (partition(1), 0)]).expect("committed");

    let line = &api(&ui, "/groups")["groups"][0];
    assert_eq!((&line["id"], &line["lag"], &line["state"]), (&group.into(), &6.into(), &"Empty".into()));
    let detail = api(&ui, &format!("/group?id={id}"));
    let expected = 60_000 + (now_ms() - begun);
    let lag_ms = detail["partitions"][0]["lag_ms"].as_i64().expect("its age is known");
    assert!((60_000..=expected).contains(&lag_ms), "{lag_ms} of {expected}");
    assert_eq!(detail["partitions"][1]["lag_ms"], 0);

    let preview = |query: &str| api(&ui, &format!("/group/reset?id={id}&{query}"))["lines"][0]["new"].as_i64();
    assert_eq!(
        (preview("to=earliest"), preview("to=latest"), preview("to=shift&value=-3")),
        (Some(0), Some(10), Some(1))
    );
    assert_eq!(preview(&format!("to=time&value={}", begun - 30_000)), Some(7));
    assert_eq!((preview("to=offset&value=99"), preview("topic=t&to=offset&value=5")), (Some(10), Some(5)));
    assert_eq!(post(&ui, &format!("/group/reset?id={id}"), "plan=t%090%097").status, 200);
    assert_eq!(api(&ui, &format!("/group?id={id}"))["partitions"][0]["committed"], 7);
    assert_eq!(post(&ui, &format!("/group/reset?id={id}"), "plan=").status, 400);
    assert!(post(&ui, &format!("/group/reset?id={id}"), "plan=nowhere%090%091").status >= 400);
    // A topic that is gone leaves its line, without a lag.
    assert_eq!(post(&ui, "/topic/t/delete", "confirm=t").status, 200);
    let page = get(&ui, &format!("/c/millrace/group?id={id}"));
    assert!(
        page.status == 200 && page.body.contains("readers/of &lt;b&gt;") && !page.body.contains("<b>\""),
        "{}",
        page.body
    );
    assert_eq!(post(&ui, &format!("/group/delete?id={id}"), "confirm=no").status, 400);
    assert_eq!(post(&ui, &format!("/group/delete?id={id}"), &format!("confirm={id}")).status, 200);
    assert_eq!(get(&ui, &format!("/c/millrace/group?id={id}")).status, 404);
}

#[test]
fn a_transaction_is_seen_and_aborted() {
    let (node, ui) = start(&[]);
    assert_eq!(post(&ui, "/topics/new", "name=t&partitions=1").status, 200);
    apache::a_transaction_is_seen_and_aborted(&node, &ui, "t");
}

#[test]
fn defaults_of_brokers_groups_and_client_metrics_are_configured() {
    let (_node, ui) = start(&[]);
    apache::what_is_neither_topic_nor_broker_is_configured(&ui);
}

#[test]
fn a_bench_is_started_and_stopped_from_its_page() {
    let directory = tempfile::tempdir().expect("writable");
    let (_node, ui) = start(&[("millrace.ui.bench.dir", &directory.path().display().to_string())]);
    let bench = || get(&ui, "/api/bench").json();
    assert!(bench()["running"].is_null() && get(&ui, "/bench").body.contains("There are none in"));
    let act = |path: &str, form: &str| send(&ui, &format!("/api/bench/{path}"), &[PROGRAM], Some(form));
    assert_eq!(act("run", "cluster=nowhere").status, 404);
    assert_eq!(act("stop", "").status, 404);
    let started = act("run", "cluster=millrace");
    assert!(started.status == 200 && started.body.contains("was started"), "{}", started.body);
    assert_eq!(act("run", "cluster=").status, 503, "one at a time");
    assert!(bench()["running"]["what"].as_str().expect("it runs").contains("millrace bench --quick of millrace"));
    let begun = Instant::now();
    while bench()["running"]["log"] == "" {
        assert!(begun.elapsed() < PATIENCE, "it says nothing");
    }
    assert!(get(&ui, "/bench").body.contains("Stop it"));
    assert_eq!(act("stop", "").status, 200);
    assert!(bench()["running"].is_null());
}

#[test]
fn clients_are_shown_with_what_limits_them() {
    let (node, ui) = start(&[]);
    assert_eq!(post(&ui, "/topics/new", "name=slow&partitions=1").status, 200);
    let hostile = "<script>window.hacked=1</script>\u{202e}";
    let servers = format!("bootstrap.servers={}", node.bootstrap());
    let config = |more: &str| {
        let pairs = [servers.as_str(), "acks=all", more];
        ClientConfig::new(Properties::from_pairs(pairs), hostile).expect("an address")
    };
    // It sends one record, and the next when that one is on the device.
    let mut producer = Producer::new(config("linger.ms=0")).expect("settings");
    let mut send = || {
        producer
            .send(ProducerRecord { topic: "slow".into(), value: Some(vec![7; 100]), ..Default::default() })
            .expect("sent");
        producer.flush();
    };
    send();
    let of_topic = |topic: &str| {
        let page = api(&ui, &format!("/clients?topic={topic}"));
        let all = page["clients"].as_array().expect("a list").clone();
        all.into_iter().find(|client| client["topics"] == serde_json::json!(["slow"]))
    };
    let begun = Instant::now();
    let client = loop {
        send();
        let client = of_topic("slow").expect("it is connected");
        // A stretch may lie before the records.
        if client["produce"]["records_s"].as_f64() > Some(0.0) {
            break client;
        }
        assert!(begun.elapsed() < PATIENCE, "{client}");
    };
    assert!(of_topic("nowhere").is_none());
    let produce = &client["produce"];
    assert_eq!((&client["client_id"], &produce["acks"], &produce["codec"]), (&hostile.into(), &(-1).into(), &0.into()));
    assert_eq!((&produce["batch_records"], &produce["way"]["under_way"]), (&1.0.into(), &1.0.into()));
    let reason = client["producer"][0]["name"].as_str().expect("a reason");
    assert!(["its own pace", "one at a time"].contains(&reason), "{client}");
    let id = client["id"].as_u64().expect("a number");

    let list = get(&ui, "/c/millrace/clients");
    let one = get(&ui, &format!("/c/millrace/client?id={id}"));
    let topic = get(&ui, "/c/millrace/topic/slow");
    assert!(topic.body.contains("/c/millrace/clients?topic=slow"));
    assert!(get(&ui, "/c/millrace").body.contains("Why is a producer slow?"));
    for page in [&list, &one] {
        assert!(page.status == 200 && !page.body.contains("<script>window") && !page.body.contains('\u{202e}'));
        assert!(page.body.contains("&lt;script&gt;window.hacked=1&lt;/script&gt;\\u{202e}"), "{}", page.body);
    }
    assert!(one.body.contains("Why it produces as it does") && one.body.contains("acks"), "{}", one.body);
    for (path, status) in [
        ("/client?id=99999999", 404),
        ("/client?id=x", 400),
        ("/clients/closer?seconds=0", 400),
        ("/clients/closer?seconds=31", 400),
        ("/clients/closer?seconds=1", 200),
    ] {
        assert_eq!(get(&ui, &format!("/c/millrace{path}")).status, status, "{path}");
    }
    drop(producer);
    let begun = Instant::now();
    while get(&ui, &format!("/c/millrace/client?id={id}")).status != 404 {
        assert!(begun.elapsed() < PATIENCE, "who has left is shown no more");
    }
}

#[test]
fn two_uis_on_a_host_leave_each_other_their_cookies() {
    let (node, first) = start(&[]);
    let second = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["ui", "--listen", &second, "--bootstrap-server", &format!("millrace={}", node.bootstrap())]);
    let ui = Process::start(&mut command);
    ui.line(PATIENCE).expect("it says that it is ready");
    // A browser sends the cookies of both to each.
    let token = |ui: &String| get(ui, "/c/millrace/topics/new").cookie(&csrf_cookie(ui)).expect("a token");
    let tokens = [&first, &second].map(token);
    let jar = format!("{}={}; {}={}", csrf_cookie(&first), tokens[0], csrf_cookie(&second), tokens[1]);
    for (nth, ui) in [&first, &second].into_iter().enumerate() {
        let page = send(ui, "/c/millrace/topics/new", &[("Cookie", &jar)], None);
        assert_eq!(page.header("set-cookie"), None, "it knows its own token");
        let form = |token: &str| format!("name=topic-{nth}&csrf={token}");
        let other = send(ui, "/c/millrace/topics/new", &[("Cookie", &jar)], Some(&form(&tokens[1 - nth])));
        assert_eq!(other.status, 403, "a form of the other one");
        let own = send(ui, "/c/millrace/topics/new", &[("Cookie", &jar)], Some(&form(&tokens[nth])));
        assert_eq!(own.status, 303, "{}", own.body);
        assert!(own.header("set-cookie").is_some_and(|text| text.contains(ui.rsplit(':').next().expect("a port"))));
    }
    // Of a cluster elsewhere it is said what can't be known.
    let page = get(&second, "/c/millrace/clients");
    assert!(page.status == 200 && page.body.contains("Kafka's protocol tells nothing of connections"), "{}", page.body);
    assert_eq!(get(&second, "/c/millrace/client?id=1").status, 200);
}

#[test]
fn changes_come_from_forms_of_ours_or_from_programs() {
    let (_node, ui) = start(&[]);
    let path = "/c/millrace/topics/new";
    let page = get(&ui, path);
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    let token = page.cookie(&csrf_cookie(&ui)).expect("a token");
    assert!(page.body.contains(&format!("name=\"csrf\" value=\"{token}\"")));
    let cookie = format!("{}={token}", csrf_cookie(&ui));
    let form = format!("name=a&csrf={token}");
    let own = format!("http://{ui}");
    let with = |headers: &[(&str, &str)], form: &str| send(&ui, path, headers, Some(form)).status;
    assert_eq!(with(&[], "name=a"), 403, "no token at all");
    assert_eq!(with(&[("Cookie", &cookie)], "name=a"), 403, "the cookie alone");
    assert_eq!(with(&[], &form), 403, "the field alone");
    assert_eq!(with(&[("Cookie", &format!("{}=x", csrf_cookie(&ui)))], "name=a&csrf=x"), 403, "a made up one");
    assert_eq!(with(&[("Cookie", &cookie), ("Origin", "http://evil.example")], &form), 403, "another site");
    assert_eq!(with(&[PROGRAM, ("Origin", "null")], "name=a"), 403, "a program of a page");
    assert_eq!(with(&[("Cookie", &cookie), ("Sec-Fetch-Site", "cross-site")], &form), 403);
    assert_eq!(with(&[("Cookie", &cookie), ("Origin", &own)], &form), 303);
    assert_eq!(send(&ui, "/", &[("Host", "evil.example")], None).status, 421, "its name was made to point here");
    for path in [
        "/..%2f..%2fetc/passwd",
        "/assets/..%2fui.css",
        "/assets/../../x",
        "/c/millrace/topic/%00",
        "/c/%2e%2e/topics",
        "/api/api/",
        "/c/millrace/broker/x",
        "/bench/report?name=../x",
        "//evil.example",
        "/%ff",
    ] {
        let answer = get(&ui, path);
        assert!(matches!(answer.status, 400 | 404) && !answer.body.contains("root:"), "{path}: {}", answer.status);
    }
    let long = "x".repeat(9 << 20);
    let mut stream = TcpStream::connect(&ui).expect("it listens");
    let head = format!("POST {path} HTTP/1.1\r\nHost: {ui}\r\nX-Millrace: 1\r\nContent-Length: {}\r\n\r\n", long.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(long.as_bytes()));
    let mut answer = [0; 12];
    // It may close before all is sent; it must not take it.
    assert!(stream.read_exact(&mut answer).is_err() || answer.ends_with(b"413"), "{answer:?}");
    assert_eq!(get(&ui, "/c/millrace").status, 200);
}

#[test]
fn a_network_address_needs_a_login_or_a_word_for_changes() {
    let port = free_port();
    let listener = format!("0.0.0.0:{port}");
    let ui = format!("127.0.0.1:{port}");
    let mut node = Node::start(Kind::Millrace, &[("millrace.http.listener", &listener)]);
    let refused = post(&ui, "/topics/new", "name=a");
    assert!(refused.status == 403 && refused.body.contains("millrace.ui.token"), "{}", refused.body);
    assert!(!get(&ui, "/c/millrace/topics").body.contains("New topic"));
    assert_eq!(get(&ui, "/c/millrace/topics/new").status, 403);
    node.stop();
    node.set("millrace.ui.read.only", "false");
    node.start_again();
    assert_eq!(post(&ui, "/topics/new", "name=a").status, 200);
    node.stop();
    node.set("millrace.ui.enable", "false");
    node.start_again();
    assert_eq!((get(&ui, "/c/millrace").status, get(&ui, "/healthz").status), (404, 200));
    node.stop();
    node.set("millrace.ui.enable", "true");
    node.set("millrace.ui.users.file", "/nowhere/users");
    node.spawn();
    assert!(!node.wait_exit().success());
    assert!(node.log().contains("users file /nowhere/users"), "{}", node.log_tail());
}

#[test]
fn users_and_tokens_log_in() {
    let token = "0123456789abcdef0123";
    let mut node = Node::prepare(Kind::Millrace, &[("millrace.ui.token", token)]);
    let ui = format!("127.0.0.1:{}", free_port());
    let hash = |password: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let mut child = command
            .args(["ui", "--hash-password"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        child.stdin.take().expect("piped").write_all(password.as_bytes()).expect("it reads");
        String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text")
    };
    let users = node.scratch().join("users");
    std::fs::write(&users, format!("# who may\nann:{}", hash("correct horse\n"))).expect("writable");
    node.set("millrace.ui.users.file", &users.display().to_string());
    node.set("millrace.http.listener", &ui);
    node.start_again();

    let page = get(&ui, "/c/millrace/topics?search=x");
    assert_eq!(
        (page.status, page.header("location")),
        (303, Some("/login?next=%2Fc%2Fmillrace%2Ftopics%3Fsearch%3Dx"))
    );
    assert_eq!(
        (get(&ui, "/api/c/millrace").status, get(&ui, "/metrics").status, get(&ui, "/assets/ui.css").status),
        (401, 200, 200)
    );
    assert_eq!(post(&ui, "/topics/new", "name=a").status, 401);
    let bearer = format!("Bearer {token}");
    assert_eq!(send(&ui, "/api/c/millrace", &[("Authorization", &bearer)], None).status, 200);
    assert_eq!(send(&ui, "/api/c/millrace", &[("Authorization", "Bearer 0123456789abcdef0124")], None).status, 401);
    assert_eq!(send(&ui, "/api/c/millrace/topics/new", &[("Authorization", &bearer)], Some("name=a")).status, 200);

    let csrf = get(&ui, "/login").cookie(&csrf_cookie(&ui)).expect("a token");
    let cookie = format!("{}={csrf}", csrf_cookie(&ui));
    let log_in = |name: &str, password: &str| {
        let form = format!("csrf={csrf}&name={name}&password={password}&next=%2F%2Fevil.example");
        send(&ui, "/login", &[("Cookie", &cookie)], Some(&form))
    };
    for (name, password) in [("ann", "wrong"), ("bob", "correct+horse"), ("", "correct+horse"), ("ann", "")] {
        let refused = log_in(name, password);
        assert!(refused.status == 401 && refused.body.contains("do not fit"), "{name}: {}", refused.status);
    }
    assert_eq!(log_in("", token).status, 303);
    let session_cookie = csrf_cookie(&ui).replace("csrf", "session");
    let entered = log_in("ann", "correct+horse");
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")));
    let session = format!("{cookie}; {session_cookie}={}", entered.cookie(&session_cookie).expect("a session"));
    let inside = send(&ui, "/c/millrace/topics", &[("Cookie", &session)], None);
    assert!(inside.status == 200 && inside.body.contains("Log out ann"));
    let out = send(&ui, "/logout", &[("Cookie", &session)], Some(&format!("csrf={csrf}")));
    assert_eq!(out.status, 303);
    assert_eq!(send(&ui, "/c/millrace/topics", &[("Cookie", &session)], None).status, 303);
}

#[test]
fn several_clusters_are_shown_and_one_that_is_silent_holds_up_nobody() {
    let node = Node::start(Kind::Millrace, &[]);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_address = silent.local_addr().expect("bound").to_string();
    let listen = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["ui", "--listen", &listen]).envs([
        ("KAFKA_CLUSTERS_0_NAME", "good one"),
        ("KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS", node.bootstrap().as_str()),
        ("KAFKA_CLUSTERS_1_NAME", "silent"),
        ("KAFKA_CLUSTERS_1_BOOTSTRAPSERVERS", silent_address.as_str()),
        ("KAFKA_CLUSTERS_2_NAME", "still"),
        ("KAFKA_CLUSTERS_2_BOOTSTRAPSERVERS", node.bootstrap().as_str()),
        ("KAFKA_CLUSTERS_2_READONLY", "true"),
    ]);
    let ui = Process::start(&mut command);
    let ready = ui.line(PATIENCE).expect("it says that it is ready");
    assert!(ready.contains(&format!("http://{listen}/")), "{ready}");
    // As many as may wait for the silent one, and more.
    let waiting: Vec<_> = (0..6)
        .map(|_| {
            let listen = listen.clone();
            thread::spawn(move || get(&listen, "/c/silent/topics"))
        })
        .collect();
    let good = get(&listen, "/c/good-one");
    assert!(good.status == 200 && good.body.contains("good one"), "{}", good.body);
    assert_eq!(get(&listen, "/healthz").status, 200);
    assert!(
        waiting.iter().any(|page| !page.is_finished()),
        "the good one was shown before the silent one was given up"
    );
    for page in waiting {
        let page = page.join().expect("no panic");
        assert!(matches!(page.status, 502..=504) && page.body.contains("role=\"alert\""), "{}", page.status);
    }
    let all = get(&listen, "/api").json();
    assert_eq!((&all[0]["error"], &all[0]["brokers"], all[1]["error"].is_string()), (&Value::Null, &1.into(), true));
    let refused = send(&listen, "/api/c/still/topics/new", &[PROGRAM], Some("name=a"));
    assert!(refused.status == 403 && refused.body.contains("read-only"), "{}", refused.body);
    assert_eq!(send(&listen, "/api/c/good-one/topics/new", &[PROGRAM], Some("name=a")).status, 200);

    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let ended = command.arg("ui").args(arguments).envs(variables.iter().copied()).output().expect("it runs");
        assert!(!ended.status.success());
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr))
    };
    let servers = node.bootstrap();
    assert!(said(&["--bootstrap-server", &servers, "--listen", &listen], &[]).contains("cannot be opened"));
    assert!(said(&["--listen", "127.0.0.1:0"], &[]).contains("no cluster is given"));
    assert!(said(&[], &[("KAFKA_CLUSTERS_0_NAME", "x")]).contains("KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS is missing"));
    assert!(said(&["--bootstrap-server", "nowhere"], &[]).contains("nowhere"));
}

#[test]
fn monitors_are_answered_while_others_take_all_places() {
    let (_node, ui) = start(&[]);
    // Requests that never end, more of them than there are places; each says a little more from time to time.
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..150 {
        let mut stream = TcpStream::connect(&ui).expect("it listens");
        let _ = stream.write_all(b"GET /c/millrace HTTP/1.1\r\nHost: x\r\nX-Slow: ");
        slow.push(stream);
    }
    let begun = Instant::now();
    for path in ["/metrics", "/healthz", "/readyz", "/c/millrace"] {
        slow.iter_mut().for_each(|stream| drop(stream.write_all(b"x")));
        assert_eq!(get(&ui, path).status, 200, "{path}");
    }
    assert!(begun.elapsed() < PATIENCE);
    let headers = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    let mut stream = TcpStream::connect(&ui).expect("it listens");
    let _ = stream.write_all(headers.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}
