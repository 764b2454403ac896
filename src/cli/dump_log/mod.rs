//! `kafka-dump-log`: what stands in the files of a log directory.

mod index_files;
mod log_file;
mod record_json;
mod wal_file;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::flags::{Flag, Options, Takes, switch, value};
use super::output::{Failure, Outcome, Output};
use log_file::Decoder;

pub use index_files::read_producer_snapshot;

/// Name of the tool.
pub const NAME: &str = "kafka-dump-log";
/// What it is for.
pub const ABOUT: &str = "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.";
/// Its flags.
pub const FLAGS: &[Flag] = &[
    value(
        "files",
        "file1, file2, ...",
        "REQUIRED: Comma separated .log, .checkpoint, .index, .timeindex, .txnindex, .snapshot and .wal files.",
    ),
    switch("print-data-log", "Print keys and values of records."),
    switch("verify-index-only", "Compare indexes with their log without printing them."),
    switch("index-sanity-check", "Check only the form of indexes, as a broker does when it starts."),
    value("max-message-size", "size", "Bytes of a batch at most. [default: 5242880]"),
    value("max-bytes", "size", "Bytes of a .log file to read. [default: 2147483647]"),
    switch("deep-iteration", "Print records, not only batches; --print-data-log does that too."),
    Flag {
        name: "value-decoder-class",
        takes: Takes::OptionalValue("class"),
        help: "Accepted for StringDecoder only: Java classes can't be loaded here.",
    },
    Flag {
        name: "key-decoder-class",
        takes: Takes::OptionalValue("class"),
        help: "Accepted for StringDecoder only: Java classes can't be loaded here.",
    },
    switch("offsets-decoder", "Read records as those of __consumer_offsets."),
    switch("transaction-log-decoder", "Read records as those of __transaction_state."),
    switch("cluster-metadata-decoder", "Read records as those of the cluster's metadata."),
    switch("remote-log-metadata-decoder", "Not supported: there is no tiered storage here."),
    switch("share-group-state-decoder", "Read records as those of __share_group_state."),
    switch("skip-record-metadata", "Print only keys and values of records; leaves out control records too."),
];

/// What is to be printed.
#[derive(Debug)]
pub struct Plan {
    print_data: bool,
    deep_iteration: bool,
    skip_record_metadata: bool,
    verify_only: bool,
    index_sanity_only: bool,
    message_bytes_max: u64,
    bytes_max: u64,
    decoder: Decoder,
}

impl Plan {
    fn new(options: &Options, out: &mut Output) -> Result<Self, Failure> {
        for flag in ["value-decoder-class", "key-decoder-class"] {
            if let Some(class) =
                options.value(flag)?.filter(|class| !class.is_empty() && !class.ends_with("StringDecoder"))
            {
                out.note(format_args!(
                    "--{flag} {class} is ignored: Java classes can't be loaded here, text is printed"
                ))?;
            }
        }
        if options.has("remote-log-metadata-decoder") {
            return Err(Failure::message(
                "--remote-log-metadata-decoder is not supported: there is no tiered storage here",
            ));
        }
        let decoders = [
            ("offsets-decoder", Decoder::Coordinator("group")),
            ("transaction-log-decoder", Decoder::Coordinator("transaction")),
            ("cluster-metadata-decoder", Decoder::ClusterMetadata),
            ("share-group-state-decoder", Decoder::Coordinator("share")),
        ];
        let decoder = decoders.into_iter().find(|(flag, _)| options.has(flag)).map(|(_, decoder)| decoder);
        let print_data = decoder.is_some()
            || ["print-data-log", "value-decoder-class", "key-decoder-class"].iter().any(|flag| options.has(flag));
        let bytes = |flag, default: i32| -> Result<u64, Failure> {
            Ok(u64::try_from(options.number::<i32>(flag)?.unwrap_or(default)).unwrap_or_default())
        };
        Ok(Plan {
            print_data,
            deep_iteration: print_data || options.has("deep-iteration"),
            skip_record_metadata: options.has("skip-record-metadata"),
            verify_only: options.has("verify-index-only"),
            index_sanity_only: options.has("index-sanity-check"),
            message_bytes_max: bytes("max-message-size", 5 << 20)?,
            bytes_max: bytes("max-bytes", i32::MAX)?,
            decoder: decoder.unwrap_or(Decoder::Text),
        })
    }
}

/// Runs the tool.
pub fn run(args: &[String], out: &mut Output) -> Outcome {
    let options = Options::parse(NAME, ABOUT, FLAGS, args)?;
    let files = options.required("files")?;
    let plan = Plan::new(&options, out)?;
    let mut findings = Findings::default();
    for file in files.split(',') {
        dump(Path::new(file), &plan, &mut findings, out)?;
    }
    findings.print(out)?;
    Ok(())
}

fn dump(path: &Path, plan: &Plan, findings: &mut Findings, out: &mut Output) -> Outcome {
    out.line(format_args!("Dumping {}", path.display()))?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("log" | "checkpoint") => log_file::dump(path, plan, findings, out),
        Some("index") => index_files::dump_index(path, plan, findings, out),
        Some("timeindex") => index_files::dump_time_index(path, plan, findings, out),
        Some("txnindex") => index_files::dump_txn_index(path, out),
        Some("snapshot") => index_files::dump_producer_snapshot(path, out),
        Some("wal") => wal_file::dump(path, plan, out),
        _ => {
            out.note(format_args!("Ignoring unknown file {}", path.display()))?;
            Ok(())
        }
    }
}

/// The base offset that stands in the name of a segment's file.
fn base_offset(path: &Path) -> Result<i64, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').next().unwrap_or_default();
    stem.parse()
        .map_err(|_| Failure::message(format!("{}: the name of a segment's file is its base offset", path.display())))
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::message(format!("cannot read {}: {error}", path.display()))
}

/// What doesn't fit together, told at the end on standard error, per file.
#[derive(Debug, Default)]
pub struct Findings {
    index_mismatches: BTreeMap<PathBuf, BTreeMap<i64, i64>>,
    time_mismatches: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    out_of_order: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    not_found: BTreeMap<PathBuf, Vec<(i64, i64)>>,
    not_consecutive: BTreeMap<PathBuf, BTreeMap<i64, i64>>,
}

impl Findings {
    fn index_mismatch(&mut self, path: &Path, index_offset: i64, log_offset: i64) {
        self.index_mismatches.entry(absolute(path)).or_default().insert(index_offset, log_offset);
    }

    fn time_mismatch(&mut self, path: &Path, index_timestamp: i64, log_timestamp: i64) {
        self.time_mismatches.entry(absolute(path)).or_default().push((index_timestamp, log_timestamp));
    }

    fn time_out_of_order(&mut self, path: &Path, timestamp: i64, previous: i64) {
        self.out_of_order.entry(absolute(path)).or_default().push((timestamp, previous));
    }

    fn offset_not_found(&mut self, path: &Path, index_offset: i64, log_offset: i64) {
        self.not_found.entry(absolute(path)).or_default().push((index_offset, log_offset));
    }

    fn not_consecutive(&mut self, path: &Path, offset: i64, next: i64) {
        self.not_consecutive.entry(absolute(path)).or_default().insert(offset, next);
    }

    fn print(&self, out: &mut Output) -> io::Result<()> {
        for (path, offsets) in &self.index_mismatches {
            out.note(format_args!("Mismatches in :{}", path.display()))?;
            for (index, log) in offsets.iter().rev() {
                out.note(format_args!("  Index offset: {index}, log offset: {log}"))?;
            }
        }
        for (path, times) in &self.time_mismatches {
            out.note(format_args!("Found timestamp mismatch in :{}", path.display()))?;
            for (index, log) in times {
                out.note(format_args!("  Index timestamp: {index}, log timestamp: {log}"))?;
            }
        }
        for (path, times) in &self.out_of_order {
            out.note(format_args!("Found out of order timestamp in :{}", path.display()))?;
            for (timestamp, previous) in times {
                out.note(format_args!("  Index timestamp: {timestamp}, Previously indexed timestamp: {previous}"))?;
            }
        }
        for (path, offsets) in &self.not_found {
            out.note(format_args!("The following indexed offsets are not found in :{}", path.display()))?;
            for (index, log) in offsets {
                out.note(format_args!("Indexed offset: {index}, found log offset: {log}"))?;
            }
        }
        for (path, offsets) in &self.not_consecutive {
            out.note(format_args!("Non-consecutive offsets in {}", path.display()))?;
            for (offset, next) in offsets {
                out.note(format_args!("  {offset} is followed by {next}"))?;
            }
        }
        Ok(())
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
