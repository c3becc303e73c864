//! The operator's line about a login, one for each decision. Its form is part of the interface: fail2ban reads that of a
//! login that failed (packaging/fail2ban), and the journal has its parts as fields.

use std::net::IpAddr;

use crate::{
    audit::{self, Event, Outcome, Subject},
    engine::proof::Settled,
};

/// Reasons that are faults of this host, or of a provider: whoever met them is not to be banned for it.
const OUTAGES: [&str; 2] = ["clock", "not-sent"];

/// What a try that the store settled is called, if it was a guess that missed.
pub(super) const fn reason_of(settled: &Settled) -> Option<&'static str> {
    match settled {
        Settled::Wrong => Some("wrong"),
        Settled::Used => Some("used"),
        Settled::Passed(..) | Settled::Refused(_) => None,
    }
}

/// Says that a login failed, and why: never for an outage, which is nobody's failure.
pub(super) fn failed(subject: &Subject, reason: &str) {
    if OUTAGES.contains(&reason) {
        return;
    }
    let Subject { user, service, rhost, .. } = subject;
    let (event, outcome) = (Event::Login.name(), Outcome::Denied.name());
    let line = line("failed", subject, &format!(" reason={reason}"));
    tracing::warn!(target: audit::LOGIN_LINE, event, outcome, user, service, rhost, reason, "{line}");
}

/// Says that a second factor was right.
pub(super) fn passed(subject: &Subject) {
    let Subject { user, service, rhost, .. } = subject;
    let (event, outcome) = (Event::Login.name(), Outcome::Granted.name());
    let line = line("passed", subject, "");
    tracing::info!(target: audit::LOGIN_LINE, event, outcome, user, service, rhost, "{line}");
}

/// Says that none was needed.
pub(super) fn not_needed(subject: &Subject) {
    let Subject { user, service, rhost, .. } = subject;
    let (event, outcome) = (Event::Login.name(), Outcome::NotNeeded.name());
    let line = line("not needed", subject, "");
    tracing::info!(target: audit::LOGIN_LINE, event, outcome, user, service, rhost, "{line}");
}

/// What is ours stands first, foreign text is one token, and the name, which anybody can choose, comes last, in quotes:
/// nothing in it can be taken for an address. An address is there only if it is one.
fn line(what: &str, subject: &Subject, reason: &str) -> String {
    let address = subject
        .rhost
        .parse()
        .map_or_else(|_| "-".to_owned(), |address: IpAddr| address.to_canonical().to_string());
    let service = token(&subject.service, |c| c.is_ascii_graphic());
    let user = token(&subject.user, |c| c == ' ' || c.is_ascii_graphic());
    format!("verification {what}: rhost={address} service={service}{reason} user=\"{user}\"")
}

fn token(text: &str, allowed: impl Fn(char) -> bool) -> String {
    text.chars().map(|c| if allowed(c) && !matches!(c, '"' | '\\') { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(user: &str, service: &str, rhost: &str) -> Subject {
        let [user, service, rhost] = [user, service, rhost].map(str::to_owned);
        Subject { user, service, rhost, ..Subject::default() }
    }

    #[test]
    fn the_line_has_the_form_that_is_promised() {
        let said = |rhost| line("failed", &subject("alice", "sshd", rhost), " reason=wrong");
        assert_eq!(
            said("192.0.2.7"),
            "verification failed: rhost=192.0.2.7 service=sshd reason=wrong user=\"alice\""
        );
        assert_eq!(
            line("passed", &subject("alice", "sudo", ""), ""),
            "verification passed: rhost=- service=sudo user=\"alice\""
        );
        assert!(said("::ffff:192.0.2.7").contains(" rhost=192.0.2.7 "));
        assert!(said("2001:db8::9").contains(" rhost=2001:db8::9 "));
        for no_address in ["", "host.example", "192.0.2.7 rhost=198.51.100.9", "fe80::1%eth0"] {
            assert!(said(no_address).contains(" rhost=- service="), "{no_address}");
        }
    }

    #[test]
    fn crafted_names_end_nothing_and_begin_nothing() {
        let crafted = subject("x\" rhost=198.51.100.9\n\u{1b}[2J\\", "a b rhost=198.51.100.9\"", "192.0.2.7");
        assert_eq!(
            line("failed", &crafted, " reason=wrong"),
            "verification failed: rhost=192.0.2.7 service=a?b?rhost=198.51.100.9? reason=wrong \
             user=\"x? rhost=198.51.100.9??[2J?\""
        );
    }
}
