//! `[limits]`: how many failures, how long to wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::engine::throttle::{Backoff, MEMORY, Rule, Window};

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Wrong codes of a user without a delay.
    pub free_failures: u32,
    /// The delay after the next one; it doubles with each.
    #[serde(with = "humantime_serde")]
    pub first_delay: Duration,
    /// No delay is longer.
    #[serde(with = "humantime_serde")]
    pub longest_delay: Duration,
    /// Wrong codes that no success from their place has forgiven, over any time, after which only an administrator helps;
    /// and all wrong codes in 30 days.
    pub stop: u32,
    /// Wrong codes an hour from one source while the first factor is not known.
    pub per_source: u32,
}

impl Default for Limits {
    fn default() -> Self {
        // NIST SP 800-63B section 5.2.2: 30 s to 1 h, and never over 100.
        let (first_delay, longest_delay) = (Duration::from_secs(30), Duration::from_secs(3600));
        Self { free_failures: 4, first_delay, longest_delay, stop: 100, per_source: 20 }
    }
}

impl Limits {
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        let mut refuse = |wrong: bool, key: &str, sentence: &str, remedy: &str| {
            if wrong {
                findings.push(Finding::error(&format!("limits.{key}"), sentence, remedy));
            }
        };
        refuse(self.free_failures > 10, "free-failures", "is over 10", "write 0 to 10");
        refuse(self.first_delay < Duration::from_secs(1), "first-delay", "is under 1s", "write 1s or more");
        refuse(
            self.longest_delay < self.first_delay || self.longest_delay > Duration::from_secs(86_400),
            "longest-delay",
            "is below first-delay or over a day",
            "write a time between them",
        );
        refuse(
            !(10..=100).contains(&self.stop),
            "stop",
            "is out of range",
            "write 10 to 100 (NIST SP 800-63B 5.2.2)",
        );
        refuse(!(1..=1000).contains(&self.per_source), "per-source", "is out of range", "write 1 to 1000");
    }

    /// The budget of a user, when the first factor is known, and that of password confirmations.
    #[must_use]
    pub const fn user(&self) -> Rule {
        let Self { free_failures, first_delay, longest_delay, stop, per_source: _ } = *self;
        Rule {
            backoff: Some(Backoff { free: free_failures, first: first_delay, longest: longest_delay, stop }),
            window: Some(Window { failures: stop, within: MEMORY }),
        }
    }

    /// The budget of a user, while the first factor is not known, for all sources together.
    #[must_use]
    pub const fn unproven(&self) -> Rule {
        Rule { backoff: None, window: Some(Window { failures: self.stop, within: MEMORY }) }
    }

    /// The budget of a source, while the first factor is not known.
    #[must_use]
    pub const fn source(&self) -> Rule {
        Rule {
            backoff: None,
            window: Some(Window { failures: self.per_source, within: Duration::from_secs(3600) }),
        }
    }
}
