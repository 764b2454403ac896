//! Contents of values: with a chosen compressibility, text as it is found in the world, or a file.

use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::bench::BenchError;
use crate::bench::workload::Content;

/// Bytes of prepared contents: more than any batch, so that no codec finds the end of the ring.
pub const POOL_BYTES: usize = 4 << 20;

/// A whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, BenchError> {
    std::fs::read(path).map_err(|error| BenchError::io(path, error))
}

/// The bytes that values are cut from, and the lines in them if values are lines.
pub fn contents(content: &Content, seed: u64) -> Result<(Vec<u8>, Vec<(u32, u32)>), BenchError> {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0xc0_ffee);
    match content {
        Content::Synthetic { ratio } if ratio.is_finite() && *ratio >= 1.0 => {
            Ok((synthetic(*ratio, &mut rng), Vec::new()))
        }
        Content::Synthetic { ratio } => {
            Err(BenchError::config(format_args!("a compression ratio of {ratio} is not possible: 1.0 is the least")))
        }
        Content::WebLog => Ok((text(&mut rng, web_log_line), Vec::new())),
        Content::Json => Ok((text(&mut rng, json_document), Vec::new())),
        Content::File { path } => {
            let bytes = read(path)?;
            if bytes.is_empty() {
                return Err(BenchError::io(path, "is empty, there is nothing to make values of"));
            }
            if u32::try_from(bytes.len()).is_err() {
                return Err(BenchError::io(path, "is larger than 4 GiB"));
            }
            let lines = lines(&bytes);
            Ok((bytes, lines))
        }
    }
}

fn lines(bytes: &[u8]) -> Vec<(u32, u32)> {
    if !bytes.contains(&b'\n') {
        return Vec::new();
    }
    let mut at = 0;
    let mut found = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if !line.is_empty() {
            found.push((at, line.len() as u32));
        }
        at += line.len() as u32 + 1;
    }
    found
}

/// Random bytes, with a repeated piece behind each stretch of them, as long as the ratio asks for. The piece repeats within itself, as
/// codecs that cut their input into blocks (lz4, snappy) meet it for the first time again and again.
fn synthetic(ratio: f64, rng: &mut SmallRng) -> Vec<u8> {
    /// What a codec needs to say that a piece is repeated.
    const MATCH_BYTES: f64 = 5.0;
    let cell: usize = if ratio > 8.0 { 2048 } else { 256 };
    let noise = ((cell as f64 / ratio - MATCH_BYTES).max(1.0) as usize).min(cell);
    let mut pattern = vec![0; 32];
    rng.fill_bytes(&mut pattern);
    let pattern = pattern.repeat(cell / 32);
    let mut pool = vec![0; POOL_BYTES];
    for piece in pool.chunks_mut(cell) {
        let noise = if ratio <= 1.0 { piece.len() } else { noise.min(piece.len()) };
        let (random, repeated) = piece.split_at_mut(noise);
        rng.fill_bytes(random);
        repeated.copy_from_slice(&pattern[..repeated.len()]);
    }
    pool
}

fn text(rng: &mut SmallRng, line: fn(&mut SmallRng, u64) -> String) -> Vec<u8> {
    let mut pool = Vec::with_capacity(POOL_BYTES + 1024);
    let mut number = 0;
    while pool.len() < POOL_BYTES {
        pool.extend_from_slice(line(rng, number).as_bytes());
        pool.push(b'\n');
        number += 1;
    }
    pool
}

fn pick<'a>(rng: &mut SmallRng, from: &[&'a str]) -> &'a str {
    // The first ones come more often, as everywhere.
    let at = (rng.random::<f64>().powi(2) * from.len() as f64) as usize;
    from[at.min(from.len() - 1)]
}

fn web_log_line(rng: &mut SmallRng, number: u64) -> String {
    let path =
        pick(rng, &["/", "/index.html", "/api/v1/items", "/static/app.js", "/login", "/cart", "/search?q=wheel"]);
    let agent = pick(
        rng,
        &[
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
            "curl/8.9.1",
        ],
    );
    let status = pick(rng, &["200", "304", "404", "302", "500"]);
    format!(
        "{}.{}.{}.{} - - [12/Mar/2025:{:02}:{:02}:{:02} +0000] \"GET {path} HTTP/1.1\" {status} {} \"-\" \"{agent}\"",
        rng.random_range(1..224),
        rng.random_range(0..256),
        rng.random_range(0..256),
        rng.random_range(1..255),
        number / 36_000 % 24,
        number / 600 % 60,
        number / 10 % 60,
        rng.random_range(120..90_000),
    )
}

fn json_document(rng: &mut SmallRng, number: u64) -> String {
    let state = pick(rng, &["created", "paid", "shipped", "delivered", "cancelled"]);
    let country = pick(rng, &["US", "DE", "FR", "GB", "JP", "BR", "IN"]);
    let article = pick(rng, &["gear-wheel", "mill-stone", "drive-belt", "water-gate", "flour-sack"]);
    let cents = rng.random_range(100..99_999);
    format!(
        "{{\"orderId\":\"{:016x}\",\"sequence\":{number},\"customer\":{{\"id\":{},\"country\":\"{country}\"}},\"state\":\"{state}\",\"items\":[{{\"sku\":\"{article}\",\"quantity\":{},\"price\":{}.{:02}}}],\"total\":{}.{:02},\"currency\":\"EUR\"}}",
        rng.random::<u64>(),
        rng.random_range(1..1_000_000),
        rng.random_range(1..9),
        cents / 100,
        cents % 100,
        cents / 50,
        cents % 97,
    )
}
