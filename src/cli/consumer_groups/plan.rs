//! Reset plans in CSV, as `--export` prints and `--from-file` reads them: `topic,partition,offset`, with the group in front
//! where there are several.

use std::collections::HashMap;

use crate::client::TopicPartition;

/// New offsets by group.
pub type Plan = HashMap<String, Vec<(TopicPartition, i64)>>;

/// Fields longer than this are always quoted: shorter ones are looked at.
const UNQUOTED_LEN_MAX: usize = 24;

/// A field, quoted where Kafka's tool quotes it.
pub fn field(text: &str) -> String {
    let is_plain = |c: char| c > ',';
    if text.len() <= UNQUOTED_LEN_MAX && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Reads a plan. Lines without a group are for `only_group`, if there is one.
pub fn read(text: &str, only_group: Option<&str>) -> Result<Plan, String> {
    let lines: Vec<&str> = text.trim_end_matches('\n').split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let has_no_group = lines.first().is_some_and(|line| numbers_after(&split(line), 1).is_ok());
    let only_group = only_group.filter(|_| has_no_group);
    let mut plan = Plan::new();
    for line in lines {
        let fields = split(line);
        let (group, names) = match only_group {
            Some(group) => (group.to_owned(), 1),
            None => (fields.first().cloned().unwrap_or_default(), 2),
        };
        let (partition, offset) = numbers_after(&fields, names)?;
        let topic = fields.get(names - 1).cloned().unwrap_or_default();
        let offsets = plan.entry(group).or_default();
        let key = (topic, partition);
        offsets.retain(|(known, _)| *known != key);
        offsets.push((key, offset));
    }
    Ok(plan)
}

/// Partition and offset behind `names` names; what is missing is 0, as in Kafka's tool.
fn numbers_after(fields: &[String], names: usize) -> Result<(i32, i64), String> {
    if fields.len() > names + 2 {
        let most = names + 2;
        return Err(format!("Too many entries: expected at most {most} (value #{most} (\"{}\"))", fields[most]));
    }
    fn number<T: std::str::FromStr + Default>(field: Option<&String>) -> Result<T, String> {
        match field.map(|text| text.trim()) {
            None | Some("") => Ok(T::default()),
            Some(text) => text.parse().map_err(|_| format!("Cannot read a number from \"{text}\"")),
        }
    }
    Ok((number(fields.get(names))?, number(fields.get(names + 1))?))
}

/// The fields of a line; a field in quotes may have commas, and quotes doubled.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is at least one field");
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if is_quoted || field.is_empty() => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_with_and_without_groups_are_read() {
        let offsets = vec![(("t".to_owned(), 1), 5), (("u".to_owned(), 0), 7)];
        let plan = read("t,1,5\nu,0,7\n", Some("g")).expect("valid");
        assert_eq!(plan["g"], offsets);
        let plan = read("g,t,1,5\ng,u,0,7\nh,t,0,1\n", None).expect("valid");
        assert_eq!(plan["g"], offsets);
        assert_eq!(plan["h"], [(("t".to_owned(), 0), 1)]);
        assert_eq!(read("g,t,1,5\n", Some("g")).expect("valid")["g"], offsets[..1]);
        assert!(read("g,t,1,x\n", None).is_err());
        assert!(read("g,t,1,5,9\n", None).is_err());
    }

    #[test]
    fn fields_come_back() {
        for text in ["short", "a topic, with a comma", "quote\"d", "a-topic-that-is-longer-than-the-limit"] {
            assert_eq!(split(&format!("{},1", field(text))), [text, "1"]);
        }
        assert_eq!(field("a.b-c_d"), "a.b-c_d");
        assert!(field("a-topic-that-is-longer-than-the-limit").starts_with('"'));
    }
}
