//! Enrollment at a login: the states behind a first factor that is known and a second one that is missing. Until the
//! store has committed the new factor with its recovery codes, nothing has changed.

use super::{
    conversation::{Asking, Course, Ending, Hope, Turn, Words},
    enrollment::Pending,
    policy::Release,
    prompt,
    proof::{Enrolled, Granted},
};
use crate::{
    audit,
    clock::Timestamp,
    factor::{
        code::Code,
        totp::{Match, Window},
    },
    secret::Secret,
};

/// A key is to be made.
#[derive(Debug)]
pub struct Preparing {
    course: Course,
    offered: Option<Release>,
}

/// A new key, as it is shown.
pub struct Offer {
    /// What waits for its first code.
    pub pending: Pending,
    /// The key in Base32.
    pub key: Secret<String>,
    /// Its `otpauth://` link.
    pub link: Secret<String>,
    /// Its QR code, lines of text; empty: none is wanted.
    pub picture: Secret<Vec<String>>,
    /// Which steps of it are accepted.
    pub window: Window,
}

/// The first question, where a role offers a factor to those who need none.
pub(super) fn offer(course: Course, release: Release) -> Turn {
    Turn::Ask(Asking::new(course, Hope::Offer(release)), prompt::OFFER.into())
}

/// What came back from it.
pub(super) fn offered(mut course: Course, release: Release, typed: &str) -> Turn {
    let typed = typed.trim().to_ascii_lowercase();
    match typed.as_str() {
        "yes" | "y" => Turn::Prepare(Preparing { course, offered: Some(release) }),
        "" | "no" | "n" => Turn::Finish(Ending::NotNeeded(release, None)),
        _ if course.count_malformed() => Turn::Finish(Ending::NotNeeded(release, None)),
        _ => offer(course, release),
    }
}

/// The beginning, where one is required.
pub(super) const fn required(course: Course) -> Turn {
    Turn::Prepare(Preparing { course, offered: None })
}

impl Preparing {
    /// Shows the key and asks for a code of it.
    #[must_use]
    pub fn show(self, offer: Offer) -> Turn {
        let Self { course, offered } = self;
        let words = prompt::new_key(offer.key.expose(), offer.link.expose(), offer.picture.expose());
        // What was typed at the prompt of a connection that broke was a code of another key.
        let stale = (course.resumed() && offered.is_none()).then(|| words.clone());
        let Offer { pending, window, .. } = offer;
        let showing = Showing { pending, window, offered, stale };
        Turn::Ask(Asking::new(course, Hope::NewCode(Box::new(showing))), words)
    }
}

/// A new key is shown.
pub(super) struct Showing {
    pending: Pending,
    window: Window,
    offered: Option<Release>,
    stale: Option<Words>,
}

impl std::fmt::Debug for Showing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Showing(redacted)")
    }
}

impl Showing {
    pub(super) fn answer(mut self, mut course: Course, typed: &str, now: Timestamp) -> Turn {
        if let Some(words) = self.stale.take() {
            return self.ask(course, words.after(prompt::RENEWED));
        }
        let code = Code::parse(typed);
        if let Some(matched) =
            code.as_ref().ok().and_then(|code| self.pending.confirm(code, now, self.window))
        {
            return Turn::Enroll(Confirmed { course, pending: self.pending, matched });
        }
        let over = if code.is_ok() { course.count_wrong() } else { course.count_malformed() };
        match (over, self.offered.take()) {
            (true, None) => Turn::Finish(Ending::Denied("not-confirmed")),
            (true, Some(release)) => Turn::Finish(Ending::NotNeeded(release, Some(prompt::NOTHING_SET_UP))),
            (false, offered) => {
                self.offered = offered;
                self.ask(course, prompt::WRONG_NEW_CODE.into())
            }
        }
    }

    fn ask(self, course: Course, words: Words) -> Turn {
        Turn::Ask(Asking::new(course, Hope::NewCode(Box::new(self))), words)
    }
}

/// A code of the new key was right: it is to be stored.
pub struct Confirmed {
    course: Course,
    pending: Pending,
    matched: Match,
}

impl std::fmt::Debug for Confirmed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Confirmed(redacted)")
    }
}

impl Confirmed {
    /// What is to be stored, the step of the code that showed it, and what comes back with the answer.
    #[must_use]
    pub fn split(self) -> (Pending, Match, Storing) {
        (self.pending, self.matched, Storing { course: self.course })
    }
}

/// The store decides.
#[derive(Debug)]
pub struct Storing {
    course: Course,
}

impl Storing {
    /// For the trail.
    #[must_use]
    pub const fn subject(&self) -> &audit::Subject {
        self.course.subject()
    }

    /// The store has decided; `recovery` are the codes that came with the factor, to be shown once.
    #[must_use]
    pub fn stored(self, enrolled: Enrolled, recovery: &[Secret<String>]) -> Turn {
        match enrolled {
            Enrolled::Passed(passed) if recovery.is_empty() => {
                Turn::Finish(Ending::Enrolled(Granted::from(passed)))
            }
            Enrolled::Passed(passed) => {
                let granted = Granted::from(passed);
                let words = prompt::recovery_codes(recovery.iter().map(|code| code.expose().as_str()));
                Turn::Ask(Asking::new(self.course, Hope::Saved(granted)), words.into())
            }
            Enrolled::Refused => Turn::Ask(
                Asking::new(self.course, Hope::None("enrolled-meanwhile")),
                prompt::MEANWHILE.into(),
            ),
        }
    }
}

#[cfg(test)]
#[path = "enrolling_tests.rs"]
mod tests;
