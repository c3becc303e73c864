//! What a person typed, made canonical exactly once (Vault CVE-2025-6014 did it twice).

use std::sync::Arc;

use super::spare::SpareCode;
use crate::secret::Secret;

/// What a person typed at the one prompt that takes any of their codes.
pub enum Typed {
    /// Digits.
    Code(Code),
    /// A recovery or bypass code. Shared, because it is hashed in another thread.
    Spare(Arc<SpareCode>),
}

impl Typed {
    /// Made canonical once, here.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn parse(typed: &str) -> Result<Self, Malformed> {
        if typed.len() > twinlock_proto::limit::ANSWER {
            return Err(Malformed);
        }
        Code::parse(typed)
            .map(Self::Code)
            .or_else(|Malformed| SpareCode::parse(typed).map(|code| Self::Spare(Arc::new(code))))
    }
}

/// Digits that can be a code: 6 to 8.
pub struct Code(Secret<String>);

/// Cannot be a code: answered like a wrong one, and not charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Code {
    /// Drops ASCII spaces and hyphens; what is left must be 6 to 8 ASCII digits. sshd's junk answers (bytes 08 0A 0D 7F ...), Unicode digits, signs and everything else are malformed.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn parse(typed: &str) -> Result<Self, Malformed> {
        if typed.len() > twinlock_proto::limit::ANSWER {
            return Err(Malformed);
        }
        let code = Secret::new(typed.chars().filter(|c| !matches!(c, ' ' | '-')).collect::<String>());
        let digits = code.expose();
        if !(6..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Malformed);
        }
        Ok(Self(code))
    }

    /// How many digits.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.expose().len()
    }

    /// Compares in constant time.
    #[must_use]
    pub fn equals(&self, expected: &str) -> bool {
        self.0.equals(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_hyphens_are_dropped_once() {
        for typed in ["123456", " 123 456 ", "123-456", "1-2 3-4 5-6"] {
            assert!(Code::parse(typed).is_ok_and(|code| code.equals("123456")), "{typed:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_malformed() {
        let long = "1".repeat(100_000);
        for typed in [
            "",
            "1",
            "12345",
            "123456789",
            "      ",
            "12345a",
            "+12345",
            "١٢٣٤٥٦",
            "123456\0",
            "123456\n",
            "\t123456",
            "\u{8}\n\r\u{7f}IN",
            "１２３４５６",
            "correct horse",
            &long,
        ] {
            assert!(Code::parse(typed).is_err(), "{typed:?}");
        }
    }
}
