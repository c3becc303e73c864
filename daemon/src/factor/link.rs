//! What an invitation is proven with: a link, which travels by mail, and a binding code, which does not.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    random::{NoRandomness, Random},
    secret::Secret,
};

/// Crockford's: no character is like another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARACTERS: usize = 8;

/// The secret of a link: 256 bits, as they stand in it. The store has a digest of it alone.
pub struct LinkToken(Secret<String>);

impl LinkToken {
    /// A new one.
    ///
    /// # Errors
    ///
    /// See [`Random::fill`].
    pub fn generate(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut bits = Zeroizing::new([0; 32]);
        random.fill(bits.as_mut())?;
        Ok(Self(Secret::new(data_encoding::BASE64URL_NOPAD.encode(bits.as_ref()))))
    }

    /// As it stands in the link.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.expose()
    }

    /// What the store knows of a token, or of anything that somebody takes for one.
    #[must_use]
    pub fn digest(text: &str) -> [u8; 32] {
        Sha256::digest(text.as_bytes()).into()
    }
}

/// What is typed beside the link: 40 bits in eight characters.
pub struct BindingCode(Secret<String>);

impl BindingCode {
    /// A new one.
    ///
    /// # Errors
    ///
    /// See [`Random::fill`].
    pub fn generate(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut bits = Zeroizing::new([0; CHARACTERS]);
        random.fill(bits.as_mut())?;
        let code = bits.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        Ok(Self(Secret::new(code.collect())))
    }

    /// As somebody typed it: lower case, spaces, hyphens, and what looks like a digit are forgiven.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let mut code = Secret::new(String::new());
        // Phones make other dashes and blanks of what is typed.
        let typed = typed
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}'));
        for typed in typed {
            let meant = match typed.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            if !u8::try_from(meant).is_ok_and(|byte| ALPHABET.contains(&byte)) {
                return None;
            }
            code.expose_mut().push(meant);
        }
        (code.expose().len() == CHARACTERS).then_some(Self(code))
    }

    /// As it was stored.
    #[must_use]
    pub fn stored(bytes: &Secret<Vec<u8>>) -> Option<Self> {
        Self::parse(std::str::from_utf8(bytes.expose()).ok()?)
    }

    /// As it is stored.
    #[must_use]
    pub fn bytes(&self) -> Secret<Vec<u8>> {
        Secret::new(self.0.expose().as_bytes().to_vec())
    }

    /// As it is shown: `AB12-CD34`.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let (left, right) = self.0.expose().split_at(CHARACTERS / 2);
        Zeroizing::new(format!("{left}-{right}"))
    }

    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.expose().as_bytes().ct_eq(other.0.expose().as_bytes()).into()
    }
}

impl fmt::Debug for BindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BindingCode(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn a_binding_code_is_forgiving_and_has_one_form() {
        let code = BindingCode::parse("ab12 cd3o").unwrap();
        assert_eq!(*code.text(), "AB12-CD30");
        assert!(code.is(&BindingCode::parse("AB12-CD30").unwrap()));
        assert!(code.is(&BindingCode::parse(" abL2\u{2011}cd3O\u{a0}").unwrap()), "L is 1");
        assert!(!code.is(&BindingCode::parse("AB12-CD31").unwrap()));
        for wrong in ["", "AB12-CD3", "AB12-CD345", "AB12-CD3U", "\u{1d7d8}B12CD30"] {
            assert!(BindingCode::parse(wrong).is_none(), "{wrong:?}");
        }
        assert!(code.is(&BindingCode::stored(&code.bytes()).unwrap()));
        assert_eq!(format!("{code:?}"), "BindingCode(redacted)");
    }

    #[test]
    fn tokens_have_256_bits_and_codes_40() {
        let token = LinkToken::generate(&SystemRandom).unwrap();
        assert_eq!(data_encoding::BASE64URL_NOPAD.decode(token.text().as_bytes()).unwrap().len(), 32);
        assert_ne!(LinkToken::digest(token.text()), LinkToken::digest("x"));
        let code = BindingCode::generate(&SystemRandom).unwrap();
        assert_eq!(code.text().len(), 9);
        assert!(!code.is(&BindingCode::generate(&SystemRandom).unwrap()));
    }
}
