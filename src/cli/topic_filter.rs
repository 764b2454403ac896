//! Which topics and partitions a tool's patterns mean, as Kafka's tools read them.

use regex::Regex;

use super::output::Failure;

/// Topics that Kafka keeps for itself.
pub const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Whether Kafka itself owns this topic.
pub fn is_internal(topic: &str) -> bool {
    INTERNAL_TOPICS.contains(&topic)
}

/// A pattern for topic names: a regular expression that must match the whole name; commas stand for "or".
#[derive(Debug, Clone)]
pub struct TopicFilter {
    regex: Regex,
}

impl TopicFilter {
    /// Reads a pattern; quotes at its ends and spaces are dropped.
    pub fn new(pattern: &str) -> Result<Self, Failure> {
        let quotes: &[char] = &['"', '\''];
        let pattern = pattern.trim().replace(',', "|").replace(' ', "");
        let pattern = pattern.trim_start_matches(quotes).trim_end_matches(quotes);
        match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) => Ok(TopicFilter { regex }),
            Err(_) => Err(Failure::message(format!("{pattern} is an invalid regex."))),
        }
    }

    /// Whether `topic` matches.
    pub fn allows(&self, topic: &str) -> bool {
        self.regex.is_match(topic)
    }
}

/// Which partitions of a topic are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Partitions {
    /// These; none means all.
    Set(Vec<i32>),
    /// From the first up to but without the second.
    Range(i32, i32),
}

/// `--topic` with `--partitions`, or the rules of `--topic-partitions`; one rule must match.
#[derive(Debug, Clone)]
pub struct TopicPartitionFilter {
    rules: Vec<(TopicFilter, Partitions)>,
}

impl TopicPartitionFilter {
    /// A topic pattern (none: all topics) and a comma separated list of partitions (empty: all).
    pub fn from_topic_and_partitions(topic: Option<&str>, partitions: Option<&str>) -> Result<Self, Failure> {
        let text = partitions.unwrap_or_default();
        let numbers: Result<Vec<i32>, _> = text.split(',').filter(|s| !s.is_empty()).map(str::parse).collect();
        let Ok(numbers) = numbers else {
            return Err(Failure::message(format!(
                "--partitions expects a comma separated list of numeric partition ids, but received: {text}"
            )));
        };
        Ok(TopicPartitionFilter { rules: vec![(TopicFilter::new(topic.unwrap_or(".*"))?, Partitions::Set(numbers))] })
    }

    /// Rules such as `topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3`; the upper end is exclusive.
    pub fn from_rules(text: &str) -> Result<Self, Failure> {
        let rules: Result<Vec<_>, _> = text.split(',').map(parse_rule).collect();
        Ok(TopicPartitionFilter { rules: rules? })
    }

    /// Whether some rule names this topic.
    pub fn allows_topic(&self, topic: &str) -> bool {
        self.rules.iter().any(|(filter, _)| filter.allows(topic))
    }

    /// Whether some rule names this partition.
    pub fn allows(&self, topic: &str, partition: i32) -> bool {
        self.rules.iter().any(|(filter, partitions)| {
            let inside = match partitions {
                Partitions::Set(set) => set.is_empty() || set.contains(&partition),
                Partitions::Range(from, to) => (*from..*to).contains(&partition),
            };
            inside && filter.allows(topic)
        })
    }
}

fn parse_rule(rule: &str) -> Result<(TopicFilter, Partitions), Failure> {
    let invalid = || Failure::message(format!("Invalid rule specification: {rule}"));
    let pattern = Regex::new(r"^([^:,]*)(?::(?:(\d+)|(\d*)-(\d*)))?$").expect("the pattern is a constant");
    let groups = pattern.captures(rule).ok_or_else(invalid)?;
    let group = |index| groups.get(index).map(|found| found.as_str()).filter(|text| !text.is_empty());
    let number = |text: Option<&str>, default| match text {
        Some(text) => text.parse().map_err(|_| invalid()),
        None => Ok(default),
    };
    let filter = TopicFilter::new(group(1).unwrap_or(".*"))?;
    let partitions = match group(2) {
        Some(one) => Partitions::Set(vec![number(Some(one), 0)?]),
        None => Partitions::Range(number(group(3), 0)?, number(group(4), i32::MAX)?),
    };
    Ok((filter, partitions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_the_whole_name() {
        let filter = TopicFilter::new("'foo|b.r, baz'").expect("valid");
        assert!(filter.allows("foo") && filter.allows("bar") && filter.allows("baz"));
        assert!(!filter.allows("foo1") && !filter.allows("xbar"));
        assert!(TopicFilter::new("(").is_err());
    }

    #[test]
    fn rules_name_topics_and_ranges() {
        let filter = TopicPartitionFilter::from_rules("a:1,b:0-2,c:5-,d:-1,e,:7").expect("valid");
        let allowed = [("a", 1), ("b", 0), ("b", 1), ("c", 9), ("d", 0), ("e", 3), ("zzz", 7)];
        assert!(allowed.iter().all(|(topic, partition)| filter.allows(topic, *partition)));
        let refused = [("a", 0), ("b", 2), ("c", 4), ("d", 1), ("zzz", 1)];
        assert!(!refused.iter().any(|(topic, partition)| filter.allows(topic, *partition)));
        assert!(TopicPartitionFilter::from_rules("a:b").is_err());
    }

    #[test]
    fn partitions_must_be_numbers() {
        let filter = TopicPartitionFilter::from_topic_and_partitions(Some("a.*"), Some("1,3")).expect("valid");
        assert!(filter.allows("ab", 3) && !filter.allows("ab", 2));
        assert!(TopicPartitionFilter::from_topic_and_partitions(None, Some("x")).is_err());
    }
}
