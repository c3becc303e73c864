//! The configuration: `twinlock.toml` and its drop-ins. Reading has no side effects; what is wrong comes back as
//! findings that name the place and the remedy.

mod account;
mod codes;
mod email;
mod enrollment;
mod finding;
mod limits;
mod load;
mod policy;
mod recovery;
mod totp;

pub use account::Account;
pub use codes::Codes;
pub use email::{Email, Tls};
pub use enrollment::{Enrollment, LoginQr};
pub use finding::{Finding, Severity};
pub use limits::Limits;
pub use load::{DEFAULT_FILE, LastGood, Origin, Outcome, Source, evaluate, load};
pub use policy::{Exempt, Role};
pub use recovery::Recovery;
pub use totp::Totp;

use serde::{Deserialize, Serialize};

use crate::engine::policy::Rules;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Shown in authenticator apps; the host name if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Time-based codes.
    pub totp: Totp,
    /// How many failures, how long to wait.
    pub limits: Limits,
    /// Recovery codes.
    pub recovery: Recovery,
    /// Codes that are sent.
    pub codes: Codes,
    /// The mail server that codes go through.
    pub email: Email,
    /// How people come to their first factor.
    pub enrollment: Enrollment,
    /// PAM's account phase.
    pub account: Account,
    /// Who needs a second factor where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<Role>,
    /// Who is let in without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exempt: Vec<Exempt>,
}

impl Config {
    /// What the types cannot say: ranges, and keys that contradict each other.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let Self { issuer, totp, limits, recovery, codes, email, enrollment: _, account: _, role, exempt: _ } =
            self;
        let mut findings = Vec::new();
        if let Some(issuer) = issuer
            && (issuer.is_empty() || issuer.len() > 64 || issuer.chars().any(char::is_control))
        {
            findings.push(Finding::error(
                "issuer",
                "is empty, longer than 64 bytes or not printable",
                "write a short name",
            ));
        }
        totp.check(&mut findings);
        limits.check(&mut findings);
        recovery.check(&mut findings);
        codes.check(&mut findings);
        email.check(&mut findings);
        policy::check_together(role, &mut findings);
        findings
    }

    /// The same for each role and exemption by itself.
    #[must_use]
    pub fn check_entries(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        policy::check_each(&self.role, &self.exempt, &mut findings);
        findings
    }

    /// The rules that roles and exemptions make.
    #[must_use]
    pub fn rules(&self) -> Rules {
        policy::rules(&self.role, &self.exempt)
    }
}
