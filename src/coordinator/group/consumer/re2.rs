//! Patterns in RE2's syntax, which is Kafka's for subscriptions, for the `regex` crate, which differs in a few places.
//!
//! | RE2 | `regex` |
//! |---|---|
//! | `\Q...\E` is literal text | unknown: the text is escaped here |
//! | `[a&&b]`, `[a--b]`, `[a~~b]`, `[[a]` are sets of characters | operations on sets: the characters are escaped here |
//! | `{` is text where it begins no repetition, and `a**` is an error | an error, and fine: both are settled here |
//! | `\pN`, `\d`, `\w` know ASCII or Unicode | Unicode; topics' names are ASCII |

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::ErrorKind;

/// Bytes that a compiled pattern may take: a bound on what a client can make us hold.
const SIZE_MAX: usize = 1 << 20;

/// A pattern that must match a whole name; or what is wrong with it, in RE2's words.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern)?;
    let parsed = regex_syntax::ast::parse::Parser::new().parse(&translated);
    if let Err(error) = parsed {
        return Err(describe(error.kind(), &translated, error.span()));
    }
    let whole = format!("^(?:{translated})$");
    let compiled = RegexBuilder::new(&whole).size_limit(SIZE_MAX).build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "expression is too large".to_owned(),
        _ => "invalid escape sequence".to_owned(),
    })
}

/// RE2's syntax in that of the `regex` crate, or what RE2 alone refuses.
fn translate(pattern: &str) -> Result<String, String> {
    let mut translated = String::with_capacity(pattern.len());
    let mut rest = pattern;
    // The last thing was a repetition.
    let mut repeated = false;
    while let Some(next) = rest.chars().next() {
        let was_repeated = std::mem::take(&mut repeated);
        let taken = match next {
            '\\' if rest.starts_with(r"\Q") => {
                let (literal, behind) = rest[2..].split_once(r"\E").unwrap_or((&rest[2..], ""));
                translated.push_str(&regex::escape(literal));
                rest.len() - behind.len()
            }
            '\\' => {
                let escaped = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                translated.push_str(&rest[..escaped]);
                escaped
            }
            '[' => translate_class(rest, &mut translated),
            '*' | '+' | '?' | '{' => match repetition(rest) {
                Some(_) if was_repeated => return Err("invalid nested repetition operator".to_owned()),
                Some(len) => {
                    translated.push_str(&rest[..len]);
                    repeated = true;
                    len
                }
                None => {
                    translated.push_str(r"\{");
                    1
                }
            },
            _ => {
                translated.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Ok(translated)
}

/// The length of the repetition that a text begins with; `None` when its brace is a character like others.
fn repetition(text: &str) -> Option<usize> {
    let len = match text.strip_prefix('{') {
        None => 1,
        Some(counts) => {
            let counts = counts.split_once('}')?.0;
            let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
            let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if least.is_empty() || !are_digits(least) || !are_digits(most) {
                return None;
            }
            counts.len() + 2
        }
    };
    Some(len + usize::from(text[len..].starts_with('?')))
}

/// Translates the set of characters that a text begins with; answers its length.
fn translate_class(text: &str, translated: &mut String) -> usize {
    let opened = if text.starts_with("[^") { 2 } else { 1 };
    translated.push_str(&text[..opened]);
    let mut at = opened;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let taken = match next {
            '\\' => {
                let escaped = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                translated.push_str(&rest[..escaped]);
                escaped
            }
            '[' if rest.starts_with("[:") && rest.contains(":]") => {
                let len = rest.find(":]").map_or(1, |end| end + 2);
                translated.push_str(&rest[..len]);
                len
            }
            ']' if at > opened => {
                translated.push(next);
                return at + 1;
            }
            '[' | ']' | '&' | '~' => {
                translated.extend(['\\', next]);
                1
            }
            '-' if text[..at].ends_with('-') => {
                translated.push_str(r"\-");
                1
            }
            _ => {
                translated.push(next);
                next.len_utf8()
            }
        };
        at += taken;
    }
    text.len()
}

/// What is wrong, in RE2's words, with the place where it has one.
fn describe(kind: &ErrorKind, pattern: &str, span: &regex_syntax::ast::Span) -> String {
    let place = pattern.get(span.start.offset..span.end.offset).unwrap_or_default();
    match kind {
        ErrorKind::ClassUnclosed => "missing closing ]".to_owned(),
        ErrorKind::GroupUnclosed => "missing closing )".to_owned(),
        ErrorKind::GroupUnopened => "regexp/syntax: internal error".to_owned(),
        ErrorKind::RepetitionMissing => "missing argument to repetition operator".to_owned(),
        ErrorKind::EscapeUnexpectedEof => "trailing backslash at end of expression".to_owned(),
        ErrorKind::ClassRangeInvalid => "invalid character class range".to_owned(),
        ErrorKind::RepetitionCountInvalid
        | ErrorKind::RepetitionCountUnclosed
        | ErrorKind::RepetitionCountDecimalEmpty => "invalid repeat count".to_owned(),
        ErrorKind::GroupNameDuplicate { .. }
        | ErrorKind::GroupNameEmpty
        | ErrorKind::GroupNameInvalid
        | ErrorKind::GroupNameUnexpectedEof => "invalid named capture".to_owned(),
        ErrorKind::FlagUnrecognized | ErrorKind::FlagUnexpectedEof | ErrorKind::UnsupportedLookAround => {
            "invalid or unsupported Perl syntax".to_owned()
        }
        _ if place.starts_with('\\') => "invalid escape sequence".to_owned(),
        _ => "invalid escape sequence".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names_as_re2_does() {
        let cases = [
            ("a.*", "abc", true),
            ("a", "ab", false),
            ("a|bc", "bc", true),
            ("a|bc", "xbc", false),
            (r"\Qa.b\E.", "a.bc", true),
            (r"\Qa.b\E.", "axbc", false),
            (r"\Qa.b", "a.b", true),
            ("[a-c&&b]+", "a&", true),
            ("[[a]+", "[a", true),
            ("[+--]+", "+,-", true),
            ("[]a]+", "]a", true),
            ("[^]a]+", "bc", true),
            ("[[:digit:]x]+", "12x", true),
            (r"[\]a]+", "]a", true),
            ("t-[0-9]+", "t-12", true),
            ("[a-z_.-]+", "a_b.c-d", true),
            ("", "", true),
            ("a{1,", "a{1,", true),
            ("a{1,2}?b{2}", "aabb", true),
            ("{x}", "{x}", true),
            (r"\*+", "**", true),
        ];
        for (pattern, name, matches) in cases {
            let compiled = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.is_match(name), matches, "{pattern} and {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told_in_re2s_words() {
        let cases = [
            ("[", "missing closing ]"),
            ("(a", "missing closing )"),
            ("*", "missing argument to repetition operator"),
            ("a\\", "trailing backslash at end of expression"),
            ("[b-a]", "invalid character class range"),
            ("(?P<>a)", "invalid named capture"),
            ("a**", "invalid nested repetition operator"),
            ("a{2}+", "invalid nested repetition operator"),
        ];
        for (pattern, text) in cases {
            assert_eq!(compile(pattern).map(|_| ()), Err(text.to_owned()), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_grows_too_large_is_refused() {
        assert!(compile("((a{100}){100}){100}").is_err());
    }
}
