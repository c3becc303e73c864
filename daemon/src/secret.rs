//! Secrets between prompt and use, and as they are kept.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A value that is wiped when dropped and cannot be printed, cloned or serialised.
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value, for the one who uses it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, for the one who fills it.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl Secret<String> {
    /// Compares in a time that depends on the lengths only.
    #[must_use]
    pub fn equals(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// A secret at rest; only [`crate::seal`] makes and opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Version of the data key.
    pub key_version: u32,
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
}
