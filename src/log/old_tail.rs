//! What a killed process left in tail memory: found by the directory ids in the file names, indexed by partition.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::rt::directory;
use crate::rt::region_table::{OldChunk, OldRegion};
use crate::wire::Uuid;

/// Name of a new tail file: `millrace-<directory id>-<shard>-<random>.tail`.
pub fn tail_file_name(directory_id: Uuid, shard: u16, random: &[u8]) -> String {
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("millrace-{directory_id}-{shard}-{random}.tail")
}

/// A partition in a region: directory id, topic id, partition index.
type Key = ([u8; 16], [u8; 16], i32);

/// All regions of the previous process.
#[derive(Debug, Default)]
pub struct OldTails {
    regions: Vec<OldRegion>,
    /// Per partition: (region, chunk).
    chunks: HashMap<Key, Vec<(usize, OldChunk)>>,
    files: Vec<PathBuf>,
}

impl OldTails {
    /// Reads the tail files of the given log directories. What can't be used is named in the log and ignored. With `search_others`
    /// those named after other directories are looked into as well: there may be many of them.
    pub fn find(tail_dir: &Path, directory_ids: &[Uuid], search_others: bool) -> OldTails {
        let mut tails = OldTails::default();
        let entries = match directory::list(tail_dir) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "tail directory can't be read: what a killed broker left there is not recovered");
                return tails;
            }
        };
        let prefixes: Vec<String> = directory_ids.iter().map(|id| format!("millrace-{id}-")).collect();
        for entry in entries {
            let is_tail = !entry.is_dir && entry.name.starts_with("millrace-") && entry.name.ends_with(".tail");
            let ours = prefixes.iter().any(|prefix| entry.name.starts_with(prefix.as_str()));
            if !is_tail || !(ours || search_others) {
                continue;
            }
            let path = tail_dir.join(&entry.name);
            if !ours {
                // Named after a directory that is offline now, it may still hold something of the others.
                match OldRegion::open(&path) {
                    Ok(Ok(region)) if region.chunks().iter().any(|chunk| is_of(chunk, directory_ids)) => {
                        tails.add(region);
                        tails.files.push(path);
                    }
                    _ => {}
                }
                continue;
            }
            match OldRegion::open(&path) {
                Ok(Ok(region)) => tails.add(region),
                Ok(Err(foreign)) => {
                    tracing::warn!(path = %path.display(), reason = foreign.0, "tail file ignored");
                }
                Err(error) => tracing::warn!(%error, "tail file ignored"),
            }
            tails.files.push(path);
        }
        tails
    }

    fn add(&mut self, region: OldRegion) {
        let mut bytes = 0;
        for chunk in region.chunks() {
            let label = &chunk.label;
            let key = (label.directory_id, label.topic_id, label.partition);
            self.chunks.entry(key).or_default().push((self.regions.len(), *chunk));
            bytes += chunk.filled;
        }
        let chunks = region.chunks().len();
        tracing::info!(path = %region.path().display(), chunks, bytes, "found the tail of a broker that was killed");
        self.regions.push(region);
    }

    /// The part of segment `segment_base_offset` from `position` on that one chunk holds.
    pub fn bytes_at(
        &self,
        directory_id: Uuid,
        topic_id: Uuid,
        partition: i32,
        segment_base_offset: i64,
        position: u64,
    ) -> Option<&[u8]> {
        let (region, chunk) = self
            .chunks_of(directory_id, topic_id, partition)
            .filter(|(_, chunk)| {
                let start = chunk.label.position;
                chunk.label.segment_base_offset == segment_base_offset
                    && (start..start + chunk.filled as u64).contains(&position)
            })
            .max_by_key(|(_, chunk)| chunk.sequence)?;
        let skip = usize::try_from(position - chunk.label.position).expect("within a chunk");
        Some(&self.regions[*region].bytes(chunk)[skip..])
    }

    /// Where the next chunk of a segment begins behind `position`.
    pub fn next_behind(
        &self,
        directory_id: Uuid,
        topic_id: Uuid,
        partition: i32,
        segment_base_offset: i64,
        position: u64,
    ) -> Option<u64> {
        let of_segment = self
            .chunks_of(directory_id, topic_id, partition)
            .filter(|(_, chunk)| chunk.label.segment_base_offset == segment_base_offset && chunk.filled > 0);
        of_segment.map(|(_, chunk)| chunk.label.position).filter(|start| *start > position).min()
    }

    /// The segments of a partition that there is something of.
    pub fn segments_of(&self, directory_id: Uuid, topic_id: Uuid, partition: i32) -> impl Iterator<Item = i64> {
        let chunks = self.chunks_of(directory_id, topic_id, partition);
        chunks.filter(|(_, chunk)| chunk.filled > 0).map(|(_, chunk)| chunk.label.segment_base_offset)
    }

    /// Chunks of a partition, with the region that each is in.
    fn chunks_of(
        &self,
        directory_id: Uuid,
        topic_id: Uuid,
        partition: i32,
    ) -> impl Iterator<Item = &(usize, OldChunk)> {
        self.chunks.get(&(*directory_id.as_bytes(), *topic_id.as_bytes(), partition)).into_iter().flatten()
    }

    /// Whether there is anything of a partition.
    pub fn holds(&self, directory_id: Uuid, topic_id: Uuid, partition: i32) -> bool {
        self.chunks.contains_key(&(*directory_id.as_bytes(), *topic_id.as_bytes(), partition))
    }

    /// Has the next start find no more of these partitions: directory id, topic id, index.
    pub fn forget(&self, partitions: &[(Uuid, Uuid, i32)]) -> io::Result<()> {
        let keys = partitions.iter().map(|(dir, topic, index)| (*dir.as_bytes(), *topic.as_bytes(), *index));
        let gone: Vec<(usize, OldChunk)> = keys.filter_map(|key| self.chunks.get(&key)).flatten().copied().collect();
        let regions = self.regions.iter().enumerate();
        regions
            .filter(|(at, _)| gone.iter().any(|(of, _)| of == at))
            .try_for_each(|(at, region)| region.forget(gone.iter().filter(|(of, _)| *of == at).map(|(_, chunk)| chunk)))
    }

    /// Removes the files.
    pub fn remove_files(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|path| directory::remove_file(path))
    }
}

fn is_of(chunk: &OldChunk, directory_ids: &[Uuid]) -> bool {
    directory_ids.iter().any(|id| *id.as_bytes() == chunk.label.directory_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::region::{ChunkLabel, Region, UNIT_LEN};

    #[test]
    fn newest_chunk_that_covers_the_position_wins() {
        let dir = tempfile::tempdir().expect("tempdir");
        let id = Uuid::from_bytes([5; 16]);
        let region = Region::create(&dir.path().join(tail_file_name(id, 0, &[1])), 16 << 20).expect("region");
        let label = |position| ChunkLabel {
            directory_id: [5; 16],
            topic_id: [6; 16],
            partition: 2,
            segment_base_offset: 100,
            position,
        };
        for (position, text) in [(0, "aaaaaaaa"), (4096, "old"), (4096, "newest")] {
            let chunk = region.allocate(UNIT_LEN, &label(position)).expect("room");
            region.write(chunk, 0, text.as_bytes());
            region.set_filled(chunk, text.len());
        }
        std::fs::write(dir.path().join(tail_file_name(id, 1, &[2])), b"garbage").expect("write");
        std::fs::write(dir.path().join("millrace-other-0-00.tail"), b"garbage").expect("write");
        let tails = OldTails::find(dir.path(), &[id], true);
        let at = |segment, position| tails.bytes_at(id, Uuid::from_bytes([6; 16]), 2, segment, position);
        assert_eq!(at(100, 3), Some(&b"aaaaa"[..]));
        assert_eq!(at(100, 8), None);
        assert_eq!(at(100, 4098), Some(&b"west"[..]));
        assert_eq!(at(0, 3), None);
        let behind = |position| tails.next_behind(id, Uuid::from_bytes([6; 16]), 2, 100, position);
        assert_eq!([behind(0), behind(8), behind(4096)], [Some(4096), Some(4096), None]);
        assert!(tails.holds(id, Uuid::from_bytes([6; 16]), 2) && !tails.holds(id, Uuid::from_bytes([6; 16]), 3));
        tails.forget(&[(id, Uuid::from_bytes([6; 16]), 2)]).expect("forgotten");
        let again = OldTails::find(dir.path(), &[id], true);
        assert!(!again.holds(id, Uuid::from_bytes([6; 16]), 2));
        tails.remove_files().expect("removed");
        assert_eq!(directory::list(dir.path()).expect("list").len(), 1);
    }
}
