//! Produce one message.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::query::cursor_text;
use crate::client::{Producer, ProducerRecord};
use crate::ui::ask::{Ask, Fields};
use crate::ui::text::{read, visible};
use crate::ui::topics::{head, topic_link};
use crate::ui::trouble::Trouble;

/// Bytes of a message; the broker has the last word with `max.message.bytes`.
const MESSAGE_BYTES_MAX: &str = "2097152";
/// How long a message may take.
const DELIVERY_MS: &str = "8000";
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const FORMS: [(&str, &str); 4] = [("text", "text"), ("hex", "hex"), ("base64", "base64"), ("null", "null")];

/// The form.
pub async fn form_page(ask: Ask) -> Response {
    if let Err(trouble) = ask.changes() {
        return ask.trouble(&trouble);
    }
    let topic = ask.path("topic").to_owned();
    let content = form(&ask, &topic, None);
    ask.page(StatusCode::OK, &topic, content)
}

fn form(ask: &Ask, topic: &str, complaint: Option<&str>) -> Markup {
    let field = |name: &str| ask.form.raw(name).to_owned();
    let forms = |name: &str| {
        html! {
            select name=(name) aria-label=(format!("Form of the {}", name.trim_end_matches("_form"))) {
                @for (value, text) in FORMS { option value=(value) selected[field(name) == value] { (text) } }
            }
        }
    };
    html! {
        (head(ask, topic, "/produce"))
        @if let Some(complaint) = complaint { p.notice.bad role="alert" { (visible(complaint)) } }
        form.card.stack method="post" action=(topic_link(ask, topic, "/produce")) {
            (ask.token())
            div.title {
                label { "Partition (empty: by the key)" input type="number" name="partition" min="0" value=(field("partition")); }
                label { "Codec" select name="codec" { @for codec in CODECS { option selected[field("codec") == codec] { (codec) } } } }
            }
            div { div.title { label for="key" { "Key" } (forms("key_form")) } textarea #key name="key" rows="2" spellcheck="false" { "\n" (field("key")) } }
            div { div.title { label for="value" { "Value (null is a tombstone)" } (forms("value_form")) } textarea #value name="value" rows="8" spellcheck="false" autofocus { "\n" (field("value")) } }
            label { "Headers, one to a line: name: value" textarea name="headers" rows="3" spellcheck="false" { "\n" (field("headers")) } }
            div { button.primary { "Produce" } }
        }
    }
}

/// Key or value as the form has it; an empty key is none.
fn part(form: &Fields, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let as_form = form.text(&format!("{name}_form"));
    let text = form.raw(name);
    if as_form == "null" || (name == "key" && text.is_empty()) {
        return Ok(None);
    }
    read(text, as_form).map(Some).map_err(|error| Trouble::Wrong(format!("{name}: {error}")))
}

fn headers(text: &str) -> Result<Vec<(String, Option<Vec<u8>>)>, Trouble> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let header = |line: &str| {
        let (name, value) =
            line.split_once(':').ok_or_else(|| Trouble::Wrong(format!("the header '{line}' is not name: value")))?;
        Ok((name.trim().to_owned(), Some(value.trim().as_bytes().to_vec())))
    };
    lines.map(header).collect()
}

/// The record of the form, and its codec.
fn record(ask: &Ask, topic: &str) -> Result<(ProducerRecord, String), Trouble> {
    ask.changes()?;
    let partition = match ask.form.text("partition") {
        "" => None,
        _ => Some(ask.form.number("partition", 0)?),
    };
    let codec = match ask.form.text("codec") {
        "" => "none",
        codec if CODECS.contains(&codec) => codec,
        codec => return Err(Trouble::Wrong(format!("codec={codec}: there is {}", CODECS.join(", ")))),
    };
    let record = ProducerRecord {
        topic: topic.to_owned(),
        partition,
        timestamp: None,
        key: part(&ask.form, "key")?,
        value: part(&ask.form, "value")?,
        headers: headers(ask.form.raw("headers"))?,
        ..Default::default()
    };
    Ok((record, codec.to_owned()))
}

/// Produces it.
pub async fn produce(ask: Ask) -> Response {
    let topic = ask.path("topic").to_owned();
    let outcome = match record(&ask, &topic) {
        Ok((record, codec)) => send(&ask, record, codec).await,
        Err(trouble) => Err(trouble),
    };
    match outcome {
        Ok((partition, offset)) => {
            let to = topic_link(&ask, &topic, &format!("/message?partition={partition}&offset={offset}"));
            if ask.visit.is_api {
                let place = serde_json::json!({ "partition": partition, "offset": offset });
                return crate::ui::ask::json(StatusCode::OK, &place);
            }
            let place = cursor_text(&[(partition, offset)].into());
            ask.done(Ok(format!("Produced to partition and offset {place}.")), &to)
        }
        Err(trouble) if ask.visit.is_api => ask.trouble(&trouble),
        Err(trouble) => {
            let content = form(&ask, &topic, Some(&trouble.to_string()));
            ask.page(trouble.status(), &topic, content)
        }
    }
}

async fn send(ask: &Ask, record: ProducerRecord, codec: String) -> Result<(i32, i64), Trouble> {
    let mut config = ask.cluster().config().clone();
    let settings = [
        ("compression.type", codec.as_str()),
        ("delivery.timeout.ms", DELIVERY_MS),
        ("max.block.ms", DELIVERY_MS),
        ("max.request.size", MESSAGE_BYTES_MAX),
        ("linger.ms", "0"),
        ("acks", "all"),
    ];
    for (key, value) in settings {
        config.properties.set(key, value);
    }
    ask.cluster()
        .order(move |client| {
            // The producer would make a topic that isn't there.
            client.leaders(&record.topic).map_err(|error| crate::ui::topics::absent(&record.topic, error))?;
            config.retry_backoff = config.retry_backoff.max(Duration::from_millis(50));
            let mut producer = Producer::new(config)?;
            producer.remember_deliveries();
            producer.send(record)?;
            producer.flush();
            if let Some(refused) = producer.take_undelivered().pop() {
                return Err(Trouble::Wrong(format!("the broker did not take it: {}", refused.reason)));
            }
            let place = producer.take_delivered().pop().map(|delivered| (delivered.partition, delivered.offset));
            place.ok_or_else(|| Trouble::Busy("nobody said whether it arrived".to_owned()))
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_becomes_bytes() {
        let form = |text: &str| Fields::parse(text.as_bytes());
        assert!(matches!(part(&form("key=&key_form=text"), "key"), Ok(None)));
        assert!(matches!(part(&form("value=&value_form=text"), "value"), Ok(Some(bytes)) if bytes.is_empty()));
        assert!(matches!(part(&form("value=x&value_form=null"), "value"), Ok(None)));
        assert!(matches!(part(&form("value=00+ff&value_form=hex"), "value"), Ok(Some(bytes)) if bytes == [0, 255]));
        assert!(part(&form("value=0&value_form=hex"), "value").is_err());
        assert_eq!(
            headers("a: b: c\n\n x:").expect("valid"),
            [("a".to_owned(), Some(b"b: c".to_vec())), ("x".to_owned(), Some(Vec::new()))]
        );
        assert!(headers("none").is_err());
    }
}
