//! Files of other programs that ask for codes: google-authenticator's (one in each home) and pam_oath's (one for all).
//! Bytes in, secrets out; who may take them over, and what becomes of them, is decided elsewhere.
//!
//! These files were made by other hands, some of them by users: a fault names the line and never what stands in it.

pub mod google_authenticator;
pub mod oath;

use crate::{
    clock::Timestamp,
    factor::{Counted, Kind, totp::Parameters},
    secret::Secret,
    tokens::{self, Fault, SHORTEST_KEY},
};

/// The shortest key that nothing is said of, in bytes.
const ADVISED_KEY: usize = 16;

/// What asked for codes until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// pam_google_authenticator.
    GoogleAuthenticator,
    /// pam_oath.
    Oath,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::GoogleAuthenticator, Self::Oath];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GoogleAuthenticator => "google-authenticator",
            Self::Oath => "oath",
        }
    }

    /// The largest file of it, in bytes.
    #[must_use]
    pub const fn max_file(self) -> usize {
        match self {
            Self::GoogleAuthenticator => google_authenticator::MAX_FILE,
            Self::Oath => oath::MAX_FILE,
        }
    }

    /// Reads a file of it; `user`: whose it is, if it does not say that itself.
    ///
    /// The caller wipes `text`.
    ///
    /// # Errors
    ///
    /// When it is no such file at all.
    pub fn read(self, text: &[u8], user: &str, now: Timestamp) -> Result<Vec<Line>, Fault> {
        match self {
            Self::GoogleAuthenticator => {
                let found = google_authenticator::read(text, now).map_err(|fault| fault.to_string());
                Ok(vec![Line { number: 0, user: user.to_owned(), found }])
            }
            Self::Oath => oath::read(text, now),
        }
    }
}

/// A line with a secret, or one that should have one.
pub struct Line {
    /// Counted from 1; 0: the file is one secret.
    pub number: usize,
    /// Whose it is, as it stands there; empty if that cannot be told.
    pub user: String,
    /// The secret, or what is wrong.
    pub found: Result<Found, String>,
}

/// A secret that another program checked codes with.
pub struct Found {
    /// How it counts.
    pub kind: Kind,
    /// Hash, digits and step; the step of HOTP is 30 seconds and means nothing.
    pub parameters: Parameters,
    /// The key, in raw bytes.
    pub key: Secret<Vec<u8>>,
    /// What was used there stays used here.
    pub counted: Counted,
    /// What is not taken over, and what is to be known of the rest.
    pub notes: Vec<String>,
}

/// A key, and what is to be said of it. A short one is taken: it is what was asked for until now.
fn key(bytes: Secret<Vec<u8>>) -> Result<(Secret<Vec<u8>>, Option<String>), String> {
    let key = tokens::sound_key(bytes, SHORTEST_KEY)?;
    let length = key.expose().len();
    let note = (length < ADVISED_KEY).then(|| {
        format!(
            "its key has {} bits, under {}: let the user enroll anew some day",
            length * 8,
            ADVISED_KEY * 8
        )
    });
    Ok((key, note))
}

/// The last counter that was used before this one is the next.
fn used_before(next: i64) -> Option<i64> {
    next.checked_sub(1).filter(|last| *last >= 0)
}
