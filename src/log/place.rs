//! Where a partition that is not here is to be made, or why it must not be: what a disk lost must not come back empty.

use std::sync::Arc;

use super::dir::LogDir;
use super::dirs::LogDirs;
use super::format;
use super::types::PartitionId;
use crate::wire::Uuid;

/// When a partition of the metadata is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// At the start of the broker: it may have been here before.
    Start,
    /// The metadata changed: it is new.
    Change,
}

impl LogDirs {
    /// The directory for a partition of the metadata that was not found on disk; `assigned` is the directory that the metadata
    /// names, if it names one. `Err` says why it stays offline.
    pub fn place_for(
        &self,
        id: &PartitionId,
        assigned: Option<Uuid>,
        occasion: Occasion,
    ) -> Result<Arc<LogDir>, String> {
        let assigned = assigned.filter(|id| !is_reserved(id));
        let named = assigned.and_then(|id| self.dirs().iter().find(|dir| dir.directory_id() == id));
        if occasion == Occasion::Start {
            self.refuse_to_hide(id, assigned, named)?;
        }
        let healthy = named.filter(|dir| dir.failure().is_none()).cloned();
        healthy.or_else(|| self.choose_for_new()).ok_or_else(|| "no log directory is online".to_owned())
    }

    /// A partition that was here before is not made anew.
    fn refuse_to_hide(
        &self,
        id: &PartitionId,
        assigned: Option<Uuid>,
        named: Option<&Arc<LogDir>>,
    ) -> Result<(), String> {
        if let Some(reason) = self.unclear.get(&(id.topic.to_string(), id.partition)) {
            let topic_id = id.topic_id;
            return Err(format!("{reason}; the metadata says that its topic_id is {topic_id}"));
        }
        let namesake =
            |found: &&super::FoundPartition| found.id.topic == id.topic && found.id.partition == id.partition;
        if let Some(found) = self.found().iter().find(namesake) {
            let path = found.dir.path().join(id.to_string()).join(format::PARTITION_METADATA_FILE);
            return Err(format!(
                "{}: its topic_id is {}, the metadata says {}: correct the file, or move the directory away to start empty",
                path.display(),
                found.id.topic_id,
                id.topic_id
            ));
        }
        let failed = self.dirs().iter().find(|dir| dir.failure().is_some());
        match (named, assigned, failed) {
            (Some(dir), ..) if dir.failure().is_some() => {
                return Err(format!("its log directory {} is offline", dir.path().display()));
            }
            (None, _, Some(failed)) => {
                return Err(format!("it may be in the log directory {}, which is offline", failed.path().display()));
            }
            (None, Some(assigned), None) => {
                return Err(format!(
                    "the metadata says that it is in the log directory with the directory.id {assigned}, which is not in log.dirs: \
                     add that directory, or delete the topic"
                ));
            }
            _ => {}
        }
        for dir in self.dirs() {
            if let Some(offset) = dir.recovery_point(id).filter(|offset| *offset > 0) {
                return Err(format!(
                    "{} is missing, though {} says that it reached offset {offset}: bring it back, or delete the topic",
                    dir.path().join(id.to_string()).display(),
                    dir.recovery_points_path().display()
                ));
            }
        }
        Ok(())
    }
}

/// Ids that name no directory: unassigned, lost, migrating.
fn is_reserved(id: &Uuid) -> bool {
    u128::from_be_bytes(*id.as_bytes()) < 100
}
