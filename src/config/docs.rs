//! The tables as a document: `docs/configuration.md`, and `millrace docs config`.

use std::fmt::Write;

use super::dynamic::DYNAMIC_ONLY;
use super::key::{Check, Key, Scope, Support, Update};
use super::keys;
use super::synonyms;

const HEAD: &str = "# Configuration

Written from the tables in `src/config/keys` by `millrace docs config`; do not edit.

Names, types, defaults and ranges are those of Apache Kafka 4.3.1; keys that start with `millrace.` and `acks.all.durability` are
ours. A node reads `--config server.properties`, then `KAFKA_*` variables (`KAFKA_LOG_DIRS` is `log.dirs`, `__` stands for `_`,
`___` for `-`), then `--override key=value`; the last one wins. An unknown key gives a warning, a wrong value stops the start.

*Change*: *start* only when the node starts; *broker* while it runs, per broker; *cluster* while it runs, per broker or for all.
*Here*: **works**, *not yet* with what it waits for, or *no meaning* with the reason: such a key is accepted and shown.
";

/// The whole document.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    let scopes = [
        (Scope::Broker, "Broker"),
        (Scope::Topic, "Topics"),
        (Scope::Group, "Groups"),
        (Scope::ClientMetrics, "Client metrics"),
    ];
    for (scope, heading) in scopes {
        let _ = writeln!(text, "\n## {heading}");
        for table in keys::tables(scope) {
            let shown: Vec<&Key> = table.rows.iter().filter(|key| !key.is_internal()).collect();
            section(&mut text, table.title, scope, &shown);
        }
        if scope == Scope::Broker {
            section(&mut text, "Only while running", scope, &DYNAMIC_ONLY.iter().collect::<Vec<_>>());
        }
    }
    text
}

fn section(text: &mut String, title: &str, scope: Scope, rows: &[&Key]) {
    let change = if scope == Scope::Broker { "Change" } else { "Broker key" };
    let _ = write!(
        text,
        "\n### {title}\n\n| Key | Type | Default | Values | {change} | Here | |\n|---|---|---|---|---|---|---|\n"
    );
    for key in rows {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            key.name,
            key.kind.name().to_lowercase(),
            default_text(key),
            values(key.check),
            if scope == Scope::Broker { change_text(key.update).to_owned() } else { broker_keys(scope, key.name) },
            support(key.support),
            key.doc
        );
    }
}

fn default_text(key: &Key) -> String {
    match key.default_text() {
        None if key.is_required() => "*required*".to_owned(),
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some("9223372036854775807") => "2^63-1".to_owned(),
        Some("2147483647") => "2^31-1".to_owned(),
        Some("1.7976931348623157E308") => "no bound".to_owned(),
        Some(text) => format!("`{text}`"),
    }
}

fn values(check: Check) -> String {
    let one_of = |items: &[&str]| items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ");
    match check {
        Check::Any => String::new(),
        Check::Min(min) => format!(">= {min}"),
        Check::Between(min, max) => format!("{min} to {max}"),
        Check::Fraction(max) => format!("0 to {max}"),
        Check::OneOf(items) | Check::OneOfAnyCase(items) => one_of(items),
        Check::NonEmpty => "not empty".to_owned(),
        Check::Items([]) => "no repeats".to_owned(),
        Check::SomeItems([]) => "not empty, no repeats".to_owned(),
        Check::Items(items) => format!("any of {}", one_of(items)),
        Check::SomeItems(items) => format!("one or more of {}", one_of(items)),
        Check::GzipLevel => "1 to 9, or -1".to_owned(),
        Check::ThrottledReplicas => "`*` or `partition:broker`".to_owned(),
        Check::Voters => "`id@host:port`".to_owned(),
        Check::HostPorts => "`host:port`".to_owned(),
        Check::OffsetReset => "`latest`, `earliest`, `by_duration:P..`".to_owned(),
    }
}

fn change_text(update: Update) -> &'static str {
    match update {
        Update::ReadOnly => "start",
        Update::PerBroker => "broker",
        Update::ClusterWide => "cluster",
        Update::Dynamic => "any time",
    }
}

fn broker_keys(scope: Scope, name: &str) -> String {
    let keys: Vec<&str> = match scope {
        Scope::Topic => synonyms::of_topic(name).iter().map(|synonym| synonym.key).collect(),
        Scope::Group => synonyms::of_group(name).into_iter().collect(),
        Scope::Broker | Scope::ClientMetrics => Vec::new(),
    };
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn support(support: Support) -> String {
    match support {
        Support::Works => "**works**".to_owned(),
        Support::NotYet(what) => format!("*not yet*: {what}"),
        Support::NoMeaning(why) => format!("*no meaning*: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(path, markdown()).expect("docs/ is writable");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == markdown(),
            "docs/configuration.md is old: run WRITE_DOCS=1 cargo test the_document_is_up_to_date"
        );
    }
}
