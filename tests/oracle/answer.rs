//! What came back for a request, and how two such outcomes differ.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// What a broker did with one request.
pub enum Outcome {
    /// It answered; the fields by their paths.
    Answer(BTreeMap<String, String>),
    /// It answered, but the bytes are not an answer of that version.
    Undecodable(String),
    /// It answered so many frames of raw bytes, and kept the connection open.
    Frames(Vec<Vec<u8>>),
    /// It closed the connection, after so many answers.
    Closed(usize),
    /// It said nothing, and nothing to the next request either.
    Silent,
}

impl Outcome {
    /// Takes a decoded message apart.
    pub fn of(message: &impl Debug, own: &[(String, String)]) -> Outcome {
        let mut text = format!("{message:#?}");
        for (value, name) in own {
            text = replace_whole(&text, value, name);
        }
        Outcome::Answer(flatten(&text))
    }

    /// Whether a broker that reads well formed requests failed here: no answer, or `UNKNOWN_SERVER_ERROR`.
    pub fn is_failure_inside(&self) -> bool {
        match self {
            Outcome::Answer(fields) => fields.iter().any(|(path, value)| path.ends_with("error_code") && value == "-1"),
            outcome => matches!(outcome, Outcome::Silent),
        }
    }

    /// Whether it is an answer, good or bad.
    pub fn is_answer(&self) -> bool {
        matches!(self, Outcome::Answer(_))
    }

    /// In short: the error codes of an answer, or what came instead of one.
    pub fn summary(&self) -> String {
        match self {
            Outcome::Answer(fields) => {
                let errors = fields.iter().filter(|(path, _)| path.ends_with("error_code"));
                let errors: Vec<String> = errors.map(|(path, value)| format!("{path}={value}")).collect();
                format!("an answer ({})", errors.join(", "))
            }
            Outcome::Undecodable(problem) => format!("an undecodable answer ({problem})"),
            Outcome::Frames(frames) if frames.is_empty() => "no answer, connection open".into(),
            Outcome::Frames(frames) => {
                format!("frames {}", frames.iter().map(|frame| hex(frame)).collect::<Vec<_>>().join(" "))
            }
            Outcome::Closed(answers) => format!("closed after {answers} answers"),
            Outcome::Silent => "silence".into(),
        }
    }
}

/// One line for each difference; fields whose path ends with one of `except` may differ.
pub fn differences(one: &Outcome, other: &Outcome, except: &[&str]) -> Vec<String> {
    match (one, other) {
        (Outcome::Answer(one), Outcome::Answer(other)) => field_differences(one, other, except),
        _ if one.summary() == other.summary() => Vec::new(),
        _ => vec![format!("{} | {}", one.summary(), other.summary())],
    }
}

fn field_differences(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>, except: &[&str]) -> Vec<String> {
    let mut paths: Vec<&String> = one.keys().chain(other.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let shown = |value: Option<&String>| value.map_or("absent".into(), |value| shorten(value));
    paths
        .into_iter()
        .filter(|path| one.get(*path) != other.get(*path) && !except.iter().any(|end| path.ends_with(end)))
        .map(|path| format!("{path}: {} | {}", shown(one.get(path)), shown(other.get(path))))
        .take(12)
        .collect()
}

fn shorten(value: &str) -> String {
    if value.len() > 300 { format!("{}... ({} characters)", &value[..300], value.len()) } else { value.to_string() }
}

/// The text that `{:#?}` gives, as a tree.
enum Value {
    Leaf(String),
    Struct(Vec<(String, Value)>),
    Array(Vec<Value>),
}

impl Value {
    /// Reads the value that begins with `head`, the rest of it from `lines`.
    fn read<'a>(head: &str, lines: &mut impl Iterator<Item = &'a str>) -> Value {
        if head == "Some(" {
            let inner = lines.next().expect("an open bracket is closed").trim().trim_end_matches(',');
            let value = Value::read(inner, lines);
            lines.next();
            return value;
        }
        if !head.ends_with(['{', '[', '(']) {
            return Value::Leaf(head.to_string());
        }
        let (mut fields, mut elements) = (Vec::new(), Vec::new());
        loop {
            let line = lines.next().expect("an open bracket is closed").trim().trim_end_matches(',');
            if matches!(line, "}" | "]" | ")") {
                break;
            }
            match line.split_once(": ").filter(|_| head.ends_with('{')) {
                Some((name, value)) => fields.push((name.to_string(), Value::read(value, lines))),
                None => elements.push(Value::read(line, lines)),
            }
        }
        if head.ends_with('{') { Value::Struct(fields) } else { Value::Array(elements) }
    }

    /// What an element of an array is about, then all of it: Kafka's order is often that of a hash table.
    fn order(&self) -> (Vec<String>, Vec<(String, String)>) {
        const NAMES: [&str; 11] = [
            "name",
            "group_id",
            "topic",
            "topic_id",
            "topic_name",
            "resource_name",
            "key",
            "partition_index",
            "index",
            "partition",
            "feature",
        ];
        let mut fields = BTreeMap::new();
        self.collect(String::new(), &mut fields);
        let about = NAMES.iter().filter_map(|name| fields.get(*name).cloned()).collect();
        (about, fields.into_iter().collect())
    }

    /// A configuration key that only Millrace has.
    fn is_own_key(&self) -> bool {
        let Value::Struct(members) = self else { return false };
        let own = |(name, value): &(String, Value)| matches!(value, Value::Leaf(text) if name == "name" && (text.starts_with("\"millrace.") || text == "\"acks.all.durability\""));
        members.iter().any(own)
    }

    fn collect(&self, path: String, fields: &mut BTreeMap<String, String>) {
        match self {
            Value::Leaf(text) => {
                fields.insert(path.clone(), normal(&path, text));
            }
            Value::Struct(members) => {
                let dot = if path.is_empty() { "" } else { "." };
                members.iter().for_each(|(name, value)| value.collect(format!("{path}{dot}{name}"), fields));
            }
            Value::Array(elements) => {
                let mut sorted: Vec<&Value> = elements.iter().filter(|element| !element.is_own_key()).collect();
                if elements.iter().all(|element| matches!(element, Value::Struct(_))) {
                    sorted.sort_by_cached_key(|element| element.order());
                }
                if sorted.is_empty() {
                    fields.insert(path.clone(), "[]".into());
                }
                sorted
                    .iter()
                    .enumerate()
                    .for_each(|(index, element)| element.collect(format!("{path}[{index}]"), fields));
            }
        }
    }
}

/// Fields by path: `topics[0].partitions[1].error_code` -> `0`.
fn flatten(text: &str) -> BTreeMap<String, String> {
    let mut lines = text.lines();
    let head = lines.next().expect("a message has a name");
    let mut fields = BTreeMap::new();
    Value::read(head, &mut lines).collect(String::new(), &mut fields);
    fields
}

/// Sets aside what each broker chooses for itself.
fn normal(path: &str, value: &str) -> String {
    const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    let field = path.rsplit('.').next().unwrap_or_default();
    let chosen = match field {
        "throttle_time_ms" => true,
        "producer_id" | "session_id" | "log_append_time_ms" | "last_fetch_timestamp" | "last_caught_up_timestamp" => {
            value.parse::<i64>().is_ok_and(|number| number > 0 || (field == "producer_id" && number == 0))
        }
        "total_bytes" | "usable_bytes" => value.parse::<i64>().is_ok_and(|number| number > 0),
        "topic_id" | "replica_directory_id" => !value.contains(NO_ID) && !value.contains('<'),
        _ => false,
    };
    if chosen {
        return format!("<{field}>");
    }
    // The times that are allowed now stand in the message about one that isn't.
    match value.split_once("should be within [") {
        Some((before, _)) => format!("{before}should be within <now>"),
        None => value.to_string(),
    }
}

/// Replaces a value where it is not a part of a longer number.
fn replace_whole(text: &str, value: &str, name: &str) -> String {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let mut replaced = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in text.match_indices(value) {
        let end = at + value.len();
        let inside = (is_digit(value.as_bytes().first()) && is_digit(text.as_bytes()[..at].last()))
            || (is_digit(value.as_bytes().last()) && is_digit(text.as_bytes().get(end)));
        replaced.push_str(&text[done..at]);
        replaced.push_str(if inside { value } else { name });
        done = end;
    }
    replaced + &text[done..]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
