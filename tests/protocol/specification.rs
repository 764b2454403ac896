//! Every table against Kafka's own specification, which lies as JSON in its jars.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use millrace::protocol::table::{Field, Table, Type};
use millrace::protocol::{ApiKey, ErrorCode};
use serde_json::Value;

use crate::catalog::{self, Entry};
use crate::support::install::{installed, run};
use crate::support::kafka_jars::{KAFKA_VERSION, kafka_jars};

const JARS: [&str; 6] =
    ["clients", "metadata", "group-coordinator", "transaction-coordinator", "share-coordinator", "storage"];

/// What we have no table for: headers are code (`header.rs`), the rest belongs to tiered storage, which we lack.
const LEFT_OUT: [&str; 6] = [
    "RequestHeader",
    "ResponseHeader",
    "RemoteLogSegmentMetadataRecord",
    "RemoteLogSegmentMetadataSnapshotRecord",
    "RemoteLogSegmentMetadataUpdateRecord",
    "RemotePartitionDeleteMetadataRecord",
];

#[test]
fn every_table_is_kafkas() {
    let specifications = specifications();
    let mut differences = Vec::new();
    let entries = catalog::all();
    for entry in &entries {
        match specifications.get(entry.name()) {
            Some(specification) => differences.extend(compare_message(entry, specification)),
            None => differences.push(format!("{} is none of Kafka's messages", entry.name())),
        }
    }
    for (name, specification) in &specifications {
        let wanted = specification["validVersions"] != "none" && !LEFT_OUT.contains(&name.as_str());
        if wanted && !entries.iter().any(|entry| entry.name() == name) {
            differences.push(format!("there is no table for {name}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(entries.len() > 250);
}

/// The numbers are compared in the tables; here, that nobody forgot a row.
#[test]
fn api_keys_and_error_codes_are_complete() {
    assert_eq!(ApiKey::ALL.len(), catalog::apis().len() / 2);
    assert!(ErrorCode::ALL.iter().map(|error| error.code()).eq(-1..=133));
    for error in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(error.code()), *error);
    }
    assert_eq!(ErrorCode::from_code(9999), ErrorCode::UnknownServerError);
}

fn compare_message(entry: &Entry, specification: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let message = &entry.table;
    let name = entry.name();
    let mut check = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            differences.push(format!("{name}: {what} is {ours}, Kafka says {theirs}"));
        }
    };
    let valid = range(text(&specification["validVersions"]));
    check("versions", format!("{:?}", (message.min_version, message.max_version)), format!("{valid:?}"));
    let flexible = match text(&specification["flexibleVersions"]) {
        "none" => i16::MAX,
        versions => range(versions).0,
    };
    check("flexible from", message.flexible_from.to_string(), flexible.to_string());
    let key = specification["apiKey"].as_i64();
    check("key", format!("{:?}", message.key.map(i64::from)), format!("{key:?}"));
    let mut structs = Structs { message: specification, differences };
    structs.compare(message.table, name, &specification["fields"]);
    structs.differences
}

/// Compares the structs of one message with each other, down to the leaves.
struct Structs<'a> {
    message: &'a Value,
    differences: Vec<String>,
}

impl Structs<'_> {
    fn compare(&mut self, table: &Table, kafka_name: &str, fields: &Value) {
        if !table.name.ends_with(kafka_name) {
            self.differences.push(format!("struct {} is called {kafka_name} by Kafka", table.name));
        }
        let mut theirs: Vec<&Value> = fields.as_array().expect("fields are a list").iter().collect();
        // Our tables have tagged fields in the order of their tags, in the places where Kafka has some tagged field.
        let mut tagged: Vec<&Value> = theirs.iter().copied().filter(|field| field["tag"].is_i64()).collect();
        tagged.sort_by_key(|field| field["tag"].as_i64());
        let mut tagged = tagged.into_iter();
        for field in theirs.iter_mut().filter(|field| field["tag"].is_i64()) {
            *field = tagged.next().expect("as many as there are");
        }
        let ours: Vec<String> = table.fields.iter().map(row).collect();
        let expected: Vec<String> = theirs.iter().map(|field| their_row(field)).collect();
        if ours != expected {
            let rows = ours.iter().zip(&expected).filter(|(a, b)| a != b);
            let rows: Vec<String> = rows.map(|(a, b)| format!("  ours  {a}\n  Kafka {b}")).collect();
            let counts = format!("{} and {} fields", ours.len(), expected.len());
            self.differences.push(format!("{}: {counts}\n{}", table.name, rows.join("\n")));
            return;
        }
        for (field, their) in table.fields.iter().zip(theirs) {
            if let Some(nested) = struct_of(&field.kind) {
                let name = text(&their["type"]).trim_start_matches("[]");
                let message = self.message;
                let common = || {
                    let structs = message["commonStructs"].as_array().expect("a struct without fields is a common one");
                    structs.iter().find(|common| common["name"] == name).expect("common structs are named")
                };
                let fields = if their["fields"].is_array() { &their["fields"] } else { &common()["fields"] };
                self.compare(nested, name, fields);
            }
        }
    }
}

fn struct_of(kind: &Type) -> Option<&'static Table> {
    match kind {
        Type::Struct(table) => Some(table),
        Type::Array(inner) | Type::Nullable(inner) => struct_of(inner),
        _ => None,
    }
}

/// One of our rows in words.
fn row(field: &Field) -> String {
    let (kind, null) = match field.kind {
        Type::Nullable(inner) => {
            let (first, last) = field.null_versions;
            (*inner, format!("{:?}", (first.max(field.versions.0), last.min(field.versions.1))))
        }
        kind => (kind, "never".to_owned()),
    };
    let default = match field.default {
        None => "empty".to_owned(),
        Some("None") => "null".to_owned(),
        Some("i32::MAX") => i32::MAX.to_string(),
        Some("i32::MIN") => i32::MIN.to_string(),
        Some("i64::MAX") => i64::MAX.to_string(),
        Some(value) => value.replace(' ', ""),
    };
    format!(
        "{}: {} versions {:?} null {null} tag {:?} default {default} ignorable {}",
        field.name,
        type_name(&kind),
        field.versions,
        field.tag,
        field.ignorable
    )
}

/// One row of the specification in the same words.
fn their_row(field: &Value) -> String {
    let versions = field.get("versions").unwrap_or(&field["taggedVersions"]);
    let versions = range(text(versions));
    let null = match field.get("nullableVersions").map(text) {
        None | Some("none") => "never".to_owned(),
        Some(null) => {
            let (first, last) = range(null);
            format!("{:?}", (first.max(versions.0), last.min(versions.1)))
        }
    };
    let mut kind = text(&field["type"]).to_owned();
    if kind == "records" {
        kind = "bytes".to_owned();
    }
    let element = kind.trim_start_matches("[]");
    if element.starts_with(char::is_uppercase) {
        kind = kind.replace(element, "struct");
    }
    let default = match field.get("default") {
        // A JSON null is no default at all for Kafka's generator.
        None | Some(Value::Null) => "empty".to_owned(),
        Some(Value::String(value)) => value.clone(),
        Some(value) => value.to_string(),
    };
    let default = match default.as_str() {
        "" | "0" | "false" => "empty".to_owned(),
        "0x7fffffff" => i32::MAX.to_string(),
        _ => default,
    };
    let ignorable = field["ignorable"].as_bool().unwrap_or(false);
    format!(
        "{}: {kind} versions {versions:?} null {null} tag {:?} default {default} ignorable {ignorable}",
        snake_case(text(&field["name"])),
        field["tag"].as_u64()
    )
}

fn type_name(kind: &Type) -> String {
    match kind {
        Type::Array(inner) => format!("[]{}", type_name(inner)),
        Type::Struct(_) => "struct".to_owned(),
        primitive => format!("{primitive:?}").to_lowercase(),
    }
}

/// `3+`, `0-12` or `7`.
fn range(versions: &str) -> (i16, i16) {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("not versions: {versions}"));
    match (versions.strip_suffix('+'), versions.split_once('-')) {
        (Some(first), _) => (number(first), i16::MAX),
        (None, Some((first, last))) => (number(first), number(last)),
        (None, None) => (number(versions), number(versions)),
    }
}

/// `V3AndBelowTopics` is `v3_and_below_topics`; `KRaft` is one word, and Rust's keywords get an underscore.
fn snake_case(name: &str) -> String {
    let name = name.replace("KRaft", "Kraft").replace("Enable2Pc", "Enable_2pc");
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    if ["type", "match"].contains(&snake.as_str()) { snake + "_" } else { snake }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// The specifications by message name.
fn specifications() -> BTreeMap<String, Value> {
    let home = installed("message-specifications", KAFKA_VERSION, |home| {
        for name in JARS {
            let jar = kafka_jars().join(format!("kafka-{name}-{KAFKA_VERSION}.jar"));
            let mut unpack = Command::new("jar");
            unpack.current_dir(home).arg("--extract").arg("--file").arg(jar).args(["common", "message"]);
            run(&mut unpack)?;
        }
        Ok(())
    });
    let mut specifications = BTreeMap::new();
    for path in json_files(&home) {
        let text = fs::read_to_string(&path).expect("readable");
        let specification: Value = serde_json::from_str(&without_comments(&text))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        specifications.insert(self::text(&specification["name"]).to_owned(), specification);
    }
    specifications
}

fn json_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files
}

/// Kafka's JSON has `//` comments, and `//` inside strings too.
fn without_comments(text: &str) -> String {
    let strip = |line: &str| {
        let mut quoted = false;
        let mut previous = ' ';
        for (position, letter) in line.char_indices() {
            if letter == '"' && previous != '\\' {
                quoted = !quoted;
            }
            if letter == '/' && previous == '/' && !quoted {
                return line[..position - 1].to_owned();
            }
            previous = letter;
        }
        line.to_owned()
    };
    text.lines().map(strip).collect::<Vec<_>>().join("\n")
}
