//! Interval logs of HdrHistogram (`.hlog`): what HdrHistogram's own tools, and everybody's, read. One file per run.
//!
//! Values are nanoseconds; times are seconds since `BaseTime`, which is when the run began. Kinds of latency have tags:
//!
//! ```text
//! #[Histogram log format version 1.3]
//! #[BaseTime: 1763800000.123 (seconds since epoch)]
//! Tag=latency,0.000,1.000,12.345,HISTFAAA...
//! Tag=end_to_end,0.000,1.000,15.011,HISTFAAA...
//! ```

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::BenchError;

/// The column of largest values is in milliseconds, as in logs of the Java library.
const NS_PER_MS: f64 = 1_000_000.0;

/// Writes the log of a run, interval by interval.
pub struct HlogWriter {
    path: PathBuf,
    file: BufWriter<File>,
    serializer: V2DeflateSerializer,
}

impl HlogWriter {
    /// Makes the file; `about` becomes a comment at its head, one line.
    pub fn create(path: &Path, started: SystemTime, about: &str) -> Result<HlogWriter, BenchError> {
        let file = File::create(path).map_err(|error| BenchError::io(path, error))?;
        let mut writer =
            HlogWriter { path: path.to_owned(), file: BufWriter::new(file), serializer: V2DeflateSerializer::new() };
        let mut head = b"#[Histogram log format version 1.3]\n".to_vec();
        let about: String = about.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        IntervalLogWriterBuilder::new()
            .add_comment(&about)
            .add_comment("values are nanoseconds")
            .with_start_time(started)
            .with_base_time(started)
            .with_max_value_divisor(NS_PER_MS)
            .begin_log_with(&mut head, &mut V2DeflateSerializer::new())
            .map_err(|error| BenchError::io(path, error))?;
        head.extend_from_slice(
            b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        );
        writer.write(&head)?;
        Ok(writer)
    }

    /// Adds what was measured from `start` (since the run began) for `duration`. Empty histograms are left out. `tag` may have no
    /// commas, spaces or line ends.
    pub fn append(
        &mut self,
        start: Duration,
        duration: Duration,
        tag: &str,
        histogram: &Histogram<u64>,
    ) -> Result<(), BenchError> {
        if histogram.is_empty() {
            return Ok(());
        }
        let tag = Tag::new(tag).ok_or_else(|| BenchError::io(&self.path, format_args!("'{tag}' can't be a tag")))?;
        // The library's writer borrows its sink for life; one a line, without the head that it writes first, needs no borrow.
        let mut text = Vec::new();
        IntervalLogWriterBuilder::new()
            .with_max_value_divisor(NS_PER_MS)
            .begin_log_with(&mut text, &mut self.serializer)
            .map_err(|error| BenchError::io(&self.path, error))?
            .write_histogram(histogram, start, duration, Some(tag))
            .map_err(|error| BenchError::io(&self.path, format_args!("{error:?}")))?;
        let line = text.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
        let line: Vec<u8> = line.flatten().copied().collect();
        self.write(&line)
    }

    /// Writes what is buffered. To be called at the end, and whenever a run may be interrupted.
    pub fn flush(&mut self) -> Result<(), BenchError> {
        self.file.flush().map_err(|error| BenchError::io(&self.path, error))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.file.write_all(bytes).map_err(|error| BenchError::io(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::bench::driver::time_histogram;

    #[test]
    fn what_was_written_reads_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.hlog");
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_800_000_123);
        let mut writer = HlogWriter::create(&path, started, "acks=all\nlinger.ms=5").expect("made");
        let mut first = time_histogram();
        first.record(12_345_678).expect("in bounds");
        first.record_n(1_000, 99).expect("in bounds");
        let mut second = time_histogram();
        second.record(77).expect("in bounds");
        let one = Duration::from_secs(1);
        writer.append(Duration::ZERO, one, "latency", &first).expect("written");
        writer.append(Duration::ZERO, one, "end_to_end", &time_histogram()).expect("empty ones are left out");
        writer.append(one, one, "latency", &second).expect("written");
        writer.flush().expect("written");

        let bytes = std::fs::read(&path).expect("there");
        assert!(bytes.starts_with(b"#[Histogram log format version 1.3]\n"));
        let entries: Vec<LogEntry> = IntervalLogIterator::new(&bytes).map(|entry| entry.expect("valid")).collect();
        let LogEntry::BaseTime(base) = &entries[1] else { panic!("{entries:?}") };
        assert_eq!(base.as_millis(), 1_763_800_000_123);
        let intervals = entries.iter().filter_map(|entry| match entry {
            LogEntry::Interval(interval) => Some(interval),
            _ => None,
        });
        let intervals: Vec<_> = intervals.collect();
        assert_eq!(intervals.len(), 2);
        assert_eq!(intervals[1].start_timestamp(), one);
        assert_eq!(intervals[0].tag().expect("a tag").as_str(), "latency");
        let encoded = base64::engine::general_purpose::STANDARD.decode(intervals[0].encoded_histogram());
        let read: Histogram<u64> =
            Deserializer::new().deserialize(&mut encoded.expect("base64").as_slice()).expect("a histogram");
        assert_eq!((read.len(), read.value_at_quantile(0.5)), (100, 1_000));
        assert!((read.max() as f64 / 12_345_678.0 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_tag_with_a_comma_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.hlog");
        let mut writer = HlogWriter::create(&path, SystemTime::now(), "").expect("made");
        let mut histogram = time_histogram();
        histogram.record(5).expect("in bounds");
        assert!(writer.append(Duration::ZERO, Duration::from_secs(1), "a,b", &histogram).is_err());
    }
}
