//! Randomness, as an argument. The only place that asks the system for it.

use std::fmt;

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gave no random bytes")
    }
}

impl std::error::Error for NoRandomness {}

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// When the system has none to give; nothing may then be made of `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// getrandom(2).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "this is the source that everybody else is to take")]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}

/// `length` random bytes.
///
/// # Errors
///
/// See [`Random::fill`].
pub fn bytes(random: &dyn Random, length: usize) -> Result<Vec<u8>, NoRandomness> {
    let mut bytes = vec![0; length];
    random.fill(&mut bytes)?;
    Ok(bytes)
}
