//! What the module says in syslog (AUTHPRIV). Never what was typed.

use crate::{application::Circumstances, authority::Fault, dialogue::Phase, outcome::Outcome};

/// Who a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something is misconfigured or out of order: an administrator has to act.
    Error,
    /// A login was refused.
    Notice,
    /// Only with the argument `debug`.
    Debug,
}

/// The line for an outcome, if it deserves one.
#[must_use]
pub fn line(phase: Phase, outcome: &Outcome, login: &Circumstances) -> Option<(Level, String)> {
    let (level, text) = match outcome {
        Outcome::Granted => (Level::Debug, format!("granted user={}", printable(&login.user, 64))),
        Outcome::NotNeeded => (Level::Debug, format!("not needed user={}", printable(&login.user, 64))),
        Outcome::Denied | Outcome::Throttled | Outcome::Expired => (Level::Notice, failure(login)),
        // Whoever has the key is no guesser: fail2ban must not count it.
        Outcome::Skipped => (Level::Notice, skipped(login)),
        Outcome::NotConcerned => (Level::Debug, "not for this service".into()),
        // An outage is no failure of the person: fail2ban must not ban them for it.
        Outcome::Unavailable(fault) => (Level::Error, outage(fault)),
        Outcome::ConversationFailed => (Level::Debug, "the application's conversation failed".into()),
        Outcome::UserChanged => (Level::Error, "PAM_USER changed during the conversation; denied".into()),
        Outcome::NoContext(what) => (Level::Error, format!("{what}; denied")),
        Outcome::BadArgument => return None, // said where it was found, with its name
        Outcome::Panicked => (Level::Error, "internal error (panic); denied".into()),
    };
    Some((level, format!("pam_twinlock({}:{}): {text}", printable(&login.service, 32), phase.name())))
}

fn skipped(login: &Circumstances) -> String {
    let (rhost, user) = (printable(&login.rhost, 255), printable(&login.user, 64));
    format!("a second factor is needed and was not asked; refused rhost={rhost} user={user}")
}

/// The classic form, which fail2ban's `pam-generic` filter matches; nothing comes after the user.
fn failure(login: &Circumstances) -> String {
    format!(
        "authentication failure; logname= uid={} euid={} tty={} ruser={} rhost={}  user={}",
        login.uid,
        login.euid,
        printable(&login.tty, 64),
        printable(&login.ruser, 64),
        printable(&login.rhost, 255),
        printable(&login.user, 64),
    )
}

fn outage(fault: &Fault) -> String {
    match fault {
        Fault::Absent => "twinlockd is not running (its socket is missing or refuses); \
                          start it or see pam_twinlock(8), \"unavailable\""
            .into(),
        Fault::Late => "twinlockd did not answer in time; denied".into(),
        Fault::Broken => "the connection to twinlockd broke; denied".into(),
        Fault::Untrusted(why) => format!("no verdict from twinlockd: {}; denied", printable(why, 200)),
    }
}

/// Foreign text, safe in a log line: no white space or control bytes (they could forge another field or
/// line), ASCII only, and no longer than `limit` bytes.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Circumstances {
        Circumstances {
            user: "alice".into(),
            service: "sshd".into(),
            tty: "ssh".into(),
            rhost: "192.0.2.7".into(),
            ..Circumstances::default()
        }
    }

    #[test]
    fn a_failure_has_the_form_of_the_contract() {
        let (level, text) = line(Phase::Auth, &Outcome::Denied, &login()).unwrap();
        assert_eq!(level, Level::Notice);
        assert_eq!(
            text,
            "pam_twinlock(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= \
             rhost=192.0.2.7  user=alice"
        );
    }

    #[test]
    fn a_crafted_name_forges_neither_a_field_nor_a_line() {
        let user = "x rhost=10.0.0.1\npam_twinlock(sshd:auth): authentication failure".into();
        let (_, text) = line(Phase::Auth, &Outcome::Denied, &Circumstances { user, ..login() }).unwrap();
        assert!(!text.contains('\n') && text.matches(" rhost=").count() == 1, "{text}");
    }

    #[test]
    fn an_outage_writes_no_failure_line() {
        for fault in [Fault::Absent, Fault::Late, Fault::Broken, Fault::Untrusted("x".into())] {
            let (level, text) = line(Phase::Auth, &Outcome::Unavailable(fault), &login()).unwrap();
            assert!(level == Level::Error && !text.contains("authentication failure"), "{text}");
        }
    }
}
