//! Random numbers, behind the facade so that a simulation can seed them.

use rand::RngCore;

/// Hashes of maps whose keys clients choose. In tests always the same ones, so that a simulated run can be run again.
#[cfg(not(test))]
pub type RandomState = ahash::RandomState;
/// The same in tests; ahash's own default keys are drawn anew in each process.
#[cfg(test)]
#[derive(Clone, Debug)]
pub struct RandomState(ahash::RandomState);

#[cfg(test)]
impl Default for RandomState {
    fn default() -> RandomState {
        RandomState(ahash::RandomState::with_seeds(1, 2, 3, 4))
    }
}

#[cfg(test)]
impl std::hash::BuildHasher for RandomState {
    type Hasher = ahash::AHasher;

    fn build_hasher(&self) -> ahash::AHasher {
        self.0.build_hasher()
    }
}

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
