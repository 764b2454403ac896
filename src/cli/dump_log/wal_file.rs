//! `.wal` files: what a write-ahead log holds. There is nothing like it in Kafka; the lines are in its manner.

use std::fs;
use std::path::Path;

use super::log_file::print_batch;
use super::{Plan, cannot_read};
use crate::cli::output::{Failure, Outcome, Output};
use crate::record::Batches;
use crate::wal::format::{BLOCK_LEN, FileHeader, FrameHeader, read_entries};
use crate::wire::Uuid;

/// Prints a file: its frames, their entries and, with deep iteration, the batches in them.
pub fn dump(path: &Path, plan: &Plan, out: &mut Output) -> Outcome {
    let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    let Some(file) = FileHeader::decode(&bytes) else {
        return Err(Failure::message(format!("{} is not a file of a write-ahead log", path.display())));
    };
    out.line(format_args!(
        "WAL file number: {} shard: {} generation: {} log: {:016x} size: {}",
        file.number, file.log.shard, file.log.generation, file.log.random, file.len
    ))?;
    let (mut position, mut torn) = (BLOCK_LEN, 0);
    while position < bytes.len() {
        let Some(frame) = FrameHeader::decode(&bytes[position..], &file, position as u64) else {
            position += BLOCK_LEN;
            continue;
        };
        let frame_bytes = bytes.get(position..position + frame.frame_len());
        let entries = frame_bytes.and_then(|bytes| Some((bytes, read_entries(bytes, &frame)?)));
        let is_valid = entries.is_some();
        out.line(format_args!(
            "sequence: {} position: {position} neededFrom: {} entries: {} size: {} isvalid: {is_valid}",
            frame.sequence,
            frame.needed_from,
            frame.entries,
            frame.frame_len()
        ))?;
        let Some((frame_bytes, entries)) = entries else {
            torn += 1;
            position += BLOCK_LEN;
            continue;
        };
        for (entry, at) in entries {
            out.line(format_args!(
                "| entry: {} topicId: {} partition: {} segment: {} position: {} size: {} baseOffset: {} leaderEpoch: {}",
                entry.sequence,
                Uuid::from_bytes(entry.topic_id),
                entry.partition,
                entry.segment,
                entry.position,
                entry.len,
                entry.base_offset,
                entry.leader_epoch
            ))?;
            if plan.deep_iteration {
                let mut at_in_segment = entry.position;
                for batch in Batches::new(&frame_bytes[at..at + entry.len as usize]).map_while(Result::ok) {
                    write_indent(out)?;
                    print_batch(&batch, at_in_segment, out)?;
                    at_in_segment += batch.bytes.len() as u64;
                }
            }
        }
        position += frame.frame_len();
    }
    if torn > 0 {
        out.line(format_args!("Found {torn} torn writes in {}", path.display()))?;
    }
    Ok(())
}

fn write_indent(out: &mut Output) -> std::io::Result<()> {
    std::io::Write::write_all(out, b"|   ")
}
