//! What records are made of: sizes, contents with a chosen compressibility, keys. Bytes are made once, before the run; a record only
//! points into them.

mod contents;
mod keys;

use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use self::contents::{POOL_BYTES, contents};
use self::keys::{KEY_DIGITS, KeyLaw, key_law};
use super::BenchError;
use super::workload::{Flow, Sizes, Values};

/// The contents of a flow, shared by all its producers, or those of Kafka's perf tool.
#[derive(Clone, Debug)]
pub struct Payloads(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Contents, long enough for the largest value from every start below `starts`.
    pool: Vec<u8>,
    starts: usize,
    /// Where lines start in the pool, for contents that come from a file with lines.
    lines: Vec<(u32, u32)>,
    order: Order,
    sizes: Sampler,
    null_share: f64,
    keys: KeyLaw,
    key_lines: Vec<Vec<u8>>,
}

/// Which piece of the contents is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The next one, as long as the sizes say.
    InTurn,
    /// Any line, as it is.
    AnyLine,
    /// The number of the record in decimal.
    Counting,
}

/// A record's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// None: the sticky partitioner decides.
    None,
    /// None; the partition is the next in turn.
    InTurn,
    /// A number, to be written out.
    Number(u64),
    /// A line of the file.
    Line(u32),
}

/// A record's value: a range of the prepared bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    start: u32,
    /// Bytes of the value.
    pub len: u32,
    /// Bytes after which the range starts over; as long as the value, unless it is a line that is too short.
    period: u32,
}

/// A record before it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Its key.
    pub key: Key,
    /// Its value; `None`: a tombstone.
    pub value: Option<Value>,
}

/// Draws one producer's records.
#[derive(Clone, Debug)]
pub struct Source {
    payloads: Payloads,
    rng: SmallRng,
    at: usize,
    line: usize,
    key: u64,
    /// Records so far, and the number of the last one in decimal.
    count: u64,
    text: String,
}

impl Payloads {
    /// Prepares the contents of a flow's records. Files are read here.
    pub fn new(flow: &Flow, seed: u64) -> Result<Payloads, BenchError> {
        let Values { size, content, null_share } = &flow.value;
        if !(0.0..=1.0).contains(null_share) {
            return Err(BenchError::config(format_args!("null_share {null_share} is not between 0 and 1")));
        }
        let sizes = Sampler::new(size)?;
        let (mut pool, lines) = contents(content, seed)?;
        let starts = pool.len();
        let size_max = size.max() as usize;
        while pool.len() < starts + size_max {
            let more = (starts + size_max - pool.len()).min(starts);
            pool.extend_from_within(..more);
        }
        let (keys, key_lines) = key_law(&flow.key)?;
        let (order, null_share) = (Order::InTurn, *null_share);
        Ok(Payloads(Arc::new(Inner { pool, starts, lines, order, sizes, null_share, keys, key_lines })))
    }

    /// Random capital letters, as Kafka's perf tool sends them.
    pub fn letters(bytes: u32) -> Payloads {
        let mut rng = SmallRng::seed_from_u64(0);
        let len = POOL_BYTES + bytes as usize;
        let pool = (0..len).map(|_| rng.random_range(b'A'..=b'Z')).collect();
        Payloads::without_keys(pool, POOL_BYTES, Vec::new(), Order::InTurn, Sampler::Fixed(bytes))
    }

    /// One of these texts for each record, any of them.
    pub fn any_of(texts: &[Vec<u8>]) -> Payloads {
        let mut lines = Vec::with_capacity(texts.len());
        let mut pool = Vec::new();
        for text in texts {
            lines.push((pool.len() as u32, text.len() as u32));
            pool.extend_from_slice(text);
        }
        let starts = pool.len().max(1);
        Payloads::without_keys(pool, starts, lines, Order::AnyLine, Sampler::Fixed(0))
    }

    /// Every record is its own number.
    pub fn counting() -> Payloads {
        Payloads::without_keys(Vec::new(), 1, Vec::new(), Order::Counting, Sampler::Fixed(0))
    }

    fn without_keys(pool: Vec<u8>, starts: usize, lines: Vec<(u32, u32)>, order: Order, sizes: Sampler) -> Payloads {
        let (keys, key_lines) = (KeyLaw::None, Vec::new());
        Payloads(Arc::new(Inner { pool, starts, lines, order, sizes, null_share: 0.0, keys, key_lines }))
    }

    /// One producer's draws.
    pub fn source(&self, producer: u32, seed: u64) -> Source {
        let mut rng = SmallRng::seed_from_u64(seed ^ (u64::from(producer) << 20) ^ 0x5eed);
        let at = rng.random_range(0..self.0.starts);
        let line = rng.random_range(0..self.0.lines.len().max(1));
        let keys = self.0.key_lines.len().max(1) as u64;
        let key = rng.random_range(0..keys);
        Source { payloads: self.clone(), rng, at, line, key, count: 0, text: String::new() }
    }
}

impl Source {
    /// The next record.
    #[inline]
    pub fn draw(&mut self) -> Drawn {
        let inner = &*self.payloads.0;
        let rng = &mut self.rng;
        let key = match &inner.keys {
            KeyLaw::None => Key::None,
            KeyLaw::InTurn => Key::InTurn,
            KeyLaw::Uniform { count, .. } => Key::Number(rng.random_range(0..*count)),
            KeyLaw::Zipf { law, .. } => Key::Number(law.draw(rng)),
            KeyLaw::Lines => {
                self.key = (self.key + 1) % inner.key_lines.len() as u64;
                Key::Line(self.key as u32)
            }
        };
        if inner.null_share > 0.0 && rng.random::<f64>() < inner.null_share {
            return Drawn { key, value: None };
        }
        match inner.order {
            Order::InTurn => {}
            Order::AnyLine => {
                let (start, len) = inner.lines[rng.random_range(0..inner.lines.len())];
                return Drawn { key, value: Some(Value { start, len, period: len.max(1) }) };
            }
            Order::Counting => {
                self.text = self.count.to_string();
                self.count += 1;
                let len = self.text.len() as u32;
                return Drawn { key, value: Some(Value { start: 0, len, period: len }) };
            }
        }
        let len = inner.sizes.draw(rng);
        if let Some(&(start, line_len)) = inner.lines.get(self.line) {
            self.line = (self.line + 1) % inner.lines.len();
            return Drawn { key, value: Some(Value { start, len, period: line_len.max(1) }) };
        }
        let start = self.at as u32;
        self.at += len as usize;
        if self.at >= inner.starts {
            self.at %= inner.starts;
        }
        Drawn { key, value: Some(Value { start, len, period: len.max(1) }) }
    }

    /// Bytes `from` to the end of a value, in pieces.
    #[inline]
    pub fn value(&self, value: Value, from: usize) -> impl Iterator<Item = &[u8]> {
        let inner = &*self.payloads.0;
        let pool = if inner.order == Order::Counting { self.text.as_bytes() } else { &inner.pool };
        let (start, len, period) = (value.start as usize, value.len as usize, value.period as usize);
        let mut at = from;
        std::iter::from_fn(move || {
            if at >= len {
                return None;
            }
            let phase = at % period;
            let piece = (period - phase).min(len - at);
            at += piece;
            Some(&pool[start + phase..start + phase + piece])
        })
    }

    /// Writes a key into `out`; false if the record has none.
    #[inline]
    pub fn put_key(&self, key: Key, out: &mut Vec<u8>) -> bool {
        out.clear();
        let inner = &*self.payloads.0;
        match key {
            Key::None | Key::InTurn => return false,
            Key::Line(line) => out.extend_from_slice(&inner.key_lines[line as usize]),
            Key::Number(number) => {
                let (bytes, base) = match inner.keys {
                    KeyLaw::Uniform { bytes, base, .. } | KeyLaw::Zipf { bytes, base, .. } => (bytes, base),
                    _ => (0, 10),
                };
                out.resize(bytes as usize, b'0');
                let mut rest = number;
                for digit in out.iter_mut().rev() {
                    if rest == 0 {
                        break;
                    }
                    *digit = KEY_DIGITS[(rest % base) as usize];
                    rest /= base;
                }
            }
        }
        true
    }
}

#[derive(Clone, Debug)]
enum Sampler {
    Fixed(u32),
    Uniform(u32, u32),
    LogNormal { mu: f64, sigma: f64, max: u32 },
    Weighted { sizes: Vec<u32>, sums: Vec<f64> },
}

impl Sampler {
    fn new(sizes: &Sizes) -> Result<Sampler, BenchError> {
        Ok(match sizes {
            Sizes::Fixed { bytes } => Sampler::Fixed(*bytes),
            Sizes::Uniform { min, max } if min <= max => Sampler::Uniform(*min, *max),
            Sizes::Uniform { min, max } => {
                return Err(BenchError::config(format_args!("size min {min} is larger than max {max}")));
            }
            Sizes::LogNormal { median, p99 } if *median > 0 && median <= p99 => {
                // 2.3263 is the 99th percentile of the standard normal law.
                let sigma = (f64::from(*p99) / f64::from(*median)).ln() / 2.3263;
                Sampler::LogNormal { mu: f64::from(*median).ln(), sigma, max: sizes.max() }
            }
            Sizes::LogNormal { median, p99 } => {
                let text = format!("size median {median} must be above 0 and at most p99 {p99}");
                return Err(BenchError::config(text));
            }
            Sizes::Weighted { sizes } => {
                let fine = |weight: f64| weight.is_finite() && weight >= 0.0;
                let total: f64 = sizes.iter().map(|(_, weight)| *weight).sum();
                if !sizes.iter().all(|(_, weight)| fine(*weight)) || total <= 0.0 {
                    return Err(BenchError::config(
                        "weighted sizes need weights, none of them negative, above 0 in all",
                    ));
                }
                let mut sum = 0.0;
                let sums = sizes.iter().map(|(_, weight)| {
                    sum += weight / total;
                    sum
                });
                Sampler::Weighted { sums: sums.collect(), sizes: sizes.iter().map(|(size, _)| *size).collect() }
            }
        })
    }

    #[inline]
    fn draw(&self, rng: &mut SmallRng) -> u32 {
        match self {
            Sampler::Fixed(bytes) => *bytes,
            Sampler::Uniform(min, max) => rng.random_range(*min..=*max),
            Sampler::LogNormal { mu, sigma, max } => {
                let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
                ((mu + sigma * normal).exp().round() as u32).min(*max)
            }
            Sampler::Weighted { sizes, sums } => {
                let at = rng.random::<f64>();
                sizes[sums.partition_point(|sum| *sum <= at).min(sizes.len() - 1)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::workload::{Content, Keys};
    use super::*;
    use crate::record::{Compression, compress};

    fn flow(value: Values, key: Keys) -> Flow {
        Flow { value, key, ..Default::default() }
    }

    fn bytes(source: &Source, content: Drawn) -> Vec<u8> {
        content.value.map(|value| source.value(value, 0).collect::<Vec<_>>().concat()).unwrap_or_default()
    }

    fn ratio(content: Content, codec: Compression) -> f64 {
        let values = Values { size: Sizes::Fixed { bytes: 500 }, content, null_share: 0.0 };
        let mut source = Payloads::new(&flow(values, Keys::None), 1).expect("valid").source(0, 1);
        let mut plain = Vec::new();
        for _ in 0..130 {
            let drawn = source.draw();
            plain.extend_from_slice(&bytes(&source, drawn));
        }
        let mut packed = Vec::new();
        compress(codec, codec.default_level(), &plain, &mut packed);
        plain.len() as f64 / packed.len() as f64
    }

    #[test]
    fn contents_shrink_as_much_as_was_asked_for() {
        for wanted in [1.0, 2.0, 4.0, 8.0, 12.0] {
            for codec in [Compression::Lz4, Compression::Zstd, Compression::Gzip] {
                let got = ratio(Content::Synthetic { ratio: wanted }, codec);
                assert!((got / wanted - 1.0).abs() < 0.15, "{codec:?}: {got} instead of {wanted}");
            }
        }
        assert!(ratio(Content::WebLog, Compression::Zstd) > 3.0);
        assert!(ratio(Content::Json, Compression::Zstd) > 3.0);
    }

    #[test]
    fn sizes_follow_their_law() {
        let draw = |size: Sizes| {
            let values = Values { size, ..Default::default() };
            let mut source = Payloads::new(&flow(values, Keys::None), 1).expect("valid").source(3, 7);
            let mut all: Vec<u32> = (0..20_000).filter_map(|_| source.draw().value).map(|value| value.len).collect();
            all.sort_unstable();
            all
        };
        assert!(draw(Sizes::Fixed { bytes: 77 }).iter().all(|len| *len == 77));
        let uniform = draw(Sizes::Uniform { min: 10, max: 20 });
        assert_eq!((uniform[0], uniform[19_999]), (10, 20));
        let log = draw(Sizes::LogNormal { median: 1000, p99: 20_000 });
        assert!((f64::from(log[10_000]) / 1000.0 - 1.0).abs() < 0.1);
        assert!((f64::from(log[19_800]) / 20_000.0 - 1.0).abs() < 0.2);
        let weighted = draw(Sizes::Weighted { sizes: vec![(1, 3.0), (500, 1.0)] });
        let large = weighted.iter().filter(|len| **len == 500).count();
        assert!((large as i64 - 5000).abs() < 400);
    }

    #[test]
    fn zipf_keys_follow_the_law() {
        let keys = Keys::Zipf { count: 1000, exponent: 1.0, bytes: 8 };
        let mut source = Payloads::new(&flow(Values::default(), keys), 1).expect("valid").source(0, 3);
        let mut counts: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut key = Vec::new();
        for _ in 0..100_000 {
            let drawn = source.draw();
            assert!(source.put_key(drawn.key, &mut key));
            *counts.entry(key.clone()).or_default() += 1;
        }
        let count = |rank: &[u8]| f64::from(counts.get(rank).copied().unwrap_or(0));
        // The harmonic number of 1000 is 7.485.
        assert!((count(b"00000000") / 13_360.0 - 1.0).abs() < 0.05);
        assert!((count(b"00000009") / 1336.0 - 1.0).abs() < 0.15);
    }

    #[test]
    fn lines_of_a_file_are_cut_or_repeated_to_their_size() {
        let dir = tempfile::tempdir().expect("writable");
        let path = dir.path().join("lines");
        std::fs::write(&path, "abc\n\nlonger line\n").expect("writable");
        let values = Values {
            size: Sizes::Fixed { bytes: 7 },
            content: Content::File { path: path.clone() },
            ..Default::default()
        };
        let mut source = Payloads::new(&flow(values, Keys::File { path }), 1).expect("valid").source(0, 1);
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for _ in 0..2 {
            let drawn = source.draw();
            seen.push(bytes(&source, drawn));
        }
        seen.sort();
        assert_eq!(seen, [b"abcabca".to_vec(), b"longer ".to_vec()]);
    }

    #[test]
    fn the_perf_tool_has_letters_lines_and_numbers() {
        let mut letters = Payloads::letters(50).source(0, 1);
        let drawn = letters.draw();
        assert!(bytes(&letters, drawn).len() == 50 && bytes(&letters, drawn).iter().all(u8::is_ascii_uppercase));
        let texts = [b"one".to_vec(), b"three".to_vec(), Vec::new()];
        let mut lines = Payloads::any_of(&texts).source(0, 1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let drawn = lines.draw();
            seen.insert(bytes(&lines, drawn));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [Vec::new(), b"one".to_vec(), b"three".to_vec()]);
        let mut numbers = Payloads::counting().source(0, 1);
        let drawn: Vec<Vec<u8>> = (0..12)
            .map(|_| {
                let drawn = numbers.draw();
                bytes(&numbers, drawn)
            })
            .collect();
        assert_eq!((drawn[0].as_slice(), drawn[11].as_slice()), (&b"0"[..], &b"11"[..]));
    }

    #[test]
    fn impossible_records_are_refused_in_a_sentence() {
        let refused =
            |value: Values, key: Keys| Payloads::new(&flow(value, key), 1).expect_err("impossible").to_string();
        let sizes = |size| Values { size, ..Default::default() };
        assert!(refused(sizes(Sizes::Uniform { min: 9, max: 1 }), Keys::None).contains("min 9"));
        assert!(refused(sizes(Sizes::Weighted { sizes: vec![] }), Keys::None).contains("weights"));
        let few = Keys::Uniform { count: 1000, bytes: 1 };
        assert_eq!(refused(Values::default(), few), "1000 keys don't fit into 1 bytes");
        let file = Keys::File { path: "/nowhere/keys".into() };
        assert!(refused(Values::default(), file).starts_with("/nowhere/keys"));
    }
}
