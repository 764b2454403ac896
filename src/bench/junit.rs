//! Checks as a JUnit file: what every CI server shows.

use std::fmt::Write;

use super::check::{Case, Checks, Outcome};
use super::results::Results;

/// The XML: one test case per check. Runs that can't be judged are skipped, broken promises failures, lost records and a session
/// that ended early errors.
pub fn junit(results: &Results, checks: &Checks) -> String {
    let count = |kind: fn(&Outcome) -> bool| checks.cases.iter().filter(|case| kind(&case.outcome)).count();
    let totals = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\"",
        checks.cases.len(),
        count(|it| matches!(it, Outcome::Broken(_))),
        count(|it| matches!(it, Outcome::Incorrect(_) | Outcome::Partial(_))),
        count(|it| matches!(it, Outcome::Unknown(_))),
        results.took_s
    );
    let name = escape(&format!("millrace bench {}", results.title));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites {totals}>\n  <testsuite name=\"{name}\" {totals}>");
    for case in &checks.cases {
        let time = results.run(&case.about).map_or(0.0, |run| run.warmup_s + run.measured_s);
        let _ = write!(xml, "    {}", test_case(case, time));
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn test_case(case: &Case, time: f64) -> String {
    let (about, question) = (escape(&case.about), escape(&case.question));
    let head = format!("<testcase classname=\"{about}\" name=\"{question}\" time=\"{time:.3}\">");
    let body = match &case.outcome {
        Outcome::Passed(text) => format!("<system-out>{}</system-out>", escape(text)),
        Outcome::Broken(text) => format!("<failure type=\"broken\" message=\"{}\"/>", escape(text)),
        Outcome::Incorrect(text) => format!("<error type=\"incorrect\" message=\"{}\"/>", escape(text)),
        Outcome::Partial(text) => format!("<error type=\"partial\" message=\"{}\"/>", escape(text)),
        Outcome::Unknown(text) => format!("<skipped message=\"{}\"/>", escape(text)),
    };
    format!("{head}{body}</testcase>\n")
}

/// Text for XML 1.0: marks escaped, and characters that XML can't hold at all replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_element_and_nothing_breaks_out() {
        let case =
            |question: &str, outcome| Case { about: "01-\"a\"<b>".to_owned(), question: question.to_owned(), outcome };
        let checks = Checks {
            cases: vec![
                case("one", Outcome::Passed("fine".to_owned())),
                case("two", Outcome::Broken("p99 is 6 ms & more".to_owned())),
                case("three", Outcome::Incorrect("3 lost".to_owned())),
                case("five", Outcome::Partial("interrupted".to_owned())),
                case("four", Outcome::Unknown("invalid\u{1}".to_owned())),
            ],
        };
        let xml = junit(&Results { title: "quick".to_owned(), ..Results::default() }, &checks);
        assert!(xml.contains("tests=\"5\" failures=\"1\" errors=\"2\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("classname=\"01-&quot;a&quot;&lt;b&gt;\" name=\"two\""));
        assert!(xml.contains("message=\"p99 is 6 ms &amp; more\""));
        assert!(xml.contains("message=\"invalid\u{FFFD}\""));
        for element in ["testsuites", "testsuite", "testcase", "system-out"] {
            let (opened, closed) = (format!("<{element} "), format!("</{element}>"));
            let opened = xml.matches(&opened).count() + xml.matches(&format!("<{element}>")).count();
            assert_eq!(opened, xml.matches(&closed).count(), "{element}");
        }
    }
}
