//! Who can say yes: this file. A match is nothing until the store has committed it; only [`settle`] sees that
//! commit, only it makes a [`FactorPassed`], only a `FactorPassed` makes a [`Granted`], and only a `Granted`
//! becomes success on the wire.

use std::fmt;

use async_trait::async_trait;

use super::{
    enrollment::{Added, NewFactor, Proof},
    policy::Method,
    throttle::{Budget, Standing},
};
use crate::{
    audit,
    clock::Timestamp,
    factor::spare,
    factor::totp::Match,
    names::{AccountId, FactorId, Source, SpareId},
};

/// A try at a code, ready to be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Whose; `None` for somebody unknown or not enrolled, who walks the same way.
    pub account: Option<AccountId>,
    /// Factors that the code matches, in order of preference.
    pub candidates: Vec<Candidate>,
    /// What a failure is charged to.
    pub budgets: Vec<Budget>,
    /// Where the try comes from: a success forgives the failures from there.
    pub source: Source,
    /// When the conversation began that it is part of.
    pub began: Timestamp,
    /// When.
    pub now: Timestamp,
    /// What the trail says, but for outcome and reason.
    pub event: audit::Event,
    /// About what.
    pub subject: audit::Subject,
}

/// Something of the user's that the code matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// A factor that counts in steps.
    Step {
        /// Which.
        factor: FactorId,
        /// At which step.
        matched: Match,
    },
    /// A recovery or bypass code.
    Spare(SpareId),
    /// The code that this conversation had sent.
    Delivered {
        /// Its counter.
        counter: i64,
        /// How it was sent.
        method: Method,
    },
}

/// What the store decided, durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The code was fresh and is now spent.
    Accepted(Accepted, Missed),
    /// The code was right and is spent: that step or a later one was accepted before. Not charged.
    Used,
    /// Charged.
    Wrong,
    /// The budget was spent, so nothing was evaluated.
    Refused(Standing),
}

/// What was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// A step of this factor.
    Step(FactorId),
    /// A use of a spare code.
    Spare {
        /// Of which kind.
        kind: spare::Kind,
        /// Recovery codes that the user has left.
        recovery_left: u32,
    },
    /// A code that was sent.
    Delivered,
}

/// What happened to an account since its last login, for its owner to judge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed {
    /// Wrong codes, by anybody.
    pub failures: u32,
    /// Of these, with the first factor known.
    pub proven: u32,
    /// When the last of them was.
    pub last: Option<Timestamp>,
}

/// The store's verbs behind every yes.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Why nothing could be decided.
    type Error: fmt::Debug + Send;

    /// In one transaction: refuses when a budget is spent; else accepts the first candidate whose step is newer
    /// than all accepted ones; else charges. Returns after the commit is on disk.
    async fn settle(&self, attempt: Attempt) -> Result<Ruling, Self::Error>;

    /// Stores a factor with its recovery codes, and its account if there is none. An account whose uid is another
    /// loses what it had. Returns after the commit is on disk.
    async fn add_factor(&self, factor: NewFactor, record: audit::Record) -> Result<Added, Self::Error>;
}

/// A factor was verified and its use is on disk.
#[derive(Debug)]
pub struct FactorPassed(());

/// The login is granted.
#[derive(Debug)]
pub struct Granted(());

impl From<FactorPassed> for Granted {
    /// One factor is what a login needs here: the first one was the application's business.
    fn from(FactorPassed(()): FactorPassed) -> Self {
        Self(())
    }
}

/// How a try was settled.
#[derive(Debug)]
pub enum Settled {
    /// Yes, by this, after that.
    Passed(FactorPassed, Accepted, Missed),
    /// See [`Ruling::Used`].
    Used,
    /// See [`Ruling::Wrong`].
    Wrong,
    /// See [`Ruling::Refused`].
    Refused(Standing),
}

/// Has the store decide, and turns its yes into the proof.
///
/// # Errors
///
/// When the store could not decide: that is not a no, and never a yes.
pub async fn settle<L: Ledger + ?Sized>(ledger: &L, attempt: Attempt) -> Result<Settled, L::Error> {
    Ok(match ledger.settle(attempt).await? {
        Ruling::Accepted(accepted, missed) => Settled::Passed(FactorPassed(()), accepted, missed),
        Ruling::Used => Settled::Used,
        Ruling::Wrong => Settled::Wrong,
        Ruling::Refused(standing) => Settled::Refused(standing),
    })
}

/// What came of a first factor that was set up at a login.
#[derive(Debug)]
pub enum Enrolled {
    /// It is stored, and a code of it was seen: that is the factor of this login.
    Passed(FactorPassed),
    /// It is not: there is another one by now.
    Refused,
}

/// Has the store take in somebody's first factor, which `confirmed` shows to be in their hands, and turns that into the
/// proof.
///
/// # Errors
///
/// When the store could not do it: that is never a yes.
pub async fn enroll<L: Ledger + ?Sized>(
    ledger: &L,
    factor: NewFactor,
    confirmed: Match,
    record: audit::Record,
) -> Result<Enrolled, L::Error> {
    let first = NewFactor { proof: Proof::FirstFactor(confirmed), ..factor };
    Ok(match ledger.add_factor(first, record).await? {
        Added::Stored => Enrolled::Passed(FactorPassed(())),
        Added::NotFirst | Added::TooMany | Added::LabelTaken | Added::OtherUid | Added::NoToken => {
            Enrolled::Refused
        }
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ledger that rules as scripted.
    pub struct Scripted(pub Ruling);

    #[async_trait]
    impl Ledger for Scripted {
        type Error = ();
        async fn settle(&self, _: Attempt) -> Result<Ruling, ()> {
            Ok(self.0.clone())
        }
        async fn add_factor(&self, factor: NewFactor, _: audit::Record) -> Result<Added, ()> {
            assert!(matches!(factor.proof, Proof::FirstFactor(_)), "{:?}", factor.proof);
            Ok(if self.0 == Ruling::Used { Added::NotFirst } else { Added::Stored })
        }
    }

    /// The proof, for the tests of the states that need one: through the front door.
    pub fn settled(attempt: Attempt, ruling: Ruling) -> Settled {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(settle(&Scripted(ruling), attempt)).unwrap()
    }
}
