//! What is kept, as the verbs of the store take and give it.

use crate::{
    clock::Timestamp,
    engine::{
        delivery::{ContactKind, Line},
        enrollment::Voucher,
        invitation::InvitationRecord,
        policy::{Flags, Method},
        throttle::Standing,
    },
    factor::{
        Kind, spare,
        totp::{Drift, Parameters},
    },
    names::{AccountId, FactorId, SpareId},
    secret::Sealed,
};

/// An account and everything that belongs to it. The record belongs to a name *and* a uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portfolio {
    /// Number in the store.
    pub account: AccountId,
    /// The name that NSS gave when the first factor was enrolled.
    pub name: String,
    /// The uid it had then.
    pub uid: u32,
    /// In order of their making.
    pub factors: Vec<FactorRecord>,
    /// Failures since the last success.
    pub failures: u32,
    /// Recovery codes that are not used.
    pub recovery_left: u32,
    /// There is a bypass code that is not used up; its time may be over.
    pub bypass: bool,
    /// The method that the user wants offered first.
    pub preferred: Option<String>,
    /// What an administrator said of this user.
    pub flags: Flags,
    /// Where codes can be sent to.
    pub contacts: Vec<ContactRecord>,
    /// What delivered codes are computed from, if there ever was a contact.
    pub courier: Option<Sealed>,
    /// The link by which an app can be set up, if there is one.
    pub invitation: Option<InvitationRecord>,
}

impl Portfolio {
    /// Whether there is nothing that counts, nor waits for its first code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.factors.is_empty() && !self.contacts.iter().any(|contact| contact.verified)
    }

    /// Whether no factor is there, nor waits for its first code; contacts may be.
    #[must_use]
    pub const fn has_no_factor(&self) -> bool {
        self.factors.is_empty()
    }

    /// Whether what vouched for something new is still there: this factor, or this contact; `None`: a spare code, which stands
    /// for what there is.
    #[must_use]
    pub fn vouches(&self, by: Option<&FactorId>) -> bool {
        match by {
            Some(id) => {
                self.factors.iter().any(|factor| factor.id == *id)
                    || self.contacts.iter().any(|contact| contact.verified && contact.id == *id)
            }
            None => !self.is_empty(),
        }
    }

    /// Whether a factor, or a contact, counts.
    #[must_use]
    pub fn enrolled(&self) -> bool {
        self.factors.iter().any(|factor| factor.active)
            || self.contacts.iter().any(|contact| contact.verified)
    }
}

/// A factor as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactorRecord {
    /// Identifier.
    pub id: FactorId,
    /// What the user calls it.
    pub label: String,
    /// How it counts.
    pub kind: Kind,
    /// The serial number, if it is a hard token.
    pub serial: Option<String>,
    /// The last step, or counter, that was accepted.
    pub last_step: Option<i64>,
    /// A counter that may be further than is known here: no code counts until two in a row say where it is.
    pub resync_required: bool,
    /// It counts; a provisioned one waits for its first code.
    pub active: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When its last code was accepted.
    pub last_used: Option<Timestamp>,
    /// What its codes are computed with.
    pub parameters: Parameters,
    /// What was learned of its clock.
    pub drift: Drift,
    /// The key, sealed.
    pub sealed: Sealed,
}

impl FactorRecord {
    /// The first counter whose code was not accepted yet.
    #[must_use]
    pub fn next_counter(&self) -> i64 {
        self.last_step.map_or(0, |last| last.saturating_add(1))
    }

    /// How one proves oneself with it.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self.kind {
            Kind::Totp => Method::Totp,
            Kind::Hotp => Method::Hotp,
        }
    }
}

/// A hard token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its serial number.
    pub serial: String,
    /// How it counts.
    pub kind: Kind,
    /// What its codes are computed with.
    pub parameters: Parameters,
    /// How far it has come; while it is assigned, its factor knows better.
    pub last_step: Option<i64>,
    /// It may be further than is known here; its factor says so while it is assigned.
    pub resync_required: bool,
    /// How far its clock is off, in steps.
    pub drift: i64,
    /// The key; `None`: it is revoked.
    pub sealed: Option<Sealed>,
    /// A digest of the key, which has too many bits to be guessed: two tokens with one key are one.
    pub digest: [u8; 32],
    /// Who made it.
    pub manufacturer: String,
    /// When it was imported.
    pub created: Timestamp,
    /// Whose it is.
    pub user: Option<String>,
}

/// What came of importing tokens: all of them, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokensAdded {
    /// They are stored.
    Stored,
    /// There is one with this serial number.
    Taken(String),
}

/// A contact as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRecord {
    /// Identifier; another for another address.
    pub id: FactorId,
    /// What it is.
    pub kind: ContactKind,
    /// What is known of a telephone.
    pub line: Option<Line>,
    /// What may be shown of it.
    pub masked: String,
    /// The address, sealed.
    pub sealed: Sealed,
    /// It counts: a code that was sent there was typed back, or an administrator says so.
    pub verified: bool,
    /// When it was set.
    pub created: Timestamp,
    /// An administrator set it.
    pub by_administrator: bool,
}

/// A contact to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContact {
    /// Identifier, random.
    pub id: FactorId,
    /// What it is; a user has one of each kind.
    pub kind: ContactKind,
    /// What is known of a telephone.
    pub line: Option<Line>,
    /// What may be shown of it.
    pub masked: String,
    /// The address, sealed for this user and contact.
    pub sealed: Sealed,
    /// Whether it counts at once.
    pub verified: bool,
    /// Who vouches for it.
    pub voucher: Voucher,
    /// What delivered codes will be computed from, for an account that has nothing of that kind yet.
    pub courier: Sealed,
}

/// A recovery or bypass code as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpareRecord {
    /// Number.
    pub id: SpareId,
    /// Salt of the hash.
    pub salt: [u8; spare::SALT],
    /// Hash of its secret part.
    pub hash: [u8; spare::HASH],
}

/// What came of charging a try before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Charged; the number is for [`Store::refund`] and [`Store::forgive`].
    Taken(i64),
    /// The budget is spent.
    Refused(Standing),
}

/// What is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vault {
    /// The key of a factor.
    Factor(FactorId),
    /// The address of a contact.
    Contact(FactorId),
    /// The key of a hard token.
    Token(String),
    /// What an account's delivered codes are computed from.
    Courier(AccountId),
    /// The binding code of an account's invitation.
    Invitation(AccountId),
}

/// A secret under another data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resealed {
    /// Which.
    pub of: Vault,
    /// As it was: if it is another by now, it is left alone.
    pub old: Sealed,
    /// As it shall be.
    pub new: Sealed,
}

/// A data key, wrapped by the sealing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Version, growing.
    pub version: u32,
    /// Nonce and ciphertext.
    pub wrapped: Vec<u8>,
}

/// How much there is of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Accounts with factors, or with what is left of them.
    pub accounts: u32,
    /// Those with a factor, or a contact, that counts.
    pub enrolled: u32,
    /// Those that have to wait now, or for an administrator.
    pub throttled: u32,
    /// Size of the store's file.
    pub bytes: u64,
    /// Version of the newest data key, and when it was made.
    pub data_key: Option<(u32, Timestamp)>,
}

/// How often something happened, in the words of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// See [`audit::Event::name`](crate::audit::Event::name).
    pub event: String,
    /// The kind of factor, or empty.
    pub method: String,
    /// See [`audit::Outcome::name`](crate::audit::Outcome::name).
    pub outcome: String,
    /// How often.
    pub n: u64,
    /// When last.
    pub last: Timestamp,
}
