//! The configuration: `twinlock.toml` and its drop-ins. Reading has no side effects; what is wrong comes back as
//! findings that name the place and the remedy.

mod finding;
mod limits;
mod load;
mod recovery;
mod totp;

pub use finding::{Finding, Severity};
pub use limits::Limits;
pub use load::{DEFAULT_FILE, LastGood, Origin, Outcome, Source, evaluate, load};
pub use recovery::Recovery;
pub use totp::Totp;

use serde::{Deserialize, Serialize};

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
}

impl Config {
    /// What the types cannot say: ranges, and keys that contradict each other.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let Self { issuer, totp, limits, recovery } = self;
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
        findings
    }
}
