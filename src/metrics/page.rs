//! The page's text, written directly: for families that the library's encoder does not know (summaries, names that are only known
//! at run time) and for those of so many lines that its ways are too long (partitions).

use std::fmt::{Display, Write};

use super::instrument::Kind;

/// A page that grows.
#[derive(Debug, Default)]
pub(super) struct Page(pub(super) String);

impl Page {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter | Kind::Reasons => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    }

    /// A line: the family's name with a suffix such as `_total`, labels as they are between the braces, and the value.
    pub(super) fn line(&mut self, name: &str, suffix: &str, labels: &str, value: impl Display) {
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let _ = writeln!(self.0, "{name}{suffix}{open}{labels}{close} {value}");
    }
}

/// Labels as they stand between the braces.
pub(super) fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{name}=\"{}\"", escaped(value));
    }
    text
}

/// A value of a label may have any characters.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_labels_or_none() {
        let mut page = Page::default();
        page.family("a_b", Kind::Counter, "what it is");
        page.line("a_b", "_total", "", 7);
        page.line("a_b", "_total", &labels(&[("x", "1"), ("y", "a \"b\" \\")]), f64::NAN);
        let wanted =
            "# HELP a_b what it is.\n# TYPE a_b counter\na_b_total 7\na_b_total{x=\"1\",y=\"a \\\"b\\\" \\\\\"} NaN\n";
        assert_eq!(page.0, wanted);
    }
}
