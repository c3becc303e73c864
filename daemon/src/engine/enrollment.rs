//! Enrolling an authenticator app: the pending key lives here, in memory, until a code from it was seen. Until
//! then it satisfies nothing and replaces nothing.

use crate::{
    clock::Timestamp,
    factor::{
        Counted, Kind,
        code::Code,
        spare::NewSpare,
        totp::{Drift, Generator, Match, Parameters, Window},
    },
    names::{FactorId, UserName},
    secret::{Sealed, Secret},
};

/// Wrong codes before an enrollment is given up.
pub const CONFIRMATIONS: u32 = 3;
/// Longest label, in characters.
pub const LABEL: usize = 32;
/// Shortest key that may be imported (RFC 4226 R6 asks for 16 bytes, 10 are common in the field).
pub const SHORTEST_KEY: usize = 10;
/// Shortest key that needs no special word.
pub const ADVISED_KEY: usize = 16;
/// Longest key.
pub const LONGEST_KEY: usize = 128;
/// Most code factors a user may have: each one more makes a guess likelier to hit.
pub const MOST_FACTORS: usize = 4;

/// A key that waits for its first code.
pub struct Pending {
    /// Raw bytes.
    pub key: Secret<Vec<u8>>,
    /// What it is used with.
    pub parameters: Parameters,
    /// What the user calls it.
    pub label: String,
}

impl Pending {
    /// The step of a code that shows that the app has the key, in the window that logins will have.
    #[must_use]
    pub fn confirm(&self, code: &Code, now: Timestamp, window: Window) -> Option<Match> {
        Generator::new(&self.key, self.parameters).find(code, now, window, Drift::default())
    }
}

/// A factor to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFactor {
    /// Identifier, random.
    pub id: FactorId,
    /// The account's canonical name.
    pub user: UserName,
    /// The account's uid.
    pub uid: u32,
    /// Unique for the user.
    pub label: String,
    /// How it counts.
    pub kind: Kind,
    /// The serial number of the hard token that it is: it counts on from where that is.
    pub token: Option<String>,
    /// How far it came elsewhere; that of a hard token the store knows.
    pub counted: Counted,
    /// What its codes are computed with.
    pub parameters: Parameters,
    /// The key, sealed for this user and factor.
    pub sealed: Sealed,
    /// Who vouches for it.
    pub proof: Proof,
    /// Recovery codes that come with it: a new set, or none.
    pub recovery: Vec<NewSpare>,
    /// When.
    pub now: Timestamp,
}

/// Who vouches for a new contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voucher {
    /// The first factor alone: for somebody who has nothing yet.
    FirstFactor,
    /// A code of this factor, or one that was sent to this contact (`None`: a spare code), which must still be there.
    Code(Option<FactorId>),
    /// An administrator.
    Administrator,
}

/// Who vouches for a new factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The first factor (a login password, an SSH key) and a code of the new one, whose step is thereby spent: for
    /// somebody who has no factor yet.
    FirstFactor(Match),
    /// A code of another factor, or one that was sent to a contact (`None`: a spare code), which must still be there, then one
    /// of the new.
    Code(Match, Option<FactorId>),
    /// An invitation whose link and binding code were shown, and which is not over yet; then a code of the new one.
    Invitation(Match, FactorId),
    /// A file that its owner could write, taken over from another program: for somebody who has no factor yet.
    OwnFile,
    /// An administrator; it counts at once, or from its first code on.
    Administrator {
        /// At once.
        active: bool,
    },
}

/// What came of adding a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is stored.
    Stored,
    /// What vouched is not enough any more: there is a factor now, or the one that vouched is gone.
    NotFirst,
    /// The user has as many as they may have.
    TooMany,
    /// The user has a factor with that label.
    LabelTaken,
    /// There are factors of somebody who had this name with another uid.
    OtherUid,
    /// The hard token is somebody's, or is of no use any more.
    NoToken,
}

/// A key typed by a person, in Base32.
///
/// # Errors
///
/// Says what is wrong with it and what to do.
pub fn parse_key(text: &str, allow_short: bool) -> Result<Secret<Vec<u8>>, String> {
    let clean = Secret::new(
        text.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase()).collect::<String>(),
    );
    let digits = clean.expose().trim_end_matches('=');
    let key = data_encoding::BASE32_NOPAD
        .decode(digits.as_bytes())
        .map(Secret::new)
        .map_err(|_| "the key is not Base32 (letters A to Z and digits 2 to 7)".to_owned())?;
    match key.expose().len() {
        length if length > LONGEST_KEY => Err(format!("the key is longer than {LONGEST_KEY} bytes")),
        ADVISED_KEY.. => Ok(key),
        SHORTEST_KEY.. if allow_short => Ok(key),
        SHORTEST_KEY.. => {
            Err("the key has under 128 bits (26 Base32 characters): make a longer one".to_owned())
        }
        _ => Err("the key has under 80 bits (16 Base32 characters): make a longer one".to_owned()),
    }
}

/// The label of a new factor: what was wished, or `app`, `app-2`, ...; unique for the user.
///
/// # Errors
///
/// Says what is wrong with it and what to do.
pub fn choose_label(wished: &str, taken: &[&str]) -> Result<String, String> {
    if wished.is_empty() {
        return Ok(free_label("app", taken));
    }
    if wished.chars().count() > LABEL || wished.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(format!("a label has at most {LABEL} printable ASCII characters"));
    }
    if taken.contains(&wished) {
        return Err(format!("there is a factor with the label \"{wished}\" already; choose another --label"));
    }
    Ok(wished.to_owned())
}

/// `app`, `app-2`, ...: the first that the user does not have.
#[must_use]
pub fn free_label(name: &str, taken: &[&str]) -> String {
    let names = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}-{n}")));
    let free = names.take(taken.len() + 1).find(|label| !taken.contains(&label.as_str()));
    free.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, allow_short: bool) -> Result<usize, String> {
        parse_key(text, allow_short).map(|key| key.expose().len())
    }

    #[test]
    fn keys_are_normalised_or_refused_and_never_cut() {
        let bytes = |n: usize| data_encoding::BASE32_NOPAD.encode(&vec![7; n]);
        assert_eq!(key("GEZD GNBV gy3t-qojq GEZDGNBVGY3TQOJQ", false), Ok(20));
        assert_eq!(key(&(bytes(16) + "======"), false), Ok(16));
        assert!(key(&bytes(9), true).unwrap_err().contains("80 bits"));
        assert!(key(&bytes(15), false).unwrap_err().contains("128 bits"));
        assert_eq!(key(&bytes(15), true), Ok(15));
        assert!(key(&bytes(129), true).unwrap_err().contains("longer"));
        for wrong in ["", "0", "1EZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQO\u{130}"] {
            assert!(key(wrong, true).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn labels_are_unique_and_printable() {
        assert_eq!(choose_label("", &[]).unwrap(), "app");
        assert_eq!(choose_label("", &["app", "app-3"]).unwrap(), "app-2");
        assert_eq!(choose_label("phone", &["app"]).unwrap(), "phone");
        assert!(choose_label("phone", &["phone"]).unwrap_err().contains("--label"));
        assert!(choose_label("\u{1b}]0;x", &[]).is_err());
        assert!(choose_label(&"x".repeat(33), &[]).is_err());
    }
}
