//! Random messages, as bytes: an encoder of its own that knows nothing but the tables.
//!
//! What it writes is what Kafka would write: tagged fields in the order of their tags, and none at its default.
//! The first field of every struct is unlike all others before it, because Kafka's own classes keep some structs
//! in sets by that field.

use millrace::protocol::table::{Field, MessageTable, Table, Type};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How large messages get.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A few elements everywhere.
    Mixed,
    /// One array somewhere has this many elements, everything in them as small as can be: the frames that cost
    /// a decoder the most memory per byte.
    #[allow(dead_code, reason = "for the fuzzers only")]
    Dense(usize),
}

pub struct RandomMessages {
    rng: StdRng,
    shape: Shape,
    unique: u32,
    inside_dense: bool,
}

#[derive(Clone, Copy)]
struct Dialect {
    version: i16,
    flexible: bool,
}

impl RandomMessages {
    pub fn new(seed: u64, shape: Shape) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), shape, unique: 0, inside_dense: false }
    }

    /// The bytes of a message in `version`.
    pub fn message(&mut self, message: &MessageTable, version: i16) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.inside_dense = false;
        let dialect = Dialect { version, flexible: version >= message.flexible_from };
        self.structure(&mut bytes, message.table, dialect);
        bytes
    }

    fn structure(&mut self, bytes: &mut Vec<u8>, table: &Table, dialect: Dialect) {
        let has = |field: &&Field| within(field.versions, dialect.version);
        for (index, field) in table.fields.iter().filter(has).enumerate().filter(|(_, field)| field.tag.is_none()) {
            self.field(bytes, field, dialect, index == 0);
        }
        if !dialect.flexible {
            return;
        }
        let mut tagged = Vec::new();
        for field in table.fields.iter().filter(has) {
            let Some(tag) = field.tag else { continue };
            if self.inside_dense || self.rng.random_bool(0.4) {
                continue;
            }
            let mut value = Vec::new();
            self.field(&mut value, field, dialect, false);
            if value != default_bytes(field, dialect) {
                tagged.push((tag, value));
            }
        }
        uvarint(bytes, tagged.len());
        for (tag, value) in tagged {
            uvarint(bytes, tag as usize);
            uvarint(bytes, value.len());
            bytes.extend(value);
        }
    }

    fn field(&mut self, bytes: &mut Vec<u8>, field: &Field, dialect: Dialect, is_first: bool) {
        match field.kind {
            Type::Nullable(inner) if !within(field.null_versions, dialect.version) => {
                self.value(bytes, inner, dialect, is_first);
            }
            Type::Nullable(inner) if self.inside_dense || self.rng.random_bool(0.25) => {
                null(bytes, inner, field, dialect);
            }
            Type::Nullable(inner) => {
                if matches!(inner, Type::Struct(_)) {
                    bytes.push(1);
                }
                self.value(bytes, inner, dialect, is_first);
            }
            ref kind => self.value(bytes, kind, dialect, is_first),
        }
    }

    fn value(&mut self, bytes: &mut Vec<u8>, kind: &Type, dialect: Dialect, is_first: bool) {
        self.unique += 1;
        let unique = self.unique;
        match kind {
            Type::Bool => bytes.push(self.rng.random_range(0..2)),
            Type::Int8 if is_first => bytes.push(unique as u8),
            Type::Int16 | Type::Uint16 if is_first => bytes.extend((unique as u16).to_be_bytes()),
            Type::Int32 | Type::Uint32 if is_first => bytes.extend(unique.to_be_bytes()),
            Type::Int8 => bytes.push(self.rng.random()),
            Type::Int16 | Type::Uint16 => bytes.extend(self.rng.random::<[u8; 2]>()),
            Type::Int32 | Type::Uint32 => bytes.extend(self.rng.random::<[u8; 4]>()),
            Type::Int64 => bytes.extend(self.rng.random::<[u8; 8]>()),
            Type::Float64 => bytes.extend(self.rng.random::<f64>().to_be_bytes()),
            Type::Uuid => bytes.extend(self.rng.random::<[u8; 16]>()),
            Type::String => {
                let text = self.text(unique, is_first);
                if dialect.flexible {
                    uvarint(bytes, text.len() + 1);
                } else {
                    bytes.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
                }
                bytes.extend(text.as_bytes());
            }
            Type::Bytes => {
                let len = if self.inside_dense { 0 } else { self.rng.random_range(0..40) };
                length(bytes, len, dialect);
                bytes.extend((0..len).map(|_| self.rng.random::<u8>()));
            }
            Type::Array(element) => self.array(bytes, element, dialect),
            Type::Struct(table) => self.structure(bytes, table, dialect),
            Type::Nullable(_) => unreachable!("only fields may be null"),
        }
    }

    fn array(&mut self, bytes: &mut Vec<u8>, element: &Type, dialect: Dialect) {
        let (count, dense) = match self.shape {
            Shape::Mixed => (self.rng.random_range(0..4), false),
            Shape::Dense(_) if self.inside_dense => (0, false),
            Shape::Dense(count) if self.rng.random_bool(0.5) => (count, true),
            Shape::Dense(_) => (1, false),
        };
        length(bytes, count, dialect);
        self.inside_dense |= dense;
        for _ in 0..count {
            self.value(bytes, element, dialect, true);
        }
        self.inside_dense &= !dense;
    }

    fn text(&mut self, unique: u32, is_first: bool) -> String {
        if self.inside_dense {
            return String::new();
        }
        match self.rng.random_range(0..12) {
            0 if !is_first => String::new(),
            1 => format!("{unique}-{}", "long".repeat(50)),
            2 => format!("{unique}-\u{e9}\u{4e16}\u{1f600}"),
            _ => format!("{unique}"),
        }
    }
}

fn within((first, last): (i16, i16), version: i16) -> bool {
    first <= version && version <= last
}

fn uvarint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn length(bytes: &mut Vec<u8>, len: usize, dialect: Dialect) {
    if dialect.flexible {
        uvarint(bytes, len + 1);
    } else {
        bytes.extend(u32::try_from(len).expect("small").to_be_bytes());
    }
}

fn null(bytes: &mut Vec<u8>, kind: &Type, field: &Field, dialect: Dialect) {
    match kind {
        Type::Struct(_) if field.tag.is_some() => bytes.push(0),
        Type::Struct(_) => bytes.push(0xff),
        _ if dialect.flexible => bytes.push(0),
        Type::String => bytes.extend([0xff; 2]),
        _ => bytes.extend([0xff; 4]),
    }
}

/// What a field's bytes are at its default, to tell whether Kafka would leave it out.
fn default_bytes(field: &Field, dialect: Dialect) -> Vec<u8> {
    let mut bytes = Vec::new();
    match (field.default, field.kind) {
        (Some("None"), Type::Nullable(inner)) => null(&mut bytes, inner, field, dialect),
        (None, Type::Nullable(inner @ Type::Struct(_))) => {
            bytes.push(1);
            zero(&mut bytes, inner, dialect);
        }
        (None, Type::Nullable(inner)) => zero(&mut bytes, inner, dialect),
        (None, ref kind) => zero(&mut bytes, kind, dialect),
        (Some(text), kind) => {
            let number = match text {
                "true" => 1,
                "i64::MAX" => i64::MAX,
                "i32::MAX" => i64::from(i32::MAX),
                "i32::MIN" => i64::from(i32::MIN),
                _ => text.replace(' ', "").parse().expect("a number"),
            };
            let size = match kind {
                Type::Bool | Type::Int8 => 1,
                Type::Int16 | Type::Uint16 => 2,
                Type::Int32 | Type::Uint32 => 4,
                Type::Int64 => 8,
                _ => panic!("no such default: {field:?}"),
            };
            bytes.extend(&number.to_be_bytes()[8 - size..]);
        }
    }
    bytes
}

fn zero(bytes: &mut Vec<u8>, kind: &Type, dialect: Dialect) {
    match kind {
        Type::Bool | Type::Int8 => bytes.push(0),
        Type::Int16 | Type::Uint16 => bytes.extend([0; 2]),
        Type::Int32 | Type::Uint32 => bytes.extend([0; 4]),
        Type::Int64 | Type::Float64 => bytes.extend([0; 8]),
        Type::Uuid => bytes.extend([0; 16]),
        Type::String | Type::Bytes | Type::Array(_) if dialect.flexible => bytes.push(1),
        Type::String => bytes.extend([0; 2]),
        Type::Bytes | Type::Array(_) => bytes.extend([0; 4]),
        Type::Struct(table) => {
            for field in table.fields.iter().filter(|field| field.tag.is_none()) {
                if within(field.versions, dialect.version) {
                    bytes.extend(default_bytes(field, dialect));
                }
            }
            if dialect.flexible {
                bytes.push(0);
            }
        }
        Type::Nullable(_) => unreachable!("only fields may be null"),
    }
}
