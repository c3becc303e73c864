//! `[account]`: PAM's account phase.

use serde::{Deserialize, Serialize};

/// `[account]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Account {
    /// PAM services where a login that skipped the auth phase is refused if policy needs a second factor.
    pub services: Vec<String>,
}

impl Default for Account {
    fn default() -> Self {
        // sshd skips it for keys. cron, at, systemd-user and su by root have no auth phase, and nobody to ask.
        Self { services: vec!["sshd".to_owned()] }
    }
}
