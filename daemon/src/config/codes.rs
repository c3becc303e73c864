//! `[codes]`: codes that are sent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::texts::Language;

/// `[codes]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Codes {
    /// 6 to 8.
    pub digits: u8,
    /// How long a code can be used, up to 10 minutes.
    #[serde(with = "humantime_serde")]
    pub lifetime: Duration,
    /// Wrong answers after which a code is dead, 1 to 3.
    pub tries: u8,
    /// The language of messages, by the name of its file in `daemon/texts`.
    pub language: Language,
    /// Codes an hour to one user, and to one destination.
    pub per_hour: u32,
    /// Codes a day to one user, and to one destination.
    pub per_day: u32,
    /// Codes an hour to the telephones of one country.
    pub region_per_hour: u32,
    /// Codes an hour in all.
    pub all_per_hour: u32,
    /// Codes a day in all.
    pub all_per_day: u32,
}

impl Default for Codes {
    fn default() -> Self {
        // NIST SP 800-63B section 5.1.3.2; one provider in the field stops at 5 in 10 minutes.
        let lifetime = Duration::from_secs(300);
        Self {
            digits: 6,
            lifetime,
            tries: 3,
            language: Language::default(),
            per_hour: 5,
            per_day: 10,
            region_per_hour: 60,
            all_per_hour: 60,
            all_per_day: 300,
        }
    }
}

impl Codes {
    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        let mut refuse = |wrong: bool, key: &str, sentence: &str, remedy: &str| {
            if wrong {
                findings.push(Finding::error(&format!("codes.{key}"), sentence, remedy));
            }
        };
        refuse(!(6..=8).contains(&self.digits), "digits", "is out of range", "write 6 to 8");
        let (shortest, longest) = (Duration::from_secs(30), Duration::from_secs(600));
        refuse(
            self.lifetime < shortest || self.lifetime > longest,
            "lifetime",
            "is out of range",
            "write 30s to 10m (NIST SP 800-63B 5.1.3.2)",
        );
        refuse(!(1..=3).contains(&self.tries), "tries", "is out of range", "write 1 to 3");
        refuse(
            self.per_hour == 0,
            "per-hour",
            "is 0",
            "write 1 or more, or leave the method out of the roles",
        );
        refuse(self.per_day < self.per_hour, "per-day", "is below per-hour", "write more");
        refuse(self.region_per_hour < self.per_hour, "region-per-hour", "is below per-hour", "write more");
        refuse(self.all_per_hour < self.per_hour, "all-per-hour", "is below per-hour", "write more");
        refuse(self.all_per_day < self.all_per_hour, "all-per-day", "is below all-per-hour", "write more");
    }
}
