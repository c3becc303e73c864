//! The audit trail: a closed list of events with stable names, one record for each decision. It is kept in the
//! store; decisions about a code are written in the very commit that decides.

mod undone;

use crate::clock::Timestamp;

pub use undone::again;

/// What the operator's log calls its lines about logins, for layers that print them in a form of their own.
pub const LOGIN_LINE: &str = "login";

/// What happened. The names are part of the interface: scripts match them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A login, or a code at one of its prompts.
    Login,
    /// `twinlock verify`.
    Verify,
    /// The password was confirmed (or not) for self-service.
    Password,
    /// A user enrolled a factor.
    Enroll,
    /// A user made a new set of recovery codes.
    Recovery,
    /// A user removed a factor.
    Remove,
    /// A user chose the method that is offered first.
    Prefer,
    /// An administrator handed out a bypass code; the reason is the administrator's.
    Bypass,
    /// An administrator provisioned a factor.
    Provision,
    /// An administrator required a second factor of a user, or no more.
    Require,
    /// An administrator let a user in without, or no more; the reason is the administrator's.
    Exempt,
    /// An administrator let a user, or the members of a role, enroll at their login, or no more.
    OpenEnrollment,
    /// A contact was set or removed; the reason has its masked form.
    Contact,
    /// A link to set up an app was given out; the reason says where it was mailed.
    Invite,
    /// Somebody typed the binding code of a link, right or wrong.
    Binding,
    /// An administrator bound an account to its user's new uid.
    Adopt,
    /// An administrator had a user forgotten.
    Purge,
    /// A code was sent, or was not: the reason says why.
    Send,
    /// An administrator imported hard tokens; the reason says how many.
    TokenImport,
    /// An administrator gave a hard token to a user.
    TokenAssign,
    /// An administrator resynchronised a hard token.
    TokenResync,
    /// An administrator took a hard token out of use.
    TokenRevoke,
    /// An administrator took a secret over from another program; the reason says which factor it is, and from what.
    Migrate,
    /// The configuration was read again.
    Reload,
    /// An administrator removed all factors of a user.
    Reset,
    /// An administrator forgot a user's failures.
    Unlock,
    /// An account's uid is not the one that its factors were enrolled with.
    UidChanged,
    /// The clock was not believed any more, or again; or an administrator accepted it.
    Clock,
    /// An administrator had the store checked.
    StoreCheck,
    /// An administrator took a backup.
    Backup,
    /// A backup was brought back, or a store that was put back was found; the reason says which, and what is void.
    Restore,
    /// An administrator changed the keys that seal the store.
    KeyRotate,
    /// An administrator had our lines put into a PAM stack; the reason says how far it came.
    PamEnable,
    /// They were taken out of one, by an administrator, or because nobody confirmed them.
    PamDisable,
    /// Entries that are older than the configuration keeps them were taken out; the reason says how many, and up to when.
    Trim,
    /// The daemon started with the configuration named in the reason.
    Start,
    /// The daemon stopped.
    Stop,
}

impl Event {
    /// Every event, for filters and documentation.
    pub const ALL: [Self; 37] = [
        Self::Login,
        Self::Verify,
        Self::Password,
        Self::Enroll,
        Self::Recovery,
        Self::Remove,
        Self::Prefer,
        Self::Bypass,
        Self::Provision,
        Self::Require,
        Self::Exempt,
        Self::OpenEnrollment,
        Self::Contact,
        Self::Invite,
        Self::Binding,
        Self::Adopt,
        Self::Purge,
        Self::Send,
        Self::TokenImport,
        Self::TokenAssign,
        Self::TokenResync,
        Self::TokenRevoke,
        Self::Migrate,
        Self::Reload,
        Self::Reset,
        Self::Unlock,
        Self::UidChanged,
        Self::Clock,
        Self::StoreCheck,
        Self::Backup,
        Self::Restore,
        Self::KeyRotate,
        Self::PamEnable,
        Self::PamDisable,
        Self::Trim,
        Self::Start,
        Self::Stop,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Verify => "verify",
            Self::Password => "password",
            Self::Enroll => "enroll",
            Self::Recovery => "recovery",
            Self::Remove => "remove",
            Self::Prefer => "prefer",
            Self::Bypass => "bypass",
            Self::Provision => "provision",
            Self::Require => "require",
            Self::Exempt => "exempt",
            Self::OpenEnrollment => "open-enrollment",
            Self::Contact => "contact",
            Self::Invite => "invite",
            Self::Binding => "binding",
            Self::Adopt => "adopt",
            Self::Purge => "purge",
            Self::Send => "send",
            Self::TokenImport => "token-import",
            Self::TokenAssign => "token-assign",
            Self::TokenResync => "token-resync",
            Self::TokenRevoke => "token-revoke",
            Self::Migrate => "migrate",
            Self::Reload => "reload",
            Self::Reset => "reset",
            Self::Unlock => "unlock",
            Self::UidChanged => "uid-changed",
            Self::Clock => "clock",
            Self::StoreCheck => "store-check",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::KeyRotate => "key-rotate",
            Self::PamEnable => "pam-enable",
            Self::PamDisable => "pam-disable",
            Self::Trim => "trim",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The second factor was right, or the act was done.
    Granted,
    /// No second factor was needed.
    NotNeeded,
    /// It was not.
    Denied,
    /// The other side went away first.
    Abandoned,
}

impl Outcome {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::NotNeeded => "not-needed",
            Self::Denied => "denied",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What an event is about; the outcome is added when it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Whose account.
    pub user: String,
    /// The PAM service, or empty.
    pub service: String,
    /// The address, or what the application said, or empty.
    pub rhost: String,
    /// Who acted, from the peer's credentials: `uid 0`.
    pub actor: String,
    /// Who that says to be (login uid, SUDO_USER), or empty.
    pub claimed_by: String,
}

/// One record of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: Event,
    /// About what.
    pub subject: Subject,
    /// The kind of factor, or empty.
    pub method: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in a word that stays the same, or empty.
    pub reason: String,
}

/// A record as it is read back: names may be from another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number in the trail, growing.
    pub number: i64,
    /// When.
    pub time: Timestamp,
    /// See [`Event::name`].
    pub event: String,
    /// About what.
    pub subject: Subject,
    /// The kind of factor, or empty.
    pub method: String,
    /// See [`Outcome::name`].
    pub outcome: String,
    /// Why, or empty.
    pub reason: String,
}

/// A part of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In order.
    pub entries: Vec<Entry>,
    /// Everything up to this number was looked at.
    pub seen: i64,
    /// There may be more at once.
    pub full: bool,
}

/// Which records to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this user.
    pub user: Option<String>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
    /// Only before this time.
    pub until: Option<Timestamp>,
    /// Only this event.
    pub event: Option<String>,
    /// Only behind this number.
    pub behind: i64,
}
