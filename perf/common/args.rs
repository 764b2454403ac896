//! `--key value` arguments: the perf programs want no argument parser in their build.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The arguments of one perf program; unknown keys end the program.
pub struct Args {
    values: BTreeMap<String, String>,
}

impl Args {
    /// Reads `std::env::args`, refusing keys that are not in `known`.
    pub fn parse(known: &[&str]) -> Args {
        let mut values = BTreeMap::new();
        let mut rest = std::env::args().skip(1).peekable();
        while let Some(arg) = rest.next() {
            let Some(key) = arg.strip_prefix("--") else {
                crate::die(&format!("expected --key, found {arg}"));
            };
            if key == "bench" {
                continue; // Cargo adds it to every bench target.
            }
            if !known.contains(&key) {
                crate::die(&format!("unknown --{key}; known: {}", known.join(", ")));
            }
            let value = match rest.peek() {
                Some(next) if !next.starts_with("--") => rest.next().unwrap_or_default(),
                _ => "true".to_owned(),
            };
            values.insert(key.to_owned(), value);
        }
        Args { values }
    }

    /// The value of `key`, or `default` when it was not given.
    pub fn get<T: FromStr>(&self, key: &str, default: T) -> T {
        match self.values.get(key) {
            None => default,
            Some(text) => match text.parse() {
                Ok(value) => value,
                Err(_) => crate::die(&format!("--{key}: cannot read {text}")),
            },
        }
    }

    /// The value of `key` as text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// A size such as `65536`, `64k`, `2g`.
    pub fn bytes(&self, key: &str, default: u64) -> u64 {
        let Some(text) = self.values.get(key) else {
            return default;
        };
        let lower = text.to_lowercase();
        let (digits, unit) = match lower.strip_suffix(['k', 'm', 'g']) {
            Some(digits) if lower.ends_with('k') => (digits, 1 << 10),
            Some(digits) if lower.ends_with('m') => (digits, 1 << 20),
            Some(digits) => (digits, 1u64 << 30),
            None => (lower.as_str(), 1),
        };
        match digits.parse::<u64>() {
            Ok(number) => number * unit,
            Err(_) => crate::die(&format!("--{key}: cannot read {text}")),
        }
    }
}
