//! Spare codes, each good for a login without the phone: recovery codes, which users keep, and bypass codes, which
//! administrators hand out. `NN-XXXXX-XXXXX-XXXXX` in Crockford's Base32: a selector that finds the row, so that a try
//! costs one hash, and 75 secret bits, kept as an Argon2id hash (NIST SP 800-63B-4 section 3.1.2).

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;

use crate::{
    clock::Timestamp,
    factor::code::Malformed,
    random::{NoRandomness, Random},
    secret::Secret,
};

/// Characters of the secret part: 5 bits each.
const SECRET: usize = 15;
/// Characters of the selector.
const SELECTOR: usize = 2;
/// Salt of a hash, in bytes.
pub const SALT: usize = 16;
/// Length of a hash, in bytes.
pub const HASH: usize = 32;
/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Why there is a spare code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a set that the user keeps.
    Recovery,
    /// Handed out by an administrator, for a time.
    Bypass,
}

impl Kind {
    /// The stable name, in the store and the trail.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Bypass => "bypass",
        }
    }
}

/// A recovery or bypass code to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSpare {
    /// What finds it.
    pub selector: String,
    /// Salt of the hash, random.
    pub salt: [u8; SALT],
    /// Hash of its secret part.
    pub hash: [u8; HASH],
    /// How often it can be used.
    pub uses: u32,
    /// Until when.
    pub expires: Option<Timestamp>,
}

/// A code as it was typed, made canonical.
pub struct SpareCode {
    selector: String,
    secret: Secret<String>,
}

impl SpareCode {
    /// Takes upper and lower case, O for 0, I and L for 1, with or without hyphens and spaces.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn parse(typed: &str) -> Result<Self, Malformed> {
        let mut canonical = Secret::new(String::with_capacity(SELECTOR + SECRET));
        for typed in typed.chars().filter(|c| !matches!(c, ' ' | '-')) {
            let character = match typed.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let known = u8::try_from(character).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || canonical.expose().len() >= SELECTOR + SECRET {
                return Err(Malformed);
            }
            canonical.expose_mut().push(character);
        }
        match canonical.expose().split_at_checked(SELECTOR) {
            Some((selector, secret)) if secret.len() == SECRET => {
                Ok(Self { selector: selector.to_owned(), secret: Secret::new(secret.to_owned()) })
            }
            _ => Err(Malformed),
        }
    }

    /// Makes a code for a selector of two characters.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn generate(selector: &str, random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut bytes = [0; SECRET];
        random.fill(&mut bytes)?;
        // 32 divides 256: every character is as likely as any other.
        let secret = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
        Ok(Self { selector: selector.to_owned(), secret: Secret::new(secret) })
    }

    /// Which row it is about.
    #[must_use]
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// As it is shown, once.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        let (first, rest) = self.secret.expose().split_at(5);
        let (second, third) = rest.split_at(5);
        Secret::new(format!("{}-{first}-{second}-{third}", self.selector))
    }

    /// The hash that is stored. Costs 19 MiB and some 20 ms: not for the thread that serves.
    #[must_use]
    pub fn hash(&self, salt: &[u8; SALT]) -> [u8; HASH] {
        let mut hash = [0; HASH];
        // OWASP's parameters; they are within the library's bounds, so neither call can fail.
        let params = Params::new(19_456, 2, 1, Some(HASH)).unwrap_or_default();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        if argon2.hash_password_into(self.secret.expose().as_bytes(), salt, &mut hash).is_err() {
            // An all-zero hash matches no stored one.
            hash = [0; HASH];
        }
        hash
    }

    /// Whether this is the code behind a stored hash. Costs what [`SpareCode::hash`] costs.
    #[must_use]
    pub fn matches(&self, salt: &[u8; SALT], stored: &[u8; HASH]) -> bool {
        let hash = self.hash(salt);
        hash != [0; HASH] && hash.ct_eq(stored).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn every_way_of_typing_a_code_is_the_same_code() {
        let canonical = |typed: &str| SpareCode::parse(typed).map(|code| code.text().expose().clone()).ok();
        let expected = Some("07-0A1BC-DEFGH-JKMNP".to_owned());
        for typed in [
            "07-0A1BC-DEFGH-JKMNP",
            "07-oaibc-defgh-jkmnp",
            "o7 OALBC DEFGH JKMNP",
            "070a1bcdefghjkmnp",
            "0-7-0a1bcdefghjkm-np",
        ] {
            assert_eq!(canonical(typed), expected, "{typed}");
        }
        for typed in [
            "",
            "123456",
            "07-0A1BC-DEFGH-JKMN",
            "07-0A1BC-DEFGH-JKMNPQ",
            "07-0A1BC-DEFGH-JKMNU",
            "07-0\u{e9}1BC-DEFGH-JKMNP",
        ] {
            assert_eq!(canonical(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_code_matches_its_own_hash_and_no_other() {
        let (one, two) = (
            SpareCode::generate("01", &SystemRandom).unwrap(),
            SpareCode::generate("01", &SystemRandom).unwrap(),
        );
        let hash = one.hash(&[7; SALT]);
        assert!(one.matches(&[7; SALT], &hash));
        assert!(!two.matches(&[7; SALT], &hash) && !one.matches(&[8; SALT], &hash));
        assert!(!one.matches(&[7; SALT], &[0; HASH]));
        let typed = SpareCode::parse(&one.text().expose().to_lowercase()).unwrap();
        assert!(typed.matches(&[7; SALT], &hash));
    }
}
