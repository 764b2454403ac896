//! Access control entries, SCRAM credentials and delegation tokens: kept as the records that made them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ReplayError, own};
use crate::metadata::records::MetadataRecord;
use crate::protocol::records::metadata::{
    AccessControlEntryRecord, DelegationTokenRecord, RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord,
    RemoveUserScramCredentialRecord, UserScramCredentialRecord,
};
use crate::wire::{KafkaString, Uuid};

/// All access control entries, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AclsImage {
    entries: BTreeMap<Uuid, AccessControlEntryRecord>,
}

impl AclsImage {
    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = &AccessControlEntryRecord> {
        self.entries.values()
    }

    pub(super) fn add(&mut self, record: &AccessControlEntryRecord) {
        let entry = AccessControlEntryRecord {
            resource_name: own(&record.resource_name),
            principal: own(&record.principal),
            host: own(&record.host),
            ..record.clone()
        };
        self.entries.insert(record.id, entry);
    }

    pub(super) fn remove(&mut self, record: &RemoveAccessControlEntryRecord) -> Result<(), ReplayError> {
        self.entries.remove(&record.id).map(drop).ok_or(ReplayError::UnknownAcl(record.id))
    }

    pub(super) fn to_records(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.entries.values().cloned().map(MetadataRecord::from));
    }
}

/// All SCRAM credentials, by mechanism (1 SCRAM-SHA-256, 2 SCRAM-SHA-512) and user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScramImage {
    credentials: BTreeMap<(i8, KafkaString), UserScramCredentialRecord>,
}

impl ScramImage {
    /// The credential of a user.
    pub fn get(&self, mechanism: i8, user: &str) -> Option<&UserScramCredentialRecord> {
        self.credentials.get(&(mechanism, KafkaString::from(user)))
    }

    /// All credentials.
    pub fn iter(&self) -> impl Iterator<Item = &UserScramCredentialRecord> {
        self.credentials.values()
    }

    pub(super) fn add(&mut self, record: &UserScramCredentialRecord) {
        let credential = UserScramCredentialRecord {
            name: own(&record.name),
            salt: Bytes::copy_from_slice(&record.salt),
            stored_key: Bytes::copy_from_slice(&record.stored_key),
            server_key: Bytes::copy_from_slice(&record.server_key),
            ..record.clone()
        };
        self.credentials.insert((record.mechanism, credential.name.clone()), credential);
    }

    pub(super) fn remove(&mut self, record: &RemoveUserScramCredentialRecord) {
        self.credentials.remove(&(record.mechanism, record.name.clone()));
    }

    pub(super) fn to_records(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.credentials.values().cloned().map(MetadataRecord::from));
    }
}

/// All delegation tokens, by token id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DelegationTokensImage {
    tokens: BTreeMap<KafkaString, DelegationTokenRecord>,
}

impl DelegationTokensImage {
    /// All tokens.
    pub fn iter(&self) -> impl Iterator<Item = &DelegationTokenRecord> {
        self.tokens.values()
    }

    pub(super) fn add(&mut self, record: &DelegationTokenRecord) {
        let token = DelegationTokenRecord {
            owner: own(&record.owner),
            requester: own(&record.requester),
            renewers: record.renewers.iter().map(own).collect(),
            token_id: own(&record.token_id),
            ..record.clone()
        };
        self.tokens.insert(token.token_id.clone(), token);
    }

    pub(super) fn remove(&mut self, record: &RemoveDelegationTokenRecord) {
        self.tokens.remove(&*record.token_id);
    }

    pub(super) fn to_records(&self, records: &mut Vec<MetadataRecord>) {
        records.extend(self.tokens.values().cloned().map(MetadataRecord::from));
    }
}
