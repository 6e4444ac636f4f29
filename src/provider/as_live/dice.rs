//! Chance that a seed repeats: the same seed and the same request give the same choices.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A sequence of choices (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, of: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, of).hash(&mut hasher);
        Self(hasher.finish())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` to `most`, both included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// True once in `of` times.
    pub(super) fn once_in(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of.max(1))
    }

    pub(super) fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let index = self.between(0, of.len().saturating_sub(1) as u64);
        of.get(index as usize).copied().unwrap_or_default()
    }
}
