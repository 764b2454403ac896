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
            text = text.replace(value, name);
        }
        Outcome::Answer(flatten(&text))
    }

    fn summary(&self) -> String {
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

/// Fields by path, from the text that `{:#?}` gives: `topics[0].partitions[1].error_code` -> `0`.
fn flatten(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    // For each open bracket: the path so far and how many nameless elements it had; `Some(` has none of its own.
    let mut open: Vec<(String, Option<usize>)> = Vec::new();
    for line in text.lines() {
        let line = line.trim().trim_end_matches(',');
        if matches!(line, "}" | "]" | ")") {
            open.pop();
            continue;
        }
        let (name, value) = match line.split_once(": ") {
            Some((name, value)) if name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') => {
                (Some(name), value)
            }
            _ => (None, line),
        };
        let path = match (open.last_mut(), name) {
            (None, _) => String::new(),
            (Some((parent, _)), Some(name)) if parent.is_empty() => name.to_string(),
            (Some((parent, _)), Some(name)) => format!("{parent}.{name}"),
            (Some((parent, None)), None) => parent.clone(),
            (Some((parent, Some(count))), None) => {
                *count += 1;
                format!("{parent}[{}]", *count - 1)
            }
        };
        if value.ends_with(['{', '[', '(']) {
            open.push((path, (value != "Some(").then_some(0)));
        } else {
            let value = normal(&path, value);
            fields.insert(path, value);
        }
    }
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
    if chosen { format!("<{field}>") } else { value.to_string() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
