//! `quorum-state`: one JSON object in the directory of the metadata log.
//!
//! Version 0 (kraft.version 0) names the voters, version 1 (KIP-853) leaves them to the log:
//! ```json
//! {"clusterId":"","leaderId":1,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}
//! {"leaderId":1,"leaderEpoch":3,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}
//! ```

use std::io;
use std::path::Path;

use serde_json::Value;

use crate::rt::directory;
use crate::wire::Uuid;

const FILE_NAME: &str = "quorum-state";

/// What a voter must not forget between two starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// The epoch of the quorum.
    pub leader_epoch: i32,
    /// Its leader, -1 when not known.
    pub leader_id: i32,
}

impl QuorumState {
    /// Reads the file; a node that never took part has none and starts with epoch 0.
    pub fn read(log_directory: &Path) -> io::Result<QuorumState> {
        let path = log_directory.join(FILE_NAME);
        let Some(bytes) = directory::read_if_exists(&path)? else {
            return Ok(QuorumState { leader_epoch: 0, leader_id: -1 });
        };
        let invalid =
            |reason: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display()));
        let json: Value = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        let number = |name: &str| {
            let number = json.get(name).and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok());
            number.ok_or_else(|| invalid(format!("field {name} is missing or not a number")))
        };
        let version = number("data_version")?;
        if !(0..=1).contains(&version) {
            return Err(invalid(format!("unknown version {version}: it was written by a newer version of Kafka")));
        }
        Ok(QuorumState { leader_epoch: number("leaderEpoch")?, leader_id: number("leaderId")? })
    }

    /// Writes the file, durably, in the form that belongs to this level of `kraft.version`.
    pub fn write(&self, log_directory: &Path, kraft_version: i16) -> io::Result<()> {
        let QuorumState { leader_epoch, leader_id } = self;
        let json = if kraft_version == 0 {
            format!(
                "{{\"clusterId\":\"\",\"leaderId\":{leader_id},\"leaderEpoch\":{leader_epoch},\"votedId\":-1,\
                 \"appliedOffset\":0,\"currentVoters\":[{{\"voterId\":{leader_id}}}],\"data_version\":0}}"
            )
        } else {
            format!(
                "{{\"leaderId\":{leader_id},\"leaderEpoch\":{leader_epoch},\"votedId\":-1,\
                 \"votedDirectoryId\":\"{}\",\"data_version\":1}}",
                Uuid::ZERO
            )
        };
        directory::write_atomic(&log_directory.join(FILE_NAME), json.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_round_trip_in_kafkas_words() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert_eq!(QuorumState::read(dir.path()).expect("no file").leader_epoch, 0);
        let state = QuorumState { leader_epoch: 3, leader_id: 1 };
        let expected = [
            r#"{"clusterId":"","leaderId":1,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#,
            r#"{"leaderId":1,"leaderEpoch":3,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
        ];
        for (kraft_version, text) in (0..).zip(expected) {
            state.write(dir.path(), kraft_version).expect("write");
            assert_eq!(std::fs::read_to_string(dir.path().join(FILE_NAME)).expect("read"), text);
            assert_eq!(QuorumState::read(dir.path()).expect("read"), state);
        }
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join(FILE_NAME), "{\"leaderId\":1}").expect("write");
        let error = QuorumState::read(dir.path()).expect_err("incomplete");
        assert!(error.to_string().contains("quorum-state: field data_version"), "{error}");
    }
}
