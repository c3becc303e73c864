//! `[hotp]`: counter-based codes, of hard tokens.

use serde::{Deserialize, Serialize};

use super::Finding;

/// `[hotp]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hotp {
    /// 6 to 8: of tokens whose file does not say.
    pub digits: u8,
    /// How many presses of the button that led nowhere are forgiven: 0 to 20. Each makes a guess likelier to hit.
    pub look_ahead: u8,
}

impl Default for Hotp {
    fn default() -> Self {
        // RFC 4226 section 7.4 and appendix E: a small number, and a resynchronisation beyond.
        Self { digits: 6, look_ahead: 5 }
    }
}

impl Hotp {
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        let mut range = |key: &str, value: u8, low: u8, high: u8| {
            if !(low..=high).contains(&value) {
                let remedy = format!("write {low} to {high}");
                findings.push(Finding::error(&format!("hotp.{key}"), &format!("is {value}"), &remedy));
            }
        };
        range("digits", self.digits, 6, 8);
        range("look-ahead", self.look_ahead, 0, 20);
    }
}
