//! What a backup that is brought back undoes, and how it is done again.

use super::{Entry, Event, Outcome};
use crate::names::printable;

/// How to do again what this entry tells of; nothing where nothing was done, or where it is void anyway.
#[must_use]
pub fn again(entry: &Entry) -> Option<String> {
    if entry.outcome != Outcome::Granted.name() {
        return None;
    }
    let (user, what) = (printable(&entry.subject.user, 64), printable(&entry.reason, 200));
    let event = Event::ALL.into_iter().find(|event| event.name() == entry.event)?;
    Some(match event {
        Event::Reset => format!("twinlock user reset {user}"),
        Event::Unlock => format!("twinlock user unlock {user}"),
        Event::Remove => format!("{user}: twinlock remove; or all of them: twinlock user reset {user}"),
        Event::Require if what == "off" => format!("twinlock user require {user} --off"),
        Event::Require => format!("twinlock user require {user}"),
        Event::Exempt if what == "off" => format!("twinlock user exempt {user} --off"),
        Event::Exempt => format!("twinlock user exempt {user} --until WHEN --reason TEXT"),
        Event::Contact => format!("twinlock user contact {user}"),
        Event::Enroll => format!("{user}: twinlock enroll"),
        Event::Provision => format!("twinlock user enroll {user} totp"),
        Event::TokenImport => "twinlock token import FILE".to_owned(),
        Event::TokenAssign => format!("twinlock token assign {what} {user}"),
        Event::TokenRevoke => format!("twinlock token revoke {what}"),
        Event::Adopt => format!("twinlock user adopt {user}"),
        Event::Purge => format!("twinlock user purge {user}"),
        Event::Migrate => format!("{user}: twinlock migrate"),
        Event::KeyRotate => "twinlock key rotate".to_owned(),
        // Decisions, what is void, and what makes no difference to who gets in.
        Event::Login
        | Event::Verify
        | Event::Password
        | Event::Recovery
        | Event::Prefer
        | Event::Bypass
        | Event::OpenEnrollment
        | Event::Invite
        | Event::Binding
        | Event::Send
        | Event::TokenResync
        | Event::Reload
        | Event::UidChanged
        | Event::Clock
        | Event::PamEnable
        | Event::PamDisable
        | Event::StoreCheck
        | Event::Backup
        | Event::Restore
        | Event::Trim
        | Event::Start
        | Event::Stop => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::Subject, clock::Timestamp};

    #[test]
    fn what_was_undone_is_said_as_the_command_that_does_it_again() {
        let again = |event: &str, outcome: &str, reason: &str| {
            let subject = Subject { user: "bob\u{1b}[2J".into(), ..Subject::default() };
            let (event, outcome, reason) = (event.to_owned(), outcome.to_owned(), reason.to_owned());
            let time = Timestamp(0);
            again(&Entry { number: 1, time, event, subject, method: String::new(), outcome, reason })
        };
        assert_eq!(again("reset", "granted", "").unwrap(), "twinlock user reset bob?[2J");
        assert_eq!(again("token-revoke", "granted", "H1").unwrap(), "twinlock token revoke H1");
        assert_eq!(again("exempt", "granted", "off").unwrap(), "twinlock user exempt bob?[2J --off");
        assert_eq!(again("reset", "denied", ""), None);
        assert_eq!(again("login", "granted", ""), None);
        assert_eq!(again("of another version", "granted", ""), None);
    }
}
