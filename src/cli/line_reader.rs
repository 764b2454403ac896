//! Lines of text to records: the console producer's reader (`parse.key`, `parse.headers`, `null.marker`, ...).

use std::io::{self, BufRead};

use super::output::Failure;
use crate::client::{ProducerRecord, Properties};

/// How a line is taken apart.
#[derive(Debug, Clone)]
pub struct LineFormat {
    topic: String,
    parse_key: bool,
    parse_headers: bool,
    ignore_error: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: regex::bytes::Regex,
    headers_key_separator: String,
    null_marker: Option<String>,
}

impl LineFormat {
    /// The format that the reader properties ask for. Separators that can't be told apart are refused.
    pub fn new(topic: &str, properties: &Properties) -> Result<Self, Failure> {
        let flag = |key| properties.get(key).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
        let text = |key, default: &str| properties.get(key).unwrap_or(default).to_string();
        let headers_separator = text("headers.separator", ",");
        let format = LineFormat {
            topic: topic.to_string(),
            parse_key: flag("parse.key"),
            parse_headers: flag("parse.headers"),
            ignore_error: flag("ignore.error"),
            key_separator: text("key.separator", "\t"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: regex::bytes::Regex::new(&headers_separator)
                .map_err(|_| Failure::message(format!("headers.separator={headers_separator} is an invalid regex.")))?,
            headers_key_separator: text("headers.key.separator", ":"),
            null_marker: properties.get("null.marker").map(str::to_string),
        };
        format.check(&headers_separator)?;
        Ok(format)
    }

    fn check(&self, headers_separator: &str) -> Result<(), Failure> {
        let differ = |a_name: &str, a: &str, b_name: &str, b: Option<&str>| match b == Some(a) {
            true => Err(Failure::message(format!("{a_name} and {b_name} may not be equal"))),
            false => Ok(()),
        };
        let key_separator = Some(self.headers_key_separator.as_str());
        let null_marker = self.null_marker.as_deref();
        differ("headers.delimiter", &self.headers_delimiter, "headers.separator", Some(headers_separator))?;
        differ("headers.delimiter", &self.headers_delimiter, "headers.key.separator", key_separator)?;
        differ("headers.separator", headers_separator, "headers.key.separator", key_separator)?;
        differ("null.marker", null_marker.unwrap_or("\0"), "key.separator", Some(&self.key_separator))?;
        differ("null.marker", null_marker.unwrap_or("\0"), "headers.separator", Some(headers_separator))?;
        differ("null.marker", null_marker.unwrap_or("\0"), "headers.delimiter", Some(&self.headers_delimiter))?;
        differ("null.marker", null_marker.unwrap_or("\0"), "headers.key.separator", key_separator)
    }

    /// The record that `line` stands for. Lines count from 1.
    pub fn parse(&self, line: &[u8], number: u64) -> Result<ProducerRecord, Failure> {
        let mut rest = line;
        let mut take = |enabled: bool, separator: &str, what: &str| -> Result<Option<&[u8]>, Failure> {
            if !enabled {
                return Ok(None);
            }
            match find(rest, separator.as_bytes()) {
                Some(at) => {
                    let part = &rest[..at];
                    rest = &rest[at + separator.len()..];
                    Ok(Some(part))
                }
                None if self.ignore_error => Ok(None),
                None => {
                    let line = String::from_utf8_lossy(line);
                    Err(Failure::message(format!("No {what} found on line number {number}: '{line}'")))
                }
            }
        };
        let headers = take(self.parse_headers, &self.headers_delimiter, "headers delimiter")?;
        let key = take(self.parse_key, &self.key_separator, "key separator")?;
        let headers = match headers.filter(|headers| !self.is_null(headers)) {
            Some(headers) => self.parse_headers(headers, number)?,
            None => Vec::new(),
        };
        let bytes = |part: &[u8]| (!self.is_null(part)).then(|| part.to_vec());
        Ok(ProducerRecord {
            topic: self.topic.clone(),
            partition: None,
            timestamp: None,
            key: key.and_then(bytes),
            value: bytes(rest),
            headers,
            ..Default::default()
        })
    }

    fn parse_headers(&self, headers: &[u8], number: u64) -> Result<Vec<(String, Option<Vec<u8>>)>, Failure> {
        let separator = self.headers_key_separator.as_bytes();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut pairs: Vec<&[u8]> = self.headers_separator.split(headers).collect();
        // Java's split drops empty pieces at the end.
        while pairs.len() > 1 && pairs.last().is_some_and(|pair| pair.is_empty()) {
            pairs.pop();
        }
        let parse = |pair: &[u8]| match find(pair, separator) {
            None if self.ignore_error => Ok((text(pair), None)),
            None => {
                let pair = text(pair);
                Err(Failure::message(format!("No header key separator found in pair '{pair}' on line number {number}")))
            }
            Some(at) if self.is_null(&pair[..at]) => Err(Failure::message(format!(
                "Header keys should not be equal to the null marker '{}' as they can't be null",
                text(&pair[..at])
            ))),
            Some(at) => {
                let value = &pair[at + separator.len()..];
                Ok((text(&pair[..at]), (!self.is_null(value)).then(|| value.to_vec())))
            }
        };
        pairs.into_iter().map(parse).collect()
    }

    fn is_null(&self, part: &[u8]) -> bool {
        self.null_marker.as_ref().is_some_and(|marker| marker.as_bytes() == part)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Lines of `input` in pieces: each call gives what one read of the input completes. A line ends with `\n`, `\r\n` or `\r`.
#[derive(Debug)]
pub struct LineReader<R> {
    input: R,
    partial: Vec<u8>,
    skip_line_feed: bool,
}

impl<R: BufRead> LineReader<R> {
    /// Lines of `input`.
    pub fn new(input: R) -> Self {
        LineReader { input, partial: Vec::new(), skip_line_feed: false }
    }

    /// The next complete lines; `None` at the end of the input.
    pub fn next_lines(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                let last = std::mem::take(&mut self.partial);
                return Ok(if last.is_empty() { None } else { Some(vec![last]) });
            }
            let consumed = buffer.len();
            let mut lines = Vec::new();
            let mut rest = buffer;
            while !rest.is_empty() {
                if std::mem::take(&mut self.skip_line_feed) && rest[0] == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
                let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                    self.partial.extend_from_slice(rest);
                    break;
                };
                self.partial.extend_from_slice(&rest[..end]);
                self.skip_line_feed = rest[end] == b'\r';
                lines.push(std::mem::take(&mut self.partial));
                rest = &rest[end + 1..];
            }
            self.input.consume(consumed);
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(pairs: &[&str]) -> Result<LineFormat, Failure> {
        LineFormat::new("t", &Properties::from_pairs(pairs.iter().copied()))
    }

    fn parse(pairs: &[&str], line: &str) -> Result<ProducerRecord, String> {
        format(pairs).expect("valid format").parse(line.as_bytes(), 1).map_err(|failure| failure.to_string())
    }

    #[test]
    fn headers_come_before_the_key_and_the_key_before_the_value() {
        let record = parse(&["parse.headers=true", "parse.key=true"], "a:1,b:2\tk\tv\tx").expect("valid");
        let header = |key: &str, value: &str| (key.to_string(), Some(value.as_bytes().to_vec()));
        assert_eq!(record.headers, [header("a", "1"), header("b", "2")]);
        assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"k"[..]), Some(&b"v\tx"[..])));
    }

    #[test]
    fn missing_separator_is_an_error_unless_ignored() {
        let error = parse(&["parse.key=true", "key.separator=:"], "abc").expect_err("no separator");
        assert_eq!(error, "No key separator found on line number 1: 'abc'");
        let record = parse(&["parse.key=true", "ignore.error=true"], "abc").expect("ignored");
        assert_eq!((record.key, record.value), (None, Some(b"abc".to_vec())));
        assert!(parse(&["parse.headers=true"], "ab\tv").expect_err("no pair").contains("pair 'ab'"));
    }

    #[test]
    fn null_marker_makes_key_value_and_header_values_null() {
        let pairs = ["parse.key=true", "parse.headers=true", "null.marker=NULL"];
        let record = parse(&pairs, "a:NULL\tNULL\tNULL").expect("valid");
        assert_eq!((record.key, record.value, record.headers), (None, None, vec![("a".to_string(), None)]));
        assert!(parse(&pairs, "NULL:x\tk\tv").is_err());
        assert!(parse(&pairs, "NULL\tk\tv").expect("no headers").headers.is_empty());
    }

    #[test]
    fn equal_separators_are_refused() {
        assert!(format(&["headers.separator=\t"]).is_err());
        assert!(format(&["null.marker=:"]).is_err());
        assert!(format(&["null.marker=x"]).is_ok());
    }

    #[test]
    fn lines_end_with_any_newline_and_the_last_needs_none() {
        let mut reader = LineReader::new(io::BufReader::with_capacity(2, &b"a\r\nb\rc\n\nlast"[..]));
        let mut lines = Vec::new();
        while let Some(more) = reader.next_lines().expect("memory can't fail") {
            lines.extend(more);
        }
        assert_eq!(lines, [&b"a"[..], b"b", b"c", b"", b"last"]);
    }
}
