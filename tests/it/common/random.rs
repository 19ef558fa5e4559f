// SPDX-License-Identifier: Apache-2.0
//! Random numbers that are the same on every machine and in every run.

/// xorshift64*: small, and good enough to choose cases.
pub struct Rng(u64);

impl Rng {
    /// A sequence of its own for each seed but 0, which has none.
    pub fn new(seed: u64) -> Self {
        // Seeds that are neighbours shall not have sequences that are.
        let mut rng = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rng.next();
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next()).unwrap_or_default() % n.max(1)
    }

    /// Heads or tails.
    pub fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
