//! Damage as it hurts a decoder: lengths that lie, bytes that moved, ends that are missing.

use rand::Rng;
use rand::rngs::StdRng;

/// Lengths and counts at the edges, in all their encodings.
const EDGES: [&[u8]; 10] = [
    &[0x00],
    &[0xff],
    &[0x7f, 0xff],
    &[0xff, 0xff],
    &[0x80, 0x00],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0x00, 0x00, 0x00],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
];

/// Damages `bytes` in one to four places.
pub fn mutate(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let rest = bytes.len() - at;
        match rng.random_range(0..7) {
            0 => bytes.truncate(at),
            1 if rest > 0 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 if rest > 0 => bytes[at] = rng.random(),
            3 => {
                let edge = EDGES[rng.random_range(0..EDGES.len())];
                let end = at + edge.len().min(rest);
                bytes.splice(at..end, edge.iter().copied());
            }
            4 => {
                let edge = EDGES[rng.random_range(0..EDGES.len())];
                bytes.splice(at..at, edge.iter().copied());
            }
            5 => {
                bytes.drain(at..at + rng.random_range(0..=rest.min(8)));
            }
            6 if bytes.len() < 4096 => {
                let piece = bytes[at..at + rng.random_range(0..=rest)].to_vec();
                let times = rng.random_range(1..=3);
                bytes.extend(std::iter::repeat_n(piece, times).flatten());
            }
            _ => bytes.push(rng.random()),
        }
    }
}
