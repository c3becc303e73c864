//! A code was typed: what it matches, and what the store says of it.

use super::{
    conversation::{self, Course, Ending, FirstFactor, Turn},
    prompt,
    proof::{Accepted, Attempt, Candidate, Missed, Settled},
    sending::Sent,
    throttle::Budget,
};
use crate::{
    audit,
    clock::Timestamp,
    factor::{code::Typed, spare},
    names::{AccountId, FactorId, SpareId},
};

/// There is a code to check.
pub struct Checking {
    pub(super) course: Course,
    pub(super) typed: Typed,
}

impl std::fmt::Debug for Checking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checking(redacted)")
    }
}

/// What is known of a factor when a code is checked.
pub struct Prepared {
    /// Which.
    pub factor: FactorId,
    /// Length of its codes.
    pub digits: usize,
    /// What the code matches, computed for every factor alike.
    pub matched: Option<crate::factor::totp::Match>,
}

/// After the factors were looked at.
#[derive(Debug)]
pub enum Checked {
    /// The store decides.
    Try(Deciding, Attempt),
    /// It cannot be evaluated: no factor has codes of this length, or the clock is not believed.
    Malformed(Turn),
}

impl Checking {
    /// Whose factors are needed.
    #[must_use]
    pub const fn account(&self) -> Option<AccountId> {
        self.course.login().account
    }

    /// What a failure will be charged to.
    #[must_use]
    pub fn budgets(&self) -> &[Budget] {
        &self.course.login().budgets
    }

    /// What was typed, for the factors to look at.
    #[must_use]
    pub const fn typed(&self) -> &Typed {
        &self.typed
    }

    /// The clock of this host is not believed, so no time code is looked at, or charged.
    #[must_use]
    pub fn without_clock(self) -> Checked {
        let known = self.course.login().first_factor == FirstFactor::Known;
        Checked::Malformed(
            self.course.refused_uncharged("clock", if known { prompt::CLOCK } else { prompt::WRONG }),
        )
    }

    /// Goes on with what the spare codes say.
    #[must_use]
    pub fn against_spare(self, found: Option<SpareId>, now: Timestamp) -> Checked {
        Self::attempt(self.course, found.map(Candidate::Spare).into_iter().collect(), now)
    }

    /// The code that this conversation had sent, if it can still be used.
    #[must_use]
    pub const fn sent(&self) -> Option<Sent> {
        self.course.sent
    }

    /// Goes on with what the factors say about a code of so many digits; `delivered` whether it is the one that was sent.
    #[must_use]
    pub fn against(self, length: usize, prepared: Vec<Prepared>, delivered: bool, now: Timestamp) -> Checked {
        let Self { course, typed: _ } = self;
        let fits_sent = course.sent.is_some_and(|sent| usize::from(sent.digits) == length);
        let fits = if prepared.is_empty() {
            length == course.login().usual_length
        } else {
            prepared.iter().any(|factor| factor.digits == length)
        };
        if !fits && !fits_sent {
            return Checked::Malformed(course.malformed());
        }
        let steps = prepared
            .into_iter()
            .filter_map(|p| p.matched.map(|matched| Candidate::Step { factor: p.factor, matched }));
        let sent = course.sent.filter(|_| delivered);
        let sent = sent.map(|Sent { counter, method, .. }| Candidate::Delivered { counter, method });
        let candidates = steps.chain(sent).collect();
        Self::attempt(course, candidates, now)
    }

    fn attempt(course: Course, candidates: Vec<Candidate>, now: Timestamp) -> Checked {
        let attempt = Attempt {
            account: course.login().account,
            candidates,
            budgets: course.login().budgets.clone(),
            source: course.login().source.clone(),
            began: course.login().began,
            now,
            event: audit::Event::Login,
            subject: course.login().subject.clone(),
        };
        Checked::Try(Deciding { course }, attempt)
    }
}

/// The store decides.
#[derive(Debug)]
pub struct Deciding {
    course: Course,
}

impl Deciding {
    /// The store has decided.
    #[must_use]
    pub fn settled(mut self, settled: Settled, now: Timestamp) -> Turn {
        if let (Settled::Wrong, Some(mut sent)) = (&settled, self.course.sent) {
            sent.tries = sent.tries.saturating_sub(1);
            self.course.sent = (sent.tries > 0).then_some(sent);
        }
        let known = self.course.login().first_factor == FirstFactor::Known;
        match settled {
            Settled::Passed(passed, by, missed) => {
                Turn::Finish(Ending::Granted(passed.into(), advice(&by, &missed)))
            }
            Settled::Used if known => self.course.wrong("used", prompt::USED),
            Settled::Used => self.course.wrong("used", prompt::WRONG),
            Settled::Wrong => self.course.wrong("wrong", prompt::WRONG),
            Settled::Refused(standing) if known => match conversation::throttled(standing, now) {
                Some(_) => Turn::Finish(Ending::Throttled),
                None => self.course.wrong("throttled", prompt::WRONG),
            },
            // Right and wrong codes get the same answer while a stranger is throttled.
            Settled::Refused(_) => self.course.wrong("throttled", prompt::WRONG),
        }
    }
}

/// What to say to somebody who got in.
fn advice(by: &Accepted, missed: &Missed) -> Option<String> {
    let left = match by {
        Accepted::Spare { kind: spare::Kind::Recovery, recovery_left } => {
            Some(prompt::recovery_left(*recovery_left))
        }
        Accepted::Spare { kind: spare::Kind::Bypass, .. } | Accepted::Step(_) | Accepted::Delivered => None,
    };
    let said: Vec<String> = prompt::missed(missed).into_iter().chain(left).collect();
    (!said.is_empty()).then(|| said.join("\n"))
}
