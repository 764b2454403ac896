//! Every message, behind one type.

use bytes::Bytes;
use millrace::protocol::table::MessageTable;
use millrace::protocol::{Message, Request, messages, records};
use millrace::wire::{DecodeError, Reader, Writer};

/// One message of the tables.
pub struct Entry {
    /// Its table.
    pub table: MessageTable,
    /// Whether it is a request, a response, or something else.
    pub role: Role,
    /// Decodes and forgets.
    pub decode: fn(&mut Reader, i16) -> Result<(), DecodeError>,
    /// Decodes, encodes, and checks on the way that all sizes and values agree.
    pub recode: fn(Bytes, i16) -> Result<Bytes, DecodeError>,
    /// The default value's bytes.
    pub default: fn(i16) -> Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Request,
    Response,
    Other,
}

impl Entry {
    fn new<M: Message>(role: Role) -> Self {
        Self {
            table: M::TABLE,
            role,
            decode: |reader, version| M::decode(reader, version).map(|_| ()),
            recode: recode::<M>,
            default: |version| encode(&M::default(), version),
        }
    }

    pub fn name(&self) -> &'static str {
        self.table.table.name
    }

    pub fn versions(&self) -> std::ops::RangeInclusive<i16> {
        self.table.min_version..=self.table.max_version
    }
}

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version);
    assert_eq!(writer.len(), message.encoded_len(version), "{}: encoded_len disagrees with encode", M::NAME);
    writer.freeze()
}

fn recode<M: Message>(bytes: Bytes, version: i16) -> Result<Bytes, DecodeError> {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version)?;
    assert_eq!(reader.remaining(), 0, "{} leaves bytes unread", M::NAME);
    let bytes = encode(&message, version);
    assert_eq!(M::decode(&mut Reader::new(bytes.clone()), version)?, message, "{}: not what was encoded", M::NAME);
    Ok(bytes)
}

/// All messages.
pub fn all() -> Vec<Entry> {
    let mut entries = apis();
    macro_rules! add {
        ($($module:ident, $name:ident;)*) => {
            $(entries.push(Entry::new::<records::$module::$name>(Role::Other));)*
        };
    }
    millrace::for_each_record!(add);
    entries
}

/// The requests and responses.
pub fn apis() -> Vec<Entry> {
    let mut entries = Vec::new();
    macro_rules! add {
        ($($api:ident = $key:literal, $module:ident, $request:ident, $response:ident;)*) => {
            $(
                entries.push(Entry::new::<messages::$module::$request>(Role::Request));
                entries.push(Entry::new::<<messages::$module::$request as Request>::Response>(Role::Response));
            )*
        };
    }
    millrace::for_each_api!(add);
    entries
}
