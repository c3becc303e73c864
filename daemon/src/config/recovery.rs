//! `[recovery]`: recovery codes.

use serde::{Deserialize, Serialize};

use super::Finding;

/// `[recovery]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recovery {
    /// Codes in a set, 1 to 20.
    pub count: u8,
}

impl Default for Recovery {
    fn default() -> Self {
        Self { count: 10 }
    }
}

impl Recovery {
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        if !(1..=20).contains(&self.count) {
            findings.push(Finding::error("recovery.count", &format!("is {}", self.count), "write 1 to 20"));
        }
    }
}
