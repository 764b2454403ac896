//! How a value of a table's field type becomes bytes and comes back, for every type a table may use.

use bytes::Bytes;

use super::table::Type;
use crate::wire::{DecodeError, KafkaString, Length, Reader, Records, Result, Sink, Uuid};

/// What decides the bytes of a field beside its value.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Version of the message.
    pub version: i16,
    /// The version is flexible: lengths are compact, and every struct ends with tagged fields (KIP-482).
    pub flexible: bool,
    /// The field may be null in this version.
    pub nullable: bool,
    /// The field is a tagged one.
    pub tagged: bool,
}

impl At {
    /// The fields of a message in `version`.
    #[inline]
    pub fn new(version: i16, flexible: bool) -> Self {
        Self { version, flexible, nullable: true, tagged: false }
    }

    /// Whether the version lies in a field's range.
    #[inline]
    pub fn within(self, first: i16, last: i16) -> bool {
        first <= self.version && self.version <= last
    }

    /// For a field that may be null in a part of its versions only.
    #[inline]
    pub fn null_within(self, first: i16, last: i16) -> Self {
        Self { nullable: self.within(first, last), ..self }
    }

    /// For a tagged field.
    #[inline]
    pub fn in_tag(self) -> Self {
        Self { tagged: true, ..self }
    }

    /// For the fields of a struct that is itself a field.
    #[inline]
    pub fn inside(self) -> Self {
        Self { nullable: true, tagged: false, ..self }
    }
}

/// Whether a field of this name holds an error code.
pub(super) const fn is_error_code(field: &str) -> bool {
    matches!(field.as_bytes(), b"error_code")
}

/// Visits a field that [`is_error_code`].
#[inline]
pub(super) fn visit_error<T: 'static, F: FnMut(i16)>(field: &T, visit: &mut F) {
    if let Some(code) = (field as &dyn std::any::Any).downcast_ref::<i16>() {
        visit(*code);
    }
}

/// A type that a table's field may have.
pub trait Wire: Sized {
    /// The type as data.
    const TYPE: Type;

    /// What a field is when its table names no default: zero, empty, and for an `Option` not null but empty.
    fn initial() -> Self;

    /// Reads a value.
    fn read(reader: &mut Reader, at: At) -> Result<Self>;

    /// Writes the value.
    fn write<S: Sink>(&self, sink: &mut S, at: At);

    /// Visits the error codes in it: what is in fields named `error_code`.
    #[inline]
    fn each_error<F: FnMut(i16)>(&self, _visit: &mut F) {}

    /// Reads a value that may be null. This form is that of structs: a byte goes before them. Kafka reads it as
    /// an `int8`, negative for null, and in a tagged field as an unsigned varint, 0 for null.
    #[inline]
    fn read_nullable(reader: &mut Reader, at: At) -> Result<Option<Self>> {
        let null = if at.tagged { reader.read_uvarint()? == 0 } else { reader.read_i8()? < 0 };
        if null { Ok(None) } else { Self::read(reader, at).map(Some) }
    }

    /// Writes a value that may be null.
    #[inline]
    fn write_nullable<S: Sink>(value: Option<&Self>, sink: &mut S, at: At) {
        let null = if at.tagged { 0_i8 } else { -1 };
        sink.put(&value.map_or(null, |_| 1).to_be_bytes());
        if let Some(value) = value {
            value.write(sink, at);
        }
    }
}

macro_rules! wire_integers {
    ($($type:ty = $name:ident, $read:ident;)*) => {
        $(impl Wire for $type {
            const TYPE: Type = Type::$name;

            #[inline]
            fn initial() -> Self {
                Self::default()
            }

            #[inline]
            fn read(reader: &mut Reader, _: At) -> Result<Self> {
                reader.$read()
            }

            #[inline]
            fn write<S: Sink>(&self, sink: &mut S, _: At) {
                sink.put(&self.to_be_bytes());
            }
        })*
    };
}

wire_integers! {
    i8 = Int8, read_i8;
    i16 = Int16, read_i16;
    u16 = Uint16, read_u16;
    i32 = Int32, read_i32;
    u32 = Uint32, read_u32;
    i64 = Int64, read_i64;
    f64 = Float64, read_f64;
}

impl Wire for bool {
    const TYPE: Type = Type::Bool;

    #[inline]
    fn initial() -> Self {
        false
    }

    #[inline]
    fn read(reader: &mut Reader, _: At) -> Result<Self> {
        Ok(reader.read_i8()? != 0)
    }

    #[inline]
    fn write<S: Sink>(&self, sink: &mut S, _: At) {
        sink.put(&[u8::from(*self)]);
    }
}

impl Wire for Uuid {
    const TYPE: Type = Type::Uuid;

    #[inline]
    fn initial() -> Self {
        Self::ZERO
    }

    #[inline]
    fn read(reader: &mut Reader, _: At) -> Result<Self> {
        reader.array().map(Self::from_bytes)
    }

    #[inline]
    fn write<S: Sink>(&self, sink: &mut S, _: At) {
        sink.put(self.as_bytes());
    }
}

impl Wire for KafkaString {
    const TYPE: Type = Type::String;

    #[inline]
    fn initial() -> Self {
        Self::EMPTY
    }

    #[inline]
    fn read(reader: &mut Reader, at: At) -> Result<Self> {
        reader.string(at.flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    #[inline]
    fn write<S: Sink>(&self, sink: &mut S, at: At) {
        sink.put_string(Some(self), at.flexible);
    }

    #[inline]
    fn read_nullable(reader: &mut Reader, at: At) -> Result<Option<Self>> {
        reader.string(at.flexible)
    }

    #[inline]
    fn write_nullable<S: Sink>(value: Option<&Self>, sink: &mut S, at: At) {
        sink.put_string(value.map(KafkaString::as_str), at.flexible);
    }
}

impl Wire for Bytes {
    const TYPE: Type = Type::Bytes;

    #[inline]
    fn initial() -> Self {
        Self::new()
    }

    #[inline]
    fn read(reader: &mut Reader, at: At) -> Result<Self> {
        reader.bytes(at.flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    #[inline]
    fn write<S: Sink>(&self, sink: &mut S, at: At) {
        sink.put_len(Some(self.len()), at.flexible);
        sink.put(self);
    }

    #[inline]
    fn read_nullable(reader: &mut Reader, at: At) -> Result<Option<Self>> {
        reader.bytes(at.flexible)
    }

    #[inline]
    fn write_nullable<S: Sink>(value: Option<&Self>, sink: &mut S, at: At) {
        match value {
            Some(value) => value.write(sink, at),
            None => sink.put_len(None, at.flexible),
        }
    }
}

impl Wire for Records {
    const TYPE: Type = Type::Bytes;

    #[inline]
    fn initial() -> Self {
        Records::Here(Bytes::new())
    }

    #[inline]
    fn read(reader: &mut Reader, at: At) -> Result<Self> {
        Bytes::read(reader, at).map(Records::Here)
    }

    #[inline]
    fn write<S: Sink>(&self, sink: &mut S, at: At) {
        sink.put_len(Some(self.len()), at.flexible);
        match self {
            Records::Here(bytes) => sink.put(bytes),
            Records::Elsewhere(len) => sink.put_gap(*len),
        }
    }

    #[inline]
    fn read_nullable(reader: &mut Reader, at: At) -> Result<Option<Self>> {
        Ok(Bytes::read_nullable(reader, at)?.map(Records::Here))
    }

    #[inline]
    fn write_nullable<S: Sink>(value: Option<&Self>, sink: &mut S, at: At) {
        match value {
            Some(value) => value.write(sink, at),
            None => sink.put_len(None, at.flexible),
        }
    }
}

impl<T: Wire> Wire for Vec<T> {
    const TYPE: Type = Type::Array(&T::TYPE);

    #[inline]
    fn each_error<F: FnMut(i16)>(&self, visit: &mut F) {
        self.iter().for_each(|value| value.each_error(visit));
    }

    #[inline]
    fn initial() -> Self {
        Self::new()
    }

    #[inline]
    fn read(reader: &mut Reader, at: At) -> Result<Self> {
        Self::read_nullable(reader, at)?.ok_or(DecodeError::UnexpectedNull)
    }

    #[inline]
    fn write<S: Sink>(&self, sink: &mut S, at: At) {
        sink.put_len(Some(self.len()), at.flexible);
        for element in self {
            element.write(sink, at);
        }
    }

    #[inline]
    fn read_nullable(reader: &mut Reader, at: At) -> Result<Option<Self>> {
        let Some(count) = reader.array_count(at.flexible)? else {
            return Ok(None);
        };
        let mut elements = reader.vec_for(count)?;
        for _ in 0..count {
            elements.push(T::read(reader, at)?);
        }
        Ok(Some(elements))
    }

    #[inline]
    fn write_nullable<S: Sink>(value: Option<&Self>, sink: &mut S, at: At) {
        match value {
            Some(value) => value.write(sink, at),
            None => sink.put_len(None, at.flexible),
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    const TYPE: Type = Type::Nullable(&T::TYPE);

    #[inline]
    fn each_error<F: FnMut(i16)>(&self, visit: &mut F) {
        self.iter().for_each(|value| value.each_error(visit));
    }

    #[inline]
    fn initial() -> Self {
        Some(T::initial())
    }

    #[inline]
    fn read(reader: &mut Reader, at: At) -> Result<Self> {
        if at.nullable { T::read_nullable(reader, at) } else { T::read(reader, at).map(Some) }
    }

    /// Where the version knows no null, a null is sent as the empty value.
    #[inline]
    fn write<S: Sink>(&self, sink: &mut S, at: At) {
        match self {
            _ if at.nullable => T::write_nullable(self.as_ref(), sink, at),
            Some(value) => value.write(sink, at),
            None => T::initial().write(sink, at),
        }
    }
}

/// The tagged fields at the end of a struct, as they come in: in any order, repeated, unknown ones among them.
pub(super) struct Tags {
    left: u32,
}

impl Tags {
    #[inline]
    pub(super) fn open(reader: &mut Reader, at: At) -> Result<Self> {
        let left = if at.flexible { reader.read_uvarint()? } else { 0 };
        Ok(Self { left })
    }

    /// The next tag, and the length of the value that follows it.
    #[inline]
    pub(super) fn next(&mut self, reader: &mut Reader) -> Result<Option<(u32, usize)>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let tag = reader.read_uvarint()?;
        Ok(Some((tag, reader.read_uvarint()? as usize)))
    }
}

/// Writes one tagged field: tag, length, value.
#[inline]
pub(super) fn write_tagged<T: Wire, S: Sink>(tag: u32, value: &T, sink: &mut S, at: At) {
    let mut length = Length::default();
    value.write(&mut length, at.in_tag());
    sink.put_uvarint(tag);
    sink.put_uvarint(length.0 as u32);
    value.write(sink, at.in_tag());
}
