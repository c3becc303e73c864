//! What is kept, and the promises about it. Verbs of the domain, each atomic; no transaction leaves this
//! module. A backend is another folder beside `sqlite` that passes `conformance`.

mod records;
pub mod sqlite;

pub use records::{
    Census, Charge, ContactRecord, FactorRecord, NewContact, Portfolio, Resealed, SpareRecord, Tally,
    TokenRecord, TokensAdded, Vault, WrappedKey,
};

use std::{collections::BTreeMap, fmt, fs::File};

use async_trait::async_trait;

use crate::{
    audit,
    clock::Timestamp,
    engine::{
        clock_guard::Mark,
        delivery::{ContactKind, Issued, Wish},
        enrollment::Added,
        invitation::{Binding, BindingTry, NewInvitation},
        policy::Flag,
        proof::Ledger,
        throttle::{Budget, Rule, Standing},
    },
    factor::{spare::NewSpare, totp::Match},
    names::{AccountId, FactorId, Source, UserName},
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

    /// Lets a user set up an app by a link, and makes an account if there is none; a link that was given out before is dead. False,
    /// and nothing is done, where there are factors of somebody who had this name with another uid.
    async fn invite(
        &self,
        user: &UserName,
        uid: u32,
        invitation: NewInvitation,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError>;

    /// The account of a link, by the digest of its token; it may be over.
    async fn invited(&self, token: [u8; 32]) -> Result<Option<Portfolio>, StoreError>;

    /// Ends this invitation, if no newer one did.
    async fn end_invitation(&self, id: FactorId) -> Result<(), StoreError>;

    /// Somebody typed a binding code: counts it if it was wrong; the last wrong one ends the link. What came of it goes into
    /// the trail with `record`.
    async fn try_binding(&self, tried: BindingTry, record: audit::Record) -> Result<Binding, StoreError>;

    /// Binds an account to another uid, with its secrets sealed anew: all, or nothing is done.
    async fn adopt(
        &self,
        account: AccountId,
        uid: u32,
        secrets: Vec<Resealed>,
        record: audit::Record,
    ) -> Result<(), StoreError>;

    /// Forgets a user: everything but the trail; says whether there was anything. Nothing of it is left in the files then.
    async fn purge(&self, user: &UserName, record: audit::Record) -> Result<bool, StoreError>;

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

    /// Takes entries from before a time out of the trail, at most so many, but none behind one that stays (and is no later than
    /// now): a wrong clock stamped it. Says how many. Their numbers are not given again, and what was counted stays counted.
    async fn trim(&self, before: Timestamp, now: Timestamp, most: u32) -> Result<u32, StoreError>;

    /// How often each thing happened since the trail began.
    async fn tallies(&self) -> Result<Vec<Tally>, StoreError>;

    /// How much there is of everything; `rule`: that of users' budgets.
    async fn census(&self, rule: Rule, now: Timestamp) -> Result<Census, StoreError>;

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

    /// A look and an empty commit, by the threads that serve logins; waits for as long as they take.
    async fn beat(&self) -> Result<(), StoreError>;

    /// What is wrong with the store, a sentence each.
    async fn check(&self) -> Result<Vec<String>, StoreError>;

    /// The store as it is at one moment: a file without a name, to be read from its start.
    async fn backup(&self) -> Result<File, StoreError>;

    /// From now on every copy that was made before is known for one, if somebody puts it in the place of the store.
    async fn count_generation(&self) -> Result<(), StoreError>;
}

#[cfg(test)]
mod conformance;
