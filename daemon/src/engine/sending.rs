//! A code is to be sent: asked for at a prompt, once the first factor is known, and bound to this conversation.

use super::{
    conversation::{Course, Offered, Turn},
    policy::Method,
    prompt,
};
use crate::{clock::Timestamp, names::AccountId, names::Source};

/// The word for another code by the same way.
pub(super) const RESEND: &str = "resend";
/// Codes in one conversation: with three wrong and three malformed answers that is the most prompts there may be.
const SENDS: u32 = 3;

/// A code that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its counter.
    pub counter: i64,
    /// How.
    pub method: Method,
    /// Its length.
    pub digits: u8,
    /// Wrong answers that it has left.
    pub tries: u32,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is on its way, or perhaps.
    Sent {
        /// Its counter.
        counter: i64,
        /// Its length.
        digits: u8,
    },
    /// Not before this time; the one before can still be used.
    TooEarly(Timestamp),
    /// A limit is spent; the one before can still be used.
    NoMore,
    /// It could not be given away, and the one before is dead.
    Failed,
}

/// Which way the person wants, if what they typed is a word for one.
pub(super) fn wanted(course: &Course, typed: &str) -> Option<Offered> {
    let login = course.login();
    let word = typed.trim().to_ascii_lowercase();
    let by_method = |method: Method| login.offers.iter().find(|offered| offered.method == method);
    let found = match (word.as_str(), course.sent) {
        (RESEND, Some(sent)) => by_method(sent.method),
        ("", None) if !login.has_codes => login.offers.first(),
        (word, _) => login.offers.iter().find(|offered| offered.method.name() == word),
    };
    found.cloned()
}

/// A code is to be sent.
#[derive(Debug)]
pub struct Sending {
    course: Course,
    offered: Offered,
}

impl Sending {
    pub(super) const fn new(course: Course, offered: Offered) -> Self {
        Self { course, offered }
    }

    /// Whose.
    #[must_use]
    pub const fn account(&self) -> Option<AccountId> {
        self.course.login().account
    }

    /// How.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.offered.method
    }

    /// Where the login comes from.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.course.login().source
    }

    /// For the trail, and for the message.
    #[must_use]
    pub const fn subject(&self) -> &crate::audit::Subject {
        self.course.subject()
    }

    /// The code that it replaces.
    #[must_use]
    pub fn replaces(&self) -> Option<i64> {
        self.course.sent.map(|sent| sent.counter)
    }

    /// Codes that were sent before.
    #[must_use]
    pub const fn before(&self) -> u32 {
        self.course.sends
    }

    /// Whether another may be sent in this conversation.
    #[must_use]
    pub const fn may_send(&self) -> bool {
        self.course.sends < SENDS
    }

    /// Goes on with what became of it.
    #[must_use]
    pub fn done(self, delivery: Delivery, now: Timestamp) -> Turn {
        let Self { mut course, offered } = self;
        match delivery {
            Delivery::Sent { counter, digits } => {
                course.sends += 1;
                // A new code brings no new tries.
                let tries = course.sent.map_or(course.login().tries, |old| old.tries);
                course.sent = Some(Sent { counter, method: offered.method, digits, tries });
                course.ask(&prompt::sent(offered.method.name(), &offered.masked))
            }
            // Each of these is a prompt more, and they are numbered.
            Delivery::TooEarly(from) => {
                course.refused_uncharged("malformed", &prompt::too_early(from.since(now)))
            }
            Delivery::NoMore => course.refused_uncharged("send-limit", prompt::NO_MORE),
            Delivery::Failed => {
                course.sent = None;
                course.refused_uncharged("not-sent", prompt::NOT_SENT)
            }
        }
    }
}

#[cfg(test)]
#[path = "sending_tests.rs"]
mod tests;
