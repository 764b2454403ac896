//! Random numbers, behind the facade so that a simulation can seed them.

use rand::RngCore;

/// Sixteen random bytes, for ids.
pub fn bytes16() -> [u8; 16] {
    let mut bytes = [0; 16];
    #[cfg(test)]
    if let Some(world) = super::sim::active() {
        bytes
            .chunks_mut(8)
            .for_each(|half| half.copy_from_slice(&world.draw(super::sim::Chance::number).to_le_bytes()));
        return bytes;
    }
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A random number below `bound`; 0 when `bound` is 0.
pub fn below(bound: u64) -> u64 {
    #[cfg(test)]
    if let Some(world) = super::sim::active() {
        return world.draw(|chance| chance.below(bound));
    }
    if bound == 0 { 0 } else { rand::rng().next_u64() % bound }
}
