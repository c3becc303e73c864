//! What commands print: for people, or as JSON. Stored text is made harmless before it reaches a terminal.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use twinlock_proto::v1::{self, Requirement};

use crate::failure::Failure;

/// Prints a line.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.as_ref()).and_then(|()| stdout.flush()) {
        // `twinlock audit --follow | head` is no failure, and the end.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::new(0, "")),
        result => result.map_err(Failure::from),
    }
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(
        serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(crate::failure::NO, error.to_string()))?,
    )
}

/// Prints a value as one line of JSON.
pub fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_string(value).map_err(|error| Failure::new(crate::failure::NO, error.to_string()))?)
}

/// Stored or remote text without control characters, escape sequences or bidirectional overrides.
pub fn clean(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if harmless(c) { c } else { '?' }).collect()
}

/// A time, in RFC 3339.
pub fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

/// The word for a requirement.
pub fn requirement(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::Required => "required",
        Requirement::Optional => "optional",
        Requirement::Off => "off",
        Requirement::Unspecified => "unknown",
    }
}

/// `status` and `user show` as JSON. Scripts rely on these names.
#[derive(Serialize)]
pub struct AccountJson<'a> {
    user: &'a str,
    uid: u32,
    requirement: &'static str,
    requirements: Vec<ServiceJson<'a>>,
    enrolled: bool,
    throttled_until: Option<String>,
    stopped: bool,
    factors: Vec<FactorJson<'a>>,
    contacts: Vec<ContactJson<'a>>,
    preferred: Option<&'a str>,
    required_by_administrator: bool,
    exempt_until: Option<String>,
    exempt_reason: &'a str,
    enrollment_open_until: Option<String>,
    would_deny: bool,
    recovery_codes_left: u32,
    failures_since_success: u32,
    because: Vec<BecauseJson<'a>>,
}

#[derive(Serialize)]
struct ServiceJson<'a> {
    service: &'a str,
    requirement: &'static str,
}

#[derive(Serialize)]
struct FactorJson<'a> {
    id: &'a str,
    kind: &'a str,
    label: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    serial: &'a str,
    active: bool,
    resync_required: bool,
    created: String,
    last_used: Option<String>,
}

#[derive(Serialize)]
struct ContactJson<'a> {
    kind: &'a str,
    masked: &'a str,
    verified: bool,
}

/// One rule and what it did.
#[derive(Serialize)]
pub struct BecauseJson<'a> {
    rule: &'a str,
    effect: &'a str,
}

impl<'a> From<&'a v1::Because> for BecauseJson<'a> {
    fn from(because: &'a v1::Because) -> Self {
        Self { rule: &because.rule, effect: &because.effect }
    }
}

impl<'a> From<&'a v1::Account> for AccountJson<'a> {
    fn from(account: &'a v1::Account) -> Self {
        let factors = account.factors.iter().map(|factor| FactorJson {
            id: &factor.id,
            kind: &factor.kind,
            label: &factor.label,
            serial: &factor.serial,
            active: factor.active,
            resync_required: factor.resync_required,
            created: time(factor.created),
            last_used: factor.last_used.map(time),
        });
        let contacts = account.contacts.iter().map(|v1::Contact { kind, masked, verified }| ContactJson {
            kind,
            masked,
            verified: *verified,
        });
        let requirements = account
            .requirements
            .iter()
            .map(|of| ServiceJson { service: &of.service, requirement: requirement(of.requirement()) });
        Self {
            user: &account.user,
            uid: account.uid,
            requirement: requirement(account.requirement()),
            requirements: requirements.collect(),
            enrolled: account.enrolled,
            throttled_until: account.throttled_until.map(time),
            stopped: account.stopped,
            factors: factors.collect(),
            contacts: contacts.collect(),
            preferred: Some(account.preferred.as_str()).filter(|method| !method.is_empty()),
            required_by_administrator: account.required_by_administrator,
            exempt_until: account.exempt_until.map(time),
            exempt_reason: &account.exempt_reason,
            enrollment_open_until: account.enrollment_open_until.map(time),
            would_deny: account.would_deny,
            recovery_codes_left: account.recovery_codes_left,
            failures_since_success: account.failures_since_success,
            because: account.because.iter().map(BecauseJson::from).collect(),
        }
    }
}

/// `status` and `user show` for people.
pub fn account(account: &v1::Account) -> Result<(), Failure> {
    line(format!("Account:        {} (uid {})", clean(&account.user), account.uid))?;
    line(format!("Second factor:  {}", requirement(account.requirement())))?;
    for because in &account.because {
        line(format!("                {} - {}", clean(&because.rule), clean(&because.effect)))?;
    }
    for of in &account.requirements {
        line(format!("                at {}: {}", clean(&of.service), requirement(of.requirement())))?;
    }
    if let Some(until) = account.enrollment_open_until {
        line(format!("Enrollment:     at a login, until {}", time(until)))?;
    }
    if let Some(until) = account.exempt_until {
        line(format!("Exempt:         until {} ({})", time(until), clean(&account.exempt_reason)))?;
    }
    line(format!("Enrolled:       {}", if account.enrolled { "yes" } else { "no" }))?;
    for factor in &account.factors {
        let used =
            factor.last_used.map_or_else(|| "never used".to_owned(), |at| format!("last used {}", time(at)));
        let state = match (factor.active, factor.resync_required) {
            (_, true) => {
                ", does not count until an administrator has two codes in a row (twinlock token resync)"
            }
            (false, false) => ", waits for its first code (twinlock verify)",
            (true, false) => "",
        };
        line(format!("  {}  {}  \"{}\"  {used}{state}", factor.id, factor.kind, clean(&factor.label)))?;
    }
    for contact in &account.contacts {
        let state = if contact.verified { "" } else { ", not confirmed: it does not count" };
        line(format!("  {}  {}{state}", clean(&contact.kind), clean(&contact.masked)))?;
    }
    if !account.preferred.is_empty() {
        line(format!("Offered first:  {}", clean(&account.preferred)))?;
    }
    if let Some(until) = account.throttled_until {
        line(format!("Throttled:      until {}", time(until)))?;
    }
    if account.stopped {
        line("Throttled:      until an administrator runs: twinlock user unlock")?;
    }
    line(format!("Recovery codes left:                {}", account.recovery_codes_left))?;
    line(format!("Wrong codes since the last success: {}", account.failures_since_success))?;
    if account.factors.iter().any(|factor| factor.kind == "totp") {
        line(
            "An authenticator app proves that you have the device. It does not protect against a web page or a",
        )?;
        line("person that asks you for the code: type it only at a prompt of this host.")?;
    } else {
        line("To add an authenticator app: twinlock enroll totp")?;
    }
    let mut kinds: Vec<&str> = account.contacts.iter().map(|contact| contact.kind.as_str()).collect();
    kinds.dedup();
    kinds.into_iter().try_for_each(|kind| line(worth(kind)))
}

/// What a contact is worth, in plain words (docs/threat-model.md).
pub const fn worth(kind: &str) -> &'static str {
    match kind.as_bytes() {
        b"phone" => {
            "A code by phone proves control of a number, not of a device: numbers are ported, SIM cards swapped, messages\n\
             intercepted. NIST calls it restricted; an app is worth more."
        }
        _ => {
            "A code by email proves access to a mailbox. NIST and OWASP do not accept it as a second factor; an app is\n\
             worth more."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stored_can_reach_the_terminal_as_a_command() {
        assert_eq!(clean("a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\r\nb\u{e9}"), "a?]0;x??2J???b\u{e9}");
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
    }
}
