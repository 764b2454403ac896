//! How maps hash what clients name.

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
