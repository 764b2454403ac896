//! Which shards a request is for: a connection whose requests go to one other shard moves there.

use crate::shard::ShardId;

/// Which shard a request is for.
#[derive(Debug, Clone, Copy, Default)]
pub enum Owners {
    /// None yet.
    #[default]
    None,
    /// This one alone.
    One(ShardId),
    /// More than one.
    Several,
}

impl Owners {
    /// Notes the owner of another partition.
    pub fn note(&mut self, owner: ShardId) {
        *self = match *self {
            Owners::None => Owners::One(owner),
            Owners::One(known) if known == owner => Owners::One(known),
            _ => Owners::Several,
        };
    }

    /// The owner, if there is one alone.
    pub fn single(self) -> Option<ShardId> {
        match self {
            Owners::One(owner) => Some(owner),
            _ => None,
        }
    }
}
