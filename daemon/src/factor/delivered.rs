//! Codes that are sent: each is the HOTP value (RFC 4226) of a counter that is used once, so that only the counter is kept.

use super::{code::Code, hotp::Generator, totp::Algorithm};
use crate::secret::Secret;

/// Length of an account's secret, in bytes.
pub const KEY: usize = 20;

/// The code of a counter.
#[must_use]
pub fn code(key: &Secret<Vec<u8>>, digits: u8, counter: i64) -> Secret<String> {
    Generator::new(key, Algorithm::Sha1, digits).code(counter)
}

/// Whether this is the code of that counter, in constant time.
#[must_use]
pub fn matches(typed: &Code, key: &Secret<Vec<u8>>, digits: u8, counter: i64) -> bool {
    typed.equals(code(key, digits, counter).expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226, appendix D.
    const VECTORS: [&str; 10] =
        ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];

    #[test]
    fn codes_are_those_of_rfc_4226() {
        let key = Secret::new(b"12345678901234567890".to_vec());
        for (counter, expected) in (0..).zip(VECTORS) {
            assert_eq!(code(&key, 6, counter).expose(), expected);
            assert!(matches(&Code::parse(expected).unwrap(), &key, 6, counter));
            assert!(!matches(&Code::parse(expected).unwrap(), &key, 6, counter + 1));
        }
    }
}
