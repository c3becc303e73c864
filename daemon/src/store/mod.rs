//! What is kept, and the promises about it. Verbs of the domain, each atomic; no transaction leaves this
//! module. A backend is another folder beside `sqlite` that passes `conformance`.

pub mod sqlite;

use std::{collections::BTreeMap, fmt, fs::File};

use async_trait::async_trait;

use crate::{
    audit,
    clock::Timestamp,
    engine::{
        clock_guard::Mark,
        delivery::{ContactKind, Issued, Line, Wish},
        enrollment::{Added, Voucher},
        policy::{Flag, Flags, Method},
        proof::Ledger,
        throttle::{Budget, Standing},
    },
    factor::{
        Kind,
        spare::{self, NewSpare},
        totp::{Drift, Match, Parameters},
    },
    names::{AccountId, FactorId, Source, SpareId, UserName},
    secret::Sealed,
};

/// Why a verb could not be carried out. Nothing of it happened, or (when it was late) whoever asked was told
/// that nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The store could not be read or written now (full, locked, failing disk).
    Unavailable(String),
    /// What is stored cannot be right.
    Corrupt(String),
    /// The daemon is stopping.
    Stopped,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(what) => write!(f, "the store is not available: {what}"),
            Self::Corrupt(what) => write!(f, "the store is damaged: {what}"),
            Self::Stopped => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for StoreError {}

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
}

impl Portfolio {
    /// Whether there is nothing that counts, nor waits for its first code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.factors.is_empty() && !self.contacts.iter().any(|contact| contact.verified)
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
    /// How far its clock is off, in steps.
    pub drift: i64,
    /// The key; `None`: it is revoked.
    pub sealed: Option<Sealed>,
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

/// The store.
#[async_trait]
pub trait Store: Ledger<Error = StoreError> {
    /// The account of this name, whatever its uid.
    async fn portfolio(&self, user: &UserName) -> Result<Option<Portfolio>, StoreError>;

    /// All accounts, by name.
    async fn portfolios(&self) -> Result<Vec<Portfolio>, StoreError>;

    /// The strictest standing of these budgets.
    async fn standing(&self, budgets: Vec<Budget>, now: Timestamp) -> Result<Standing, StoreError>;

    /// Charges a try before it is made.
    async fn charge(&self, budget: Budget, source: Source, now: Timestamp) -> Result<Charge, StoreError>;

    /// Takes one charge back: the try could not be judged.
    async fn refund(&self, charge: i64) -> Result<(), StoreError>;

    /// The try was right: forgets its charge and all others of that budget and source.
    async fn forgive(&self, charge: i64) -> Result<(), StoreError>;

    /// The spare code of this account and selector, used up or not.
    async fn spare(&self, account: AccountId, selector: String) -> Result<Option<SpareRecord>, StoreError>;

    /// Gives an account a new set of recovery codes; the old set dies.
    async fn replace_recovery(
        &self,
        account: AccountId,
        codes: Vec<NewSpare>,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<(), StoreError>;

    /// Gives a user a bypass code, and an account if there is none. False, and nothing is done, where there are factors of
    /// somebody who had this name with another uid.
    async fn add_bypass(
        &self,
        user: &UserName,
        uid: u32,
        code: NewSpare,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError>;

    /// Removes one factor; says whether it was there.
    async fn remove_factor(
        &self,
        account: AccountId,
        factor: FactorId,
        record: audit::Record,
    ) -> Result<bool, StoreError>;

    /// Removes all factors and spare codes of a user and forgets their failures; says how many factors there were.
    async fn reset(&self, user: &UserName, record: audit::Record) -> Result<u32, StoreError>;

    /// Forgets the failures that throttle a user (and the confirmations of their password, which are of the uid);
    /// says how many.
    async fn unlock(&self, user: &UserName, uid: u32, record: audit::Record) -> Result<u32, StoreError>;

    /// Takes hard tokens in.
    async fn add_tokens(
        &self,
        tokens: Vec<TokenRecord>,
        record: audit::Record,
    ) -> Result<TokensAdded, StoreError>;

    /// All hard tokens, by serial number.
    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError>;

    /// One of them.
    async fn token(&self, serial: String) -> Result<Option<TokenRecord>, StoreError>;

    /// Takes a hard token, and the factor that it is, out of use for ever; says whether there was one that was not.
    async fn revoke_token(&self, serial: String, record: audit::Record) -> Result<bool, StoreError>;

    /// Sets a factor to where two codes in a row are: unless the first of them, or a later one, was accepted before. Says
    /// whether it did.
    async fn resync(
        &self,
        account: AccountId,
        factor: FactorId,
        to: Match,
        record: audit::Record,
    ) -> Result<bool, StoreError>;

    /// Sets a contact, in place of the one of its kind, for an account that is made if there is none, if who vouches for it
    /// is still enough; of [`Added`] all but `TooMany` and `LabelTaken` come back.
    async fn set_contact(
        &self,
        user: &UserName,
        uid: u32,
        contact: NewContact,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<Added, StoreError>;

    /// Removes a contact; says whether there was one.
    async fn remove_contact(
        &self,
        account: AccountId,
        kind: ContactKind,
        record: audit::Record,
    ) -> Result<bool, StoreError>;

    /// A code that may be sent, if the limits allow it; it is counted before it is sent.
    async fn issue_code(&self, wish: Wish) -> Result<Issued, StoreError>;

    /// Counts a message that has no code of a login in it; `Issued::Code` says that it may be sent.
    async fn count_sending(&self, wish: Wish) -> Result<Issued, StoreError>;

    /// Ends a code: its conversation is over.
    async fn end_code(&self, account: AccountId, counter: i64) -> Result<(), StoreError>;

    /// Ends all codes: those of conversations that a former daemon had.
    async fn end_codes(&self) -> Result<(), StoreError>;

    /// Remembers the method that a user wants offered first; `None` forgets it.
    async fn prefer(
        &self,
        account: AccountId,
        method: Option<String>,
        record: audit::Record,
    ) -> Result<(), StoreError>;

    /// Remembers what an administrator said of a user, for whom an account is made if there is none. False, and nothing is
    /// done, where there are factors of somebody who had this name with another uid.
    async fn set_flag(
        &self,
        user: &UserName,
        uid: u32,
        flag: Flag,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError>;

    /// Since when the members of a role may enroll at their login, by the rule's name.
    async fn openings(&self) -> Result<BTreeMap<String, Timestamp>, StoreError>;

    /// Remembers that these rules are in force since now, unless they were before.
    async fn first_seen(&self, roles: Vec<String>, now: Timestamp) -> Result<(), StoreError>;

    /// Counts the time in which the members of a role may enroll from now again.
    async fn open_again(&self, role: String, now: Timestamp, record: audit::Record)
    -> Result<(), StoreError>;

    /// Adds to the trail.
    async fn append(&self, record: audit::Record) -> Result<(), StoreError>;

    /// Reads the trail, oldest first, at most `limit` entries.
    async fn trail(&self, filter: audit::Filter, limit: u32) -> Result<audit::Page, StoreError>;

    /// The latest time that was believed.
    async fn clock_mark(&self) -> Result<Option<Mark>, StoreError>;

    /// Remembers a time that was believed.
    async fn set_clock_mark(&self, mark: Mark) -> Result<(), StoreError>;

    /// The wrapped data keys, oldest first.
    async fn keyring(&self) -> Result<Vec<WrappedKey>, StoreError>;

    /// Puts the wrapped data keys in place of those of the same versions, or adds them: all or none.
    async fn set_keyring(&self, ring: Vec<WrappedKey>, now: Timestamp) -> Result<(), StoreError>;

    /// Puts secrets under another data key; says how many were still as they were read.
    async fn reseal(&self, secrets: Vec<Resealed>) -> Result<u32, StoreError>;

    /// Forgets the data keys before this version that nothing is sealed with.
    async fn retire_keys(&self, before: u32, record: audit::Record) -> Result<(), StoreError>;

    /// What is wrong with the store, a sentence each.
    async fn check(&self) -> Result<Vec<String>, StoreError>;

    /// The store as it is at one moment: a file without a name, to be read from its start.
    async fn backup(&self) -> Result<File, StoreError>;
}

#[cfg(test)]
mod conformance;
