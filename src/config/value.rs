//! From text to value: Kafka's types, checks and error texts, and back to the text that DescribeConfigs shows.

use std::fmt;

use super::key::{Check, Key, Type};

/// Why a configuration is refused. `Display` gives Apache Kafka's own sentence where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// One value does not fit its key.
    Invalid {
        /// The key.
        key: String,
        /// The value as given, for lists in brackets.
        value: String,
        /// What it should be.
        reason: String,
    },
    /// A key that must be given is absent.
    Missing(&'static str),
    /// Several keys do not fit together, or the value of one breaks a rule; a whole sentence.
    Rule(String),
}

impl ConfigError {
    pub(super) fn invalid(key: &str, value: impl fmt::Display, reason: impl Into<String>) -> Self {
        ConfigError::Invalid { key: key.to_owned(), value: value.to_string(), reason: reason.into() }
    }

    pub(super) fn rule(text: impl Into<String>) -> Self {
        ConfigError::Rule(text.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Invalid { key, value, reason } => {
                write!(f, "Invalid value {value} for configuration {key}: {reason}")
            }
            ConfigError::Missing(key) => {
                write!(f, "Missing required configuration \"{key}\" which has no default value.")
            }
            ConfigError::Rule(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A value of one of Kafka's types. `Class` and `Password` are texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// BOOLEAN
    Bool(bool),
    /// INT
    Int(i32),
    /// SHORT
    Short(i16),
    /// LONG
    Long(i64),
    /// DOUBLE
    Double(f64),
    /// STRING, CLASS, PASSWORD
    Str(String),
    /// LIST
    List(Vec<String>),
}

impl fmt::Display for Value {
    /// The form in which DescribeConfigs shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Short(value) => write!(f, "{value}"),
            Value::Long(value) => write!(f, "{value}"),
            Value::Double(value) => f.write_str(&double_text(*value)),
            Value::Str(value) => f.write_str(value),
            Value::List(items) => f.write_str(&items.join(",")),
        }
    }
}

impl Value {
    /// The number of an INT, SHORT or LONG.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(i64::from(*value)),
            Value::Short(value) => Some(i64::from(*value)),
            Value::Long(value) => Some(*value),
            _ => None,
        }
    }
}

impl Key {
    /// Reads and checks a value.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let value = self.parse_type(text)?;
        self.check_value(&value)?;
        Ok(value)
    }

    /// The default as a value.
    pub fn default_value(&self) -> Option<Value> {
        self.default_text().map(|text| self.parse_type(text).expect("a test reads every default of the tables"))
    }

    /// Reads a value without checking its range.
    fn parse_type(&self, text: &str) -> Result<Value, ConfigError> {
        let trimmed = trim(text);
        let not_a_number =
            || ConfigError::invalid(self.name, text, format!("Not a number of type {}", self.kind.name()));
        Ok(match self.kind {
            Type::Bool if trimmed.eq_ignore_ascii_case("true") => Value::Bool(true),
            Type::Bool if trimmed.eq_ignore_ascii_case("false") => Value::Bool(false),
            Type::Bool => {
                return Err(ConfigError::invalid(self.name, text, "Expected value to be either true or false"));
            }
            Type::Int => Value::Int(trimmed.parse().map_err(|_| not_a_number())?),
            Type::Short => Value::Short(trimmed.parse().map_err(|_| not_a_number())?),
            Type::Long => Value::Long(trimmed.parse().map_err(|_| not_a_number())?),
            Type::Double => Value::Double(parse_double(trimmed).ok_or_else(not_a_number)?),
            Type::List if trimmed.is_empty() => Value::List(Vec::new()),
            Type::List => Value::List(trimmed.split(',').map(|item| item.trim().to_owned()).collect()),
            Type::Str | Type::Class | Type::Password => Value::Str(trimmed.to_owned()),
        })
    }

    fn check_value(&self, value: &Value) -> Result<(), ConfigError> {
        let refuse = |reason: String| Err(ConfigError::invalid(self.name, value, reason));
        match (self.check, value) {
            (Check::Min(min), _) => self.check_range(value, min, i64::MAX),
            (Check::Between(min, max), _) => self.check_range(value, min, max),
            (Check::Fraction(max), Value::Double(number)) => {
                if *number < 0.0 {
                    return refuse("Value must be at least 0".into());
                }
                if *number > max {
                    return refuse(format!("Value must be no more than {max}"));
                }
                Ok(())
            }
            (Check::GzipLevel, Value::Int(-1 | 1..=9)) => Ok(()),
            (Check::GzipLevel, _) => refuse("Value must be between 1 and 9 or equal to -1".into()),
            (Check::OneOf(allowed), Value::Str(text)) if !allowed.contains(&text.as_str()) => {
                refuse(format!("String must be one of: {}", allowed.join(", ")))
            }
            (Check::OneOfAnyCase(allowed), Value::Str(text))
                if !allowed.iter().any(|one| one.eq_ignore_ascii_case(text)) =>
            {
                refuse(format!("String must be one of (case insensitive): {}", allowed.join(", ")))
            }
            (Check::NonEmpty, Value::Str(text)) if text.is_empty() => refuse("String must be non-empty".into()),
            (Check::Items(allowed), Value::List(items)) => self.check_items(items, allowed),
            (Check::SomeItems(allowed), Value::List(items)) => {
                if items.is_empty() {
                    let allowed = match allowed {
                        [] => "any non-empty value".to_owned(),
                        allowed => format!("[{}]", allowed.join(", ")),
                    };
                    let text =
                        format!("Configuration '{}' must not be empty. Valid values include: {allowed}", self.name);
                    return Err(ConfigError::Rule(text));
                }
                self.check_items(items, allowed)
            }
            (Check::ThrottledReplicas, Value::List(items)) => self.check_throttled_replicas(items),
            (Check::Voters, Value::List(items)) => {
                items.iter().try_for_each(|item| super::quorum::parse_voter(item).map(|_| ()))
            }
            (Check::HostPorts, Value::List(items)) => {
                items.iter().try_for_each(|item| super::quorum::parse_bootstrap_server(item).map(|_| ()))
            }
            (Check::OffsetReset, Value::Str(text)) if !is_offset_reset(text) => refuse(format!(
                "Invalid value `{text}` for configuration {}. The value must be either 'earliest', 'latest' or of the format \
                 'by_duration:<PnDTnHnMn.nS>'.",
                self.name
            )),
            _ => Ok(()),
        }
    }

    fn check_range(&self, value: &Value, min: i64, max: i64) -> Result<(), ConfigError> {
        let number = value.as_i64().expect("ranges stand only on whole numbers: a test holds the tables to it");
        if number < min {
            return Err(ConfigError::invalid(self.name, value, format!("Value must be at least {min}")));
        }
        if number > max {
            return Err(ConfigError::invalid(self.name, value, format!("Value must be no more than {max}")));
        }
        Ok(())
    }

    fn check_items(&self, items: &[String], allowed: &[&str]) -> Result<(), ConfigError> {
        let repeated = items.iter().enumerate().any(|(index, item)| items[..index].contains(item));
        if repeated {
            return Err(ConfigError::Rule(format!("Configuration '{}' values must not be duplicated.", self.name)));
        }
        for item in items {
            if item.is_empty() {
                return Err(ConfigError::Rule(format!("Configuration '{}' values must not be empty.", self.name)));
            }
            if !allowed.is_empty() && !allowed.contains(&item.as_str()) {
                let reason = format!("String must be one of: {}", allowed.join(", "));
                return Err(ConfigError::invalid(self.name, item, reason));
            }
        }
        Ok(())
    }

    fn check_throttled_replicas(&self, items: &[String]) -> Result<(), ConfigError> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_pair = |item: &String| item.split_once(':').is_some_and(|(a, b)| is_number(a) && is_number(b));
        if items.len() == 1 && items[0] == "*" || items.iter().all(is_pair) {
            return Ok(());
        }
        let reason = format!(
            "{} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            self.name
        );
        Err(ConfigError::invalid(self.name, format!("[{}]", items.join(", ")), reason))
    }
}

/// Java's `String.trim`: control characters go like spaces, other white space stays.
fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// Java's `Double.parseDouble`, but for hexadecimal forms.
fn parse_double(text: &str) -> Option<f64> {
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let looks_like_number = number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    looks_like_number.then(|| number.parse().ok()).flatten()
}

/// Java's `Double.toString`: at least one digit after the point, powers of ten as `1.0E7`.
fn double_text(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

fn is_offset_reset(text: &str) -> bool {
    match text.strip_prefix("by_duration:") {
        Some(duration) => is_duration(duration),
        None => text == "earliest" || text == "latest",
    }
}

/// `PnDTnHnMn.nS` with at least one part, not negative.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['P', 'p']) else { return false };
    let (days, time) = match rest.find(['T', 't']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    if time.is_none() && days.is_empty() || time.is_some_and(str::is_empty) {
        return false;
    }
    has_parts(days, "D") && time.is_none_or(|time| has_parts(time, "HMS"))
}

/// Numbers each followed by one of `units`, in their order.
fn has_parts(mut text: &str, units: &str) -> bool {
    let mut next_unit = 0;
    while !text.is_empty() {
        let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let unit = text[digits..].chars().next().map(|unit| unit.to_ascii_uppercase());
        let Some(at) = unit.and_then(|unit| units[next_unit..].find(unit)) else { return false };
        let number = &text[..digits];
        let fraction_allowed = unit == Some('S');
        if digits == 0 || number.starts_with('.') || (number.contains('.') && !fraction_allowed) {
            return false;
        }
        next_unit += at + 1;
        text = &text[digits + 1..];
    }
    true
}
