//! Sends codes. What becomes of a code is four-valued: accepted, rejected, not now, unknown; nobody is told more than that
//! it was sent or not, and no body, reply or full address goes to a log.

mod address;
mod breaker;
mod carriers;
mod credential;
mod email;
mod http;
mod phone;
mod program;
mod sendmail;
mod short;
mod signing;
mod speech;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use address::Address;
pub use http::judge;
pub use phone::Phone;

use crate::{
    clock::Clock,
    config::Config,
    engine::{
        delivery::{ContactKind, Line},
        policy::Method,
    },
    secret::Secret,
};
use carriers::Carriers;
use credential::Credentials;

/// Somewhere a message can go. It cannot be printed whole by accident.
#[derive(Clone, PartialEq, Eq)]
pub enum Contact {
    /// A mailbox.
    Email(Address),
    /// A telephone.
    Phone(Phone),
}

impl Contact {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> ContactKind {
        match self {
            Self::Email(_) => ContactKind::Email,
            Self::Phone(_) => ContactKind::Phone,
        }
    }

    /// The whole of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(address) => address.as_str(),
            Self::Phone(phone) => phone.as_str(),
        }
    }

    /// What may be shown.
    #[must_use]
    pub fn masked(&self) -> String {
        match self {
            Self::Email(address) => address.masked(),
            Self::Phone(phone) => phone.masked(),
        }
    }

    /// Equal for what is the same place: upper and lower case are one mailbox nearly everywhere.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.as_str().to_ascii_lowercase()
    }

    /// What is known of a telephone.
    #[must_use]
    pub const fn line(&self) -> Option<&Line> {
        match self {
            Self::Email(_) => None,
            Self::Phone(phone) => Some(phone.line()),
        }
    }
}

/// A code on its way.
pub struct Message {
    /// A random name of its own: for servers that know by it what comes twice.
    pub id: String,
    /// Where to.
    pub to: Contact,
    /// How.
    pub by: Method,
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
    /// A link by which an app can be set up; only by mail.
    Invitation(Secret<String>),
    /// Codes go to another address from now on: its masked form.
    Changed(String),
    /// An administrator tries the way.
    Test,
}

impl Text {
    /// What says it, of a text for each kind that can go by every way; and the value that only this kind has.
    fn choose<'a, T>(
        &'a self,
        [login, confirm, changed, test]: [&'a T; 4],
    ) -> Option<(&'a T, Option<(&'static str, &'a str)>)> {
        match self {
            Self::Login(code) => Some((login, Some(("code", code.expose())))),
            Self::Confirm(code) => Some((confirm, Some(("code", code.expose())))),
            Self::Changed(masked) => Some((changed, Some(("masked", masked)))),
            Self::Test => Some((test, None)),
            Self::Invitation(_) => None,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// A server took it.
    Accepted,
    /// It will not be sent.
    Rejected(Refusal),
    /// It was not sent; later it may be.
    Unavailable {
        /// The class, for the trail.
        why: &'static str,
        /// When the server wants to be asked again.
        after: Option<Duration>,
    },
    /// It was given away, and no answer came: perhaps it was sent.
    Unknown,
}

/// Why a message will not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is nobody at this address, or nothing that takes messages.
    Destination,
    /// Whoever is there wants none.
    OptedOut,
    /// Nothing is sent to that country.
    Region,
    /// We are not welcome: credentials, credit, a setting.
    Account,
    /// Text or sender are not taken.
    Content,
}

impl Outcome {
    /// For the trail.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected(Refusal::Destination) => "address",
            Self::Rejected(Refusal::OptedOut) => "opted-out",
            Self::Rejected(Refusal::Region) => "region",
            Self::Rejected(Refusal::Account) => "account",
            Self::Rejected(Refusal::Content) => "content",
            Self::Unavailable { why, .. } => why,
            Self::Unknown => "unknown",
        }
    }
}

/// One try to give a message away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Who was asked; empty: nobody could be.
    pub provider: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The provider's own code for what went wrong.
    pub code: String,
    /// The provider's number for the message.
    pub id: String,
}

impl Attempt {
    fn new(provider: &str, outcome: Outcome) -> Self {
        Self { provider: provider.to_owned(), outcome, status: None, code: String::new(), id: String::new() }
    }
}

/// What all attempts together mean for the message.
pub fn fate(attempts: &[Attempt]) -> Outcome {
    let find =
        |wanted: Outcome| attempts.iter().map(|attempt| attempt.outcome).find(|outcome| *outcome == wanted);
    find(Outcome::Accepted)
        .or_else(|| find(Outcome::Unknown))
        .or_else(|| attempts.last().map(|attempt| attempt.outcome))
        .unwrap_or(Outcome::Unavailable { why: "no-provider", after: None })
}

/// What is known of somebody who carries messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// As the configuration calls it.
    pub name: String,
    /// How it is spoken to.
    pub preset: String,
    /// Not asked for so long, because it failed.
    pub open_for: Option<Duration>,
    /// When something was given to it last (Unix seconds), and what became of that.
    pub last: Option<(i64, String)>,
    /// What keeps it from working, or empty.
    pub problem: String,
}

/// Where messages are given away.
#[async_trait]
pub trait Channels: Send + Sync {
    /// Gives a message to the first that takes it. What each said, in order.
    async fn send(&self, config: &Config, message: &Message) -> Vec<Attempt>;

    /// Gives a message to this one; `None`: there is none of that name for messages of that kind.
    async fn send_by(&self, config: &Config, name: &str, message: &Message) -> Option<Attempt>;

    /// What this one would be sent, without its secret.
    fn rendered(&self, config: &Config, name: &str, message: &Message) -> Option<Vec<String>>;

    /// What is known of each.
    async fn health(&self, config: &Config) -> Vec<Health>;

    /// The providers by name, and whether one is not asked for a while because it failed. Nobody is asked for this.
    fn breakers(&self, config: &Config) -> Vec<(String, bool)>;
}

/// Mail servers, and the providers of the configuration.
pub struct System {
    email: email::Mailer,
    carriers: Carriers,
}

impl System {
    /// Looks for credentials in these folders, and for the mail helper at this socket.
    #[must_use]
    pub fn new(credentials: Vec<PathBuf>, sendmail: PathBuf, clock: Arc<dyn Clock>) -> Self {
        // The one of this process, for who does not bring one; fails where there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let credentials = Credentials::new(credentials);
        Self {
            email: email::Mailer::new(credentials.clone(), sendmail),
            carriers: Carriers::new(clock, credentials),
        }
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("System")
    }
}

/// What mail is called among those who carry messages.
pub const EMAIL: &str = "email";

#[async_trait]
impl Channels for System {
    async fn send(&self, config: &Config, message: &Message) -> Vec<Attempt> {
        match &message.to {
            Contact::Email(to) => vec![Attempt::new(EMAIL, self.email.send(config, to, message).await)],
            Contact::Phone(to) => self.carriers.send(config, to, message).await,
        }
    }

    async fn send_by(&self, config: &Config, name: &str, message: &Message) -> Option<Attempt> {
        match &message.to {
            Contact::Email(to) if name == EMAIL => {
                Some(Attempt::new(EMAIL, self.email.send(config, to, message).await))
            }
            Contact::Email(_) => None,
            Contact::Phone(to) => self.carriers.send_by(config, name, to, message).await,
        }
    }

    fn rendered(&self, config: &Config, name: &str, message: &Message) -> Option<Vec<String>> {
        match &message.to {
            Contact::Email(to) if name == EMAIL => email::rendered(config, to, message),
            Contact::Email(_) => None,
            Contact::Phone(to) => self.carriers.rendered(config, name, to, message),
        }
    }

    async fn health(&self, config: &Config) -> Vec<Health> {
        let mut all = Vec::new();
        all.extend(self.email.health(config).await);
        all.extend(self.carriers.health(config));
        all
    }

    fn breakers(&self, config: &Config) -> Vec<(String, bool)> {
        self.carriers.breakers(config)
    }
}
