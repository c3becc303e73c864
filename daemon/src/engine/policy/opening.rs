//! Who may set up a first factor at a login, with nothing but the first factor: a stolen password could do it too, so
//! it is off unless a rule or an administrator opens it, and only for a time (security.md R48).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Because, Facts, Method, Role};
use crate::clock::Timestamp;

/// What a member of a role meets who must have a factor and has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enrollment {
    /// The login sets one up.
    AtLogin,
    /// The login mails a link to an address that an administrator set, and shows its binding code.
    Link,
    /// An administrator does; the login is denied.
    #[default]
    Admin,
}

impl Role {
    /// Until when its members may enroll at their login.
    fn open_until(&self, facts: &Facts<'_>) -> Option<Timestamp> {
        let since = facts.openings.get(&self.name).filter(|_| self.enrollment == Enrollment::AtLogin)?;
        // Written by a clock that was ahead: it would be open for as long as that was.
        (*since <= facts.now).then(|| since.after(self.enroll_within))
    }
}

/// Whether the user has nothing at all: somebody who has a factor adds others with a code of it, never with the first
/// factor alone (NIST SP 800-63B section 6.1.2.1).
fn is_new(facts: &Facts<'_>, role: Option<&Role>) -> bool {
    let allowed = role.is_none_or(|role| role.methods.contains(&Method::Totp));
    // A clock that is off would accept codes that no phone shows, and keep the time open.
    allowed && facts.methods.is_empty() && facts.pending.is_empty() && facts.clock_believed
}

/// Until when an administrator lets this user enroll; a clock that was ahead may have written what no administrator can.
fn opened_for_user(facts: &Facts<'_>) -> Option<Timestamp> {
    facts.flags.enroll_until.filter(|until| *until <= facts.now.after(LONGEST))
}

/// Whether a required factor may be set up now.
pub(super) fn is_open(facts: &Facts<'_>, role: Option<&Role>) -> bool {
    let by_administrator = opened_for_user(facts);
    let until = by_administrator.into_iter().chain(role.and_then(|role| role.open_until(facts))).max();
    is_new(facts, role) && until.is_some_and(|until| facts.now < until)
}

/// Whether a required one is set up by a link. That goes to a mailbox that an administrator named: to have that counted as
/// a factor somewhere else is no reason against it.
pub(super) fn is_by_link(facts: &Facts<'_>, role: Option<&Role>) -> bool {
    let bare = facts.methods.iter().all(|method| *method == Method::Email) && facts.pending.is_empty();
    let allowed =
        role.is_some_and(|role| role.enrollment == Enrollment::Link && role.methods.contains(&Method::Totp));
    allowed && bare && facts.clock_believed
}

/// Whether an optional one is offered.
pub(super) fn offers(facts: &Facts<'_>, role: Option<&Role>) -> bool {
    is_new(facts, role) && role.is_some_and(|role| role.offer_enrollment)
}

/// What decided whether a factor may be set up now.
pub(super) fn explain(facts: &Facts<'_>, role: Option<&Role>) -> Vec<Because> {
    let mut because = Vec::new();
    if let Some(until) = opened_for_user(facts).filter(|until| facts.now < *until) {
        let effect = format!("may enroll at a login until {}", until.rfc_3339());
        because.push(Because { rule: "user open-enrollment".to_owned(), effect });
    }
    if let Some(role) = role.filter(|role| role.enrollment == Enrollment::AtLogin) {
        let effect = match role.open_until(facts) {
            Some(until) if facts.now < until => {
                format!("may enroll at a login until {}", until.rfc_3339())
            }
            Some(until) => format!(
                "the time to enroll at a login ended {}; twinlock policy open-enrollment opens it again",
                until.rfc_3339()
            ),
            None => "enrollment at logins is not open (the clock was off when the rule was loaded, or the store failed); twinlock \
                     policy open-enrollment opens it"
                .to_owned(),
        };
        because.push(Because { rule: role.name.clone(), effect });
    }
    if role.is_some_and(|role| role.enrollment == Enrollment::Link) {
        let rule = role.map(|role| role.name.clone()).unwrap_or_default();
        let effect = "a link is mailed, if an administrator set an address and [web] url is set".to_owned();
        because.push(Because { rule, effect });
    }
    if !because.is_empty() && !facts.clock_believed {
        let effect = "nobody enrolls while the clock of this host is not believed".to_owned();
        because.push(Because { rule: "built-in: clock".to_owned(), effect });
    }
    because
}

/// Nothing is opened for longer.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the members of a role may enroll at their login, unless the role says otherwise.
pub const ENROLL_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);
