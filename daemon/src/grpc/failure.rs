//! The operator's line about a login that failed. Its form is part of the interface: fail2ban reads it
//! (packaging/fail2ban).

use std::net::IpAddr;

use crate::{
    audit::{self, Subject},
    engine::proof::Settled,
};

/// Reasons that are faults of this host, or of a provider: whoever met them is not to be banned for it.
const OUTAGES: [&str; 2] = ["clock", "not-sent"];

/// What a try that the store settled is called, if it was a guess that missed.
pub(super) const fn of(settled: &Settled) -> Option<&'static str> {
    match settled {
        Settled::Wrong => Some("wrong"),
        Settled::Used => Some("used"),
        Settled::Passed(..) | Settled::Refused(_) => None,
    }
}

/// Says that a login failed, and why: never for an outage, which is nobody's failure.
pub(super) fn tell(subject: &Subject, reason: &str) {
    if OUTAGES.contains(&reason) {
        return;
    }
    let (user, service, rhost) = (&subject.user, &subject.service, &subject.rhost);
    tracing::warn!(
        target: audit::FAILED_LOGIN, user, service, rhost, reason, "{}", line(subject, reason)
    );
}

/// What is ours stands first, foreign text is one token, and the name, which anybody can choose, comes last, in quotes:
/// nothing in it can be taken for an address. An address is there only if it is one.
fn line(subject: &Subject, reason: &str) -> String {
    let address = subject
        .rhost
        .parse()
        .map_or_else(|_| "-".to_owned(), |address: IpAddr| address.to_canonical().to_string());
    let service = token(&subject.service, |c| c.is_ascii_graphic());
    let user = token(&subject.user, |c| c == ' ' || c.is_ascii_graphic());
    format!("verification failed: rhost={address} service={service} reason={reason} user=\"{user}\"")
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
        let said = |rhost| line(&subject("alice", "sshd", rhost), "wrong");
        assert_eq!(
            said("192.0.2.7"),
            "verification failed: rhost=192.0.2.7 service=sshd reason=wrong user=\"alice\""
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
            line(&crafted, "wrong"),
            "verification failed: rhost=192.0.2.7 service=a?b?rhost=198.51.100.9? reason=wrong \
             user=\"x? rhost=198.51.100.9??[2J?\""
        );
    }
}
