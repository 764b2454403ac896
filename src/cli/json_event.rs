//! Lines of JSON that tell what happened, as Kafka's verifiable clients print them.

use std::fmt::{self, Write};
use std::io::Write as _;
use std::time::SystemTime;

use super::output::{Outcome, Output};

/// One line in the making. Fields keep their order.
#[derive(Debug)]
pub struct Event(String);

impl Event {
    /// An event of this moment.
    pub fn new(name: &str) -> Event {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_millis());
        Event(format!("{{\"timestamp\":{now},\"name\":{}", quoted(name)))
    }

    /// The same with one more field, whose value is JSON already.
    pub fn field(mut self, name: &str, value: impl fmt::Display) -> Event {
        let written = write!(self.0, ",{}:{value}", quoted(name));
        written.expect("a string takes everything");
        self
    }

    /// Prints it at once: somebody waits for it.
    pub fn print(self, out: &mut Output) -> Outcome {
        out.line(format_args!("{}}}", self.0))?;
        out.flush()?;
        Ok(())
    }
}

/// A text as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text as JSON, or `null`.
pub fn quoted_or_null(text: Option<&str>) -> String {
    text.map_or("null".to_owned(), quoted)
}

/// A list as JSON.
pub fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// `{"topic":"t","partition":0}`
pub fn partition((topic, index): &(String, i32)) -> String {
    format!("{{\"topic\":{},\"partition\":{index}}}", quoted(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json() {
        let event = Event::new("x").field("a", 1).field("b", quoted("q\"uote")).field("c", quoted_or_null(None));
        let event = event.field("d", list([partition(&("t".to_owned(), 3))].into_iter()));
        let parsed: serde_json::Value = serde_json::from_str(&format!("{}}}", event.0)).expect("it is JSON");
        assert_eq!(parsed["b"], "q\"uote");
        assert_eq!(parsed["d"][0]["partition"], 3);
        assert!(event.0.starts_with("{\"timestamp\":"));
    }
}
