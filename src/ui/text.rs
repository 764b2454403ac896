//! Bytes of strangers, made fit to be read: text, JSON, hex, base64; control and bidirectional characters made visible.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// How a key or a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON where it is some, text where it is some, hex otherwise.
    Auto,
    /// As UTF-8.
    Text,
    /// As JSON with indents.
    Json,
    /// As a hex dump.
    Hex,
    /// As base64.
    Base64,
}

impl Form {
    /// All, by the name in queries.
    pub const ALL: [(&'static str, Form); 5] = [
        ("auto", Form::Auto),
        ("text", Form::Text),
        ("json", Form::Json),
        ("hex", Form::Hex),
        ("base64", Form::Base64),
    ];

    /// The form of this name; `Auto` for every other.
    pub fn named(name: &str) -> Form {
        Form::ALL.iter().find(|(known, _)| *known == name).map_or(Form::Auto, |(_, form)| *form)
    }
}

/// Bytes as a person reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `json`, `text`, `hex`, `base64`.
    pub kind: &'static str,
    /// What to print; safe to print, but to be escaped.
    pub text: String,
    /// Bytes that were left out at the end.
    pub cut: usize,
}

/// Whether a character changes how others look, or can't be seen.
fn is_unseen(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    let is_bidi = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    let is_blank = matches!(
        c,
        '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{ad}'
    );
    is_control || is_bidi || is_blank
}

/// Text in which everything can be seen: `\u{202e}` stands for the character that turns the line round.
pub fn visible(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            let _ = write!(seen, "\\u{{{:x}}}", u32::from(c));
        } else {
            seen.push(c);
        }
    }
    seen
}

/// Whether the bytes are text that people write.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    (!text.chars().any(odd)).then_some(text)
}

fn as_json(bytes: &[u8]) -> Option<String> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace())?;
    if !matches!(first, b'{' | b'[') {
        return None;
    }
    let value: Value = serde_json::from_slice(bytes).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

/// `bytes` in `form`, of which at most `len_max` bytes are shown.
pub fn show(bytes: &[u8], form: Form, len_max: usize) -> Shown {
    let part = &bytes[..bytes.len().min(len_max)];
    let cut = bytes.len() - part.len();
    let text = |cut: usize| {
        // A cut inside a character is ours, not the sender's.
        let end =
            (part.len().saturating_sub(3)..=part.len()).rev().find(|end| std::str::from_utf8(&part[..*end]).is_ok());
        let end = end.filter(|_| cut > 0).unwrap_or(part.len());
        visible(&String::from_utf8_lossy(&part[..end]))
    };
    match form {
        Form::Auto if cut == 0 => match (as_json(bytes), as_text(bytes)) {
            (Some(json), _) => Shown { kind: "json", text: visible(&json), cut },
            (None, Some(plain)) => Shown { kind: "text", text: visible(plain), cut },
            (None, None) => Shown { kind: "hex", text: hex_dump(bytes), cut },
        },
        Form::Auto if as_text(bytes).is_some() => Shown { kind: "text", text: text(cut), cut },
        Form::Auto | Form::Hex => Shown { kind: "hex", text: hex_dump(part), cut },
        Form::Text => Shown { kind: "text", text: text(cut), cut },
        Form::Json => match as_json(bytes) {
            Some(json) if json.len() <= len_max.saturating_mul(2) => {
                Shown { kind: "json", text: visible(&json), cut: 0 }
            }
            _ => Shown { kind: "text", text: text(cut), cut },
        },
        Form::Base64 => Shown { kind: "base64", text: STANDARD.encode(part), cut },
    }
}

/// One line that tells what is in there.
pub fn preview(bytes: &[u8], form: Form, chars_max: usize) -> String {
    // Four bytes are the most that a character takes.
    let part = &bytes[..bytes.len().min(chars_max * 4)];
    let is_text = match form {
        Form::Auto => as_text(bytes).is_some(),
        Form::Text | Form::Json => true,
        Form::Hex | Form::Base64 => false,
    };
    let text = match form {
        _ if is_text => visible(&String::from_utf8_lossy(part)).split_whitespace().collect::<Vec<_>>().join(" "),
        Form::Base64 => STANDARD.encode(part),
        _ => hex(&bytes[..bytes.len().min(chars_max / 3 + 1)]),
    };
    let mut line: String = text.chars().take(chars_max).collect();
    if line.len() < text.len() || (!is_text && bytes.len() > chars_max / 3 + 1) {
        line.push('…');
    }
    line
}

/// `00 ff 10`
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02x}", if index > 0 { " " } else { "" });
    }
    text
}

/// Sixteen bytes a line: position, hex, ASCII.
fn hex_dump(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 5);
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let ascii: String =
            chunk.iter().map(|byte| if (0x20..0x7f).contains(byte) { *byte as char } else { '.' }).collect();
        let _ = writeln!(text, "{:08x}  {:<47}  {ascii}", line * 16, hex(chunk));
    }
    text
}

/// Bytes from what a person typed. The error is a sentence.
pub fn read(text: &str, form: &str) -> Result<Vec<u8>, String> {
    match form {
        "hex" => {
            let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
            bytes.ok_or_else(|| "hex has two digits a byte, such as '00 ff 1a'".to_owned())
        }
        "base64" => STANDARD.decode(text.trim()).map_err(|error| format!("this is no base64: {error}")),
        _ => Ok(text.replace("\r\n", "\n").into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_spelled_out() {
        assert_eq!(visible("a\u{202e}b\0c\u{200b}d\n"), "a\\u{202e}b\\u{0}c\\u{200b}d\n");
        assert_eq!(visible("plain <script> ü 漢"), "plain <script> ü 漢");
    }

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        let auto = |bytes: &[u8]| show(bytes, Form::Auto, 1000);
        assert_eq!(auto(b"{\"a\":1}"), Shown { kind: "json", text: "{\n  \"a\": 1\n}".into(), cut: 0 });
        assert_eq!((auto(b"{broken").kind, auto(b"7").kind), ("text", "text"));
        assert_eq!(auto(b"\xff\0A").text, "00000000  ff 00 41                                         ..A\n");
        assert_eq!(auto(b"").kind, "text");
        assert_eq!(show(b"\xff\0A", Form::Text, 10).text, "\u{fffd}\\u{0}A");
        assert_eq!(show(b"\xff\0A", Form::Base64, 10).text, "/wBB");
        assert_eq!(show("äöü".as_bytes(), Form::Auto, 3), Shown { kind: "text", text: "ä".into(), cut: 3 });
        let deep = "[".repeat(100_000);
        assert_eq!(show(deep.as_bytes(), Form::Json, 10).kind, "text");
    }

    #[test]
    fn previews_are_one_short_line() {
        assert_eq!(preview(b"a\n  b\tc", Form::Auto, 80), "a b c");
        assert_eq!(preview(&[b'x'; 100], Form::Auto, 10), format!("{}…", "x".repeat(10)));
        assert_eq!(preview(b"\x00\x01", Form::Auto, 80), "00 01");
        assert_eq!(preview(&"漢".repeat(50).into_bytes(), Form::Auto, 3), "漢漢漢…");
    }

    #[test]
    fn what_was_typed_becomes_bytes() {
        assert_eq!(read("00 fF\n1a", "hex"), Ok(vec![0, 255, 26]));
        assert!(read("0", "hex").is_err() && read("zz", "hex").is_err() && read("漢a", "hex").is_err());
        assert_eq!(read("AAE=", "base64"), Ok(vec![0, 1]));
        assert!(read("*", "base64").is_err());
        assert_eq!(read("a\r\nb", "text"), Ok(b"a\nb".to_vec()));
    }
}
