//! Invitations: a link that travels by mail, and a binding code that does not. Neither alone shows a key or binds one
//! (security.md R49 to R51; NIST SP 800-63B-4 on binding an authenticator by an external one).

use std::time::Duration;

use crate::{
    clock::Timestamp,
    names::{AccountId, FactorId},
    secret::Sealed,
};

/// Wrong binding codes, behind the last of which the link is dead.
pub const WRONG: u32 = 5;
/// How long a binding code lives that a login showed.
pub const AT_LOGIN: Duration = Duration::from_secs(600);
/// Who let somebody be invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// An administrator: what the link brings may be one factor more.
    Administrator,
    /// A login, for somebody who has nothing: a factor that comes in between ends that.
    Login,
}

/// An invitation to be stored; the one before is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvitation {
    /// Identifier, random.
    pub id: FactorId,
    /// See [`LinkToken::digest`].
    pub token: [u8; 32],
    /// The binding code, sealed for this user and invitation.
    pub code: Sealed,
    /// Who let it be.
    pub grant: Grant,
    /// Where the link was mailed, masked; empty: nowhere.
    pub masked: String,
    /// When the link is over.
    pub expires: Timestamp,
    /// When the binding code is.
    pub code_expires: Timestamp,
}

/// An invitation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRecord {
    /// Identifier.
    pub id: FactorId,
    /// The binding code, sealed.
    pub code: Sealed,
    /// Who let it be.
    pub grant: Grant,
    /// Where the link was mailed, masked; empty: nowhere.
    pub masked: String,
    /// Wrong binding codes until now.
    pub wrong: u32,
    /// When the link is over.
    pub expires: Timestamp,
    /// When the binding code is.
    pub code_expires: Timestamp,
}

impl InvitationRecord {
    /// Wrong binding codes that may still be.
    #[must_use]
    pub const fn tries_left(&self) -> u32 {
        WRONG.saturating_sub(self.wrong)
    }

    /// Whether the binding code can be used still: the link lives as long, or longer.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.code_expires && now < self.expires
    }
}

/// Somebody typed a binding code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingTry {
    /// Whose invitation.
    pub account: AccountId,
    /// Which.
    pub id: FactorId,
    /// Whether it was the right code: the store tells nobody before it has decided.
    pub right: bool,
    /// When.
    pub now: Timestamp,
}

/// What the store says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// It was right.
    Right,
    /// It was wrong; so many more may be.
    Wrong(u32),
    /// The invitation is over: used, expired, superseded, or that was the last wrong code.
    Dead,
}
