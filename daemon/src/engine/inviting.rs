//! Enrollment by a link, at a login: the link is mailed, its binding code shown. The app is set up on the page; here a code of
//! it is asked for, like any other.

use std::fmt;

use zeroize::Zeroizing;

use super::{
    conversation::{Asking, Course, Hope, Turn},
    prompt,
    throttle::Budget,
};
use crate::{audit, names::AccountId};

/// A link is to be mailed, unless one is open.
#[derive(Debug)]
pub struct Inviting {
    course: Course,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// There is a link.
    Invited(Invited),
    /// There can be none: no page, or no address that an administrator set.
    Impossible,
    /// It could not be mailed, or may not be now.
    NotMailed,
}

/// A link that is open.
pub struct Invited {
    /// The account that it is for, which may have been made for it.
    pub account: AccountId,
    /// What wrong codes are charged to from now on.
    pub budgets: Vec<Budget>,
    /// Where it was mailed; empty: nowhere, somebody was given it.
    pub masked: String,
    /// Its binding code, as it is shown; `None`: an administrator hands it over.
    pub code: Option<Zeroizing<String>>,
}

impl fmt::Debug for Invited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invited(redacted)")
    }
}

impl Inviting {
    pub(super) const fn new(course: Course) -> Self {
        Self { course }
    }

    /// For the trail.
    #[must_use]
    pub const fn subject(&self) -> &audit::Subject {
        self.course.subject()
    }

    /// Shows the binding code, or that there is none.
    #[must_use]
    pub fn done(self, outcome: Outcome) -> Turn {
        let mut course = self.course;
        let in_vain = |course, why, text: &str| Turn::Ask(Asking::new(course, Hope::None(why)), text.into());
        match outcome {
            Outcome::Invited(invited) => {
                let login = course.login_mut();
                login.account = Some(invited.account);
                login.budgets.clone_from(&invited.budgets);
                course.invited = Some(invited);
                course.ask("")
            }
            Outcome::Impossible => in_vain(course, "not-enrolled", prompt::NOT_SET_UP),
            Outcome::NotMailed => in_vain(course, "not-mailed", prompt::NOT_MAILED),
        }
    }
}

#[cfg(test)]
#[path = "inviting_tests.rs"]
mod tests;
