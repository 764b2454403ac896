//! What one shard notes of one topic.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use super::shape::{ConsumerShape, KeyShape, TopicShape};
use super::sketch::{Buckets, Keys};
use super::{Fetched, Produced};
use crate::record::{Batch, BatchHeader, Batches, Compression, Decompressor, RecordIter, compress};

/// Milliseconds of the pieces of time whose records are counted for the dispersion.
const PIECE_MS: u64 = 10;
/// Pieces that are counted at most: those of ten minutes.
const PIECES_MAX: u64 = 60_000;
/// Steps in which the records of a batch are spread over its time.
const STEPS_MAX: u64 = 1024;
/// A batch lasts no longer than this, whatever its timestamps say.
const SPAN_MAX_MS: u64 = 60_000;
/// Connections that are told apart.
const PEERS_MAX: usize = 20_000;
/// Uncompressed batches that are compressed to see what it would bring.
const TRIED_MAX: u32 = 50;
/// A batch whose records are longer than this when decompressed is not looked into.
const DECOMPRESSED_MAX: usize = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct Notes {
    pub partitions: usize,
    begun_ms: i64,
    rates: Vec<u64>,
    pieces: Vec<u64>,
    records: u64,
    batches: u64,
    produced_bytes: u64,
    codecs: BTreeMap<&'static str, u64>,
    acks: BTreeMap<&'static str, u64>,
    idempotent: u64,
    producers: HashSet<SocketAddr>,
    batch_records: Buckets,
    batch_bytes: Buckets,
    batch_ms: Buckets,
    in_flight: Buckets,
    looked_into: LookedInto,
    consumers: HashSet<SocketAddr>,
    fetches: u64,
    fetched_bytes: u64,
    fetch_bytes: Buckets,
    fetch_settings: (i32, i32, i32),
}

/// What is known of records, of the batches that were looked into.
#[derive(Debug, Default)]
struct LookedInto {
    records: u64,
    nulls: u64,
    values: Buckets,
    keys: Keys,
    raw_bytes: u64,
    packed_bytes: u64,
    tried: u32,
}

impl Notes {
    pub fn new(seconds: u64, begun_ms: i64) -> Notes {
        let pieces = (seconds * 1000 / PIECE_MS).min(PIECES_MAX);
        let zeroes = |count: u64| vec![0; usize::try_from(count).unwrap_or(0)];
        Notes { begun_ms, rates: zeroes(seconds), pieces: zeroes(pieces), ..Notes::default() }
    }

    pub fn produced(&mut self, sent: &Produced<'_>, second: u64, mut looks: Option<&mut Decompressor>, seed: u64) {
        if self.producers.len() < PEERS_MAX {
            self.producers.insert(sent.peer);
        }
        for batch in Batches::new(sent.records).map_while(Result::ok) {
            let pieces = &mut self.pieces;
            let times = |at_ms: i64| count_piece(pieces, at_ms, self.begun_ms, 1);
            let looked = looks.as_deref_mut();
            let looked = looked.is_some_and(|decompressor| self.looked_into.batch(&batch, decompressor, seed, times));
            self.batch(&batch, sent.acks, second);
            self.in_flight.note(sent.in_flight as u64);
            if !looked {
                self.spread_over_pieces(&batch.header);
            }
        }
    }

    fn batch(&mut self, batch: &Batch<'_>, acks: i16, second: u64) {
        let header = &batch.header;
        let (Ok(records), Ok(codec)) = (u64::try_from(header.records_count), header.codec()) else { return };
        let bytes = header.size_in_bytes() as u64;
        self.records += records;
        self.batches += 1;
        self.produced_bytes += bytes;
        self.batch_records.note(records);
        self.batch_bytes.note(bytes);
        *self.codecs.entry(codec.name()).or_default() += 1;
        *self
            .acks
            .entry(match acks {
                0 => "0",
                1 => "1",
                _ => "all",
            })
            .or_default() += 1;
        self.idempotent += u64::from(header.has_producer_id());
        if let Some(rate) = usize::try_from(second).ok().and_then(|second| self.rates.get_mut(second)) {
            *rate += records;
        }
        let span = u64::try_from(header.max_timestamp.saturating_sub(header.base_timestamp)).unwrap_or(0);
        self.batch_ms.note(span.min(SPAN_MAX_MS));
    }

    /// Of records that are not looked into it is known that they have the times from the first to the last of the batch.
    fn spread_over_pieces(&mut self, header: &BatchHeader) {
        let span_ms = u64::try_from(header.max_timestamp.saturating_sub(header.base_timestamp)).unwrap_or(0);
        let records = u64::try_from(header.records_count).unwrap_or(0);
        // Nobody has checked the batch yet: its count may be any number.
        let steps = records.min(STEPS_MAX);
        for step in 0..steps {
            let at_ms =
                header.base_timestamp.saturating_add((span_ms.min(SPAN_MAX_MS) * step / (steps - 1).max(1)) as i64);
            let part = records * (step + 1) / steps - records * step / steps;
            count_piece(&mut self.pieces, at_ms, self.begun_ms, part);
        }
    }

    pub fn fetched(&mut self, fetched: &Fetched<'_>) {
        if self.consumers.len() < PEERS_MAX {
            self.consumers.insert(fetched.peer);
        }
        self.fetch_settings = (fetched.min_bytes, fetched.max_wait_ms, fetched.max_bytes);
        if fetched.bytes > 0 {
            self.fetches += 1;
            self.fetched_bytes += fetched.bytes as u64;
            self.fetch_bytes.note(fetched.bytes as u64);
        }
    }

    /// Adds what another shard noted.
    pub fn add(&mut self, other: &Notes) {
        self.partitions = self.partitions.max(other.partitions);
        for (mine, theirs) in [(&mut self.rates, &other.rates), (&mut self.pieces, &other.pieces)] {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        for (mine, theirs) in [(&mut self.codecs, &other.codecs), (&mut self.acks, &other.acks)] {
            theirs.iter().for_each(|(name, count)| *mine.entry(name).or_default() += count);
        }
        self.records += other.records;
        self.batches += other.batches;
        self.produced_bytes += other.produced_bytes;
        self.idempotent += other.idempotent;
        self.producers.extend(&other.producers);
        self.batch_records.add(&other.batch_records);
        self.batch_bytes.add(&other.batch_bytes);
        self.batch_ms.add(&other.batch_ms);
        self.in_flight.add(&other.in_flight);
        self.looked_into.add(&other.looked_into);
        self.consumers.extend(&other.consumers);
        self.fetches += other.fetches;
        self.fetched_bytes += other.fetched_bytes;
        self.fetch_bytes.add(&other.fetch_bytes);
        if !other.consumers.is_empty() {
            self.fetch_settings = other.fetch_settings;
        }
    }

    /// What there is to say after so many seconds.
    pub fn shape(self, name: String, seconds: f64) -> TopicShape {
        let whole = (seconds.floor() as usize).clamp(1, self.rates.len().max(1));
        let share = |counts: &BTreeMap<&'static str, u64>| {
            let share = |(name, count): (&&str, &u64)| ((*name).to_owned(), *count as f64 / self.batches.max(1) as f64);
            counts.iter().map(share).collect()
        };
        let (min_bytes, max_wait_ms, max_bytes) = self.fetch_settings;
        TopicShape {
            name,
            partitions: self.partitions,
            records: self.records,
            rates: self.rates.iter().take(whole).map(|count| *count as f64).collect(),
            dispersion: dispersion(&self.pieces[..self.pieces.len().min(whole * (1000 / PIECE_MS as usize))]),
            producers: self.producers.len(),
            value_sizes: self.looked_into.values.weighted(),
            null_share: self.looked_into.nulls as f64 / self.looked_into.records.max(1) as f64,
            keys: self.looked_into.key_shape(),
            batch_records: self.batch_records.spread(),
            batch_bytes: self.batch_bytes.spread(),
            batch_ms: self.batch_ms.spread(),
            in_flight: self.in_flight.spread(),
            compression_ratio: match self.looked_into.packed_bytes {
                0 => 1.0,
                packed => self.looked_into.raw_bytes as f64 / packed as f64,
            },
            codecs: share(&self.codecs),
            acks: share(&self.acks),
            idempotent: self.idempotent as f64 / self.batches.max(1) as f64,
            consumers: ConsumerShape {
                connections: self.consumers.len(),
                fan_out: self.fetched_bytes as f64 / self.produced_bytes.max(1) as f64,
                fetches_s: self.fetches as f64 / seconds.max(f64::MIN_POSITIVE),
                fetch_bytes: self.fetch_bytes.spread(),
                min_bytes,
                max_wait_ms,
                max_bytes,
            },
        }
    }
}

/// Counts records of a time in the piece that it falls into.
fn count_piece(pieces: &mut [u64], at_ms: i64, begun_ms: i64, records: u64) {
    let since = at_ms.checked_sub(begun_ms).and_then(|ms| u64::try_from(ms).ok());
    let piece = since.and_then(|ms| usize::try_from(ms / PIECE_MS).ok());
    if let Some(count) = piece.and_then(|piece| pieces.get_mut(piece)) {
        *count += records;
    }
}

impl LookedInto {
    /// Looks into a batch and tells the times of its records; false if it can't be read.
    fn batch(
        &mut self,
        batch: &Batch<'_>,
        decompressor: &mut Decompressor,
        seed: u64,
        mut times: impl FnMut(i64),
    ) -> bool {
        let Ok(codec) = batch.header.codec() else { return false };
        let packed = batch.records();
        let plain = match codec {
            Compression::None => packed,
            codec => match decompressor.decompress(codec, packed, DECOMPRESSED_MAX) {
                Ok(plain) => plain,
                // The broker refuses it, too.
                Err(_) => return false,
            },
        };
        if codec != Compression::None {
            self.raw_bytes += plain.len() as u64;
            self.packed_bytes += packed.len() as u64;
        } else if self.tried < TRIED_MAX {
            self.tried += 1;
            let mut out = Vec::with_capacity(plain.len());
            compress(Compression::Lz4, 1, plain, &mut out);
            self.raw_bytes += plain.len() as u64;
            self.packed_bytes += out.len() as u64;
        }
        for record in RecordIter::new(&batch.header, plain).map_while(Result::ok) {
            self.records += 1;
            times(record.timestamp);
            match record.value {
                Some(value) => self.values.note(value.len() as u64),
                None => self.nulls += 1,
            }
            if let Some(key) = record.key {
                self.keys.note(key, seed);
            }
        }
        true
    }

    fn add(&mut self, other: &LookedInto) {
        self.records += other.records;
        self.nulls += other.nulls;
        self.values.add(&other.values);
        self.keys.add(&other.keys);
        self.raw_bytes += other.raw_bytes;
        self.packed_bytes += other.packed_bytes;
        self.tried += other.tried;
    }

    fn key_shape(&self) -> KeyShape {
        KeyShape {
            share: self.keys.samples() as f64 / self.records.max(1) as f64,
            bytes: self.keys.mean_bytes(),
            samples: self.keys.samples(),
            distinct: self.keys.distinct(),
            collision: self.keys.collision(),
            top: self.keys.top(),
        }
    }
}

/// Variance over average, of changes from one piece to the next: a rate that drifts slowly is no burst.
fn dispersion(pieces: &[u64]) -> f64 {
    let mean = pieces.iter().sum::<u64>() as f64 / pieces.len().max(1) as f64;
    if mean <= 0.0 || pieces.len() < 2 {
        return 0.0;
    }
    let squares = pieces.windows(2).map(|pair| (pair[1] as f64 - pair[0] as f64).powi(2));
    squares.sum::<f64>() / (2.0 * (pieces.len() - 1) as f64) / mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispersion_tells_even_from_bursts() {
        assert_eq!(dispersion(&[5; 100]), 0.0);
        let bursts: Vec<u64> = (0..1000).map(|piece| if piece % 10 == 0 { 100 } else { 0 }).collect();
        assert!(dispersion(&bursts) > 50.0);
        let drifting: Vec<u64> = (1000..2000).collect();
        assert!(dispersion(&drifting) < 0.01);
        assert_eq!(dispersion(&[]), 0.0);
    }
}
