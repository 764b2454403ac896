//! What one configuration key is: the shape of a row of the tables under `keys/`, and how to find a row.
//!
//! Knows nothing of values at run time; see `value.rs` for reading them and `broker.rs` / `topic.rs` for the typed forms.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::keys;

/// The type of a value, named as in Kafka's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `true` or `false`, any case.
    Bool,
    /// Text, trimmed.
    Str,
    /// 32 bit signed.
    Int,
    /// 16 bit signed.
    Short,
    /// 64 bit signed.
    Long,
    /// Floating point.
    Double,
    /// Comma separated texts, each trimmed.
    List,
    /// Name of a Java class; kept as text.
    Class,
    /// Text that is never shown.
    Password,
}

impl Type {
    /// Kafka's name, as in error texts: `INT`, `LIST`, ...
    pub fn name(self) -> &'static str {
        match self {
            Type::Bool => "BOOLEAN",
            Type::Str => "STRING",
            Type::Int => "INT",
            Type::Short => "SHORT",
            Type::Long => "LONG",
            Type::Double => "DOUBLE",
            Type::List => "LIST",
            Type::Class => "CLASS",
            Type::Password => "PASSWORD",
        }
    }

    /// The number in `DescribeConfigsResponse.ConfigType`.
    pub fn code(self) -> i8 {
        match self {
            Type::Bool => 1,
            Type::Str => 2,
            Type::Int => 3,
            Type::Short => 4,
            Type::Long => 5,
            Type::Double => 6,
            Type::List => 7,
            Type::Class => 8,
            Type::Password => 9,
        }
    }
}

/// What a value must satisfy beyond its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// Everything of the type.
    Any,
    /// A number of at least this.
    Min(i64),
    /// A number between the two, both allowed.
    Between(i64, i64),
    /// A number between 0 and this, both allowed.
    Fraction(f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// Text that is not empty.
    NonEmpty,
    /// A list without repeats or empty items; an empty list is legal.
    Items(&'static [&'static str]),
    /// The same, but the list must have an item.
    SomeItems(&'static [&'static str]),
    /// 1 to 9, or -1 for the codec's own default.
    GzipLevel,
    /// `*` or `partition:broker` items.
    ThrottledReplicas,
    /// `id@host:port` items.
    Voters,
    /// `host:port` items.
    HostPorts,
    /// `earliest`, `latest` or `by_duration:<ISO 8601 duration>`.
    OffsetReset,
}

/// No list of allowed items.
pub const ANY: &[&str] = &[];
/// The text that stands for "no default, may be absent" in the tables.
pub const NULL: &str = "null";
/// The text that stands for "must be given" in the tables.
pub const REQUIRED: &str = "required";

/// When a value may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// At start only.
    ReadOnly,
    /// While running, for one broker.
    PerBroker,
    /// While running, for one broker or for all.
    ClusterWide,
    /// While running; keys of topics, groups and subscriptions.
    Dynamic,
}

/// What a key does in Millrace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what it does in Apache Kafka.
    Works,
    /// Accepted and shown, but there is nothing here that it could govern; the text says why.
    NoMeaning(&'static str),
    /// Accepted and shown; what it governs is not built yet, named by the text.
    NotYet(&'static str),
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `server.properties` and dynamic broker configs.
    Broker,
    /// Topic overrides.
    Topic,
    /// Group overrides.
    Group,
    /// Client metrics subscriptions.
    ClientMetrics,
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Kafka's name.
    pub name: &'static str,
    /// Type of the value.
    pub kind: Type,
    /// Default as text; [`NULL`] and [`REQUIRED`] are special.
    default: &'static str,
    /// Range or set of values.
    pub check: Check,
    /// When it may change.
    pub update: Update,
    /// What it does here.
    pub support: Support,
    /// One line for a person.
    pub doc: &'static str,
}

/// Builds a row.
pub(super) const fn key(
    name: &'static str,
    kind: Type,
    default: &'static str,
    check: Check,
    update: Update,
    support: Support,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, check, update, support, doc }
}

impl Key {
    /// The default as text, `None` when the key may be absent or must be given.
    pub fn default_text(&self) -> Option<&'static str> {
        (self.default != NULL && self.default != REQUIRED).then_some(self.default)
    }

    /// True when a start without it fails.
    pub fn is_required(&self) -> bool {
        self.default == REQUIRED
    }

    /// True when the value must never be shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Type::Password
    }

    /// True for keys that Kafka's documentation and DescribeConfigs leave out.
    pub fn is_internal(&self) -> bool {
        keys::internal::is_internal(self.name)
    }
}

/// The row of a key, if the scope has it.
pub fn find(scope: Scope, name: &str) -> Option<&'static Key> {
    static INDEX: LazyLock<HashMap<(Scope, &'static str), &'static Key>> = LazyLock::new(|| {
        let scopes = [Scope::Broker, Scope::Topic, Scope::Group, Scope::ClientMetrics];
        let rows = scopes.into_iter().flat_map(|scope| all(scope).map(move |key| ((scope, key.name), key)));
        rows.collect()
    });
    INDEX.get(&(scope, name)).copied()
}

/// All rows of a scope, table by table.
pub fn all(scope: Scope) -> impl Iterator<Item = &'static Key> {
    keys::tables(scope).iter().flat_map(|table| table.rows.iter())
}
