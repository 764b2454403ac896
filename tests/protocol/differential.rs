//! Byte for byte: our own codec with itself, and with the crate `kafka-protocol`, on random messages.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use millrace::wire::{DecodeError, Reader};

use crate::catalog::{self, Role};
use crate::random::{RandomMessages, Shape};

const ROUNDS: u64 = 20;

#[test]
fn every_message_and_version_round_trips() {
    let mut random = RandomMessages::new(1, Shape::Mixed);
    for entry in catalog::all() {
        for version in entry.versions() {
            for _ in 0..ROUNDS {
                let bytes = Bytes::from(random.message(&entry.table, version));
                let recoded = (entry.recode)(bytes.clone(), version);
                assert_eq!(recoded.as_ref(), Ok(&bytes), "{} version {version}", entry.name());
            }
            let default = (entry.default)(version);
            assert_eq!((entry.recode)(default.clone(), version), Ok(default), "{} version {version}", entry.name());
        }
    }
}

#[test]
fn every_cut_of_a_message_is_an_error() {
    let mut random = RandomMessages::new(2, Shape::Mixed);
    for entry in catalog::all() {
        for version in entry.versions() {
            let bytes = Bytes::from(random.message(&entry.table, version));
            for cut in 0..bytes.len() {
                let result = (entry.decode)(&mut Reader::new(bytes.slice(..cut)), version);
                assert!(result.is_err(), "{} version {version} cut at {cut} of {}", entry.name(), bytes.len());
            }
        }
    }
}

#[test]
fn versions_outside_the_table_are_refused() {
    for entry in catalog::all() {
        for version in [entry.table.min_version - 1, entry.table.max_version + 1] {
            let result = (entry.decode)(&mut Reader::new(Bytes::from_static(&[0; 64])), version);
            assert_eq!(result, Err(DecodeError::UnknownVersion { message: entry.name(), version }));
        }
    }
}

#[test]
fn kafka_protocol_reads_and_writes_the_same_bytes() {
    let mut random = RandomMessages::new(3, Shape::Mixed);
    let mut compared = 0;
    let mut differences = Vec::new();
    for entry in catalog::apis() {
        let key = entry.table.key.expect("an API has a key");
        let Ok(key) = ApiKey::try_from(key) else { continue };
        for version in entry.versions() {
            for _ in 0..ROUNDS {
                let bytes = Bytes::from(random.message(&entry.table, version));
                match their_recode(entry.role, key, bytes.clone(), version) {
                    Ok(recoded) if recoded == bytes => compared += 1,
                    Ok(_) => differences.push(format!("{} version {version} comes back otherwise", entry.name())),
                    // It is a little older than our tables.
                    Err(error) if error.contains("specified version not supported") => break,
                    Err(error) => differences.push(format!("{} version {version}: {error}", entry.name())),
                }
            }
        }
    }
    differences.dedup();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 500 * ROUNDS, "only {compared} messages were compared");
}

fn their_recode(role: Role, key: ApiKey, mut bytes: Bytes, version: i16) -> Result<Bytes, String> {
    let mut recoded = BytesMut::new();
    match role {
        Role::Request => RequestKind::decode(key, &mut bytes, version)
            .and_then(|message| message.encode(&mut recoded, version))
            .map_err(|error| format!("{error:#}"))?,
        Role::Response => ResponseKind::decode(key, &mut bytes, version)
            .and_then(|message| message.encode(&mut recoded, version))
            .map_err(|error| format!("{error:#}"))?,
        Role::Other => unreachable!("only APIs are compared"),
    }
    assert!(bytes.is_empty(), "{key:?} version {version} leaves bytes unread");
    Ok(recoded.freeze())
}
