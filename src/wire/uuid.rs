//! Kafka's 128-bit ids.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A topic, directory or incarnation id. Its text is Kafka's: 22 characters of unpadded base64url.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// "No id".
    pub const ZERO: Self = Self([0; 16]);
    /// The topic `__cluster_metadata`; also the id of a directory that is lost (KIP-858).
    pub const METADATA_TOPIC: Self = Self::from_u128(1);
    /// Directory id of a replica whose directory is not assigned yet (KIP-858).
    pub const UNASSIGNED_DIR: Self = Self::ZERO;
    /// Directory id of a replica in an offline directory (KIP-858).
    pub const LOST_DIR: Self = Self::from_u128(1);
    /// Directory id of a replica on a broker that has one directory or knows no ids (KIP-858).
    pub const MIGRATING_DIR: Self = Self::from_u128(2);

    /// An id from its bytes in wire order.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// An id from a number; the wire order is big-endian.
    pub const fn from_u128(number: u128) -> Self {
        Self(number.to_be_bytes())
    }

    /// The bytes in wire order.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether it is [`Uuid::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// A text that is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseUuidError;

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: expected 22 characters of base64url")
    }
}

impl std::error::Error for ParseUuidError {}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    /// Padding is accepted, as Kafka's own parser does.
    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let mut bytes = [0; 16];
        // decode_slice wants room for a rounded-up estimate, hence the larger buffer.
        let mut decoded = [0; 18];
        let text = text.trim_end_matches('=');
        if text.len() != 22 || URL_SAFE_NO_PAD.decode_slice(text, &mut decoded) != Ok(16) {
            return Err(ParseUuidError);
        }
        bytes.copy_from_slice(&decoded[..16]);
        Ok(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
