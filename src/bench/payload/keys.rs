//! Keys of records: uniform, by Zipf's law, or the lines of a file.

use rand::Rng;
use rand::rngs::SmallRng;

use super::contents::read;
use crate::bench::BenchError;
use crate::bench::workload::Keys;

/// Letters of keys that are too short for decimal digits.
pub const KEY_DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// How keys are drawn.
#[derive(Clone, Debug)]
pub enum KeyLaw {
    None,
    InTurn,
    Uniform { count: u64, bytes: u32, base: u64 },
    Zipf { law: Zipf, bytes: u32, base: u64 },
    Lines,
}

/// The law of a flow's keys, and the lines if they come from a file.
pub fn key_law(keys: &Keys) -> Result<(KeyLaw, Vec<Vec<u8>>), BenchError> {
    let law = match keys {
        Keys::None => KeyLaw::None,
        Keys::RoundRobin => KeyLaw::InTurn,
        Keys::Uniform { count, bytes } => KeyLaw::Uniform { count: *count, bytes: *bytes, base: base(*count, *bytes)? },
        Keys::Zipf { count, exponent, bytes } => {
            let base = base(*count, *bytes)?;
            if !exponent.is_finite() || *exponent < 0.0 {
                return Err(BenchError::config(format_args!("the exponent of keys, {exponent}, must not be negative")));
            }
            if *exponent == 0.0 {
                KeyLaw::Uniform { count: *count, bytes: *bytes, base }
            } else {
                KeyLaw::Zipf { law: Zipf::new(*count, *exponent), bytes: *bytes, base }
            }
        }
        Keys::File { path } => {
            let text = read(path)?;
            let lines: Vec<Vec<u8>> =
                text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
            if lines.is_empty() {
                return Err(BenchError::io(path, "has no lines to make keys of"));
            }
            return Ok((KeyLaw::Lines, lines));
        }
    };
    Ok((law, Vec::new()))
}

/// The base in which `count` keys fit into so many letters.
fn base(count: u64, bytes: u32) -> Result<u64, BenchError> {
    if count == 0 {
        return Err(BenchError::config("keys need a count above 0"));
    }
    let fits = |base: u128| base.checked_pow(bytes).is_none_or(|room| room >= u128::from(count));
    match [10, 64].into_iter().find(|base| fits(u128::from(*base))) {
        Some(base) => Ok(base),
        None => Err(BenchError::config(format_args!("{count} keys don't fit into {bytes} bytes"))),
    }
}

/// Zipf's law by rejection-inversion (Hörmann and Derflinger, 1996): constant time and memory for any count.
#[derive(Clone, Debug)]
pub struct Zipf {
    count: f64,
    exponent: f64,
    integral_first: f64,
    integral_last: f64,
    shortcut: f64,
}

impl Zipf {
    fn new(count: u64, exponent: f64) -> Zipf {
        let mut law = Zipf { count: count as f64, exponent, integral_first: 0.0, integral_last: 0.0, shortcut: 0.0 };
        law.integral_first = law.integral(1.5) - 1.0;
        law.integral_last = law.integral(law.count + 0.5);
        law.shortcut = 2.0 - law.inverse(law.integral(2.5) - law.weight(2.0));
        law
    }

    /// A rank from 0.
    pub fn draw(&self, rng: &mut SmallRng) -> u64 {
        loop {
            let drawn = self.integral_last + rng.random::<f64>() * (self.integral_first - self.integral_last);
            let at = self.inverse(drawn);
            let rank = at.round().clamp(1.0, self.count);
            if rank - at <= self.shortcut || drawn >= self.integral(rank + 0.5) - self.weight(rank) {
                return rank as u64 - 1;
            }
        }
    }

    fn weight(&self, at: f64) -> f64 {
        (-self.exponent * at.ln()).exp()
    }

    fn integral(&self, at: f64) -> f64 {
        let log = at.ln();
        let scaled = (1.0 - self.exponent) * log;
        if scaled.abs() < 1e-8 { log * (1.0 + scaled / 2.0) } else { scaled.exp_m1() / scaled * log }
    }

    fn inverse(&self, integral: f64) -> f64 {
        let scaled = (integral * (1.0 - self.exponent)).max(-1.0);
        let log = if scaled.abs() < 1e-8 { 1.0 - scaled / 2.0 } else { scaled.ln_1p() / scaled };
        (log * integral).exp()
    }
}
