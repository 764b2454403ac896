//! The tables as data: what a message is made of. The codec is generated from the same rows, so whoever
//! walks these (the comparison with Kafka's own specification, the fuzzers) sees what the codec does.

/// A struct: a message, or a part of one.
#[derive(Debug)]
pub struct Table {
    /// Its Rust name, which is Kafka's.
    pub name: &'static str,
    /// Its fields in wire order; tagged ones in the order of their tags.
    pub fields: &'static [Field],
}

/// One row of a table.
#[derive(Debug)]
pub struct Field {
    /// Kafka's name in snake case.
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// First and last version that has it; `i16::MAX` is "from then on".
    pub versions: (i16, i16),
    /// First and last version in which it may be null, for one that ever may.
    pub null_versions: (i16, i16),
    /// Its tag, if it is a tagged field.
    pub tag: Option<u32>,
    /// The default as the table spells it; without one it is zero or empty.
    pub default: Option<&'static str>,
    /// Kafka drops it silently for a version that doesn't know it, instead of refusing to send it.
    pub ignorable: bool,
}

/// The types of fields.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// `bool`, one byte.
    Bool,
    /// `int8`.
    Int8,
    /// `int16`.
    Int16,
    /// `uint16`.
    Uint16,
    /// `int32`.
    Int32,
    /// `uint32`.
    Uint32,
    /// `int64`.
    Int64,
    /// `float64`.
    Float64,
    /// `uuid`.
    Uuid,
    /// `string`.
    String,
    /// `bytes` and `records`.
    Bytes,
    /// An array.
    Array(&'static Type),
    /// A type that may be null in some versions.
    Nullable(&'static Type),
    /// A struct.
    Struct(&'static Table),
}

/// A message as data.
#[derive(Debug)]
pub struct MessageTable {
    /// Its fields.
    pub table: &'static Table,
    /// First version Kafka still specifies.
    pub min_version: i16,
    /// Last version.
    pub max_version: i16,
    /// First flexible version; `i16::MAX` is never.
    pub flexible_from: i16,
    /// API key, record type, or none.
    pub key: Option<i16>,
}
