//! `[totp]`: time-based codes.

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::factor::totp::{Algorithm, Parameters, Window};

/// `[totp]`. Algorithm, digits and period are for new factors: those that exist keep theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Totp {
    /// Hash of the HMAC.
    pub algorithm: Algorithm,
    /// 6 to 8.
    pub digits: u8,
    /// Seconds, 15 to 60.
    pub period: u8,
    /// Steps accepted either way of the expected one: 0 or 1.
    pub window: u8,
    /// No step ahead: only what was typed late.
    pub strict: bool,
}

impl Default for Totp {
    fn default() -> Self {
        // What every authenticator app understands; several ignore other values without a word.
        Self { algorithm: Algorithm::Sha1, digits: 6, period: 30, window: 1, strict: false }
    }
}

impl Totp {
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        let mut range = |key: &str, value: u8, allowed: std::ops::RangeInclusive<u8>| {
            if !allowed.contains(&value) {
                let (low, high) = (allowed.start(), allowed.end());
                let remedy = format!("write {low} to {high}");
                findings.push(Finding::error(&format!("totp.{key}"), &format!("is {value}"), &remedy));
            }
        };
        range("digits", self.digits, 6..=8);
        range("period", self.period, 15..=60);
        range("window", self.window, 0..=1);
        if self.algorithm != Algorithm::Sha1 || self.digits != 6 || self.period != 30 {
            findings.push(Finding::warning(
                "totp",
                "has values that several authenticator apps ignore, showing wrong codes",
                "try it with the apps that your users have, or keep SHA1, 6 digits and 30 seconds",
            ));
        }
    }

    /// What new factors are made with.
    #[must_use]
    pub const fn parameters(&self) -> Parameters {
        Parameters { algorithm: self.algorithm, digits: self.digits, period: self.period }
    }

    /// Which steps are accepted.
    #[must_use]
    pub fn accepted(&self) -> Window {
        let back = i64::from(self.window);
        Window { back, ahead: if self.strict { 0 } else { back } }
    }
}
