//! What fits: text, a regular expression or a JSON path, in key, value or headers.

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;
use serde_json_path::JsonPath;

/// Compiled regular expressions may take so much memory.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// The longest filter.
const FILTER_CHARS_MAX: usize = 2000;

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Key, value, header names and header values.
    Any,
    /// The key.
    Key,
    /// The value.
    Value,
    /// Names and values of the headers; text is looked for in `name: value`, too.
    Headers,
}

impl Target {
    /// All, by their name in queries.
    pub const ALL: [(&'static str, Target); 4] =
        [("any", Target::Any), ("key", Target::Key), ("value", Target::Value), ("headers", Target::Headers)];
}

/// How a filter is meant, by the name in queries.
pub const KINDS: [(&str, &str); 3] = [("text", "contains"), ("regex", "regular expression"), ("json", "JSON path")];

#[derive(Clone, Debug)]
enum Matcher {
    Regex(Regex),
    Json(JsonPath),
}

/// A filter, ready to be used.
#[derive(Clone, Debug)]
pub struct Filter {
    target: Target,
    matcher: Matcher,
}

/// The parts of a record that a filter looks at.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: crate::record::Headers<'a>,
}

impl Filter {
    /// A filter as the form has it; `None` if there is nothing to look for. The error is a sentence.
    pub fn new(target: &str, kind: &str, text: &str) -> Result<Option<Filter>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.chars().count() > FILTER_CHARS_MAX {
            return Err(format!("the filter is longer than {FILTER_CHARS_MAX} characters"));
        }
        let target = match target {
            "" => Target::Any,
            name => Target::ALL
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, target)| *target)
                .ok_or_else(|| format!("in={name}: filters look in any, key, value or headers"))?,
        };
        let regex = |pattern: &str, any_case: bool| {
            let built = RegexBuilder::new(pattern).case_insensitive(any_case).size_limit(REGEX_BYTES_MAX).build();
            built.map_err(|error| format!("the regular expression is not understood: {error}"))
        };
        let matcher = match kind {
            "" | "text" => Matcher::Regex(regex(&regex::escape(text), true)?),
            "regex" => Matcher::Regex(regex(text, false)?),
            "json" => Matcher::Json(JsonPath::parse(text).map_err(|error| {
                format!("the JSON path is not understood: {error}; $.order.id and $[?@.amount > 5] are some")
            })?),
            other => return Err(format!("kind={other}: filters are text, regex or json")),
        };
        Ok(Some(Filter { target, matcher }))
    }

    /// Whether a record fits.
    pub fn fits(&self, parts: &Parts<'_>) -> bool {
        let in_bytes = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| self.is_in(bytes));
        let in_headers = || {
            parts.headers.into_iter().any(|(name, value)| {
                let value = value.unwrap_or_default();
                self.is_in(name) || self.is_in(value) || self.is_in(&[name, b": ", value].concat())
            })
        };
        match self.target {
            Target::Key => in_bytes(parts.key),
            Target::Value => in_bytes(parts.value),
            Target::Headers => in_headers(),
            Target::Any => in_bytes(parts.key) || in_bytes(parts.value) || in_headers(),
        }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Regex(regex) => regex.is_match(bytes),
            Matcher::Json(path) => {
                let value = serde_json::from_slice::<Value>(bytes);
                value.is_ok_and(|value| !path.query(&value).is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Batches, Decompressor, decode_records};

    /// Whether `filter` fits a record with this key, value and the header `trace: abc`.
    fn fits(filter: (&str, &str, &str), key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
        let filter = Filter::new(filter.0, filter.1, filter.2).expect("valid").expect("not empty");
        let headers = [(&b"trace"[..], Some(&b"abc"[..]))];
        let bytes = BatchBuilder::new().append(0, key, value, &headers).build();
        let batch = Batches::new(&bytes).next().expect("one").expect("valid");
        let mut decompressor = Decompressor::default();
        let record =
            decode_records(&batch, &mut decompressor, 1000).expect("plain").next().expect("one").expect("valid");
        filter.fits(&Parts { key: record.key, value: record.value, headers: record.headers })
    }

    #[test]
    fn text_is_found_where_it_is_looked_for() {
        assert!(fits(("value", "text", "ORDER"), None, Some(b"an order")));
        assert!(!fits(("key", "text", "order"), None, Some(b"an order")));
        assert!(fits(("any", "text", "a.c"), Some(b"a.c"), None) && !fits(("key", "text", "a.c"), Some(b"abc"), None));
        assert!(fits(("headers", "text", "trace: ab"), None, None) && fits(("any", "", "abc"), None, None));
        assert!(fits(("value", "text", "ö"), None, Some("Ö".as_bytes())));
    }

    #[test]
    fn expressions_and_paths_are_understood() {
        assert!(fits(("value", "regex", "^a.c$"), None, Some(b"abc")));
        assert!(!fits(("value", "regex", "^A.c$"), None, Some(b"abc")));
        assert!(fits(("value", "regex", r"(?-u)\xff"), None, Some(b"\xff\x00")));
        let order = br#"{"order": {"id": 7, "lines": [{"sku": "x"}]}}"#;
        assert!(fits(("value", "json", "$.order.id"), None, Some(order)));
        assert!(fits(("value", "json", "$..lines[?@.sku == 'x']"), None, Some(order)));
        assert!(!fits(("value", "json", "$.order[?@.id > 8]"), None, Some(order)));
        assert!(!fits(("value", "json", "$.order"), None, Some(b"no json")));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        assert!(Filter::new("any", "text", "").expect("nothing").is_none());
        for (target, kind, text) in [
            ("any", "regex", "("),
            ("any", "json", "order"),
            ("where", "text", "x"),
            ("any", "sql", "x"),
            ("any", "regex", "(a{1000}){1000}"),
        ] {
            assert!(Filter::new(target, kind, text).is_err(), "{target} {kind} {text}");
        }
        assert!(Filter::new("any", "text", &"x".repeat(5000)).is_err());
    }
}
