//! Sends codes. What becomes of a code is four-valued: accepted, rejected, not now, unknown; nobody is told more than that
//! it was sent or not, and no body, reply or full address goes to a log.

mod address;
mod email;

use std::{fmt, fs, os::unix::fs::MetadataExt, path::PathBuf, time::Duration};

use async_trait::async_trait;

pub use address::{Address, destination};

use crate::{config::Email, secret::Secret};

/// A code on its way.
pub struct Message {
    /// Where to.
    pub to: Address,
    /// What it says.
    pub text: Text,
    /// The host that asks for it.
    pub host: String,
    /// Whose login it is for.
    pub user: String,
    /// At which PAM service.
    pub service: String,
    /// Where the login comes from, or empty.
    pub rhost: String,
    /// How long it can be used.
    pub lifetime: Duration,
}

/// What a message says.
pub enum Text {
    /// The code of a login.
    Login(Secret<String>),
    /// The code that shows that an address is its owner's.
    Confirm(Secret<String>),
    /// Codes go to another address from now on: its masked form.
    Changed(String),
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// A server took it.
    Accepted,
    /// It will not be sent: the class, for the trail.
    Rejected(&'static str),
    /// It was not sent; later it may be.
    Unavailable(&'static str),
    /// It was given away, and no answer came: perhaps it was sent.
    Unknown,
}

impl Outcome {
    /// For the trail.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected(class) | Self::Unavailable(class) => class,
            Self::Unknown => "unknown",
        }
    }
}

/// Where messages are given away.
#[async_trait]
pub trait Channels: Send + Sync {
    /// By mail.
    async fn email(&self, config: &Email, message: &Message) -> Outcome;
}

/// Mail servers.
pub struct System {
    /// Folders of credentials, first found wins.
    credentials: Vec<PathBuf>,
}

impl System {
    /// Looks for credentials in these folders.
    #[must_use]
    pub const fn new(credentials: Vec<PathBuf>) -> Self {
        Self { credentials }
    }

    /// The first line of a credential. One that others may read is none: it is to be made anew.
    fn credential(&self, name: &str) -> Option<Secret<String>> {
        let path = self.credentials.iter().map(|folder| folder.join(name)).find(|path| path.exists())?;
        let mode = fs::metadata(&path).map_or(0o777, |about| about.mode());
        if mode & 0o077 != 0 {
            tracing::error!(path = %path.display(), "others may read this credential: chmod 0600, and change what it holds");
            return None;
        }
        let text = Secret::new(fs::read_to_string(path).ok()?);
        Some(Secret::new(text.expose().lines().next().unwrap_or_default().to_owned()))
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("System")
    }
}

#[async_trait]
impl Channels for System {
    async fn email(&self, config: &Email, message: &Message) -> Outcome {
        let secret = match &config.secret {
            None => None,
            Some(name) => match self.credential(name) {
                None => return Outcome::Unavailable("no-credential"),
                secret => secret,
            },
        };
        email::send(config, secret.as_ref(), message).await
    }
}
